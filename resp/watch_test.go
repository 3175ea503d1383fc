package resp

import (
	"net"
	"os"
	"strings"
	"testing"
)

// TestWhatEndsATransactionThatWatches plays testdata/resp/watch.list: with each
// of its commands, whether a client that watches a key finds it changed, here
// and in a real Redis.
func TestWhatEndsATransactionThatWatches(t *testing.T) {
	text, err := os.ReadFile("../testdata/resp/watch.list")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("parlor", func(t *testing.T) {
		t.Parallel()
		playWatches(t, string(text), startServer(t, Config{}, startNode(t)).Addr(), false)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		addr := startRedis(t, "")
		if info := dial(t, addr).do("INFO", "server"); !strings.Contains(info, "redis_version:7.0.") {
			t.Skip("this Redis is not a 7.0, which is compared with")
		}
		playWatches(t, string(text), addr, true)
	})
}

// playWatches plays the list at one server; theirs says whether it is a Redis.
func playWatches(t *testing.T, list string, addr net.Addr, theirs bool) {
	watching, other := dial(t, addr), dial(t, addr)
	var setup []string
	played := 0
	for line := range strings.Lines(list) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		mark, rest, _ := strings.Cut(line, " ")
		if mark == "=" {
			setup = append(setup, rest)
			continue
		}
		key, command, _ := strings.Cut(rest, " ")
		other.want("+OK", "FLUSHALL")
		for _, s := range setup {
			other.do(quoted(t, s)...)
		}
		watching.want("+OK", "WATCH", key)
		other.do(quoted(t, command)...)
		watching.want("+OK", "MULTI")
		watching.want("+QUEUED", "PING")
		changed := watching.do("EXEC") == "nil-array"
		if want := strings.HasSuffix(mark, "+") != (theirs && mark[0] == '!'); changed != want {
			t.Errorf("%s: who watches %s finds it changed: %v, want %v", command, key, changed, want)
		}
		played++
	}
	if played == 0 {
		t.Fatal("the list is empty")
	}
}

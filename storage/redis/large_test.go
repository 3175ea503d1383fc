package redis_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis"
)

// large is keys of n elements each, on the table of a node: half of them in the
// data file.
type large struct {
	t     *testing.T
	disk  *node
	table *command.Table
	n     int
	index uint64
	now   int64
}

func (l *large) do(args ...string) (command.Reply, time.Duration) {
	l.index++
	raw := command.New(args...)
	call := command.Call{Now: l.now, Index: l.index}
	began := time.Now()
	r := l.disk.run(l.t, l.table.Find(raw[0]), call, raw)
	took := time.Since(began)
	if err := r.Err(); err != nil {
		l.t.Fatalf("%.80q: %v", args, err)
	}
	return r, took
}

// fill makes a key with l.n elements.
func (l *large) fill(key string, head []string, element func(i int) []string) {
	args := append([]string{}, head...)
	for i := range l.n {
		args = append(args, element(i)...)
		if i%5000 == 4999 || i == l.n-1 {
			l.do(args...)
			args = append([]string{}, head...)
		}
		if i == l.n/2 {
			l.disk.checkpoint(l.t)
		}
	}
}

// What stops the state machine for how long, with keys of a million elements,
// and what the whole process works for it:
// PARLOR_LARGE=1000000 go test -run LargeKeys -timeout 60m -v, PARLOR_LARGE_ONLY names commands. Without it the keys are small,
// and only the answers count.
func TestLargeKeys(t *testing.T) {
	n := 1500 // more than make a run of rows
	if s := os.Getenv("PARLOR_LARGE"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatalf("PARLOR_LARGE: %v", err)
		}
	}
	l := &large{t: t, disk: openSized(t, t.TempDir(), 16<<30), table: command.NewTable(redis.Commands()), n: n, now: 1_700_000_000_000}
	name := func(i int) string { return fmt.Sprintf("element:%08d", i*7919%n) }
	kinds := map[string]func(key string){
		"hash": func(key string) {
			l.fill(key, []string{"HSET", key}, func(i int) []string { return []string{name(i), "value"} })
		},
		"set": func(key string) {
			l.fill(key, []string{"SADD", key}, func(i int) []string { return []string{name(i)} })
		},
		"zset": func(key string) {
			l.fill(key, []string{"ZADD", key}, func(i int) []string { return []string{strconv.Itoa(i), name(i)} })
		},
		"list": func(key string) {
			l.fill(key, []string{"RPUSH", key}, func(i int) []string { return []string{name(i)} })
		},
		"string": func(key string) {
			var b strings.Builder
			for i := range n {
				b.WriteString(name(i))
				if i == n/2 || i == n-1 {
					l.do("APPEND", key, b.String())
					b.Reset()
					l.disk.checkpoint(t)
				}
			}
		},
		"stream": func(key string) {
			for i := range n {
				l.do("XADD", key, fmt.Sprintf("%d-1", i+1), "field", "value")
				if i == n/2 {
					l.disk.checkpoint(t)
				}
			}
		},
	}
	size := int64(n * len(name(0))) // of the string
	half, most := strconv.Itoa(n/2), strconv.Itoa(n-10)
	for _, c := range []struct {
		kind string
		want int64 // of the reply, if it is a number
		args []string
	}{
		{"hash", 1, []string{"EXPIRE", "k", "100"}}, {"hash", 0, []string{"RENAME", "k", "to"}}, {"hash", 1, []string{"DEL", "k"}}, {"hash", 1, []string{"UNLINK", "k"}}, {"hash", 0, []string{"SET", "k", "v"}}, {"hash", 1, []string{"COPY", "k", "to"}}, {"hash", 0, []string{"FLUSHALL"}},
		{"set", 1, []string{"DEL", "k"}}, {"set", int64(n), []string{"SUNIONSTORE", "to", "k", "absent"}}, {"set", int64(n), []string{"SINTERSTORE", "to", "k", "k"}}, {"set", int64(n), []string{"SDIFFSTORE", "to", "k", "absent"}}, {"set", 0, []string{"SDIFFSTORE", "to", "k", "k"}}, {"set", 0, []string{"SPOP", "k", half}},
		{"set", 10, []string{"SORT", "k", "ALPHA", "LIMIT", "0", "10", "STORE", "to"}}, {"set", int64(n), []string{"SORT", "k", "ALPHA", "STORE", "to"}},
		{"zset", 1, []string{"DEL", "k"}}, {"zset", int64(n - 9), []string{"ZREMRANGEBYRANK", "k", "0", strconv.Itoa(n - 10)}}, {"zset", int64(n / 2), []string{"ZREMRANGEBYSCORE", "k", "-inf", "(" + half}}, {"zset", int64(n), []string{"ZREMRANGEBYSCORE", "k", "-inf", "inf"}}, {"zset", int64(n), []string{"ZUNIONSTORE", "to", "1", "k"}}, {"zset", int64(n), []string{"ZRANGESTORE", "to", "k", "0", "-1"}}, {"zset", 0, []string{"ZPOPMIN", "k", half}}, {"zset", int64(n / 2), []string{"ZRANK", "k", name(n / 2)}}, {"zset", int64(n), []string{"ZCOUNT", "k", "-inf", "inf"}},
		{"list", 1, []string{"DEL", "k"}}, {"list", 0, []string{"LTRIM", "k", "0", "9"}}, {"list", 0, []string{"LTRIM", "k", "10", "-1"}}, {"list", 0, []string{"LTRIM", "k", half, "-1"}}, {"list", 1, []string{"LREM", "k", "0", name(n / 2)}}, {"list", int64(n + 1), []string{"LINSERT", "k", "BEFORE", name(n / 2), "new"}}, {"list", 0, []string{"LSET", "k", half, "new"}}, {"list", 0, []string{"LPOP", "k", most}}, {"list", int64(n / 2), []string{"LPOS", "k", name(n / 2)}},
		{"string", 1, []string{"DEL", "k"}}, {"string", 0, []string{"SETBIT", "k", "8", "1"}}, {"string", size + 3, []string{"APPEND", "k", "end"}}, {"string", size, []string{"SETRANGE", "k", "100", "new"}}, {"string", 0, []string{"BITFIELD", "k", "INCRBY", "u8", "#100", "1"}}, {"string", size, []string{"STRLEN", "k"}}, {"string", 0, []string{"GETRANGE", "k", "-100", "-1"}}, {"string", 1, []string{"GETBIT", "k", "9"}}, {"string", 1, []string{"COPY", "k", "to"}}, {"string", 0, []string{"RENAME", "k", "to"}}, {"string", 0, []string{"GET", "k"}},
		{"stream", 1, []string{"DEL", "k"}}, {"stream", int64(n - 10), []string{"XTRIM", "k", "MAXLEN", "10"}}, {"stream", int64(n), []string{"XTRIM", "k", "MAXLEN", "0"}}, {"stream", 0, []string{"XADD", "k", "MAXLEN", "10", "*", "f", "v"}},
	} {
		if kinds[c.kind] == nil {
			t.Fatal(c.kind)
		}
		if only := os.Getenv("PARLOR_LARGE_ONLY"); only != "" && !strings.Contains(only, c.args[0]) {
			continue
		}
		kinds[c.kind]("k")
		runtime.GC() // of what was before
		used := processorTime()
		r, took := l.do(c.args...)
		used = processorTime() - used
		if r.Kind == command.KindInt && r.Int != c.want {
			t.Errorf("%q answers %d, want %d", c.args, r.Int, c.want)
		}
		t.Logf("%-60.60s %10.3f ms, processor %8.1f ms", fmt.Sprint(c.args), float64(took.Microseconds())/1000, float64(used.Microseconds())/1000)
		if err := l.disk.db.View(func(rows storage.Reader, s storage.State) error { return keyspace.Verify(rows, s.Hash) }); err != nil {
			t.Fatalf("%q: %v", c.args, err)
		}
		l.do("FLUSHALL")
		l.disk.checkpoint(t)
	}
	if err := l.disk.db.Close(); err != nil {
		t.Fatal(err)
	}
}

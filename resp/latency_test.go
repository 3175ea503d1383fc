package resp

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// A time is in one bucket, whose longest is no more than an eighth above it.
func TestBucketsOfTimes(t *testing.T) {
	last := len(histogram{}) - 1
	for micros := uint64(1); micros <= 1<<31; micros += 1 + micros/1000 {
		i := bucketOf(micros)
		bound := uint64(boundOf(i))
		if bound < micros || bound > micros+micros/8 {
			t.Fatalf("%d µs are in a bucket up to %d µs", micros, bound)
		}
		if i > 0 && uint64(boundOf(i-1)) >= micros {
			t.Fatalf("%d µs would fit in the bucket below, too", micros)
		}
	}
	if got := bucketOf(1 << 60); got != last {
		t.Errorf("what takes for ever is in bucket %d of %d", got, last)
	}
	var h histogram
	for _, took := range []time.Duration{0, time.Microsecond, 246 * time.Microsecond, 5784 * time.Microsecond} {
		h.note(took)
	}
	if got := []int64{h.percentile(50), h.percentile(75), h.percentile(100)}; got[0] != 1 || got[1] != 256 || got[2] != 6144 {
		t.Errorf("percentiles %v", got)
	}
	if got := string(appendReply(nil, h.cumulated(), resp2)); got != "*6\r\n:1\r\n:2\r\n:256\r\n:3\r\n:8192\r\n:4\r\n" {
		t.Errorf("LATENCY HISTOGRAM shows %q", got)
	}
}

// slowDisks is one whose disks are slow: commands are not.
type slowDisks struct {
	*fakeStore
	commit, run time.Duration
}

func (s *slowDisks) Submit([]command.Request, time.Duration, func([]command.Result)) func() {
	return nil
}

func (s *slowDisks) Propose(ctx context.Context, reqs []command.Request) []command.Result {
	time.Sleep(s.commit)
	results := s.fakeStore.Propose(ctx, reqs)
	for i := range results {
		results[i].Took = s.run
	}
	return results
}

// An operator whose disk is slow finds no innocent commands in SLOWLOG, but
// commits in LATENCY; a command that is slow itself is in both.
func TestSlowDisksAreNotSlowCommands(t *testing.T) {
	store := &slowDisks{fakeStore: newFakeStore(), commit: 12 * time.Millisecond, run: 3 * time.Microsecond}
	c := dial(t, startServer(t, Config{}, store).Addr())
	c.want("+OK", "CONFIG", "SET", "latency-monitor-threshold", "10", "slowlog-log-slower-than", "9000")
	c.want("+OK", "SET", "k", "v")
	c.write(frame("MULTI") + frame("INCR", "n") + frame("INCR", "n") + frame("EXEC"))
	for range 4 {
		c.read()
	}
	// What concerns only the connection is timed by the clock, and may be slow on a
	// busy machine: then SLOWLOG has it, too.
	latest := c.do("LATENCY", "LATEST")
	if slow := c.do("SLOWLOG", "LEN"); !strings.Contains(latest, `["commit" `) || slow == ":0" && strings.Contains(latest, "command") {
		t.Errorf("of a slow disk LATENCY says %s", latest)
	}
	for _, innocent := range []string{`["SET" "k" "v"]`, `["INCR" "n"]`, `["EXEC"]`} {
		if got := c.do("SLOWLOG", "GET", "-1"); strings.Contains(got, innocent) {
			t.Errorf("of a slow disk SLOWLOG shows %s", got)
		}
	}
	if got := c.do("INFO", "commandstats"); !strings.Contains(got, "cmdstat_set:calls=1,usec=3,") {
		t.Errorf("a SET of 3 µs is counted as %s", got)
	}
	store.run = 20 * time.Millisecond
	c.want(":1", "RPUSH", "list", "v")
	if got := c.do("SLOWLOG", "GET", "-1"); strings.Count(got, `["RPUSH" "list" "v"]`) != 1 || !strings.Contains(got, ":20000 ") {
		t.Errorf("SLOWLOG shows %s", got)
	}
	if got := c.do("LATENCY", "LATEST"); !strings.Contains(got, `["fast-command" `) {
		t.Errorf("of a slow command LATENCY says %s", got)
	}
}

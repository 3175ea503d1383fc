package node

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTheLeadersClockNeverGoesBackAndFollowsSlowly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wall, up := time.UnixMilli(1_800_000_000_000), time.Duration(0)
		c := &leaderClock{
			log: slog.New(slog.NewTextHandler(io.Discard, nil)), set: make(chan struct{}),
			wall:   func() time.Time { return wall },
			uptime: func() time.Duration { return up },
		}
		begin := wall.UnixMilli() + rapid.Int64Range(-5000, 5000).Draw(t, "begin")
		c.start(1, begin)
		last := c.now()
		if last != begin {
			t.Fatalf("it starts at %d, not at %d", last, begin)
		}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			passed := time.Duration(rapid.Int64Range(0, 10_000).Draw(t, "passed")) * time.Millisecond
			jump := time.Duration(rapid.SampledFrom([]int64{0, 0, 0, 3600_000, -3600_000, 7}).Draw(t, "jump")) * time.Millisecond
			up += passed
			wall = wall.Add(passed + jump)
			now := c.now()
			if now < last {
				t.Fatalf("it went back from %d to %d", last, now)
			}
			if most := passed + passed/slewShare + 2*time.Millisecond; time.Duration(now-last)*time.Millisecond > most {
				t.Fatalf("it went on by %d ms in %v", now-last, passed)
			}
			last = now
		}
	})
}

func TestTheLeadersClockComesToTheWallClockInTime(t *testing.T) {
	wall, up := time.UnixMilli(1_800_000_000_000), time.Duration(0)
	c := &leaderClock{
		log: slog.New(slog.NewTextHandler(io.Discard, nil)), set: make(chan struct{}),
		wall:   func() time.Time { return wall },
		uptime: func() time.Duration { return up },
	}
	c.start(1, wall.UnixMilli())
	wall = wall.Add(time.Second)
	for range 4000 {
		up += time.Second
		wall = wall.Add(time.Second)
		c.now()
	}
	if off := wall.UnixMilli() - c.now(); off < -1 || off > 1 {
		t.Errorf("after an hour it is still off by %d ms", off)
	}
}

func TestReadersTimeDoesNotGoBack(t *testing.T) {
	r := newReadTime()
	r.advance(5000)
	first := r.at(5000)
	if first < 5000 {
		t.Fatalf("readers have %d, the state machine 5000", first)
	}
	r.advance(4000)
	if again := r.at(4000); again < first {
		t.Errorf("it went back from %d to %d", first, again)
	}
}

func TestAWatcherHearsOfEverything(t *testing.T) {
	ws := newWatchers()
	calls, heardAll := make(chan []string), make(chan struct{})
	defer ws.close()
	defer close(heardAll) // the last call may be under way, and close waits for it
	cancel := ws.watch(func(touched []string) {
		select {
		case calls <- touched:
		case <-heardAll:
		}
	})
	ws.tell([]string{"a"})
	if got := <-calls; !slices.Equal(got, []string{"a"}) {
		t.Fatalf("heard %v", got)
	}
	ws.tell([]string{})
	ws.tell([]string{"b"})
	ws.tell([]string{"c", "b"})
	var heard []string
	for len(heard) < 2 || !slices.Contains(heard, "c") {
		heard = append(heard, <-calls...)
	}
	ws.tell([]string{"d"})
	ws.tell(nil)
	ws.tell([]string{"e"})
	for got := <-calls; got != nil; got = <-calls {
		if slices.Contains(got, "e") {
			t.Fatal("nil was lost")
		}
	}
	cancel()
	cancel()
	ws.tell([]string{"f"}) // nobody takes it
}

func TestALaggingWatcherIsToldAnythingMayHaveChanged(t *testing.T) {
	ws := newWatchers()
	busy, calls := make(chan struct{}), make(chan []string, 10)
	ws.watch(func(touched []string) { calls <- touched; <-busy })
	ws.tell([]string{"first"})
	<-calls
	for i := range watchBacklog + 1 {
		ws.tell([]string{string(rune(i + 1000))})
	}
	close(busy)
	if got := <-calls; got != nil {
		t.Errorf("heard %d keys, want nil", len(got))
	}
	ws.close()
}

func TestWaitingForAnIndex(t *testing.T) {
	var a applied
	a.reach(5)
	if err := a.wait(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.wait(ctx, 6); err == nil {
		t.Error("index 6 was reached out of nothing")
	}
	done := make(chan uint64, 10)
	for _, index := range []uint64{9, 7, 8} {
		go func() {
			if a.wait(t.Context(), index) == nil {
				done <- index
			}
		}()
	}
	a.reach(7)
	if got := <-done; got != 7 {
		t.Errorf("woke %d at 7", got)
	}
	a.reach(20)
	<-done
	<-done
	if len(a.waiters) != 0 {
		t.Errorf("%d waiters were forgotten", len(a.waiters))
	}
}

func TestAnInboxHoldsALimitedAmount(t *testing.T) {
	b := newInbox()
	full := chunk{data: make([]byte, inboxBytes), items: 1, commands: 1}
	if err := b.put(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.put(ctx, full); err == nil {
		t.Fatal("the inbox took more than it holds")
	}
	put := make(chan error)
	go func() { put <- b.put(t.Context(), full) }()
	if got := b.take(nil, 1, 1); len(got) != 1 {
		t.Fatalf("took %d", len(got))
	}
	if err := <-put; err != nil {
		t.Fatal(err)
	}
}

func FuzzReadFrame(f *testing.F) {
	var buf bytes.Buffer
	w := bufio.NewWriter(&buf)
	_ = writeFrame(w, frameCall, 7, []byte("state"), []byte{0})
	w.Flush()
	f.Add(buf.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 16
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			fr, err := readFrame(r, limit)
			if err != nil {
				return
			}
			if len(fr.body) > limit {
				t.Fatalf("a body of %d bytes", len(fr.body))
			}
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add(newToken(fingerprint([]byte("ca"))).String())
	f.Add("K10::")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := parseToken(s)
		if err != nil {
			return
		}
		again, err := parseToken(tok.String())
		if err != nil || again != tok {
			t.Fatalf("%q became %q", s, tok)
		}
	})
}

// safeBuilder keeps a log that several goroutines write to.
type safeBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuilder) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuilder) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *safeBuilder) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

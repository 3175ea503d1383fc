package node

import (
	"sync"
	"sync/atomic"
	"time"
)

// readTime is what a member knows of the group's time, for its readers and for
// the day that it leads: what it was last told, and what has passed since. For
// readers it does not go back, but for what was grossly wrong.
//
// It is told in two ways. The entries that the state machine carries out have
// a time, which may be long ago when it does; and the leader says what time it
// is now. Only who has heard the latter since his start knows it. Both are
// never ahead of the leader's clock, so what is kept here is not either: what
// has expired for a reader here has for one who asks the leader afterwards.
type readTime struct {
	origin time.Time
	offset atomic.Int64 // of the group's time from the time since origin, ms
	last   atomic.Int64
	heard  atomic.Bool
	kept   atomic.Int64 // when keepUp last asked, ms since origin

	mu      sync.Mutex
	slept   func() time.Duration // that origin's clock stood still, so far: with the machine
	asleep  time.Duration        // of it, when the leader was last heard
	drifted int64                // until when offset and most have been corrected, ms since origin
	most    int64                // offset is not above it, by what the answers took
}

const (
	// grosslyWrong is how far a reader's time may be ahead of the group's
	// before it is set back, ms.
	grosslyWrong = 1000
	// drift is what clocks run apart at most: what a leader's gives way to its
	// wall clock, and as much again.
	drift = slewShare / 2
)

func newReadTime() *readTime {
	started := time.Now()
	up := uptime(started)
	return &readTime{origin: started, slept: func() time.Duration { return uptime(started) - up - time.Since(started) }}
}

func (t *readTime) elapsed() int64 { return time.Since(t.origin).Milliseconds() }

// advance is called when the state machine's clock has moved on: it is at
// least that late.
func (t *readTime) advance(clock int64) {
	least := clock - t.elapsed() - 1
	for {
		offset := t.offset.Load()
		if offset >= least || t.offset.CompareAndSwap(offset, least) {
			return
		}
	}
}

// hear is called when the leader has said what time it is, in an answer that
// was asked for that long ago.
func (t *readTime) hear(clock int64, ago time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asleep = t.slept()
	elapsed := t.elapsed()
	ran := (elapsed - t.drifted) / drift
	t.drifted += ran * drift
	least := clock - elapsed - 1               // all are rounded down
	most := least + ago.Milliseconds() + 1 + 3 // and here up
	if t.most += ran; most < t.most || least > t.most || !t.heard.Load() {
		t.most = most
	}
	for {
		offset := t.offset.Load()
		if t.offset.CompareAndSwap(offset, min(max(offset-ran, least), t.most)) {
			break
		}
	}
	for { // who reads after this is not before it
		last := t.last.Load()
		wrong := last < clock || last > t.most+elapsed+grosslyWrong
		if !wrong || t.last.CompareAndSwap(last, clock) {
			break
		}
	}
	t.heard.Store(true)
}

// keepUp is hear for a leader that has no followers, once in a millisecond.
func (t *readTime) keepUp(clock func() int64) {
	if now := t.elapsed() + 1; t.kept.Swap(now) != now {
		t.hear(clock(), 0)
	}
}

// known gives the group's time, if this member knows it: a few milliseconds
// more rather than less, so that a new leader's is not behind the last one's.
func (t *readTime) known() (ms int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	elapsed := t.elapsed()
	return t.most + (elapsed-t.drifted)/drift + elapsed + 1 + (t.slept() - t.asleep).Milliseconds(), t.heard.Load()
}

// at gives the time for a reader of a state with this clock, in ms since 1970.
func (t *readTime) at(clock int64) int64 {
	now := max(clock, t.offset.Load()+t.elapsed())
	for {
		last := t.last.Load()
		if now <= last {
			return last
		}
		if t.last.CompareAndSwap(last, now) {
			return now
		}
	}
}

package node

import (
	"sync/atomic"
	"time"
)

// readTime is the time that readers have: the state machine's clock and what
// has passed since it was set. It does not go back.
type readTime struct {
	origin time.Time
	offset atomic.Int64 // of the group's time from the time since origin, ms
	last   atomic.Int64
}

func newReadTime() *readTime { return &readTime{origin: time.Now()} }

func (t *readTime) elapsed() int64 { return time.Since(t.origin).Milliseconds() }

// advance is called when the state machine's clock has moved on.
func (t *readTime) advance(clock int64) { t.offset.Store(clock - t.elapsed()) }

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

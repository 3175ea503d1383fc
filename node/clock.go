package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"
)

// leaderClock is the time that the leader writes into entries, in ms since
// 1970. It starts from what the group's time is, never goes back, and follows
// the wall clock only slowly: somebody who sets it an hour ahead must not make
// everything in the state expire at once.
type leaderClock struct {
	log *slog.Logger

	mu     sync.Mutex
	term   uint64        // of the reign that it was set for
	set    chan struct{} // closed when it is set anew
	wall   func() time.Time
	uptime func() time.Duration // advances evenly, also while the machine sleeps
	base   time.Time            // our time when …
	at     time.Duration        // … uptime was this
	last   int64
	warned time.Duration
}

const (
	slewShare     = 2000 // the clock follows the wall clock by at most 1/2000 of the time that passes
	clockOffLimit = 2 * time.Second
	clockWarnGap  = 10 * time.Minute
)

func newLeaderClock(log *slog.Logger, wall func() time.Time) *leaderClock {
	started := time.Now()
	return &leaderClock{log: log, set: make(chan struct{}), wall: wall, uptime: func() time.Duration { return uptime(started) }}
}

// start sets the clock, in ms since 1970, for a reign.
func (c *leaderClock) start(term uint64, ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.term = term
	close(c.set)
	c.set = make(chan struct{})
	c.base, c.at = time.UnixMilli(ms), c.uptime()
	c.warned = c.at - clockWarnGap
}

// await waits until the clock is set for a reign: before that nothing may be
// written into entries.
func (c *leaderClock) await(ctx context.Context, term uint64) error {
	for {
		c.mu.Lock()
		is, set := c.term, c.set
		c.mu.Unlock()
		if is >= term {
			return nil
		}
		select {
		case <-set:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// now is 0 as long as this member has not led.
func (c *leaderClock) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.base.IsZero() {
		return 0
	}
	up := c.uptime()
	passed := up - c.at
	t := c.base.Add(passed)
	wall := c.wall().Round(0)
	off := wall.Sub(t)
	limit := passed / slewShare
	c.base, c.at = t.Add(min(max(off, -limit), limit)), up
	if off.Abs() > clockOffLimit && up-c.warned >= clockWarnGap {
		c.warned = up
		c.log.Warn("this machine's clock is not the group's; the group's time follows it slowly while this node leads", "off_by", off)
	}
	c.last = max(c.last, c.base.UnixMilli())
	return c.last
}

// newSeed is what the commands of an entry take their randomness from.
func newSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // does not fail
	return binary.LittleEndian.Uint64(b[:])
}

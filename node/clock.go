package node

import (
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"
)

// leaderClock is the time that the leader writes into entries, in ms since
// 1970. It starts from the wall clock, never goes back, and from then on
// follows the wall clock only slowly: somebody who sets it an hour ahead must
// not make everything in the state expire at once. The next leader starts
// from its own wall clock again.
type leaderClock struct {
	log *slog.Logger

	mu     sync.Mutex
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

func newLeaderClock(log *slog.Logger) *leaderClock {
	started := time.Now()
	return &leaderClock{log: log, wall: time.Now, uptime: func() time.Duration { return uptime(started) }}
}

// start sets the clock by the wall, but not behind floor: the time that the
// state machine has seen.
func (c *leaderClock) start(floor int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base, c.at = c.wall().Round(0), c.uptime()
	if f := time.UnixMilli(floor); c.base.Before(f) {
		c.log.Warn("this machine's clock is behind the group's", "by", f.Sub(c.base))
		c.base = f
	}
	c.warned = c.at - clockWarnGap
}

func (c *leaderClock) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	up := c.uptime()
	passed := up - c.at
	t := c.base.Add(passed)
	wall := c.wall().Round(0)
	off := wall.Sub(t)
	limit := passed / slewShare
	c.base, c.at = t.Add(min(max(off, -limit), limit)), up
	if off.Abs() > clockOffLimit && up-c.warned >= clockWarnGap {
		c.warned = up
		c.log.Warn("this machine's clock was changed; the group's time follows slowly (a new leader takes it at once)", "off_by", off)
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

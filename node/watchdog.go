package node

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// watchedLog is the raft log under the eye of a watchdog. raft's heartbeats
// go past the disk: a leader whose disk hangs would keep its office for ever
// and the group would stand still. So a hanging append ends the process.
type watchedLog struct {
	raft.LogStore
	appends  atomic.Uint64 // odd: one is under way
	bytes    atomic.Uint64 // of the entries of late: both are halved when they are too many
	entries  atomic.Uint64
	ahead    func([]*raft.Log) // is told of entries before they are stored; nil: nobody
	observed func(seconds float64)
	recent   recentTimes

	grown chan struct{} // capacity 1: step bytes have come since it was taken
	step  uint64        // 0: nobody is told
	since uint64        // bytes
}

// lately is how many bytes of entries the average is of, at most.
const lately = 64 << 20

// recentTimes are how long the last appends have taken, in seconds.
type recentTimes struct {
	mu   sync.Mutex
	ring [1024]float64
	n    int // ever
}

func (r *recentTimes) add(seconds float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.n%len(r.ring)] = seconds
	r.n++
}

// quantile is the time within which a share of them was done; 0 if there are
// none.
func (r *recentTimes) quantile(share float64) float64 {
	r.mu.Lock()
	times := slices.Clone(r.ring[:min(r.n, len(r.ring))])
	r.mu.Unlock()
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(int(share*float64(len(times))), len(times)-1)]
}

// StoreLog is part of raft.LogStore.
func (l *watchedLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs is part of raft.LogStore.
func (l *watchedLog) StoreLogs(logs []*raft.Log) error {
	if l.ahead != nil {
		l.ahead(logs)
	}
	started := time.Now()
	l.appends.Add(1)
	err := l.LogStore.StoreLogs(logs)
	l.appends.Add(1)
	took := time.Since(started).Seconds()
	l.observed(took)
	l.recent.add(took)
	n := 0
	for _, e := range logs {
		n += len(e.Data)
	}
	l.count(uint64(n), uint64(len(logs)))
	return err
}

// count is called by one append at a time.
func (l *watchedLog) count(bytes, entries uint64) {
	if l.bytes.Add(bytes) > lately {
		l.bytes.Store(l.bytes.Load() / 2)
		l.entries.Store(l.entries.Load() / 2)
	}
	l.entries.Add(entries)
	if l.since += bytes; l.step > 0 && l.since >= l.step {
		l.since = 0
		select {
		case l.grown <- struct{}{}:
		default:
		}
	}
}

// IsMonotonic says that the log has no holes, so that raft clears it before
// it goes on behind an installed snapshot. Hiding it would break that.
func (l *watchedLog) IsMonotonic() bool {
	m, ok := l.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// entrySize is the average size of an entry, for what to keep of the log.
func (l *watchedLog) entrySize() uint64 {
	return l.bytes.Load()/max(l.entries.Load(), 1) + 64
}

// guard calls fatal when one append takes longer than limit. It counts its own
// looks rather than the time, so that a process that was stopped and goes on
// is not mistaken for a hanging disk.
func (l *watchedLog) guard(ctx context.Context, limit time.Duration, fatal func(error)) {
	const looks = 10
	every := time.NewTicker(limit / looks)
	defer every.Stop()
	last, same := uint64(0), 0
	for {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		now := l.appends.Load()
		if now%2 == 0 || now != last {
			last, same = now, 0
			continue
		}
		if same++; same >= looks {
			stacks := make([]byte, 4<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			fatal(fmt.Errorf("the disk hangs: appending to the log takes more than %v\n%s", limit, stacks))
			return
		}
	}
}

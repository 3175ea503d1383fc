package node

import (
	"context"
	"fmt"
	"runtime"
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
	bytes    atomic.Uint64
	entries  atomic.Uint64
	observed func(seconds float64)
}

// StoreLog is part of raft.LogStore.
func (l *watchedLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs is part of raft.LogStore.
func (l *watchedLog) StoreLogs(logs []*raft.Log) error {
	started := time.Now()
	l.appends.Add(1)
	err := l.LogStore.StoreLogs(logs)
	l.appends.Add(1)
	l.observed(time.Since(started).Seconds())
	n := 0
	for _, e := range logs {
		n += len(e.Data)
	}
	l.bytes.Add(uint64(n))
	l.entries.Add(uint64(len(logs)))
	return err
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

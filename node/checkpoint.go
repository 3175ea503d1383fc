package node

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// checkpointing writes the rows in memory to disk from time to time, so that
// memory stays small and a restart fast. A checkpoint is a raft snapshot: raft
// cuts the log behind it.
func (n *Node) checkpointing(ctx context.Context) {
	every := time.NewTicker(n.opt.Timing.Housekeep)
	defer every.Stop()
	tuned := time.Now()
	for {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		if n.checkpointDue() {
			n.tuneLog() // what came since may be larger: it is cut now
			n.checkpoint()
		}
		if time.Since(tuned) > time.Minute {
			tuned = time.Now()
			n.rememberPeers()
			n.tuneLog()
		}
	}
}

// checkpointDue: none is while the leader's table is on its way, as long as
// there is room in memory, or that would be older than this member's own when
// it is here.
func (n *Node) checkpointDue() bool {
	bytes := n.db.OverlayBytes()
	if n.receiving.Load() && bytes < n.opt.Limits.OverlayHard {
		return false
	}
	if bytes >= n.opt.Limits.OverlayBytes {
		return true
	}
	on, _ := n.db.Checkpointed()
	return n.applied.index.Load() > on.Index && time.Since(n.lastCheckpoint()) >= n.opt.Limits.CheckpointEvery
}

func (n *Node) lastCheckpoint() time.Time { return time.Unix(0, n.checkpointed.Load()) }

// checkpoint writes one now. It may fail for reasons that pass: a change of
// the membership that is under way, a snapshot that comes in.
func (n *Node) checkpoint() {
	started, bytes := time.Now(), n.db.OverlayBytes()
	err := n.raft.Snapshot().Error()
	if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		n.log.Info("no checkpoint this time", "err", err)
		return
	}
	n.checkpointed.Store(time.Now().UnixNano())
	if err == nil {
		n.metrics.checkpoint.UpdateDuration(started)
		n.metrics.checkpointBytes.AddInt64(bytes)
	}
}

// tuneLog keeps the log behind the checkpoint at about Limits.LogBytes: raft
// counts entries, and entries are batches of any size.
func (n *Node) tuneLog() {
	rc := n.raft.ReloadableConfig()
	keep := n.trailingLogs()
	if keep == rc.TrailingLogs {
		return
	}
	rc.TrailingLogs = keep
	if err := n.raft.ReloadConfig(rc); err != nil {
		n.log.Error("adjusting how much of the log is kept", "err", err)
	}
}

func (n *Node) trailingLogs() uint64 {
	if n.opt.Limits.LogEntries > 0 {
		return n.opt.Limits.LogEntries
	}
	bytes := uint64(n.opt.Limits.LogBytes)
	return min(max(bytes/n.wal.entrySize(), bytes/logEntryMost), 200_000)
}

// logEntryMost is how large, on average, entries are taken to be at most: a
// follower that needs more of the log than is kept is sent a snapshot.
const logEntryMost = 512 << 10

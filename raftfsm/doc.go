// Package raftfsm stands between raft and the ordered table: it says what a
// log entry is, carries its commands out against the table as one batch, and
// presents the table's checkpoints to raft as snapshots. It also guards the
// log's store.
//
// Applying is deterministic. Time and randomness come from the entry, nothing
// else is asked: every member that applies the same log has the same rows and
// the same state hash, in whatever batches the entries come. A stopwatch tells
// who waits for a request how long its commands took, and tells no command. What
// cannot be understood halts the process rather than being skipped: a member that skips
// an entry is no longer a replica.
//
// The package knows neither sockets nor members. DESIGN.md says how
// checkpoints, installed snapshots and restarts fit together.
package raftfsm

// Package storage is the ordered table that the replicated state lives in:
// byte-string keys, byte-string values, one order.
//
// New rows go to an overlay in memory; a checkpoint writes the overlay, in one
// bbolt transaction, to the data file together with the position in the raft
// log whose effects it holds. The raft log is the write-ahead log: nothing
// here is durable before the next checkpoint, and nothing needs to be.
// DESIGN.md says why it is safe.
//
// The package knows nothing of Redis types (see keyspace), of commands, or of
// raft, except that a checkpoint is filed under a log index and a term.
package storage

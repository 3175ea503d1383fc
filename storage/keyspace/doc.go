// Package keyspace puts the Redis types on the rows of the ordered table:
// strings, hashes, lists, sets, sorted sets and streams, with expiry.
//
// A Tx is one command's window onto the keys. It turns "field f of the hash at
// k" into rows and keeps what is derived from them: counts, the expiry index,
// the scan index and the hash of the state. DESIGN.md has the rows.
//
// The package reads no clock, no randomness and nothing else from outside:
// equal calls on equal rows give equal rows on every node. It knows nothing of
// commands, of the log, or of how the table is stored.
package keyspace

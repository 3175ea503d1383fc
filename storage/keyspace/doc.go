// Package keyspace puts the Redis types on the rows of the ordered table:
// strings, hashes, sets, sorted sets and streams, with expiry.
package keyspace

// Package redis has the commands that Redis has, on the keyspace: strings,
// keys, hashes, lists, sets, sorted sets and streams.
//
// Behaviour, replies and error texts are those of Redis 7.0; docs/redis.md
// lists where they differ on purpose, and a test runs random commands against
// a real server beside these.
//
// There is one file a type, and in each one table: a command's line says all
// that is known about it. The handlers take time and randomness from their
// Call. The package knows nothing of connections: what waits (XREAD BLOCK)
// waits elsewhere and calls the same handler again.
package redis

// Package resp serves the Redis protocol, RESP2 and RESP3, over TCP.
//
// Bytes from the network meet the guard first (guard.go, frame.go): it bounds
// what a client can make the server hold or do, and turns what it reads into
// commands. redcon runs the connections, and while one has nothing to say, an
// event loop watches it and serves what need not wait (loop.go); a session
// carries the state of one of them (protocol, transaction, name). Commands are
// looked up in one table: those that concern the connection or the server itself are answered here,
// all others run in the Store, which the node provides: writes are proposed,
// a whole pipeline at once, reads run on this node.
//
// The package knows neither raft nor the node, nor how keys are stored, nor
// what a domain command means. DESIGN.md says why it is built this way.
package resp

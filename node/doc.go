// Package node is one member of a Parlor group: the composition root of
// everything below the HTTP and Redis servers.
//
// It owns the data folder, the raft log, the cluster port and the member's
// identity, and offers what the rest of the program builds on: Propose (a
// durable write from any member), ReadIndex and View (linearizable reads),
// Watch (what has just changed), RunAsLeader (work that one member does).
//
// It knows raft and TLS and files. It must not know what a command means: the
// table of commands, and what is due when the clock ticks, come from the
// caller. Who imports it is the command line; api, resp, pipeline and core
// declare the small interfaces they need, and *Node satisfies them.
//
// DESIGN.md tells why it is built this way.
package node

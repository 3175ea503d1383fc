// Package command says what a command is: a name and binary-safe arguments,
// exactly as a Redis client sends them, run against one window onto the keys
// and answered with a Reply.
//
// There is one Table of commands. Dispatch, COMMAND DOCS, access categories,
// metrics and the log dump all read it. The Redis types put their commands in
// it (storage/redis), and so does the domain (core); whoever receives a
// command only looks it up.
//
// A command runs in one of two places. A command that writes runs inside the
// replicated state machine, on every node, and must be deterministic: it
// takes its time and its randomness from its Call and from nowhere else. A
// command that only reads runs on whichever node was asked.
//
// The package knows nothing of sockets, raft, or the encoding of replies.
package command

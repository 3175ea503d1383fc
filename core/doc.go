// Package core is the domain of Parlor: site, department, agent, visitor,
// chat, message and event; every transition and every query.
//
// A transition is a command (storage/command) that runs inside the replicated
// state machine. It takes its time and its randomness from its Call, iterates
// in the order of the keys, and is carried out whole or not at all. Every
// transition appends what happened to the site's stream of events in the same
// step. DESIGN.md tells how capacity, queues and presence fit together.
//
// There are three ways in:
//
//   - Commands gives the commands for the table that dispatch reads.
//   - A typed struct per command (ChatSend, VisitorPage, …) makes its
//     arguments with Args and reads its reply with Result, so that no caller
//     spells an argument list by hand.
//   - Queries (GetVisitor, ListChats, ReadEvents, …) read a *keyspace.Tx. What
//     they return is copied and outlives it.
//
// The package knows no HTTP, no Redis protocol, no raft and no clock.
package core

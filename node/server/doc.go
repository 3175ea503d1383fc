// Package server is the composition root: it takes a member of a group
// (package node) and puts the front doors on it: the HTTP API with the widget
// and the console (api, web), the Redis protocol (resp), and what follows
// events (pipeline). Everything is wired by hand here, and started and stopped
// in an order that server.go tells.
//
// It decides nothing of its own: no domain, no protocol, no raft.
package server

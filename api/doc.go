// Package api is Parlor's HTTP side: the visitors' and the agents' calls
// under /v1, the sync protocol on long-poll and WebSocket, the widget's and
// the console's files, health and metrics (docs/http.md, docs/events.md).
//
// A handler decodes, authorises, asks core, and encodes; it takes no decision
// about chats and keeps no state that another node would miss. What a node
// keeps for itself here (the ring of recent events, rate limits, who is
// connected) can be lost at any moment and is built up again.
//
// The package knows nothing of raft, of how commands reach the log, or of
// files on disk. Whatever it needs of the node it runs in is in the interface
// Node.
package api

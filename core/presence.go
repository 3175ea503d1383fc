package core

// How long somebody counts as present without a sign of it, in ms.
const (
	AgentLease   int64 = 30_000
	VisitorLease int64 = 60_000
	// ChatGrace is how long a running chat goes on without its visitor.
	ChatGrace int64 = 300_000
)

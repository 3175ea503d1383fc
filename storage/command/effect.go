package command

import "github.com/parlorchat/parlor/storage/keyspace"

// Effect is what one command of the log did to keys.
type Effect struct {
	Args    Args
	Reply   Reply
	Changes []keyspace.Change // in order; at least one
	// Request is the number of the request, as in its Result, if this node
	// took it since it started. Else it is 0.
	Request uint64
}

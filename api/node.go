package api

import (
	"context"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Node is the member of the group that serves these calls.
type Node interface {
	// Propose carries requests out on the group. When it returns, they are
	// durable and applied on this node: a View sees them.
	Propose(ctx context.Context, reqs []command.Request) []command.Result
	// ReadIndex waits until this node's state holds everything that was
	// committed anywhere before the call.
	ReadIndex(ctx context.Context) error
	// View runs fn on this node's state at one instant. It is short: fn does
	// no I/O and does not block.
	View(fn func(tx *keyspace.Tx) error) error
	// Walk is View for long reads: writers go on meanwhile.
	Walk(fn func(tx *keyspace.Tx) error) error
	// Applied is the log index that this node's state has reached.
	Applied() uint64
	// WaitApplied waits until Applied is at least index.
	WaitApplied(ctx context.Context, index uint64) error
	// Watch calls fn, in order, after each applied batch with the keys that
	// got entries; nil: anything may have changed. fn must not block.
	Watch(fn func(touched []string)) (cancel func())
	// NodeID names this member.
	NodeID() string
}

// Broadcaster is what a Node may offer besides: it carries payloads that may
// be lost to the other members. Without it, typing is shown only to those who
// are connected to the same node.
type Broadcaster interface {
	// Broadcast hands a payload to all other members and returns at once.
	Broadcast(topic string, payload []byte)
	// OnBroadcast calls fn with payloads of other members, those together that
	// came at once. fn must not block and may keep them.
	OnBroadcast(topic string, fn func(payloads [][]byte)) (cancel func())
}

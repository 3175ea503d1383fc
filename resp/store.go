package resp

import (
	"context"
	"errors"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Store is what the server needs of the node that it runs in.
type Store interface {
	// Propose carries out requests durably and in order, and answers when
	// this node's state holds their effects. One result a request.
	Propose(ctx context.Context, reqs []command.Request) []command.Result
	// Submit is Propose for who does not wait: done is called with the results,
	// on another goroutine, which it must not hold up, once there are all or
	// limit has passed. giveUp has it called soon; it is nil, and nothing was
	// done, if the requests cannot be taken at once.
	Submit(reqs []command.Request, limit time.Duration, done func([]command.Result)) (giveUp func())
	// ReadIndex waits until this node's state holds everything that was
	// committed anywhere before the call.
	ReadIndex(ctx context.Context) error
	// Current says whether ReadIndex would return at once.
	Current() bool
	// CatchUp is ReadIndex for who does not wait: done is called with its error,
	// on another goroutine, which it must not hold up, or when limit has passed.
	// giveUp has it called at once; it is nil, and nothing was done, if the
	// store does not serve.
	CatchUp(limit time.Duration, done func(error)) (giveUp func())
	// View runs fn on the state at one instant. It holds up writers: fn must
	// be short.
	View(fn func(tx *keyspace.Tx) error) error
	// Walk runs fn on the state at one instant and holds up nobody.
	Walk(fn func(tx *keyspace.Tx) error) error
	// Watch calls fn after each change with the keys that got entries, or nil
	// if any may have. fn must not block.
	Watch(fn func(touched []string)) (cancel func())
	// Effects calls fn with what each entry of the log did to keys, in order,
	// on a goroutine of its own. effects is nil if that is not known: anything
	// may have happened. What is committed after Effects has returned is told.
	Effects(fn func(index uint64, effects []command.Effect)) (cancel func())
	// Visible is the index of the last entry of the log that View and Walk show
	// from now on.
	Visible() uint64
	// Broadcast hands a payload of at most 512 KiB to all other nodes and
	// returns at once. It may be lost, comes at most once, and after what was
	// broadcast before.
	Broadcast(topic string, payload []byte)
	// OnBroadcast calls fn with the payloads of other nodes, those together
	// that came at once. fn must not block; it may keep them.
	OnBroadcast(topic string, fn func(payloads [][]byte)) (cancel func())
	// Table gives the commands that Propose takes and that may be run in View
	// and Walk.
	Table() *command.Table
}

// storeError gives the reply for a request that has no outcome. An error of
// the context means that nobody answered in time.
func storeError(err error, otherwise *command.Error) *command.Error {
	var e *command.Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return otherwise
	}
	return command.Errorf("ERR", err.Error())
}

package api_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/parlorchat/parlor/api"
	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// fakeGroup is a group of members in one process: one log, and for each
// member a state that real commands are applied to.
type fakeGroup struct {
	table *command.Table

	mu      sync.Mutex
	now     int64 // ms; the clock of the log
	log     []fakeEntry
	members []*fakeNode
	refuse  error // what Propose answers instead
}

type fakeEntry struct {
	now  int64
	reqs []command.Request
}

// fakeNode is one member of a fakeGroup.
type fakeNode struct {
	group *fakeGroup
	id    string

	mu      sync.RWMutex // guards state
	state   keyspacetest.State
	applied uint64
	paused  bool // takes nothing from the log
	moved   chan struct{}

	watchMu  sync.Mutex
	watchers map[int]func([]string)
	nextID   int
	heard    map[int]func([][]byte)
}

var (
	_ api.Node        = (*fakeNode)(nil)
	_ api.Broadcaster = (*fakeNode)(nil)
)

// newFakeGroup makes a group that was formed: with an epoch, a token key and
// a setup token.
func newFakeGroup(t *testing.T, members int) *fakeGroup {
	t.Helper()
	g := &fakeGroup{table: command.NewTable(core.Commands()), now: testEpoch.UnixMilli()}
	for i := range members {
		n := &fakeNode{group: g, id: string(rune('a' + i)), moved: make(chan struct{}), watchers: map[int]func([]string){}, heard: map[int]func([][]byte){}}
		g.members = append(g.members, n)
	}
	init := core.SystemInit{Epoch: "epoch-1", TokenKey: tokenKey, SetupSHA256: sha256Hex(setupToken)}
	got := g.members[0].Propose(t.Context(), []command.Request{{Commands: []command.Args{init.Args()}}})
	if err := cmpErr(got[0].Err, got[0].Replies[0].Err()); err != nil {
		t.Fatalf("forming the group: %v", err)
	}
	return g
}

// advance moves the clock of the log.
func (g *fakeGroup) advance(ms int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += ms
}

// refuseWith makes Propose fail; nil: no more.
func (g *fakeGroup) refuseWith(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = err
}

// Propose appends the requests to the log and applies them here and on every
// member that is not paused.
func (n *fakeNode) Propose(ctx context.Context, reqs []command.Request) []command.Result {
	g := n.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := cmpErr(g.refuse, ctx.Err()); err != nil {
		out := make([]command.Result, len(reqs))
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	g.log = append(g.log, fakeEntry{g.now, g.prepare(reqs)})
	var results []command.Result
	for _, m := range g.members {
		if m == n {
			results = m.catchUp(g.log)
		} else if !m.isPaused() {
			m.catchUp(g.log)
		}
	}
	return results
}

// prepare fixes what must not differ between members. A command that cannot
// be prepared fails where it is applied.
func (g *fakeGroup) prepare(reqs []command.Request) []command.Request {
	out := make([]command.Request, len(reqs))
	for i, req := range reqs {
		for _, args := range req.Commands {
			if spec := g.table.Find(args[0]); spec != nil && spec.Prepare != nil && spec.ArityOK(len(args)) {
				if prepared, err := spec.Prepare(args); err == nil {
					args = prepared
				}
			}
			out[i].Commands = append(out[i].Commands, args)
		}
	}
	return out
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// catchUp applies what this member lacks and gives the results of the last
// entry. The group's mutex is held.
func (n *fakeNode) catchUp(log []fakeEntry) (results []command.Result) {
	var touched []string
	n.mu.Lock()
	for int(n.applied) < len(log) {
		entry := log[n.applied]
		n.applied++
		n.state.Now = entry.now
		results = nil
		seed := rand.New(rand.NewPCG(n.applied, 7))
		op := 0
		for _, req := range entry.reqs {
			r := command.Result{Index: n.applied}
			for _, args := range req.Commands {
				reply, keys := n.apply(args, seed, op)
				touched = append(touched, keys...)
				r.Replies = append(r.Replies, reply)
				op++
			}
			results = append(results, r)
		}
	}
	close(n.moved)
	n.moved = make(chan struct{})
	n.mu.Unlock()
	n.tell(touched)
	return results
}

// apply runs one command, all of it or nothing.
func (n *fakeNode) apply(args command.Args, seed *rand.Rand, op int) (reply command.Reply, touched []string) {
	spec := n.group.table.Find(args[0])
	if spec == nil {
		return command.Fail(errors.New("unknown command " + string(args[0]))), nil
	}
	if !spec.ArityOK(len(args)) {
		return command.Fail(command.ErrArity(spec.Name)), nil
	}
	err := n.state.Write(func(tx *keyspace.Tx) (err error) {
		call := &command.Call{Tx: tx, Now: n.state.Now, Index: n.applied, Op: op, Rand: seed}
		if reply, err = spec.Run(call, args); err == nil {
			touched = tx.Touched()
		}
		return err
	})
	if err != nil {
		return command.Fail(err), nil
	}
	return reply, touched
}

func (n *fakeNode) tell(touched []string) {
	n.watchMu.Lock()
	defer n.watchMu.Unlock()
	for _, fn := range n.watchers {
		fn(touched)
	}
}

func (n *fakeNode) isPaused() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.paused
}

// pause keeps this member behind until it is asked for a ReadIndex.
func (n *fakeNode) pause() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paused = true
}

// replaced puts another state in this one's place, as an installed snapshot
// does.
func (n *fakeNode) replaced(change func(tx *keyspace.Tx) error) error {
	n.mu.Lock()
	err := n.state.Write(change)
	n.mu.Unlock()
	n.tell(nil)
	return err
}

func (n *fakeNode) ReadIndex(ctx context.Context) error {
	g := n.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := cmpErr(g.refuse, ctx.Err()); err != nil {
		return err
	}
	n.mu.Lock()
	n.paused = false
	n.mu.Unlock()
	n.catchUp(g.log)
	return nil
}

func (n *fakeNode) View(fn func(tx *keyspace.Tx) error) error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return fn(n.state.Read())
}

func (n *fakeNode) Walk(fn func(tx *keyspace.Tx) error) error { return n.View(fn) }

func (n *fakeNode) Applied() uint64 {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.applied
}

func (n *fakeNode) WaitApplied(ctx context.Context, index uint64) error {
	for {
		n.mu.RLock()
		applied, moved := n.applied, n.moved
		n.mu.RUnlock()
		if applied >= index {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *fakeNode) Watch(fn func(touched []string)) (cancel func()) {
	n.watchMu.Lock()
	defer n.watchMu.Unlock()
	id := n.nextID
	n.nextID++
	n.watchers[id] = fn
	return func() {
		n.watchMu.Lock()
		defer n.watchMu.Unlock()
		delete(n.watchers, id)
	}
}

func (n *fakeNode) NodeID() string { return n.id }

func (n *fakeNode) Broadcast(_ string, payload []byte) {
	for _, m := range n.group.members {
		if m != n {
			m.hear(payload)
		}
	}
}

func (n *fakeNode) hear(payload []byte) {
	n.watchMu.Lock()
	defer n.watchMu.Unlock()
	for _, fn := range n.heard {
		fn([][]byte{payload})
	}
}

func (n *fakeNode) OnBroadcast(_ string, fn func(payloads [][]byte)) (cancel func()) {
	n.watchMu.Lock()
	defer n.watchMu.Unlock()
	id := n.nextID
	n.nextID++
	n.heard[id] = fn
	return func() {
		n.watchMu.Lock()
		defer n.watchMu.Unlock()
		delete(n.heard, id)
	}
}

// Package pipelinetest has what tests of the pipeline and of its modules need:
// a group of one member in memory that carries out the domain's commands, and
// a wait for conditions.
package pipelinetest

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// Group carries commands out one after another, as the log does. It satisfies
// pipeline.Store.
type Group struct {
	table *command.Table

	mu     sync.Mutex
	state  keyspacetest.State
	broken error

	watch    sync.Mutex // held while watchers are told, so that they hear things in order
	watchers map[int]func([]string)
	nextID   int
}

// NewGroup makes a group that was just formed.
func NewGroup(t testing.TB) *Group {
	g := &Group{table: command.NewTable(core.Commands()), watchers: map[int]func([]string){}}
	g.Do(t, core.SystemInit{Epoch: "0193-epoch", TokenKey: make([]byte, 32), SetupSHA256: strings.Repeat("0", 64)}.Args())
	return g
}

// Propose carries requests out.
func (g *Group) Propose(_ context.Context, reqs []command.Request) []command.Result {
	g.watch.Lock()
	defer g.watch.Unlock()
	results := make([]command.Result, len(reqs))
	touched := []string{}
	g.mu.Lock()
	for i, req := range reqs {
		if g.broken != nil {
			results[i].Err = g.broken
			continue
		}
		for _, args := range req.Commands {
			reply, keys := g.run(args)
			results[i].Replies = append(results[i].Replies, reply)
			touched = append(touched, keys...)
		}
		results[i].Index = g.state.Index
	}
	g.mu.Unlock()
	for _, fn := range g.watchers {
		fn(touched)
	}
	return results
}

func (g *Group) run(args command.Args) (reply command.Reply, touched []string) {
	spec := g.table.Find(args[0])
	if spec == nil || !spec.ArityOK(len(args)) {
		return command.Fail(command.Errorf("ERR", "unknown command or wrong arity: "+string(args[0]))), nil
	}
	if spec.Prepare != nil {
		prepared, err := spec.Prepare(args)
		if err != nil {
			return command.Fail(err), nil
		}
		args = prepared
	}
	g.state.Now = max(g.state.Now, time.Now().UnixMilli())
	err := g.state.Write(func(tx *keyspace.Tx) (err error) {
		index := g.state.Index
		reply, err = spec.Run(&command.Call{Tx: tx, Now: g.state.Now, Index: index, Rand: rand.New(rand.NewPCG(index, 1))}, args)
		if err == nil {
			touched = tx.Touched()
		}
		return err
	})
	if err != nil {
		return command.Fail(err), nil
	}
	return reply, touched
}

// ReadIndex has nothing to wait for.
func (g *Group) ReadIndex(ctx context.Context) error { return ctx.Err() }

// View runs fn on the state as it is.
func (g *Group) View(fn func(tx *keyspace.Tx) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fn(g.state.Read())
}

// Watch calls fn after each proposal.
func (g *Group) Watch(fn func(touched []string)) (cancel func()) {
	g.watch.Lock()
	defer g.watch.Unlock()
	id := g.nextID
	g.nextID++
	g.watchers[id] = fn
	return func() {
		g.watch.Lock()
		defer g.watch.Unlock()
		delete(g.watchers, id)
	}
}

// Break makes all proposals fail until it is called with nil: the group has
// no quorum.
func (g *Group) Break(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = err
}

// Do carries a command out that must succeed.
func (g *Group) Do(t testing.TB, args command.Args) command.Reply {
	t.Helper()
	res := g.Propose(context.Background(), []command.Request{{Commands: []command.Args{args}}})[0]
	if res.Err != nil {
		t.Fatalf("%s: %v", args[0], res.Err)
	}
	if err := res.Replies[0].Err(); err != nil {
		t.Fatalf("%s: %v", args[0], err)
	}
	return res.Replies[0]
}

// Site makes a site with a department "sales" and an agent "alice" who is
// online and has room for everybody.
func (g *Group) Site(t testing.TB, id string) {
	t.Helper()
	g.Do(t, core.SiteCreate{ID: id}.Args())
	g.Do(t, command.New("DEPARTMENT.CREATE", id+"-sales", id))
	g.Do(t, command.New("AGENT.CREATE", id+"-alice", id, "MAX-CHATS", "1000", "DEPARTMENTS", id+"-sales"))
	g.Do(t, command.New("AGENT.STATUS", id+"-alice", "online"))
}

// Chat makes a visitor with an id and a chat "chat-" and that id.
func (g *Group) Chat(t testing.TB, site, visitor string) {
	t.Helper()
	g.Do(t, command.New("VISITOR.CREATE", visitor, site))
	g.Do(t, command.New("CHAT.REQUEST", visitor, "chat-"+visitor, "DEPARTMENT", site+"-sales"))
}

// Say sends a message of the visitor.
func (g *Group) Say(t testing.TB, visitor, text string) {
	t.Helper()
	g.Do(t, command.New("CHAT.SEND", "chat-"+visitor, "FROM", "visitor", visitor, "TEXT", text))
}

// Events gives all events of a site.
func (g *Group) Events(t testing.TB, site string) []core.Event {
	t.Helper()
	var out []core.Event
	if err := g.View(func(tx *keyspace.Tx) (err error) {
		out, err = core.ReadEvents(tx, site, 0, 1<<20)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// Cursor gives the durable place of a consumer; ok is false if it has none.
func (g *Group) Cursor(t testing.TB, site, consumer string) (seq int64, ok bool) {
	t.Helper()
	if err := g.View(func(tx *keyspace.Tx) error {
		c, known, err := core.ConsumerCursor(tx, site, consumer)
		seq, ok = c.Seq, known
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return seq, ok
}

// DeadLetters gives the dead letters of a consumer, newest first.
func (g *Group) DeadLetters(t testing.TB, site, consumer string) []core.DeadLetter {
	t.Helper()
	var out []core.DeadLetter
	if err := g.View(func(tx *keyspace.Tx) (err error) {
		out, err = core.DeadLetters(tx, site, consumer, 1<<20)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("it never happened: %s", what)
		}
	}
}

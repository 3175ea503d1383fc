package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// The tests of this package run real members: TLS on loopback ports, raft
// logs and tables in temporary folders, several members in one process.

// table has the few commands that the node itself and the stories here need.
func table() *command.Table { return command.NewTable(specs()) }

func specs() []command.Spec {
	return []command.Spec{
		{Name: "SYSTEM.INIT", Arity: 4, Flags: command.Write | command.Internal | command.WhenFull, Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
			_, err := c.HSet([]byte("system:group"), []byte("epoch"), args[1])
			return command.OK, err
		}},
		{Name: "SET", Arity: 3, Flags: command.Write, First: 1, Last: 1, Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
			c.Set(args[1], args[2])
			return command.OK, nil
		}},
		{Name: "DEL", Arity: 2, Flags: command.Write | command.WhenFull, First: 1, Last: 1, Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
			return command.Bool(c.Delete(args[1])), nil
		}},
		{Name: "INCR", Arity: 2, Flags: command.Write, First: 1, Last: 1, Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
			v, _, err := c.Get(args[1])
			if err != nil {
				return command.Reply{}, err
			}
			n, _ := strconv.ParseInt(string(v), 10, 64)
			c.Set(args[1], strconv.AppendInt(nil, n+1, 10))
			return command.Int(n + 1), nil
		}},
		{Name: "HSET", Arity: -4, Flags: command.Write, First: 1, Last: 1, Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
			for i := 2; i+1 < len(args); i += 2 {
				if _, err := c.HSet(args[1], args[i], args[i+1]); err != nil {
					return command.Reply{}, err
				}
			}
			return command.Int(int64(len(args)/2 - 1)), nil
		}},
		{Name: "HSETNX", Arity: 4, Flags: command.Write, First: 1, Last: 1, Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
			if _, ok, err := c.HGet(args[1], args[2]); err != nil || ok {
				return command.Int(0), err
			}
			_, err := c.HSet(args[1], args[2], args[3])
			return command.Int(1), err
		}},
		{Name: "HDEL", Arity: 3, Flags: command.Write, First: 1, Last: 1, Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
			ok, err := c.HDel(args[1], args[2])
			return command.Bool(ok), err
		}},
		{Name: "XADD", Arity: 3, Flags: command.Write, Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
			last, err := c.XLast(args[1])
			if err != nil {
				return command.Reply{}, err
			}
			id := keyspace.StreamID{Ms: last.Ms + 1}
			return command.Int(int64(id.Ms)), c.XAdd(args[1], id, [][]byte{[]byte("v"), args[2]})
		}},
		{Name: "NOW", Arity: 1, Flags: command.Write, Run: func(c *command.Call, _ [][]byte) (command.Reply, error) {
			return command.Int(c.Now), nil
		}},
		command.LevelCommand(),
	}
}

// group is some members of one group under test.
type group struct {
	t       testing.TB
	token   string
	members []*Node
	tune    func(*Options)
}

// options of a member in a folder, with a test's little patience.
func (g *group) options(dir string) Options {
	level := slog.LevelError
	if os.Getenv("PARLOR_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	o := Options{
		Dir: dir, Cluster: "127.0.0.1:0", Name: filepath.Base(dir), Table: table(),
		Log: slog.New(slog.NewTextHandler(testWriter{g.t}, &slog.HandlerOptions{Level: level})),
		Fatal: func(err error) {
			g.t.Errorf("fatal: %v", err)
		},
		Timing: Timing{
			Heartbeat: 250 * time.Millisecond, Election: 250 * time.Millisecond, LeaderLease: 150 * time.Millisecond,
			Commit: 5 * time.Millisecond, Stable: 20 * time.Millisecond, Housekeep: 20 * time.Millisecond,
			Tick: 50 * time.Millisecond, Handover: time.Second,
		},
	}
	if g.tune != nil {
		g.tune(&o)
	}
	return o
}

// testWriter writes a log to the test's, as long as the test runs.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Logf("%s", p)
	}
	return len(p), nil
}

// form makes a group of n members.
func form(t testing.TB, n int, tune func(*Options)) *group {
	t.Helper()
	g := &group{t: t, tune: tune}
	dir := filepath.Join(t.TempDir(), "m0")
	t.Cleanup(func() { // before the folder goes, whatever has failed
		for _, m := range g.members {
			if m != nil {
				m.stop()
			}
		}
	})
	formed, err := Init(t.Context(), g.options(dir))
	must(t, err)
	g.token = formed.JoinToken
	g.members = append(g.members, g.start(dir))
	must(t, g.members[0].WaitReady(t.Context()))
	for len(g.members) < n {
		g.join()
	}
	g.waitVoters(n)
	return g
}

// start runs the member of a folder.
func (g *group) start(dir string) *Node {
	g.t.Helper()
	o := g.options(dir)
	o.Cluster = "" // as kept in the folder
	n, err := Open(o)
	must(g.t, err)
	must(g.t, n.Start(g.t.Context()))
	return n
}

// join adds a member.
func (g *group) join() *Node {
	g.t.Helper()
	dir := filepath.Join(g.t.TempDir(), fmt.Sprintf("m%d", len(g.members)))
	_, err := Join(g.t.Context(), g.options(dir), g.members[0].Cluster(), g.token)
	must(g.t, err)
	n := g.start(dir)
	g.members = append(g.members, n)
	return n
}

// kill stops a member without any good order.
func (g *group) kill(i int) {
	g.t.Helper()
	m := g.members[i]
	g.members[i] = nil
	must(g.t, m.stop())
	m.closing.Do(func() {})
}

// restart brings a member back that was killed or closed.
func (g *group) restart(i int, dir string) {
	g.t.Helper()
	g.members[i] = g.start(dir)
}

// waitVoters waits until the living members agree that n vote.
func (g *group) waitVoters(n int) {
	g.t.Helper()
	g.wait(fmt.Sprintf("%d voters", n), func() bool {
		for _, m := range g.members {
			if m == nil {
				continue
			}
			if v, _ := m.voters(); v != n {
				return false
			}
		}
		return true
	})
}

// leader waits for one and gives its place.
func (g *group) leader() int {
	g.t.Helper()
	at := -1
	g.wait("a leader", func() bool {
		for i, m := range g.members {
			if m != nil && m.IsLeader() {
				at = i
				return true
			}
		}
		return false
	})
	return at
}

// follower is the place of some member that does not lead.
func (g *group) follower() int {
	g.t.Helper()
	l := g.leader()
	for i, m := range g.members {
		if i != l && m != nil {
			return i
		}
	}
	g.t.Fatal("no follower lives")
	return -1
}

// wait waits for a condition, and fails the test if it does not come.
func (g *group) wait(what string, cond func() bool) {
	g.t.Helper()
	limit := time.After(60 * time.Second) // far more than it takes: the machine may be busy
	for !cond() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-limit:
			g.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// do carries out one command at a member and fails the test if it fails.
func (g *group) do(m *Node, args ...string) command.Reply {
	g.t.Helper()
	r, err := try(g.t.Context(), m, args...)
	must(g.t, err)
	return r
}

func try(ctx context.Context, m *Node, args ...string) (command.Reply, error) {
	r := m.Propose(ctx, []command.Request{{Commands: []command.Args{command.New(args...)}}})[0]
	if r.Err != nil {
		return command.Reply{}, r.Err
	}
	return r.Replies[0], r.Replies[0].Err()
}

// get reads a string as a member has it now.
func get(t testing.TB, m *Node, key string) string {
	t.Helper()
	out := ""
	must(t, m.View(func(tx *keyspace.Tx) error {
		v, _, err := tx.Get([]byte(key))
		out = string(v)
		return err
	}))
	return out
}

// converge waits until all living members have the same state.
func (g *group) converge() {
	g.t.Helper()
	g.wait("equal states", func() bool {
		var first *memberState
		for _, m := range g.members {
			if m == nil {
				continue
			}
			st := m.state()
			if first == nil {
				first = &st
			} else if st.Applied != first.Applied {
				return false
			} else if st.StateHash != first.StateHash {
				g.t.Fatalf("members differ at index %d: %s and %s", st.Applied, st.StateHash, first.StateHash)
			}
		}
		return true
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want an error with code %s", err, code)
	}
}

func TestAWriteAtAnyMemberIsReadAtEveryMember(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	for i, m := range g.members {
		key := "written-at-" + strconv.Itoa(i)
		g.do(m, "SET", key, "hello")
		if got := get(t, m, key); got != "hello" {
			t.Fatalf("the writer does not see its own write: %q", got)
		}
		for j, reader := range g.members {
			must(t, reader.ReadIndex(t.Context()))
			if got := get(t, reader, key); got != "hello" {
				t.Fatalf("member %d reads %q after a write at member %d", j, got, i)
			}
		}
	}
	g.converge()
}

func TestAPipelineIsAnsweredInOrder(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	m := g.members[g.follower()]
	before := m.raft.LastIndex()
	reqs := make([]command.Request, 3000)
	for i := range reqs {
		reqs[i] = command.Request{Commands: []command.Args{command.New("INCR", "n")}}
	}
	for i, r := range m.Propose(t.Context(), reqs) {
		must(t, r.Err)
		if got := r.Replies[0].Int; got != int64(i+1) {
			t.Fatalf("request %d was answered %d", i, got)
		}
	}
	if entries := m.raft.LastIndex() - before; entries > 300 {
		t.Errorf("%d requests made %d log entries", len(reqs), entries)
	}
}

func TestReadsAreLinearizableAfterTheLeaderDies(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	for round := range 3 {
		l := g.leader()
		dir := g.members[l].opt.Dir
		value := strconv.Itoa(round)
		g.do(g.members[l], "SET", "x", value)
		g.kill(l)
		for _, m := range g.members {
			if m == nil {
				continue
			}
			must(t, m.ReadIndex(t.Context()))
			if got := get(t, m, "x"); got != value {
				t.Fatalf("read %q after the leader that acknowledged %q died", got, value)
			}
		}
		g.restart(l, dir)
	}
	g.converge()
}

func TestNoIncrementIsLostOrDoubledWhileLeadersCome(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	var mu sync.Mutex             // guards g.members against the restarts below
	member := func(i int) *Node { // or another one that lives
		mu.Lock()
		defer mu.Unlock()
		for g.members[i] == nil {
			i = (i + 1) % len(g.members)
		}
		return g.members[i]
	}
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var answered atomic.Int64
	acknowledged := make([]int, 12)
	unknown := make([]int, len(acknowledged))
	for c := range acknowledged {
		clients.Go(func() {
			key := "counter-" + strconv.Itoa(c)
			for ctx.Err() == nil {
				switch _, err := try(t.Context(), member(c%3), "INCR", key); {
				case err == nil:
					acknowledged[c]++
					answered.Add(1)
				case errors.Is(err, command.ErrUnknownOutcome):
					unknown[c]++
				case errors.Is(err, command.ErrNoLeader), errors.Is(err, command.ErrClosing):
				default:
					t.Errorf("INCR: %v", err)
					return
				}
			}
		})
	}
	for range 4 {
		l, before := g.leader(), answered.Load()
		g.wait("some writes", func() bool { return answered.Load() >= before+200 })
		dir := member(l).opt.Dir
		mu.Lock()
		m := g.members[l]
		g.members[l] = nil
		mu.Unlock()
		must(t, m.stop())
		fresh := g.start(dir)
		mu.Lock()
		g.members[l] = fresh
		mu.Unlock()
		g.leader()
	}
	stop()
	clients.Wait()
	must(t, g.members[0].ReadIndex(t.Context()))
	total := 0
	for c, acked := range acknowledged {
		got, _ := strconv.Atoi(get(t, g.members[0], "counter-"+strconv.Itoa(c)))
		if got < acked || got > acked+unknown[c] {
			t.Errorf("counter %d is %d after %d acknowledged increments and %d of unknown outcome", c, got, acked, unknown[c])
		}
		total += acked
	}
	if total == 0 {
		t.Fatal("nothing was acknowledged")
	}
	t.Logf("%d increments", total)
	g.converge()
}

package node

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// drifting has a command that the named member carries out otherwise than the
// rest, as a fault in the program might: DRIFT member key.
func drifting(o *Options) {
	o.Timing.Compare, o.Timing.Scrub = 20*time.Millisecond, 20*time.Millisecond
	self := o.Name
	o.Table = command.NewTable([]command.Spec{{Name: "DRIFT", Arity: 3, Flags: command.Write,
		Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
			value := "what all have"
			if string(args[1]) == self {
				value = "what one has"
			}
			c.Set(args[2], []byte(value))
			return command.OK, nil
		}}}, specs())
}

// settled is drifting in a group where nobody stands for election unasked.
func settled(o *Options) {
	drifting(o)
	o.Timing.Heartbeat, o.Timing.Election, o.Timing.LeaderLease = time.Minute, time.Minute, time.Minute
}

func (g *group) waitQuarantine(m *Node) *Quarantine {
	g.t.Helper()
	g.wait("the quarantine of "+m.opt.Name, func() bool { return m.Quarantined() != nil })
	return m.Quarantined()
}

// reseed waits until another member leads: leaders come and go on a slow
// machine.
func (g *group) reseed(m *Node) Reseeded {
	g.t.Helper()
	var done Reseeded
	g.wait("another leader to take the state from", func() bool {
		var err error
		done, err = m.Reseed(g.t.Context())
		if e := (*Error)(nil); errors.As(err, &e) && (e.Code == CodeInvalid || e.Code == CodeUnreachable || e.Code == CodeNotLeader) {
			return false
		}
		must(g.t, err)
		return true
	})
	return done
}

// refusesClients says what a member in quarantine tells its clients.
func refusesClients(t *testing.T, m *Node) {
	t.Helper()
	_, err := try(t.Context(), m, "SET", "x", "1")
	wantCode(t, err, CodeQuarantined)
	wantCode(t, m.ReadIndex(t.Context()), CodeQuarantined)
	never := func(*keyspace.Tx) error { t.Error("it shows its state"); return nil }
	wantCode(t, m.View(never), CodeQuarantined)
	wantCode(t, m.Walk(never), CodeQuarantined)
	if err := m.ReadIndex(t.Context()); !errors.Is(err, command.ErrNoLeader) || !strings.Contains(err.Error(), "parlor cluster reseed") {
		t.Errorf("clients are told %v", err)
	}
	if st := m.Local(); st.Ready || st.Quarantine == nil {
		t.Errorf("it says of itself: ready %v, quarantine %v", st.Ready, st.Quarantine)
	}
	if n := m.metrics.mismatches.Get(); n == 0 {
		t.Error("its monitoring shows no mismatch")
	}
}

func TestAFollowerWhoseStateDiffersServesNobodyUntilItIsReseeded(t *testing.T) {
	t.Parallel()
	g := form(t, 3, drifting)
	f := g.follower()
	bad, leader := g.members[f], g.members[g.leader()]
	g.do(leader, "SET", "x", "kept")
	g.do(leader, "DRIFT", bad.opt.Name, "y")
	q := g.waitQuarantine(bad)
	if !q.Majority || !strings.Contains(q.Reason, " of this member is ") {
		t.Errorf("the reason: %+v", q)
	}
	refusesClients(t, bad)
	for _, m := range g.members {
		if m != bad {
			g.do(m, "INCR", "n") // the others go on
		}
	}
	st := leader.Status(t.Context())
	at := slices.IndexFunc(st.Members, func(m Member) bool { return m.ID == bad.NodeID() })
	if st.Members[at].Quarantine == "" || !st.Ready {
		t.Errorf("the group's status: %+v", st)
	}

	// It stays so over a restart, and in everybody's log.
	dir := bad.opt.Dir
	g.kill(f)
	g.restart(f, dir)
	bad = g.members[f]
	refusesClients(t, bad)

	// Its log is good: it counts for the majority, and votes.
	l := g.leader()
	dirOfLeader := g.members[l].opt.Dir
	g.kill(l)
	heir := g.members[g.leader()]
	if heir == bad {
		t.Fatal("a member in quarantine leads")
	}
	g.do(heir, "INCR", "n")
	g.restart(l, dirOfLeader)

	done := g.reseed(bad)
	if done.From == bad.NodeID() || done.Bytes == 0 {
		t.Errorf("reseeded: %+v", done)
	}
	must(t, bad.WaitReady(t.Context()))
	if got := get(t, bad, "y"); got != "what all have" {
		t.Errorf("after the reseed it has %q", got)
	}
	g.do(bad, "INCR", "n")
	g.converge()
	g.kill(f) // and the new state is what it starts from
	g.restart(f, dir)
	must(t, g.members[f].WaitReady(t.Context()))
	if g.members[f].Quarantined() != nil || get(t, g.members[f], "n") != "4" {
		t.Errorf("after a restart: %v, n = %s", g.members[f].Quarantined(), get(t, g.members[f], "n"))
	}
	g.converge()
}

func TestALeaderWhoseStateDiffersHandsOver(t *testing.T) {
	t.Parallel()
	g := form(t, 3, settled)
	l := g.leader()
	bad := g.members[l]
	g.do(bad, "DRIFT", bad.opt.Name, "y")
	g.waitQuarantine(bad)
	g.wait("another leader", func() bool { return !bad.IsLeader() && g.members[g.leader()] != bad })
	refusesClients(t, bad)
	good := g.members[(l+1)%3]
	g.do(good, "INCR", "n")
	if got := get(t, good, "y"); got != "what all have" {
		t.Errorf("the group has %q", got)
	}
	g.reseed(bad)
	g.do(bad, "INCR", "n")
	g.converge()
}

// Of two members nobody can say which is right: the follower yields, and the
// record says so.
func TestWithoutAMajorityTheFollowerYields(t *testing.T) {
	t.Parallel()
	g := form(t, 2, settled)
	bad, leader := g.members[g.follower()], g.members[g.leader()]
	g.do(leader, "DRIFT", bad.opt.Name, "y")
	if q := g.waitQuarantine(bad); q.Majority || !strings.Contains(q.Reason, "no majority") {
		t.Errorf("the reason: %+v", q)
	}
	g.do(leader, "INCR", "n")
	if leader.Quarantined() != nil {
		t.Error("the leader is in quarantine too")
	}
	if leader.IsLeader() {
		_, err := leader.Reseed(t.Context())
		wantCode(t, err, CodeInvalid)
	}
}

// A bit that turns over in the data file is in no log and no message: only
// reading finds it.
func TestRotInTheDataFileIsFound(t *testing.T) {
	t.Parallel()
	var ends atomic.Bool
	g := form(t, 3, func(o *Options) {
		settled(o)
		o.Fatal = func(err error) {
			if ends.Store(true); !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), "parlor cluster reseed") {
				t.Errorf("fatal: %v", err)
			}
		}
	})
	bad := g.members[g.follower()]
	for range 20 {
		g.do(bad, "INCR", "n")
	}
	g.do(bad, "SET", "precious", "a value that nobody writes again")
	g.wait("a checkpoint with the row", func() bool {
		bad.checkpoint()
		return rot(t, bad.opt.Dir, "a value that nobody writes again")
	})
	g.wait("the process to end", func() bool { return ends.Load() })
	f := slices.Index(g.members, bad)
	dir := bad.opt.Dir
	g.kill(f)
	g.restart(f, dir) // as the supervisor does
	bad = g.members[f]
	if q := bad.Quarantined(); q == nil || !strings.Contains(q.Reason, "is damaged") {
		t.Errorf("the reason: %+v", q)
	}
	refusesClients(t, bad)
	g.reseed(bad)
	if got := get(t, bad, "precious"); got != "a value that nobody writes again" {
		t.Errorf("after the reseed it has %q", got)
	}
}

// A member whose table cannot even be opened is given the group's state while
// it does not run. Its log and its vote stay.
func TestAMemberThatCannotStartIsReseededWhileItIsStopped(t *testing.T) {
	t.Parallel()
	g := form(t, 3, drifting)
	f := g.follower()
	dir := g.members[f].opt.Dir
	g.do(g.members[f], "SET", "x", "kept")
	g.members[f].rememberPeers()
	g.kill(f)
	must(t, os.WriteFile(filepath.Join(dir, tableFolder, "data.db"), bytes.Repeat([]byte("rubbish "), 1<<12), 0o600))
	o := g.options(dir)
	o.Cluster = ""
	if _, err := Open(o); err == nil {
		t.Fatal("it opened rubbish")
	}
	done, err := ReseedStopped(t.Context(), o)
	must(t, err)
	if done.Bytes == 0 || done.Index == 0 {
		t.Errorf("reseeded: %+v", done)
	}
	if aside, _ := filepath.Glob(filepath.Join(dir, tableFolder+".damaged-*")); len(aside) != 1 {
		t.Errorf("put aside: %v", aside)
	}
	g.restart(f, dir)
	must(t, g.members[f].WaitReady(t.Context()))
	if got := get(t, g.members[f], "x"); got != "kept" {
		t.Errorf("it has %q", got)
	}
	g.do(g.members[f], "INCR", "n")
	g.converge()
}

// rot turns a bit of a value in the data file of a running member.
func rot(t *testing.T, dir, value string) bool {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, tableFolder, "data.db"), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	content, err := io.ReadAll(f)
	must(t, err)
	found := false
	for at := 0; ; at++ {
		i := bytes.Index(content[at:], []byte(value))
		if i < 0 {
			return found
		}
		at += i
		_, err = f.WriteAt([]byte{value[0] ^ 1}, int64(at))
		must(t, err)
		found = true
	}
}

func TestAnIdleGroupIsComparedWithoutLogEntries(t *testing.T) {
	t.Parallel()
	g := form(t, 3, settled)
	leader := g.members[g.leader()]
	g.do(leader, "INCR", "n")
	g.wait("comparisons that leave no entries", func() bool {
		last := leader.raft.LastIndex()
		compared, passes := leader.metrics.comparisons.Get(), leader.metrics.scrubPasses.Get()
		g.wait("comparisons", func() bool {
			return leader.metrics.comparisons.Get() > compared+3 && leader.metrics.scrubPasses.Get() > passes+3
		})
		return leader.raft.LastIndex() == last
	})
	for _, m := range g.members {
		if m.metrics.mismatches.Get() != 0 || m.Quarantined() != nil {
			t.Errorf("%s: %v", m.opt.Name, m.Quarantined())
		}
	}
}

// Under load the pieces are taken while entries come, and are equal.
func TestABusyGroupIsCompared(t *testing.T) {
	t.Parallel()
	g := form(t, 3, func(o *Options) {
		drifting(o)
		o.Limits.ScrubBytes = 50_000 // a few rows at a time
		o.Limits.OverlayBytes = 64 << 10
	})
	leader := g.members[g.leader()]
	passes := leader.metrics.scrubPasses.Get()
	for i := 0; leader.metrics.scrubPasses.Get() < passes+3; i++ {
		m := g.members[i%3]
		for range 20 {
			g.do(m, "INCR", "n")
		}
		g.do(m, "HSET", "h", string(rune('a'+i%26)), strings.Repeat("v", i%300))
		if i%7 == 0 {
			g.do(m, "DEL", "h")
		}
		if g.t.Failed() {
			return
		}
	}
	for _, m := range g.members {
		if m.metrics.mismatches.Get() != 0 || m.Quarantined() != nil {
			t.Errorf("%s: %v", m.opt.Name, m.Quarantined())
		}
	}
}

func TestAMemberBelievesOnlyAVerdictOnItsOwnAnswers(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	f := g.follower()
	m, leader := g.members[f], g.members[g.leader()]
	var votes []string
	answers := map[string]string{}
	for _, each := range g.members {
		votes = append(votes, each.NodeID())
		answers[each.NodeID()] = "one hash"
	}
	answers[m.NodeID()] = "another"
	lie := finding{What: stateHash, Index: m.db.State().Index, Answers: answers, Voters: 3, Votes: votes, Leader: leader.NodeID()}
	err := leader.calls.call(t.Context(), m.NodeID(), callDiffers, lie, &struct{}{})
	wantCode(t, err, CodeInvalid)
	if m.Quarantined() != nil {
		t.Error("it believed an answer that it never gave")
	}
}

func TestJudge(t *testing.T) {
	votes := []string{"a", "b", "c"}
	for name, c := range map[string]struct {
		answers  map[string]string
		voters   int
		wrong    []string
		majority bool
	}{
		"all agree":                       {map[string]string{"a": "1", "b": "1", "c": "1"}, 3, nil, true},
		"a follower":                      {map[string]string{"a": "1", "b": "1", "c": "2"}, 3, []string{"c"}, true},
		"the leader":                      {map[string]string{"a": "2", "b": "1", "c": "1"}, 3, []string{"a"}, true},
		"one against one":                 {map[string]string{"a": "1", "b": "2"}, 3, []string{"b"}, false},
		"each against each":               {map[string]string{"a": "1", "b": "2", "c": "3"}, 3, []string{"b", "c"}, false},
		"a learner":                       {map[string]string{"a": "1", "b": "1", "c": "1", "d": "2"}, 3, []string{"d"}, true},
		"learners do not count":           {map[string]string{"a": "1", "b": "2", "d": "2", "e": "2"}, 3, []string{"b", "d", "e"}, false},
		"two agree of five":               {map[string]string{"a": "1", "b": "2", "c": "2"}, 5, []string{"b", "c"}, false},
		"alone":                           {map[string]string{"a": "1"}, 1, nil, true},
		"damaged follower":                {map[string]string{"a": "1", "b": damaged}, 2, []string{"b"}, false},
		"damaged leader":                  {map[string]string{"a": damaged, "b": "1"}, 2, []string{"a"}, false},
		"damaged leader, two others":      {map[string]string{"a": damaged, "b": "1", "c": "1"}, 3, []string{"a"}, true},
		"all are damaged in the same way": {map[string]string{"a": damaged, "b": damaged, "c": damaged}, 3, []string{"a", "b", "c"}, false},
	} {
		v := finding{Answers: c.answers, Voters: c.voters, Votes: votes, Leader: "a"}.judge()
		if !slices.Equal(v.wrong, c.wrong) || v.majority != c.majority {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

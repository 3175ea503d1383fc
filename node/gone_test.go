package node

import (
	"net"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// patient members wait for a silent leader longer than any test.
func patient(o *Options) {
	o.Timing.Heartbeat, o.Timing.Election, o.Timing.LeaderLease = 2*time.Minute, 2*time.Minute, 2*time.Minute
}

// The process of the leader ends: the others need not wait until it has been
// silent for long enough.
func TestALeaderWhoseProcessEndsIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	g := form(t, 3, patient)
	for range 2 { // two reigns; who is left then is no majority
		l := g.leader()
		g.do(g.members[l], "SET", "x", "1")
		dir := g.members[l].opt.Dir
		g.kill(l)
		now := g.leader()
		g.do(g.members[now], "SET", "x", "2")
		g.restart(l, dir)
		g.waitVoters(3)
	}
	g.converge()
}

// One member is refused where the leader should be, the other one is not: the
// leader stays.
func TestALeaderWhomOneMemberCannotReachStays(t *testing.T) {
	t.Parallel()
	g := form(t, 3, patient)
	l, f := g.leader(), g.follower()
	leader, m := g.members[l], g.members[f]
	term := leader.raft.CurrentTerm()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	m.book.announce(leader.NodeID(), nobody.Addr().String())
	must(t, nobody.Close())
	if a := m.looksGone(t.Context(), goneArgs{Leader: leader.NodeID(), Term: term}); !a.Gone || !a.Able {
		t.Fatalf("it is refused, and says %+v", a)
	}
	m.leaderRefused(t.Context(), leader.NodeID())
	if !leader.IsLeader() || leader.raft.CurrentTerm() != term || m.raft.State() != raft.Follower {
		t.Errorf("the leader was deposed: term %d, it was %d", leader.raft.CurrentTerm(), term)
	}
	// Who asks about an earlier term, or about somebody else, is told nothing.
	for _, args := range []goneArgs{{leader.NodeID(), term - 1}, {m.NodeID(), term}, {g.members[3-l-f].NodeID(), term}} {
		if a := m.looksGone(t.Context(), args); a.Gone {
			t.Errorf("%+v is answered %+v", args, a)
		}
	}
}

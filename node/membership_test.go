package node

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
)

func TestARemovedMemberDoesNotComeBack(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	f := g.follower()
	gone := g.members[f]
	asked := g.members[(f+1)%3]
	wantCode(t, asked.Remove(t.Context(), "00000000-0000-0000-0000-000000000000", false), CodeNotMember)
	// A leader that loses its office in the middle leaves the rest to the next.
	if err := asked.Remove(t.Context(), gone.NodeID(), false); err != nil && !strings.Contains(err.Error(), "it will be tried again") {
		t.Fatal(err)
	}
	dir := gone.opt.Dir
	g.kill(f)
	g.waitVoters(2)
	g.do(asked, "SET", "after", "removal")

	g.restart(f, dir)
	defer g.kill(f)
	g.wait("the removed member to learn of it", func() bool { return g.members[f].Status(t.Context()).Role == "removed" })
	if asked.isMember(gone.NodeID()) {
		t.Fatal("the removed member is in the group again")
	}
}

// A member is removed while nothing of the log reaches it: it is told when it
// asks for votes.
func TestAMemberThatWasCutOffLearnsOfItsRemoval(t *testing.T) {
	t.Parallel()
	w := &lines{cut: map[raft.ServerID]bool{}}
	g := form(t, 3, func(o *Options) { w.join(t, o) })
	t.Cleanup(w.mend)
	gone := g.members[g.follower()]
	w.mu.Lock()
	w.cut[raft.ServerID(gone.NodeID())] = true
	w.mu.Unlock()
	asked := g.members[g.leader()]
	if err := asked.Remove(t.Context(), gone.NodeID(), false); err != nil && !strings.Contains(err.Error(), "it will be tried again") {
		t.Fatal(err)
	}
	g.wait("the removed member to learn of it", func() bool { return gone.Status(t.Context()).Role == "removed" })
}

// The same happens to a member without a vote, which asks for none: it is told
// when it has heard of no leader for a while.
func TestALearnerThatWasCutOffLearnsOfItsRemoval(t *testing.T) {
	t.Parallel()
	w := &lines{cut: map[raft.ServerID]bool{}}
	g := form(t, 3, func(o *Options) { w.join(t, o) })
	t.Cleanup(w.mend)
	gone, asked := g.members[g.follower()], g.members[g.leader()]
	must(t, ask(t, asked, DoDemote, gone.NodeID()))
	g.wait("the member to have no vote", func() bool { return gone.Status(t.Context()).Role == "learner" })
	w.mu.Lock()
	w.cut[raft.ServerID(gone.NodeID())] = true
	w.mu.Unlock()
	asked = g.members[g.leader()]
	if err := asked.Remove(t.Context(), gone.NodeID(), false); err != nil && !strings.Contains(err.Error(), "it will be tried again") {
		t.Fatal(err)
	}
	g.wait("the removed member to learn of it", func() bool { return gone.Status(t.Context()).Role == "removed" })
}

func TestTheLeaderCanBeRemoved(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	l := g.leader()
	gone := g.members[l]
	must(t, gone.Remove(t.Context(), gone.NodeID(), false))
	g.kill(l)
	g.waitVoters(2)
	g.do(g.members[g.leader()], "SET", "after", "removal")
}

func TestARemovalThatWouldLoseTheMajorityIsRefused(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	l := g.leader()
	leader, a, b := g.members[l], (l+1)%3, (l+2)%3
	alive := g.members[a].NodeID()
	g.kill(b)
	// Two of three live. Without one of them, one of two would.
	wantCode(t, leader.Remove(t.Context(), alive, false), CodeQuorum)
	if v, _ := leader.voters(); v != 3 {
		t.Fatalf("the refused removal left %d voters", v)
	}
	only := form(t, 1, nil)
	wantCode(t, only.members[0].Remove(t.Context(), only.members[0].NodeID(), true), CodeQuorum)
}

func TestTheLeadershipIsHandedOver(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	f := g.follower()
	asked := g.members[f] // a follower can be asked as well
	must(t, asked.TransferLeader(t.Context(), asked.NodeID()))
	g.wait("the follower to lead", asked.IsLeader)
	wantCode(t, asked.TransferLeader(t.Context(), "nobody"), CodeNotMember)
}

// The leader is asked to hand over, to another member or to anybody, while it
// hands over already: who asks gets what he asked for, from whoever leads by then.
func TestALeadershipThatMovesMeanwhileIsHandedOverAllTheSame(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	for round := range 6 {
		l := g.leader()
		leader, other, wanted := g.members[l], g.members[(l+1)%3], g.members[(l+2)%3].NodeID()
		if round%2 == 1 {
			wanted = ""
		}
		first := leader.raft.LeadershipTransferToServer(raft.ServerID(other.NodeID()), raft.ServerAddress(other.Cluster()))
		must(t, leader.TransferLeader(t.Context(), wanted))
		_ = first.Error()
	}
}

// move starts a member at another address. The port is chosen first and opened
// later: should somebody get it in between, it takes another one.
func (g *group) move(dir string) *Node {
	g.t.Helper()
	for {
		n, err := Open(g.options(dir)) // its cluster port is :0
		must(g.t, err)
		if err = n.Start(g.t.Context()); err == nil {
			return n
		}
		must(g.t, n.stop())
		if !errors.Is(err, syscall.EADDRINUSE) {
			g.t.Fatal(err)
		}
	}
}

func TestAMemberThatMovesIsFound(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	f := g.follower()
	m := g.members[f]
	old, dir := m.Cluster(), m.opt.Dir
	g.kill(f)
	moved := g.move(dir)
	g.members[f] = moved
	if moved.Cluster() == old {
		t.Skip("the system gave the same port again")
	}
	other := g.members[(f+1)%3]
	g.wait("the group to know the new address", func() bool {
		for _, mem := range other.Status(t.Context()).Members {
			if mem.ID == moved.NodeID() {
				return mem.Cluster == moved.Cluster() && mem.Reachable && mem.Voter
			}
		}
		return false
	})
	g.do(other, "SET", "x", "1")
	g.converge()
}

func TestStatusNamesEveryMember(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	for i, m := range g.members {
		m.Announce("127.0.0.1:"+strconv.Itoa(8080+i), "127.0.0.1:"+strconv.Itoa(6380+i))
	}
	admin := NewAdmin(g.members[2].opt.Dir)
	var s Status
	g.wait("all addresses", func() bool {
		var err error
		s, err = admin.Status(t.Context())
		must(t, err)
		for _, m := range s.Members {
			if m.HTTP == "" || m.RESP == "" || m.Name == "" {
				return false
			}
		}
		return len(s.Members) == 3
	})
	if s.Voters != 3 || s.FailureTolerance != 1 || s.Leader != g.members[g.leader()].NodeID() || !s.Ready {
		t.Errorf("the status is %+v", s)
	}
	g.kill(g.follower())
	g.wait("the lost tolerance", func() bool {
		return g.members[g.leader()].Status(t.Context()).FailureTolerance == 0
	})
}

func TestTheCommandLineReachesTheMember(t *testing.T) {
	t.Parallel()
	g := form(t, 1, nil)
	admin := NewAdmin(g.members[0].opt.Dir)
	text, err := admin.CreateToken(t.Context(), 0, 0)
	must(t, err)
	made, err := parseToken(text)
	must(t, err)
	list, err := admin.Tokens(t.Context())
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("got %d tokens", len(list))
	}
	must(t, admin.RevokeToken(t.Context(), made.id))
	wantCode(t, admin.RevokeToken(t.Context(), made.id), CodeBadToken)
	must(t, admin.Checkpoint(t.Context()))
	wantCode(t, admin.Operate(t.Context(), Operation{Do: DoRemove, Member: g.members[0].NodeID()}), CodeQuorum)
	_, err = NewAdmin(t.TempDir()).Status(t.Context())
	wantCode(t, err, CodeUnreachable)
}

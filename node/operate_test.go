package node

import (
	"strings"
	"testing"
)

// ask has a member of the group carry an operation out.
func ask(t *testing.T, m *Node, do, member string) error {
	t.Helper()
	return m.Operate(t.Context(), Operation{Do: do, Member: member})
}

func TestAVoteIsTakenAndGivenBack(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	f := g.follower()
	m, asked := g.members[f], g.members[(f+1)%3]
	must(t, ask(t, asked, DoDemote, m.NodeID()))
	must(t, ask(t, asked, DoDemote, m.NodeID())) // twice is once
	g.waitVoters(2)
	if got := m.Local().Role; got != "learner" {
		t.Errorf("without its vote it is a %s", got)
	}
	// It goes on receiving everything and serving its clients, and nobody
	// gives it the vote back unasked.
	g.do(m, "SET", "x", "1")
	g.converge()
	g.wait("some rounds of the leader's housekeeping", func() bool {
		g.do(asked, "INCR", "rounds")
		return len(get(t, asked, "rounds")) > 2
	})
	if n, _ := asked.voters(); n != 2 {
		t.Fatalf("%d members vote", n)
	}
	must(t, ask(t, m, DoPromote, m.NodeID()))
	must(t, ask(t, m, DoPromote, m.NodeID()))
	g.waitVoters(3)
}

func TestALeaderThatIsDemotedHandsOver(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	l := g.leader()
	must(t, ask(t, g.members[l], DoDemote, g.members[l].NodeID()))
	g.waitVoters(2)
	if now := g.leader(); now == l {
		t.Error("it leads without a vote")
	}
	g.do(g.members[l], "SET", "x", "1")
	g.converge()
}

func TestAMemberThatIsGoneGetsNoVote(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	f := g.follower()
	id := g.members[f].NodeID()
	leader := g.members[g.leader()]
	must(t, ask(t, leader, DoDemote, id))
	g.kill(f)
	wantCode(t, ask(t, leader, DoPromote, id), CodeUnreachable)
	if n, _ := leader.voters(); n != 2 || !leader.isMarked(learnersKey, id) {
		t.Errorf("the refused promotion left %d voters", n)
	}
}

func TestMembersAreNamedAsAnOperatorLikes(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	f := g.follower()
	m := g.members[f]
	asked := g.members[(f+1)%3]
	for _, c := range []struct{ name, code string }{
		{"nobody", CodeNotMember},
		{m.NodeID()[:idShortest-1], CodeNotMember},
		{strings.Repeat("0", 36), CodeNotMember},
		{"", CodeInvalid},
	} {
		wantCode(t, ask(t, asked, DoDemote, c.name), c.code)
	}
	wantCode(t, ask(t, asked, "dance", m.NodeID()), CodeInvalid)
	must(t, ask(t, asked, DoDemote, m.opt.Name))
	must(t, ask(t, asked, DoPromote, m.NodeID()[:idShortest+4]))
	must(t, ask(t, asked, DoRemove, m.NodeID()))
	wantCode(t, ask(t, asked, DoRemove, m.NodeID()), CodeRemoved)
}

// Four members, one of them gone: to remove one that works would leave
// nobody who may fail, where removing the dead one costs nothing.
func TestForceIsForWhatLeavesNoToleranceAndNotForMore(t *testing.T) {
	t.Parallel()
	g := form(t, 4, nil)
	l := g.leader()
	leader := g.members[l]
	dead, a, b := (l+1)%4, (l+2)%4, (l+3)%4
	deadID := g.members[dead].NodeID()
	g.kill(dead)
	wantCode(t, leader.Remove(t.Context(), g.members[a].NodeID(), false), CodeQuorum)
	if n, _ := leader.voters(); n != 4 || leader.isRemoved(g.members[a].NodeID()) {
		t.Fatal("the refused removal changed something")
	}
	must(t, leader.Remove(t.Context(), g.members[a].NodeID(), true))
	g.kill(a)
	// Of three, two live: without either of them the group stands still.
	wantCode(t, leader.Remove(t.Context(), g.members[b].NodeID(), true), CodeQuorum)
	wantCode(t, ask(t, leader, DoDemote, g.members[b].NodeID()), CodeQuorum)
	must(t, leader.Remove(t.Context(), deadID, false))
	g.waitVoters(2)
	g.do(g.members[b], "SET", "x", "1")
}

func TestADrainedMemberDoesNotLeadUntilItIsResumed(t *testing.T) {
	t.Parallel()
	told := make(chan bool, 10)
	g := form(t, 3, nil)
	l := g.leader()
	m := g.members[l]
	dir := m.opt.Dir
	must(t, ask(t, m, DoDrain, m.NodeID()))
	g.wait("the drained leader to hand over", func() bool { return !m.IsLeader() && m.Draining() && g.leader() != l })
	next := g.leader()

	// It outlives a restart.
	g.kill(l)
	g.tune = func(o *Options) { o.Drained = func(on bool) { told <- on } }
	g.restart(l, dir)
	m = g.members[l]
	if on := <-told; !on {
		t.Fatal("it is used again after a restart")
	}
	// Nobody hands over to it while it is drained: on a busy machine any member
	// may win an election by itself, so what counts is who is chosen.
	must(t, m.WaitReady(t.Context()))
	if heir, err := g.members[next].heir(t.Context(), ""); err == nil && string(heir.ID) == m.NodeID() {
		t.Error("a drained member was chosen to lead")
	}
	g.wait("another member to lead", func() bool {
		now := g.leader()
		if now == next {
			_ = g.members[next].TransferLeader(t.Context(), "") // it may have been elected again: once more
		}
		return now != l && now != next
	})
	// Asked for by name it leads, and hands over again.
	must(t, ask(t, m, DoTransfer, m.NodeID()))
	g.wait("it to hand over again", func() bool { return g.leader() != l })

	must(t, ask(t, m, DoResume, m.NodeID()))
	if on := <-told; on {
		t.Error("it was told to drain again")
	}
	g.wait("it to be used", func() bool { return !m.Draining() })
}

func TestTheLastMemberThatIsUsedIsNotDrained(t *testing.T) {
	t.Parallel()
	only := form(t, 1, nil).members[0]
	wantCode(t, ask(t, only, DoDrain, only.NodeID()), CodeQuorum)
	if only.isMarked(drainingKey, only.NodeID()) {
		t.Error("the refused drain changed something")
	}
}

package node

import (
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// Who is alone in the group answers reads without asking anybody, and ceases to
// the moment that a second member counts; and he who is left over is alone again.
func TestWhoIsAloneAsksNobody(t *testing.T) {
	t.Parallel()
	g := form(t, 1, nil)
	first := g.members[0]
	g.wait("the only member to be current", first.Current)
	second := g.join()
	g.waitVoters(2)
	// It counts as applied, and so nobody may believe that he is alone.
	if last := first.raft.CommitIndex(); first.Applied() < last {
		must(t, first.WaitApplied(t.Context(), last))
	}
	if first.Current() || second.Current() {
		t.Fatal("one of two members answers reads without asking the other")
	}
	g.do(first, "SET", "k", "v")
	must(t, second.ReadIndex(t.Context()))

	left := g.members[g.leader()]
	gone := first
	if left == first {
		gone = second
	}
	must(t, left.Remove(t.Context(), gone.NodeID(), false))
	g.wait("the member that is left to be current", left.Current)
}

// Who does not wait for a member to catch up is told once, whatever comes first:
// that it has, that time is up, or that he has given up.
func TestWhoDoesNotWaitIsToldOnce(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	for _, m := range g.members {
		g.do(g.members[0], "SET", "k", m.NodeID())
		told := make(chan error, 2)
		giveUp := m.CatchUp(time.Minute, func(err error) { told <- err })
		must(t, <-told)
		must(t, m.View(func(tx *keyspace.Tx) error {
			if v, _, err := tx.Get([]byte("k")); err != nil || string(v) != m.NodeID() {
				t.Errorf("reads %q, %v after catching up with %q", v, err, m.NodeID())
			}
			return nil
		}))
		giveUp()
		for range 50 {
			m.CatchUp(time.Nanosecond, func(err error) { told <- err })
			<-told // in time or not
			m.CatchUp(time.Minute, func(err error) { told <- err })()
			<-told
		}
		select {
		case err := <-told:
			t.Errorf("told twice: %v", err)
		default:
		}
	}
	alone := g.members[g.leader()]
	for i, m := range g.members {
		if m != alone {
			g.kill(i)
		}
	}
	told := make(chan error, 1)
	if alone.CatchUp(50*time.Millisecond, func(err error) { told <- err }) == nil {
		t.Fatal("a member does not serve")
	}
	if err := <-told; err == nil {
		t.Error("one of three members confirms a read alone")
	}
}

package node

import "testing"

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

package node

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"
)

// remove takes a member out for good. The mark in system:removed comes first:
// if the rest is interrupted, the next leader finishes it. One that leads
// hands over before it is removed itself.
func (n *Node) remove(ctx context.Context, id string, force bool) error {
	if err := n.without(ctx, id).allow("removed", force); err != nil {
		return err
	}
	if id == n.id.NodeID {
		return n.leaveItToTheNext(ctx)
	}
	err := n.write(ctx, n.mark(removedKey, id), unmark(membersKey, id),
		unmark(learnersKey, id), unmark(drainingKey, id), unmark(alarmsKey, id))
	if err != nil {
		return err
	}
	n.changing.Lock()
	defer n.changing.Unlock()
	if err := n.await(n.raft.RemoveServer(raft.ServerID(id), 0, changeTimeout)); err != nil {
		return fmt.Errorf("removing the member (it will be tried again): %w", err)
	}
	n.log.Info("removed a member from the group", "member", id)
	return nil
}

// leaveItToTheNext hands over what this leader cannot do to itself. The caller
// of the operation finds the next leader: see atLeader.
func (n *Node) leaveItToTheNext(ctx context.Context) error {
	if err := n.stepAside(ctx); err != nil {
		return err
	}
	return errNotLeader
}

// promote gives a member a vote now, rather than when it has kept up for a
// while.
func (n *Node) promote(ctx context.Context, id string, _ bool) error {
	for _, s := range n.servers() {
		if string(s.ID) != id || s.Suffrage == raft.Voter {
			continue
		}
		if err := n.caughtUp(ctx, id); err != nil {
			return err
		}
		if n.isMarked(learnersKey, id) {
			if err := n.write(ctx, unmark(learnersKey, id)); err != nil {
				return err
			}
		}
		n.changing.Lock()
		defer n.changing.Unlock()
		if err := n.await(n.raft.AddVoter(s.ID, s.Address, 0, changeTimeout)); err != nil {
			return fmt.Errorf("giving the member its vote: %w", err)
		}
		n.log.Info("a member votes now", "member", id)
		return nil
	}
	return nil // it votes already
}

// caughtUp refuses a member whose vote would make the group wait for it.
func (n *Node) caughtUp(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	last := n.raft.LastIndex() // before asking: it must be up to this
	st := n.stateOf(ctx, id)
	switch {
	case st == nil:
		return fail(CodeUnreachable, "member "+id+" does not answer: with a vote it would count as one that has failed")
	case st.LastIndex+promoteLag < last || st.Applied+promoteLag < last:
		return fail(CodeBehind, fmt.Sprintf("member %s is %d entries behind: it can have a vote when it has caught up to within %d", id, last-min(st.LastIndex, st.Applied), promoteLag))
	}
	return nil
}

// demote takes a member's vote away; it goes on receiving everything. It gets
// the vote back by promote only.
func (n *Node) demote(ctx context.Context, id string, force bool) error {
	e := n.without(ctx, id)
	if err := e.allow("demoted", force); err != nil {
		return err
	}
	if id == n.id.NodeID {
		return n.leaveItToTheNext(ctx)
	}
	if !n.isMarked(learnersKey, id) { // or it would be promoted again
		if err := n.write(ctx, n.mark(learnersKey, id)); err != nil {
			return err
		}
	}
	if !e.targetVotes {
		return nil
	}
	n.changing.Lock()
	defer n.changing.Unlock()
	if err := n.await(n.raft.DemoteVoter(raft.ServerID(id), 0, changeTimeout)); err != nil {
		return fmt.Errorf("taking the member's vote away: %w", err)
	}
	n.log.Info("a member has no vote any more", "member", id)
	return nil
}

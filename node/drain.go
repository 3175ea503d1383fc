package node

import (
	"context"
	"time"
)

// A member that is drained goes on as part of the group, but nobody should
// use it: its servers send their clients elsewhere, it says that it is not
// ready, and it does not lead. The mark is in the replicated state, so it
// outlives restarts and every member knows it.

// drainMember is done by the leader.
func (n *Node) drainMember(ctx context.Context, id string, _ bool) error {
	if n.isMarked(drainingKey, id) {
		return nil
	}
	if !n.anotherCouldLead(ctx, id) {
		return fail(CodeQuorum, "no other member that is not drained itself answers: nobody could take its place")
	}
	if err := n.write(ctx, n.mark(drainingKey, id)); err != nil {
		return err
	}
	if id == n.id.NodeID {
		return n.stepAside(ctx)
	}
	return nil
}

func (n *Node) anotherCouldLead(ctx context.Context, id string) bool {
	e := n.without(ctx, id)
	if e.voters == 0 {
		return false
	}
	if id == n.id.NodeID {
		_, err := n.heir(ctx, "")
		return err == nil
	}
	if !n.isMarked(drainingKey, n.id.NodeID) {
		return true
	}
	_, err := n.heir(ctx, "")
	return err == nil
}

// resumeMember is done by the leader.
func (n *Node) resumeMember(ctx context.Context, id string, _ bool) error {
	if !n.isMarked(drainingKey, id) {
		return nil
	}
	return n.write(ctx, unmark(drainingKey, id))
}

// Draining says whether an operator wants nobody to use this member.
func (n *Node) Draining() bool { return n.draining.Load() }

// attending makes this member do what the state says about it.
func (n *Node) attending(ctx context.Context) {
	every := time.NewTicker(n.opt.Timing.Housekeep)
	defer every.Stop()
	for {
		n.attend(ctx)
		n.rememberStarts()
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) attend(ctx context.Context) {
	n.heedAlarms()
	drained := n.isMarked(drainingKey, n.id.NodeID)
	if n.draining.Swap(drained) != drained {
		n.log.Info("an operator has decided whether this member is to be used", "drained", drained)
		if n.opt.Drained != nil {
			n.opt.Drained(drained)
		}
	}
	if drained && n.IsLeader() {
		if err := n.stepAside(ctx); err != nil && ctx.Err() == nil {
			n.complain("a drained member leads because nobody else can", n.id.NodeID, err)
		}
	}
}

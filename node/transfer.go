package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// transferTries is how often the heir is asked to take over.
const transferTries = 3

// transfer hands the leadership over: to a member, or to whoever is best. It
// returns when this member knows who leads next. It is done by the leader.
func (n *Node) transfer(ctx context.Context, to string) error {
	n.transferring.Lock()
	defer n.transferring.Unlock()
	if n.raft.State() != raft.Leader {
		return errNotLeader
	}
	if to == n.id.NodeID {
		return nil
	}
	heir, err := n.heir(ctx, to)
	if err != nil {
		return err
	}
	for tries := 1; ; {
		err := n.await(n.raft.LeadershipTransferToServer(heir.ID, heir.Address))
		switch {
		case err == nil:
			return n.waitSuccessor(ctx)
		case errors.Is(err, raft.ErrLeadershipTransferInProgress): // an earlier one has failed, and raft is about to notice
		case tries < transferTries && n.raft.State() == raft.Leader:
			tries++ // the heir is busy, or lacked more of the log than it got in the time that raft gives it
		case n.raft.State() != raft.Leader: // it has gone meanwhile, to whomever
			if to == "" {
				return n.waitSuccessor(ctx)
			}
			return errNotLeader
		default:
			return fail(CodeUnreachable, "handing over the leadership to "+string(heir.ID)+": "+err.Error())
		}
		select {
		case <-time.After(routeBackoff):
		case <-ctx.Done():
			return fail(CodeUnreachable, "handing over the leadership to "+string(heir.ID)+": "+err.Error())
		}
	}
}

// stepAside hands the leadership over to whoever is best, if this member has it.
func (n *Node) stepAside(ctx context.Context) error {
	if err := n.transfer(ctx, ""); !errors.Is(err, errNotLeader) {
		return err
	}
	return nil
}

// waitSuccessor waits until another member leads, as long as that may take.
func (n *Node) waitSuccessor(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*n.opt.Timing.Election)
	defer cancel()
	for {
		r := n.routes.get()
		if r.leader != "" && r.leader != n.id.NodeID && n.lead.term.Load() == 0 {
			return nil
		}
		select {
		case <-r.changed:
		case <-time.After(routeBackoff / 4):
		case <-ctx.Done():
			return nil // it was handed over; who leads is still open
		}
	}
}

// heir is the member to lead next: the one that was named or, without a name,
// the one that answers and has most of the log. Who is drained or in
// quarantine does not come into question.
func (n *Node) heir(ctx context.Context, to string) (raft.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	type candidate struct {
		raft.Server
		state *memberState
	}
	var asked []chan candidate
	for _, s := range n.servers() {
		id := string(s.ID)
		if to != "" && id != to || id == n.id.NodeID || s.Suffrage != raft.Voter || to == "" && n.isMarked(drainingKey, id) {
			continue
		}
		answer := make(chan candidate, 1)
		asked = append(asked, answer)
		go func() { answer <- candidate{s, n.stateOf(ctx, id)} }()
	}
	if to != "" && len(asked) == 0 {
		return raft.Server{}, fail(CodeNotMember, "member "+to+" has no vote: it cannot lead")
	}
	var able []candidate
	for _, answer := range asked {
		if c := <-answer; c.state != nil && c.state.Quarantine == "" {
			able = append(able, c)
		}
	}
	if len(able) == 0 {
		return raft.Server{}, fail(CodeUnreachable, "no other member that could lead answers")
	}
	return slices.MaxFunc(able, func(a, b candidate) int { return cmp.Compare(a.state.LastIndex, b.state.LastIndex) }).Server, nil
}

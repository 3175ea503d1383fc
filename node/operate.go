package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/storage/command"
)

// Operation is something that an operator wants done with the group. It can be
// asked of any member; the leader carries it out. What it refuses changes
// nothing.
type Operation struct {
	Do string `json:"do"` // one of the Do… constants
	// Member that it is about: node id, the beginning of one that is clear,
	// or name.
	Member string `json:"member,omitempty"`
	Force  bool   `json:"force,omitempty"`
}

// What can be done.
const (
	DoRemove   = "remove"   // take a member out for good; see Node.remove
	DoPromote  = "promote"  // give a member a vote
	DoDemote   = "demote"   // take its vote away
	DoTransfer = "transfer" // let it lead; without a member: whoever is best
	DoDrain    = "drain"    // nobody should use it, until …
	DoResume   = "resume"   // … it is told to go on
	DoFinalize = "finalize" // raise the group's feature level; see level.go
)

// Operate has the leader carry an operation out.
func (n *Node) Operate(ctx context.Context, op Operation) error {
	return n.atLeader(ctx, func(ctx context.Context, leader string) error {
		if leader == n.id.NodeID {
			return n.operate(ctx, op)
		}
		return n.calls.call(ctx, leader, callOperate, op, &struct{}{})
	})
}

// Remove takes a member out of the group for good.
func (n *Node) Remove(ctx context.Context, member string, force bool) error {
	return n.Operate(ctx, Operation{Do: DoRemove, Member: member, Force: force})
}

// TransferLeader hands the leadership to a member, or to whichever is most up
// to date if to is empty.
func (n *Node) TransferLeader(ctx context.Context, to string) error {
	return n.Operate(ctx, Operation{Do: DoTransfer, Member: to})
}

// atLeader calls fn with the leader's id until fn does not fail for lack of
// one, or time is up.
func (n *Node) atLeader(ctx context.Context, fn func(ctx context.Context, leader string) error) error {
	ctx, cancel := context.WithTimeout(ctx, n.opt.Timing.Propose)
	defer cancel()
	for {
		r := n.routes.get()
		err := error(errNotLeader)
		if r.leader != "" {
			err = fn(ctx, r.leader)
		}
		if e := (*Error)(nil); err == nil || errors.As(err, &e) && e.Code != CodeNotLeader {
			return err
		}
		select {
		case <-r.changed:
		case <-time.After(5 * routeBackoff):
		case <-ctx.Done():
			return command.ErrNoLeader
		}
	}
}

func (n *Node) answerOperate(ctx context.Context, _ string, body []byte) (any, error) {
	var op Operation
	if err := json.Unmarshal(body, &op); err != nil {
		return nil, fail(CodeInvalid, "the call cannot be read")
	}
	return struct{}{}, n.operate(ctx, op)
}

// operate is done by the leader.
func (n *Node) operate(ctx context.Context, op Operation) error {
	if n.lead.term.Load() == 0 {
		return errNotLeader
	}
	id := ""
	if op.Member != "" {
		var err error
		if id, err = n.resolve(op.Member); err != nil {
			return err
		}
	}
	do := map[string]func(ctx context.Context, id string, force bool) error{
		DoRemove:   n.remove,
		DoPromote:  n.promote,
		DoDemote:   n.demote,
		DoTransfer: func(ctx context.Context, id string, _ bool) error { return n.transfer(ctx, id) },
		DoDrain:    n.drainMember,
		DoResume:   n.resumeMember,
		DoFinalize: n.finalize,
	}[op.Do]
	switch {
	case do == nil:
		return fail(CodeInvalid, "this member knows no operation "+strconv.Quote(op.Do)+": it may run an older version")
	case id == "" && op.Do != DoTransfer && op.Do != DoFinalize:
		return fail(CodeInvalid, op.Do+" needs a member")
	}
	return do(ctx, id, op.Force)
}

// resolve finds the member that an operator means.
func (n *Node) resolve(member string) (id string, err error) {
	var found []string
	for _, s := range n.servers() {
		id := string(s.ID)
		if id == member {
			return id, nil
		}
		var info memberInfo
		_ = json.Unmarshal(n.field(membersKey, id), &info) // who has none has no name
		if info.Name == member || len(member) >= idShortest && strings.HasPrefix(id, member) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if n.isRemoved(member) {
			return "", fail(CodeRemoved, "member "+member+" was removed from the group already")
		}
		return "", fail(CodeNotMember, "the group has no member "+member+"; parlor status lists those that it has")
	}
	return "", fail(CodeInvalid, fmt.Sprintf("%s may be any of %s: give a whole node id", member, strings.Join(found, ", ")))
}

// idShortest is how much of a node id an operator must give.
const idShortest = 4

// electorate is who votes without one member, and who of those answers.
type electorate struct {
	voters, alive  int
	targetIsMember bool
	targetVotes    bool
	targetAlive    bool
}

func (e electorate) quorum() int { return e.voters/2 + 1 }

// without looks at the group as it would be without the vote of a member.
func (n *Node) without(ctx context.Context, id string) electorate {
	var e electorate
	var others []raft.ServerID
	for _, s := range n.servers() {
		switch {
		case string(s.ID) == id:
			e.targetIsMember, e.targetVotes = true, s.Suffrage == raft.Voter
		case s.Suffrage == raft.Voter:
			others = append(others, s.ID)
		}
	}
	e.voters = len(others)
	answers := n.answering(ctx, append(others, raft.ServerID(id)))
	e.targetAlive = answers[raft.ServerID(id)]
	for _, o := range others {
		if answers[o] {
			e.alive++
		}
	}
	return e
}

// allow says whether the group would go on without that vote. A majority of
// those who remain is needed to write down that it is gone: no force helps
// where there is none.
func (e electorate) allow(what string, force bool) error {
	switch {
	case !e.targetVotes:
		return nil
	case e.voters == 0:
		return fail(CodeQuorum, "the last member with a vote cannot be "+what)
	case e.alive < e.quorum():
		return fail(CodeQuorum, fmt.Sprintf("%d of the %d other members with a vote answer, which is no majority: the group would stand still. Bring them back first; if they are lost for good, see parlor recover", e.alive, e.voters))
	case e.targetAlive && e.alive < e.voters && e.alive == e.quorum() && !force:
		return fail(CodeQuorum, fmt.Sprintf("%d of the %d other members with a vote answer: none of them could fail any more, while this one works. Remove those that do not answer first, or use --force", e.alive, e.voters))
	}
	return nil
}

// answering asks members whether they live.
func (n *Node) answering(ctx context.Context, ids []raft.ServerID) map[raft.ServerID]bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	type answer struct {
		id    raft.ServerID
		alive bool
	}
	answers := make(chan answer, len(ids))
	for _, id := range ids {
		go func() { answers <- answer{id, n.stateOf(ctx, string(id)) != nil} }()
	}
	alive := map[raft.ServerID]bool{}
	for range ids {
		a := <-answers
		alive[a.id] = a.alive
	}
	return alive
}

// mark and unmark change a hash of marks.
func (n *Node) mark(key, id string) command.Args {
	return command.New("HSET", key, id, strconv.FormatInt(n.readClock(), 10))
}

func unmark(key, id string) command.Args { return command.New("HDEL", key, id) }

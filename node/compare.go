package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// The leader compares the members all the time: their state hashes after one
// entry, which shows at once if two of them have carried the same entries out
// differently, and the rows themselves, piece by piece (scrub.go), which
// shows what has gone bad on one member's disk or in its memory. Who is wrong
// is what a majority says; whoever is wrong hears of it and keeps itself from
// clients (quarantine.go).

// Calls of comparing.
const (
	callHash    = "hash"
	callScrub   = "scrub"
	callDiffers = "differs"
)

// stateHash is what a finding of compareHashes is of.
const stateHash = "the state hash"

// damaged begins the answer of a member that cannot read its own rows: it is
// wrong whatever the others say.
const damaged = "damaged: "

// compareTimeout bounds a round; a member that is further behind is compared
// in a later one.
const compareTimeout = 5 * time.Second

// hashArgs asks for the state hash after an entry.
type hashArgs struct {
	Index uint64 `json:"index"`
}

type hashAnswer struct {
	Hash        string `json:"hash"`
	Quarantined bool   `json:"quarantined,omitempty"`
}

// finding is what members answered to one question.
type finding struct {
	What    string            `json:"what"`  // for people: what was compared
	Index   uint64            `json:"index"` // log index that the answers are as of
	Answers map[string]string `json:"answers"`
	Voters  int               `json:"voters"` // of the group, whether they answered or not
	Votes   []string          `json:"votes"`  // ids in Answers that are voters
	Leader  string            `json:"leader"`
}

// verdict says who has to go.
type verdict struct {
	right    string   // the answer that stands
	majority bool     // more than half of the group's voters gave it
	wrong    []string // ids, sorted
}

// judge decides who is wrong. More than half of the voters are right. If there
// is no such majority, the leader's answer stands: then nobody knows, and what
// the group serves must at least be one thing.
func (f finding) judge() verdict {
	count := map[string]int{}
	for _, id := range f.Votes {
		if answer, ok := f.Answers[id]; ok {
			count[answer]++
		}
	}
	v := verdict{}
	most := 0
	for _, answer := range slices.Sorted(maps.Keys(count)) {
		n := count[answer]
		if strings.HasPrefix(answer, damaged) || n < most || n == most && answer != f.Answers[f.Leader] {
			continue
		}
		v.right, most = answer, n
	}
	v.majority = most > f.Voters/2
	if own := f.Answers[f.Leader]; !v.majority && !strings.HasPrefix(own, damaged) {
		v.right = own
	}
	for id, answer := range f.Answers {
		if answer != v.right {
			v.wrong = append(v.wrong, id)
		}
	}
	slices.Sort(v.wrong)
	return v
}

// comparing is the leader's duty.
func (n *Node) comparing(ctx context.Context) {
	hashes, rows := time.NewTicker(n.opt.Timing.Compare), time.NewTicker(n.opt.Timing.Scrub)
	defer hashes.Stop()
	defer rows.Stop()
	n.undecided = time.Time{}
	for {
		select {
		case <-hashes.C:
			n.compareHashes(ctx)
		case <-rows.C:
			n.compareRows(ctx)
		case <-ctx.Done():
			return
		}
		if n.Quarantined() != nil {
			return // whose state is wrong is no judge, while it still leads
		}
	}
}

// compareHashes compares the state hashes after this member's last entry.
func (n *Node) compareHashes(reign context.Context) {
	ctx, cancel := context.WithTimeout(reign, compareTimeout)
	defer cancel()
	args := hashArgs{Index: n.db.State().Index}
	f := n.survey(ctx, stateHash, args.Index, func(ctx context.Context, id string) (string, error) {
		var a hashAnswer
		var err error
		if id == n.id.NodeID {
			a, err = n.hashAt(ctx, args.Index)
		} else {
			err = n.calls.call(ctx, id, callHash, args, &a)
		}
		if err == nil {
			n.inQuarantine.note(id, a.Quarantined)
		}
		return a.Hash, err
	})
	if len(f.Answers) > 1 {
		n.metrics.comparisons.Inc()
	}
	n.settle(reign, f)
}

// survey asks all members the same thing.
func (n *Node) survey(ctx context.Context, what string, index uint64, ask func(ctx context.Context, id string) (string, error)) finding {
	f := finding{What: what, Index: index, Answers: map[string]string{}, Leader: n.id.NodeID}
	type result struct {
		id, answer string
		err        error
	}
	servers := n.servers()
	results := make(chan result, len(servers))
	for _, s := range servers {
		id := string(s.ID)
		go func() {
			answer, err := ask(ctx, id)
			results <- result{id, answer, err}
		}()
	}
	for range servers {
		if r := <-results; r.err == nil {
			f.Answers[r.id] = r.answer
		}
	}
	for _, s := range n.servers() { // as of now: that took its time
		if s.Suffrage == raft.Voter {
			f.Voters++
			f.Votes = append(f.Votes, string(s.ID))
		}
	}
	return f
}

// patience is how long it may be chance that there is no majority: a voter that
// has not answered now may do so in the next round, and decide.
const patience = 10 * time.Second

// settle tells those who are wrong. If this member is one of them, it hears of
// it last: the others need its word. It returns false if the question is to be
// asked again.
func (n *Node) settle(ctx context.Context, f finding) bool {
	if _, ok := f.Answers[n.id.NodeID]; !ok || n.Quarantined() != nil || ctx.Err() != nil {
		return false // without an own answer there is nothing to compare with
	}
	v := f.judge()
	v.wrong = slices.DeleteFunc(v.wrong, n.inQuarantine.has)
	if len(v.wrong) == 0 || v.majority {
		n.undecided = time.Time{}
	} else if !f.complete() && n.waitsForMore() {
		n.log.Warn("members differ, and too few have answered to say who is wrong", "compared", f.What, "index", f.Index, "answers", f.Answers)
		return false
	}
	for _, id := range v.wrong {
		if id == n.id.NodeID {
			continue
		}
		n.metrics.mismatches.Inc()
		n.log.Error("a member's state differs from the group's", "member", id, "compared", f.What, "index", f.Index,
			"its", f.Answers[id], "the group's", v.right, "majority", v.majority)
		if err := n.calls.call(ctx, id, callDiffers, f, &struct{}{}); err != nil {
			n.log.Warn("telling a member that its state differs", "member", id, "err", err)
		}
	}
	if slices.Contains(v.wrong, n.id.NodeID) {
		n.differ(f, v)
	}
	return true
}

// waitsForMore says whether it is too early to decide without a majority.
func (n *Node) waitsForMore() bool {
	if n.undecided.IsZero() {
		n.undecided = time.Now()
	}
	return time.Since(n.undecided) < patience
}

// complete says whether all voters have answered.
func (f finding) complete() bool {
	return !slices.ContainsFunc(f.Votes, func(id string) bool { _, ok := f.Answers[id]; return !ok })
}

// answerHash waits until this member is at the entry.
func (n *Node) answerHash(ctx context.Context, _ string, body []byte) (any, error) {
	var args hashArgs
	if err := json.Unmarshal(body, &args); err != nil {
		return nil, fail(CodeInvalid, "the call cannot be read")
	}
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	a, err := n.hashAt(ctx, args.Index)
	return a, err
}

func (n *Node) hashAt(ctx context.Context, index uint64) (hashAnswer, error) {
	if err := n.WaitApplied(ctx, index); err != nil {
		return hashAnswer{}, err
	}
	h, err := n.fsm.HashAt(index)
	if err != nil {
		return hashAnswer{}, err
	}
	return hashAnswer{Hash: hashText(h), Quarantined: n.Quarantined() != nil}, nil
}

// answerDiffers hears from the leader that this member is wrong, and believes
// it only if it comes to the same verdict and the answer is its own.
func (n *Node) answerDiffers(_ context.Context, peer string, body []byte) (any, error) {
	var f finding
	if err := json.Unmarshal(body, &f); err != nil {
		return nil, fail(CodeInvalid, "the call cannot be read")
	}
	if !n.isMember(peer) || f.Leader != peer {
		return nil, errNotLeader
	}
	v := f.judge()
	if !slices.Contains(v.wrong, n.id.NodeID) {
		return nil, fail(CodeInvalid, "by these answers this member is not wrong")
	}
	if !n.answered(f) {
		return nil, fail(CodeInvalid, "this member did not answer so")
	}
	n.differ(f, v)
	return struct{}{}, nil
}

// answered says whether this member's answer is its own.
func (n *Node) answered(f finding) bool {
	if f.What != stateHash {
		return n.scrub.said(f.Answers[n.id.NodeID])
	}
	h, err := n.fsm.HashAt(f.Index)
	return err == nil && hashText(h) == f.Answers[n.id.NodeID]
}

// differ takes this member away from clients.
func (n *Node) differ(f finding, v verdict) {
	n.metrics.mismatches.Inc()
	q := Quarantine{
		Since: time.Now().UTC(), Index: f.Index, Majority: v.majority,
		Reason: fmt.Sprintf("at log index %d %s of this member is %s, that of %s is %s", f.Index, f.What,
			shown(f.Answers[n.id.NodeID]), f.holders(v.right), shown(v.right)),
	}
	if !v.majority {
		q.Reason += "; no majority of the group's voters agrees, so the leader's stands"
	}
	n.quarantine(q)
}

// holders names the members that gave an answer.
func (f finding) holders(answer string) string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(f.Answers)) {
		if f.Answers[id] == answer {
			ids = append(ids, id[:min(8, len(id))])
		}
	}
	return strings.Join(ids, ", ")
}

// shown is what of an answer is shown to people.
func shown(answer string) string {
	if len(answer) > 240 {
		return answer[:240] + "…"
	}
	return answer
}

package node

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// A leader whose process has ended is known at once to those who were connected
// to it: its machine closes the connections and refuses new ones. raft would
// wait for one to three times Timing.Heartbeat all the same, for it hears
// silence only. So a member whose way to the leader breaks, and is refused when
// it tries again, asks the other voters whether they are refused too. If a
// majority is, there is no leader, and whoever of it has most of the log stands
// for election.
//
// The question guards what raft's own rules would not: this election goes past
// the pre-vote and past voters who have heard from a leader just now. A network
// that refuses connections between two members only, as some firewalls do, must
// not depose a leader. A machine that is gone, or a network that drops packets,
// refuses nothing: then raft's timeouts decide, as ever.

// callGone asks a voter whether the leader's process has ended.
const callGone = "gone"

// refusedTimeout bounds how long a member tries to reach a leader. Within it a
// machine that lives either lets it in or refuses.
const refusedTimeout = 300 * time.Millisecond

type goneArgs struct {
	Leader string `json:"leader"`
	Term   uint64 `json:"term"` // that it leads in
}

type goneAnswer struct {
	Gone bool   `json:"gone"`
	Last uint64 `json:"last"` // index of the last entry of the log
	Able bool   `json:"able"` // it could lead
}

// leaderRefused is called when the leader has refused a connection.
func (n *Node) leaderRefused(ctx context.Context, leader string) {
	ctx, cancel := context.WithTimeout(ctx, 2*refusedTimeout)
	defer cancel()
	args := goneArgs{Leader: leader, Term: n.raft.CurrentTerm()}
	mine := n.looksGone(ctx, args)
	if !mine.Gone {
		return
	}
	type result struct {
		id     string
		answer goneAnswer
	}
	voters, self, asked := 0, false, 0
	results := make(chan result)
	for _, s := range n.servers() {
		id := string(s.ID)
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if id == n.id.NodeID {
			self = true
		} else if id != leader {
			asked++
			go func() {
				var a goneAnswer
				if err := n.calls.call(ctx, id, callGone, args, &a); err != nil {
					a = goneAnswer{} // it says nothing
				}
				results <- result{id, a}
			}()
		}
	}
	agreed, best, bestLast := 1, n.id.NodeID, mine.Last
	if !mine.Able {
		best, bestLast = "", 0
	}
	for range asked {
		r := <-results
		if !r.answer.Gone {
			continue
		}
		agreed++
		if r.answer.Able && (best == "" || r.answer.Last > bestLast || r.answer.Last == bestLast && r.id > best) {
			best, bestLast = r.id, r.answer.Last
		}
	}
	if !self || agreed <= voters/2 || best != n.id.NodeID || n.raft.CurrentTerm() != args.Term || n.raft.State() != raft.Follower {
		return
	}
	n.log.Info("the leader's process has ended: standing for election", "leader", leader, "term", args.Term)
	n.stand()
}

// answerGone looks for itself.
func (n *Node) answerGone(ctx context.Context, _ string, body []byte) (any, error) {
	var args goneArgs
	if err := json.Unmarshal(body, &args); err != nil {
		return nil, fail(CodeInvalid, "the call cannot be read")
	}
	return n.looksGone(ctx, args), nil
}

// looksGone says whether the leader of a term refuses connections. A member that
// knows of a later term, or another leader, says nothing; one that has only
// started, and knows of none, looks like any other.
func (n *Node) looksGone(ctx context.Context, args goneArgs) goneAnswer {
	known := n.routes.get()
	if args.Term < n.raft.CurrentTerm() || known.leader != "" && known.leader != args.Leader {
		return goneAnswer{}
	}
	addr := n.book.find(args.Leader)
	if addr == "" || args.Leader == n.id.NodeID {
		return goneAnswer{}
	}
	d := net.Dialer{Timeout: refusedTimeout}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = conn.Close()
		return goneAnswer{}
	}
	return goneAnswer{
		Gone: errors.Is(err, syscall.ECONNREFUSED), Last: n.raft.LastIndex(),
		Able: n.Quarantined() == nil && !n.Draining(),
	}
}

// stand begins an election at once.
func (n *Node) stand() {
	id, addr := raft.ServerID(n.id.NodeID), raft.ServerAddress(n.id.Cluster)
	req := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(addr),
	}}
	if err := n.trans.TimeoutNow(id, addr, req, &raft.TimeoutNowResponse{}); err != nil {
		n.log.Debug("the election waits for its time", "err", err)
	}
}

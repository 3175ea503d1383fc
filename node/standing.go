package node

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// standing is what a leader knows of its own standing: which requests of its
// term each member has taken, and when they were sent. A member that takes one
// has voted for no later leader before it came.
//
// raft.VerifyLeader is not enough for a read. raft 1.7.3 counts every answer
// that comes after the question, also that to a heartbeat which was on its way
// before; on a slow line the member may have voted for another leader, and the
// two of them written much, since it gave that answer. And it counts answers
// of members that have no vote.
type standing struct {
	mu    sync.Mutex
	clock uint64 // counts requests and questions
	taken map[raft.ServerID]takenRequest
	news  chan struct{} // closed when another one is taken; nil: nobody waits
}

// takenRequest is the last request that a member has taken from this leader.
type takenRequest struct{ term, sent uint64 }

// now comes after all requests that were sent before.
func (s *standing) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	return s.clock
}

// take notes that a member has taken a request of a term, sent at a time of
// now.
func (s *standing) take(id raft.ServerID, term, sent uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == nil {
		s.taken = map[raft.ServerID]takenRequest{}
	}
	if t := s.taken[id]; t.term == term && t.sent >= sent {
		return
	}
	s.taken[id] = takenRequest{term, sent}
	if s.news != nil {
		close(s.news)
		s.news = nil
	}
}

// holds says whether most voters, self being one, have taken a request of a
// term that was sent after a time of now. If not, news is closed when to ask
// again.
func (s *standing) holds(self string, servers []raft.Server, term, since uint64) (yes bool, news <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	voters, agree := 0, 0
	for _, m := range servers {
		if m.Suffrage != raft.Voter {
			continue
		}
		voters++
		if t := s.taken[m.ID]; string(m.ID) == self || t.term == term && t.sent > since {
			agree++
		}
	}
	if agree > voters/2 {
		return true, nil
	}
	if s.news == nil {
		s.news = make(chan struct{})
	}
	return false, s.news
}

// confirmLead returns nil if this member has led the group, in a term, at a
// moment after asked, a time of standing.now. raft is asked for heartbeats,
// and whether it has stepped down meanwhile.
func (n *Node) confirmLead(term, asked uint64) error {
	for {
		if err := n.await(n.raft.VerifyLeader()); err != nil {
			return err
		}
		if n.heardSince(term, asked) {
			return nil
		}
	}
}

// heardSince waits for most voters to take a request that was sent after
// asked, but no longer than heartbeats that nobody asks for are apart.
func (n *Node) heardSince(term, asked uint64) bool {
	var tired <-chan time.Time
	for {
		yes, news := n.trans.standing.holds(n.id.NodeID, n.servers(), term, asked)
		if yes {
			return true
		}
		if tired == nil {
			tired = time.After(n.opt.Timing.Heartbeat / 10)
		}
		select {
		case <-news:
		case <-tired:
			return false
		case <-n.ctx.Done():
			return false
		}
	}
}

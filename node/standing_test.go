package node

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// lines are the lines between members, of which some are slow or cut.
type lines struct {
	mu   sync.Mutex
	slow map[raft.ServerID]chan raft.ServerID // who gets no answers for a while, and where it is told that one to a heartbeat is there
	cut  map[raft.ServerID]bool               // who hears nothing
	held chan struct{}                        // closed when answers that are held may go on
}

// line is a member's end of them.
type line struct {
	transport
	lines *lines
	self  func() raft.ServerID
}

// join puts a member's end there.
func (w *lines) join(t *testing.T, o *Options) {
	dir := o.Dir
	o.wire = func(inner transport) transport {
		return &line{inner, w, sync.OnceValue(func() raft.ServerID {
			id, err := readIdentity(dir)
			must(t, err)
			return raft.ServerID(id.NodeID)
		})}
	}
}

// mend lets everything through.
func (w *lines) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.slow)
	clear(w.cut)
	if w.held != nil {
		close(w.held)
		w.held = nil
	}
}

var errCut = errors.New("the line is cut")

func (l *line) deaf(id raft.ServerID) bool {
	l.lines.mu.Lock()
	defer l.lines.mu.Unlock()
	return l.lines.cut[id]
}

func (l *line) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if l.deaf(id) {
		return errCut
	}
	err := l.transport.AppendEntries(id, target, args, resp)
	l.lines.mu.Lock()
	arrived, held := l.lines.slow[l.self()], l.lines.held
	l.lines.mu.Unlock()
	if arrived != nil {
		if args.PrevLogEntry == 0 && len(args.Entries) == 0 {
			arrived <- id
		}
		<-held
	}
	return err
}

func (l *line) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if l.deaf(id) {
		return errCut
	}
	return l.transport.RequestVote(id, target, args, resp)
}

// depose has another member stand for election, and waits until it leads. The
// leader need not know.
func (g *group) depose(leader, by *Node) {
	g.t.Helper()
	id := raft.ServerID(by.id.NodeID)
	to, err := leader.book.ServerAddr(id)
	must(g.t, err)
	must(g.t, leader.trans.TimeoutNow(id, to, &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}, new(raft.TimeoutNowResponse)))
	g.wait("the other member to lead", by.IsLeader)
}

// A leader's line is slow. While answers to its heartbeats are under way,
// another member takes over and is written to. A reader comes to the first one,
// which hears of no other leader, and then the answers arrive: they were given
// before, and say nothing of who leads now.
func TestAnAnswerThatWasUnderWayIsNoLicenceToRead(t *testing.T) {
	t.Parallel()
	w := &lines{slow: map[raft.ServerID]chan raft.ServerID{}, cut: map[raft.ServerID]bool{}}
	g := form(t, 3, func(o *Options) {
		w.join(t, o)
		// Nobody gives up meanwhile.
		o.Timing.Heartbeat, o.Timing.Election, o.Timing.LeaderLease = 5*time.Second, 5*time.Second, 5*time.Second
	})
	t.Cleanup(w.mend)
	old := g.members[g.leader()]
	other := g.members[g.follower()]
	g.do(old, "SET", "x", "before")
	self := raft.ServerID(old.id.NodeID)
	// While an answer is under way, its member is sent nothing more, and another one
	// would not vote for it.
	g.wait("the leader to have the answers of both", func() bool {
		for _, n := range g.members {
			if n != old && old.trans.acked(raft.ServerID(n.id.NodeID), old.raft.CurrentTerm()) < old.raft.LastIndex() {
				return false
			}
		}
		return true
	})

	arrived := make(chan raft.ServerID, 100)
	w.mu.Lock()
	w.slow[self], w.held = arrived, make(chan struct{})
	w.mu.Unlock()
	for first := <-arrived; <-arrived == first; {
	}

	w.mu.Lock()
	w.cut[self] = true // it hears nothing of what comes
	w.mu.Unlock()
	g.depose(old, other)
	g.do(other, "SET", "x", "after")

	if !old.IsLeader() {
		t.Fatal("the first leader knows already")
	}
	clock := func() uint64 {
		s := &old.trans.standing
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.clock
	}
	before, read := clock(), make(chan string, 1)
	go func() {
		if err := old.ReadIndex(t.Context()); err != nil {
			t.Error(err)
		}
		read <- get(t, old, "x")
	}()
	g.wait("the reader to ask", func() bool { return clock() > before })
	w.mu.Lock()
	close(w.held)
	w.held = make(chan struct{})
	w.mu.Unlock()
	<-arrived // so raft has had the answers, and has sent another heartbeat
	w.mend()

	if got := <-read; got != "after" {
		t.Errorf("%q was read, %q had been acknowledged", got, "after")
	}
}

func TestWhoHasNoVoteDoesNotSayWhoLeads(t *testing.T) {
	servers := []raft.Server{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d", Suffrage: raft.Nonvoter}}
	var s standing
	asked := s.now()
	s.take("d", 7, s.now())
	s.take("b", 6, s.now())
	s.take("c", 7, asked)
	yes, news := s.holds("a", servers, 7, asked)
	if yes {
		t.Error("one without a vote, one of another term and one who was asked before were enough")
	}
	s.take("c", 7, s.now())
	select {
	case <-news:
	default:
		t.Error("it was not said that there is news")
	}
	if yes, _ := s.holds("a", servers, 7, asked); !yes {
		t.Error("two of three were not enough")
	}
}

package node

import (
	"sync"

	"github.com/hashicorp/raft"
)

// raftTransport is raft's transport. Besides, it tells followers at once what
// is committed: raft itself does so with the next entries, or after
// Timing.Commit if none follow, and a follower's clients wait for that.
//
// What it sends is what raft would send then: an append without entries, after
// the last entry that the follower has taken from this leader in this term.
// That entry is in both logs, and so is all before it. The commit index in it
// is never above that entry: raft's receiver limits it only by the end of its
// log, which another leader may have written. So whenever it arrives, late or
// after others, it says nothing wrong: in another term it is refused, and a
// commit index that is not news changes nothing. A leader that has lost its
// office unawares only repeats what was true.
type raftTransport struct {
	transport
	serves func() error                 // this member may stand for election
	meet   func(id raft.ServerID) error // this member and another one know each other for what they are

	standing standing

	beats sync.RWMutex  // held by who handles a heartbeat
	ended chan struct{} // closed by Close, with beats held

	work chan func() // for goroutines that have nothing to do: beside

	mu        sync.Mutex
	raft      standpoint // nil: nothing is sent ahead of it
	peers     map[raft.ServerID]*follower
	committed position // the last that is worth telling
}

// transport is what raft asks of a *raft.NetworkTransport.
type transport interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// position is an entry of the log.
type position struct{ index, term uint64 }

// follower is what this leader knows of another member's log, in one term.
type follower struct {
	base    raft.AppendEntriesRequest // without entries, as of its last append
	target  raft.ServerAddress
	matched position // its last entry that is known to be this leader's
	told    uint64   // commit index that it was sent, or is being sent
	telling bool

	// What goes to it ahead of raft, and what raft knows of it: ahead.go.
	claimed   uint64      // the last entry that raft was told it has
	end       uint64      // the last entry that it has, or is sent, or that waits; 0: it is not in step
	queue     []*raft.Log // entries that wait
	appending bool        // entries are on their way to it
	moved     *sync.Cond  // on raftTransport.mu: claimed, matched or appending is another
}

func newRaftTransport(serves func() error, meet func(raft.ServerID) error, t transport) *raftTransport {
	return &raftTransport{transport: t, serves: serves, meet: meet, peers: map[raft.ServerID]*follower{}, work: make(chan func()), ended: make(chan struct{})}
}

// AppendEntries is part of raft.Transport.
func (t *raftTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	n := len(args.Entries)
	if args.PrevLogEntry == 0 && n == 0 { // a heartbeat
		_, err := t.ask(id, target, args, resp)
		return err
	}
	f := t.follower(id, target, args)
	if n == 0 {
		_, err := t.exchange(id, f, args, resp)
		return err
	}
	if t.claim(f, args) {
		*resp = raft.AppendEntriesResponse{RPCHeader: args.RPCHeader, Term: args.Term, LastLog: args.Entries[n-1].Index, Success: true}
		return nil
	}
	taken, err := t.exchange(id, f, args, resp)
	t.release(id, f, taken, args.Entries[n-1].Index)
	return err
}

// ask sends a request, and says whether the member has taken it from a leader
// in office.
func (t *raftTransport) ask(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (taken bool, err error) {
	sent := t.standing.now()
	err = t.transport.AppendEntries(id, target, args, resp)
	taken = err == nil && resp.Success && resp.Term == args.Term
	if taken {
		t.standing.take(id, args.Term, sent)
	}
	return taken, err
}

// follower gives what is known of a member in the term of a request. A new
// term begins with nothing.
func (t *raftTransport) follower(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest) *follower {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.peers[id]
	if f == nil || f.base.Term != args.Term {
		f = &follower{base: raft.AppendEntriesRequest{RPCHeader: args.RPCHeader, Term: args.Term}, moved: sync.NewCond(&t.mu)}
		t.peers[id] = f
	}
	f.target = target
	return f
}

// exchange sends a request that says something of the log, and notes what the
// follower is told and what it has then.
func (t *raftTransport) exchange(id raft.ServerID, f *follower, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (taken bool, err error) {
	t.mu.Lock()
	f.told = max(f.told, args.LeaderCommitIndex)
	target := f.target
	t.mu.Unlock()
	if taken, err = t.ask(id, target, args, resp); !taken {
		return false, err
	}
	last := position{args.PrevLogEntry, args.PrevLogTerm}
	if n := len(args.Entries); n > 0 {
		last = position{args.Entries[n-1].Index, args.Entries[n-1].Term}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if last.index > f.matched.index {
		f.matched = last
	}
	if t.peers[id] == f {
		t.tell(id, f)
	}
	return true, nil
}

// acked is the last entry that a follower has acknowledged to this leader in a
// term; 0: none.
func (t *raftTransport) acked(id raft.ServerID, term uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.peers[id]; f != nil && f.base.Term == term {
		return f.matched.index
	}
	return 0
}

// commit has the followers hear that an entry is committed, given by its
// index and its term. It must be this member's state machine that says so,
// and no entry after it should be on its way, which would say it for free.
func (t *raftTransport) commit(index, term uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.committed = position{index, term}
	for id, f := range t.peers {
		t.tell(id, f)
	}
}

// tell sends news to a follower, if there are any; the caller holds mu.
// Entries of the term in which this leader filled the follower's log are its
// own, and what is committed by one of them is committed in that log.
func (t *raftTransport) tell(id raft.ServerID, f *follower) {
	if f.telling || f.base.Term != t.committed.term {
		return
	}
	index := min(t.committed.index, f.matched.index)
	if index <= f.told {
		return
	}
	f.told, f.telling = index, true
	args := f.base
	args.PrevLogEntry, args.PrevLogTerm = f.matched.index, f.matched.term
	args.LeaderCommitIndex = index
	target := f.target
	t.beside(func() { t.send(id, target, f, &args) })
}

// beside runs f on another goroutine, on one that has done so before if there
// is: a new one begins with a small stack, and that it has to grow for what TLS
// needs is a tenth of what it costs to send a few words.
func (t *raftTransport) beside(f func()) {
	select {
	case t.work <- f:
		return
	default:
	}
	go func() {
		for {
			f()
			select {
			case f = <-t.work:
			case <-t.ended:
				return
			}
		}
	}()
}

// send does not look at the answer: if it was lost, raft says it again after
// Timing.Commit, and a newer term shows in the next heartbeat.
func (t *raftTransport) send(id raft.ServerID, target raft.ServerAddress, f *follower, args *raft.AppendEntriesRequest) {
	var resp raft.AppendEntriesResponse
	_ = t.transport.AppendEntries(id, target, args, &resp)
	t.mu.Lock()
	defer t.mu.Unlock()
	f.telling = false
	if t.peers[id] == f {
		t.tell(id, f)
	}
}

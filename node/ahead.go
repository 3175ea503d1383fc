package node

import "github.com/hashicorp/raft"

// raft 1.7.3 sends an entry to the followers when the leader's own disk has it,
// so that a write waits for two disks, one after the other. Here the entry goes
// to followers that are in step while the leader's disk still writes it (section
// 10.2.1 of Ongaro's dissertation), and when raft comes to send it, it is told
// what became of that.
//
// What is sent is what raft would send a moment later: the entry's place and
// term are settled before it is stored. raft itself still counts this member
// only when its disk has the entry, and a follower only when raft has been told
// that the follower has it, so nothing is committed any sooner than on a majority
// of disks. A leader that dies before its own disk has an entry which others
// have is a member like any other that lacks it; it never leads again in that
// term, so no other entry will have that place and term.

// aheadLimit is how many entries a follower is sent of which raft has not
// asked yet: a member that raft sends nothing any more is soon left alone.
const aheadLimit = 8

// standpoint is what raft itself knows.
type standpoint interface {
	CurrentTerm() uint64
	CommitIndex() uint64
}

// begin has entries sent ahead from now on.
func (t *raftTransport) begin(r standpoint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.raft = r
}

// ahead is told of entries that are about to be stored. Whether they are this
// leader's own is known by their term: no member has followers in a term in
// which it stores another's.
func (t *raftTransport) ahead(entries []*raft.Log) {
	first, last := entries[0], entries[len(entries)-1]
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.raft == nil {
		return
	}
	for id, f := range t.peers {
		if f.base.Term != first.Term || f.end+1 != first.Index || last.Index-f.claimed > aheadLimit {
			continue
		}
		f.queue = append(f.queue, entries...)
		f.end = last.Index
		if !f.appending {
			f.appending = true
			t.beside(func() { t.sendAhead(id, f) })
		}
	}
}

// sendAhead sends a follower what waits for it, until nothing does or
// something goes wrong, which raft will find out for itself.
func (t *raftTransport) sendAhead(id raft.ServerID, f *follower) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(f.queue) > 0 {
		args := f.base
		args.PrevLogEntry, args.PrevLogTerm = f.matched.index, f.matched.term
		args.Entries, f.queue = f.queue, nil
		args.LeaderCommitIndex = min(t.committedIn(args.Term), args.Entries[len(args.Entries)-1].Index)
		t.mu.Unlock()
		taken, _ := t.exchange(id, f, &args, new(raft.AppendEntriesResponse))
		t.mu.Lock()
		if !taken {
			f.queue, f.end = nil, 0
		}
		f.moved.Broadcast()
	}
	f.appending = false
	f.moved.Broadcast()
}

// committedIn gives what is committed, if it is this member that has led since
// a term began; 0: unknown. In a later term it could be the word of another
// leader, on another log than the follower's.
func (t *raftTransport) committedIn(term uint64) uint64 {
	index := t.raft.CommitIndex()
	if t.raft.CurrentTerm() != term {
		return 0
	}
	return index
}

// claim waits for what goes to a follower ahead of raft, and says whether the
// follower has what raft is about to send it. If not, the caller is the only
// one to send it entries until it calls release.
func (t *raftTransport) claim(f *follower, args *raft.AppendEntriesRequest) (has bool) {
	last := args.Entries[len(args.Entries)-1].Index
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		if args.PrevLogEntry == f.claimed && last <= f.matched.index {
			f.claimed = last
			return true
		}
		if !f.appending {
			f.appending = true
			if args.PrevLogEntry < f.claimed { // raft goes back: the follower has not what it said
				f.matched = position{}
			}
			f.queue, f.end = nil, last
			return false
		}
		f.moved.Wait()
	}
}

// release ends what claim has begun. taken says whether the follower has taken
// the entries, of which last is the last.
func (t *raftTransport) release(id raft.ServerID, f *follower, taken bool, last uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if taken {
		f.claimed = last
	} else {
		f.queue, f.end = nil, 0
	}
	if len(f.queue) > 0 {
		t.beside(func() { t.sendAhead(id, f) })
		return
	}
	f.appending = false
	f.moved.Broadcast()
}

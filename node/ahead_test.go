package node

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// logFiles is the files of a log, whole.
type logFiles struct{ raft.LogStore }

func (f logFiles) IsMonotonic() bool { return f.LogStore.(raft.MonotonicLogStore).IsMonotonic() }

// disk is the files of a log on a disk that can be held up.
type disk struct {
	logFiles
	mu   sync.Mutex
	held chan struct{} // appends wait until it is closed; nil: they do not
}

func (d *disk) StoreLogs(logs []*raft.Log) error {
	d.mu.Lock()
	held := d.held
	d.mu.Unlock()
	if held != nil {
		<-held
	}
	return d.LogStore.StoreLogs(logs)
}

// hold holds the disk up until the function that it gives is called.
func (d *disk) hold(t *testing.T) (release func()) {
	held := make(chan struct{})
	release = sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		close(held)
		d.held = nil
	})
	t.Cleanup(release) // before members are stopped
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = held
	return release
}

// formWithDisks forms a group and gives each member's disk, by its folder.
func formWithDisks(t *testing.T, tune func(*Options)) (*group, func(m *Node) *disk) {
	var mu sync.Mutex
	disks := map[string]*disk{}
	g := form(t, 3, func(o *Options) {
		dir := o.Dir
		o.store = func(files raft.LogStore) raft.LogStore {
			mu.Lock()
			defer mu.Unlock()
			disks[dir] = &disk{logFiles: logFiles{files}}
			return disks[dir]
		}
		if tune != nil {
			tune(o)
		}
	})
	return g, func(m *Node) *disk {
		mu.Lock()
		defer mu.Unlock()
		return disks[m.opt.Dir]
	}
}

// others gives the members beside one.
func (g *group) others(m *Node) []*Node {
	var others []*Node
	for _, o := range g.members {
		if o != m {
			others = append(others, o)
		}
	}
	return others
}

// writeElsewhere has the leader carry out a command while its disk is held up,
// until the others have the entry.
func (g *group) writeElsewhere(leader *Node, args ...string) (done <-chan error) {
	g.t.Helper()
	answered := make(chan error, 1)
	last := leader.raft.LastIndex()
	go func() {
		_, err := try(g.t.Context(), leader, args...)
		answered <- err
	}()
	for _, m := range g.others(leader) {
		g.wait("the others to have the entry", func() bool { return m.raft.LastIndex() > last })
	}
	if leader.raft.LastIndex() != last {
		g.t.Fatal("the leader's disk was not held up")
	}
	return answered
}

// A write waits for the leader's disk and for a follower's, but not for one
// after the other; and the leader's counts only when it has the entry, even if
// both others have it.
func TestFollowersStoreAnEntryWhileTheLeadersDiskDoes(t *testing.T) {
	t.Parallel()
	g, diskOf := formWithDisks(t, nil)
	leader := g.members[g.leader()]
	g.do(leader, "SET", "k", "before")
	g.converge()
	release := diskOf(leader).hold(t)

	done := g.writeElsewhere(leader, "SET", "k", "after")
	for _, m := range g.members {
		if got := get(t, m, "k"); got != "before" {
			t.Errorf("a member reads %q, which the leader's disk does not have", got)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("the write was answered: %v", err)
	default:
	}
	release()
	must(t, <-done)
	g.converge()
	if got := get(t, g.members[g.follower()], "k"); got != "after" {
		t.Errorf("a follower reads %q", got)
	}
}

// The leader hears nothing more while only the others have an entry. They go on
// with it, and the former leader, whose disk has it late, comes to the same state.
func TestAnEntryThatOnlyTheOthersHaveOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	w := &lines{slow: map[raft.ServerID]chan raft.ServerID{}, cut: map[raft.ServerID]bool{}}
	g, diskOf := formWithDisks(t, func(o *Options) { w.join(t, o) })
	t.Cleanup(w.mend)
	old := g.members[g.leader()]
	g.do(old, "SET", "k", "before")
	g.converge()
	release := diskOf(old).hold(t)

	done := g.writeElsewhere(old, "INCR", "n")
	w.mu.Lock()
	w.cut[raft.ServerID(old.id.NodeID)] = true // it hears nothing of what comes
	w.mu.Unlock()
	next := g.others(old)[0]
	g.depose(old, next)
	if got := get(t, next, "n"); got != "1" {
		t.Errorf("the next leader counts %q", got)
	}
	release()
	w.mend()
	<-done
	g.do(next, "SET", "k", "after")
	g.converge()
	if got := get(t, old, "n"); got != "1" {
		t.Errorf("the former leader counts %q: the request was lost or ran twice", got)
	}
}

// place is what raft knows: the word of the test.
type place struct{ term, commit uint64 }

func (p place) CurrentTerm() uint64 { return p.term }
func (p place) CommitIndex() uint64 { return p.commit }

// logs gives entries of a term.
func logs(term, first, last uint64) []*raft.Log {
	var all []*raft.Log
	for i := first; i <= last; i++ {
		all = append(all, &raft.Log{Index: i, Term: term})
	}
	return all
}

// ask has raft send entries, and says whether the follower was asked anew.
func (w *wire) ask(t *testing.T, by *raftTransport, term, prev, last, commit uint64) {
	t.Helper()
	args := raft.AppendEntriesRequest{Term: term, PrevLogEntry: prev, PrevLogTerm: term, LeaderCommitIndex: commit, Entries: logs(term, prev+1, last)}
	var resp raft.AppendEntriesResponse
	must(t, by.AppendEntries("f", "f@host:1", &args, &resp))
	if !resp.Success || resp.Term != term {
		t.Fatalf("raft was told %+v", resp)
	}
}

func (w *wire) silent(t *testing.T) {
	t.Helper()
	select {
	case r := <-w.sent:
		t.Errorf("the follower was sent entries after %d once more, committed %d", r.PrevLogEntry, r.LeaderCommitIndex)
	default:
	}
}

func TestWhatWentAheadIsNotSentAgain(t *testing.T) {
	w, trans := newWire()
	trans.begin(place{term: 3, commit: 7})
	w.append(t, trans, 3, 6, 8, 6)
	trans.ahead(logs(3, 9, 10))
	if got, want := w.next(t), "term 3, after 8/3, 2 entries, committed 7"; got != want {
		t.Errorf("it was sent %q, want %q", got, want)
	}
	w.ask(t, trans, 3, 8, 10, 8)
	w.silent(t)
	trans.commit(10, 3) // and of the 8 that raft would have said it was not told
	if got, want := w.next(t), "term 3, after 10/3, 0 entries, committed 10"; got != want {
		t.Errorf("it heard %q, want %q", got, want)
	}
}

// A follower that refuses what comes after an entry has lost it: what it said
// before counts no more, for any entry.
func TestRaftThatGoesBackIsNotToldWhatWasTrueOnce(t *testing.T) {
	w, trans := newWire()
	trans.begin(place{term: 3, commit: 7})
	w.append(t, trans, 3, 6, 8, 6)
	trans.ahead(logs(3, 9, 12))
	w.next(t)
	w.ask(t, trans, 3, 8, 12, 7)
	w.silent(t)
	for _, again := range []struct{ prev, last uint64 }{{5, 6}, {6, 12}} {
		w.ask(t, trans, 3, again.prev, again.last, 7)
		if got, want := w.next(t), fmt.Sprintf("term 3, after %d/3, %d entries, committed 7", again.prev, again.last-again.prev); got != want {
			t.Errorf("it was sent %q, want %q", got, want)
		}
	}
}

func TestNothingGoesAheadToWhoIsNotInStep(t *testing.T) {
	for name, entries := range map[string][]*raft.Log{
		"entries are missing between": logs(3, 10, 10),
		"another leader's entries":    logs(4, 9, 9),
	} {
		t.Run(name, func(t *testing.T) {
			w, trans := newWire()
			trans.begin(place{term: 4})
			w.append(t, trans, 3, 6, 8, 6)
			trans.ahead(entries)
			w.append(t, trans, 3, 8, 9, 6) // which is the next that comes
		})
	}
}

func TestWhomRaftAsksNothingIsLeftAlone(t *testing.T) {
	w, trans := newWire()
	trans.begin(place{term: 3})
	w.append(t, trans, 3, 6, 8, 6)
	for i := uint64(9); i < 9+2*aheadLimit; i++ {
		trans.ahead(logs(3, i, i))
	}
	last := uint64(0)
	for last < 8+aheadLimit {
		r := <-w.sent
		last = r.Entries[len(r.Entries)-1].Index
	}
	w.ask(t, trans, 3, 8, 8+aheadLimit, 6)
	w.silent(t)
}

// What a leader of a later term has committed is another log's.
func TestALaterTermsCommitIsNotSaidInAnEarlierOne(t *testing.T) {
	w, trans := newWire()
	trans.begin(place{term: 5, commit: 9})
	w.append(t, trans, 3, 6, 8, 6)
	trans.ahead(logs(3, 9, 9))
	if got, want := w.next(t), "term 3, after 8/3, 1 entries, committed 0"; got != want {
		t.Errorf("it was sent %q, want %q", got, want)
	}
}

// refusal is a follower that refuses what goes ahead.
type refusal struct {
	transport
	asked int
}

func (r *refusal) AppendEntries(_ raft.ServerID, _ raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	r.asked++
	if r.asked == 2 {
		return fmt.Errorf("the line is bad")
	}
	resp.Term, resp.Success = args.Term, true
	return nil
}

func TestRaftSendsItselfWhatWentAheadInVain(t *testing.T) {
	r := &refusal{}
	trans := newRaftTransport(func() error { return nil }, func(raft.ServerID) error { return nil }, r)
	trans.begin(place{term: 3})
	w := &wire{}
	w.ask(t, trans, 3, 6, 8, 6)
	trans.ahead(logs(3, 9, 9))
	w.ask(t, trans, 3, 8, 9, 6)
	if r.asked != 3 {
		t.Errorf("the follower was asked %d times, want three", r.asked)
	}
}

// BenchmarkSetOnSlowDisks is replicated SETs of three members with a disk each,
// of which each takes 2 ms for an append.
func BenchmarkSetOnSlowDisks(b *testing.B) {
	g := form(b, 3, func(o *Options) {
		o.store = func(files raft.LogStore) raft.LogStore { return slowDisk{logFiles{files}} }
	})
	m := g.members[g.leader()]
	for b.Loop() {
		g.do(m, "SET", "k", "v")
	}
}

type slowDisk struct{ logFiles }

func (d slowDisk) StoreLogs(logs []*raft.Log) error {
	time.Sleep(2 * time.Millisecond)
	return d.LogStore.StoreLogs(logs)
}

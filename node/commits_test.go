package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// wire is a transport whose other end takes everything and tells what came.
type wire struct {
	transport
	sent chan raft.AppendEntriesRequest
}

func (w *wire) AppendEntries(_ raft.ServerID, _ raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	w.sent <- *args
	resp.Term, resp.Success = args.Term, true
	return nil
}

// append has the transport carry what raft would send: entries after prev.
func (w *wire) append(t *testing.T, by *raftTransport, term, prev, last, commit uint64) {
	t.Helper()
	args := raft.AppendEntriesRequest{Term: term, PrevLogEntry: prev, PrevLogTerm: term, LeaderCommitIndex: commit}
	for i := prev + 1; i <= last; i++ {
		args.Entries = append(args.Entries, &raft.Log{Index: i, Term: term})
	}
	var resp raft.AppendEntriesResponse
	must(t, by.AppendEntries("f", "f@host:1", &args, &resp))
	if got := <-w.sent; got.LeaderCommitIndex != commit {
		t.Fatalf("the append itself was preceded by %+v", got)
	}
}

func (w *wire) next(t *testing.T) string {
	t.Helper()
	select {
	case r := <-w.sent:
		return fmt.Sprintf("term %d, after %d/%d, %d entries, committed %d", r.Term, r.PrevLogEntry, r.PrevLogTerm, len(r.Entries), r.LeaderCommitIndex)
	case <-time.After(10 * time.Second):
		t.Fatal("the follower hears nothing")
		return ""
	}
}

func newWire() (*wire, *raftTransport) {
	w := &wire{sent: make(chan raft.AppendEntriesRequest, 16)}
	return w, newRaftTransport(func() error { return nil }, func(raft.ServerID) error { return nil }, w)
}

func TestAFollowerHearsOfACommitAtOnce(t *testing.T) {
	w, trans := newWire()
	w.append(t, trans, 3, 6, 8, 6)
	trans.commit(8, 3)
	if got, want := w.next(t), "term 3, after 8/3, 0 entries, committed 8"; got != want {
		t.Errorf("it heard %q, want %q", got, want)
	}
}

func TestAFollowerIsNotToldOfEntriesItMayNotHave(t *testing.T) {
	w, trans := newWire()
	w.append(t, trans, 3, 6, 8, 6)
	trans.commit(20, 3) // two others have them
	if got, want := w.next(t), "term 3, after 8/3, 0 entries, committed 8"; got != want {
		t.Errorf("it heard %q, want %q", got, want)
	}
	w.append(t, trans, 3, 8, 20, 8) // raft's append began before the commit
	if got, want := w.next(t), "term 3, after 20/3, 0 entries, committed 20"; got != want {
		t.Errorf("then it heard %q, want %q", got, want)
	}
}

func TestWhatACommitOfAnotherTermSaysOfALogIsNotKnown(t *testing.T) {
	w, trans := newWire()
	w.append(t, trans, 3, 6, 8, 6)
	trans.commit(8, 5) // led again, but this follower has taken nothing since
	w.append(t, trans, 5, 7, 9, 7)
	if got, want := w.next(t), "term 5, after 9/5, 0 entries, committed 8"; got != want {
		t.Errorf("it heard %q, want %q", got, want)
	}
}

func TestWhatAnAppendSaidIsNotRepeated(t *testing.T) {
	w, trans := newWire()
	w.append(t, trans, 3, 6, 8, 6)
	w.append(t, trans, 3, 8, 8, 8) // raft's own word
	trans.commit(8, 3)
	w.append(t, trans, 3, 8, 9, 8)
	trans.commit(9, 3)
	if got, want := w.next(t), "term 3, after 9/3, 0 entries, committed 9"; got != want {
		t.Errorf("it heard %q, want %q", got, want)
	}
}

// A follower that had to wait for raft's own word would wait for an hour here.
func TestWritesAtFollowersDoNotWaitForTheCommitTimeout(t *testing.T) {
	t.Parallel()
	g := form(t, 3, func(o *Options) { o.Timing.Commit = time.Hour })
	for i := range 10 {
		for _, m := range g.members {
			key := fmt.Sprint("key", i)
			g.do(m, "SET", key, m.NodeID())
			if got := get(t, m, key); got != m.NodeID() {
				t.Fatalf("%s reads %q after its own write", m.NodeID(), got)
			}
		}
	}
}

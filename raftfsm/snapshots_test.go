package raftfsm

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/parlorchat/parlor/storage"
)

// counting wraps a reader as raft does.
type counting struct{ io.ReadCloser }

func (c counting) WrappedReadCloser() io.ReadCloser { return c.ReadCloser }

// fill applies n entries, from the index after the last.
func (m *member) fill(n int) {
	m.t.Helper()
	for range n {
		i := m.fsm.Applied() + 1
		m.apply(entry(i, request(bob, 1, i, set(fmt.Sprintf("k%d", i%7), int(i)), cmd("INCR", "n"))))
	}
}

// receive does the first half of what raft does with a snapshot from another
// node: up to the closed sink.
func (m *member) receive(from *member, index, term uint64) (id string, err error) {
	m.t.Helper()
	metas, err := from.snaps.List()
	if err != nil || len(metas) != 1 {
		m.t.Fatalf("%v, %v", metas, err)
	}
	meta, r, err := from.snaps.Open(metas[0].ID)
	if err != nil {
		m.t.Fatal(err)
	}
	defer r.Close()
	if index == 0 {
		index, term = meta.Index, meta.Term
	}
	sink, err := m.snaps.Create(meta.Version, index, term, testConfiguration(), 1, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	n, err := io.Copy(sink, r)
	if err != nil {
		return "", errors.Join(err, sink.Cancel())
	}
	if n != meta.Size {
		m.t.Fatalf("%d bytes, announced %d", n, meta.Size)
	}
	return sink.ID(), sink.Close()
}

// install does the second half.
func (m *member) install(id string) error {
	_, r, err := m.snaps.Open(id)
	if err != nil {
		return err
	}
	defer r.Close()
	return m.fsm.Restore(counting{r})
}

func (m *member) mustInstall(from *member, index, term uint64) {
	m.t.Helper()
	id, err := m.receive(from, index, term)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.install(id); err != nil {
		m.t.Fatal(err)
	}
}

// Rule 2: rows, state, log position and membership are found again together.
func TestSnapshotHoldsRowsAndPosition(t *testing.T) {
	a := newMember(t, alice)
	if metas, err := a.snaps.List(); err != nil || len(metas) != 0 {
		t.Fatalf("before the first snapshot: %v, %v", metas, err)
	}
	a.fill(10)
	state, rows := a.db.State(), a.rows()
	// raft's index may be ahead: its own entries do not reach the state machine.
	if err := a.takeSnapshot(12, func() { a.fill(3) }); err != nil {
		t.Fatal(err)
	}
	a.restart()
	metas, err := a.snaps.List()
	if err != nil || len(metas) != 1 {
		t.Fatalf("%v, %v", metas, err)
	}
	m := metas[0]
	if m.Index != 12 || m.Term != 1 || m.ConfigurationIndex != 1 || len(m.Configuration.Servers) != 1 {
		t.Errorf("meta %+v", m)
	}
	if a.db.State() != state || a.fsm.Applied() != 10 {
		t.Errorf("state %+v, want %+v", a.db.State(), state)
	}
	for k, v := range rows {
		if a.rows()[k] != v {
			t.Errorf("row %q is not as it was at the snapshot", k)
		}
	}
}

// A member far behind gets the whole table, under the index that raft names.
func TestLaggingMemberInstallsASnapshot(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	a.fill(50)
	a.mustSnapshot()
	b.fill(3)
	b.mustInstall(a, 0, 0)
	b.sameAs(a)
	if n := len(b.touched); b.touched[n-1] != nil || b.observed[n-1] != 50 {
		t.Errorf("the observer heard %v at %d", b.touched[n-1], b.observed[n-1])
	}
	a.fill(5)
	b.fill(5)
	b.sameAs(a)
	b.mustSnapshot()
	b.restart()
	b.sameAs(a)
}

// raft restores a backup under an index of its own, above everything that is
// in the log.
func TestRestoredBackupGetsTheIndexThatRaftBurned(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	a.fill(5)
	a.mustSnapshot()
	b.fill(20)
	b.mustInstall(a, 21, 3)
	for range 2 {
		s, m := b.db.Checkpointed()
		if s.Index != 21 || s.Term != 3 || m.Index != 21 || m.Term != 3 || b.fsm.Applied() != 21 {
			t.Fatalf("state %+v under %+v", s, m)
		}
		if s.Hash != a.db.State().Hash {
			t.Error("the rows are not those of the backup")
		}
		b.restart()
	}
}

// Rule 4, the straddle: raft froze the table at 10, then installed a snapshot
// at 100, then writes what it froze. That would put the old table over the
// new one.
func TestCheckpointFrozenBeforeAnInstallIsRefused(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	a.fill(100)
	a.mustSnapshot()
	b.fill(10)
	err := b.takeSnapshot(10, func() { b.mustInstall(a, 0, 0) })
	if !errors.Is(err, storage.ErrStale) {
		t.Fatalf("error %v, want ErrStale", err)
	}
	b.sameAs(a)
	b.restart()
	b.sameAs(a)
	if metas, _ := b.snaps.List(); metas[0].Index != 100 {
		t.Errorf("the snapshot is at %d", metas[0].Index)
	}
	b.fill(1)
	b.mustSnapshot()
}

// The same with the install between the writing and the closing.
func TestCheckpointWrittenBeforeAnInstallIsNotAnnounced(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	a.fill(100)
	a.mustSnapshot()
	b.fill(10)
	snap, err := b.fsm.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	sink, err := b.snaps.Create(1, 10, 1, testConfiguration(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := snap.Persist(sink); err != nil {
		t.Fatal(err)
	}
	b.mustInstall(a, 0, 0)
	if err := sink.Close(); !errors.Is(err, storage.ErrStale) {
		t.Errorf("closing: %v", err)
	}
	b.restart()
	b.sameAs(a)
}

// Rule 4: the position in the data file never goes back by a checkpoint.
func TestCheckpointIsNotFiledUnderAnEarlierIndex(t *testing.T) {
	a := newMember(t, alice)
	a.fill(10)
	if err := a.takeSnapshot(20, nil); err != nil {
		t.Fatal(err)
	}
	a.fill(2)
	if a.takeSnapshot(11, nil) == nil {
		t.Error("filed under less than its state's index")
	}
	if a.takeSnapshot(15, nil) == nil {
		t.Error("filed under less than the checkpoint before")
	}
	if err := a.takeSnapshot(21, nil); err != nil {
		t.Errorf("rows of checkpoints that failed are lost: %v", err)
	}
	rows := a.rows()
	a.restart()
	if got := a.rows(); len(got) != len(rows) || a.get("n") != "12" {
		t.Error("rows of checkpoints that failed are lost")
	}
}

// A snapshot that raft gives up after the freeze (it does while a change of
// membership is under way) leaves the table whole.
func TestSnapshotGivenUpByRaft(t *testing.T) {
	a := newMember(t, alice)
	a.fill(10)
	snap, err := a.fsm.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	a.fill(5)
	if _, err := a.fsm.Snapshot(); err == nil {
		t.Error("two snapshots at a time")
	}
	snap.Release()
	if got := a.get("n"); got != "15" {
		t.Errorf("n = %s", got)
	}
	a.mustSnapshot()
	a.restart()
	if got := a.get("n"); got != "15" {
		t.Errorf("n = %s after a restart", got)
	}
}

// sent is a member's last snapshot as it goes over the network.
func (m *member) sent() []byte {
	m.t.Helper()
	_, r, err := m.snaps.Open("")
	if err != nil {
		m.t.Fatal(err)
	}
	defer r.Close()
	whole, err := io.ReadAll(r)
	if err != nil {
		m.t.Fatal(err)
	}
	return whole
}

// A snapshot that is damaged on the way, or of another group, changes nothing.
func TestBadSnapshotIsRefused(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	a.fill(10)
	a.mustSnapshot()
	b.fill(3)
	before := b.db.State()
	whole := a.sent()
	for name, data := range map[string][]byte{"empty": nil, "cut": whole[:len(whole)-1], "short": whole[:10]} {
		sink, err := b.snaps.Create(1, 10, 1, testConfiguration(), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Write(data); err != nil && len(data) > 0 {
			t.Fatal(err)
		}
		if sink.Close() == nil {
			t.Errorf("%s: accepted", name)
		}
		if b.install(sink.ID()) == nil {
			t.Errorf("%s: installed", name)
		}
	}
	if b.db.State() != before || len(b.fatal) > 0 {
		t.Errorf("state %+v, fatal %v", b.db.State(), b.fatal)
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir, "*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// RecoverCluster restores the member's own snapshot as a plain stream.
func TestRestoreFromAPlainStream(t *testing.T) {
	a := newMember(t, alice)
	a.fill(10)
	a.mustSnapshot()
	state := a.db.State()
	a.fill(3)
	_, r, err := a.snaps.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := a.fsm.Restore(counting{r}); err != nil {
		t.Fatal(err)
	}
	if a.db.State() != state {
		t.Errorf("state %+v, want %+v", a.db.State(), state)
	}
}

func TestForeignSinkAndVersionAreRefused(t *testing.T) {
	a := newMember(t, alice)
	a.fill(1)
	snap, err := a.fsm.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	if snap.Persist(&raft.InmemSnapshotSink{}) == nil {
		t.Error("persisted to another store")
	}
	if _, err := a.snaps.Create(0, 1, 1, testConfiguration(), 1, nil); err == nil {
		t.Error("version 0 accepted")
	}
	if _, _, err := a.snaps.Open("checkpoint"); err == nil {
		t.Error("opened a snapshot that does not exist")
	}
}

// openLog opens a raft log as the product uses it.
func openLog(t *testing.T, dir string) *LogStore {
	t.Helper()
	w, err := wal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return NewLogStore(w, func(err error) { t.Errorf("fatal: %v", err) })
}

func appendLogs(t *testing.T, l *LogStore, first, last, term uint64) {
	t.Helper()
	for i := first; i <= last; i++ {
		e := entry(i, request(bob, 1, i, set("k", int(i))))
		e.Term = term
		if err := l.StoreLog(e); err != nil {
			t.Fatal(err)
		}
	}
}

func bounds(t *testing.T, l raft.LogStore) [2]uint64 {
	t.Helper()
	first, err := l.FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	last, err := l.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	return [2]uint64{first, last}
}

// Rule 5: the crash between the installation of a snapshot and raft's reset of
// the log. Without Reconcile no entry could ever be appended again.
func TestCrashBetweenInstallAndLogReset(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	a.fill(100)
	a.mustSnapshot()
	b.fill(10)
	dir := t.TempDir()
	logs := openLog(t, dir)
	appendLogs(t, logs, 1, 10, 1)
	b.mustInstall(a, 0, 0)
	b.restart() // the log still ends at 10
	if err := Reconcile(b.db, logs); err != nil {
		t.Fatal(err)
	}
	if got := bounds(t, logs); got != [2]uint64{} {
		t.Fatalf("the log holds %v", got)
	}
	appendLogs(t, logs, 101, 103, 1)
	if err := Reconcile(b.db, logs); err != nil {
		t.Fatal(err)
	}
	if got := bounds(t, logs); got != [2]uint64{101, 103} {
		t.Errorf("the log holds %v after another start", got)
	}
}

func TestReconcile(t *testing.T) {
	for name, c := range map[string]struct {
		table             uint64 // index of the snapshot; its term is 1
		first, last, term uint64 // log; 0, 0: empty
		want              [2]uint64
		fails             bool
	}{
		"new member":                 {0, 0, 0, 0, [2]uint64{}, false},
		"no snapshot yet":            {0, 1, 5, 1, [2]uint64{1, 5}, false},
		"log reset, nothing since":   {10, 0, 0, 0, [2]uint64{}, false},
		"log goes on":                {10, 5, 15, 1, [2]uint64{5, 15}, false},
		"log ends at the table":      {10, 5, 10, 1, [2]uint64{5, 10}, false},
		"log begins above the table": {10, 11, 15, 2, [2]uint64{11, 15}, false},
		"log ends below the table":   {10, 5, 9, 1, [2]uint64{}, false},
		"conflicting suffix":         {10, 5, 15, 2, [2]uint64{}, false},
		"hole":                       {10, 12, 15, 1, [2]uint64{12, 15}, true},
		"hole at the beginning":      {0, 2, 5, 1, [2]uint64{2, 5}, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newMember(t, alice)
			if c.table > 0 {
				a.fill(int(c.table))
				a.mustSnapshot()
			}
			logs := openLog(t, t.TempDir())
			if c.last > 0 {
				appendLogs(t, logs, c.first, c.last, c.term)
			}
			err := Reconcile(a.db, logs)
			if (err != nil) != c.fails {
				t.Errorf("error %v", err)
			}
			if got := bounds(t, logs); got != c.want {
				t.Errorf("the log holds %v, want %v", got, c.want)
			}
		})
	}
}

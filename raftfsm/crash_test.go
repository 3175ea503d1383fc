package raftfsm

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
)

// crashed is what a process that ends at a named point leaves on disk: its
// table and its log, copied.
type crashed struct {
	point      string
	table, log string
	promised   uint64 // last entry that it has acknowledged
}

// doomed is a member whose folders are copied at each point.
type doomed struct {
	mu sync.Mutex // garbage is collected beside everything else
	*member
	store  *LogStore
	logDir string
	found  []crashed
}

// memory gives a folder that goes away with the test, in memory where there is
// such a thing: these tests end no machine.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "parlor-raftfsm-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func newDoomed(t *testing.T) *doomed {
	t.Helper()
	d := &doomed{logDir: memory(t)}
	d.member = &member{t: t, dir: memory(t), id: bob, table: testTable(), results: map[string]command.Result{}, crash: d.hit}
	d.store = quietLog(t, d.logDir) // before the table, whose goroutines come by d.hit
	d.start()
	t.Cleanup(d.stop)
	return d
}

// quietLog opens a log as the product uses it.
func quietLog(t *testing.T, dir string) *LogStore {
	t.Helper()
	w := openWAL(t, dir, 256<<10)
	t.Cleanup(func() { _ = w.Close() })
	return NewLogStore(w, func(err error) { t.Errorf("fatal: %v", err) })
}

// openWAL opens a log in files of a size.
func openWAL(t *testing.T, dir string, size int) *wal.WAL {
	t.Helper()
	files, err := NewLogFiles(dir, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	w, err := wal.Open(dir, wal.WithLogger(hclog.NewNullLogger()), wal.WithSegmentSize(size), wal.WithSegmentFiler(files.Segments()))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// hit copies what is on disk now.
func (d *doomed) hit(point string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last, err := d.store.LastIndex()
	if err != nil {
		d.t.Fatal(err)
	}
	c := crashed{point: point, table: memory(d.t.(*testing.T)), log: memory(d.t.(*testing.T)), promised: last}
	copyFiles(d.t.(*testing.T), d.dir, c.table)
	copyFiles(d.t.(*testing.T), d.logDir, c.log)
	d.found = append(d.found, c)
}

func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		in, err := os.Open(filepath.Join(from, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // it went away meanwhile, as files for a moment do
		}
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(filepath.Join(to, e.Name()))
		if err == nil {
			_, err = io.Copy(&sparse{f: out}, in)
			err = errors.Join(err, in.Close(), out.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// sparse writes a file without its zeros: segments of the log are large and
// mostly empty.
type sparse struct {
	f  *os.File
	at int64
}

func (s *sparse) Write(p []byte) (int, error) {
	zero := !slices.ContainsFunc(p, func(b byte) bool { return b != 0 })
	s.at += int64(len(p))
	if zero {
		return len(p), s.f.Truncate(s.at)
	}
	_, err := s.f.WriteAt(p, s.at-int64(len(p)))
	return len(p), err
}

// logEntry is entry i of the one log that all members here have.
func logEntry(i uint64) *raft.Log {
	return entry(i, request(bob, 1, i, set(fmt.Sprintf("k%d", i%7), int(i)), cmd("INCR", "n")))
}

// take appends entries and applies them, as raft has a follower do.
func (d *doomed) take(first, last uint64) {
	d.t.Helper()
	for i := first; i <= last; i++ {
		if i%10 == 0 {
			d.hit("entry-before-append")
		}
		if err := d.store.StoreLog(logEntry(i)); err != nil {
			d.t.Fatal(err)
		}
		if i%10 == 0 {
			d.hit("entry-appended")
		}
		d.apply(logEntry(i))
		if i%10 == 0 {
			d.hit("entry-applied")
		}
	}
}

// snapshot does what raft does for one, then shortens the log.
func (d *doomed) snapshot(keepFrom uint64) {
	d.t.Helper()
	snap, err := d.fsm.Snapshot()
	if err != nil {
		d.t.Fatal(err)
	}
	d.hit("snapshot-frozen")
	sink, err := d.snaps.Create(1, d.fsm.Applied(), 1, testConfiguration(), 1, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := snap.Persist(sink); err != nil {
		d.t.Fatal(err)
	}
	d.hit("snapshot-persisted")
	if err := sink.Close(); err != nil {
		d.t.Fatal(err)
	}
	d.hit("snapshot-closed")
	snap.Release()
	if err := d.store.DeleteRange(1, keepFrom-1); err != nil {
		d.t.Fatal(err)
	}
	d.hit("log-shortened")
}

// installFrom does what raft does with a snapshot that comes in, and resets
// the log.
func (d *doomed) installFrom(from *member) {
	d.t.Helper()
	meta, r, err := from.snaps.Open("")
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Close()
	sink, err := d.snaps.Create(meta.Version, meta.Index, meta.Term, testConfiguration(), 1, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := io.CopyN(sink, r, meta.Size/2); err != nil {
		d.t.Fatal(err)
	}
	d.hit("install-half-received")
	if _, err := io.Copy(sink, r); err != nil {
		d.t.Fatal(err)
	}
	d.hit("install-received")
	if err := sink.Close(); err != nil {
		d.t.Fatal(err)
	}
	d.hit("install-closed")
	if err := d.install(sink.ID()); err != nil {
		d.t.Fatal(err)
	}
	d.hit("restored")
	have := bounds(d.t.(*testing.T), d.store)
	if err := d.store.DeleteRange(have[0], have[1]); err != nil {
		d.t.Fatal(err)
	}
	d.hit("log-reset")
}

// A process may end at any point of a member's life. What it leaves starts
// again, has all that it has promised, and is what the log says; and so is what
// a crash while it starts leaves.
func TestAMemberThatCrashesAtAnyPointComesBack(t *testing.T) {
	a := newMember(t, alice)
	want := map[uint64]storage.State{}
	for i := uint64(1); i <= 70; i++ {
		a.apply(logEntry(i))
		want[i] = a.db.State()
		if i == 60 {
			a.mustSnapshot()
		}
	}
	b := newDoomed(t)
	b.take(1, 20)
	b.snapshot(11)
	b.take(21, 30)
	b.installFrom(a)
	b.take(61, 65)
	b.snapshot(61)
	b.take(66, 67)

	points := map[string]int{}
	for i, c := range b.found {
		points[c.point]++
		again := c.comeBack(t, want, nil)
		if points[c.point] > 1 && os.Getenv("PARLOR_DAMAGE") == "" {
			continue
		}
		for _, c := range again[i%len(again):] { // and a crash on the way back
			points[c.point]++
			c.comeBack(t, want, func(string) {})
		}
	}
	for _, p := range []string{
		"entry-before-append", "entry-appended", "entry-applied",
		"snapshot-frozen", "checkpoint-begins", "checkpoint-published", "snapshot-persisted", "snapshot-closed", "log-shortened",
		"install-half-received", "install-received", "install-checked", "install-closed", "install-begins", "file-renamed", "install-published", "restored", "log-reset",
		"start-opened", "start-reconciled", "start-replayed",
	} {
		if points[p] == 0 {
			t.Errorf("no crash at %s", p)
		}
	}
	t.Logf("%d crashes at %d points: %v", len(b.found), len(points), slices.Sorted(maps.Keys(points)))
}

// comeBack starts a member on what a crash left and goes on with it. Without a
// crash of its own to go to, it gives what crashes on the way would leave.
func (c crashed) comeBack(t *testing.T, want map[uint64]storage.State, crash func(string)) (again []crashed) {
	t.Helper()
	m := &member{t: t, dir: c.table, id: bob, table: testTable(), results: map[string]command.Result{}}
	d := &doomed{member: m, logDir: c.log}
	if err := CheckLog(c.log); err != nil {
		t.Fatalf("%s: %v", c.point, err)
	}
	m.start()
	defer m.stop()
	w := openWAL(t, c.log, 256<<10)
	defer w.Close()
	d.store = NewLogStore(w, func(err error) { t.Fatalf("%s: fatal: %v", c.point, err) })
	hit := crash
	if hit == nil {
		hit = d.hit
	}
	hit("start-opened")
	if err := Reconcile(m.db, d.store); err != nil {
		t.Fatalf("%s: %v", c.point, err)
	}
	hit("start-reconciled")
	for i := m.fsm.Applied() + 1; i <= bounds(t, d.store)[1]; i++ {
		var l raft.Log
		if err := d.store.GetLog(i, &l); err != nil {
			t.Fatalf("%s: %v", c.point, err)
		}
		m.apply(&l)
	}
	hit("start-replayed")
	at := m.fsm.Applied()
	if at < c.promised {
		t.Fatalf("%s: it has acknowledged entry %d and is at %d", c.point, c.promised, at)
	}
	for i := at + 1; i <= at+3; i++ { // and it takes entries again
		if err := d.store.StoreLog(logEntry(i)); err != nil {
			t.Fatalf("%s: %v", c.point, err)
		}
		m.apply(logEntry(i))
	}
	for range 2 {
		st := m.db.State()
		if st != want[at+3] {
			t.Fatalf("%s: the state is %+v, want %+v", c.point, st, want[at+3])
		}
		err := m.db.View(func(r storage.Reader, s storage.State) error { return Verify(r, s) })
		if err != nil {
			t.Fatalf("%s: %v", c.point, err)
		}
		m.mustSnapshot()
		m.restart()
	}
	found := d.found
	for i := range found {
		found[i].promised = c.promised
		found[i].point = filepath.Base(found[i].point)
	}
	return found
}

package raftfsm

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
)

// fullMeta is a disk that has room for the last append of a segment, and none
// for beginning the next one.
type fullMeta struct {
	metadb.BoltMetaDB
	commits int
}

var errFull = errors.New("no space left on device")

func (m *fullMeta) CommitState(s types.PersistentState) error {
	if m.commits++; m.commits > 1 {
		return errFull
	}
	return m.BoltMetaDB.CommitState(s)
}

const mendSegment = 16 << 10

// fullSegment makes a log whose first segment is full while the second one was
// not begun, and gives its last index and the length of what is before the
// append that filled it.
func fullSegment(t *testing.T, dir string) (last uint64, before int) {
	t.Helper()
	w, err := wal.Open(dir, wal.WithLogger(hclog.NewNullLogger()), wal.WithSegmentSize(mendSegment), wal.WithMetaStore(&fullMeta{}))
	if err != nil {
		t.Fatal(err)
	}
	for {
		b, err := readUsed(onlySegment(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		length, _ := goodPrefix(b)
		logs := []*raft.Log{mendEntry(last + 1), mendEntry(last + 2)}
		if err := w.StoreLogs(logs); errors.Is(err, wal.ErrSealed) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		before, last = length, last+2
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return last, before
}

func mendEntry(index uint64) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Type: raft.LogNoop, Data: make([]byte, 500+index%50)}
}

func onlySegment(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(names) != 1 {
		t.Fatalf("segments %v, %v", names, err)
	}
	return names[0]
}

// goesOn opens a log after mending it, appends, into the next segment too, and
// reads all of it. It gives the last index before.
func goesOn(t *testing.T, dir string) (last uint64) {
	t.Helper()
	if err := errors.Join(CheckLog(dir), MendLog(dir)); err != nil {
		t.Fatal(err)
	}
	w, err := wal.Open(dir, wal.WithLogger(hclog.NewNullLogger()), wal.WithSegmentSize(mendSegment))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	last, _ = w.LastIndex()
	for i := range uint64(4) { // the first fills a torn segment again
		if err := w.StoreLogs([]*raft.Log{mendEntry(last + 1 + i)}); err != nil {
			t.Fatalf("append %d after index %d: %v", i, last, err)
		}
	}
	end, _ := w.LastIndex()
	for i := uint64(1); i <= end; i++ {
		var l raft.Log
		if err := w.GetLog(i, &l); err != nil || l.Index != i || len(l.Data) != len(mendEntry(i).Data) {
			t.Fatalf("entry %d of %d: %v", i, end, err)
		}
	}
	return last
}

// The process ends after the append that fills a segment, before the next
// segment is begun: killed in between, or because the disk was full.
func TestALogThatEndsBetweenTwoSegmentsGoesOn(t *testing.T) {
	dir := t.TempDir()
	want, _ := fullSegment(t, dir)
	if got := goesOn(t, dir); got != want {
		t.Errorf("the log ends at %d, %d was stored", got, want)
	}
}

// The append that fills a segment is torn, wherever: it was never acknowledged,
// and the log goes on after the one before.
func TestALogWhoseLastAppendOfASegmentIsTornGoesOn(t *testing.T) {
	from := t.TempDir()
	last, before := fullSegment(t, from)
	name := onlySegment(t, from)
	content, err := readUsed(name)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := goodPrefix(content)
	for at := before; at < end; at += every(end - before) {
		dir := t.TempDir()
		copyFlat(t, from, dir)
		torn := slices.Clone(content)
		clear(torn[at:])
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := goesOn(t, dir); got != last-2 {
			t.Fatalf("torn at byte %d of %d to %d: the log ends at %d, acknowledged were %d", at, before, end, got, last-2)
		}
	}
}

// A log that needs nothing stays as it is.
func TestMendingChangesNothingInAGoodLog(t *testing.T) {
	d := writeLog(t)
	before, err := os.ReadFile(d.segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(MendLog(d.dir), MendLog(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(d.segment)
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("the segment has changed, or %v", err)
	}
	if last, err := d.open(t, after); err != nil || last != d.last {
		t.Errorf("the log ends at %d, %v", last, err)
	}
}

func copyFlat(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What a start finds need not be on disk: the last append is written again,
// and no other.
func TestTheLastAppendIsWrittenAgain(t *testing.T) {
	d := writeLog(t)
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(d.segment, long, long); err != nil {
		t.Fatal(err)
	}
	if err := MendLog(d.dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.segment); err != nil || !info.ModTime().After(long) {
		t.Errorf("nothing was written: %v", err)
	}
	if got, err := os.ReadFile(d.segment); err != nil || !bytes.Equal(got, d.content) {
		t.Errorf("the log is another one: %v", err)
	}
	end, latest := goodPrefix(d.content)
	if want := d.ends[len(d.ends)-2:]; latest != want[0] || end != want[1] {
		t.Errorf("the last append is taken to be %d to %d, want %v", latest, end, want)
	}
}

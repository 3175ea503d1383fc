package raftfsm

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// fill appends entries until the log has begun so many new files.
func fill(t *testing.T, dir string, from uint64, files int, append func(*raft.Log) error) (next uint64) {
	t.Helper()
	count := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	for want := count() + files; count() < want; from++ {
		if err := append(&raft.Log{Index: from, Term: 1, Type: raft.LogNoop, Data: bytes.Repeat([]byte{byte(from)}, 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	return from
}

func has(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// The log goes from one file to the next. Each but the first is a spare one
// that was made before, and nobody can tell from what is in the log.
func TestTheLogGoesOnInASpareFile(t *testing.T) {
	const size = 64 << 10
	dir := t.TempDir()
	spare := filepath.Join(dir, spareFile)
	w := openWAL(t, dir, size)
	next := uint64(1)
	for range 5 {
		for deadline := time.Now().Add(time.Minute); !has(t, spare); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no spare file is made")
			}
			if err := w.StoreLog(&raft.Log{Index: next, Term: 1, Type: raft.LogNoop, Data: make([]byte, 100)}); err != nil {
				t.Fatal(err)
			}
			next++
		}
		made, err := os.Stat(spare)
		if err != nil {
			t.Fatal(err)
		}
		next = fill(t, dir, next, 1, w.StoreLog)
		names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
		if err != nil {
			t.Fatal(err)
		}
		latest, err := os.Stat(names[len(names)-1])
		if err != nil {
			t.Fatal(err)
		}
		if !os.SameFile(made, latest) {
			t.Fatal("the next file of the log is not the one that was made for it")
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := CheckLog(dir); err != nil {
		t.Fatal(err)
	}
	w = openWAL(t, dir, size)
	defer w.Close()
	if last, err := w.LastIndex(); err != nil || last != next-1 {
		t.Fatalf("the log ends at %d, %v; %d were appended", last, err, next-1)
	}
	for i := uint64(1); i < next; i++ {
		var l raft.Log
		if err := w.GetLog(i, &l); err != nil || l.Index != i {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
}

// What a process that ended left of spare files: half of one, one of another
// size, a good one.
func TestSpareFilesThatAreLeft(t *testing.T) {
	dir := t.TempDir()
	spare, half := filepath.Join(dir, spareFile), filepath.Join(dir, spareNewFile)
	for _, c := range []struct {
		name string
		size int
		kept bool
	}{{half, 1000, false}, {spare, 1000, false}, {spare, 4096, true}} {
		if err := os.WriteFile(c.name, make([]byte, c.size), 0o600); err != nil {
			t.Fatal(err)
		}
		files, err := NewLogFiles(dir, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if has(t, c.name) != c.kept {
			t.Errorf("%s of %d bytes is there: %v", filepath.Base(c.name), c.size, !c.kept)
		}
		if err := files.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Where no spare file can be made, as on a full disk, the log goes on without.
func TestTheLogGoesOnWithoutSpareFiles(t *testing.T) {
	dir := t.TempDir()
	w := openWAL(t, dir, 64<<10)
	defer w.Close()
	if err := os.Mkdir(filepath.Join(dir, spareNewFile), 0o700); err != nil {
		t.Fatal(err)
	}
	next := fill(t, dir, 1, 3, w.StoreLog)
	if last, err := w.LastIndex(); err != nil || last != next-1 {
		t.Fatalf("the log ends at %d, %v; %d were appended", last, err, next-1)
	}
	if has(t, filepath.Join(dir, spareFile)) {
		t.Error("there is a spare file")
	}
}

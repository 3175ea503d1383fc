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

// fillToSpare appends small entries until there is a spare file, which the log
// asks for some way into a file.
func fillToSpare(t *testing.T, dir string, from uint64, append func(*raft.Log) error) (next uint64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !has(t, filepath.Join(dir, spareFile)); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no spare file is made")
		}
		if err := append(&raft.Log{Index: from, Term: 1, Type: raft.LogNoop, Data: make([]byte, 100)}); err != nil {
			t.Fatal(err)
		}
		from++
	}
	return from
}

// readEntries reads the entries from one up to, and without, another.
func readEntries(t *testing.T, w raft.LogStore, from, to uint64) {
	t.Helper()
	for i := from; i < to; i++ {
		var l raft.Log
		if err := w.GetLog(i, &l); err != nil || l.Index != i {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
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
		next = fillToSpare(t, dir, next, w.StoreLog)
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
	readEntries(t, w, 1, next)
}

// A file whose entries are not needed any more becomes the spare one if there is
// none, empty as a new one, and goes if there is.
func TestTheLogUsesItsFilesAgain(t *testing.T) {
	const size = 64 << 10
	dir := t.TempDir()
	spare := filepath.Join(dir, spareFile)
	await := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, left(t, dir))
			}
		}
	}
	w := openWAL(t, dir, size)
	next := fill(t, dir, 1, 6, w.StoreLog)
	next = fillToSpare(t, dir, next, w.StoreLog)

	// There is a spare file: what was cut off goes.
	if err := w.DeleteRange(1, next/2); err != nil {
		t.Fatal(err)
	}
	await("files that were cut off are there", func() bool { return len(left(t, dir)) == 1 })

	// The log takes the spare file; it has only begun it, so that it has not
	// asked for another one when more is cut off.
	next = fill(t, dir, next, 1, w.StoreLog)
	if has(t, spare) {
		t.Fatal("the log goes on in another file than the spare one")
	}
	oldest, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	cut, err := os.Stat(oldest[0])
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	for has(t, oldest[0]) { // one file of entries
		if err := w.DeleteRange(first, first); err != nil {
			t.Fatal(err)
		}
		first++
	}
	await("there is no spare file", func() bool { return has(t, spare) })
	if now, err := os.Stat(spare); err != nil || !os.SameFile(now, cut) || now.Size() != size {
		t.Errorf("the spare file is not the one that was cut off: %+v, %v", now, err)
	}
	if content, err := os.ReadFile(spare); err != nil || len(bytes.Trim(content, "\x00")) > 0 {
		t.Errorf("the spare file is not empty: %v", err)
	}

	next = fill(t, dir, next, 2, w.StoreLog)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := CheckLog(dir); err != nil {
		t.Fatal(err)
	}
	w = openWAL(t, dir, size)
	defer w.Close()
	readEntries(t, w, first, next)
}

// left are the files in the log's folder that are none of the log's.
func left(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "spare*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What a process that ended left of spare files is not used: a spare file may
// have been in the log already, until a power cut gave it its old name back, and
// hold what was being appended.
func TestSpareFilesThatAreLeftAreNotUsed(t *testing.T) {
	const size = 64 << 10
	dir := t.TempDir()
	for _, name := range []string{spareFile, spareNewFile, usedPrefix + "1"} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{1}, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := NewLogFiles(dir, size)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for _, name := range []string{spareFile, spareNewFile, usedPrefix + "1"} {
		if has(t, filepath.Join(dir, name)) {
			t.Errorf("%s is still there", name)
		}
	}
	f, err := files.Create(dir, "00000000000000000001-0000000000000001.wal", size)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content := make([]byte, size)
	if _, err := f.ReadAt(content, 0); err != nil || len(bytes.Trim(content, "\x00")) > 0 {
		t.Errorf("the log's new file is not empty: %v", err)
	}
}

// Somebody who makes room takes the spare file away: the log goes on.
func TestTheLogGoesOnWhenTheSpareFileIsTakenAway(t *testing.T) {
	dir := t.TempDir()
	w := openWAL(t, dir, 64<<10)
	defer w.Close()
	next := uint64(1)
	for range 3 {
		next = fill(t, dir, next, 1, w.StoreLog)
		if err := removeIfThere(filepath.Join(dir, spareFile)); err != nil {
			t.Fatal(err)
		}
	}
	if last, err := w.LastIndex(); err != nil || last != next-1 {
		t.Fatalf("the log ends at %d, %v; %d were appended", last, err, next-1)
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

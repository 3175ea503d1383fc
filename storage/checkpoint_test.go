package storage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Rule 2: rows, state and log position are found again together, and only
// those of the checkpoint.
func TestRestartFindsTheCheckpoint(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir, Options{ClusterID: "g"})
	set(db, 5, "a", "1", "b", "")
	c, err := db.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	set(db, 6, "a", "2", "c", "3")
	m := Meta{Index: 7, Term: 3, Config: []byte("members"), ConfigIndex: 2}
	if err := c.Write(m); err != nil {
		t.Fatal(err)
	}
	c.Release()
	if got := dbContents(t, db); !maps.Equal(got, map[string]string{"a": "2", "b": "", "c": "3"}) {
		t.Errorf("after the checkpoint: %v", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openDB(t, dir, Options{ClusterID: "g"})
	defer db.Close()
	if got := dbContents(t, db); !maps.Equal(got, map[string]string{"a": "1", "b": ""}) {
		t.Errorf("after the restart: %v", got)
	}
	s, got := db.Checkpointed()
	if s != db.State() || s.Index != 5 || s.Clock != 5 || s.Term != 1 {
		t.Errorf("state %+v", s)
	}
	if got.Index != 7 || got.Term != 3 || got.ConfigIndex != 2 || string(got.Config) != "members" {
		t.Errorf("meta %+v", got)
	}
}

// Rule 4: what was frozen before the table was replaced must not be written
// over the new one.
func TestStaleCheckpointIsRefused(t *testing.T) {
	source, db := tempDB(t, Options{}), tempDB(t, Options{})
	set(source, 100, "new", "table")
	checkpoint(t, source)
	set(db, 10, "old", "table")
	c, err := db.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	install(t, db, sendAll(t, source), nil)
	if !c.Stale() {
		t.Error("the checkpoint does not know that it is stale")
	}
	if err := c.Write(Meta{Index: 200, Term: 1}); !errors.Is(err, ErrStale) {
		t.Errorf("error %v", err)
	}
	c.Release()
	if got := dbContents(t, db); !maps.Equal(got, map[string]string{"new": "table"}) {
		t.Errorf("rows %v", got)
	}
	if db.OverlayBytes() != 0 {
		t.Errorf("%d bytes of the old table in memory", db.OverlayBytes())
	}
}

func TestCheckpointCannotGoBack(t *testing.T) {
	db := tempDB(t, Options{})
	set(db, 10, "a", "1")
	write := func(index uint64) error {
		c, err := db.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Release()
		return c.Write(Meta{Index: index, Term: 1})
	}
	if write(9) == nil {
		t.Error("filed under less than its state")
	}
	if err := write(20); err != nil {
		t.Fatal(err)
	}
	if write(19) == nil {
		t.Error("filed under less than the one before")
	}
	if err := write(20); err != nil {
		t.Errorf("the same position again: %v", err)
	}
}

func TestCheckpointIsWrittenOnce(t *testing.T) {
	db := tempDB(t, Options{})
	set(db, 1, "a", "1")
	c, err := db.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Freeze(); !errors.Is(err, ErrCheckpointOpen) {
		t.Errorf("second freeze: %v", err)
	}
	if err := c.Write(Meta{Index: 1}); err != nil {
		t.Fatal(err)
	}
	if c.Write(Meta{Index: 1}) == nil {
		t.Error("written twice")
	}
	c.Release()
	c.Release()
}

// The account of memory is what decides when to write a checkpoint.
func TestOverlayBytes(t *testing.T) {
	db := tempDB(t, Options{})
	if n := db.OverlayBytes(); n != 0 {
		t.Errorf("%d bytes in an empty table", n)
	}
	b := db.Begin()
	b.Set([]byte("key"), bytes.Repeat([]byte("v"), 1000))
	mark := b.Mark()
	b.Set([]byte("other"), make([]byte, 5000))
	b.Set([]byte("key"), nil)
	b.RollbackTo(mark)
	b.Retain(300)
	b.Commit(State{Index: 1})
	want := int64(3 + 1000 + rowOverhead + 300)
	if n := db.OverlayBytes(); n != want {
		t.Errorf("%d bytes, want %d", n, want)
	}
	c, err := db.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	if n := db.OverlayBytes(); n != want {
		t.Errorf("%d bytes after the freeze, want %d", n, want)
	}
	set(db, 2, "k2", "v2")
	c.Release() // given up
	more := want + 4 + rowOverhead
	if n := db.OverlayBytes(); n != more {
		t.Errorf("%d bytes after it was given up, want %d", n, more)
	}
	checkpoint(t, db)
	if n := db.OverlayBytes(); n != 0 {
		t.Errorf("%d bytes after the checkpoint", n)
	}
	if s := db.Stats(); s.Checkpoints != 1 || s.OverlayRows != 0 || s.FileBytes == 0 || s.MapBytes == 0 || s.PageSize == 0 || s.LastCheckpoint <= 0 {
		t.Errorf("stats %+v", s)
	}
}

// Rule 3 of this house: a storage error ends the process, and the table does
// not go on by itself. Here the data file may not grow.
func TestStorageErrorIsFatal(t *testing.T) {
	var fatal []error
	dir := t.TempDir()
	db := openDB(t, dir, Options{Fatal: func(err error) { fatal = append(fatal, err) }})
	set(db, 1, "a", "1")
	checkpoint(t, db)
	db.file.bolt.MaxSize = 1
	for i := range 100 {
		set(db, uint64(2+i), fmt.Sprint(i), strings.Repeat("x", 1000))
	}
	c, err := db.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(Meta{Index: 200}); err == nil || len(fatal) != 1 || !errors.Is(err, fatal[0]) {
		t.Fatalf("error %v, fatal %v", err, fatal)
	}
	c.Release()
	if _, err := db.Freeze(); err == nil {
		t.Error("the table goes on after a storage error")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openDB(t, dir, Options{})
	defer db.Close()
	if got := dbContents(t, db); !maps.Equal(got, map[string]string{"a": "1"}) {
		t.Errorf("half a checkpoint is in the file: %v", got)
	}
}

// Rule 7: a commit that takes too long is a storage error, and says where.
func TestHangingCommitIsFatal(t *testing.T) {
	fatal := make(chan error, 1)
	db := tempDB(t, Options{Fatal: func(err error) { fatal <- err }})
	done := db.watch("writing a checkpoint", 10*time.Millisecond)
	defer done()
	if err := <-fatal; !strings.Contains(err.Error(), "goroutine ") || !strings.Contains(err.Error(), "writing a checkpoint") {
		t.Errorf("fatal error %v", err)
	}
}

// Rows of deleted objects are removed by checkpoints, so many at a time, and
// nothing else is.
func TestGarbageIsCollectedWithinItsBudget(t *testing.T) {
	db := tempDB(t, Options{GarbageBudget: 10})
	id := func(n byte) string { return "\x00\x00\x00\x00\x00\x00\x00" + string([]byte{n}) }
	for n := range byte(3) {
		for i := range 8 {
			set(db, 1, "h"+id(n)+fmt.Sprint(i), "v", "z"+id(n)+fmt.Sprint(i), "v")
		}
	}
	set(db, 2, "g"+id(0), "hz", "g"+id(1), "z")
	set(db, 3, "gx", "h") // not an object: just goes
	count := func() (n int) {
		for k := range dbContents(t, db) {
			if k[0] != 'g' {
				n++
			}
		}
		return n
	}
	checkpoint(t, db)
	if n := count(); n != 38 || !db.Stats().GarbageLeft {
		t.Errorf("%d rows left after the first checkpoint, more: %v", n, db.Stats().GarbageLeft)
	}
	checkpoint(t, db)
	checkpoint(t, db)
	want := map[string]string{}
	for n := range byte(3) {
		for i := range 8 {
			if n > 0 {
				want["h"+id(n)+fmt.Sprint(i)] = "v"
			}
			if n > 1 {
				want["z"+id(n)+fmt.Sprint(i)] = "v"
			}
		}
	}
	if got := dbContents(t, db); !maps.Equal(got, want) {
		t.Errorf("%d rows, want %d: %q", len(got), len(want), got)
	}
	if s := db.Stats(); s.GarbageCollected != 27 || s.GarbageLeft {
		t.Errorf("stats %+v", s)
	}
}

func TestFolderBelongsToOneProcess(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir, Options{})
	if _, err := Open(dir, Options{MapSize: 1 << 30}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("opened twice: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	openDB(t, dir, Options{}).Close()
}

func TestFileOfAnotherGroupOrVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir, Options{ClusterID: "one"})
	if got := db.ClusterID(); got != "one" {
		t.Errorf("group %q", got)
	}
	db.Close()
	if _, err := Open(dir, Options{ClusterID: "two", MapSize: 1 << 30}); err == nil || !strings.Contains(err.Error(), `belongs to group "one"`) {
		t.Errorf("another group's file: %v", err)
	}
	db = openDB(t, dir, Options{}) // tools do not care
	putFormat(t, db, formatVersion+1)
	db.Close()
	if _, err := Open(dir, Options{ClusterID: "one", MapSize: 1 << 30}); err == nil || !strings.Contains(err.Error(), "version 4") {
		t.Errorf("a later version's file: %v", err)
	}
}

// What a crash left half done is removed at the start.
func TestLeftoversAreReaped(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{creatingName, incomingPrefix + "123" + incomingSuffix, "keep.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openDB(t, dir, Options{}).Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != lockName+" "+dataName+" keep.txt" {
		t.Errorf("files: %s", got)
	}
}

func TestRowLimits(t *testing.T) {
	db := tempDB(t, Options{})
	b := db.Begin()
	defer b.Abort()
	for name, do := range map[string]func(){
		"empty key":        func() { b.Set(nil, nil) },
		"long key":         func() { b.Set(make([]byte, MaxKey+1), nil) },
		"delete empty key": func() { b.Delete(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			do()
		}()
	}
	b.Set(make([]byte, MaxKey), nil)
}

func TestClosedTable(t *testing.T) {
	db := openDB(t, t.TempDir(), Options{})
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	_, freeze := db.Freeze()
	_, snapshot := db.Snapshot()
	_, stream := db.OpenStream()
	for name, err := range map[string]error{
		"freeze": freeze, "snapshot": snapshot, "stream": stream,
		"view": db.View(func(Reader, State) error { return nil }),
		"walk": db.Walk(func(Reader, State) error { return nil }),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_ = db.Stats()
}

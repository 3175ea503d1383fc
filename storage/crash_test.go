package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// crashes makes a copy of a table's folder at each point where a process may
// be ended: what a killed process leaves behind.
type crashes struct {
	t      testing.TB
	dir    string
	expect uint64 // index that a restart must find now
	found  []crash
	armed  bool
}

type crash struct {
	point  string
	dir    string
	expect uint64
}

func (c *crashes) hit(point string) {
	if !c.armed {
		return
	}
	to := memDir(c.t)
	copyFolder(c.t, c.dir, to)
	c.found = append(c.found, crash{point, to, c.expect})
}

// memDir gives a folder that goes away with the test, in memory where there is
// such a thing: these tests open hundreds of tables, and end no machine.
func memDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "parlor-storage-")
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

// memDB is an empty table in such a folder.
func memDB(t testing.TB) *DB {
	t.Helper()
	db := openDB(t, memDir(t), smallSteps)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return db
}

// copyFolder copies the files of a folder.
func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// crashWorld is a table that goes through all that changes files, with what
// it held at each index.
type crashWorld struct {
	crashes
	db   *DB
	want map[uint64]map[string]string
}

var smallSteps = Options{ClusterID: "g", GarbageBudget: 8, CompactBytes: -1, steps: steps{rows: 6, bytes: 1 << 20}, light: true, Logger: slog.New(slog.DiscardHandler)}

func newCrashWorld(t *testing.T) *crashWorld {
	w := &crashWorld{crashes: crashes{t: t, dir: memDir(t)}, want: map[uint64]map[string]string{0: {}}}
	opt := smallSteps
	opt.Crash = w.hit
	w.db = openDB(t, w.dir, opt)
	return w
}

// apply commits an entry: rows set, or deleted where the value is "-".
func (w *crashWorld) apply(index uint64, rows ...string) {
	b := w.db.Begin()
	for i := 0; i < len(rows); i += 2 {
		if rows[i+1] == "-" {
			b.Delete([]byte(rows[i]))
		} else {
			b.Set([]byte(rows[i]), []byte(rows[i+1]))
		}
	}
	b.Commit(State{Index: index, Term: 1, Clock: int64(index), Hash: Hash{Hi: index}})
	w.want[index] = commands(dbContents(w.t, w.db))
}

// commands gives what commands can see: it leaves out rows that garbage collection may remove at any time.
func commands(rows map[string]string) map[string]string {
	maps.DeleteFunc(rows, func(k, _ string) bool { return k[0] == garbagePrefix || k[0] == 'h' })
	return rows
}

// checkpoint writes one; a restart finds it from the point durable on.
func (w *crashWorld) checkpoint(durable string) {
	w.t.Helper()
	c, err := w.db.Freeze()
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Release()
	w.hit("frozen")
	after := c.State().Index
	w.db.opt.Crash = func(point string) {
		if point == durable {
			w.expect = after
		}
		w.hit(point)
	}
	if err := c.Write(Meta{Index: after, Term: 1}); err != nil {
		w.t.Fatal(err)
	}
	w.expect = after
	w.db.opt.Crash = w.hit
}

func many(from, to int, value string) (rows []string) {
	for i := from; i < to; i++ {
		rows = append(rows, fmt.Sprintf("k%03d", i), value)
	}
	return rows
}

// Whenever the process ends in the middle of a checkpoint, an installation or
// a compaction, the next start finds a whole table of before or of after, and
// of after as soon as it was on disk.
func TestCrashPoints(t *testing.T) {
	w := newCrashWorld(t)
	id := "\x00\x00\x00\x00\x00\x00\x00\x01"
	w.apply(1, many(0, 40, "one")...)
	w.apply(2, many(100, 130, strings.Repeat("large", 300))...)
	w.checkpoint("journal-named")
	w.armed = true

	w.apply(5, append(many(10, 60, "two"), many(0, 5, "-")...)...)
	w.checkpoint("journal-named") // many rows: a journal and many transactions
	w.apply(6, "k001", "few", "h"+id+"x", "row of an object", "h"+id+"y", "another")
	w.checkpoint("checkpoint-published") // few: one transaction
	w.apply(7, "g"+id, "h")
	w.checkpoint("checkpoint-published")
	w.apply(8, append(many(100, 101, "again"), "g"+strings.Repeat("\x02", 8), "h")...)
	w.checkpoint("checkpoint-published")
	w.db.collect() // what no checkpoint had time for

	steps := 0
	w.db.opt.Crash = func(point string) {
		w.hit(point)
		if point == "compaction-step" {
			steps++
		}
	}
	if _, err := w.db.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	if steps < 10 {
		t.Errorf("compacted in %d steps", steps)
	}
	w.apply(9, many(20, 80, "three")...)
	w.checkpoint("journal-named")

	sender := memDB(t)
	set(sender, 20, many(0, 10, "installed")...)
	checkpoint(t, sender)
	w.want[20] = dbContents(t, sender)
	data := sendAll(t, sender)
	w.apply(10, many(0, 20, "never written")...)
	w.db.opt.Crash = func(point string) {
		if point == "file-renamed" {
			w.expect = 20
		}
		w.hit(point)
	}
	install(t, w.db, data, nil)
	w.armed = false
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}

	seen := map[string]int{}
	for _, c := range w.found {
		seen[c.point]++
	}
	t.Logf("%d crashes: %v", len(w.found), seen)
	for _, point := range []string{
		"frozen", "checkpoint-begins", "journal-half", "journal-written", "journal-named", "checkpoint-step",
		"checkpoint-rows-written", "checkpoint-committed", "checkpoint-published",
		"compaction-begins", "compaction-step", "compaction-sealed", "compaction-published",
		"garbage-step", "install-checked", "install-begins", "file-renamed", "install-published",
	} {
		if seen[point] == 0 {
			t.Errorf("nothing passed point %q", point)
		}
	}
	for i, c := range w.found {
		// Of what is passed again and again, the first, the last and some.
		if n := seen[c.point]; n > 6 && i%(n/4) != 0 && i > 0 && i+1 < len(w.found) &&
			w.found[i-1].point == c.point && w.found[i+1].point == c.point {
			continue
		}
		w.restart(c, 2)
	}
}

// restart opens what a crash left, and crashes again while that is brought in
// order, depth times.
func (w *crashWorld) restart(c crash, depth int) {
	w.t.Helper()
	name := fmt.Sprintf("after %q at %d", c.point, c.expect)
	w.offline(name, c)
	again := &crashes{t: w.t, dir: c.dir, expect: c.expect, armed: depth > 0}
	opt := smallSteps
	opt.Crash = again.hit
	opt.Fatal = func(err error) { w.t.Errorf("%s: %v", name, err) }
	opt.MapSize = 1 << 30
	db, err := Open(c.dir, opt)
	if err != nil {
		w.t.Errorf("%s: %v", name, err)
		return
	}
	w.compare(name, db, c.expect)
	// What was unfinished is finished, and then the file alone has it all.
	data := sendAll(w.t, db)
	w.compare(name+", settled", db, c.expect)
	set(db, c.expect+100, "new", "row")
	checkpoint(w.t, db)
	if err := db.Close(); err != nil {
		w.t.Errorf("%s: %v", name, err)
	}
	to := memDB(w.t)
	install(w.t, to, data, nil)
	w.compare(name+", sent on", to, c.expect)
	left, _ := filepath.Glob(filepath.Join(c.dir, "*.tmp"))
	left = slices.DeleteFunc(left, func(path string) bool { return filepath.Base(path) == journalTempName })
	if len(left) > 0 {
		w.t.Errorf("%s: left behind: %v", name, left)
	}
	for i, c2 := range again.found {
		if c2.point == "checkpoint-begins" {
			break // of the new row
		}
		if i%7 == 2 {
			w.restart(crash{c.point + ", then " + c2.point, c2.dir, c.expect}, depth-1)
		}
	}
}

// offline compacts and checks a copy of what a crash left.
func (w *crashWorld) offline(name string, c crash) {
	w.t.Helper()
	dir := memDir(w.t)
	copyFolder(w.t, c.dir, dir)
	verify := func(r Reader, s State) error {
		if got := commands(contents(r)); s.Index != c.expect || !maps.Equal(got, w.want[c.expect]) {
			return fmt.Errorf("%d rows at index %d", len(got), s.Index)
		}
		return nil
	}
	for range 2 {
		r, err := Check(dir, CheckOptions{Verify: verify})
		if err != nil || len(r.Damage) > 0 {
			w.t.Errorf("%s: checked: %v, %+v", name, err, r)
		}
		if _, err := Compact(dir, CompactOptions{}); err != nil {
			w.t.Errorf("%s: compacting: %v", name, err)
		}
	}
}

func (w *crashWorld) compare(name string, db *DB, index uint64) {
	w.t.Helper()
	s, _ := db.Checkpointed()
	if s != db.State() || s.Index != index {
		w.t.Errorf("%s: index %d (%d)", name, s.Index, db.State().Index)
	}
	if got := commands(dbContents(w.t, db)); !maps.Equal(got, w.want[index]) {
		w.t.Errorf("%s: %d rows, want %d", name, len(got), len(w.want[index]))
	}
}

// unfinished gives the folder of a process that was killed in the middle of a
// checkpoint, at index 2.
func unfinished(t *testing.T) string {
	w := newCrashWorld(t)
	w.apply(1, many(0, 40, "one")...)
	w.checkpoint("journal-named")
	w.apply(2, many(20, 60, "two")...)
	w.armed = true
	w.checkpoint("journal-named")
	w.armed = false
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	steps := slices.DeleteFunc(w.found, func(c crash) bool { return c.point != "checkpoint-step" })
	return steps[len(steps)/2].dir
}

// Part of a checkpoint without the rest is no table. That is said, and nothing
// is changed.
func TestUnfinishedCheckpointWithoutItsJournal(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"cut": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return os.Truncate(path, info.Size()-1)
		},
		"flipped": func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			data[len(data)/2] ^= 1
			return os.WriteFile(path, data, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := unfinished(t)
			s, err := Inspect(dir)
			if err != nil || s.Unfinished != 2 || s.UnfinishedBytes == 0 || s.State.Index != 2 {
				t.Fatalf("inspected: %v %+v", err, s)
			}
			if err := spoil(filepath.Join(dir, journalName)); err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{
				func() error { _, err := Open(dir, Options{MapSize: 1 << 30}); return err }(),
				func() error { _, err := Check(dir, CheckOptions{}); return err }(),
				func() error { _, err := Compact(dir, CompactOptions{}); return err }(),
			} {
				if err == nil || !strings.Contains(err.Error(), "part of checkpoint 2") {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

// The next journal is written over the one before, and is whole whichever of the
// two is longer.
func TestAJournalIsWrittenOverTheOneBefore(t *testing.T) {
	dir := memDir(t)
	opt := smallSteps
	journals := 0
	opt.Crash = func(point string) {
		if point != "journal-named" {
			return
		}
		journals++
		if j, err := readJournal(filepath.Join(dir, journalName)); err != nil || j.state.Index != uint64(journals) {
			t.Errorf("journal %d: %+v, %v", journals, j, err)
		}
		_, err := os.Stat(filepath.Join(dir, journalTempName))
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("journal %d is beside another one: %v", journals, err)
		}
	}
	db := openDB(t, dir, opt)
	defer db.Close()
	var first os.FileInfo
	for i, rows := range []int{20, 60, 10, 30} {
		var pairs []string
		for k := range rows {
			pairs = append(pairs, fmt.Sprintf("key%02d", k), fmt.Sprintf("value of %d", i))
		}
		set(db, uint64(i+1), pairs...)
		checkpoint(t, db)
		served, err := os.Stat(filepath.Join(dir, journalTempName))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = served
		}
		if !os.SameFile(first, served) {
			t.Errorf("journal %d is not in the file of the first", i+1)
		}
	}
	if journals != 4 {
		t.Errorf("%d checkpoints had a journal", journals)
	}
}

// A journal that is whole counts only for the data file that it was made for.
func TestJournalOfAnotherFile(t *testing.T) {
	dir, other := unfinished(t), memDir(t)
	db := openDB(t, other, smallSteps)
	set(db, 1, "mine", "row")
	checkpoint(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, journalName))
	if err == nil {
		err = os.WriteFile(filepath.Join(other, journalName), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	db = openDB(t, other, smallSteps)
	defer db.Close()
	if got := dbContents(t, db); !maps.Equal(got, map[string]string{"mine": "row"}) || db.State().Index != 1 {
		t.Errorf("rows %v at %d", got, db.State().Index)
	}
	if _, err := os.Stat(filepath.Join(other, journalName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the journal is still there: %v", err)
	}
}

// A snapshot that comes while a checkpoint is being finished replaces it, as
// the table it belongs to.
func TestInstallWhileFinishing(t *testing.T) {
	dir := unfinished(t)
	sender := memDB(t)
	set(sender, 50, "new", "table")
	checkpoint(t, sender)
	data := sendAll(t, sender)
	opt := smallSteps
	opt.MapSize = 1 << 30
	reached, goOn := make(chan struct{}), make(chan struct{})
	opt.Crash = func(point string) {
		if point == "checkpoint-step" {
			select {
			case reached <- struct{}{}:
				<-goOn
			case <-goOn:
			}
		}
	}
	opt.Fatal = func(err error) { t.Error(err) }
	db, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	<-reached
	in, err := receive(db, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	installed := make(chan error, 1)
	go func() { installed <- db.Install(in) }()
	for db.installing.Load() == 0 {
		if len(installed) > 0 {
			t.Fatalf("it did not wait: %v", <-installed)
		}
	}
	close(goOn)
	if err := <-installed; err != nil {
		t.Fatal(err)
	}
	if got := dbContents(t, db); !maps.Equal(got, map[string]string{"new": "table"}) {
		t.Errorf("rows %v", got)
	}
	s, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := io.Copy(io.Discard, s); err != nil {
		t.Error(err)
	}
}

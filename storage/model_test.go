package storage

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sort"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// openDB opens a table in dir that fails the test on a storage error.
func openDB(t testing.TB, dir string, opt Options) *DB {
	t.Helper()
	if opt.Fatal == nil {
		opt.Fatal = func(err error) { t.Errorf("storage error: %v", err) }
	}
	opt.MapSize = 1 << 30
	db, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// tempDB opens an empty table that goes away with the test.
func tempDB(t testing.TB, opt Options) *DB {
	t.Helper()
	db := openDB(t, t.TempDir(), opt)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return db
}

// set commits rows, given as keys and values in turn, at an index.
func set(db *DB, index uint64, rows ...string) {
	b := db.Begin()
	for i := 0; i < len(rows); i += 2 {
		b.Set([]byte(rows[i]), []byte(rows[i+1]))
	}
	b.Commit(State{Index: index, Term: 1, Clock: int64(index)})
}

// checkpoint writes everything to the data file.
func checkpoint(t testing.TB, db *DB) {
	t.Helper()
	c, err := db.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	if err := c.Write(Meta{Index: c.State().Index, Term: c.State().Term}); err != nil {
		t.Fatal(err)
	}
}

// contents gives all rows of a Reader.
func contents(r Reader) map[string]string {
	m := map[string]string{}
	r.Ascend(nil, nil, func(k, v []byte) bool {
		m[string(k)] = string(v)
		return true
	})
	return m
}

func dbContents(t testing.TB, db *DB) map[string]string {
	t.Helper()
	var m map[string]string
	if err := db.View(func(r Reader, _ State) error { m = contents(r); return nil }); err != nil {
		t.Fatal(err)
	}
	return m
}

// machine compares a DB with a plain map.
type machine struct {
	dir     string
	db      *DB
	index   uint64
	rows    map[string]string // what readers must see
	durable map[string]string // what a restart must find
	at      uint64            // the index of durable

	open       *Checkpoint
	frozen     map[string]string
	frozenAt   uint64
	stale      bool
	long       *Snapshot // a reader that stays
	longRows   map[string]string
	sent       []byte // a snapshot taken earlier
	sentRows   map[string]string
	copying    *rowCopy // a compaction that is under way
	failures   []error
	t          testing.TB
	crashMu    sync.Mutex // points are passed by goroutines of the table, too
	crashIn    int        // crash at the so-manieth point from now
	crashed    string     // the folder then
	objects    int        // that had a run
	keyOf      *rapid.Generator[string]
	valueOf    *rapid.Generator[string]
	boundaryOf *rapid.Generator[string]
}

// modelKey gives keys on several shelves, some of which begin as others do.
func modelKey(n int) string {
	return string("acf\xff"[n%4]) + "one-beginning"[:n%7*2] + fmt.Sprintf("%02d", n)[n%2:]
}

// runKey gives keys of objects that are written in runs, on shelves that others
// are on, too.
func runKey(object, n int) string {
	return fmt.Sprintf("%c%08d%d", "cf"[object%2], object, n)
}

func newMachine(tb testing.TB, t *rapid.T) *machine {
	dir := memDir(tb)
	m := &machine{
		t: tb, dir: dir, rows: map[string]string{}, durable: map[string]string{},
		// Few keys, so that layers hide one another.
		valueOf: rapid.StringN(0, 8, 40),
	}
	key := func(n int) string {
		if n > 40 {
			return runKey(max(m.objects-n%3, 0), n%8)
		}
		return modelKey(n)
	}
	m.keyOf = rapid.Map(rapid.IntRange(0, 60), key)
	m.boundaryOf = rapid.Map(rapid.IntRange(0, 124), func(n int) string { return key(n/2) + "\x00"[:n%2] })
	m.reopen(t)
	return m
}

func (m *machine) reopen(t *rapid.T) {
	opt := Options{
		ClusterID: "model", MapSize: 1 << 30, CompactBytes: -1, light: true, Logger: slog.New(slog.DiscardHandler),
		Fatal: func(err error) { m.failures = append(m.failures, err) },
		Crash: m.point, LookedUp: "acf",
	}
	// Few rows at a time, so that most checkpoints take many transactions.
	opt.leastRun = 2
	opt.manyRows = rapid.SampledFrom([]int{2, 5, manyRows}).Draw(t, "changes that make a list")
	opt.leastGap = rapid.IntRange(1, 3).Draw(t, "deleted rows in a gap")
	opt.steps.rows = rapid.IntRange(1, 20).Draw(t, "rows in a transaction")
	db, err := Open(m.dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	m.db = db
}

// point leaves a copy of the folder at the point that was chosen.
func (m *machine) point(string) {
	m.crashMu.Lock()
	defer m.crashMu.Unlock()
	if m.crashIn--; m.crashIn == 0 {
		m.crashed = m.dir + "-crashed"
		if err := os.Mkdir(m.crashed, 0o700); err != nil {
			m.t.Fatal(err)
		}
		copyFolder(m.t, m.dir, m.crashed)
	}
}

func (m *machine) closeReaders() {
	if m.long != nil {
		m.long.Close()
		m.long = nil
	}
	if m.open != nil {
		m.open.Release()
		m.open = nil
	}
	if m.copying != nil {
		m.db.giveUpCopy(m.copying)
		m.copying = nil
	}
}

func (m *machine) end(t *rapid.T) {
	m.closeReaders()
	if err := m.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{m.dir, m.dir + "-crashed"} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// Batch applies random changes, takes some back, and commits or aborts.
func (m *machine) Batch(t *rapid.T) {
	b := m.db.Begin()
	ended := false
	defer func() { // drawing may panic
		if !ended {
			b.Abort()
		}
	}()
	rows := maps.Clone(m.rows)
	var marks []Mark
	var saved []map[string]string
	for range rapid.IntRange(0, 30).Draw(t, "changes") {
		switch k := m.keyOf.Draw(t, "key"); rapid.IntRange(0, 11).Draw(t, "what") {
		case 0, 1, 2, 3, 4:
			v := m.valueOf.Draw(t, "value")
			b.Set([]byte(k), []byte(v))
			rows[k] = v
		case 5, 6, 7:
			b.Delete([]byte(k))
			delete(rows, k)
		case 8:
			marks, saved = append(marks, b.Mark()), append(saved, maps.Clone(rows))
		case 9:
			m.objects++
			var run []Row
			for i := range 8 {
				if rapid.Bool().Draw(t, "in the run") {
					k, v := runKey(m.objects, i), m.valueOf.Draw(t, "value")
					run = append(run, Row{[]byte(k), []byte(v)})
					rows[k] = v
				}
			}
			b.SetRun(run)
		case 10:
			if n := len(marks) - 1; n >= 0 {
				b.RollbackTo(marks[n])
				rows = saved[n]
				marks, saved = marks[:n], saved[:n]
			}
		case 11: // gaps that are found here may go with what is taken back
			m.compare(t, b, rows)
		}
	}
	m.compare(t, b, rows)
	if rapid.IntRange(0, 4).Draw(t, "abort") == 0 {
		return
	}
	m.index++
	ended = true
	b.Commit(State{Index: m.index, Term: 1, Clock: int64(m.index)})
	m.rows = rows
}

// Compact begins a compaction or takes its next step: others come in between.
func (m *machine) Compact(t *rapid.T) {
	var err error
	if m.copying == nil {
		<-m.db.settled // as whoever begins one has to wait
		if m.copying, err = m.db.beginCopy(); err != nil {
			t.Fatal(err)
		}
		return
	}
	_, done, err := m.db.copyOn(m.copying)
	if err != nil {
		if m.db.copying == m.copying {
			t.Fatal(err)
		}
		done = true // a snapshot was installed meanwhile
	}
	if done {
		m.copying = nil
	}
}

// Crash goes on with what a checkpoint, or a start after one, would have left
// behind had it ended at some point.
func (m *machine) Crash(t *rapid.T) {
	m.crashMu.Lock()
	m.crashIn = rapid.IntRange(1, 15).Draw(t, "points")
	m.crashMu.Unlock()
	before, at := m.durable, m.at
	if m.open == nil {
		m.Freeze(t)
	}
	m.WriteCheckpoint(t)
	m.closeReaders()
	if err := m.db.Close(); err != nil {
		t.Fatal(err)
	}
	m.crashMu.Lock()
	m.crashIn = 0
	crashed := m.crashed
	m.crashed = ""
	m.crashMu.Unlock()
	if crashed != "" {
		if err := os.RemoveAll(m.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(crashed, m.dir); err != nil {
			t.Fatal(err)
		}
	}
	m.reopen(t)
	if s := m.db.State(); s.Index != m.at {
		if crashed == "" || s.Index != at {
			t.Fatalf("index %d after a crash, want %d or %d", s.Index, at, m.at)
		}
		m.durable, m.at = before, at
	}
	m.rows = maps.Clone(m.durable)
}

func (m *machine) Freeze(t *rapid.T) {
	<-m.db.settled // after a crash the table finishes its checkpoint first
	c, err := m.db.Freeze()
	if m.open != nil && !m.stale {
		if err == nil {
			t.Fatal("two checkpoints at a time")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if m.open != nil {
		m.open.Release() // stale
	}
	m.open, m.frozen, m.frozenAt, m.stale = c, maps.Clone(m.rows), c.State().Index, false
}

func (m *machine) WriteCheckpoint(t *rapid.T) {
	if m.open == nil {
		t.Skip("nothing frozen")
	}
	err := m.open.Write(Meta{Index: m.frozenAt + 1, Term: 1, Config: []byte("config"), ConfigIndex: 1})
	switch {
	case m.stale && err == nil:
		t.Fatal("a stale checkpoint was written")
	case !m.stale && err != nil:
		t.Fatal(err)
	case err == nil:
		m.durable, m.at = m.frozen, m.frozenAt
		m.index = max(m.index, m.frozenAt+1)
	}
	m.open.Release()
	m.open = nil
}

func (m *machine) GiveUpCheckpoint(t *rapid.T) {
	if m.open == nil {
		t.Skip("nothing frozen")
	}
	m.open.Release()
	m.open = nil
}

// Restart loses what no checkpoint holds.
func (m *machine) Restart(t *rapid.T) {
	m.closeReaders()
	if err := m.db.Close(); err != nil {
		t.Fatal(err)
	}
	m.reopen(t)
	m.rows = maps.Clone(m.durable)
	if s := m.db.State(); s.Index != m.at {
		t.Fatalf("index %d after a restart, want %d", s.Index, m.at)
	}
}

func (m *machine) Send(t *rapid.T) {
	s, err := m.db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if m.sent, err = io.ReadAll(s); err != nil {
		t.Fatal(err)
	}
	if int64(len(m.sent)) != s.Size() {
		t.Fatalf("%d bytes, announced %d", len(m.sent), s.Size())
	}
	m.sentRows = maps.Clone(m.durable)
}

func (m *machine) Install(t *rapid.T) {
	if m.sent == nil {
		t.Skip("nothing sent")
	}
	in, err := m.db.Receive()
	if err != nil {
		t.Fatal(err)
	}
	for rest := m.sent; len(rest) > 0; {
		n := min(rapid.IntRange(1, 3*int(trailerSize)).Draw(t, "piece")*rapid.SampledFrom([]int{1, 500}).Draw(t, "scale"), len(rest))
		if _, err := in.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	m.index += 10
	if err := in.Finish(&Meta{Index: m.index, Term: 1}); err != nil {
		t.Fatal(err)
	}
	if rapid.IntRange(0, 3).Draw(t, "discard") == 0 {
		if err := in.Discard(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := m.db.Install(in); err != nil {
		t.Fatal(err)
	}
	m.rows, m.durable, m.at = maps.Clone(m.sentRows), maps.Clone(m.sentRows), m.index
	m.stale = true
}

func (m *machine) LongRead(t *rapid.T) {
	if m.long == nil {
		s, err := m.db.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		m.long, m.longRows = s, maps.Clone(m.rows)
		return
	}
	m.compare(t, m.long, m.longRows)
	m.long.Close()
	m.long = nil
}

// "" is called after each step.
func (m *machine) Check(t *rapid.T) {
	if len(m.failures) > 0 {
		t.Fatalf("storage errors: %v", m.failures)
	}
	err := m.db.View(func(r Reader, s State) error {
		m.compare(t, r, m.rows)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// compare reads a random range both ways, all keys there may be, and a random one.
func (m *machine) compare(t *rapid.T, r Reader, want map[string]string) {
	if got := contents(r); !maps.Equal(got, want) {
		t.Fatalf("rows %v, want %v", got, want)
	}
	keys := []string{m.keyOf.Draw(t, "get")}
	for n := range 41 {
		keys = append(keys, modelKey(n))
	}
	for n := range 24 {
		keys = append(keys, runKey(max(m.objects-n/8, 0), n%8))
	}
	for _, key := range keys {
		got, ok := r.Get([]byte(key))
		if v, there := want[key]; ok != there || string(got) != v {
			t.Fatalf("Get(%q) = %q %v, want %q %v", key, got, ok, v, there)
		}
	}
	from, to := []byte(m.boundaryOf.Draw(t, "from")), []byte(m.boundaryOf.Draw(t, "to"))
	if rapid.IntRange(0, 5).Draw(t, "open") == 0 {
		from, to = nil, nil
	}
	limit := rapid.IntRange(1, 50).Draw(t, "limit")
	keys = slices.Collect(maps.Keys(want))
	keys = slices.DeleteFunc(keys, func(k string) bool {
		return k < string(from) || to != nil && k >= string(to)
	})
	sort.Strings(keys)
	most := rapid.IntRange(1, 6).Draw(t, "passed in a hurry")
	l, hurries := r.(*live)
	if hurries {
		compareHurried(t, keys, limit, func(fn func(k, v []byte) bool) bool { return l.ascend(from, to, walk{most: most}, fn) })
	}
	compareWalk(t, "ascending", keys, want, limit, func(fn func(k, v []byte) bool) { r.Ascend(from, to, fn) })
	slices.Reverse(keys)
	if hurries {
		compareHurried(t, keys, limit, func(fn func(k, v []byte) bool) bool { return l.descend(from, to, walk{most: most}, fn) })
	}
	compareWalk(t, "descending", keys, want, limit, func(fn func(k, v []byte) bool) { r.Descend(from, to, fn) })
}

// compareHurried walks a few times, as each time more of the deleted rows may be
// known.
func compareHurried(t *rapid.T, keys []string, limit int, walk func(func(k, v []byte) bool) (done bool)) {
	keys = keys[:min(limit, len(keys))]
	for range 4 {
		var got []string
		done := walk(func(k, _ []byte) bool {
			got = append(got, string(k))
			return len(got) < limit
		})
		if len(got) > len(keys) || !slices.Equal(got, keys[:len(got)]) || done && len(got) < len(keys) {
			t.Fatalf("in a hurry: keys %q, want %q or the first of them", got, keys)
		}
	}
}

func compareWalk(t *rapid.T, what string, keys []string, want map[string]string, limit int, walk func(func(k, v []byte) bool)) {
	var got []string
	walk(func(k, v []byte) bool {
		if !bytes.Equal(v, []byte(want[string(k)])) {
			t.Fatalf("%s: %q has value %q, want %q", what, k, v, want[string(k)])
		}
		got = append(got, string(k))
		return len(got) < limit
	})
	if keys = keys[:min(limit, len(keys))]; !slices.Equal(got, keys) {
		t.Fatalf("%s: keys %q, want %q", what, got, keys)
	}
}

// The table is a sorted map, whatever is frozen, written, given up, installed
// or restarted in between.
func TestTableIsASortedMap(tb *testing.T) {
	rapid.Check(tb, func(t *rapid.T) {
		m := newMachine(tb, t)
		defer m.end(t)
		t.Repeat(map[string]func(*rapid.T){
			"batch": m.Batch, "batch again": m.Batch, "batch once more": m.Batch,
			"freeze": m.Freeze, "write": m.WriteCheckpoint, "give up": m.GiveUpCheckpoint,
			"compact": m.Compact, "compact on": m.Compact, "crash": m.Crash,
			"restart": m.Restart, "send": m.Send, "install": m.Install, "long read": m.LongRead,
			"": m.Check,
		})
	})
}

package storage

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

// waste makes objects and rooms of rows, and leaves them.
type waste struct {
	db    *DB
	index uint64
	rows  map[string]string // that stay
}

func objectID(n int) string { return fmt.Sprintf("%08d", n) }

func (w *waste) set(rows ...string) {
	w.index++
	set(w.db, w.index, rows...)
}

// object makes an object of n rows of two kinds; it is garbage when its row is
// written that the result gives.
func (w *waste) object(id, n int) (left []string) {
	rows := make([]string, 0, 2*n)
	for i := range n {
		kind := "h"
		if i%3 == 0 {
			kind = "e"
		}
		rows = append(rows, kind+objectID(id)+fmt.Sprintf("%06d", i), "value")
	}
	w.set(rows...)
	return []string{"g" + objectID(id), "eh"}
}

// room makes a room of n keys, every fifth of which has an object of 10 rows.
func (w *waste) room(number byte, n int) (left []string) {
	rows := make([]string, 0, 4*n)
	for i := range n {
		owned := ""
		if i%5 == 0 {
			id := int(number)*1_000_000 + i
			w.object(id, 10)
			owned = "eh" + objectID(id)
		}
		rows = append(rows, "k"+string(number)+fmt.Sprint(i), owned, "m"+string(number)+fmt.Sprint(i), "value of the key")
	}
	w.set(rows...)
	return []string{"r" + string(number), "kmtw"}
}

// keep makes rows that stay, around those that go.
func (w *waste) keep() {
	w.rows = map[string]string{}
	var rows []string
	for _, prefix := range []string{"a", "e" + objectID(0), "e" + objectID(999_999_99), "h" + objectID(0), "k\x01", "m\x01", "m\xf0", "z"} {
		for i := range 10 {
			k := prefix + fmt.Sprint(i)
			w.rows[k] = "stays"
			rows = append(rows, k, "stays")
		}
	}
	w.set(rows...)
}

func (w *waste) check(t *testing.T) {
	t.Helper()
	if got := dbContents(t, w.db); !maps.Equal(got, w.rows) {
		t.Errorf("%d rows are left, want %d", len(got), len(w.rows))
	}
}

// wait waits until no garbage is left.
func (w *waste) wait(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		w.db.disk.Lock()
		collecting := w.db.collecting
		w.db.disk.Unlock()
		if !collecting {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("garbage is left")
		}
		time.Sleep(time.Millisecond)
	}
}

// What was deleted at once goes without another checkpoint, after a restart
// too, and nothing else goes.
func TestGarbageGoesInTheBackground(t *testing.T) {
	dir := memDir(t)
	opt := Options{LookedUp: "ehkm", CompactBytes: -1, steps: steps{rows: 64, bytes: 1 << 20}, light: true, Logger: slog.New(slog.DiscardHandler)}
	w := &waste{db: openDB(t, dir, opt)}
	w.keep()
	object, room := w.object(5, 10_000), w.room('!', 5000)
	checkpoint(t, w.db)
	w.set(object...)
	checkpoint(t, w.db) // one row, and one row of garbage
	w.wait(t)
	for i := range 10_000 {
		for _, kind := range "eh" {
			if _, ok := w.db.recent.get(fmt.Appendf(nil, "%c%s%06d", kind, objectID(5), i)); ok {
				t.Fatalf("row %d of an object that is gone is kept", i)
			}
		}
	}
	w.set(room...)
	checkpoint(t, w.db)
	if err := w.db.Close(); err != nil { // wherever that comes to
		t.Fatal(err)
	}
	w.db = openDB(t, dir, opt)
	defer w.db.Close()
	w.wait(t)
	w.check(t)
	if s := w.db.Stats(); s.GarbageLeft {
		t.Errorf("stats %+v", s)
	}
}

// However often everything is deleted, the file does not grow: neither with a
// goroutine that removes garbage nor by checkpoints alone, when they follow
// each other.
func TestFileIsBoundedByData(t *testing.T) {
	for name, rest := range map[string]bool{"with time in between": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			w := &waste{db: openDB(t, memDir(t), Options{
				CompactBytes: -1, steps: steps{rows: 256, bytes: 1 << 20}, light: true, Logger: slog.New(slog.DiscardHandler),
			})}
			defer w.db.Close()
			w.db.hasty.Add(1) // no breaks
			var first int64
			var left []string
			for round := range 12 {
				w.set(left...)
				left = w.room(byte('A'+round), 3000)
				checkpoint(t, w.db)
				if rest {
					w.wait(t)
				}
				if round == 0 {
					first = w.db.Stats().FileBytes
				}
			}
			if now := w.db.Stats().FileBytes; now > 4*first {
				t.Errorf("the file has grown from %d to %d bytes", first, now)
			}
		})
	}
}

// A compaction that meets garbage takes none of it for rows, whatever of it was
// copied before it was removed.
func TestGarbageBesideACompaction(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		opt := smallSteps
		opt.GarbageBudget = 1 + r.IntN(60)
		w := &waste{db: openDB(t, memDir(t), opt)}
		w.keep()
		left := w.object(1, 200)
		left = append(left, w.object(3, 100)...)
		left = append(left, w.room('!', 60)...)
		checkpoint(t, w.db)
		var c *rowCopy
		for done := false; !done; {
			var err error
			switch n := r.IntN(10); {
			case n == 0 && len(left) > 0:
				w.set(left[:2]...)
				left = left[2:]
			case n == 1:
				checkpoint(t, w.db)
			case n < 5:
				w.db.collect()
			case c == nil:
				c, err = w.db.beginCopy()
			default:
				_, done, err = w.db.copyOn(c)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		w.set(append(left, "zz", "x")...)
		w.rows["zz"] = "x"
		checkpoint(t, w.db)
		for more := true; more; {
			_, more = w.db.collect()
		}
		w.check(t)
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

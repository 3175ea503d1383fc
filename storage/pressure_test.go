package storage

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// freezeBetween freezes the table between so many rows and later ones, all large.
func freezeBetween(t *testing.T, db *DB, rows, later, large int) *Checkpoint {
	t.Helper()
	for i := range rows {
		set(db, uint64(i+1), fmt.Sprintf("key %02d", i), strings.Repeat("x", large))
	}
	c, err := db.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	for i := range later {
		set(db, uint64(rows+i+1), fmt.Sprintf("later %02d", i), strings.Repeat("y", large))
	}
	return c
}

// Writers who soon wait for the end of a checkpoint get it sooner: large rows
// that share a leaf of the data file are written together, once instead of each
// time that one of them comes.
func TestUnderPressureLargeRowsShareTransactions(t *testing.T) {
	const large, rows = 64 << 10, 32
	run := func(t *testing.T, meanwhile, hard int) (written, free int) {
		db := tempDB(t, Options{
			OverlayBudget: 2 * rows * large, OverlayHard: int64(hard) * large, CompactBytes: -1, steps: steps{bytes: large},
			Crash: func(point string) {
				if point == "checkpoint-step" {
					written++
				}
			},
		})
		c := freezeBetween(t, db, rows, meanwhile, large)
		defer c.Release()
		if err := c.Write(Meta{Index: rows}); err != nil {
			t.Fatal(err)
		}
		s := db.Stats()
		return written, s.FreePages + s.PendingPages
	}
	quietWritten, quietFree := run(t, 0, 4*rows)
	if quietWritten < rows {
		t.Errorf("%d rows were written in %d transactions while nobody waited: the disk is kept busy for long", rows, quietWritten)
	}
	for name, press := range map[string]func() (int, int){
		"half of the budget was written":   func() (int, int) { return run(t, rows+1, 4*rows) },
		"half of what is left was written": func() (int, int) { return run(t, 5, rows+8) },
	} {
		written, free := press()
		if written > rows/hasteFactor+2 {
			t.Errorf("%s: %d rows took %d transactions", name, rows, written)
		}
		if free > quietFree/2 {
			t.Errorf("%s: %d pages were written in vain, %d in a transaction for each row", name, free, quietFree)
		}
	}
}

// A compaction takes the disk from the checkpoints that writers wait for, and
// finds most of the free pages in use again when it is done: it begins after
// them.
func TestUnderPressureNothingIsCompacted(t *testing.T) {
	const large = 64 << 10
	db := tempDB(t, Options{OverlayBudget: 1 << 20, CompactBytes: 2 << 20})
	value := strings.Repeat("x", large)
	index := uint64(0)
	for i := range 64 {
		index++
		set(db, index, fmt.Sprintf("key %02d", i), value)
	}
	checkpoint(t, db)
	b := db.Begin()
	for i := range 64 {
		b.Delete(fmt.Appendf(nil, "key %02d", i))
	}
	index++
	b.Commit(State{Index: index, Term: 1})

	c, err := db.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		index++
		set(db, index, fmt.Sprintf("later %02d", i), value)
	}
	if err := c.Write(Meta{Index: c.State().Index}); err != nil {
		t.Fatal(err)
	}
	c.Release()
	if s := db.Stats(); s.Compacting || s.Compactions > 0 || s.FreePages+s.PendingPages == 0 {
		t.Errorf("beside writes that fill the budget: %+v", s)
	}
	checkpoint(t, db)
	for end := time.Now().Add(20 * time.Second); db.Stats().Compactions == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nothing was compacted after it: %+v", db.Stats())
		}
	}
}

// Writers who take the room that is left faster than the checkpoint gets on are told
// to wait, and until it has caught up only; those who do not are left alone.
func TestWritersDoNotOutrunACheckpoint(t *testing.T) {
	const large, rows = 64 << 10, 64
	run := func(t *testing.T, meanwhile int) (told []bool) {
		var db *DB
		var writing atomic.Bool
		db = tempDB(t, Options{
			OverlayBudget: 2 * rows * large, OverlayHard: 4 * rows * large, CompactBytes: -1, steps: steps{bytes: large / hasteFactor},
			Crash: func(point string) {
				if writing.Load() && (strings.HasPrefix(point, "journal") || strings.HasPrefix(point, "checkpoint")) {
					told = append(told, db.Outrun())
				}
			},
		})
		c := freezeBetween(t, db, rows, meanwhile, large)
		defer c.Release()
		writing.Store(true)
		if err := c.Write(Meta{Index: rows}); err != nil {
			t.Fatal(err)
		}
		writing.Store(false)
		if db.Outrun() {
			t.Error("writers are told to wait for a checkpoint that is done")
		}
		return told
	}
	for _, told := range run(t, rows*9/8) {
		if told {
			t.Error("writers wait who have taken less than the checkpoint left them")
		}
	}
	told := run(t, 2*rows)
	waited := 0
	for waited < len(told) && told[waited] {
		waited++
	}
	if waited < 4 || waited > len(told)-4 {
		t.Errorf("writers waited at the first %d of %d points of a checkpoint", waited, len(told))
	}
	for _, again := range told[waited:] {
		if again {
			t.Error("writers wait again who have written nothing since")
		}
	}
}

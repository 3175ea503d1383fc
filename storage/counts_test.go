package storage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// sameAsWalked compares what a Reader that counts says with what it walks, and
// says whether it knew.
func sameAsWalked(r Reader, prefix string, key []byte, n int64) (known bool, err error) {
	c := r.(Counter)
	before, known := c.Before([]byte(prefix), key)
	at, knownAt := c.At([]byte(prefix), n)
	if !known || !knownAt { // somebody else may have counted it in between
		return false, nil
	}
	var wantBefore, i int64
	var wantAt []byte
	r.Ascend([]byte(prefix), EndOf([]byte(prefix)), func(k, _ []byte) bool {
		if bytes.Compare(k, key) < 0 {
			wantBefore++
		}
		if i == n {
			wantAt = bytes.Clone(k)
		}
		i++
		return true
	})
	if before != wantBefore || !bytes.Equal(at, wantAt) {
		return true, fmt.Errorf("of %d rows that begin with %q %d are before %q, want %d; row %d is %q, want %q",
			i, prefix, before, key, wantBefore, n, at, wantAt)
	}
	return true, nil
}

// However a range is written to, taken back, frozen, read and replaced, what is
// counted is what a walk finds.
func TestCountsAreWhatAWalkFinds(t *testing.T) {
	for seed := range uint64(3) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		db := tempDB(t, Options{})
		key := func() []byte {
			return fmt.Appendf(nil, "%s%04d", []string{"z1", "z2", "y"}[rnd.IntN(3)], rnd.IntN(1+rnd.IntN(9000)))
		}
		write := func(rows int) {
			b := db.Begin()
			for range rows {
				if k := key(); rnd.IntN(5) < 3 {
					b.Set(k, []byte("v"))
				} else {
					b.Delete(k)
				}
			}
		}
		end := func() {
			b := &db.batch
			switch rnd.IntN(8) {
			case 0:
				b.Abort()
				return
			case 1:
				mark := Mark(rnd.IntN(len(b.undo) + 1))
				b.RollbackTo(mark)
			}
			b.Commit(State{Index: db.state.Index + 1, Term: 1})
		}
		knew, asked := 0, 0
		ask := func(by func(func(Reader, State) error) error) {
			t.Helper()
			for _, prefix := range []string{"z1", "z2"} {
				k := key()
				if !bytes.HasPrefix(k, []byte(prefix)) {
					k = []byte(prefix)
				}
				if err := by(func(r Reader, _ State) error {
					known, err := sameAsWalked(r, prefix, k, int64(rnd.IntN(3000)))
					if asked++; known {
						knew++
					}
					return err
				}); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
		var open []*Snapshot
		defer func() { // also of a test that fails
			for _, s := range open {
				s.Close()
			}
		}()
		for range 400 {
			write(1 + rnd.IntN(200))
			end()
			switch rnd.IntN(12) {
			case 0, 1, 2:
				ask(db.View)
			case 3:
				ask(db.Walk)
			case 4:
				s, err := db.snapshot(true)
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, s)
			case 5:
				if len(open) > 0 {
					s := open[0]
					open = open[1:]
					if rnd.IntN(3) > 0 { // else it never counts what it was to count
						ask(func(fn func(Reader, State) error) error { return fn(s, s.State()) })
					}
					s.Close()
				}
			case 6:
				checkpoint(t, db)
			case 7:
				c, err := db.Freeze()
				if err != nil {
					t.Fatal(err)
				}
				write(50)
				end()
				ask(db.View)
				c.Release() // given up
				ask(db.View)
			}
		}
		for _, s := range open {
			s.Close()
		}
		open = nil
		if knew < asked/4 {
			t.Errorf("seed %d: %d of %d answers were known", seed, knew, asked)
		}
		if n := len(db.counts.begun); n != 0 {
			t.Errorf("seed %d: %d ranges are still being counted", seed, n)
		}
		for _, r := range db.counts.ready {
			if len(r.bounds) != len(r.sizes) || !slices.IsSortedFunc(r.bounds, bytes.Compare) || slices.ContainsFunc(r.sizes, func(n int64) bool { return n < 0 }) {
				t.Errorf("seed %d: the pieces of %q are %q, %d", seed, r.prefix, r.bounds, r.sizes)
			}
			sums, rows := slices.Clone(r.sums), r.rows
			if r.sum(); !slices.Equal(sums, r.sums) || rows != r.rows {
				t.Errorf("seed %d: the sums of %q are %d and %d, want %d and %d", seed, r.prefix, sums, rows, r.sums, r.rows)
			}
		}
	}
}

// Counting goes on beside writers and other readers. Run it with -race.
func TestCountingBesideWriters(t *testing.T) {
	db := tempDB(t, Options{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		read := db.View
		if i == 0 {
			read = db.Walk
		}
		rnd := rand.New(rand.NewPCG(uint64(i), 2))
		again(t, &wg, stop, func() error {
			prefix := []string{"z1", "z2"}[rnd.IntN(2)]
			return read(func(r Reader, _ State) error {
				_, err := sameAsWalked(r, prefix, fmt.Appendf(nil, "%s%04d", prefix, rnd.IntN(5000)), int64(rnd.IntN(4000)))
				return err
			})
		})
	}
	rnd := rand.New(rand.NewPCG(9, 9))
	for i := range 300 {
		b := db.Begin()
		for range 60 {
			k := fmt.Appendf(nil, "z%d%04d", 1+rnd.IntN(2), rnd.IntN(5000))
			if rnd.IntN(4) == 0 {
				b.Delete(k)
			} else {
				b.Set(k, []byte("v"))
			}
		}
		b.Commit(State{Index: uint64(i + 1)})
		if i%100 == 50 {
			checkpoint(t, db)
		}
	}
	close(stop)
	wg.Wait()
}

// A range of many pieces grows and shrinks all over: what is known of it stays right,
// from its first row to its last.
func TestCountsOfALongRange(t *testing.T) {
	db := tempDB(t, Options{})
	rnd := rand.New(rand.NewPCG(1, 2))
	const most = 3 * sumPieces * pieceRows
	known := 0
	for round := range uint64(12) {
		b := db.Begin()
		for range most / 2 {
			k := fmt.Appendf(nil, "z%06d", rnd.IntN(2*most))
			if rnd.IntN(12) < int(round) {
				b.Delete(k)
			} else {
				b.Set(k, []byte("v"))
			}
		}
		b.Commit(State{Index: round + 1})
		for _, by := range []func(func(Reader, State) error) error{db.View, db.Walk, db.View} {
			for range 20 {
				if err := by(func(r Reader, _ State) error {
					knew, err := sameAsWalked(r, "z", fmt.Appendf(nil, "z%06d", rnd.IntN(2*most)), rnd.Int64N(most))
					if knew {
						known++
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if known < 200 {
		t.Errorf("%d answers were known", known)
	}
}

// A queue whose rows go at one end and come at the other does not become ever more
// pieces, and more ranges than there is room for are forgotten.
func TestCountsAreBounded(t *testing.T) {
	db := tempDB(t, Options{})
	index := uint64(0)
	batch := func(fn func(b *Batch)) {
		index++
		b := db.Begin()
		fn(b)
		b.Commit(State{Index: index})
	}
	know := func(prefix string) {
		t.Helper()
		for _, by := range []func(func(Reader, State) error) error{db.View, db.Walk, db.View} {
			if err := by(func(r Reader, _ State) error {
				_, err := sameAsWalked(r, prefix, []byte(prefix+"5"), 3)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	const held = 1000
	for at := 0; at < 100_000; at += held {
		batch(func(b *Batch) {
			for i := at; i < at+held; i++ {
				b.Set(fmt.Appendf(nil, "zq%07d", i), []byte("v"))
				if i >= held {
					b.Delete(fmt.Appendf(nil, "zq%07d", i-held))
				}
			}
		})
		know("zq")
	}
	if n := len(db.counts.ready[0].bounds); n > 200 {
		t.Errorf("%d rows are in %d pieces", held, n)
	}
	for i := range 2 * mostCounted {
		batch(func(b *Batch) { b.Set(fmt.Appendf(nil, "z%02d-5", i), []byte("v")) })
		know(fmt.Sprintf("z%02d-", i))
	}
	if n := len(db.counts.ready); n != mostCounted {
		t.Errorf("%d ranges are known", n)
	}
}

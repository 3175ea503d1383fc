package storage

import (
	"bytes"
	"fmt"
	"testing"
)

// firstRow gives the first row of a table as the next who looks for it finds it.
func firstRow(r Reader) (key string) {
	r.Ascend([]byte("q"), []byte("r"), func(k, _ []byte) bool {
		key = string(k)
		return false
	})
	return key
}

func lastRow(r Reader) (key string) {
	r.Descend([]byte("q"), []byte("r"), func(k, _ []byte) bool {
		key = string(k)
		return false
	})
	return key
}

// entry applies changes as one entry.
func entry(db *DB, fn func(b *Batch)) {
	index := db.State().Index + 1
	b := db.Begin()
	fn(b)
	b.Commit(State{Index: index, Term: 1})
}

// fillQueue puts rows "q000000" and so on into a table: the first half of them
// into its file.
func fillQueue(tb testing.TB, db *DB, n int) {
	for _, half := range []int{0, n / 2} {
		entry(db, func(b *Batch) {
			for i := half; i < half+n/2; i++ {
				b.Set(fmt.Appendf(nil, "q%06d", i), []byte("v"))
			}
		})
		if half == 0 {
			checkpoint(tb, db)
		}
	}
}

// What is taken from either end of a queue, by whoever looks there, is passed
// once and then known, and a row that is put there is found.
func TestAQueueRemembersWhereItBegins(t *testing.T) {
	const rows = 1000
	db := tempDB(t, Options{})
	fillQueue(t, db, rows)
	take := func(end func(Reader) string) {
		t.Helper()
		entry(db, func(b *Batch) { b.Delete([]byte(end(b))) })
	}
	want := func(first, last int) {
		t.Helper()
		err := db.View(func(r Reader, _ State) error {
			if got, want := firstRow(r)+" "+lastRow(r), fmt.Sprintf("q%06d q%06d", first, last); got != want {
				t.Fatalf("the first and the last row are %s, want %s", got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	known := func(from, to string) {
		t.Helper()
		if gap, ok := db.gaps.at([]byte(from)); !ok || !bytes.Equal(gap.to, []byte(to)) {
			t.Fatalf("from %s on there is known to be nothing up to %q, want %q", from, gap.to, to)
		}
	}
	for range 400 {
		take(firstRow)
		take(lastRow)
	}
	want(400, 599)
	known("q", "q000400")
	known("q000600", "r")

	set(db, db.State().Index+1, "q000100", "again")
	set(db, db.State().Index+1, "q000900", "again")
	want(100, 900)
	known("q", "q000100")
	known("q000101", "q000400")
	known("q000899", "q000900")
	known("q000901", "r")
	take(firstRow)
	take(lastRow)
	want(400, 599)

	b := db.Begin()
	mark := b.Mark()
	for i := 400; i < 500; i++ {
		b.Delete(fmt.Appendf(nil, "q%06d", i))
	}
	if got := firstRow(b); got != "q000500" {
		t.Errorf("in the batch the first row is %s", got)
	}
	b.RollbackTo(mark)
	if got := firstRow(b); got != "q000400" {
		t.Errorf("what was taken back is not found: the first row is %s", got)
	}
	b.Abort()
	checkpoint(t, db)
	want(400, 599)
}

// Who is in a hurry passes some of many deleted rows, and the next one some more,
// until all are known.
func TestManyDeletedRowsArePassedInSteps(t *testing.T) {
	const rows, deleted = 4 * mostPassed, 3 * mostPassed
	for _, tc := range []struct {
		name   string
		delete int // from this row on
		want   string
		walk   func(r Hurried, fn func(k, v []byte) bool) bool
	}{
		{"up", 0, fmt.Sprintf("q%06d", deleted), func(r Hurried, fn func(k, v []byte) bool) bool { return r.AscendSoon([]byte("q"), []byte("r"), fn) }},
		{"down", rows - deleted, fmt.Sprintf("q%06d", rows-deleted-1), func(r Hurried, fn func(k, v []byte) bool) bool { return r.DescendSoon([]byte("q"), []byte("r"), fn) }},
	} {
		db := tempDB(t, Options{})
		fillQueue(t, db, rows)
		entry(db, func(b *Batch) {
			for i := tc.delete; i < tc.delete+deleted; i++ {
				b.Delete(fmt.Appendf(nil, "q%06d", i))
			}
		})
		if err := db.Walk(func(Reader, State) error { return nil }); err != nil {
			t.Fatal(err)
		}
		var tries []string
		done := false
		for len(tries) < 10 && !done {
			got := ""
			if err := db.View(func(r Reader, _ State) error {
				r.Ascend([]byte("q"), []byte("q\x00"), func(_, _ []byte) bool { return true }) // so all is in order
				done = tc.walk(r.(Hurried), func(k, _ []byte) bool {
					got = string(k)
					return false
				})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			tries = append(tries, got)
		}
		if n := len(tries); n < 3 || n > 5 || tries[n-1] != tc.want || tries[0] != "" {
			t.Errorf("%s: found in turn %q, want nothing some times and then %s", tc.name, tries, tc.want)
		}
	}
}

// A walk over rows of several kinds goes on in its order behind a gap of one.
func TestAWalkGoesOnBehindAGap(t *testing.T) {
	db := tempDB(t, Options{leastGap: 1})
	set(db, 1, "a", "1", "c1", "1", "c2", "1", "c3", "1", "f", "1")
	entry(db, func(b *Batch) { b.Delete([]byte("c1")); b.Delete([]byte("c2")) })
	for range 2 { // the second time the gap is known
		var up, down string
		err := db.View(func(r Reader, _ State) error {
			r.Ascend([]byte("b"), []byte("z"), func(k, _ []byte) bool { up += string(k) + " "; return true })
			r.Ascend([]byte("c"), []byte("d"), func(k, _ []byte) bool { return true })
			r.Descend(nil, []byte("z"), func(k, _ []byte) bool { down += string(k) + " "; return true })
			return nil
		})
		if err != nil || up != "c3 f " || down != "f c3 a " {
			t.Fatalf("up %q, down %q, %v", up, down, err)
		}
	}
}

// Gaps are bounded, however many there are.
func TestGapsAreBounded(t *testing.T) {
	db := tempDB(t, Options{leastGap: 1})
	const rows = 8 * mostGaps
	fillQueue(t, db, rows)
	entry(db, func(b *Batch) {
		for i := 0; i < rows; i += 2 {
			b.Delete(fmt.Appendf(nil, "q%06d", i))
		}
	})
	for range 2 {
		if got := len(dbContents(t, db)); got != rows/2 {
			t.Fatalf("%d rows are there, want %d", got, rows/2)
		}
	}
	if n := len(db.gaps.lists['q']); n == 0 || n > mostGaps {
		t.Errorf("%d gaps are remembered", n)
	}
	for i := range 4 * mostGaps { // in the midst of gaps
		set(db, db.State().Index+1, fmt.Sprintf("q%06d+", 2*i), "v")
	}
	if n := len(db.gaps.lists['q']); n > mostGaps {
		t.Errorf("%d gaps are remembered", n)
	}
	if got := len(dbContents(t, db)); got != rows/2+4*mostGaps {
		t.Errorf("%d rows are there, want %d", got, rows/2+4*mostGaps)
	}
}

// The first row of a queue is found as soon after many were taken as after few.
func BenchmarkFirstOfAQueue(b *testing.B) {
	for _, taken := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(taken, "-taken"), func(b *testing.B) {
			db := tempDB(b, Options{})
			fillQueue(b, db, 2*taken)
			entry(db, func(b *Batch) {
				for i := range taken {
					b.Delete(fmt.Appendf(nil, "q%06d", i))
				}
			})
			b.ResetTimer()
			for range b.N {
				_ = db.View(func(r Reader, _ State) error { firstRow(r); return nil })
			}
		})
	}
}

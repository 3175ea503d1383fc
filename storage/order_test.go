package storage

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// orderRows is more than what may wait to be brought into order.
const orderRows = fewRecent + 2*orderStep

// setAll writes rows of one kind, out of order, all with the same value.
func setAll(db *DB, version int) {
	b := db.Begin()
	value := fmt.Append(nil, version)
	for i := range orderRows {
		b.Set(fmt.Appendf(nil, "k%05d", i*7%orderRows), value)
	}
	b.Commit(State{Index: uint64(version)})
}

// wholeAndInOrder reads what setAll has written.
func wholeAndInOrder(r Reader) error {
	n := 0
	var first string
	var err error
	r.Ascend([]byte("k"), []byte("l"), func(k, v []byte) bool {
		if n == 0 {
			first = string(v)
		}
		if string(k) != fmt.Sprintf("k%05d", n) || string(v) != first {
			err = fmt.Errorf("row %d is %s with %s, the first has %s", n, k, v, first)
		}
		n++
		return err == nil
	})
	if err == nil && n != orderRows {
		err = fmt.Errorf("%d rows, not %d", n, orderRows)
	}
	return err
}

// Who is in a hurry learns that much is to be brought into order, and does not
// have to once somebody has read a snapshot.
func TestWhoIsInAHurryIsToldOfDisorder(t *testing.T) {
	db := tempDB(t, Options{})
	setAll(db, 1)
	ready := func(from, to string) (is bool) {
		if err := db.View(func(r Reader, _ State) error {
			is = r.(*live).ready([]byte(from), []byte(to))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return is
	}
	read := func(by func(func(Reader, State) error) error) {
		t.Helper()
		if err := by(func(r Reader, _ State) error { return wholeAndInOrder(r) }); err != nil {
			t.Error(err)
		}
	}
	if ready("k", "l") {
		t.Error("rows that were just written are said to be in order")
	}
	if !ready("l", "m") {
		t.Error("there are no rows, and they are said to be in disorder")
	}
	read(db.Walk)
	if !ready("k", "l") {
		t.Error("after a snapshot there is still much to do")
	}
	read(db.View)
	setAll(db, 2) // which replaces what is in the tree
	setAll(db, 3)
	read(db.Walk)
	read(db.View)
}

// Rows are brought into order beside writers, and readers of all kinds see whole
// batches all the time. Run it with -race.
func TestOrderIsMadeBesideWriters(t *testing.T) {
	db := tempDB(t, Options{})
	setAll(db, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	hurried, waited := 0, 0
	again(t, &wg, stop, func() error {
		return db.View(func(r Reader, _ State) error {
			if !r.(*live).ready([]byte("k"), []byte("l")) {
				waited++
				return nil
			}
			hurried++
			return wholeAndInOrder(r)
		})
	})
	for range 2 {
		again(t, &wg, stop, func() error { return db.Walk(func(r Reader, _ State) error { return wholeAndInOrder(r) }) })
	}
	for version := range 60 {
		setAll(db, version+2)
	}
	close(stop)
	wg.Wait()
	t.Logf("a reader in a hurry was served %d times and sent away %d times", hurried, waited)
}

// A table keeps the rows that writers walk over in order, whatever many are written:
// who comes next has little to sort. Writers and readers see all of it meanwhile.
func TestOrderIsKeptForWriters(t *testing.T) {
	db := tempDB(t, Options{InOrder: "k"})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	again(t, &wg, stop, func() error { return db.Walk(func(r Reader, _ State) error { return wholeOrEmpty(r) }) })
	const versions = 30
	for version := range versions {
		setAll(db, version+1)
		if version%3 == 2 {
			checkpoint(t, db)
		}
		if version%10 == 9 { // a writer that walks
			b := db.Begin()
			if err := wholeAndInOrder(b); err != nil {
				t.Error(err)
			}
			b.Commit(State{Index: uint64(version + 1)})
		}
	}
	close(stop)
	wg.Wait()
	b := db.Begin()
	for i := range 40 * fewRecent {
		b.Set(fmt.Appendf(nil, "k%07d", i*7919%(40*fewRecent)), []byte("v"))
	}
	b.Commit(State{Index: versions + 1})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		_, _, n, _ := db.unordered('k')
		if n <= fewRecent {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d rows are in no order, and nobody sees to it", n)
		}
	}
}

func wholeOrEmpty(r Reader) error {
	empty := true
	r.Ascend([]byte("k"), []byte("l"), func(_, _ []byte) bool { empty = false; return false })
	if empty {
		return nil
	}
	return wholeAndInOrder(r)
}

// What was brought into order in a copy is taken over with all that was written
// meanwhile behind it, but not where somebody else has begun meanwhile.
func TestOrderOfACopyIsTakenOver(t *testing.T) {
	for _, faster := range []int{0, 1, 500, orderRows} {
		o, want := newOverlay(), map[string]string{}
		write := func(n int, value string) {
			for i := range n {
				key := fmt.Sprintf("k%05d", i*7%orderRows)
				o.set(row{[]byte(key), []byte(value)})
				want[key] = value
			}
		}
		write(orderRows, "before")
		s := o.shelves['k']
		c := s.copy()
		first, n := c.first, c.recent.n
		c.fill(n)
		s.fill(faster)
		write(100, "meanwhile")
		s.takeOver(c.placed, first, n)
		if left := s.recent.n; faster == 0 && left != 100 {
			t.Errorf("%d changes wait, want the 100 that came meanwhile", left)
		}
		write(50, "later")
		sameRows(t, o, want)
	}
}

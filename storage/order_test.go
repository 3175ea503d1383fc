package storage

import (
	"fmt"
	"sync"
	"testing"
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

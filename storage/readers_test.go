package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// again has a goroutine do something again and again until stop is closed, or it fails.
func again(t *testing.T, wg *sync.WaitGroup, stop <-chan struct{}, do func() error) {
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := do(); err != nil {
				t.Error(err)
				return
			}
		}
	})
}

// While one goroutine moves money between accounts and another writes
// checkpoints, no reader ever sees money appear or vanish. Run it with -race.
func TestReadersSeeWholeBatches(t *testing.T) {
	const accounts, total = 20, 1000 * 20
	db := tempDB(t, Options{})
	key := func(i int) []byte { return []byte(fmt.Sprintf("account%02d", i)) }
	amount := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	b := db.Begin()
	for i := range accounts {
		b.Set(key(i), amount(1000))
	}
	b.Commit(State{Index: 1})

	check := func(r Reader, _ State) error {
		sum := uint64(0)
		r.Ascend(nil, nil, func(_, v []byte) bool { sum += binary.BigEndian.Uint64(v); return true })
		back := uint64(0)
		r.Descend(nil, nil, func(_, v []byte) bool { back += binary.BigEndian.Uint64(v); return true })
		if sum != total || back != total {
			return fmt.Errorf("%d and %d in the accounts, want %d", sum, back, total)
		}
		return nil
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	every := func(do func() error) { again(t, &wg, stop, do) }
	every(func() error { return db.View(check) })
	every(func() error { return db.Walk(check) })
	every(func() error { _, _, _ = db.OverlayBytes(), db.Stats(), db.SnapshotSize(); return nil })

	ended := make(chan struct{}, 1) // the checkpoint before
	ended <- struct{}{}
	for i := range 400 {
		b := db.Begin()
		from, to := key(i%accounts), key((i*7+1)%accounts)
		a, _ := b.Get(from)
		c, _ := b.Get(to)
		if string(from) != string(to) {
			b.Set(from, amount(binary.BigEndian.Uint64(a)-1))
			mark := b.Mark()
			b.Delete(to)
			b.RollbackTo(mark)
			b.Set(to, amount(binary.BigEndian.Uint64(c)+1))
		}
		b.Commit(State{Index: uint64(i + 2)})
		if i%20 != 0 {
			continue
		}
		<-ended
		c2, err := db.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer func() { c2.Release(); ended <- struct{}{} }()
			if i%40 == 0 { // every other one is given up
				if err := c2.Write(Meta{Index: c2.State().Index}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	<-ended
	close(stop)
	wg.Wait()
}

// A reader that stays too long is refused rather than served half.
func TestLongReadExpires(t *testing.T) {
	db := tempDB(t, Options{ReaderLifetime: time.Nanosecond})
	set(db, 1, "a", "1")
	rows := 0
	err := db.Walk(func(r Reader, _ State) error {
		if _, ok := r.Get([]byte("a")); ok {
			rows++
		}
		r.Ascend(nil, nil, func(_, _ []byte) bool { rows++; return true })
		r.Descend(nil, nil, func(_, _ []byte) bool { rows++; return true })
		return nil
	})
	if !errors.Is(err, ErrExpired) || rows > 0 {
		t.Errorf("error %v, %d rows", err, rows)
	}
}

// Long readers share a copy until something is written.
func TestLongReadersShareACopy(t *testing.T) {
	db := tempDB(t, Options{})
	set(db, 1, "a", "1")
	snapshot := func() *Snapshot {
		s, err := db.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	one, two := snapshot(), snapshot()
	set(db, 2) // an entry that changes nothing
	three := snapshot()
	set(db, 3, "a", "2")
	four := snapshot()
	if one.active != two.active || one.active != three.active || one.active == four.active {
		t.Error("copies are not shared as they should be")
	}
	for want, s := range map[string]*Snapshot{"1": three, "2": four} {
		if v, _ := s.Get([]byte("a")); string(v) != want {
			t.Errorf("%q, want %q", v, want)
		}
	}
	if three.State().Index != 2 || four.State().Index != 3 {
		t.Error("a snapshot has the state of another")
	}
}

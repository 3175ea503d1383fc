package storage

import (
	"runtime"
	"time"
)

// Rows are brought into order by who needs it, see shelf. Those who must not take
// long leave it to others: readers in a hurry to who reads a Snapshot, and writers,
// who cannot be sent away, to a goroutine of the table's that is ahead of them.

// tidy brings the shelf in order that a reader has found to be in none, a little at a
// time, so that writers come in between.
func (db *DB) tidy() {
	if i := int(db.disordered.Swap(0)) - 1; i >= 0 {
		for db.tidySome(i) {
			runtime.Gosched()
		}
	}
}

func (db *DB) tidySome(shelf int) (more bool) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	s := db.active.shelves[shelf]
	return s != nil && s.orderSome()
}

const (
	// leftUnordered is how many changes of a shelf that writers walk over may be in
	// no order while more come, or a part of those that are, if that is more.
	leftUnordered     = 4 * fewRecent
	leftUnorderedPart = 4
	// orderRest is for how long at least nothing is brought into order after
	// something was.
	orderRest = 20 * time.Millisecond
)

// keepOrder brings shelves that writers walk over in order, beside everything else,
// until the table is closed.
func (db *DB) keepOrder() {
	stood := map[byte]uint64{} // by shelf: the number of its last change at the last look
	for waiting := false; ; {
		if !waiting {
			select {
			case <-db.disorder:
			case <-db.ctx.Done():
				return
			}
		}
		began := time.Now()
		waiting = false
		for _, kind := range []byte(db.opt.InOrder) {
			s, last, n, many := db.unordered(kind)
			if n <= fewRecent {
				continue
			}
			waiting = true
			if many || stood[kind] == last {
				db.orderBeside(s)
			}
			stood[kind] = last
		}
		if !rest(db.ctx, max(time.Since(began), orderRest)) {
			return
		}
	}
}

// unordered gives a shelf of the active overlay, the number of its last change, how
// many are in no order, and whether these are too many.
func (db *DB) unordered(kind byte) (s *shelf, last uint64, n int, many bool) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if s = db.active.shelves[kind]; s == nil {
		return nil, 0, 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n = s.recent.n
	return s, s.first + uint64(n), n, n > max(leftUnordered, s.placed.size()/leftUnorderedPart)
}

// orderFrozen brings in order what writers walk over of a frozen overlay. Who writes
// the checkpoint would do so first, but keep them out meanwhile.
func (db *DB) orderFrozen(o *overlay) {
	for _, kind := range []byte(db.opt.InOrder) {
		if s := o.shelves[kind]; s != nil && !s.ready() {
			db.orderBeside(s)
		}
	}
}

// orderBeside brings a shelf in order while others read and write it: in a copy,
// whose order it takes over, unless somebody was faster.
func (db *DB) orderBeside(s *shelf) {
	db.mu.RLock()
	c := s.copy()
	db.mu.RUnlock()
	first, n := c.first, c.recent.n
	c.fill(n)
	db.mu.Lock()
	defer db.mu.Unlock()
	s.takeOver(c.placed, first, n)
}

// tellDisorder is called with mu held.
func (db *DB) tellDisorder() {
	for _, kind := range []byte(db.opt.InOrder) {
		if s := db.active.shelves[kind]; s != nil && s.recent.n > fewRecent {
			select {
			case db.disorder <- struct{}{}:
			default:
			}
			return
		}
	}
}

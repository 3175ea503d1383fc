package storage

import "bytes"

// row is a row of an overlay. A nil value is a tombstone: it hides a row of
// the same key in the layers below.
type row struct {
	key   []byte
	value []byte
}

// noBytes stands for a value of length 0, which is not a tombstone.
var noBytes = []byte{}

// rowOverhead is what a row costs in memory besides its bytes: its place in a
// tree node that is three quarters full, its place in a hash table that is two
// thirds full, and the headers of two allocations.
const rowOverhead = 96 + 72

func lessRow(a, b row) bool { return bytes.Compare(a.key, b.key) < 0 }

// overlay is rows in memory, with tombstones, above the data file. A frozen
// overlay is never written to again.
//
// The index finds a row without the dozen comparisons of a tree, each of which
// fetches a key from elsewhere in memory. The order is in the shelves, which
// sort what was written when somebody asks for it. A copy has no index: it is
// read in order, mostly.
type overlay struct {
	shelves [256]*shelf // by first byte of the key
	index   *index      // nil: none
	still   bool        // a copy that nobody writes to
	runs    runs        // below both
	rows    int
	bytes   int64 // memory of the rows
	log     int64 // bytes of the log entries the rows came from, which they pin

	manyRows int // of new shelves
}

func newOverlay() *overlay { return &overlay{index: newIndex(0), manyRows: manyRows} }

func (o *Options) newOverlay() *overlay {
	n := newOverlay()
	n.manyRows = o.manyRows
	return n
}

// roomAhead is for how many rows at most an overlay takes room before they
// come, which spares the table most of its growing.
const roomAhead = 1 << 16

// next gives an empty overlay for what comes after o, probably much the same.
func (o *overlay) next() *overlay {
	n := &overlay{index: newIndex(min(o.rows, roomAhead)), manyRows: o.manyRows}
	for i, s := range o.shelves {
		if s != nil {
			n.shelves[i] = s.next()
		}
	}
	return n
}

// copy gives an overlay that does not see later changes of o. It takes
// constant time but makes the next writes to o copy the nodes they touch. It
// must not run at the same time as a write to o.
func (o *overlay) copy() *overlay {
	c := &overlay{runs: o.runs, rows: o.rows, bytes: o.bytes, log: o.log, manyRows: o.manyRows}
	for i, s := range o.shelves {
		if s != nil {
			c.shelves[i] = s.copy()
		}
	}
	return c
}

// get gives a row's value, nil if it is a tombstone.
func (o *overlay) get(key []byte) (value []byte, ok bool) {
	if value, ok = o.above(key); !ok && len(o.runs) > 0 {
		value, ok = o.runs.get(key)
	}
	return value, ok
}

// inRun says whether there is a row below the shelves.
func (o *overlay) inRun(key []byte) bool {
	if len(o.runs) == 0 {
		return false
	}
	_, ok := o.runs.get(key)
	return ok
}

// above is get, but for what is in runs.
func (o *overlay) above(key []byte) (value []byte, ok bool) {
	if o.index != nil {
		return o.index.get(key)
	}
	s := o.shelves[key[0]]
	switch {
	case s == nil:
		return nil, false
	case o.still:
		return s.find(key)
	}
	return s.get(key)
}

// set puts a row or a tombstone and gives the value that it replaced, unless
// that is in a run.
func (o *overlay) set(r row) (former []byte, replaced bool) {
	var none indexed
	at := &none
	if o.index != nil {
		at, former, replaced = o.index.set(r)
	} else {
		former, replaced = o.above(r.key)
	}
	s := o.shelf(r.key)
	o.bytes += r.size()
	if replaced {
		o.bytes -= row{r.key, former}.size()
	} else {
		if s.rows++; !o.inRun(r.key) {
			o.rows++
		}
	}
	at.change = s.put(change{row: r}, at.change)
	return former, replaced
}

// forget removes a row as if it had never been set. One of a run comes to
// light again.
func (o *overlay) forget(key []byte) {
	former, ok := o.above(key)
	if !ok {
		return
	}
	if o.index != nil {
		o.index.forget(key)
	}
	s := o.shelf(key)
	s.put(change{row: row{key: key}, forget: true}, 0)
	s.rows--
	o.bytes -= row{key, former}.size()
	if !o.inRun(key) {
		o.rows--
	}
}

// shelf gives the shelf that a key belongs on.
func (o *overlay) shelf(key []byte) *shelf {
	s := o.shelves[key[0]]
	if s == nil {
		s = newShelf(o.manyRows)
		o.shelves[key[0]] = s
	}
	return s
}

// each calls fn for all rows in order until it returns false.
func (o *overlay) each(fn func(r row) bool) {
	below, more := runCursor{runs: o.runs}, true
	o.eachAbove(func(r row) bool {
		for below.ok() && more {
			w := below.item()
			order := bytes.Compare(w.Key, r.key)
			if order > 0 {
				break
			}
			if order < 0 {
				more = fn(row{w.Key, w.Value})
			}
			below.next()
		}
		more = more && fn(r)
		return more
	})
	for ; below.ok() && more; below.next() {
		w := below.item()
		more = fn(row{w.Key, w.Value})
	}
}

// eachAbove is each, but for what is in runs.
func (o *overlay) eachAbove(fn func(r row) bool) {
	more := true
	for _, s := range o.shelves {
		if s != nil && more {
			s.sorted().each(func(r row) bool {
				more = fn(r)
				return more
			})
		}
	}
}

func (r row) size() int64 { return int64(len(r.key)+len(r.value)) + rowOverhead }

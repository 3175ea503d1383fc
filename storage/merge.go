package storage

import (
	"bytes"
	"sync"
)

// merge walks the layers of a view in the order of the keys. Of rows with the
// same key it gives that of the uppermost layer. It gives tombstones too: a
// nil value.
//
// All cursors stand at their next row, except that those in used stand at the
// row that was given last.
type merge struct {
	layers   [5]cursor // active and its runs, frozen and its runs, data file
	n        int
	from, to []byte  // of the range
	used     uint8   // bit i: layers[i] gave, or hid, the present row
	only     *cursor // the one that is not past the end, if all others are
	fromDB   bool    // the present row belongs to the data file
	key      []byte
	value    []byte
}

// cursor stands at a row of one layer; ok is false past the end of the range.
type cursor struct {
	ok         bool
	key, value []byte
	file       fileCursor // of no rows: an overlay
	runs       *runCursor // nil: no runs
	overlay    *overlay
	low, high  int           // the first and the last shelf of the overlay that may be entered
	shelf      int           // that the cursor is in
	rows       orderedCursor // of that shelf
}

// merges keeps merges for reuse: they are large, and reads of a few rows are
// the rule.
var merges = sync.Pool{New: func() any { return new(merge) }}

// newMerge gives a merge of the layers of v, for rows from one key on and below
// another, as in Reader; the caller must release it. What is on other shelves
// than theirs is not looked at: to see its first row, all of it would have to be
// sorted.
func newMerge(v *view, from, to []byte) *merge {
	m := merges.Get().(*merge)
	m.from, m.to = from, to
	low, high := shelvesOf(from, to)
	m.addOverlay(v.active, low, high)
	if v.frozen != nil {
		m.addOverlay(v.frozen, low, high)
	}
	m.layers[m.n].file = v.base.rows.Cursor()
	m.n++
	return m
}

// shelvesOf gives the first and the last shelf that can hold rows of a range.
func shelvesOf(from, to []byte) (low, high int) {
	high = len(overlay{}.shelves) - 1
	if len(from) > 0 {
		low = int(from[0])
	}
	switch len(to) {
	case 0:
	case 1:
		high = int(to[0]) - 1
	default:
		high = int(to[0])
	}
	return low, high
}

// release forgets all rows, so that a merge that waits in the pool keeps
// nothing alive.
func (m *merge) release() {
	for i := range m.n {
		c := &m.layers[i]
		c.rows.release()
		c.file.Close()
		c.key, c.value, c.runs, c.overlay, c.ok = nil, nil, nil, nil, false
	}
	m.n, m.from, m.to, m.only, m.key, m.value = 0, nil, nil, nil, nil, nil
	merges.Put(m)
}

// addOverlay leaves an empty layer out.
func (m *merge) addOverlay(o *overlay, low, high int) {
	if o.rows == 0 {
		return
	}
	c := &m.layers[m.n]
	c.overlay, c.low, c.high = o, low, high
	m.n++
	if len(o.runs) > 0 {
		m.layers[m.n].runs = &runCursor{runs: o.runs}
		m.n++
	}
}

// first moves to the first row of the range at or after from.
func (m *merge) first(from []byte) bool {
	for i := range m.n {
		m.layers[i].seek(from)
		m.endAt(&m.layers[i])
	}
	return m.pick(1)
}

// next moves to the next row of the range.
func (m *merge) next() bool {
	if c := m.only; c != nil {
		c.next()
		m.endAt(c)
		return m.stand(c)
	}
	for i := range m.n {
		if m.used&(1<<i) != 0 {
			m.layers[i].next()
			m.endAt(&m.layers[i])
		}
	}
	return m.pick(1)
}

// last moves to the last row of the range before to, or the last of all if to is
// nil.
func (m *merge) last(to []byte) bool {
	for i := range m.n {
		m.layers[i].seekBefore(to)
		m.endBefore(&m.layers[i])
	}
	return m.pick(-1)
}

// prev moves to the row of the range before.
func (m *merge) prev() bool {
	if c := m.only; c != nil {
		c.prev()
		m.endBefore(c)
		return m.stand(c)
	}
	for i := range m.n {
		if m.used&(1<<i) != 0 {
			m.layers[i].prev()
			m.endBefore(&m.layers[i])
		}
	}
	return m.pick(-1)
}

// endAt ends a cursor that has gone up out of the range.
func (m *merge) endAt(c *cursor) {
	if c.ok && m.to != nil && bytes.Compare(c.key, m.to) >= 0 {
		c.ok = false
	}
}

// endBefore ends a cursor that has gone down out of the range.
func (m *merge) endBefore(c *cursor) {
	if c.ok && bytes.Compare(c.key, m.from) < 0 {
		c.ok = false
	}
}

// pick chooses the lowest key under the cursors, or the highest if direction
// is negative.
func (m *merge) pick(direction int) bool {
	m.used, m.only = 0, nil
	best, live := -1, 0
	for i := range m.n {
		c := &m.layers[i]
		if !c.ok {
			continue
		}
		live++
		order := -1
		if best >= 0 {
			order = bytes.Compare(c.key, m.layers[best].key) * direction
		}
		switch {
		case order < 0:
			best, m.used = i, 1<<i
		case order == 0:
			m.used |= 1 << i
		}
	}
	if best < 0 {
		return false
	}
	if live == 1 {
		m.only = &m.layers[best]
	}
	return m.stand(&m.layers[best])
}

// stand makes the row at a cursor the present one, if there is one.
func (m *merge) stand(c *cursor) bool {
	m.key, m.value, m.fromDB = c.key, c.value, c.file.rows != nil
	return c.ok
}

// emit hands the present row to fn.
func (m *merge) emit(lasting bool, fn func(key, value []byte) bool) bool {
	if !lasting || !m.fromDB {
		return fn(m.key, m.value)
	}
	// One allocation for both; neither can grow into the other.
	n := len(m.key)
	both := make([]byte, n+len(m.value))
	copy(both, m.key)
	copy(both[n:], m.value)
	return fn(both[:n:n], both[n:])
}

func (c *cursor) seek(from []byte) {
	if c.file.rows != nil {
		c.at(c.file.Seek(from))
		return
	}
	if c.runs != nil {
		c.runs.seek(from)
		c.atRun()
		return
	}
	first := c.low
	if len(from) > 0 {
		first = max(first, int(from[0]))
	}
	if c.enter(first) && c.rows.seek(from) {
		c.atRow()
		return
	}
	c.firstFrom(first + 1)
}

// seekBefore stands at the last row below to.
func (c *cursor) seekBefore(to []byte) {
	if c.file.rows != nil {
		if to == nil {
			c.at(c.file.Last())
		} else if key, _ := c.file.Seek(to); key == nil {
			c.at(c.file.Last())
		} else {
			c.at(c.file.Prev())
		}
		return
	}
	if c.runs != nil {
		c.runs.seekBefore(to)
		c.atRun()
		return
	}
	last := c.high
	if len(to) > 0 {
		last = min(last, int(to[0]))
	}
	if len(to) > 0 && c.enter(last) {
		if c.rows.seekBefore(to) {
			c.atRow()
			return
		}
		last--
	}
	c.lastFrom(last)
}

func (c *cursor) next() {
	switch {
	case c.file.rows != nil:
		c.at(c.file.Next())
	case c.runs != nil:
		c.runs.next()
		c.atRun()
	case c.rows.next():
		c.atRow()
	default:
		c.firstFrom(c.shelf + 1)
	}
}

func (c *cursor) prev() {
	switch {
	case c.file.rows != nil:
		c.at(c.file.Prev())
	case c.runs != nil:
		c.runs.prev()
		c.atRun()
	case c.rows.prev():
		c.atRow()
	default:
		c.lastFrom(c.shelf - 1)
	}
}

// firstFrom stands at the first row of a shelf or of those after it.
func (c *cursor) firstFrom(shelf int) {
	for ; shelf <= c.high; shelf++ {
		if c.enter(shelf) && c.rows.first() {
			c.atRow()
			return
		}
	}
	c.ok = false
}

// lastFrom stands at the last row of a shelf or of those before it.
func (c *cursor) lastFrom(shelf int) {
	for ; shelf >= c.low; shelf-- {
		if c.enter(shelf) && c.rows.last() {
			c.atRow()
			return
		}
	}
	c.ok = false
}

// enter goes to a shelf, if it may and there is one with rows.
func (c *cursor) enter(shelf int) bool {
	if shelf < c.low || shelf > c.high {
		return false
	}
	s := c.overlay.shelves[shelf]
	if s == nil {
		return false
	}
	c.rows.release()
	c.shelf = shelf
	rows := s.sorted()
	c.rows.init(rows)
	return rows.size() > 0
}

func (c *cursor) at(key, value []byte) {
	c.key, c.value, c.ok = key, value, key != nil
	if c.ok && value == nil {
		c.value = noBytes
	}
}

func (c *cursor) atRow() {
	r := c.rows.row
	c.key, c.value, c.ok = r.key, r.value, true
}

func (c *cursor) atRun() {
	if c.ok = c.runs.ok(); c.ok {
		r := c.runs.item()
		c.key, c.value = r.Key, r.Value
	}
}

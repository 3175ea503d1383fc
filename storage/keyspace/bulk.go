package keyspace

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/parlorchat/parlor/storage"
)

// What makes a large object anew lays its rows all at once: see
// storage.Writer.SetRun. They are the rows that one write after another would
// have made.

// manyElements is how many elements are laid at once. It is more than a small
// object has.
const manyElements = 256

// maker gathers the rows of one kind of a new object, in order.
type maker struct {
	t     *Tx
	o     *object
	n     int // how many there will be, about
	rows  []storage.Row
	chunk []byte
}

// chunkSize is how many bytes of rows share their memory: what is read from one
// row and kept elsewhere keeps so much alive.
const chunkSize = 32 << 10

func (t *Tx) maker(o *object, n int) *maker {
	return &maker{t: t, o: o, n: n}
}

// add puts a row behind those there are. Neither key nor value is kept.
func (m *maker) add(key, value []byte) {
	m.o.sum = m.o.sum.Add(storage.RowHash(key, value))
	n, size := len(key), len(key)+len(value)
	if size > cap(m.chunk)-len(m.chunk) {
		m.chunk = make([]byte, 0, max(size, chunkSize))
	}
	if m.rows == nil {
		m.rows = make([]storage.Row, 0, m.n)
	}
	at := len(m.chunk)
	m.chunk = append(append(m.chunk, key...), value...)
	m.rows = append(m.rows, storage.Row{Key: m.chunk[at : at+n : at+n], Value: m.chunk[at+n : at+size : at+size]})
}

// lay writes the rows. The object must not have had any of their kind.
func (m *maker) lay() {
	if len(m.rows) > 0 {
		m.t.w.SetRun(m.rows)
	}
}

// look walks rows for who makes others of them: what fn gets dies with the Tx.
func (t *Tx) look(from, to []byte, fn func(key, value []byte) bool) {
	if t.w != nil {
		t.w.Look(from, to, fn)
	} else {
		t.rows.Ascend(from, to, fn)
	}
}

// ascend is look while slices are borrowed.
func (t *Tx) ascend(from, to []byte, fn func(key, value []byte) bool) {
	if t.borrowed {
		t.look(from, to, fn)
	} else {
		t.rows.Ascend(from, to, fn)
	}
}

// Borrow has walks hand out slices that die with the Tx, even if it writes,
// until done is called. It spares who only makes rows of them a copy of each.
func (t *Tx) Borrow() (done func()) {
	before := t.borrowed
	t.borrowed = true
	return func() { t.borrowed = before }
}

// ScanOrder compares two elements in the order in which walks of large hashes
// and sets give them.
func ScanOrder(a, b []byte) int {
	if c := cmp.Compare(place(a), place(b)); c != 0 {
		return c
	}
	return bytes.Compare(a, b)
}

// placed is an element and where it stands among others.
type placed struct {
	place uint64
	n     int // its number
}

// inScanOrder gives the elements in the order of their rows; of equal ones the
// last.
func inScanOrder(n int, element func(i int) []byte) []placed {
	order := make([]placed, n)
	ordered := true
	for i := range order {
		order[i] = placed{place(element(i)), i}
		ordered = ordered && (i == 0 || order[i-1].place < order[i].place)
	}
	if ordered {
		return order
	}
	slices.SortFunc(order, func(a, b placed) int {
		if a.place != b.place {
			return cmp.Compare(a.place, b.place)
		}
		if c := bytes.Compare(element(a.n), element(b.n)); c != 0 {
			return c
		}
		return cmp.Compare(a.n, b.n)
	})
	last := order[:0]
	for i, p := range order {
		if i+1 < n && order[i+1].place == p.place && bytes.Equal(element(order[i+1].n), element(p.n)) {
			continue
		}
		last = append(last, p)
	}
	return last
}

// makeApart gives a new object rows of its own, n elements.
func (t *Tx) makeApart(o *object, n int) error {
	if err := t.apartAs(o); err != nil {
		return err
	}
	o.body, o.count = nil, int64(n)
	return nil
}

// layMembers makes a new set of many members. ok is false if it has to be
// written otherwise: it may be small.
func (t *Tx) layMembers(o *object, members [][]byte) (ok bool, err error) {
	if o.count != 0 || o.apart || len(members) < manyElements {
		return false, nil
	}
	order := inScanOrder(len(members), func(i int) []byte { return members[i] })
	if len(order) < manyElements {
		return false, nil
	}
	if err := t.makeApart(o, len(order)); err != nil {
		return false, err
	}
	m := t.maker(o, len(order))
	for _, p := range order {
		t.buf = append(appendPlace(appendID(t.buf[:0], rowSet, o.id), p.place), members[p.n]...)
		m.add(t.buf, nil)
	}
	m.lay()
	return true, nil
}

// layPairs makes a new hash of many fields and values in turn, see layMembers.
func (t *Tx) layPairs(o *object, pairs [][]byte) (ok bool, err error) {
	if o.count != 0 || o.apart || len(pairs) < 2*manyElements {
		return false, nil
	}
	order := inScanOrder(len(pairs)/2, func(i int) []byte { return pairs[2*i] })
	if len(order) < manyElements {
		return false, nil
	}
	if err := t.makeApart(o, len(order)); err != nil {
		return false, err
	}
	m := t.maker(o, len(order))
	for _, p := range order {
		t.buf = append(appendPlace(appendID(t.buf[:0], rowHash, o.id), p.place), pairs[2*p.n]...)
		m.add(t.buf, pairs[2*p.n+1])
	}
	m.lay()
	return true, nil
}

// layScored makes a new sorted set of many members, see layMembers.
func (t *Tx) layScored(o *object, members []Scored) (ok bool, err error) {
	if o.count != 0 || o.apart || len(members) < manyElements {
		return false, nil
	}
	order := inScanOrder(len(members), func(i int) []byte { return members[i].Member })
	if len(order) < manyElements {
		return false, nil
	}
	if err := t.makeApart(o, len(order)); err != nil {
		return false, err
	}
	m := t.maker(o, 2*len(order))
	var score [8]byte
	for _, p := range order {
		s := &members[p.n]
		t.buf = append(appendPlace(append(appendID(t.buf[:0], rowZSet, o.id), '0'), p.place), s.Member...)
		m.add(t.buf, appendScore(score[:0], unsigned(s.Score)))
	}
	t.addScores(m, members, order)
	m.lay()
	return true, nil
}

// addScores adds the rows by score of those members that are in order, which
// it changes.
func (t *Tx) addScores(m *maker, members []Scored, order []placed) {
	add := func(s *Scored) {
		t.buf = scoreRow(t.buf[:0], m.o.id, unsigned(s.Score), s.Member)
		m.add(t.buf, nil)
	}
	byScore := func(a, b Scored) int {
		if c := cmp.Compare(a.Score, b.Score); c != 0 {
			return c
		}
		return bytes.Compare(a.Member, b.Member)
	}
	if len(order) == len(members) && slices.IsSortedFunc(members, byScore) {
		for i := range members {
			add(&members[i])
		}
		return
	}
	slices.SortFunc(order, func(a, b placed) int { return byScore(members[a.n], members[b.n]) })
	for _, p := range order {
		add(&members[p.n])
	}
}

// layElements makes a new list of many elements, see layMembers.
func (t *Tx) layElements(o *object, elements [][]byte) (ok bool, err error) {
	if o.apart || len(elements) < manyElements {
		return false, nil
	}
	if err := t.makeApart(o, len(elements)); err != nil {
		return false, err
	}
	o.firstRow = firstIndex
	m := t.maker(o, len(elements))
	for i, e := range elements {
		t.buf = listRow(t.buf[:0], o.id, firstIndex+uint64(i))
		m.add(t.buf, e)
	}
	m.lay()
	return true, nil
}

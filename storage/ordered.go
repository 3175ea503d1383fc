package storage

import (
	"bytes"
	"sort"

	"github.com/tidwall/btree"
)

// ordered is the part of a shelf that is in order: a tree, and below it, once there
// were many rows at a time, a list, which nobody changes. A list of rows that were
// just sorted is made in a quarter of the time of a tree, and a copy shares it.
type ordered struct {
	tree *btree.BTreeG[row]
	list list
}

func newOrdered() ordered {
	return ordered{tree: btree.NewBTreeGOptions(lessRow, btree.Options{NoLocks: true})}
}

// forgotten is the value of a row of a tree that hides one of the list and is none
// itself.
var forgotten = []byte("forgotten")

func isForgotten(r *row) bool {
	return len(r.value) == len(forgotten) && &r.value[0] == &forgotten[0]
}

// copy must not run beside a change.
func (o *ordered) copy() ordered { return ordered{tree: o.tree.Copy(), list: o.list} }

// size is about how many rows there are.
func (o *ordered) size() int { return o.tree.Len() + o.list.n }

func (o *ordered) get(key []byte) (r row, ok bool) {
	if r, ok := o.tree.Get(row{key: key}); ok {
		return r, !isForgotten(&r)
	}
	if i := o.list.find(key); i < o.list.n && bytes.Equal(o.list.at(i).key, key) {
		return *o.list.at(i), true
	}
	return row{}, false
}

// each calls fn for all rows in order until it returns false.
func (o *ordered) each(fn func(r row) bool) {
	var c orderedCursor
	c.init(o)
	defer c.release()
	for ok := c.first(); ok && fn(*c.row); ok = c.next() {
	}
}

// place puts one change into the tree.
func (o *ordered) place(c *change, hint *btree.PathHint) {
	switch {
	case !c.forget:
		o.tree.SetHint(c.row, hint)
	case o.list.n == 0:
		o.tree.DeleteHint(c.row, hint)
	default:
		o.tree.SetHint(row{key: c.key, value: forgotten}, hint)
	}
}

// list is rows in order, in pieces.
type list struct {
	pieces [][]row // all full but the last
	n      int
}

const listPiece = 1 << 10

func (l *list) add(r row) {
	if l.n%listPiece == 0 {
		l.pieces = append(l.pieces, make([]row, 0, listPiece))
	}
	last := &l.pieces[len(l.pieces)-1]
	*last = append(*last, r)
	l.n++
}

func (l *list) at(i int) *row { return &l.pieces[i/listPiece][i%listPiece] }

// find gives the place of the first row at or after a key.
func (l *list) find(key []byte) int {
	return sort.Search(l.n, func(i int) bool { return bytes.Compare(l.at(i).key, key) >= 0 })
}

// orderedCursor walks over rows, in one direction from where it was put. While ok, row
// is that at which it stands.
type orderedCursor struct {
	row    *row
	tree   btree.IterG[row]
	inTree bool // tree stands at a row
	top    row  // this one
	list   list
	i      int   // place in the list; -1 and list.n: outside
	used   uint8 // which of the two have the row that it stands at
}

const (
	usedTree = 1 << iota
	usedList
)

// init must be followed by release.
func (c *orderedCursor) init(o *ordered) {
	c.tree.Init(o.tree, false)
	c.list = o.list
}

func (c *orderedCursor) release() {
	c.tree.Release()
	c.list, c.top, c.row = list{}, row{}, nil
}

func (c *orderedCursor) first() (ok bool) {
	c.inTree, c.i = c.tree.First(), 0
	return c.settle(1)
}

func (c *orderedCursor) last() (ok bool) {
	c.inTree, c.i = c.tree.Last(), c.list.n-1
	return c.settle(-1)
}

// seek goes to the first row at or after a key.
func (c *orderedCursor) seek(key []byte) (ok bool) {
	c.inTree, c.i = c.tree.Seek(row{key: key}), c.list.find(key)
	return c.settle(1)
}

// seekBefore goes to the last row below a key.
func (c *orderedCursor) seekBefore(key []byte) (ok bool) {
	if c.tree.Seek(row{key: key}) {
		c.inTree = c.tree.Prev()
	} else {
		c.inTree = c.tree.Last()
	}
	c.i = c.list.find(key) - 1
	return c.settle(-1)
}

func (c *orderedCursor) next() (ok bool) {
	c.step(1)
	return c.settle(1)
}

func (c *orderedCursor) prev() (ok bool) {
	c.step(-1)
	return c.settle(-1)
}

// step leaves the row that was settled on.
func (c *orderedCursor) step(direction int) {
	if c.used&usedTree != 0 {
		if direction > 0 {
			c.inTree = c.tree.Next()
		} else {
			c.inTree = c.tree.Prev()
		}
	}
	if c.used&usedList != 0 {
		c.i += direction
	}
}

// settle finds out at which row the cursor stands now, passing those that are
// forgotten.
func (c *orderedCursor) settle(direction int) (ok bool) {
	for {
		c.used, c.row = 0, nil
		if c.inTree {
			c.used, c.top = usedTree, c.tree.Item()
			c.row = &c.top
		}
		if c.i >= 0 && c.i < c.list.n {
			below := c.list.at(c.i)
			order := -1
			if c.inTree {
				order = bytes.Compare(below.key, c.top.key) * direction
			}
			switch {
			case order < 0:
				c.used, c.row = usedList, below
			case order == 0:
				c.used |= usedList
			}
		}
		if c.row != &c.top || !isForgotten(&c.top) {
			return c.row != nil
		}
		c.step(direction)
	}
}

// with gives rows with changes to them, of which the last of each row counts; order
// is that of the changes.
func (o *ordered) with(changes *changes, order []ticket) ordered {
	made := newOrdered()
	at := 0 // what of the list comes next
	put := func(r row, gone bool) {
		for ; at < o.list.n; at++ {
			below := o.list.at(at)
			order := bytes.Compare(below.key, r.key)
			if order > 0 {
				break
			}
			if order < 0 {
				made.list.add(*below)
			}
		}
		if !gone {
			made.list.add(r)
		}
	}
	tree := o.tree.Iter()
	defer tree.Release()
	inTree := tree.First()
	for i, t := range order {
		c := changes.at(t.n)
		if changes.superseded(order, i) {
			continue
		}
		for ; inTree; inTree = tree.Next() {
			r := tree.Item()
			before := bytes.Compare(r.key, c.key)
			if before > 0 {
				break
			}
			if before < 0 {
				put(r, isForgotten(&r))
			}
		}
		put(c.row, c.forget)
	}
	for ; inTree; inTree = tree.Next() {
		r := tree.Item()
		put(r, isForgotten(&r))
	}
	for ; at < o.list.n; at++ {
		made.list.add(*o.list.at(at))
	}
	return made
}

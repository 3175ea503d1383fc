package storage

import (
	"bytes"
	"unsafe"

	"github.com/tidwall/btree"
)

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
const rowOverhead = 96 + 64

func lessRow(a, b row) bool { return bytes.Compare(a.key, b.key) < 0 }

// overlay is rows in memory, with tombstones, above the data file. A frozen
// overlay is never written to again.
//
// The tree has the order. The index has the same rows, to find one without
// the tree's dozen comparisons, each of which fetches a key from elsewhere in
// memory. A copy has no index: it is read in order, mostly.
type overlay struct {
	tree  *btree.BTreeG[row]
	index map[string][]byte // key → value, nil for a tombstone; nil map: none
	bytes int64             // memory of the rows
	log   int64             // bytes of the log entries the rows came from, which they pin
}

func newOverlay() *overlay {
	return &overlay{
		tree:  btree.NewBTreeGOptions(lessRow, btree.Options{NoLocks: true}),
		index: map[string][]byte{},
	}
}

// copy gives an overlay that does not see later changes of o. It takes
// constant time but makes the next writes to o copy the nodes they touch. It
// must not run at the same time as any other use of o.
func (o *overlay) copy() *overlay {
	return &overlay{tree: o.tree.Copy(), bytes: o.bytes, log: o.log}
}

// get gives a row's value, nil if it is a tombstone.
func (o *overlay) get(key []byte) (value []byte, ok bool) {
	if o.index != nil {
		value, ok = o.index[string(key)]
		return value, ok
	}
	r, ok := o.tree.Get(row{key: key})
	return r.value, ok
}

// set puts a row or a tombstone and gives what it replaced.
func (o *overlay) set(r row) (former row, replaced bool) {
	former, replaced = o.tree.Set(r)
	if o.index != nil {
		// A map keeps the key it is given last, as the tree does: a former
		// one would keep its log entry alive.
		o.index[r.name()] = r.value
	}
	o.bytes += r.size()
	if replaced {
		o.bytes -= former.size()
	}
	return former, replaced
}

// forget removes a row as if it had never been set.
func (o *overlay) forget(key []byte) {
	if former, ok := o.tree.Delete(row{key: key}); ok {
		delete(o.index, string(key))
		o.bytes -= former.size()
	}
}

// name is the key as a string, without a copy: keys of rows are never
// modified.
func (r row) name() string { return unsafe.String(unsafe.SliceData(r.key), len(r.key)) }

func (r row) size() int64 { return int64(len(r.key)+len(r.value)) + rowOverhead }

package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/zeebo/xxh3"
	"go.etcd.io/bbolt"
)

// sumSize is the length of the sum that follows each value in the data file.
// bbolt keeps no sums of its pages: a byte that the disk has changed would
// otherwise be served as data, and spread by snapshots.
const sumSize = 4

// rowSum covers key and value, so that a row cannot pass for another one.
func rowSum(key, value []byte) uint32 {
	h := xxh3.HashSeed(value, xxh3.Hash(key))
	return uint32(h) ^ uint32(h>>32)
}

// fileRows are the rows of a data file as one transaction for reading sees
// them. Any number of goroutines may read.
//
// It proves what it answers: a row by its sum; that there is no row by the
// sums and the order of the rows on both sides of the gap.
type fileRows struct {
	bucket  *bbolt.Bucket
	damaged func(error) // is told of damage, and does not return
	cursors sync.Pool   // of *bbolt.Cursor: one costs four allocations
}

func (r *fileRows) cursor() *bbolt.Cursor {
	if c, ok := r.cursors.Get().(*bbolt.Cursor); ok {
		return c
	}
	return r.bucket.Cursor()
}

// Get gives the value of a row, nil if there is none.
func (r *fileRows) Get(key []byte) []byte {
	c := r.cursor()
	defer r.cursors.Put(c)
	k, v := c.Seek(key)
	if bytes.Equal(k, key) {
		return r.open(k, v)
	}
	r.absent(c, key, k, v)
	return nil
}

// absent checks that key belongs between the row at k, where c stands, and
// the row before.
func (r *fileRows) absent(c *bbolt.Cursor, key, k, v []byte) {
	var before, value []byte
	if k == nil {
		before, value = c.Last()
	} else {
		if bytes.Compare(k, key) < 0 {
			r.damaged(fmt.Errorf("row %q was found where row %q belongs", k, key))
		}
		r.open(k, v)
		before, value = c.Prev()
	}
	if before == nil {
		return
	}
	if bytes.Compare(before, key) >= 0 {
		r.damaged(fmt.Errorf("row %q was found before where row %q belongs", before, key))
	}
	r.open(before, value)
}

// open takes the sum off a stored value.
func (r *fileRows) open(key, stored []byte) []byte {
	value, err := unsealed(key, stored)
	if err != nil {
		r.damaged(err)
	}
	return value
}

// unsealed takes the sum off a stored value, which must agree with it.
func unsealed(key, stored []byte) ([]byte, error) {
	n := len(stored) - sumSize
	if n < 0 || binary.BigEndian.Uint32(stored[n:]) != rowSum(key, stored[:n]) {
		return nil, fmt.Errorf("row %.80q does not agree with its sum", key)
	}
	return stored[:n:n], nil
}

// Cursor walks the rows in order. Whoever closes it makes the next one cheaper.
func (r *fileRows) Cursor() fileCursor { return fileCursor{rows: r, c: r.cursor()} }

// Close gives the cursor up, which may be the zero fileCursor.
func (c *fileCursor) Close() {
	if c.rows != nil {
		c.rows.cursors.Put(c.c)
		*c = fileCursor{}
	}
}

// fileCursor is a cursor over the rows of a data file. A nil key is the end.
type fileCursor struct {
	rows *fileRows
	c    *bbolt.Cursor
	last []byte // the row given before
}

// First moves to the first row.
func (c *fileCursor) First() (key, value []byte) { return c.jump(c.c.First()) }

// Last moves to the last row.
func (c *fileCursor) Last() (key, value []byte) { return c.jump(c.c.Last()) }

// Seek moves to the first row at or after key.
func (c *fileCursor) Seek(key []byte) ([]byte, []byte) {
	k, v := c.c.Seek(key)
	if k != nil && bytes.Compare(k, key) < 0 {
		c.rows.damaged(fmt.Errorf("row %q was found where row %q belongs", k, key))
	}
	return c.jump(k, v)
}

// Next moves to the next row.
func (c *fileCursor) Next() (key, value []byte) {
	k, v := c.c.Next()
	return c.move(k, v, 1)
}

// Prev moves to the row before.
func (c *fileCursor) Prev() (key, value []byte) {
	k, v := c.c.Prev()
	return c.move(k, v, -1)
}

func (c *fileCursor) jump(k, v []byte) (key, value []byte) {
	c.last = k
	if k == nil {
		return nil, nil
	}
	return k, c.rows.open(k, v)
}

// move checks that the walk goes on in its direction.
func (c *fileCursor) move(k, v []byte, direction int) (key, value []byte) {
	if k != nil && c.last != nil && bytes.Compare(k, c.last)*direction <= 0 {
		c.rows.damaged(fmt.Errorf("rows %q and %q are not in order", c.last, k))
	}
	return c.jump(k, v)
}

// rowWriter puts rows into the rows of a transaction that writes.
type rowWriter struct {
	bucket *bbolt.Bucket
	memory []byte // for values with their sums; used until the end of the transaction
}

// put writes a row, or removes it if the value is nil.
func (w *rowWriter) put(key, value []byte) error {
	if value == nil {
		return w.bucket.Delete(key)
	}
	at := len(w.memory)
	w.memory = append(w.memory, value...)
	w.memory = binary.BigEndian.AppendUint32(w.memory, rowSum(key, value))
	return w.bucket.Put(key, w.memory[at:len(w.memory):len(w.memory)])
}

package keyspace

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/parlorchat/parlor/storage"
)

// Extent is a piece of the table and what is in it.
type Extent struct {
	Next  []byte       // where the next piece begins, for Digest alone; nil: this was the last
	Rows  int          // in this piece
	Bytes int64        // of their keys and values
	Hash  storage.Hash // sum over the rows
}

// Digest sums up the rows from a place on (nil: the beginning) until it has
// come to limit bytes, or to the end. Members whose tables are as of the same
// entry get the same Extent, however far each has come with removing garbage:
// rows of deleted objects and of rooms that were left do not count. Indexes do,
// which are in no state hash.
//
// The rows of an object count with its meta row: whether they are garbage
// cannot be told from themselves. Digest ends early, with an error, if stop
// says so, which it asks now and then.
func Digest(rows storage.Reader, from []byte, limit int64, stop func() error) (Extent, error) {
	d := digest{rows: rows, limit: limit, stop: stop}
	for slot := range storage.RoomCount {
		d.rooms = append(d.rooms, appendNumber(nil, number(rows, slot)))
	}
	for _, typ := range []Type{Hash, Set, ZSet, List, Stream, String} {
		d.owned = append(d.owned, rowsOf(typ)...)
	}
	row, own, err := decodeStart(from)
	if err != nil {
		return Extent{}, err
	}
	d.walk(row, own)
	if d.err == nil {
		d.err = stop()
	}
	if d.err != nil {
		return Extent{}, d.err
	}
	return d.extent, nil
}

var errStart = errors.New("a digest cannot begin there")

// A place to begin at is a row and, of the rows of its object, one to go on
// with: the length of the first, 2 bytes, then both.
func encodeStart(row, own []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(row)))
	return append(append(b, row...), own...)
}

func decodeStart(b []byte) (row, own []byte, err error) {
	if len(b) == 0 {
		return []byte{}, nil, nil
	}
	if len(b) < 2 {
		return nil, nil, errStart
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return nil, nil, errStart
	}
	return b[2 : 2+n], b[2+n:], nil
}

type digest struct {
	rows   storage.Reader
	rooms  [][]byte // numbers of those that are in a slot
	owned  []byte   // kinds of rows that belong to objects
	limit  int64
	stop   func() error
	extent Extent
	err    error
}

// walk goes through rows in their order. own says where to go on in the rows
// of the object at from, if that is still the same object.
func (d *digest) walk(from, own []byte) {
	for from != nil {
		var resume []byte
		d.rows.Ascend(from, nil, func(k, v []byte) bool {
			if resume = d.skip(k); resume != nil {
				return false
			}
			kinds := ownRows(k, v)
			if len(own) > 0 && bytes.Equal(k, from) {
				for i, prefix := range kinds {
					if bytes.HasPrefix(own, prefix) {
						at := own
						own = nil
						return d.object(k, kinds[i:], at)
					}
				}
			}
			own = nil
			if !d.add(k, v, k, nil) {
				return false
			}
			return len(kinds) == 0 || d.object(k, kinds, kinds[0])
		})
		if d.err != nil || d.extent.Next != nil {
			return
		}
		from = resume
	}
}

// object sums up the rows of the object at a meta row, from one on; kinds are
// what the rest of them begin with.
func (d *digest) object(meta []byte, kinds [][]byte, from []byte) (more bool) {
	more = true
	for i, prefix := range kinds {
		if i > 0 {
			from = prefix
		}
		d.rows.Ascend(from, storage.EndOf(prefix), func(k, v []byte) bool {
			more = d.add(k, v, meta, k)
			return more
		})
		if !more {
			break
		}
	}
	return more
}

// add takes a row in; if that would be too much, the next piece begins there.
func (d *digest) add(k, v, start, own []byte) (more bool) {
	e := &d.extent
	if e.Bytes >= d.limit {
		e.Next = encodeStart(start, own)
		return false
	}
	e.Rows++
	e.Bytes += int64(len(k) + len(v))
	e.Hash = e.Hash.Add(storage.RowHash(k, v))
	if e.Rows%256 == 0 {
		d.err = d.stop()
	}
	return d.err == nil
}

// skip gives where to go on if a row does not count by itself, nil if it does.
func (d *digest) skip(k []byte) []byte {
	if bytes.IndexByte(d.owned, k[0]) >= 0 {
		return []byte{k[0] + 1}
	}
	switch k[0] {
	case rowGarbage, rowLeftRoom:
		return []byte{k[0] + 1}
	case rowMeta, rowExpiry, rowScan, rowWake:
		if len(k) < 2 {
			return nil
		}
		room := k[1:min(len(k), 1+numberSize(k[1:]))]
		for _, live := range d.rooms {
			if bytes.Equal(room, live) {
				return nil
			}
		}
		return storage.EndOf(k[:1+len(room)])
	}
	return nil
}

// ownRows is what the keys of the rows of an object begin with, by kind; none
// if it has no rows or the row is not an object.
func ownRows(row, value []byte) (prefixes [][]byte) {
	if row[0] != rowMeta {
		return nil
	}
	o := object{row: row}
	if o.decode(value) != nil || !o.apart {
		return nil
	}
	for _, first := range rowsOf(o.typ) {
		prefixes = append(prefixes, appendID(nil, first, o.id))
	}
	return prefixes
}

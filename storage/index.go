package storage

import (
	"bytes"
	"hash/maphash"
)

// index finds a row of an overlay by its key: a hash table with open addresses,
// whose slots are 8 bytes, so that a key that is not there costs one look at
// memory, and one that is there three. A map takes five times the room for its
// slots, and wants to be asked anew for every question; that was an eighth of
// the work of a write.
//
// Several may call get at the same time, while nobody calls set or forget.
type index struct {
	seed  maphash.Seed
	parts [indexParts]slots // by the upper bits of the hash: each grows by itself, without a long pause
	rows  [][]indexed       // in pieces, which do not move when there are more
	n     int               // places in rows that were given out
	free  []uint32          // … and given back
}

// indexed is a row with the number of its last change on its shelf.
type indexed struct {
	row
	change uint64
}

const (
	indexParts = 64
	partShift  = 64 - 6 // of a hash, to its part
	rowsPiece  = 256
)

// slots are the table of a part. A slot is 0 if it is free, else the lower half
// of the key's hash and the place of its row plus one. A key is in the slot
// that its hash names, or in one of those that follow without a free one
// between.
type slots struct {
	table []uint64 // a power of two of them, at least a quarter free
	used  int
}

// newIndex gives an index with room for so many rows.
func newIndex(room int) *index {
	x := &index{seed: maphash.MakeSeed()}
	if room > indexParts {
		for i := range x.parts {
			x.parts[i].table = make([]uint64, tableSize(room/indexParts))
		}
	}
	return x
}

// tableSize is how many slots so many keys take: more than that is grown when
// it turns out to be too little.
func tableSize(keys int) int {
	size := 8
	for size*3/4 < keys {
		size *= 2
	}
	return size
}

// find gives where a key is or would have to be put; ok says which. The part
// must have a table.
func (x *index) find(p *slots, hash uint64, key []byte) (slot int, ok bool) {
	mask := len(p.table) - 1
	for slot = int(uint32(hash)) & mask; ; slot = (slot + 1) & mask {
		s := p.table[slot]
		if s == 0 {
			return slot, false
		}
		if uint32(s>>32) == uint32(hash) && bytes.Equal(x.row(s).key, key) {
			return slot, true
		}
	}
}

// row is the row of a slot.
func (x *index) row(slot uint64) *indexed {
	place := uint32(slot) - 1
	return &x.rows[place/rowsPiece][place%rowsPiece]
}

// lookUp gives the part and the slot of a key that is there.
func (x *index) lookUp(key []byte) (p *slots, slot int, ok bool) {
	hash := maphash.Bytes(x.seed, key)
	if p = &x.parts[hash>>partShift]; p.used > 0 {
		slot, ok = x.find(p, hash, key)
	}
	return p, slot, ok
}

// get gives a row's value, nil if it is a tombstone.
func (x *index) get(key []byte) (value []byte, ok bool) {
	p, slot, ok := x.lookUp(key)
	if !ok {
		return nil, false
	}
	return x.row(p.table[slot]).value, true
}

// set puts a row, says where it is, and gives the value that it replaced. The
// key that it is given last is kept: a former one would keep its log entry
// alive.
func (x *index) set(r row) (at *indexed, former []byte, replaced bool) {
	hash := maphash.Bytes(x.seed, r.key)
	p := &x.parts[hash>>partShift]
	p.makeRoom()
	slot, ok := x.find(p, hash, r.key)
	if ok {
		at = x.row(p.table[slot])
		former, at.row = at.value, r
		return at, former, true
	}
	p.fill(slot, hash, x.place(r))
	return x.row(p.table[slot]), nil, false
}

// place puts a row where none is.
func (x *index) place(r row) uint32 {
	if last := len(x.free) - 1; last >= 0 {
		place := x.free[last]
		x.free = x.free[:last]
		x.rows[place/rowsPiece][place%rowsPiece] = indexed{row: r}
		return place
	}
	if x.n%rowsPiece == 0 {
		x.rows = append(x.rows, make([]indexed, rowsPiece))
	}
	place := uint32(x.n)
	x.rows[place/rowsPiece][place%rowsPiece] = indexed{row: r}
	x.n++
	return place
}

// forget removes a key, if it is there.
func (x *index) forget(key []byte) {
	p, slot, ok := x.lookUp(key)
	if !ok {
		return
	}
	*x.row(p.table[slot]) = indexed{}
	x.free = append(x.free, uint32(p.table[slot])-1)
	p.remove(slot)
}

// fill takes a free slot for the row at a place.
func (p *slots) fill(slot int, hash uint64, place uint32) {
	p.table[slot] = uint64(uint32(hash))<<32 | uint64(place+1)
	p.used++
}

// makeRoom grows the table if one slot more would be too many.
func (p *slots) makeRoom() {
	if (p.used+1)*4 > len(p.table)*3 {
		p.grow()
	}
}

// grow doubles the table. The slots know enough of their hashes for that.
func (p *slots) grow() {
	former := p.table
	p.table = make([]uint64, max(8, 2*len(former)))
	mask := len(p.table) - 1
	for _, s := range former {
		if s == 0 {
			continue
		}
		slot := int(s>>32) & mask
		for p.table[slot] != 0 {
			slot = (slot + 1) & mask
		}
		p.table[slot] = s
	}
}

// remove empties a slot. Those behind it move up, up to the next free one,
// unless that would put them before the slot that their hash names.
func (p *slots) remove(slot int) {
	mask := len(p.table) - 1
	p.used--
	for next := (slot + 1) & mask; p.table[next] != 0; next = (next + 1) & mask {
		home := int(p.table[next]>>32) & mask
		if (next-home)&mask >= (next-slot)&mask {
			p.table[slot] = p.table[next]
			slot = next
		}
	}
	p.table[slot] = 0
}

package storage

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// recent is copies of the rows that the last checkpoints wrote to the data file:
// who looks for one finds it as if it were still in an overlay, with a third of
// the work. It has no pointers into it, so that the garbage collector does not
// care how many rows there are.
//
// Rows are laid one after the other into pieces of memory. When these are as
// many as may be, the oldest is used again and its rows are forgotten.
//
// Several may call get at the same time, while nobody calls anything else.
type recent struct {
	kinds  [256]bool // rows by the first byte of their key: others are not kept
	seed   maphash.Seed
	parts  [indexParts]slots // a slot's place counts recentAlign bytes of the pieces
	pieces [][]byte          // each as long as it is used
	most   int               // pieces
	last   int               // the piece that is being filled
}

const (
	recentPiece  = 64 << 10
	recentAlign  = 8
	recentHeader = 6       // length of the key, 2 bytes, and of the value, 4
	recentRow    = 2 << 10 // larger rows are not kept: copying them would be most of the work
)

// newRecent gives room for so many bytes of rows whose keys begin with one of
// these bytes; the table takes an eighth more if rows have a hundred bytes.
func newRecent(kinds string, budget int64) *recent {
	x := &recent{seed: maphash.MakeSeed(), most: max(int(budget/recentPiece), 2)}
	for _, k := range []byte(kinds) {
		x.kinds[k] = true
	}
	return x
}

// at gives what is kept at a slot's place.
func (x *recent) at(slot uint64) (key, value []byte) {
	const inPiece = recentPiece / recentAlign
	place := uint32(slot) - 1
	b := x.pieces[place/inPiece][place%inPiece*recentAlign:]
	k, v := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint32(b[2:]))
	return b[recentHeader : recentHeader+k], b[recentHeader+k : recentHeader+k+v : recentHeader+k+v]
}

// find is index.find.
func (x *recent) find(p *slots, hash uint64, key []byte) (slot int, value []byte, ok bool) {
	if len(p.table) == 0 {
		return 0, nil, false
	}
	mask := len(p.table) - 1
	for slot = int(uint32(hash)) & mask; p.table[slot] != 0; slot = (slot + 1) & mask {
		if s := p.table[slot]; uint32(s>>32) == uint32(hash) {
			if k, v := x.at(s); bytes.Equal(k, key) {
				return slot, v, true
			}
		}
	}
	return slot, nil, false
}

// get gives a row's value, which is good until the next set.
func (x *recent) get(key []byte) (value []byte, ok bool) {
	if len(key) == 0 || !x.kinds[key[0]] {
		return nil, false
	}
	hash := maphash.Bytes(x.seed, key)
	_, value, ok = x.find(&x.parts[hash>>partShift], hash, key)
	return value, ok
}

// set keeps a row as it is now in the data file, or forgets it if there is none
// any more.
func (x *recent) set(r row) {
	if !x.kinds[r.key[0]] {
		return
	}
	hash := maphash.Bytes(x.seed, r.key)
	p := &x.parts[hash>>partShift]
	if slot, _, ok := x.find(p, hash, r.key); ok {
		p.remove(slot)
	}
	if r.value == nil || recentSize(r.key, r.value) > recentRow {
		return
	}
	place := x.lay(r)
	p.makeRoom()
	slot, _, _ := x.find(p, hash, r.key)
	p.fill(slot, hash, place)
}

// lay copies a row into the pieces, and tells where.
func (x *recent) lay(r row) (place uint32) {
	size := recentSize(r.key, r.value)
	if len(x.pieces) == 0 || len(x.pieces[x.last])+size > recentPiece {
		x.turn()
	}
	b := x.pieces[x.last]
	end := len(b) + size
	place = uint32(x.last*recentPiece+len(b)) / recentAlign
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.key)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.value)))
	b = append(append(b, r.key...), r.value...)
	x.pieces[x.last] = b[:end]
	return place
}

// recentSize is the room that a row takes in a piece.
func recentSize(key, value []byte) int {
	return (recentHeader + len(key) + len(value) + recentAlign - 1) &^ (recentAlign - 1)
}

// turn begins the next piece.
func (x *recent) turn() {
	if len(x.pieces) < x.most {
		x.last = len(x.pieces)
		x.pieces = append(x.pieces, make([]byte, 0, recentPiece))
		return
	}
	x.last = (x.last + 1) % len(x.pieces)
	x.empty(x.last)
}

// empty forgets the rows of a piece, but for those that came again since.
func (x *recent) empty(piece int) {
	for offset := 0; offset < len(x.pieces[piece]); {
		place := uint32(piece*recentPiece+offset)/recentAlign + 1
		key, value := x.at(uint64(place))
		hash := maphash.Bytes(x.seed, key)
		p := &x.parts[hash>>partShift]
		if slot, _, ok := x.find(p, hash, key); ok && uint32(p.table[slot]) == place {
			p.remove(slot)
		}
		offset += recentSize(key, value)
	}
	x.pieces[piece] = x.pieces[piece][:0]
}

// remember keeps rows that were just written to the data file. Until the
// checkpoint they are of is published they are in an overlay, too, which is
// asked first: in the frozen one, or in the active one if the checkpoint is given
// up. A snapshot that is installed meanwhile takes the place of all.
func (db *DB) remember(rows []row) {
	const some = 64 // so that nobody waits for more than microseconds
	for part := range slices.Chunk(rows, some) {
		db.mu.Lock()
		for _, r := range part {
			db.recent.set(r)
		}
		db.mu.Unlock()
	}
}

// bytes is the memory that it takes.
func (x *recent) bytes() int64 {
	n := int64(len(x.pieces)) * recentPiece
	for i := range x.parts {
		n += int64(len(x.parts[i].table)) * 8
	}
	return n
}

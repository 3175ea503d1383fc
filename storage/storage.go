package storage

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Reader reads rows of the ordered table at one instant.
//
// The slices it returns belong to the table: they must not be modified and,
// outside the state machine, die with the view they came from.
type Reader interface {
	// Get gives the value of a row.
	Get(key []byte) (value []byte, ok bool)
	// Ascend calls fn for the rows with from <= key < to in ascending order
	// until fn returns false. A nil to has no end. fn must not write.
	Ascend(from, to []byte, fn func(key, value []byte) bool)
	// Descend calls fn for the rows with from <= key < to in descending order
	// until fn returns false. A nil to has no end. fn must not write.
	Descend(from, to []byte, fn func(key, value []byte) bool)
	// Room gives one of the Rooms.
	Room(slot int) Room
}

// EndOf is the first key that is above all that begin with a prefix, where a walk
// over them ends; nil: none is. The prefix is not changed.
func EndOf(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// Hurried is a Reader for who must not keep others waiting, as that of a View is.
type Hurried interface {
	// AscendSoon is Ascend, unless it finds that this takes long for other
	// reasons than fn: much was written that is not in order yet, or many rows
	// were deleted. Then it ends, for good or in the middle, and says so. Walk
	// is what helps; later the same may be done soon.
	AscendSoon(from, to []byte, fn func(key, value []byte) bool) (done bool)
	// DescendSoon is Descend likewise.
	DescendSoon(from, to []byte, fn func(key, value []byte) bool) (done bool)
}

// Counter is a Reader that may know how many rows lie in a range without passing
// all of them. ok is false if it does not: then a Walk after that which asks the
// same will, and passes all rows once, and later whoever reads in a View.
type Counter interface {
	// Before gives how many of the rows whose keys begin with prefix come before
	// a key, which begins so, too.
	Before(prefix, key []byte) (n int64, ok bool)
	// At gives the key of the n-th of these rows, from 0; nil if there are not so
	// many.
	At(prefix []byte, n int64) (key []byte, ok bool)
}

// Writer changes rows. The table takes over key and value: the caller must
// not modify them afterwards. Slices that a Writer's own Get, Ascend and
// Descend returned may be passed back: a Batch hands out memory that lives on.
type Writer interface {
	Reader
	Set(key, value []byte)
	Delete(key []byte)
	// SetRun sets many rows at little cost. They come in ascending order, and
	// their keys begin with a byte and an object's id of 8 bytes, of which there
	// is no row and never was one.
	SetRun(rows []Row)
	// Look is Ascend, but what fn gets dies with the batch. It is for who makes
	// other rows of what there is.
	Look(from, to []byte, fn func(key, value []byte) bool)
	// SetRoom changes one of the Rooms. It is undone and kept with the rows.
	SetRoom(slot int, r Room)
}

// RoomCount is how many slots there are for rooms.
const RoomCount = 17

// Rooms are what the typed layer knows of its databases. They are kept beside
// the rows because each change of a row changes one of them. They mean nothing
// to the table.
type Rooms [RoomCount]Room

// Room is what rows of one kind have in common, and what is true of all of
// them. The zero value is one without rows.
type Room struct {
	Number  uint64 // names the rows; 0: as it was at the beginning
	Since   uint64 // log index from which these rows are in this slot
	Keys    int64
	Expires int64
	Hash    Hash // over the rows
}

// State is what the state machine must find again, together with the rows,
// after a restart. It is stored in the same transaction as the rows.
type State struct {
	Index uint64 // last log index whose effects are in the rows
	Term  uint64 // term of that entry
	Clock int64  // the state machine's clock, ms since 1970
	Hash  Hash   // over all live rows, kept by the typed layer
	Rooms Rooms  // changed by Writer.SetRoom only: Batch.Commit takes no other
}

// Hash is a 128-bit sum over rows. Sums are added and subtracted, so that the
// order of changes does not matter, and two nodes that hold the same rows
// have the same sum.
type Hash struct{ Hi, Lo uint64 }

// RowHash is the contribution of one row.
func RowHash(key, value []byte) Hash {
	var short [shortRow]byte
	b := binary.BigEndian.AppendUint32(short[:0], uint32(len(key)))
	if len(b)+len(key)+len(value) <= len(short) {
		// The same bytes at once: a hasher for a stream is dear to set up.
		sum := xxh3.Hash128(append(append(b, key...), value...))
		return Hash{Hi: sum.Hi, Lo: sum.Lo}
	}
	h := xxh3.New()
	_, _ = h.Write(b)
	_, _ = h.Write(key)
	_, _ = h.Write(value)
	sum := h.Sum128()
	return Hash{Hi: sum.Hi, Lo: sum.Lo}
}

// shortRow is how many bytes of a row are put together to be hashed.
const shortRow = 256

// Add gives h with o added, modulo 2^128.
func (h Hash) Add(o Hash) Hash {
	lo, carry := bits.Add64(h.Lo, o.Lo, 0)
	hi, _ := bits.Add64(h.Hi, o.Hi, carry)
	return Hash{Hi: hi, Lo: lo}
}

// Sub gives h with o taken away, modulo 2^128.
func (h Hash) Sub(o Hash) Hash {
	lo, borrow := bits.Sub64(h.Lo, o.Lo, 0)
	hi, _ := bits.Sub64(h.Hi, o.Hi, borrow)
	return Hash{Hi: hi, Lo: lo}
}

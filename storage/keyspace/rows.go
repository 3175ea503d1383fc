package keyspace

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"
)

// First bytes of rows. They are stored and never change.
const (
	rowMeta    = 'm' // <room><key> → object
	rowExpiry  = 't' // <room><ms 8><key> → ""
	rowScan    = 'k' // <room><place 6><key> → "", or the first bytes of rows of its own and the object 8
	rowWake    = 'w' // <room><ms 8><key> → "": fields expire
	rowHash    = 'h' // <object 8><place 6><field> → value
	rowField   = 'f' // <object 8>'0'<place 6><field> → ms 8; <object 8>'1'<ms 8><place 6><field> → "": when fields expire
	rowSet     = 'e' // <object 8><place 6><member> → ""
	rowZSet    = 'z' // <object 8>'0'<place 6><member> → score 8; <object 8>'1'<score 8><member> → ""
	rowStream  = 'x' // see stream.go and group.go
	rowList    = 'l' // <object 8><index 8> → element
	rowChunk   = 'b' // <object 8><chunk 4> → bytes of a long string
	rowGarbage = 'g' // <object 8> → first bytes of the rows to remove
	// rowLeftRoom names a room without a database. In its value are the first
	// bytes of the rows to remove; the first is that of the scan index, which
	// says what other rows there are.
	rowLeftRoom = 'r' // <room> → first bytes of rows
	rowRoom     = 'd' // <slot>: no row, but hashed like one
)

// LookedUp are the first bytes of the rows that commands ask for one by one more
// than in order, for storage.Options.
const LookedUp = string(rowMeta) + string(rowHash) + string(rowSet) + string(rowZSet) + string(rowList) + string(rowChunk)

// InOrder are the first bytes of the rows that commands which write walk over, for
// storage.Options.
const InOrder = string(rowHash) + string(rowField) + string(rowSet) + string(rowZSet) + string(rowStream) + string(rowList) +
	string(rowExpiry) + string(rowWake)

// placeSize is the length of a place in a row key. 48 bits: a cursor is one,
// and there are clients that keep cursors in a float64.
const placeSize = 6

// place says where an element stands in scan order.
func place(element []byte) uint64 { return xxh3.Hash(element) >> 16 }

func appendPlace(b []byte, p uint64) []byte {
	return append(b, byte(p>>40), byte(p>>32), byte(p>>24), byte(p>>16), byte(p>>8), byte(p))
}

func readPlace(b []byte) uint64 {
	return uint64(b[0])<<40 | uint64(b[1])<<32 | uint64(b[2])<<24 | uint64(b[3])<<16 | uint64(b[4])<<8 | uint64(b[5])
}

func appendID(b []byte, first byte, object uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, first), object)
}

// elementRow is the row of a field or member of a hash or set.
func elementRow(b []byte, first byte, object uint64, element []byte) []byte {
	b = appendID(b, first, object)
	return append(appendPlace(b, place(element)), element...)
}

// elementHead is the length of what precedes the element in elementRow.
const elementHead = 1 + 8 + placeSize

func memberRow(b []byte, object uint64, member []byte) []byte {
	b = append(appendID(b, rowZSet, object), '0')
	return append(appendPlace(b, place(member)), member...)
}

func scoreRow(b []byte, object uint64, score float64, member []byte) []byte {
	b = append(appendID(b, rowZSet, object), '1')
	return append(appendScore(b, score), member...)
}

// memberHead and scoreHead are the lengths of what precedes the member.
const (
	memberHead = 1 + 8 + 1 + placeSize
	scoreHead  = 1 + 8 + 1 + 8
)

// appendScore keeps the order of numbers in the order of bytes.
func appendScore(b []byte, f float64) []byte {
	bits := math.Float64bits(f)
	if bits>>63 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(b, bits)
}

func readScore(b []byte) float64 {
	bits := binary.BigEndian.Uint64(b)
	if bits>>63 == 1 {
		bits &^= 1 << 63
	} else {
		bits = ^bits
	}
	return math.Float64frombits(bits)
}

// timeRow is the row of an index of times, for the object whose meta row that
// is; head is the length of what precedes its key.
func timeRow(first byte, ms int64, meta []byte, head int) []byte {
	b := make([]byte, 0, len(meta)+8)
	b = append(append(b, first), meta[1:head]...)
	b = binary.BigEndian.AppendUint64(b, uint64(ms))
	return append(b, meta[head:]...)
}

func scanRow(meta []byte, head int) []byte {
	b := make([]byte, 0, len(meta)+placeSize)
	b = append(append(b, rowScan), meta[1:head]...)
	return append(appendPlace(b, place(meta[head:])), meta[head:]...)
}

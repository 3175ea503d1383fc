package keyspace

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"
)

// First bytes of rows. They are stored and never change.
const (
	rowMeta    = 'm' // <db><key> → object
	rowExpiry  = 't' // <ms 8><db><key> → ""
	rowScan    = 'k' // <db><place 6><key> → ""
	rowCounts  = 'n' // <db> → keys 8, keys that expire 8
	rowHash    = 'h' // <object 8><place 6><field> → value
	rowSet     = 'e' // <object 8><place 6><member> → ""
	rowZSet    = 'z' // <object 8>'0'<place 6><member> → score 8; <object 8>'1'<score 8><member> → ""
	rowStream  = 'x' // see stream.go and group.go
	rowList    = 'l' // <object 8><index 8> → element
	rowGarbage = 'g' // <object 8> → first bytes of the rows to remove
)

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

// after gives the first key that is above all keys with this prefix, nil if
// there is none. The prefix is not changed.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
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

func expiryRow(ms int64, meta []byte) []byte {
	b := make([]byte, 0, 9+len(meta)-1)
	b = binary.BigEndian.AppendUint64(append(b, rowExpiry), uint64(ms))
	return append(b, meta[1:]...)
}

func scanRow(meta []byte) []byte {
	b := make([]byte, 0, 2+placeSize+len(meta)-2)
	b = append(b, rowScan, meta[1])
	return append(appendPlace(b, place(meta[2:])), meta[2:]...)
}

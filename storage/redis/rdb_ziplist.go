package redis

import (
	"encoding/binary"
	"math"
)

// A ziplist is what servers before 7.0 have packed small values and the nodes
// of lists in. Nothing writes one any more.

// zipList gives the elements of a packed string of that form.
func (r *rdbReader) zipList() [][]byte {
	return r.packed(unpackZipList)
}

// zipQuickList gives the elements of a list whose nodes are ziplists.
func (r *rdbReader) zipQuickList() [][]byte {
	var out [][]byte
	for n := r.count(); n > 0 && r.more(1); n-- {
		out = append(out, r.zipList()...)
	}
	return out
}

// unpackZipList takes a ziplist of up to limit elements apart; integers become
// text. If there are more it gives some and ok is false.
func unpackZipList(b []byte, limit int) (items [][]byte, ok bool) {
	le := binary.LittleEndian
	if len(b) < 11 || uint64(le.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != 0xff {
		return nil, false
	}
	n := int(le.Uint16(b[8:]))
	r := rdbReader{b: b[10 : len(b)-1]}
	for len(r.b) > 0 {
		if r.fixed(1)[0] >= 254 { // the length of the entry before it, in one byte or five
			r.fixed(4)
		}
		item := r.zipItem()
		if r.err != nil { // cut off
			return nil, false
		}
		if len(items) == max(limit, 1) {
			return items, false
		}
		items = append(items, item)
	}
	if n != len(items) && n != math.MaxUint16 {
		return nil, false
	}
	return items, true
}

// zipItem reads an element of a ziplist.
func (r *rdbReader) zipItem() []byte {
	le := binary.LittleEndian
	switch first := r.fixed(1)[0]; {
	case first < 0x40:
		return r.take(uint64(first))
	case first < 0x80:
		return r.take(uint64(first&63)<<8 | uint64(r.fixed(1)[0]))
	case first == 0x80:
		return r.take(uint64(binary.BigEndian.Uint32(r.fixed(4))))
	case first == 0xc0:
		return formatInt(int64(int16(le.Uint16(r.fixed(2)))))
	case first == 0xd0:
		return formatInt(int64(int32(le.Uint32(r.fixed(4)))))
	case first == 0xe0:
		return formatInt(int64(le.Uint64(r.fixed(8))))
	case first == 0xf0:
		v := r.fixed(3)
		return formatInt(int64(int32(uint32(v[0])<<8|uint32(v[1])<<16|uint32(v[2])<<24) >> 8))
	case first == 0xfe:
		return formatInt(int64(int8(r.fixed(1)[0])))
	case first > 0xf0 && first < 0xfe:
		return formatInt(int64(first&15) - 1)
	}
	r.fail()
	return nil
}

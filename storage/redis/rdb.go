package redis

import (
	"encoding/binary"
	"hash/crc64"
	"math"
	"math/bits"
	"strconv"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// The payload of DUMP is that of Redis: the type of the value, the value as in
// an RDB file, two bytes of version and eight of CRC64.

// Types of values in a payload. Those that are written every server from 5.0 on
// reads; streams need 7.0.
const (
	rdbString    = 0
	rdbList      = 1
	rdbSet       = 2
	rdbZSetText  = 3
	rdbHash      = 4
	rdbZSet      = 5
	rdbListZip   = 10
	rdbIntSet    = 11
	rdbZSetZip   = 12
	rdbHashZip   = 13
	rdbQuickZip  = 14
	rdbStream1   = 15
	rdbHashPack  = 16
	rdbZSetPack  = 17
	rdbQuickList = 18
	rdbStream2   = 19
	rdbSetPack   = 20
	rdbStream3   = 21

	// Hashes with fields that expire, from 7.4 on; the old ones are of its
	// candidates.
	rdbHashTimedOld     = 22
	rdbHashTimedPackOld = 23
	rdbHashTimed        = 24
	rdbHashTimedPack    = 25

	rdbVersion      = 10
	rdbVersionTimed = 12 // of hashes with fields that expire
	rdbVersionRead  = 12
)

// Bounds in bytes.
const (
	maxDump     = 64 << 20 // a payload that is made
	maxUnpacked = 64 << 20 // what compressed strings of a payload may become
)

// maxRestored is how many elements a payload may have: they are made in one
// step of the log, and a few bytes can stand for many.
const maxRestored = 1 << 20

// maxPacked is how many parts one packed string of a payload may have. Redis
// packs what is small: some hundred, unless it is told otherwise.
const maxPacked = 3 << 16

var (
	errDumpSum    = command.Errorf("ERR", "DUMP payload version or checksum are wrong")
	errDumpFormat = command.Errorf("ERR", "Bad data format")
	errDumpSize   = command.Errorf("ERR", "the value is larger than 64 MB as a payload")
	errDumpCount  = command.Errorf("ERR", "the payload has more than 1048576 fields, members, elements or entries, nothing was changed; restore it in parts")
)

// dumpSums is the table of the CRC64 that Redis has (Jones).
func dumpSum(b []byte) uint64 {
	table := crc64.MakeTable(bits.Reverse64(0xad93d23594c935a9))
	return ^crc64.Update(math.MaxUint64, table, b)
}

// appendFooter completes a payload.
func appendFooter(b []byte) []byte {
	version := byte(rdbVersion)
	if b[0] == rdbHashTimed {
		version = rdbVersionTimed
	}
	b = append(b, version, 0)
	return binary.LittleEndian.AppendUint64(b, dumpSum(b))
}

// openPayload checks a payload and gives what is inside.
func openPayload(b []byte) ([]byte, error) {
	n := len(b) - 10
	if n < 1 || binary.LittleEndian.Uint16(b[n:]) > rdbVersionRead {
		return nil, errDumpSum
	}
	if binary.LittleEndian.Uint64(b[n+2:]) != dumpSum(b[:n+2]) {
		return nil, errDumpSum
	}
	return b[:n], nil
}

func appendRDBLen(b []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return append(b, 0x40|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0x80), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0x81), n)
}

func appendRDBString(b, s []byte) []byte {
	return append(appendRDBLen(b, uint64(len(s))), s...)
}

// rdbReader takes a payload apart. The first thing that is wrong stays in err,
// and from then on there is nothing left to read.
type rdbReader struct {
	b        []byte
	unpacked int
	items    int // read so far
	err      error
}

func (r *rdbReader) fail() { r.failWith(errDumpFormat) }

func (r *rdbReader) failWith(err error) {
	r.b = nil
	if r.err == nil {
		r.err = err
	}
}

// more notes that n elements are read, and says whether they may be.
func (r *rdbReader) more(n int) bool {
	// Of a hash and the like each has two parts, and packed ones three at most.
	if r.items += n; r.items > 3*maxRestored {
		r.failWith(errDumpCount)
	}
	return r.err == nil
}

// take gives n bytes.
func (r *rdbReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// fixed gives n bytes, zeros if they are not there.
func (r *rdbReader) fixed(n int) []byte {
	if b := r.take(uint64(n)); b != nil {
		return b
	}
	return make([]byte, n)
}

// length reads a length, or with encoded true the way in which what follows is
// encoded.
func (r *rdbReader) length() (n uint64, encoded bool) {
	first := r.fixed(1)[0]
	switch first >> 6 {
	case 0:
		return uint64(first & 63), false
	case 1:
		return uint64(first&63)<<8 | uint64(r.fixed(1)[0]), false
	case 3:
		return uint64(first & 63), true
	}
	switch first {
	case 0x80:
		return uint64(binary.BigEndian.Uint32(r.fixed(4))), false
	case 0x81:
		return binary.BigEndian.Uint64(r.fixed(8)), false
	}
	r.fail()
	return 0, false
}

func (r *rdbReader) number() uint64 {
	n, encoded := r.length()
	if encoded {
		r.fail()
	}
	return n
}

// count reads how many things follow, each of which takes a byte at least.
func (r *rdbReader) count() int {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *rdbReader) string() []byte {
	n, encoded := r.length()
	if !encoded {
		return r.take(n)
	}
	le := binary.LittleEndian
	switch n {
	case 0:
		return formatInt(int64(int8(r.fixed(1)[0])))
	case 1:
		return formatInt(int64(int16(le.Uint16(r.fixed(2)))))
	case 2:
		return formatInt(int64(int32(le.Uint32(r.fixed(4)))))
	case 3:
		packed, size := r.number(), r.number()
		in := r.take(packed)
		if r.unpacked += int(min(size, maxUnpacked+1)); r.err != nil || r.unpacked > maxUnpacked {
			r.fail()
			return nil
		}
		out, ok := unpackLZF(in, int(size))
		if !ok {
			r.fail()
		}
		return out
	}
	r.fail()
	return nil
}

// unpackLZF decompresses to exactly size bytes.
func unpackLZF(in []byte, size int) (out []byte, ok bool) {
	const most = 264 // that three bytes can stand for
	out = make([]byte, 0, min(size, most*(len(in)/3+1)))
	for len(in) > 0 {
		control := int(in[0])
		in = in[1:]
		if control < 32 { // that many bytes and one, as they are
			if control >= len(in) || len(out)+control+1 > size {
				return nil, false
			}
			out = append(out, in[:control+1]...)
			in = in[control+1:]
			continue
		}
		n := control >> 5
		if n == 7 {
			if len(in) == 0 {
				return nil, false
			}
			n += int(in[0])
			in = in[1:]
		}
		if len(in) == 0 {
			return nil, false
		}
		back := (control&31)<<8 + int(in[0]) + 1
		in = in[1:]
		n += 2
		if back > len(out) || len(out)+n > size {
			return nil, false
		}
		for range n { // may run into what it writes
			out = append(out, out[len(out)-back])
		}
	}
	return out, len(out) == size
}

// double reads a score as text: a length, or one of three special values.
func (r *rdbReader) textDouble() float64 {
	switch n := r.fixed(1)[0]; n {
	case 255:
		return math.Inf(-1)
	case 254:
		return math.Inf(1)
	case 253:
		r.fail()
		return 0
	default:
		f, err := strconv.ParseFloat(string(r.take(uint64(n))), 64)
		if err != nil {
			r.fail()
		}
		return f
	}
}

// strings reads n strings.
func (r *rdbReader) strings(n int) [][]byte {
	if n > 2*maxRestored {
		r.failWith(errDumpCount)
	}
	var out [][]byte
	for ; n > 0 && r.more(1); n-- {
		out = append(out, r.string())
	}
	return out
}

// intSet gives the members of a set of integers.
func (r *rdbReader) intSet() [][]byte {
	b := rdbReader{b: r.string()}
	le := binary.LittleEndian
	width, n := le.Uint32(b.fixed(4)), le.Uint32(b.fixed(4))
	if (width != 2 && width != 4 && width != 8) || uint64(n)*uint64(width) != uint64(len(b.b)) {
		r.fail()
		return nil
	}
	if n > maxRestored {
		r.failWith(errDumpCount)
		return nil
	}
	var out [][]byte
	for range n {
		switch v := b.fixed(int(width)); width {
		case 2:
			out = append(out, formatInt(int64(int16(le.Uint16(v)))))
		case 4:
			out = append(out, formatInt(int64(int32(le.Uint32(v)))))
		default:
			out = append(out, formatInt(int64(le.Uint64(v))))
		}
	}
	return out
}

// quickList gives the elements of a list of nodes.
func (r *rdbReader) quickList() [][]byte {
	var out [][]byte
	for n := r.count(); n > 0 && r.more(1); n-- {
		switch r.number() {
		case 1: // one large element
			out = append(out, r.string())
		case 2:
			out = append(out, r.listPack()...)
		default:
			r.fail()
		}
	}
	return out
}

// listPack gives the elements of a packed string of them.
func (r *rdbReader) listPack() [][]byte { return r.packed(unpackList) }

// packed gives the elements of a packed string, which unpack takes apart.
func (r *rdbReader) packed(unpack func(b []byte, limit int) (items [][]byte, ok bool)) [][]byte {
	packed := r.string()
	items, ok := unpack(packed, min(maxPacked, 3*maxRestored-r.items))
	switch {
	case !ok && len(items) > 0:
		r.failWith(errDumpCount)
	case !ok:
		r.fail()
	case !r.more(len(items)):
		return nil
	}
	return items
}

// unpackList takes a listpack of up to limit elements apart; integers become
// text. If there are more it gives some and ok is false.
func unpackList(b []byte, limit int) (items [][]byte, ok bool) {
	if len(b) < 7 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != 0xff {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint16(b[4:]))
	r := rdbReader{b: b[6 : len(b)-1]}
	le := binary.LittleEndian
	for len(r.b) > 0 {
		before := len(r.b)
		var item []byte
		switch first := r.fixed(1)[0]; {
		case first < 0x80:
			item = formatInt(int64(first))
		case first < 0xc0:
			item = r.take(uint64(first & 63))
		case first < 0xe0:
			item = formatInt(int64(int16(uint16(first&31)<<11|uint16(r.fixed(1)[0])<<3) >> 3))
		case first < 0xf0:
			item = r.take(uint64(first&15)<<8 | uint64(r.fixed(1)[0]))
		case first == 0xf0:
			item = r.take(uint64(le.Uint32(r.fixed(4))))
		case first == 0xf1:
			item = formatInt(int64(int16(le.Uint16(r.fixed(2)))))
		case first == 0xf2:
			v := r.fixed(3)
			item = formatInt(int64(int32(uint32(v[0])<<8|uint32(v[1])<<16|uint32(v[2])<<24) >> 8))
		case first == 0xf3:
			item = formatInt(int64(int32(le.Uint32(r.fixed(4)))))
		case first == 0xf4:
			item = formatInt(int64(le.Uint64(r.fixed(8))))
		default:
			return nil, false
		}
		r.take(uint64(backLen(before - len(r.b))))
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

// backLen is how many bytes the length of an entry of a listpack takes.
func backLen(n int) int {
	switch {
	case n <= 127:
		return 1
	case n < 16383:
		return 2
	case n < 2097151:
		return 3
	case n < 268435455:
		return 4
	}
	return 5
}

// scored makes pairs of members and scores.
func (r *rdbReader) scored(items [][]byte) []keyspace.Scored {
	var out []keyspace.Scored
	if len(items)%2 == 1 {
		r.fail()
		return nil
	}
	for i := 0; i < len(items); i += 2 {
		f, ok := parseFloat(items[i+1])
		if !ok {
			r.fail()
			return nil
		}
		out = append(out, keyspace.Scored{Member: items[i], Score: f})
	}
	return out
}

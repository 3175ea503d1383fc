package keyspace

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"strconv"
)

// StreamID is the id of a stream entry: milliseconds and a sequence, or, in
// the domain's streams, a sequence and 0.
type StreamID struct{ Ms, Seq uint64 }

// MaxStreamID is the highest id there can be.
var MaxStreamID = StreamID{math.MaxUint64, math.MaxUint64}

// Compare gives -1, 0 or 1.
func (id StreamID) Compare(o StreamID) int {
	if c := cmp.Compare(id.Ms, o.Ms); c != 0 {
		return c
	}
	return cmp.Compare(id.Seq, o.Seq)
}

// Less says whether id comes before o.
func (id StreamID) Less(o StreamID) bool { return id.Compare(o) < 0 }

// Next is the id after id; ok is false if there is none.
func (id StreamID) Next() (next StreamID, ok bool) {
	switch {
	case id.Seq < math.MaxUint64:
		return StreamID{id.Ms, id.Seq + 1}, true
	case id.Ms < math.MaxUint64:
		return StreamID{id.Ms + 1, 0}, true
	}
	return id, false
}

// Prev is the id before id; ok is false if there is none.
func (id StreamID) Prev() (prev StreamID, ok bool) {
	switch {
	case id.Seq > 0:
		return StreamID{id.Ms, id.Seq - 1}, true
	case id.Ms > 0:
		return StreamID{id.Ms - 1, math.MaxUint64}, true
	}
	return id, false
}

// String gives "ms-seq".
func (id StreamID) String() string {
	return string(strconv.AppendUint(append(strconv.AppendUint(nil, id.Ms, 10), '-'), id.Seq, 10))
}

func appendStreamID(b []byte, id StreamID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, id.Ms), id.Seq)
}

func readStreamID(b []byte) StreamID {
	return StreamID{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// Errors of streams.
var (
	ErrStreamIDZero  = &Error{"ERR", "The ID specified in XADD must be greater than 0-0"}
	ErrStreamIDSmall = &Error{"ERR", "The ID specified in XADD is equal or smaller than the target stream top item"}
)

// streamHead is the length of <row type><object><kind> before an entry's id.
const streamHead = 1 + 8 + 1

func entryRow(b []byte, object uint64, id StreamID) []byte {
	return appendStreamID(append(appendID(b, rowStream, object), '0'), id)
}

func encodeFields(fields [][]byte) []byte {
	size := 0
	for _, f := range fields {
		size += itemSize(f)
	}
	b := make([]byte, 0, size)
	for _, f := range fields {
		b = appendItem(b, f)
	}
	return b
}

func decodeFields(b []byte) [][]byte {
	fields := make([][]byte, 0, 16)
	for len(b) > 0 {
		var f []byte
		f, b = cut(b)
		fields = append(fields, f)
	}
	return fields
}

// XAdd appends an entry, and makes the stream if there is none. fields are
// names and values in turn; id must be above the last.
func (t *Tx) XAdd(key []byte, id StreamID, fields [][]byte) error {
	o, err := t.write(key, Stream)
	if err != nil {
		return err
	}
	if id == (StreamID{}) {
		return ErrStreamIDZero
	}
	if !o.last.Less(id) {
		return ErrStreamIDSmall
	}
	value := encodeFields(fields)
	if len(value) > MaxValue {
		return ErrValueTooLarge
	}
	if err := t.makeStream(o); err != nil {
		return err
	}
	t.buf = entryRow(t.buf[:0], o.id, id)
	t.putRow(o, t.buf, nil, false, value)
	if o.count == 0 {
		o.first = id
	}
	o.count++
	o.added++
	o.last = id
	t.save(o)
	t.touch(key)
	return nil
}

func (t *Tx) makeStream(o *object) error {
	if o.typ == Stream {
		return nil
	}
	if err := t.apartAs(o); err != nil {
		return err
	}
	o.typ = Stream
	return nil
}

// XCreate makes an empty stream if there is none.
func (t *Tx) XCreate(key []byte) error {
	o, err := t.write(key, Stream)
	if err != nil || o.typ == Stream {
		return err
	}
	if err := t.makeStream(o); err != nil {
		return err
	}
	t.save(o)
	return nil
}

// StreamInfo is what a stream knows of itself.
type StreamInfo struct {
	Length     int64
	Last       StreamID // highest id ever
	First      StreamID // of the first entry; zero if there is none
	MaxDeleted StreamID
	Added      uint64 // entries ever added
	Groups     int64
}

// XInfo gives what a stream knows of itself; ok is false if there is none.
func (t *Tx) XInfo(key []byte) (info StreamInfo, ok bool, err error) {
	o, err := t.read(key, Stream)
	if o == nil {
		return StreamInfo{}, false, err
	}
	return o.info(), true, nil
}

func (o *object) info() StreamInfo {
	return StreamInfo{o.count, o.last, o.first, o.maxDeleted, o.added, o.groups}
}

// XSetInfo sets what XSETID may: the last id, and if given (not nil) the
// number of entries ever added and the highest id deleted.
func (t *Tx) XSetInfo(key []byte, last StreamID, added *uint64, maxDeleted *StreamID) error {
	o, err := t.write(key, Stream)
	if err != nil {
		return err
	}
	if o.typ == None {
		return ErrNoSuchKey
	}
	o.last = last
	if added != nil {
		o.added = *added
	}
	if maxDeleted != nil && *maxDeleted != (StreamID{}) {
		o.maxDeleted = *maxDeleted
	}
	t.saveAside(o)
	return nil
}

// XLast is the highest id ever added; zero if there is none.
func (t *Tx) XLast(key []byte) (StreamID, error) {
	o, err := t.read(key, Stream)
	if o == nil {
		return StreamID{}, err
	}
	return o.last, nil
}

// XLen is the number of entries.
func (t *Tx) XLen(key []byte) (int64, error) {
	o, err := t.read(key, Stream)
	if o == nil {
		return 0, err
	}
	return o.count, nil
}

// XGet gives the fields of an entry.
func (t *Tx) XGet(key []byte, id StreamID) (fields [][]byte, ok bool, err error) {
	o, err := t.read(key, Stream)
	if o == nil {
		return nil, false, err
	}
	t.buf = entryRow(t.buf[:0], o.id, id)
	v, ok := t.rows.Get(t.buf)
	if !ok {
		return nil, false, nil
	}
	return decodeFields(v), true, nil
}

// XEach walks entries in order of their ids, from from to to inclusive, or from
// to down to from if reverse, until fn returns false.
func (t *Tx) XEach(key []byte, from, to StreamID, reverse bool, fn func(id StreamID, fields [][]byte) bool) error {
	o, err := t.read(key, Stream)
	if o == nil || o.count == 0 {
		return err
	}
	t.xwalk(o, from, to, reverse, func(id StreamID, v []byte) bool { return fn(id, decodeFields(v)) })
	return nil
}

func (t *Tx) xwalk(o *object, from, to StreamID, reverse bool, fn func(id StreamID, value []byte) bool) {
	if from.Less(o.first) {
		from = o.first // passes over what was trimmed
	}
	if to.Less(from) {
		return
	}
	start := entryRow(nil, o.id, from)
	end := append(entryRow(nil, o.id, to), 0)
	visit := func(k, v []byte) bool { return fn(readStreamID(k[streamHead:]), v) }
	if reverse {
		t.rows.Descend(start, end, visit)
	} else {
		t.ascend(start, end, visit)
	}
}

// XDel removes an entry. The stream stays when it was the last.
func (t *Tx) XDel(key []byte, id StreamID) (bool, error) {
	n, err := t.XDelAll(key, []StreamID{id})
	return n == 1, err
}

// XDelAll removes several entries and says how many there were.
func (t *Tx) XDelAll(key []byte, ids []StreamID) (removed int64, err error) {
	o, err := t.write(key, Stream)
	if err != nil || o.typ == None {
		return 0, err
	}
	lost := false
	for _, id := range ids {
		t.buf = entryRow(t.buf[:0], o.id, id)
		old, had := t.rows.Get(t.buf)
		if !had {
			continue
		}
		t.dropRow(o, t.buf, old)
		removed++
		o.count--
		lost = lost || id == o.first
		if o.maxDeleted.Less(id) {
			o.maxDeleted = id
		}
	}
	if removed > 0 {
		if lost {
			t.findFirst(o)
		}
		t.save(o)
	}
	return removed, nil
}

// findFirst looks for the first entry, above the one that was first.
func (t *Tx) findFirst(o *object) {
	was := o.first
	o.first = StreamID{}
	if o.count == 0 {
		return
	}
	start, end := entryRow(nil, o.id, was), append(entryRow(nil, o.id, MaxStreamID), 0)
	t.rows.Ascend(start, end, func(k, _ []byte) bool {
		o.first = readStreamID(k[streamHead:])
		return false
	})
}

// XTrimMin removes up to limit entries (0: all) below min.
func (t *Tx) XTrimMin(key []byte, min StreamID, limit int) (removed int64, err error) {
	return t.xtrim(key, limit, func(id StreamID, _ int64) bool { return id.Less(min) })
}

// XTrimLen removes up to limit entries (0: all) from the beginning, until there
// are no more than n.
func (t *Tx) XTrimLen(key []byte, n int64, limit int) (removed int64, err error) {
	return t.xtrim(key, limit, func(_ StreamID, left int64) bool { return left > n })
}

func (t *Tx) xtrim(key []byte, limit int, doomed func(id StreamID, left int64) bool) (removed int64, err error) {
	o, err := t.write(key, Stream)
	if err != nil || o.typ == None || o.count == 0 {
		return 0, err
	}
	defer t.Borrow()()
	type row struct{ key, value []byte }
	var rows []row
	all := o.count
	t.xwalk(o, o.first, MaxStreamID, false, func(id StreamID, v []byte) bool {
		if (limit > 0 && removed >= int64(limit)) || !doomed(id, all-removed) {
			return false
		}
		removed++
		if removed > 100 && all-removed < 2*removed && o.groups == 0 {
			rows = nil // most go: what stays is made anew
		} else {
			rows = append(rows, row{entryRow(nil, o.id, id), v})
		}
		return true
	})
	switch {
	case removed == 0:
		return 0, nil
	case rows == nil:
		if err := t.keepEntries(o, all-removed); err != nil {
			return 0, err
		}
	default:
		for _, r := range rows {
			t.dropRow(o, r.key, r.value)
			o.count--
		}
		// XTRIM does not raise the highest deleted id, as in Redis.
		t.findFirst(o)
	}
	t.save(o)
	return removed, nil
}

// keepEntries leaves the last n entries of a stream without groups, in time
// proportional to their number.
func (t *Tx) keepEntries(o *object, n int64) error {
	type entry struct {
		id    StreamID
		value []byte
	}
	stay := make([]entry, 0, n)
	t.xwalk(o, o.first, MaxStreamID, true, func(id StreamID, v []byte) bool {
		if int64(len(stay)) < n {
			stay = append(stay, entry{id, bytes.Clone(v)})
		}
		return int64(len(stay)) < n
	})
	t.discard(o)
	if err := t.apartAs(o); err != nil {
		return err
	}
	o.count, o.first = n, StreamID{}
	m := t.maker(o, len(stay))
	for i := len(stay) - 1; i >= 0; i-- {
		if o.first == (StreamID{}) {
			o.first = stay[i].id
		}
		t.buf = entryRow(t.buf[:0], o.id, stay[i].id)
		m.add(t.buf, stay[i].value)
	}
	m.lay()
	return nil
}

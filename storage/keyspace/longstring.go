package keyspace

import (
	"bytes"
	"encoding/binary"
)

// A string is one row, whatever it holds, as long as it is only set and read. A
// long one that is changed in part (SETBIT, BITFIELD, SETRANGE, APPEND) is cut
// into chunks, a row each, so that such a change costs what a chunk does, and not
// what the string does. What a chunk's row does not have, because it is short or
// not there, is zeros: a bit far beyond the end takes one row. A string that is
// set as a whole is one row again.

const (
	// longString is the length up to which a string is one row in any case.
	longString = 16 << 10
	// stringChunk is how many bytes a row has at most: two rows fit into a page of
	// the data file.
	stringChunk = 2000
)

func chunkRow(b []byte, object uint64, chunk int64) []byte {
	return binary.BigEndian.AppendUint32(appendID(b, rowChunk, object), uint32(chunk))
}

// chunkHead is the length of what precedes the chunk in chunkRow.
const chunkHead = 1 + 8

// size is the length of a string.
func (o *object) size() int64 {
	if o.apart {
		return o.count
	}
	return int64(len(o.body))
}

// whole gives the bytes of a string.
func (t *Tx) whole(o *object) []byte {
	if !o.apart {
		return o.body
	}
	return t.part(o, 0, o.count)
}

// part gives n bytes of a string from an offset; there are so many.
func (t *Tx) part(o *object, at, n int64) []byte {
	if !o.apart {
		return o.body[at : at+n : at+n]
	}
	if l, ok := t.rows.(*limited); ok {
		l.work(n) // of which there may be few rows
	}
	out := make([]byte, n)
	if n == 0 {
		return out
	}
	put := func(chunk int64, value []byte) {
		if begin := chunk*stringChunk - at; begin >= 0 {
			copy(out[begin:], value)
		} else if skip := -begin; skip < int64(len(value)) {
			copy(out, value[skip:])
		}
	}
	first, last := at/stringChunk, (at+n-1)/stringChunk
	if last-first < fewElements { // see there
		for chunk := first; chunk <= last; chunk++ {
			t.buf = chunkRow(t.buf[:0], o.id, chunk)
			if value, ok := t.rows.Get(t.buf); ok {
				put(chunk, value)
			}
		}
		return out
	}
	t.look(chunkRow(nil, o.id, first), chunkRow(nil, o.id, last+1), func(k, value []byte) bool {
		put(int64(binary.BigEndian.Uint32(k[chunkHead:])), value)
		return true
	})
	return out
}

// GetRange gives up to n bytes of the string at a key from an offset: fewer where
// it ends, none if there is none. Neither is negative.
func (t *Tx) GetRange(key []byte, at, n int64) ([]byte, error) {
	o, err := t.read(key, String)
	if o == nil || at >= o.size() {
		return nil, err
	}
	return t.part(o, at, min(n, o.size()-at)), nil
}

// StrLen is the length of the string at a key; ok is false if there is none.
func (t *Tx) StrLen(key []byte) (n int64, ok bool, err error) {
	o, err := t.read(key, String)
	if o == nil {
		return 0, false, err
	}
	return o.size(), true, nil
}

// SetRange puts bytes into the string at a key from an offset on, which is not
// negative, and gives its new length. Beyond its former end there are zeros. A string
// comes to be if there is none, even of no bytes; its expiry stays.
func (t *Tx) SetRange(key []byte, at int64, with []byte) (length int64, err error) {
	if at > MaxValue-int64(len(with)) {
		return 0, ErrValueTooLarge
	}
	o, err := t.write(key, String)
	if err != nil {
		return 0, err
	}
	o.typ = String
	length = max(o.size(), at+int64(len(with)))
	switch {
	case !o.apart && length <= longString:
		v := make([]byte, length)
		copy(v, o.body)
		copy(v[at:], with)
		o.body = v
		t.save(o)
		return length, nil
	case !o.apart:
		if err := t.cutUp(o); err != nil {
			return 0, err
		}
	}
	t.patch(o, at, with)
	o.count = length
	t.save(o)
	return length, nil
}

// cutUp gives a string in one row rows of its own.
func (t *Tx) cutUp(o *object) error {
	body := o.body
	if err := t.makeApart(o, len(body)); err != nil {
		return err
	}
	m := t.maker(o, len(body)/stringChunk+1)
	for chunk := int64(0); len(body) > 0; chunk++ {
		n := min(len(body), stringChunk)
		if !zeros(body[:n]) {
			t.buf = chunkRow(t.buf[:0], o.id, chunk)
			m.add(t.buf, body[:n])
		}
		body = body[n:]
	}
	m.lay()
	return nil
}

// patch changes bytes of a string that is cut up, but not its length.
func (t *Tx) patch(o *object, at int64, with []byte) {
	for len(with) > 0 {
		chunk, from := at/stringChunk, int(at%stringChunk)
		part := with[:min(len(with), stringChunk-from)]
		at, with = at+int64(len(part)), with[len(part):]
		t.buf = chunkRow(t.buf[:0], o.id, chunk)
		old, had := t.rows.Get(t.buf)
		if !had && zeros(part) {
			continue
		}
		value := make([]byte, max(len(old), from+len(part)))
		copy(value, old)
		copy(value[from:], part)
		t.putRow(o, t.buf, old, had, value)
	}
}

func zeros(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

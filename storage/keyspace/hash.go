package keyspace

import (
	"bytes"
	"math/rand/v2"
)

// HGet gives the value of a field.
func (t *Tx) HGet(key, field []byte) (value []byte, ok bool, err error) {
	o, err := t.read(key, Hash)
	if o == nil {
		return nil, false, err
	}
	value, ok = t.hget(o, field)
	return value, ok, nil
}

func (t *Tx) hget(o *object, field []byte) (value []byte, ok bool) {
	if !o.apart {
		_, value, _, ok = findField(o.body, field)
		return value, ok
	}
	t.buf = elementRow(t.buf[:0], rowHash, o.id, field)
	return t.rows.Get(t.buf)
}

// findField gives a field's value, and where the field begins and ends in the
// body.
func findField(body, field []byte) (start int, value []byte, end int, ok bool) {
	for rest := body; len(rest) > 0; {
		start = len(body) - len(rest)
		var f, v []byte
		f, rest = cut(rest)
		v, rest = cut(rest)
		if bytes.Equal(f, field) {
			return start, v, len(body) - len(rest), true
		}
	}
	return 0, nil, 0, false
}

// HSet sets a field, and makes the hash if there is none.
func (t *Tx) HSet(key, field, value []byte) (created bool, err error) {
	n, err := t.HSetAll(key, [][]byte{field, value})
	return n == 1, err
}

// HSetAll sets several fields at the cost of little more than one: fields and
// values in turn. It says how many are new.
func (t *Tx) HSetAll(key []byte, pairs [][]byte) (created int64, err error) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if len(pairs[i]) > MaxElement {
			return 0, ErrElementTooLong
		}
		if len(pairs[i+1]) > MaxValue {
			return 0, ErrValueTooLarge
		}
	}
	o, err := t.write(key, Hash)
	if err != nil || len(pairs) < 2 {
		return 0, err
	}
	o.typ = Hash
	before := o.count
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := t.hset(o, pairs[i], pairs[i+1]); err != nil {
			return 0, err
		}
	}
	t.save(o)
	return o.count - before, nil
}

func (t *Tx) hset(o *object, field, value []byte) error {
	if !o.apart {
		start, _, end, had := findField(o.body, field)
		count, size := o.count, len(o.body)-(end-start)+itemSize(field)+itemSize(value)
		if !had {
			count++
			start, end = len(o.body), len(o.body)
		}
		if small(count, size) {
			b := make([]byte, 0, size)
			b = append(b, o.body[:start]...)
			b = appendItem(appendItem(b, field), value)
			o.body, o.count = append(b, o.body[end:]...), count
			return nil
		}
		if err := t.spillHash(o); err != nil {
			return err
		}
	}
	t.buf = elementRow(t.buf[:0], rowHash, o.id, field)
	old, had := t.rows.Get(t.buf)
	t.putRow(o, t.buf, old, had, value)
	if !had {
		o.count++
	}
	return nil
}

func (t *Tx) spillHash(o *object) error {
	if err := t.apartAs(o); err != nil {
		return err
	}
	var f, v []byte
	for rest := o.body; len(rest) > 0; {
		f, rest = cut(rest)
		v, rest = cut(rest)
		t.buf = elementRow(t.buf[:0], rowHash, o.id, f)
		t.putRow(o, t.buf, nil, false, v)
	}
	o.body = nil
	return nil
}

// HDel removes a field, and the hash with the last one.
func (t *Tx) HDel(key, field []byte) (removed bool, err error) {
	n, err := t.HDelAll(key, [][]byte{field})
	return n == 1, err
}

// HDelAll removes several fields and says how many there were.
func (t *Tx) HDelAll(key []byte, fields [][]byte) (removed int64, err error) {
	o, err := t.write(key, Hash)
	if err != nil || o.typ == None {
		return 0, err
	}
	for _, f := range fields {
		if t.hdel(o, f) {
			removed++
		}
	}
	if removed > 0 {
		t.unspill(o, rowHash)
		t.save(o)
	}
	return removed, nil
}

func (t *Tx) hdel(o *object, field []byte) bool {
	if !o.apart {
		start, _, end, had := findField(o.body, field)
		if !had {
			return false
		}
		o.body = append(append(make([]byte, 0, len(o.body)), o.body[:start]...), o.body[end:]...)
		o.count--
		return true
	}
	return t.dropElement(o, rowHash, field)
}

func (t *Tx) dropElement(o *object, first byte, element []byte) bool {
	t.buf = elementRow(t.buf[:0], first, o.id, element)
	old, had := t.rows.Get(t.buf)
	if had {
		t.dropRow(o, t.buf, old)
		o.count--
	}
	return had
}

// unspill takes a hash or set that has become small back into the meta row.
func (t *Tx) unspill(o *object, first byte) {
	if !o.apart || o.count == 0 || !shrunk(o.count, 0) {
		return
	}
	var body []byte
	prefix := appendID(nil, first, o.id)
	t.rows.Ascend(prefix, after(prefix), func(k, v []byte) bool {
		body = appendItem(body, k[elementHead:])
		if first == rowHash {
			if len(v) > 512 {
				body = append(body, make([]byte, 513)...) // too large anyhow
				return false
			}
			body = appendItem(body, v)
		}
		return shrunk(0, len(body))
	})
	if !shrunk(o.count, len(body)) {
		return
	}
	t.discard(o)
	o.apart, o.id, o.body = false, 0, body
	o.sum.Hi, o.sum.Lo = 0, 0
}

// HLen is the number of fields.
func (t *Tx) HLen(key []byte) (int64, error) {
	o, err := t.read(key, Hash)
	if o == nil {
		return 0, err
	}
	return o.count, nil
}

// HEach walks the fields, until fn returns false: those of a small hash as
// they came, of a large one in scan order.
func (t *Tx) HEach(key []byte, fn func(field, value []byte) bool) error {
	o, err := t.read(key, Hash)
	if o == nil {
		return err
	}
	if !o.apart {
		var f, v []byte
		for rest := o.body; len(rest) > 0; {
			f, rest = cut(rest)
			v, rest = cut(rest)
			if !fn(f, v) {
				break
			}
		}
		return nil
	}
	prefix := appendID(nil, rowHash, o.id)
	t.rows.Ascend(prefix, after(prefix), func(k, v []byte) bool { return fn(k[elementHead:], v) })
	return nil
}

// HScan walks part of the fields, as Scan does the keys. A small hash is
// walked at once.
func (t *Tx) HScan(key []byte, cursor uint64, count int, fn func(field, value []byte)) (next uint64, err error) {
	o, err := t.read(key, Hash)
	if o == nil {
		return 0, err
	}
	if !o.apart {
		return 0, t.HEach(key, func(f, v []byte) bool { fn(f, v); return true })
	}
	return t.scanRows(appendID(nil, rowHash, o.id), cursor, count, fn), nil
}

// HRandom gives a field at random; ok is false if there is no such key.
func (t *Tx) HRandom(key []byte, r *rand.Rand) (field, value []byte, ok bool, err error) {
	o, err := t.read(key, Hash)
	if o == nil {
		return nil, nil, false, err
	}
	if o.apart {
		field, value = t.randomRow(appendID(nil, rowHash, o.id), o.count, r)
		return field, value, true, nil
	}
	rest := o.body
	for n := r.Int64N(o.count); n >= 0; n-- {
		field, rest = cut(rest)
		value, rest = cut(rest)
	}
	return field, value, true, nil
}

package keyspace

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"github.com/parlorchat/parlor/storage"
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
	switch {
	case o.apart:
		if t.someDue(o) && t.past(t.timeOf(o, field)) {
			return nil, false
		}
		t.buf = elementRow(t.buf[:0], rowHash, o.id, field)
		return t.rows.Get(t.buf)
	case o.timed != 0:
		all := t.fields(o)
		if i := index(all, field); i >= 0 {
			return all[i].value, true
		}
		return nil, false
	}
	_, value, _, ok = findField(o.body, field)
	return value, ok
}

// findField gives a field's value, and where the field begins and ends in the
// body, in which no field has a time.
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
// values in turn. Fields that did expire no longer do. It says how many are new.
func (t *Tx) HSetAll(key []byte, pairs [][]byte) (created int64, err error) {
	return t.hsetAll(key, pairs, 0)
}

// HSetKeepTTL is HSetAll, but fields expire when they did before.
func (t *Tx) HSetKeepTTL(key []byte, pairs [][]byte) (created int64, err error) {
	return t.hsetAll(key, pairs, keepTime)
}

// HSetEx is HSetAll with a time in ms at which the fields expire. A time that
// has come removes them.
func (t *Tx) HSetEx(key []byte, pairs [][]byte, at int64) error {
	if !t.past(at) {
		_, err := t.hsetAll(key, pairs, at)
		return err
	}
	if err := checkPairs(pairs); err != nil {
		return err
	}
	fields := make([][]byte, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		fields = append(fields, pairs[i])
	}
	_, err := t.HDelAll(key, fields)
	return err
}

// keepTime stands for the time that a field has.
const keepTime = -1

func checkPairs(pairs [][]byte) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if len(pairs[i]) > MaxElement {
			return ErrElementTooLong
		}
		if len(pairs[i+1]) > MaxValue {
			return ErrValueTooLarge
		}
	}
	return nil
}

func (t *Tx) hsetAll(key []byte, pairs [][]byte, at int64) (created int64, err error) {
	if err := checkPairs(pairs); err != nil {
		return 0, err
	}
	o, err := t.write(key, Hash)
	if err != nil || len(pairs) < 2 {
		return 0, err
	}
	o.typ = Hash
	if at <= 0 {
		done, err := t.layPairs(o, pairs)
		if err != nil {
			return 0, err
		}
		if done {
			t.save(o)
			return o.count, nil
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		isNew, err := t.hset(o, pairs[i], pairs[i+1], at)
		if err != nil {
			return 0, err
		}
		if isNew {
			created++
		}
	}
	t.save(o)
	return created, nil
}

// hset sets a field and the time at which it expires, 0: never.
func (t *Tx) hset(o *object, field, value []byte, at int64) (created bool, err error) {
	if !o.apart {
		if o.timed != 0 || at > 0 {
			if created, ok := t.hsetTimed(o, field, value, at); ok {
				return created, nil
			}
		} else if created, ok := o.hsetSmall(field, value); ok {
			return created, nil
		}
		if err := t.spillHash(o); err != nil {
			return false, err
		}
	}
	past := t.someDue(o) && t.past(t.timeOf(o, field))
	if at != keepTime || past {
		t.setTime(o, field, max(at, 0))
	}
	t.buf = elementRow(t.buf[:0], rowHash, o.id, field)
	old, had := t.rows.Get(t.buf)
	t.putRow(o, t.buf, old, had, value)
	if !had {
		o.count++
	}
	return !had || past, nil
}

// hsetSmall sets a field in the body; ok is false if it has become too large.
func (o *object) hsetSmall(field, value []byte) (created, ok bool) {
	start, _, end, had := findField(o.body, field)
	count, size := o.count, len(o.body)-(end-start)+itemSize(field)+itemSize(value)
	if !had {
		count++
		start, end = len(o.body), len(o.body)
	}
	if !small(count, size) {
		return false, false
	}
	b := make([]byte, 0, size)
	b = append(b, o.body[:start]...)
	b = appendItem(appendItem(b, field), value)
	o.body, o.count = append(b, o.body[end:]...), count
	return !had, true
}

// hsetTimed is hsetSmall where fields expire.
func (t *Tx) hsetTimed(o *object, field, value []byte, at int64) (created, ok bool) {
	all := t.fields(o)
	i := index(all, field)
	if i < 0 {
		all = append(all, timedField{field: field, value: value, at: max(at, 0)})
	} else {
		all[i].value = value
		if at != keepTime {
			all[i].at = at
		}
	}
	return i < 0, o.layFields(all)
}

func (t *Tx) spillHash(o *object) error {
	if err := t.apartAs(o); err != nil {
		return err
	}
	all := t.fields(o)
	o.body, o.timing, o.count = nil, timing{}, int64(len(all))
	for _, f := range all {
		t.buf = elementRow(t.buf[:0], rowHash, o.id, f.field)
		t.putRow(o, t.buf, nil, false, f.value)
		t.setTime(o, f.field, f.at)
	}
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
	if o.apart {
		past := t.someDue(o) && t.past(t.timeOf(o, field))
		t.setTime(o, field, 0)
		return t.dropElement(o, rowHash, field) && !past
	}
	if o.timed != 0 {
		all := t.fields(o)
		i := index(all, field)
		if i >= 0 {
			o.layFields(slices.Delete(all, i, i+1))
		}
		return i >= 0
	}
	start, _, end, had := findField(o.body, field)
	if !had {
		return false
	}
	o.body = append(append(make([]byte, 0, len(o.body)), o.body[:start]...), o.body[end:]...)
	o.count--
	return true
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
	if o.timed != 0 {
		t.unspillTimed(o)
		return
	}
	var body []byte
	prefix := appendID(nil, first, o.id)
	t.rows.Ascend(prefix, storage.EndOf(prefix), func(k, v []byte) bool {
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

// unspillTimed is unspill for a hash with fields that expire.
func (t *Tx) unspillTimed(o *object) {
	var all []timedField
	size := 0
	prefix := appendID(nil, rowHash, o.id)
	t.rows.Ascend(prefix, storage.EndOf(prefix), func(k, v []byte) bool {
		size += len(k) + len(v)
		if shrunk(0, size) {
			all = append(all, timedField{field: bytes.Clone(k[elementHead:]), value: bytes.Clone(v)})
		}
		return shrunk(0, size)
	})
	if !shrunk(o.count, size) {
		return
	}
	live := all[:0]
	for _, f := range all {
		if f.at = t.timeOf(o, f.field); !t.past(f.at) {
			live = append(live, f)
		}
	}
	t.discard(o)
	o.forgetRows()
	o.layFields(live)
}

// HLen is the number of fields.
func (t *Tx) HLen(key []byte) (int64, error) {
	o, err := t.read(key, Hash)
	if o == nil {
		return 0, err
	}
	return o.count - t.dueCount(o), nil
}

// HEach walks the fields, until fn returns false: those of a small hash as
// they came, of a large one in scan order.
func (t *Tx) HEach(key []byte, fn func(field, value []byte) bool) error {
	o, err := t.read(key, Hash)
	if o == nil {
		return err
	}
	if !o.apart {
		for rest := o.body; len(rest) > 0; {
			var f timedField
			f, rest = o.cutField(rest)
			if !t.past(f.at) && !fn(f.field, f.value) {
				break
			}
		}
		return nil
	}
	passed := t.passed(o)
	prefix := appendID(nil, rowHash, o.id)
	t.rows.Ascend(prefix, storage.EndOf(prefix), func(k, v []byte) bool {
		if _, is := passed[string(k[elementHead:])]; is {
			return true
		}
		return fn(k[elementHead:], v)
	})
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
	if t.someDue(o) {
		each := fn
		fn = func(field, value []byte) {
			if !t.past(t.timeOf(o, field)) {
				each(field, value)
			}
		}
	}
	return t.scanRows(appendID(nil, rowHash, o.id), cursor, count, fn), nil
}

// HRandom gives a field at random; ok is false if there is no such key.
func (t *Tx) HRandom(key []byte, r *rand.Rand) (field, value []byte, ok bool, err error) {
	o, err := t.read(key, Hash)
	if o == nil {
		return nil, nil, false, err
	}
	if o.timed != 0 && (!o.apart || t.someDue(o)) {
		field, value = t.randomField(o, r)
		return field, value, true, nil
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

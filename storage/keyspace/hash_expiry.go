package keyspace

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"github.com/parlorchat/parlor/storage"
)

// Fields of a hash may expire. A hash that has such fields says so in its meta
// row, and only then anything here costs something. While it is small, the
// time of a field stands behind its value in the body; else it is in rows of
// its own, both ways round: by field, and by time.
//
// A field whose time has come is passed over until a sweep or the next write
// of it takes it away. A hash all of whose fields have expired does not exist.

// timing is what a hash knows of the fields that expire.
type timing struct {
	timed int64 // how many there are, with those whose time has come
	// firstDue is a time in ms before which none expires: often that of the
	// next one. It is not raised when that field goes, but by the next sweep.
	firstDue int64
	lastDue  int64 // when the last of them expires
}

const timingSize = 3 * 8

// gone is the time in ms from which the object does not exist; 0: there is none.
func (o *object) gone() int64 {
	if o.timed != 0 && o.timed == o.count && (o.expire == 0 || o.lastDue < o.expire) {
		return o.lastDue
	}
	return o.expire
}

// goneBy is the value of the row in the expiry index: whether the key itself
// expires.
func (o *object) goneBy() []byte {
	if o.expire == 0 {
		return []byte{rowField}
	}
	return nil
}

// wake is when a sweep has to look at the fields; 0: never.
func (o *object) wake() int64 {
	if o.timed == 0 {
		return 0
	}
	return o.firstDue
}

// someDue says whether the time of some fields may have come.
func (t *Tx) someDue(o *object) bool { return o.timed != 0 && o.firstDue <= t.now }

// timedField is a field with the time in ms at which it expires, 0: never.
type timedField struct {
	field, value []byte
	at           int64
}

func (t *Tx) past(at int64) bool { return at != 0 && at <= t.now }

// fields gives those of a small hash, but for those whose time has come.
func (t *Tx) fields(o *object) []timedField {
	out := make([]timedField, 0, o.count)
	for rest := o.body; len(rest) > 0; {
		var f timedField
		f, rest = o.cutField(rest)
		if !t.past(f.at) {
			out = append(out, f)
		}
	}
	return out
}

func (o *object) cutField(b []byte) (f timedField, rest []byte) {
	f.field, rest = cut(b)
	f.value, rest = cut(rest)
	if o.timed != 0 {
		at, size := binary.Uvarint(rest)
		if size <= 0 {
			panic("keyspace: a small object's elements are damaged")
		}
		f.at, rest = int64(at), rest[size:]
	}
	return f, rest
}

// layFields makes these the fields of a small hash. It says whether they are
// few enough for one row; if not nothing is changed.
func (o *object) layFields(fields []timedField) bool {
	var when timing
	for _, f := range fields {
		if f.at == 0 {
			continue
		}
		if when.timed == 0 || f.at < when.firstDue {
			when.firstDue = f.at
		}
		when.lastDue = max(when.lastDue, f.at)
		when.timed++
	}
	var body []byte
	for _, f := range fields {
		body = appendItem(appendItem(body, f.field), f.value)
		if when.timed != 0 {
			body = binary.AppendUvarint(body, uint64(f.at))
		}
	}
	if !small(int64(len(fields)), len(body)) {
		return false
	}
	o.body, o.count, o.timing = body, int64(len(fields)), when
	return true
}

// index gives the place of a field among fields, -1: it is not there.
func index(fields []timedField, field []byte) int {
	for i := range fields {
		if bytes.Equal(fields[i].field, field) {
			return i
		}
	}
	return -1
}

// Rows of the times of a large hash's fields.

func timeOfRow(b []byte, object uint64, field []byte) []byte {
	b = append(appendID(b, rowField, object), '0')
	return append(appendPlace(b, place(field)), field...)
}

func fieldAtRow(b []byte, object uint64, at int64, field []byte) []byte {
	b = binary.BigEndian.AppendUint64(append(appendID(b, rowField, object), '1'), uint64(at))
	return append(appendPlace(b, place(field)), field...)
}

// timeOfHead and fieldAtHead are the lengths of what precedes the field.
const (
	timeOfHead  = 1 + 8 + 1 + placeSize
	fieldAtHead = 1 + 8 + 1 + 8 + placeSize
)

// timeOf gives the time at which a field of a large hash expires, 0: never.
func (t *Tx) timeOf(o *object, field []byte) int64 {
	if o.timed == 0 {
		return 0
	}
	t.buf = timeOfRow(t.buf[:0], o.id, field)
	v, ok := t.rows.Get(t.buf)
	if !ok {
		return 0
	}
	return int64(binary.BigEndian.Uint64(v))
}

// setTime sets the time at which a field of a large hash expires, 0: never.
func (t *Tx) setTime(o *object, field []byte, at int64) {
	was := t.timeOf(o, field)
	if was == at {
		return
	}
	row := timeOfRow(nil, o.id, field)
	old := binary.BigEndian.AppendUint64(nil, uint64(was))
	if was != 0 {
		t.dropRow(o, fieldAtRow(nil, o.id, was, field), nil)
		o.timed--
	}
	if at == 0 {
		t.dropRow(o, row, old)
	} else {
		t.putRow(o, row, old, was != 0, binary.BigEndian.AppendUint64(nil, uint64(at)))
		t.putRow(o, fieldAtRow(nil, o.id, at, field), nil, false, nil)
		if o.timed == 0 || at < o.firstDue {
			o.firstDue = at
		}
		o.timed++
	}
	switch {
	case o.timed == 0:
		o.timing = timing{}
	case at >= o.lastDue:
		o.lastDue = at
	case was == o.lastDue && o.firstDue < was:
		o.lastDue = t.latest(o)
	}
}

// latest looks for the time at which the last field of a large hash expires.
func (t *Tx) latest(o *object) (at int64) {
	from, to := fieldAtRow(nil, o.id, o.firstDue, nil)[:fieldAtHead-placeSize], fieldAtRow(nil, o.id, o.lastDue+1, nil)[:fieldAtHead-placeSize]
	t.rows.Descend(from, to, func(k, _ []byte) bool {
		at = int64(binary.BigEndian.Uint64(k[10:]))
		return false
	})
	return at
}

// dueFields walks the fields of a large hash whose time has come, and gives the
// time of the first that fn did not want, or of the first that is not due.
func (t *Tx) dueFields(o *object, fn func(field []byte) bool) (next int64) {
	from := fieldAtRow(nil, o.id, o.firstDue, nil)[:fieldAtHead-placeSize]
	end := storage.EndOf(appendID(nil, rowField, o.id))
	t.rows.Ascend(from, end, func(k, _ []byte) bool {
		at := int64(binary.BigEndian.Uint64(k[10:]))
		if at <= t.now && fn(k[fieldAtHead:]) {
			return true
		}
		next = at
		return false
	})
	return next
}

// passed gives the fields of a large hash that are there and do not exist.
func (t *Tx) passed(o *object) map[string]struct{} {
	if !t.someDue(o) {
		return nil
	}
	out := map[string]struct{}{}
	t.dueFields(o, func(field []byte) bool { out[string(field)] = struct{}{}; return true })
	return out
}

// dueCount is how many fields are there and do not exist.
func (t *Tx) dueCount(o *object) (n int64) {
	switch {
	case !t.someDue(o):
	case o.apart:
		t.dueFields(o, func([]byte) bool { n++; return true })
	default:
		n = o.count - int64(len(t.fields(o)))
	}
	return n
}

// sweepFields takes away up to limit fields whose time has come. It says how
// much there was to do, at least 1.
func (t *Tx) sweepFields(o *object, limit int) (done int) {
	if !o.apart {
		before := o.count
		o.layFields(t.fields(o))
		done = int(before - o.count)
	} else {
		var gone [][]byte
		next := t.dueFields(o, func(field []byte) bool {
			if len(gone) == limit {
				return false
			}
			gone = append(gone, bytes.Clone(field))
			return true
		})
		for _, f := range gone {
			t.setTime(o, f, 0)
			t.dropElement(o, rowHash, f)
		}
		if o.timed != 0 {
			o.firstDue = next
		}
		t.unspill(o, rowHash)
		done = len(gone)
	}
	t.save(o)
	return max(done, 1)
}

// randomField gives a field of a hash some of whose fields may be due.
func (t *Tx) randomField(o *object, r *rand.Rand) (field, value []byte) {
	if !o.apart {
		all := t.fields(o)
		f := all[r.IntN(len(all))]
		return f.field, f.value
	}
	prefix := appendID(nil, rowHash, o.id)
	for range 64 {
		if field, value = t.randomRow(prefix, o.count, r); !t.past(t.timeOf(o, field)) {
			return field, value
		}
	}
	// Most of them are due: choose among the others.
	passed := t.passed(o)
	skip := r.Int64N(o.count - int64(len(passed)))
	t.rows.Ascend(prefix, storage.EndOf(prefix), func(k, v []byte) bool {
		if _, is := passed[string(k[elementHead:])]; is {
			return true
		}
		field, value = k[elementHead:], v
		skip--
		return skip >= 0
	})
	return field, value
}

// HExpiry is what HExpire did to a field.
type HExpiry int8

const (
	HNoField HExpiry = iota // there is no such field
	HKept                   // it was not to be changed
	HSet                    // it has the new time
	HDeleted                // the time has come, the field is gone
)

// HExpire changes the times at which fields expire, in ms since 1970. choose is
// given the present time of each, 0 if it does not expire, and gives the new
// one, and whether to change it at all.
func (t *Tx) HExpire(key []byte, fields [][]byte, choose func(at int64) (int64, bool)) ([]HExpiry, error) {
	out := make([]HExpiry, len(fields))
	o, err := t.write(key, Hash)
	if err != nil || o.typ == None {
		return out, err
	}
	changed := false
	for i, f := range fields {
		at, ok := t.fieldTime(o, f)
		if !ok {
			continue
		}
		to, change := choose(at)
		switch {
		case !change:
			out[i] = HKept
			continue
		case t.past(to):
			out[i] = HDeleted
			t.hdel(o, f)
		default:
			out[i] = HSet
			if err := t.setFieldTime(o, f, to); err != nil {
				return nil, err
			}
		}
		changed = true
	}
	if changed {
		t.unspill(o, rowHash)
		t.save(o)
	}
	return out, nil
}

// HExpireAt gives the time in ms at which a field expires, 0: never. ok is false
// if there is no such field.
func (t *Tx) HExpireAt(key, field []byte) (at int64, ok bool, err error) {
	o, err := t.read(key, Hash)
	if o == nil {
		return 0, false, err
	}
	at, ok = t.fieldTime(o, field)
	return at, ok, nil
}

func (t *Tx) fieldTime(o *object, field []byte) (at int64, ok bool) {
	if !o.apart {
		all := t.fields(o)
		if i := index(all, field); i >= 0 {
			return all[i].at, true
		}
		return 0, false
	}
	t.buf = elementRow(t.buf[:0], rowHash, o.id, field)
	if _, ok = t.rows.Get(t.buf); !ok {
		return 0, false
	}
	at = t.timeOf(o, field)
	return at, !t.past(at)
}

// setFieldTime sets the time at which a field that is there expires.
func (t *Tx) setFieldTime(o *object, field []byte, at int64) error {
	if !o.apart {
		all := t.fields(o)
		all[index(all, field)].at = at
		if o.layFields(all) {
			return nil
		}
		if err := t.spillHash(o); err != nil {
			return err
		}
	}
	t.setTime(o, field, at)
	return nil
}

// HTimed says whether fields of a hash expire.
func (t *Tx) HTimed(key []byte) bool {
	o := t.find(key)
	return o != nil && o.timed != 0
}

// HEachTimed is HEach with the time at which each field expires, 0: never.
func (t *Tx) HEachTimed(key []byte, fn func(field, value []byte, at int64) bool) error {
	o, err := t.read(key, Hash)
	if o == nil {
		return err
	}
	if !o.apart {
		for _, f := range t.fields(o) {
			if !fn(f.field, f.value, f.at) {
				break
			}
		}
		return nil
	}
	return t.HEach(key, func(field, value []byte) bool { return fn(field, value, t.timeOf(o, field)) })
}

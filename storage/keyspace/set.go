package keyspace

import (
	"bytes"
	"math/rand/v2"

	"github.com/parlorchat/parlor/storage"
)

// SAdd adds a member, and makes the set if there is none.
func (t *Tx) SAdd(key, member []byte) (added bool, err error) {
	n, err := t.SAddAll(key, [][]byte{member})
	return n == 1, err
}

// SAddAll adds several members at the cost of little more than one, and says
// how many are new.
func (t *Tx) SAddAll(key []byte, members [][]byte) (added int64, err error) {
	for _, m := range members {
		if len(m) > MaxElement {
			return 0, ErrElementTooLong
		}
	}
	o, err := t.write(key, Set)
	if err != nil || len(members) == 0 {
		return 0, err
	}
	o.typ = Set
	before := o.count
	done, err := t.layMembers(o, members)
	if err != nil {
		return 0, err
	}
	for i := 0; i < len(members) && !done; i++ {
		if err := t.sadd(o, members[i]); err != nil {
			return 0, err
		}
	}
	if o.count != before {
		t.save(o)
	}
	return o.count - before, nil
}

func (t *Tx) sadd(o *object, member []byte) error {
	if !o.apart {
		if _, _, had := findMember(o.body, member); had {
			return nil
		}
		size := len(o.body) + itemSize(member)
		if small(o.count+1, size) {
			b := append(make([]byte, 0, size), o.body...)
			o.body = appendItem(b, member)
			o.count++
			return nil
		}
		if err := t.apartAs(o); err != nil {
			return err
		}
		for rest := o.body; len(rest) > 0; {
			var m []byte
			m, rest = cut(rest)
			t.buf = elementRow(t.buf[:0], rowSet, o.id, m)
			t.putRow(o, t.buf, nil, false, nil)
		}
		o.body = nil
	}
	t.buf = elementRow(t.buf[:0], rowSet, o.id, member)
	if _, had := t.rows.Get(t.buf); !had {
		t.putRow(o, t.buf, nil, false, nil)
		o.count++
	}
	return nil
}

// findMember says where a member begins and ends in the body.
func findMember(body, member []byte) (start, end int, ok bool) {
	for rest := body; len(rest) > 0; {
		start = len(body) - len(rest)
		var m []byte
		m, rest = cut(rest)
		if bytes.Equal(m, member) {
			return start, len(body) - len(rest), true
		}
	}
	return 0, 0, false
}

// SRem removes a member, and the set with the last one.
func (t *Tx) SRem(key, member []byte) (removed bool, err error) {
	n, err := t.SRemAll(key, [][]byte{member})
	return n == 1, err
}

// SRemAll removes several members and says how many there were.
func (t *Tx) SRemAll(key []byte, members [][]byte) (removed int64, err error) {
	o, err := t.write(key, Set)
	if err != nil || o.typ == None {
		return 0, err
	}
	if o.most(len(members)) {
		return t.keepMembers(o, members)
	}
	for _, m := range members {
		if t.srem(o, m) {
			removed++
		}
	}
	if removed > 0 {
		t.unspill(o, rowSet)
		t.save(o)
	}
	return removed, nil
}

// keepMembers is SRemAll in time that what stays takes, and a look at each.
func (t *Tx) keepMembers(o *object, gone [][]byte) (removed int64, err error) {
	doomed := setOf(gone)
	var stay [][]byte
	prefix := appendID(nil, rowSet, o.id)
	t.look(prefix, storage.EndOf(prefix), func(k, _ []byte) bool {
		if _, is := doomed[string(k[elementHead:])]; !is {
			stay = append(stay, k[elementHead:])
		}
		return true
	})
	removed = o.count - int64(len(stay))
	if removed == 0 {
		return 0, nil
	}
	t.discard(o)
	o.forgetRows()
	done, err := t.layMembers(o, stay)
	for i := 0; i < len(stay) && !done && err == nil; i++ {
		err = t.sadd(o, stay[i])
	}
	if err != nil {
		return 0, err
	}
	t.save(o)
	return removed, nil
}

func (t *Tx) srem(o *object, member []byte) bool {
	if o.apart {
		return t.dropElement(o, rowSet, member)
	}
	start, end, had := findMember(o.body, member)
	if !had {
		return false
	}
	o.body = append(append(make([]byte, 0, len(o.body)), o.body[:start]...), o.body[end:]...)
	o.count--
	return true
}

// SHas says whether the set has a member.
func (t *Tx) SHas(key, member []byte) (bool, error) {
	o, err := t.read(key, Set)
	if o == nil {
		return false, err
	}
	if !o.apart {
		_, _, had := findMember(o.body, member)
		return had, nil
	}
	t.buf = elementRow(t.buf[:0], rowSet, o.id, member)
	_, had := t.rows.Get(t.buf)
	return had, nil
}

// SLen is the number of members.
func (t *Tx) SLen(key []byte) (int64, error) {
	o, err := t.read(key, Set)
	if o == nil {
		return 0, err
	}
	return o.count, nil
}

// SEach walks the members, until fn returns false: those of a small set as
// they came, of a large one in scan order.
func (t *Tx) SEach(key []byte, fn func(member []byte) bool) error {
	o, err := t.read(key, Set)
	if o == nil {
		return err
	}
	if !o.apart {
		for rest := o.body; len(rest) > 0; {
			var m []byte
			m, rest = cut(rest)
			if !fn(m) {
				break
			}
		}
		return nil
	}
	prefix := appendID(nil, rowSet, o.id)
	t.ascend(prefix, storage.EndOf(prefix), func(k, _ []byte) bool { return fn(k[elementHead:]) })
	return nil
}

// SScan walks part of the members, as Scan does the keys. A small set is
// walked at once.
func (t *Tx) SScan(key []byte, cursor uint64, count int, fn func(member []byte)) (next uint64, err error) {
	o, err := t.read(key, Set)
	if o == nil {
		return 0, err
	}
	if !o.apart {
		return 0, t.SEach(key, func(m []byte) bool { fn(m); return true })
	}
	return t.scanRows(appendID(nil, rowSet, o.id), cursor, count, func(m, _ []byte) { fn(m) }), nil
}

// SRandom gives a member at random; ok is false if there is no such key.
func (t *Tx) SRandom(key []byte, r *rand.Rand) (member []byte, ok bool, err error) {
	o, err := t.read(key, Set)
	if o == nil {
		return nil, false, err
	}
	if o.apart {
		member, _ = t.randomRow(appendID(nil, rowSet, o.id), o.count, r)
		return member, true, nil
	}
	rest := o.body
	for n := r.Int64N(o.count); n >= 0; n-- {
		member, rest = cut(rest)
	}
	return member, true, nil
}

package keyspace

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parlorchat/parlor/storage"
)

// Verify reads all rows and checks that they agree with each other and with
// the hash of the state: counts, sums, the expiry and scan indexes, both
// halves of sorted sets, the books of consumer groups, and that no row is
// without an owner. It takes time and memory in proportion to the table.
func Verify(rows storage.Reader, hash storage.Hash) error {
	v := verifier{rows: rows, owned: map[uint64]string{}}
	rows.Ascend([]byte{rowMeta}, []byte{rowMeta + 1}, func(k, val []byte) bool {
		v.key(k, val)
		return true
	})
	if v.total != hash {
		v.fail("the hash of the state is %016x%016x, the rows give %016x%016x", hash.Hi, hash.Lo, v.total.Hi, v.total.Lo)
	}
	v.counters()
	v.indexes()
	v.orphans()
	return errors.Join(v.errs...)
}

type verifier struct {
	rows   storage.Reader
	total  storage.Hash
	owned  map[uint64]string // object → meta row
	counts [Databases]counts
	errs   []error
}

func (v *verifier) fail(format string, args ...any) {
	if len(v.errs) < 20 {
		v.errs = append(v.errs, fmt.Errorf(format, args...))
	}
}

func (v *verifier) key(row, value []byte) {
	if len(row) < 2 || row[1] >= Databases {
		v.fail("meta row %q is not of a database", row)
		return
	}
	v.total = v.total.Add(storage.RowHash(row, value))
	o := object{row: row}
	if err := o.decode(value); err != nil {
		v.fail("key %q: %w", row[2:], err)
		return
	}
	c := &v.counts[row[1]]
	c.keys++
	if o.expire != 0 {
		c.expires++
		if _, ok := v.rows.Get(expiryRow(o.expire, row)); !ok {
			v.fail("key %q: not in the expiry index", o.key())
		}
	}
	if _, ok := v.rows.Get(scanRow(row)); !ok {
		v.fail("key %q: not in the scan index", o.key())
	}
	if !o.apart {
		v.body(&o)
		return
	}
	if other, ok := v.owned[o.id]; ok {
		v.fail("keys %q and %q have the same rows", other[2:], o.key())
	}
	v.owned[o.id] = string(row)
	v.apart(&o)
}

// body checks a small object's elements.
func (v *verifier) body(o *object) {
	defer func() {
		if r := recover(); r != nil {
			v.fail("key %q: %v", o.key(), r)
		}
	}()
	var n int64
	seen := map[string]bool{}
	var last Scored
	for rest := o.body; len(rest) > 0 && o.typ != String; n++ {
		var element []byte
		switch o.typ {
		case Hash:
			element, rest = cut(rest)
			_, rest = cut(rest)
		case Set:
			element, rest = cut(rest)
		case List:
			_, rest = cut(rest)
			continue // the same element may stand again
		case ZSet:
			var s Scored
			s, rest = cutScored(rest)
			if element = s.Member; n > 0 && !last.before(s) {
				v.fail("key %q: members are out of order", o.key())
			}
			last = s
		default:
			v.fail("key %q: a %v cannot be in one row", o.key(), o.typ)
			return
		}
		if seen[string(element)] {
			v.fail("key %q: %q stands twice", o.key(), element)
		}
		seen[string(element)] = true
	}
	switch {
	case o.typ == String:
	case n != o.count:
		v.fail("key %q: %d elements, the count is %d", o.key(), n, o.count)
	case n == 0:
		v.fail("key %q: an empty %v", o.key(), o.typ)
	case !small(n, len(o.body)):
		v.fail("key %q: %d elements in %d bytes are too many for one row", o.key(), n, len(o.body))
	}
}

// apart checks an object's own rows.
func (v *verifier) apart(o *object) {
	var sum storage.Hash
	var n int64
	each := func(first byte, fn func(k, val []byte)) {
		prefix := appendID(nil, first, o.id)
		v.rows.Ascend(prefix, after(prefix), func(k, val []byte) bool {
			sum = sum.Add(storage.RowHash(k, val))
			fn(k, val)
			return true
		})
	}
	placed := func(k []byte, head int) {
		n++
		if len(k) < head || readPlace(k[head-placeSize:]) != place(k[head:]) {
			v.fail("key %q: row %q is at the wrong place", o.key(), k)
		}
	}
	switch o.typ {
	case Hash:
		each(rowHash, func(k, _ []byte) { placed(k, elementHead) })
	case Set:
		each(rowSet, func(k, _ []byte) { placed(k, elementHead) })
	case ZSet:
		var scores int64
		each(rowZSet, func(k, val []byte) {
			if k[9] == '0' {
				placed(k, memberHead)
				if _, ok := v.rows.Get(scoreRow(nil, o.id, readScore(val), k[memberHead:])); !ok {
					v.fail("key %q: member %q is not in the order", o.key(), k[memberHead:])
				}
			} else {
				scores++
			}
		})
		if scores != n {
			v.fail("key %q: %d members, %d in the order", o.key(), n, scores)
		}
	case List:
		each(rowList, func(k, _ []byte) {
			if len(k) != listHead+8 || binary.BigEndian.Uint64(k[listHead:]) != o.head+uint64(n) {
				v.fail("key %q: row %q is not the list's next, index %d", o.key(), k, n)
			}
			n++
		})
	case Stream:
		n = v.stream(o, each)
	default:
		v.fail("key %q: a %v cannot have rows of its own", o.key(), o.typ)
	}
	if n != o.count {
		v.fail("key %q: %d elements, the count is %d", o.key(), n, o.count)
	}
	if n == 0 && o.typ != Stream {
		v.fail("key %q: an empty %v", o.key(), o.typ)
	}
	if sum != o.sum {
		v.fail("key %q: the sum over its rows is wrong", o.key())
	}
}

// stream checks a stream's rows and gives the number of its entries.
func (v *verifier) stream(o *object, each func(byte, func(k, val []byte))) (entries int64) {
	var first StreamID
	var groups, consumers, pending, pendingOf int64
	var wantConsumers, wantPending, wantPendingOf int64
	be := binary.BigEndian
	each(rowStream, func(k, val []byte) {
		switch k[9] {
		case '0':
			id := readStreamID(k[streamHead:])
			if entries == 0 {
				first = id
			}
			entries++
			if o.last.Less(id) {
				v.fail("key %q: entry %v is above the last id %v", o.key(), id, o.last)
			}
		case kindGroup:
			groups++
			wantPending += int64(be.Uint64(val[24:]))
			wantConsumers += int64(be.Uint64(val[32:]))
		case kindConsumer:
			consumers++
			wantPendingOf += int64(be.Uint64(val[16:]))
		case kindPending:
			pending++
			head := k[10 : len(k)-16]
			of := append(append(appendID(nil, rowStream, o.id), kindPendingOf), head...)
			of = append(appendName(of, val[16:]), k[len(k)-16:]...)
			if _, ok := v.rows.Get(of); !ok {
				v.fail("key %q: pending entry %v is not its consumer's", o.key(), readStreamID(k[len(k)-16:]))
			}
		case kindPendingOf:
			pendingOf++
		default:
			v.fail("key %q: row %q is of no kind", o.key(), k)
		}
	})
	if first != o.first {
		v.fail("key %q: the first entry is %v, recorded is %v", o.key(), first, o.first)
	}
	if groups != o.groups || consumers != wantConsumers || pending != wantPending || pending != pendingOf || pendingOf != wantPendingOf {
		v.fail("key %q: the books of its groups are wrong", o.key())
	}
	return entries
}

func (v *verifier) counters() {
	for db := range v.counts {
		var have counts
		if val, ok := v.rows.Get([]byte{rowCounts, byte(db)}); ok {
			have.keys, have.expires = int64(binary.BigEndian.Uint64(val)), int64(binary.BigEndian.Uint64(val[8:]))
		}
		if have != v.counts[db] {
			v.fail("database %d: counters say %+v, the rows %+v", db, have, v.counts[db])
		}
	}
}

func (v *verifier) indexes() {
	var want, expires, scan counts
	for _, c := range v.counts {
		want.keys += c.keys
		want.expires += c.expires
	}
	v.rows.Ascend([]byte{rowExpiry}, []byte{rowExpiry + 1}, func(_, _ []byte) bool { expires.expires++; return true })
	v.rows.Ascend([]byte{rowScan}, []byte{rowScan + 1}, func(_, _ []byte) bool { scan.keys++; return true })
	if expires.expires != want.expires {
		v.fail("the expiry index has %d rows for %d keys", expires.expires, want.expires)
	}
	if scan.keys != want.keys {
		v.fail("the scan index has %d rows for %d keys", scan.keys, want.keys)
	}
}

// orphans looks for rows that belong to no key and are not garbage.
func (v *verifier) orphans() {
	for _, first := range []byte{rowHash, rowSet, rowZSet, rowStream, rowList} {
		v.rows.Ascend([]byte{first}, []byte{first + 1}, func(k, _ []byte) bool {
			if len(k) < 9 {
				v.fail("row %q is too short", k)
				return true
			}
			id := binary.BigEndian.Uint64(k[1:])
			if _, ok := v.owned[id]; ok {
				return true
			}
			if _, ok := v.rows.Get(appendID(nil, rowGarbage, id)); !ok {
				v.fail("row %q belongs to no key", k)
			}
			return true
		})
	}
	v.rows.Ascend([]byte{rowGarbage}, []byte{rowGarbage + 1}, func(k, _ []byte) bool {
		if owner, ok := v.owned[binary.BigEndian.Uint64(k[1:])]; ok {
			v.fail("key %q: its rows are marked as garbage", owner[2:])
		}
		return true
	})
}

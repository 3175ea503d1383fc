package keyspace

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/parlorchat/parlor/storage"
)

// NextExpiry is the time in ms at which the next key of any database expires,
// or a field of a hash: then, at the latest, Sweep has something to do.
func (t *Tx) NextExpiry() (ms int64, ok bool) {
	for slot := range storage.RoomCount {
		if t.rows.Room(slot).Keys == 0 {
			continue
		}
		for _, first := range []byte{rowExpiry, rowWake} {
			prefix := t.roomPrefix(nil, first, slot)
			t.rows.Ascend(prefix, storage.EndOf(prefix), func(k, _ []byte) bool {
				if at := int64(binary.BigEndian.Uint64(k[len(prefix):])); !ok || at < ms {
					ms, ok = at, true
				}
				return false
			})
		}
	}
	return ms, ok
}

// FirstExpiries calls fn with the times in ms of up to limit keys of the database
// that expire next.
func (t *Tx) FirstExpiries(limit int, fn func(ms int64)) {
	for _, slot := range t.slots() {
		prefix := t.roomPrefix(nil, rowExpiry, slot)
		from := binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], uint64(t.now)+1)
		t.rows.Ascend(from, storage.EndOf(prefix), func(k, _ []byte) bool {
			if limit--; limit < 0 {
				return false
			}
			fn(int64(binary.BigEndian.Uint64(k[len(prefix):])))
			return true
		})
	}
}

// due calls fn with the keys of a slot that an index of times has up to now,
// until fn returns false.
func (t *Tx) due(first byte, slot int, fn func(key, value []byte) bool) {
	prefix := t.roomPrefix(nil, first, slot)
	end := binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], uint64(t.now)+1)
	t.rows.Ascend(prefix, end, func(k, v []byte) bool { return fn(k[len(prefix)+8:], v) })
}

// Sweep removes up to limit keys and fields whose time has come, in all
// databases. It says how much there was to do.
func (t *Tx) Sweep(limit int) (done int) {
	t.mustWrite()
	for _, first := range []byte{rowExpiry, rowWake} {
		for slot := range storage.RoomCount {
			if t.rows.Room(slot).Keys == 0 {
				continue
			}
			for _, key := range t.dueKeys(first, slot, limit-done) {
				o := t.loadIn(slot, key)
				switch {
				case first == rowExpiry || t.expired(o):
					t.remove(o)
					done++
				case done < limit:
					done += t.sweepFields(o, limit-done)
				}
			}
		}
	}
	return done
}

// dueKeys gives up to limit keys of a slot that an index of times has up to
// now.
func (t *Tx) dueKeys(first byte, slot, limit int) (keys [][]byte) {
	t.due(first, slot, func(key, _ []byte) bool {
		if len(keys) >= limit {
			return false
		}
		keys = append(keys, bytes.Clone(key))
		return true
	})
	return keys
}

// KeyCount says how many keys the database has, and how many of them expire.
// Keys whose time has come are not among them.
func (t *Tx) KeyCount() (keys, expires int64) {
	for _, slot := range t.slots() {
		r := t.rows.Room(slot)
		keys, expires = keys+r.Keys, expires+r.Expires
		t.due(rowExpiry, slot, func(_, by []byte) bool {
			keys--
			if len(by) == 0 {
				expires--
			}
			return true
		})
	}
	return keys, expires
}

// EachKey walks the keys of the database in order of their bytes, starting
// above after (nil: from the first), until fn returns false.
func (t *Tx) EachKey(after []byte, fn func(key []byte, typ Type) bool) {
	from := []byte{}
	if after != nil {
		from = append(append(from, after...), 0)
	}
	if t.db != 0 {
		t.eachIn(int(t.db), from, nil, fn)
		return
	}
	// The domain's keys are in a room of their own: by turns.
	for _, p := range ReservedPrefixes {
		begin, end := []byte(p), []byte(p)
		end[len(end)-1]++
		for _, part := range []struct {
			slot int
			to   []byte
		}{{0, begin}, {reservedSlot, end}} {
			if bytes.Compare(from, part.to) >= 0 {
				continue
			}
			if !t.eachIn(part.slot, from, part.to, fn) {
				return
			}
			from = part.to
		}
	}
	t.eachIn(0, from, nil, fn)
}

// eachIn walks the keys of a slot with from <= key < to; a nil to has no end.
// It says whether fn wants more.
func (t *Tx) eachIn(slot int, from, to []byte, fn func(key []byte, typ Type) bool) (more bool) {
	prefix := t.roomPrefix(nil, rowMeta, slot)
	end := storage.EndOf(prefix)
	if to != nil {
		end = append(prefix[:len(prefix):len(prefix)], to...)
	}
	more = true
	t.rows.Ascend(append(prefix[:len(prefix):len(prefix)], from...), end, func(k, v []byte) bool {
		o := object{row: k, head: len(prefix), slot: slot}
		if err := o.decode(v); err != nil {
			panic("keyspace: " + err.Error())
		}
		if !t.expired(&o) {
			more = fn(o.key(), o.typ)
		}
		return more
	})
	return more
}

// Scan walks part of the keys of the database in scan order: count keys or a
// few more, from a cursor (0: the start). It gives the cursor to go on with, 0
// at the end. A key that exists during a whole scan is seen, and once.
func (t *Tx) Scan(cursor uint64, count int, fn func(key []byte, typ Type)) (next uint64) {
	type found struct {
		slot int
		key  []byte
	}
	var all []found
	for _, slot := range t.slots() {
		if t.rows.Room(slot).Keys == 0 {
			continue
		}
		upTo := t.scanRows(t.roomPrefix(nil, rowScan, slot), cursor, count, func(key, _ []byte) {
			all = append(all, found{slot, key})
		})
		if next == 0 || (upTo != 0 && upTo < next) {
			next = upTo // where the nearest of the walks ended
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(place(a.key), place(b.key)) })
	for _, f := range all {
		if next != 0 && place(f.key) >= next {
			continue
		}
		if o := t.peek(f.slot, f.key); o.typ != None && !t.expired(&o) {
			fn(f.key, o.typ)
		}
	}
	return next
}

// peek reads a key's object past the cache, for walks over many keys.
func (t *Tx) peek(slot int, key []byte) object {
	t.buf = t.roomPrefix(t.buf[:0], rowMeta, slot)
	o := object{head: len(t.buf), slot: slot}
	t.buf = append(t.buf, key...)
	if v, ok := t.rows.Get(t.buf); ok {
		if err := o.decode(v); err != nil {
			panic("keyspace: " + err.Error())
		}
	}
	return o
}

// RandomKey gives a key of the database that accept takes. It gives up, with
// ok false, after trying many that accept refused.
func (t *Tx) RandomKey(r *rand.Rand, accept func(key []byte) bool) (key []byte, ok bool) {
	slots := t.slots()
	if len(slots) == 2 { // either, as likely as it has keys
		own, reserved := t.rows.Room(slots[0]).Keys, t.rows.Room(slots[1]).Keys
		if own+reserved > 0 && r.Int64N(own+reserved) >= own {
			slots[0], slots[1] = slots[1], slots[0]
		}
	}
	for _, slot := range slots {
		if key, ok = t.randomIn(slot, r, accept); ok {
			break
		}
	}
	return key, ok
}

func (t *Tx) randomIn(slot int, r *rand.Rand, accept func(key []byte) bool) (key []byte, ok bool) {
	prefix := t.roomPrefix(nil, rowScan, slot)
	tries := 0
	visit := func(k, _ []byte) bool {
		tries++
		name := k[len(prefix)+placeSize:]
		if o := t.peek(slot, name); o.typ != None && !t.expired(&o) && accept(name) {
			key, ok = name, true
			return false
		}
		return tries < 10_000
	}
	start := appendPlace(prefix[:len(prefix):len(prefix)], r.Uint64()>>16)
	t.rows.Ascend(start, storage.EndOf(prefix), visit)
	if !ok && tries < 10_000 {
		t.rows.Ascend(prefix, start, visit)
	}
	return key, ok
}

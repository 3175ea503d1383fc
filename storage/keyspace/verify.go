package keyspace

import (
	"bytes"
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
	v := verifier{rows: rows, owned: map[uint64]string{}, doomed: map[uint64]bool{}}
	for slot := range storage.RoomCount {
		v.room(slot)
	}
	if v.total != hash {
		v.fail("the hash of the state is %016x%016x, the rows give %016x%016x", hash.Hi, hash.Lo, v.total.Hi, v.total.Lo)
	}
	v.left()
	v.strays()
	v.orphans()
	return errors.Join(v.errs...)
}

type verifier struct {
	rows  storage.Reader
	total storage.Hash
	owned map[uint64]string // object → meta row
	rooms [][]byte          // their numbers
	times map[byte]int64    // of a room: rows that the indexes of times must have
	// doomed are the objects of rooms that were left.
	doomed map[uint64]bool
	errs   []error
}

func (v *verifier) fail(format string, args ...any) {
	if len(v.errs) < 20 {
		v.errs = append(v.errs, fmt.Errorf(format, args...))
	}
}

// room checks the keys of a room, and what is known of all of them.
func (v *verifier) room(slot int) {
	have := v.rows.Room(slot)
	v.total = v.total.Add(placeHash(slot, have))
	numbered := appendNumber(nil, number(v.rows, slot))
	for _, other := range v.rooms {
		if bytes.Equal(other, numbered) {
			v.fail("room %x is in two places", numbered)
			return
		}
	}
	v.rooms = append(v.rooms, numbered)
	want := storage.Room{Number: have.Number, Since: have.Since}
	v.times = map[byte]int64{}
	prefix := append([]byte{rowMeta}, numbered...)
	v.rows.Ascend(prefix, storage.EndOf(prefix), func(k, val []byte) bool {
		v.key(&object{row: k, head: len(prefix), slot: slot}, val, &want)
		return true
	})
	if have != want {
		v.fail("slot %d: known is %+v, the rows say %+v", slot, have, want)
	}
	v.total = v.total.Add(want.Hash)
	for first, n := range map[byte]int64{rowExpiry: v.times[rowExpiry], rowWake: v.times[rowWake], rowScan: want.Keys} {
		prefix := append([]byte{first}, numbered...)
		v.rows.Ascend(prefix, storage.EndOf(prefix), func(_, _ []byte) bool { n--; return true })
		if n != 0 {
			v.fail("slot %d: its index %q has %d rows too few", slot, first, n)
		}
	}
}

// key checks a key and adds it to what is known of its room.
func (v *verifier) key(o *object, value []byte, room *storage.Room) {
	// A row that is shorter than it must be is a finding like any other.
	defer func() {
		if r := recover(); r != nil {
			v.fail("key %q: its rows are damaged: %v", o.key(), r)
		}
	}()
	if databaseOf(o.slot) == 0 && slotOf(0, o.key()) != o.slot {
		v.fail("key %q is in the wrong room", o.key())
	}
	room.Keys++
	room.Hash = room.Hash.Add(storage.RowHash(o.row, value))
	if err := o.decode(value); err != nil {
		v.fail("key %q: %w", o.key(), err)
		return
	}
	if o.expire != 0 {
		room.Expires++
	}
	if at := o.gone(); at != 0 {
		if by, ok := v.rows.Get(timeRow(rowExpiry, at, o.row, o.head)); !ok || !bytes.Equal(by, o.goneBy()) {
			v.fail("key %q: not in the expiry index", o.key())
		}
		v.times[rowExpiry]++
	}
	if at := o.wake(); at != 0 {
		if _, ok := v.rows.Get(timeRow(rowWake, at, o.row, o.head)); !ok {
			v.fail("key %q: not in the index of fields that expire", o.key())
		}
		v.times[rowWake]++
	}
	if owned, ok := v.rows.Get(scanRow(o.row, o.head)); !ok {
		v.fail("key %q: not in the scan index", o.key())
	} else if !bytes.Equal(owned, o.owned()) {
		v.fail("key %q: the scan index does not name its rows", o.key())
	}
	if !o.apart {
		v.body(o)
		return
	}
	if other, ok := v.owned[o.id]; ok {
		v.fail("keys %q and %q have the same rows", other, o.key())
	}
	v.owned[o.id] = string(o.key())
	v.apart(o)
}

// body checks a small object's elements.
func (v *verifier) body(o *object) {
	var n int64
	var when timing
	defer func() { v.timing(o, when) }()
	seen := map[string]bool{}
	var last Scored
	for rest := o.body; len(rest) > 0 && o.typ != String; n++ {
		var element []byte
		switch o.typ {
		case Hash:
			var f timedField
			f, rest = o.cutField(rest)
			element = f.field
			when.add(f.at)
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
		v.rows.Ascend(prefix, storage.EndOf(prefix), func(k, val []byte) bool {
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
		v.fieldTimes(o, each)
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
			if len(k) != listHead+8 || binary.BigEndian.Uint64(k[listHead:]) != o.firstRow+uint64(n) {
				v.fail("key %q: row %q is not the list's next, index %d", o.key(), k, n)
			}
			n++
		})
	case String:
		each(rowChunk, func(k, val []byte) {
			if len(k) != chunkHead+4 {
				v.fail("key %q: row %q is no chunk", o.key(), k)
			} else if begin := int64(binary.BigEndian.Uint32(k[chunkHead:])) * stringChunk; len(val) > stringChunk || begin+int64(len(val)) > o.count {
				v.fail("key %q: row %q has %d bytes of the string's %d", o.key(), k, len(val), o.count)
			}
		})
		n = o.count
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

// add takes in the time of a field, for checking.
func (w *timing) add(at int64) {
	if at == 0 {
		return
	}
	if w.timed == 0 || at < w.firstDue {
		w.firstDue = at
	}
	w.lastDue = max(w.lastDue, at)
	w.timed++
}

// timing compares what a hash knows of its fields that expire.
func (v *verifier) timing(o *object, when timing) {
	if o.timed != when.timed || o.lastDue != when.lastDue || o.firstDue > when.firstDue || (o.timed != 0 && o.firstDue == 0) {
		v.fail("key %q: known of its fields that expire is %+v, they say %+v", o.key(), o.timing, when)
	}
}

// fieldTimes checks the rows of a large hash that say when fields expire.
func (v *verifier) fieldTimes(o *object, each func(byte, func(k, val []byte))) {
	var when timing
	var byTime int64
	each(rowField, func(k, val []byte) {
		if k[9] == '1' {
			byTime++
			return
		}
		if len(val) != 8 || len(k) < timeOfHead {
			v.fail("key %q: row %q is no time", o.key(), k)
			return
		}
		at, field := int64(binary.BigEndian.Uint64(val)), k[timeOfHead:]
		when.add(at)
		if _, ok := v.rows.Get(elementRow(nil, rowHash, o.id, field)); !ok {
			v.fail("key %q: field %q expires and is not there", o.key(), field)
		}
		if _, ok := v.rows.Get(fieldAtRow(nil, o.id, at, field)); !ok {
			v.fail("key %q: field %q is not in the order of times", o.key(), field)
		}
	})
	if byTime != when.timed {
		v.fail("key %q: %d fields expire, %d are in the order of times", o.key(), when.timed, byTime)
	}
	v.timing(o, when)
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

// left looks at the rooms that were left: what their keys own has no owner.
func (v *verifier) left() {
	v.rows.Ascend([]byte{rowLeftRoom}, []byte{rowLeftRoom + 1}, func(k, _ []byte) bool {
		for _, room := range v.rooms {
			if bytes.Equal(room, k[1:]) {
				v.fail("room %x is marked as left", room)
			}
		}
		v.rooms = append(v.rooms, k[1:])
		prefix := append([]byte{rowScan}, k[1:]...)
		v.rows.Ascend(prefix, storage.EndOf(prefix), func(k, owned []byte) bool {
			if len(owned) > 8 {
				v.doomed[binary.BigEndian.Uint64(owned[len(owned)-8:])] = true
			}
			return true
		})
		return true
	})
}

// strays looks for keys in no room.
func (v *verifier) strays() {
	for _, first := range []byte{rowMeta, rowScan, rowExpiry, rowWake} {
		v.rows.Ascend([]byte{first}, []byte{first + 1}, func(k, _ []byte) bool {
			for _, room := range v.rooms {
				if bytes.HasPrefix(k[1:], room) {
					return true
				}
			}
			v.fail("row %q is in no room", k)
			return true
		})
	}
}

// orphans looks for rows that belong to no key and are not garbage.
func (v *verifier) orphans() {
	for _, first := range []byte{rowHash, rowField, rowSet, rowZSet, rowStream, rowList, rowChunk} {
		v.rows.Ascend([]byte{first}, []byte{first + 1}, func(k, _ []byte) bool {
			if len(k) < 9 {
				v.fail("row %q is too short", k)
				return true
			}
			id := binary.BigEndian.Uint64(k[1:])
			if _, ok := v.owned[id]; ok || v.doomed[id] {
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
			v.fail("key %q: its rows are marked as garbage", owner)
		}
		return true
	})
}

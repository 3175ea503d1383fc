package keyspace

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// A small list keeps its elements in the body of the meta row: length and
// bytes of each. A large one has a row an element, numbered without gaps from
// head: both ends and any index are found at once, and what is changed in the
// middle moves the rows on the nearer side.

// firstIndex is the number of a large list's first element at the start. There
// is as much room before it as behind it.
const firstIndex = 1 << 63

// ErrIndexOutOfRange is the answer to a change of an element that a list has not.
var ErrIndexOutOfRange = &Error{"ERR", "index out of range"}

func listRow(b []byte, object, index uint64) []byte {
	return binary.BigEndian.AppendUint64(appendID(b, rowList, object), index)
}

// listHead is the length of what precedes the index in listRow.
const listHead = 1 + 8

// LPush puts elements one after another at the left or right end, makes the
// list if there is none, and gives its length.
func (t *Tx) LPush(key []byte, left bool, elements [][]byte) (length int64, err error) {
	for _, e := range elements {
		if len(e) > MaxValue {
			return 0, ErrValueTooLarge
		}
	}
	o, err := t.write(key, List)
	if err != nil || len(elements) == 0 {
		return o.length(), err
	}
	o.typ = List
	if o.apart {
		t.pushRows(o, left, elements)
	} else {
		all := make([][]byte, 0, int(o.count)+len(elements))
		if left {
			for i := len(elements) - 1; i >= 0; i-- {
				all = append(all, elements[i])
			}
			all = append(all, o.elements()...)
		} else {
			all = append(append(all, o.elements()...), elements...)
		}
		if err := t.layList(o, all); err != nil {
			return 0, err
		}
	}
	t.save(o)
	t.touch(key)
	return o.count, nil
}

func (o *object) length() int64 {
	if o == nil {
		return 0
	}
	return o.count
}

func (t *Tx) pushRows(o *object, left bool, elements [][]byte) {
	for _, e := range elements {
		index := o.firstRow + uint64(o.count)
		if left {
			o.firstRow--
			index = o.firstRow
		}
		t.buf = listRow(t.buf[:0], o.id, index)
		t.putRow(o, t.buf, nil, false, e)
		o.count++
	}
}

// elements gives those of a small list.
func (o *object) elements() [][]byte {
	out := make([][]byte, 0, o.count)
	for rest := o.body; len(rest) > 0; {
		var e []byte
		e, rest = cut(rest)
		out = append(out, e)
	}
	return out
}

// layList makes these the elements of a list that is small or has none yet.
func (t *Tx) layList(o *object, elements [][]byte) error {
	size := 0
	for _, e := range elements {
		size += itemSize(e)
	}
	if small(int64(len(elements)), size) {
		o.body = make([]byte, 0, size)
		for _, e := range elements {
			o.body = appendItem(o.body, e)
		}
		o.count = int64(len(elements))
		return nil
	}
	if done, err := t.layElements(o, elements); done || err != nil {
		return err
	}
	if err := t.apartAs(o); err != nil {
		return err
	}
	o.body, o.count, o.firstRow = nil, 0, firstIndex
	t.pushRows(o, false, elements)
	return nil
}

// LPop removes up to n elements from the left or right end, and the list with
// the last one. It gives them as they went; ok is false if there is no list.
func (t *Tx) LPop(key []byte, left bool, n int64) (elements [][]byte, ok bool, err error) {
	o, err := t.write(key, List)
	if err != nil || o.typ == None {
		return nil, false, err
	}
	n = min(n, o.count)
	if n <= 0 {
		return nil, true, nil
	}
	from, stay := int64(0), n // where what goes and what stays begins
	if !left {
		from, stay = o.count-n, 0
	}
	elements = t.slice(o, from, n)
	if err := t.keep(o, stay, o.count-n); err != nil {
		return nil, false, err
	}
	if !left {
		slices.Reverse(elements)
	}
	return elements, true, nil
}

// slice gives n elements from an offset.
func (t *Tx) slice(o *object, from, n int64) [][]byte {
	out := make([][]byte, 0, n)
	t.lwalk(o, from, n, false, func(e []byte) bool {
		out = append(out, e)
		return true
	})
	return out
}

// lwalk walks n elements from an offset on, or the same ones from the last of
// them down.
func (t *Tx) lwalk(o *object, from, n int64, reverse bool, fn func(element []byte) bool) {
	if n <= 0 {
		return
	}
	if !o.apart {
		all := o.elements()[from : from+n]
		for i := range all {
			if reverse {
				i = len(all) - 1 - i
			}
			if !fn(all[i]) {
				return
			}
		}
		return
	}
	start := o.firstRow + uint64(from)
	if n <= fewElements {
		t.lget(o, start, n, reverse, fn)
		return
	}
	a, b := listRow(nil, o.id, start), listRow(nil, o.id, start+uint64(n))
	visit := func(_, v []byte) bool { return fn(v) }
	if reverse {
		t.rows.Descend(a, b, visit)
	} else {
		t.ascend(a, b, visit)
	}
}

// fewElements is how many rows of a list are looked up one by one. Who only
// pushes and pops thus never asks for their order, which the table would have to
// make after each push.
const fewElements = 4

// lget is lwalk for a few rows of a large list.
func (t *Tx) lget(o *object, start uint64, n int64, reverse bool, fn func(element []byte) bool) {
	for i := range uint64(n) {
		if reverse {
			i = uint64(n) - 1 - i
		}
		t.buf = listRow(t.buf[:0], o.id, start+i)
		element, ok := t.rows.Get(t.buf)
		if !ok || !fn(element) {
			return
		}
	}
}

// keep leaves n elements from an offset on and saves the list, in time
// proportional to what goes, or to what stays if that is not much more.
func (t *Tx) keep(o *object, from, n int64) error {
	switch gone := o.count - n; {
	case gone == 0:
		return nil
	case n == 0:
		t.remove(o)
		return nil
	case !o.apart:
		if err := t.layList(o, o.elements()[from:from+n]); err != nil {
			return err
		}
	case n < 2*gone:
		done := t.Borrow()
		stay := t.slice(o, from, n)
		done()
		t.discard(o)
		o.forgetRows()
		if err := t.layList(o, stay); err != nil {
			return err
		}
	default:
		t.dropRange(o, 0, from)
		t.dropRange(o, from+n, o.count-from-n)
		o.firstRow += uint64(from)
		o.count = n
		if err := t.unspillList(o); err != nil {
			return err
		}
	}
	t.save(o)
	return nil
}

// forgetRows makes the object one without rows of its own.
func (o *object) forgetRows() {
	o.apart, o.id, o.body, o.firstRow, o.count, o.timing = false, 0, nil, 0, 0, timing{}
	o.sum.Hi, o.sum.Lo = 0, 0
}

func (t *Tx) dropRange(o *object, from, n int64) {
	defer t.Borrow()()
	for i, e := range t.slice(o, from, n) {
		t.buf = listRow(t.buf[:0], o.id, o.firstRow+uint64(from)+uint64(i))
		t.dropRow(o, t.buf, e)
	}
}

// unspillList takes a list that has become small back into the meta row.
func (t *Tx) unspillList(o *object) error {
	if !o.apart || o.count == 0 || !shrunk(o.count, 0) {
		return nil
	}
	var all [][]byte
	size := 0
	t.lwalk(o, 0, o.count, false, func(e []byte) bool {
		all = append(all, e)
		size += itemSize(e)
		return shrunk(0, size)
	})
	if !shrunk(o.count, size) {
		return nil
	}
	t.discard(o)
	o.forgetRows()
	return t.layList(o, all)
}

// LLen is the number of elements.
func (t *Tx) LLen(key []byte) (int64, error) {
	o, err := t.read(key, List)
	return o.length(), err
}

// LIndex gives the element at an index; a negative one counts from the end, -1
// is the last.
func (t *Tx) LIndex(key []byte, index int64) (element []byte, ok bool, err error) {
	o, err := t.read(key, List)
	if o == nil {
		return nil, false, err
	}
	if index < 0 {
		index += o.count
	}
	if index < 0 || index >= o.count {
		return nil, false, nil
	}
	t.lwalk(o, index, 1, false, func(e []byte) bool { element = e; return false })
	return element, true, nil
}

// LEach walks n elements from an offset on, or the same ones from the last of
// them down if reverse, until fn returns false.
func (t *Tx) LEach(key []byte, from, n int64, reverse bool, fn func(element []byte) bool) error {
	o, err := t.read(key, List)
	if o == nil || from < 0 || from >= o.count {
		return err
	}
	t.lwalk(o, from, min(n, o.count-from), reverse, fn)
	return nil
}

// LSet changes the element at an index, which may count from the end.
func (t *Tx) LSet(key []byte, index int64, element []byte) error {
	if len(element) > MaxValue {
		return ErrValueTooLarge
	}
	o, err := t.write(key, List)
	if err != nil {
		return err
	}
	if o.typ == None {
		return ErrNoSuchKey
	}
	if index < 0 {
		index += o.count
	}
	if index < 0 || index >= o.count {
		return ErrIndexOutOfRange
	}
	if err := t.splice(o, index, 1, [][]byte{element}); err != nil {
		return err
	}
	t.save(o)
	return nil
}

// LInsert puts an element before or behind the first that equals pivot. It
// gives the new length, -1 if no element does, 0 if there is no list.
func (t *Tx) LInsert(key []byte, behind bool, pivot, element []byte) (length int64, err error) {
	if len(element) > MaxValue {
		return 0, ErrValueTooLarge
	}
	o, err := t.write(key, List)
	if err != nil || o.typ == None {
		return 0, err
	}
	at, found := int64(0), false
	t.lwalk(o, 0, o.count, false, func(e []byte) bool {
		found = bytes.Equal(e, pivot)
		if !found {
			at++
		}
		return !found
	})
	if !found {
		return -1, nil
	}
	if behind {
		at++
	}
	if err := t.splice(o, at, 0, [][]byte{element}); err != nil {
		return 0, err
	}
	t.save(o)
	return o.count, nil
}

// LRem removes up to limit elements (0: all) that equal one, from the left or
// from the right, and the list with the last one.
func (t *Tx) LRem(key, element []byte, limit int64, right bool) (removed int64, err error) {
	o, err := t.write(key, List)
	if err != nil || o.typ == None {
		return 0, err
	}
	var at []int64 // offsets of what goes, as found
	i := int64(0)
	t.lwalk(o, 0, o.count, right, func(e []byte) bool {
		if bytes.Equal(e, element) {
			if right {
				at = append(at, o.count-1-i)
			} else {
				at = append(at, i)
			}
		}
		i++
		return limit == 0 || int64(len(at)) < limit
	})
	removed = int64(len(at))
	switch removed {
	case 0:
		return 0, nil
	case o.count:
		t.remove(o)
		return removed, nil
	}
	first, last := at[0], at[len(at)-1]
	if right {
		first, last = last, first
	}
	var stay [][]byte // of those between the first and the last that go
	gone := make(map[int64]bool, len(at))
	for _, i := range at {
		gone[i] = true
	}
	i = first
	t.lwalk(o, first, last-first+1, false, func(e []byte) bool {
		if !gone[i] {
			stay = append(stay, e)
		}
		i++
		return true
	})
	if err := t.splice(o, first, last-first+1, stay); err != nil {
		return 0, err
	}
	if err := t.unspillList(o); err != nil {
		return 0, err
	}
	t.save(o)
	return removed, nil
}

// splice puts elements in the place of n from an offset on. It does not save.
func (t *Tx) splice(o *object, at, n int64, with [][]byte) error {
	if !o.apart {
		old := o.elements()
		all := make([][]byte, 0, len(old)+len(with))
		all = append(append(append(all, old[:at]...), with...), old[at+n:]...)
		return t.layList(o, all)
	}
	grown := int64(len(with)) - n
	behind := o.count - at - n
	if at < behind && grown != 0 { // move what is before
		old := t.slice(o, 0, at+n)
		all := append(old[:at:at], with...)
		head := o.firstRow - uint64(grown)
		t.moveRows(o, o.firstRow, old, head, all)
		o.firstRow = head
	} else {
		if grown == 0 {
			behind = 0
		}
		old := t.slice(o, at, n+behind)
		all := append(append(make([][]byte, 0, len(old)+len(with)), with...), old[n:]...)
		t.moveRows(o, o.firstRow+uint64(at), old, o.firstRow+uint64(at), all)
	}
	o.count += grown
	return nil
}

// moveRows puts elements at an index where others stood at an index.
func (t *Tx) moveRows(o *object, oldAt uint64, old [][]byte, newAt uint64, elements [][]byte) {
	end := max(oldAt+uint64(len(old)), newAt+uint64(len(elements)))
	for i := min(oldAt, newAt); i < end; i++ {
		var was []byte
		had := i >= oldAt && i-oldAt < uint64(len(old))
		if had {
			was = old[i-oldAt]
		}
		t.buf = listRow(t.buf[:0], o.id, i)
		if i >= newAt && i-newAt < uint64(len(elements)) {
			t.putRow(o, t.buf, was, had, elements[i-newAt])
		} else if had {
			t.dropRow(o, t.buf, was)
		}
	}
}

// LTrim removes all elements but n from an offset on.
func (t *Tx) LTrim(key []byte, from, n int64) error {
	o, err := t.write(key, List)
	if err != nil || o.typ == None {
		return err
	}
	from = min(max(from, 0), o.count)
	return t.keep(o, from, min(max(n, 0), o.count-from))
}

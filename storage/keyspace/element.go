package keyspace

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/parlorchat/parlor/storage"
)

// Small hashes and sets keep their elements in the body of the meta row, in
// the order in which they came: length and bytes of each field and value, or
// of each member.

// cut takes a length and that many bytes off a body.
func cut(b []byte) (item, rest []byte) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		panic("keyspace: a small object's elements are damaged")
	}
	return b[size : size+int(n) : size+int(n)], b[size+int(n):]
}

func appendItem(b, item []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(item))), item...)
}

func itemSize(item []byte) int {
	n, size := uint64(len(item)), 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size + len(item)
}

// most says whether n elements that are to go are so many of a large object's
// that it is better to make it anew of those that stay: a row that is laid with
// others costs less than one that is removed.
func (o *object) most(n int) bool { return o.apart && int64(n) > o.count/5 }

func setOf(elements [][]byte) map[string]struct{} {
	out := make(map[string]struct{}, len(elements))
	for _, e := range elements {
		out[string(e)] = struct{}{}
	}
	return out
}

// scanRows walks rows with a prefix in order of the place that follows it.
func (t *Tx) scanRows(prefix []byte, cursor uint64, count int, fn func(element, value []byte)) (next uint64) {
	count = max(count, 1)
	type row struct{ element, value []byte }
	var rows []row
	var last uint64
	from := appendPlace(prefix[:len(prefix):len(prefix)], min(cursor, 1<<48-1))
	t.rows.Ascend(from, storage.EndOf(prefix), func(k, v []byte) bool {
		p := readPlace(k[len(prefix):])
		if len(rows) >= count && p != last {
			next = p
			return false
		}
		last = p
		rows = append(rows, row{k[len(prefix)+placeSize:], v})
		return true
	})
	// After the walk, so that fn may look into the table.
	for _, r := range rows {
		fn(r.element, r.value)
	}
	return next
}

// randomRow gives one of the n rows that have a prefix and then a place: by
// rank if they are few, else one of those that follow a random place.
func (t *Tx) randomRow(prefix []byte, n int64, r *rand.Rand) (element, value []byte) {
	from, skip := prefix, int64(0)
	if n <= 256 {
		skip = r.Int64N(n)
	} else {
		from = appendPlace(prefix[:len(prefix):len(prefix)], r.Uint64()>>16)
		skip = r.Int64N(16)
	}
	visit := func(k, v []byte) bool {
		element, value = k[len(prefix)+placeSize:], v
		skip--
		return skip >= 0
	}
	t.rows.Ascend(from, storage.EndOf(prefix), visit)
	if skip >= 0 { // past the end: go round
		t.rows.Ascend(prefix, storage.EndOf(prefix), visit)
	}
	return element, value
}

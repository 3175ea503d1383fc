package storage

import (
	"bytes"

	"go.etcd.io/bbolt"
)

// garbagePrefix begins the rows that name deleted objects: the prefix, then
// the object's id of objectIDLen bytes; the value lists, a byte each, the
// prefixes p of the object's rows, which are those that begin with p and the
// id. The typed layer writes such a row when it deletes an object that has
// rows of its own, and from then on reads none of them.
const (
	garbagePrefix = 'g'
	objectIDLen   = 8
)

// leftPrefix begins the rows that name rooms which were left: the prefix, then
// the room's number. The value lists the prefixes p of the room's rows, which
// are those that begin with p and the number. The values of the first of these
// kinds say which objects are garbage too: nothing, or what a garbage row has
// as its value and the object's id.
const leftPrefix = 'r'

// collectGarbage removes rows of deleted objects, at most budget of them, and
// says whether there are more. Each node does this at its own pace: such rows
// are in no state hash and no command sees them.
func collectGarbage(rows *bbolt.Bucket, budget int) (removed int, more bool, err error) {
	for _, kind := range []struct {
		prefix byte
		remove func(rows *bbolt.Bucket, id, prefixes []byte, limit int) (int, error)
	}{{garbagePrefix, removeObject}, {leftPrefix, removeRoom}} {
		for removed < budget {
			key, prefixes, err := firstGarbage(rows, kind.prefix)
			if err != nil {
				return removed, true, err
			}
			if key == nil {
				break
			}
			n, err := kind.remove(rows, key[1:], prefixes, budget-removed)
			removed += n
			if err != nil {
				return removed, true, err
			}
			if removed >= budget {
				break
			}
			if err := rows.Delete(key); err != nil {
				return removed, true, err
			}
		}
		key, _, err := firstGarbage(rows, kind.prefix)
		if err != nil {
			return removed, true, err
		}
		more = more || key != nil
	}
	return removed, more, nil
}

// firstGarbage gives copies of the first row that names garbage of a kind, or
// nil.
func firstGarbage(rows *bbolt.Bucket, prefix byte) (key, prefixes []byte, err error) {
	k, stored := rows.Cursor().Seek([]byte{prefix})
	if len(k) == 0 || k[0] != prefix {
		return nil, nil, nil
	}
	v, err := unsealed(k, stored)
	return bytes.Clone(k), bytes.Clone(v), err
}

// removeRoom removes at most limit rows of a room that was left, and of the
// objects in it. If it removed fewer, none is left.
func removeRoom(rows *bbolt.Bucket, number, prefixes []byte, limit int) (removed int, err error) {
	for i, p := range prefixes {
		for removed < limit {
			n, done, err := removeSome(rows, append([]byte{p}, number...), i == 0, limit-removed)
			removed += n
			if err != nil {
				return removed, err
			}
			if done {
				break
			}
		}
	}
	return removed, nil
}

// removeSome removes some of the rows with a prefix. If they name objects, the
// rows of these go first. done says that none is left.
func removeSome(rows *bbolt.Bucket, prefix []byte, objects bool, limit int) (removed int, done bool, err error) {
	const some = 1000
	type row struct{ key, value []byte }
	var found []row
	c := rows.Cursor()
	for k, stored := c.Seek(prefix); len(found) < min(limit, some) && bytes.HasPrefix(k, prefix); k, stored = c.Next() {
		v, err := unsealed(k, stored)
		if err != nil {
			return 0, false, err
		}
		found = append(found, row{bytes.Clone(k), bytes.Clone(v)})
	}
	for _, r := range found {
		if n := len(r.value) - objectIDLen; objects && n > 0 {
			gone, err := removeObject(rows, r.value[n:], r.value[:n], limit-removed)
			removed += gone
			if err != nil || removed >= limit {
				return removed, false, err
			}
		}
		if err := rows.Delete(r.key); err != nil {
			return removed, false, err
		}
		if removed++; removed >= limit {
			return removed, false, nil
		}
	}
	return removed, len(found) < some, nil
}

// removeObject removes at most limit rows of an object. If it removed fewer,
// none is left.
func removeObject(rows *bbolt.Bucket, id, prefixes []byte, limit int) (removed int, err error) {
	if len(id) != objectIDLen {
		return 0, nil // not ours: the row itself goes
	}
	for _, p := range prefixes {
		doomed := rowsOf(rows, p, id, limit-removed)
		for _, key := range doomed {
			if err := rows.Delete(key); err != nil {
				return removed, err
			}
			removed++
		}
		if removed >= limit {
			return removed, nil
		}
	}
	return removed, nil
}

// rowsOf gives copies of the keys of at most limit rows that begin with p and
// id. Rows are not deleted under a cursor, which could skip some.
func rowsOf(rows *bbolt.Bucket, p byte, id []byte, limit int) (keys [][]byte) {
	c := rows.Cursor()
	from := append([]byte{p}, id...)
	for k, _ := c.Seek(from); len(keys) < limit && bytes.HasPrefix(k, from); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	return keys
}

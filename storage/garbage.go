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

// collectGarbage removes rows of deleted objects, at most budget of them, and
// says whether there are more. Each node does this at its own pace: such rows
// are in no state hash and no command sees them.
func collectGarbage(rows *bbolt.Bucket, budget int) (removed int, more bool, err error) {
	for removed < budget {
		key, prefixes := firstGarbage(rows)
		if key == nil {
			return removed, false, nil
		}
		n, err := removeObject(rows, key[1:], prefixes, budget-removed)
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
	key, _ := firstGarbage(rows)
	return removed, key != nil, nil
}

// firstGarbage gives copies of the first garbage row, or nil.
func firstGarbage(rows *bbolt.Bucket) (key, prefixes []byte) {
	k, v := rows.Cursor().Seek([]byte{garbagePrefix})
	if len(k) == 0 || k[0] != garbagePrefix {
		return nil, nil
	}
	return bytes.Clone(k), bytes.Clone(v)
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

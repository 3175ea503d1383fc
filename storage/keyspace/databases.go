package keyspace

import "bytes"

// MaxFlush is how many keys one step may remove or move between databases.
const MaxFlush = 1 << 20

// ErrTooManyKeys is the answer to a flush or swap of more than MaxFlush keys.
var ErrTooManyKeys = &Error{"ERR", "more than 1048576 keys, too many for one step, nothing was changed; remove them in parts with SCAN and UNLINK"}

// Move takes a key, with its expiry, to another database. It says whether it
// did: not if there is no such key, or one there already.
func (t *Tx) Move(key []byte, db uint8) bool {
	o := t.fresh(key)
	if o.typ == None || db == t.db {
		return false
	}
	home := t.db
	defer func() { t.db = home }()
	t.db = db
	dst := t.fresh(key)
	if dst.typ != None {
		return false
	}
	t.carry(o, dst)
	t.touchNew(key, dst.typ)
	return true
}

// carry puts an object in the place of another, which is none.
func (t *Tx) carry(o, dst *object) {
	moved := *o
	moved.row, moved.stored, moved.storedExpire = dst.row, nil, 0
	o.apart = false // its rows live on
	t.remove(o)
	*dst = moved
	t.save(dst)
}

// Flush removes all keys of the database. It takes time in proportion to their
// number, whatever their size. ErrTooManyKeys if they are more than MaxFlush.
func (t *Tx) Flush() error {
	t.mustWrite()
	if t.dbCounts(t.db).keys > MaxFlush {
		return ErrTooManyKeys
	}
	for _, row := range t.metaRows(t.db) {
		t.remove(t.load(t.db, row[2:]))
	}
	return nil
}

// metaRows gives copies of the keys of a database's meta rows.
func (t *Tx) metaRows(db uint8) [][]byte {
	var out [][]byte
	t.rows.Ascend([]byte{rowMeta, db}, []byte{rowMeta, db + 1}, func(k, _ []byte) bool {
		out = append(out, bytes.Clone(k))
		return true
	})
	return out
}

// SwapDB exchanges the keys of two databases, in time proportional to the number
// of keys of both. ErrTooManyKeys if they are more than MaxFlush.
func (t *Tx) SwapDB(a, b uint8) error {
	t.mustWrite()
	if a == b {
		return nil
	}
	if t.dbCounts(a).keys+t.dbCounts(b).keys > MaxFlush {
		return ErrTooManyKeys
	}
	var moved []object
	for _, db := range []uint8{a, b} {
		for _, row := range t.metaRows(db) {
			o := t.load(db, row[2:])
			if t.expired(o) {
				t.remove(o)
				continue
			}
			moved = append(moved, *o)
			o.apart = false // its rows live on
			t.remove(o)
		}
	}
	for i := range moved {
		m := &moved[i]
		db := a + b - m.row[1]
		dst := t.load(db, m.key())
		m.row, m.stored, m.storedExpire = dst.row, nil, 0
		*dst = *m
		t.save(dst)
		t.touchNew(dst.key(), dst.typ)
	}
	return nil
}

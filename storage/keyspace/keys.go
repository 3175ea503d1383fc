package keyspace

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
)

// Type gives the type of the value at a key.
func (t *Tx) Type(key []byte) Type {
	if o := t.find(key); o != nil {
		return o.typ
	}
	return None
}

// Revision is the log index of the last change of a key; 0: no such key.
func (t *Tx) Revision(key []byte) uint64 {
	if o := t.find(key); o != nil {
		return o.rev
	}
	return 0
}

// Inlined says whether the value at a key is kept in one row.
func (t *Tx) Inlined(key []byte) bool {
	o := t.find(key)
	return o != nil && !o.apart
}

// Delete removes a key in constant time; its rows are collected later.
func (t *Tx) Delete(key []byte) bool {
	o := t.fresh(key)
	if o.typ == None {
		return false
	}
	t.remove(o)
	return true
}

// Rename gives the value at a key, with its expiry, another name. What was
// there is gone. ErrNoSuchKey if there is nothing to rename.
func (t *Tx) Rename(from, to []byte) error {
	if len(to) > MaxKey {
		return ErrKeyTooLong
	}
	o := t.fresh(from)
	if o.typ == None {
		return ErrNoSuchKey
	}
	if bytes.Equal(from, to) {
		return nil
	}
	dst := t.fresh(to)
	if dst.typ != None {
		t.remove(dst)
	}
	moved := *o
	moved.row, moved.stored, moved.storedExpire = dst.row, nil, 0
	o.apart = false // its rows live on
	t.remove(o)
	*dst = moved
	t.save(dst)
	t.touchNew(to, dst.typ)
	return nil
}

// Copy puts a copy of the value at a key, with its expiry, under another name
// in a database. What was there is gone. It takes time in proportion to the
// value's rows. ErrNoSuchKey if there is nothing to copy.
func (t *Tx) Copy(from []byte, db uint8, to []byte) error {
	if len(to) > MaxKey {
		return ErrKeyTooLong
	}
	o := t.fresh(from)
	if o.typ == None {
		return ErrNoSuchKey
	}
	if db == t.db && bytes.Equal(from, to) {
		return nil
	}
	home := t.db
	defer func() { t.db = home }()
	t.db = db
	dst := t.fresh(to)
	if dst.typ != None {
		t.remove(dst)
	}
	c := *o
	c.row, c.stored, c.storedExpire = dst.row, nil, 0
	if o.apart {
		if err := t.apartAs(&c); err != nil {
			return err
		}
		t.copyRows(o, &c)
	}
	*dst = c
	t.save(dst)
	t.touchNew(to, dst.typ)
	return nil
}

func (t *Tx) copyRows(from, to *object) {
	first := rowsOf(from.typ)
	prefix := appendID(nil, first, from.id)
	type row struct{ key, value []byte }
	var rows []row
	t.rows.Ascend(prefix, after(prefix), func(k, v []byte) bool {
		key := append(appendID(make([]byte, 0, len(k)), first, to.id), k[9:]...)
		rows = append(rows, row{key, bytes.Clone(v)})
		return true
	})
	for _, r := range rows {
		t.putRow(to, r.key, nil, false, r.value)
	}
}

// ExpireAt gives the time in ms at which a key expires; ok is false if it does
// not expire or does not exist.
func (t *Tx) ExpireAt(key []byte) (ms int64, ok bool) {
	o := t.find(key)
	if o == nil || o.expire == 0 {
		return 0, false
	}
	return o.expire, true
}

// SetExpire sets the time in ms at which a key expires, 0: never. A time that
// has come removes the key. It says whether the key existed.
func (t *Tx) SetExpire(key []byte, ms int64) bool {
	o := t.fresh(key)
	if o.typ == None {
		return false
	}
	if ms != 0 && ms <= t.now {
		t.remove(o)
		return true
	}
	o.expire = ms
	t.save(o)
	return true
}

// NextExpiry is the time in ms at which the next key of any database expires.
func (t *Tx) NextExpiry() (ms int64, ok bool) {
	t.rows.Ascend([]byte{rowExpiry}, []byte{rowExpiry + 1}, func(k, _ []byte) bool {
		ms, ok = int64(binary.BigEndian.Uint64(k[1:])), true
		return false
	})
	return ms, ok
}

// Sweep removes up to limit keys whose time has come, in all databases.
func (t *Tx) Sweep(limit int) (removed int) {
	t.mustWrite()
	var keys [][]byte // <db><key>
	end := binary.BigEndian.AppendUint64([]byte{rowExpiry}, uint64(t.now)+1)
	t.rows.Ascend([]byte{rowExpiry}, end, func(k, _ []byte) bool {
		if len(keys) >= limit {
			return false
		}
		keys = append(keys, bytes.Clone(k[9:]))
		return true
	})
	for _, k := range keys {
		t.remove(t.load(k[0], k[1:]))
	}
	return len(keys)
}

// KeyCount says how many keys the database has, and how many of them expire.
// Keys whose time has come are not among them.
func (t *Tx) KeyCount() (keys, expires int64) {
	c := *t.dbCounts(t.db)
	end := binary.BigEndian.AppendUint64([]byte{rowExpiry}, uint64(t.now)+1)
	t.rows.Ascend([]byte{rowExpiry}, end, func(k, _ []byte) bool {
		if k[9] == t.db {
			c.keys--
			c.expires--
		}
		return true
	})
	return c.keys, c.expires
}

// EachKey walks the keys of the database in order of their bytes, starting
// above after (nil: from the first), until fn returns false.
func (t *Tx) EachKey(after []byte, fn func(key []byte, typ Type) bool) {
	from := []byte{rowMeta, t.db}
	if after != nil {
		from = append(append(from, after...), 0)
	}
	t.rows.Ascend(from, []byte{rowMeta, t.db + 1}, func(k, v []byte) bool {
		o := object{row: k}
		if err := o.decode(v); err != nil {
			panic("keyspace: " + err.Error())
		}
		if t.expired(&o) {
			return true
		}
		return fn(o.key(), o.typ)
	})
}

// Scan walks part of the keys of the database in scan order: count keys or a
// few more, from a cursor (0: the start). It gives the cursor to go on with, 0
// at the end. A key that exists during a whole scan is seen, and once.
func (t *Tx) Scan(cursor uint64, count int, fn func(key []byte, typ Type)) (next uint64) {
	prefix := []byte{rowScan, t.db}
	return t.scanRows(prefix, cursor, count, func(key, _ []byte) {
		if o := t.peek(key); o.typ != None && !t.expired(&o) {
			fn(key, o.typ)
		}
	})
}

// peek reads a key's object past the cache, for walks over many keys.
func (t *Tx) peek(key []byte) object {
	t.buf = append(append(t.buf[:0], rowMeta, t.db), key...)
	var o object
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
	prefix := []byte{rowScan, t.db}
	tries := 0
	visit := func(k, _ []byte) bool {
		tries++
		name := k[2+placeSize:]
		if o := t.peek(name); o.typ != None && !t.expired(&o) && accept(name) {
			key, ok = name, true
			return false
		}
		return tries < 10_000
	}
	start := appendPlace(prefix[:2:2], r.Uint64()>>16)
	t.rows.Ascend(start, after(prefix), visit)
	if !ok && tries < 10_000 {
		t.rows.Ascend(prefix, start, visit)
	}
	return key, ok
}

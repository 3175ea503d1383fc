package keyspace

import (
	"bytes"

	"github.com/parlorchat/parlor/storage"
)

// Type gives the type of the value at a key.
func (t *Tx) Type(key []byte) Type {
	if o := t.find(key); o != nil {
		return o.typ
	}
	return None
}

// Revision is the log index of the last change of a key, or of that of its
// database for another; 0: no such key. What is kept beside a stream's entries
// (groups, and what they have read; the id that XSETID sets) is none, as in
// Redis.
func (t *Tx) Revision(key []byte) uint64 {
	if o := t.find(key); o != nil {
		return max(o.rev, t.rows.Room(o.slot).Since)
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
	t.carry(o, dst)
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
	c.takePlace(dst)
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
	for _, first := range rowsOf(from.typ) {
		prefix := appendID(nil, first, from.id)
		m := t.maker(to, from.ownRows())
		t.look(prefix, storage.EndOf(prefix), func(k, v []byte) bool {
			t.buf = append(appendID(t.buf[:0], first, to.id), k[len(prefix):]...)
			m.add(t.buf, v)
			return true
		})
		m.lay()
	}
}

// ownRows is how many rows of one kind an object has of its own, about.
func (o *object) ownRows() int {
	if o.typ == String {
		return int(o.count / stringChunk)
	}
	return int(o.count)
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

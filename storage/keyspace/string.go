package keyspace

// Get gives the string at a key.
func (t *Tx) Get(key []byte) (value []byte, ok bool, err error) {
	o, err := t.read(key, String)
	if o == nil {
		return nil, false, err
	}
	return t.whole(o), true, nil
}

// Set puts a string at a key. Any former value and its expiry are gone.
func (t *Tx) Set(key, value []byte) error {
	return t.set(key, value, 0)
}

// SetEx is Set with a time in ms at which the key expires.
func (t *Tx) SetEx(key, value []byte, expire int64) error {
	return t.set(key, value, expire)
}

// SetKeepTTL is Set, but the key expires when it did before.
func (t *Tx) SetKeepTTL(key, value []byte) error {
	expire, _ := t.ExpireAt(key)
	return t.set(key, value, expire)
}

func (t *Tx) set(key, value []byte, expire int64) error {
	if len(key) > MaxKey {
		return ErrKeyTooLong
	}
	if len(value) > MaxValue {
		return ErrValueTooLarge
	}
	o := t.fresh(key)
	if expire != 0 && expire <= t.now {
		if o.typ != None {
			t.remove(o)
		}
		return nil
	}
	switch {
	case o.typ != None && o.typ != String:
		t.remove(o)
	case o.apart:
		t.discard(o)
		o.forgetRows()
	}
	o.typ, o.expire, o.body = String, expire, value
	t.save(o)
	// encode copied the value: keep that copy, not the caller's buffer.
	o.body = o.stored[len(o.stored)-len(value):]
	return nil
}

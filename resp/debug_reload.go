package resp

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis"
)

// debugReload makes the keys of all databases anew from what DUMP gives of
// them, except those of the domain. Redis reads its file again; here nothing
// is ever read back as a whole, and the payloads are what can be tried.
func (s *session) debugReload() (command.Reply, error) {
	if err := s.catchUp(); err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	for db := range uint8(keyspace.Databases) {
		keys, err := s.ownKeys(db)
		if err != nil {
			return command.Reply{}, err
		}
		for _, key := range keys {
			if err := s.remake(db, key); err != nil {
				return command.Reply{}, err
			}
		}
	}
	return command.OK, nil
}

// ownKeys gives the keys of a database that are not the domain's.
func (s *session) ownKeys(db uint8) (keys [][]byte, err error) {
	err = s.server.store.Walk(func(tx *keyspace.Tx) error {
		tx.Select(db)
		tx.EachKey(nil, func(key []byte, _ keyspace.Type) bool {
			if !redis.IsDomainKey(key) {
				keys = append(keys, bytes.Clone(key))
			}
			return true
		})
		return nil
	})
	if err != nil {
		return nil, storeError(err, command.ErrUnconfirmed)
	}
	return keys, nil
}

// remake replaces a value by what DUMP gives of it, unless somebody has
// changed it meanwhile.
func (s *session) remake(db uint8, key []byte) error {
	var w command.Watch
	var expire, payload command.Reply
	err := s.server.store.Walk(func(tx *keyspace.Tx) error {
		tx.Select(db)
		w = command.Watch{DB: db, Key: key, Revision: tx.Revision(key)}
		expire, payload = s.ask(tx, "PEXPIRETIME", key), s.ask(tx, "DUMP", key)
		return nil
	})
	if err != nil {
		return storeError(err, command.ErrUnconfirmed)
	}
	if payload.IsNull() {
		return nil // it has expired
	}
	if err := payload.Err(); err != nil {
		return err
	}
	ttl := strconv.FormatInt(max(expire.Int, 0), 10)
	res := s.server.store.Propose(s.server.requests.context(), []command.Request{{DB: db, Watches: []command.Watch{w},
		Commands: []command.Args{append(command.New("RESTORE"), key, []byte(ttl), payload.Str, []byte("REPLACE"), []byte("ABSTTL"))}}})[0]
	switch {
	case res.Err != nil:
		return storeError(res.Err, command.ErrUnknownOutcome)
	case res.Replies == nil:
		return nil // changed meanwhile
	}
	return res.Replies[0].Err()
}

// ask runs a command of the Store on one key.
func (s *session) ask(tx *keyspace.Tx, name string, key []byte) command.Reply {
	return s.call(tx, s.server.catalog.byName[name], append(command.New(name), key))
}

// debugDigest gives a sum over all keys but the domain's that does not depend
// on their order.
func (s *session) debugDigest() (command.Reply, error) {
	if err := s.catchUp(); err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	var sum [sha1.Size]byte
	for db := range uint8(keyspace.Databases) {
		keys, err := s.ownKeys(db)
		if err != nil {
			return command.Reply{}, err
		}
		err = s.server.store.Walk(func(tx *keyspace.Tx) error {
			tx.Select(db)
			for _, key := range keys {
				one := sha1.Sum(fmt.Appendf(nil, "%d %q %v %s", db, key, s.ask(tx, "PEXPIRETIME", key).Int >= 0, s.digest(tx, key)))
				for i := range sum {
					sum[i] ^= one[i]
				}
			}
			return nil
		})
		if err != nil {
			return command.Reply{}, storeError(err, command.ErrUnconfirmed)
		}
	}
	return command.Simple(hex.EncodeToString(sum[:])), nil
}

// debugDigestValue gives sums over values, which are equal if the values are.
func (s *session) debugDigestValue(keys [][]byte) (command.Reply, error) {
	for _, key := range keys {
		if err := checkDomainKeys(s.server.catalog.find([]byte("GET")), [][]byte{nil, key}); err != nil {
			return command.Reply{}, err
		}
	}
	if err := s.catchUp(); err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	var out []command.Reply
	err := s.server.store.Walk(func(tx *keyspace.Tx) error {
		tx.Select(s.dbIndex())
		for _, key := range keys {
			out = append(out, command.Simple(s.digest(tx, key)))
		}
		return nil
	})
	if err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	return command.Array(out...), nil
}

// digest is the sum over what DUMP gives; zeros where there is no key.
func (s *session) digest(tx *keyspace.Tx, key []byte) string {
	var sum [sha1.Size]byte
	if payload := s.ask(tx, "DUMP", key); !payload.IsNull() {
		sum = sha1.Sum(payload.Str)
	}
	return hex.EncodeToString(sum[:])
}

// Package keyspacetest has a table in memory for tests of whatever stands on
// the keyspace. It knows nothing of files or of the log.
package keyspacetest

import (
	"github.com/tidwall/btree"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Rows is an ordered table in memory. It is not safe for concurrent use.
type Rows struct {
	tree  btree.Map[string, []byte]
	undo  []change
	rooms storage.Rooms
	mark  storage.Rooms // at the last Mark
}

type change struct {
	key   string
	value []byte
	had   bool
}

var _ storage.Writer = (*Rows)(nil)

// Get gives the value of a row.
func (r *Rows) Get(key []byte) ([]byte, bool) { return r.tree.Get(string(key)) }

// Set sets a row.
func (r *Rows) Set(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	old, had := r.tree.Set(string(key), value)
	r.undo = append(r.undo, change{string(key), old, had})
}

// SetRun sets rows.
func (r *Rows) SetRun(rows []storage.Row) {
	for _, w := range rows {
		r.Set(w.Key, w.Value)
	}
}

// Look is Ascend.
func (r *Rows) Look(from, to []byte, fn func(key, value []byte) bool) { r.Ascend(from, to, fn) }

// Delete removes a row.
func (r *Rows) Delete(key []byte) {
	if old, had := r.tree.Delete(string(key)); had {
		r.undo = append(r.undo, change{string(key), old, true})
	}
}

// Room gives what is known of a room.
func (r *Rows) Room(slot int) storage.Room { return r.rooms[slot] }

// SetRoom changes what is known of a room.
func (r *Rows) SetRoom(slot int, room storage.Room) { r.rooms[slot] = room }

// Ascend walks from <= key < to.
func (r *Rows) Ascend(from, to []byte, fn func(key, value []byte) bool) {
	end := string(to)
	r.tree.Ascend(string(from), func(k string, v []byte) bool {
		return (to == nil || k < end) && fn([]byte(k), v)
	})
}

// Descend walks from <= key < to, downwards.
func (r *Rows) Descend(from, to []byte, fn func(key, value []byte) bool) {
	start, end := string(from), string(to)
	visit := func(k string, v []byte) bool {
		if to != nil && k >= end {
			return true
		}
		return k >= start && fn([]byte(k), v)
	}
	if to == nil {
		r.tree.Reverse(visit)
		return
	}
	r.tree.Descend(end, visit)
}

// Mark is a point to go back to. Marks before it are forgotten.
func (r *Rows) Mark() { r.undo, r.mark = r.undo[:0], r.rooms }

// Rollback undoes what was changed since the last Mark.
func (r *Rows) Rollback() {
	for i := len(r.undo) - 1; i >= 0; i-- {
		c := r.undo[i]
		if c.had {
			r.tree.Set(c.key, c.value)
		} else {
			r.tree.Delete(c.key)
		}
	}
	r.undo = r.undo[:0]
	r.rooms = r.mark
}

// Len is the number of rows.
func (r *Rows) Len() int { return r.tree.Len() }

// Collect does what checkpoints do: it removes the rows that garbage rows
// and left rooms name, and these.
func (r *Rows) Collect() {
	for _, first := range "rg" {
		r.prefixed([]byte{byte(first)}, func(row string, v []byte) {
			r.collect([]byte(row), v)
			r.Delete([]byte(row))
		})
	}
}

func (r *Rows) collect(k, v []byte) {
	if k[0] == 'g' {
		for _, first := range v {
			r.drop(append([]byte{first}, k[1:]...))
		}
		return
	}
	for i, first := range v {
		r.prefixed(append([]byte{first}, k[1:]...), func(row string, owned []byte) {
			if n := len(owned) - 8; i == 0 && n > 0 {
				for _, first := range owned[:n] {
					r.drop(append([]byte{first}, owned[n:]...))
				}
			}
			r.Delete([]byte(row))
		})
	}
}

func (r *Rows) drop(prefix []byte) {
	r.prefixed(prefix, func(row string, _ []byte) { r.Delete([]byte(row)) })
}

// prefixed calls fn, which may delete rows, with those that have a prefix.
func (r *Rows) prefixed(prefix []byte, fn func(row string, value []byte)) {
	copied := r.tree.Copy()
	copied.Ascend(string(prefix), func(k string, v []byte) bool {
		if len(k) < len(prefix) || k[:len(prefix)] != string(prefix) {
			return false
		}
		fn(k, v)
		return true
	})
}

// State is a table with what the state machine keeps beside it.
type State struct {
	Rows  Rows
	Hash  storage.Hash
	Index uint64
	Now   int64 // ms since 1970
}

// Write runs fn as the next log entry; if it fails nothing is changed.
func (s *State) Write(fn func(tx *keyspace.Tx) error) error {
	s.Index++
	s.Rows.Mark()
	before := s.Hash
	tx := keyspace.NewWriter(&s.Rows, s.Now, s.Index, &s.Hash)
	err := fn(tx)
	if err != nil {
		s.Rows.Rollback()
		s.Hash = before
		tx.Reset()
	}
	return err
}

// Read gives a read-only window.
func (s *State) Read() *keyspace.Tx { return keyspace.NewReader(&s.Rows, s.Now) }

// Verify is keyspace.Verify on the rows and the hash.
func (s *State) Verify() error { return keyspace.Verify(&s.Rows, s.Hash) }

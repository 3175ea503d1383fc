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
	tree btree.Map[string, []byte]
	undo []change
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

// Delete removes a row.
func (r *Rows) Delete(key []byte) {
	if old, had := r.tree.Delete(string(key)); had {
		r.undo = append(r.undo, change{string(key), old, true})
	}
}

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
func (r *Rows) Mark() { r.undo = r.undo[:0] }

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
}

// Len is the number of rows.
func (r *Rows) Len() int { return r.tree.Len() }

// Collect does what a checkpoint does: it removes the rows that garbage rows
// name, and these.
func (r *Rows) Collect() {
	var garbage, doomed []string
	r.Ascend([]byte("g"), []byte("h"), func(k, v []byte) bool {
		for _, first := range v {
			prefix := append([]byte{first}, k[1:]...)
			r.tree.Ascend(string(prefix), func(k string, _ []byte) bool {
				if len(k) < len(prefix) || k[:len(prefix)] != string(prefix) {
					return false
				}
				doomed = append(doomed, k)
				return true
			})
		}
		garbage = append(garbage, string(k))
		return true
	})
	for _, k := range append(doomed, garbage...) {
		r.Delete([]byte(k))
	}
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

package keyspace_test

import (
	"testing"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// Whoever tries something out is told whether it would change anything, and has
// changed nothing.
func TestTryingOut(t *testing.T) {
	s := keyspacetest.State{Now: 1000}
	if err := s.Write(func(tx *keyspace.Tx) error {
		if _, err := tx.SAdd([]byte("set"), []byte("a")); err != nil {
			return err
		}
		return tx.SetEx([]byte("brief"), []byte("v"), 2000)
	}); err != nil {
		t.Fatal(err)
	}
	hash, rows := s.Hash, s.Rows.Len()
	var w keyspace.Tx
	for _, tc := range []struct {
		name    string
		now     int64
		fn      func()
		changes bool
	}{
		{"a member that is there", 1000, func() { _, _ = w.SAdd([]byte("set"), []byte("a")) }, false},
		{"another member", 1000, func() { _, _ = w.SAdd([]byte("set"), []byte("b")) }, true},
		{"no such key", 1000, func() { w.Delete([]byte("none")) }, false},
		{"a key", 1000, func() { w.Delete([]byte("brief")) }, true},
		{"a key whose time has come", 3000, func() { w.Delete([]byte("brief")) }, true},
		{"a key of another type", 1000, func() { _, _ = w.SAdd([]byte("brief"), []byte("a")) }, false},
		{"a new key", 1000, func() { _ = w.Set([]byte("new"), nil) }, true},
		{"an empty database, of whose end clients are told", 1000, func() { w.Select(3); w.Flush() }, true},
		{"nothing", 1000, func() {}, false},
	} {
		s.Now = tc.now
		if changes := s.Read().Try(&w, tc.fn); changes != tc.changes {
			t.Errorf("%s: changes %v", tc.name, changes)
		}
		if s.Hash != hash || s.Rows.Len() != rows {
			t.Fatalf("%s was changed", tc.name)
		}
	}
	defer func() {
		if p := recover(); p != "mine" {
			t.Errorf("a panic of the function's own became %v", p)
		}
	}()
	s.Read().Try(&w, func() { panic("mine") })
}

package keyspace_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// disordered are rows of which much was written just now.
type disordered struct{ storage.Reader }

func (disordered) AscendSoon(_, _ []byte, _ func(key, value []byte) bool) bool  { return false }
func (disordered) DescendSoon(_, _ []byte, _ func(key, value []byte) bool) bool { return false }

// A read within its limit is done; one that looks at more is ended where it is,
// however it goes on, and the reader is good for others.
func TestReadsWithinALimit(t *testing.T) {
	var s keyspacetest.State
	if err := s.Write(func(tx *keyspace.Tx) error {
		for i := range 100 {
			if _, err := tx.LPush([]byte("list"), false, [][]byte{fmt.Append(nil, i)}); err != nil {
				return err
			}
		}
		return tx.Set([]byte("large"), bytes.Repeat([]byte("v"), 100<<10))
	}); err != nil {
		t.Fatal(err)
	}
	tx := s.Read()
	walk := func(n int64) func() {
		return func() { _ = tx.LEach([]byte("list"), 0, n, false, func([]byte) bool { return true }) }
	}
	for _, tc := range []struct {
		name string
		rows int
		read func()
		done bool
	}{
		{"few of many", 20, walk(10), true},
		{"just as many", 101, walk(100), true}, // and the row of the key
		{"too many", 99, walk(100), false},
		{"too much", 50, func() { _, _, _ = tx.Get([]byte("large")) }, false},
		{"a search that never ends", 1000, func() {
			for {
				_, _, _ = tx.LIndex([]byte("list"), 7)
			}
		}, false},
	} {
		tx.Forget()
		if done := tx.Within(tc.rows, tc.read); done != tc.done {
			t.Errorf("%s: done %v", tc.name, done)
		}
		if n, err := tx.LLen([]byte("list")); n != 100 || err != nil {
			t.Errorf("after %s the list has %d elements: %v", tc.name, n, err)
		}
	}
	unsorted := keyspace.NewReader(disordered{&s.Rows}, s.Now)
	if !unsorted.Within(20, func() { _, _, _ = unsorted.LIndex([]byte("list"), 7) }) {
		t.Error("who walks nothing waits for order")
	}
	if unsorted.Within(20, func() { _ = unsorted.LEach([]byte("list"), 0, 10, false, func([]byte) bool { return true }) }) {
		t.Error("a walk did not wait for order")
	}
	defer func() {
		if p := recover(); p != "of somebody else" {
			t.Errorf("another panic became %v", p)
		}
	}()
	tx.Within(10, func() { panic("of somebody else") })
}

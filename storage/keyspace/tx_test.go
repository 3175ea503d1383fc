package keyspace_test

import (
	"fmt"
	"testing"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

func b(s string) []byte { return []byte(s) }

// must fails the test if a write or the check after it fails.
func must(t *testing.T, s *keyspacetest.State, fn func(tx *keyspace.Tx) error) {
	t.Helper()
	if err := s.Write(fn); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestAHashThatGrowsAndShrinks(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	for i := range 200 {
		must(t, s, func(tx *keyspace.Tx) error {
			_, err := tx.HSet(b("h"), fmt.Appendf(nil, "f%d", i), fmt.Appendf(nil, "v%d", i))
			return err
		})
		if got, want := s.Read().Inlined(b("h")), i < 64; got != want {
			t.Fatalf("with %d fields: in one row is %v", i+1, got)
		}
	}
	for i := range 200 {
		must(t, s, func(tx *keyspace.Tx) error {
			_, err := tx.HDel(b("h"), fmt.Appendf(nil, "f%d", i))
			return err
		})
		left := 199 - i
		if n, _ := s.Read().HLen(b("h")); n != int64(left) {
			t.Fatalf("%d fields, want %d", n, left)
		}
		if got, want := s.Read().Inlined(b("h")), left > 0 && left <= 16; got != want {
			t.Fatalf("with %d fields left: in one row is %v", left, got)
		}
	}
	s.Rows.Collect()
	if s.Rows.Len() != 0 {
		t.Fatalf("%d rows are left of nothing", s.Rows.Len())
	}
	if s.Hash.Hi != 0 || s.Hash.Lo != 0 {
		t.Fatal("the hash of nothing is not zero")
	}
}

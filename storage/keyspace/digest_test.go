package keyspace_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

func never() error { return nil }

// digests walks a whole table in pieces.
func digests(t interface{ Fatal(...any) }, s *keyspacetest.State, limit int64) (all []keyspace.Extent) {
	var from []byte
	for {
		e, err := keyspace.Digest(&s.Rows, from, limit, never)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
		if e.Next == nil {
			return all
		}
		if e.Rows == 0 {
			t.Fatal("the pieces do not move on")
		}
		from = e.Next
	}
}

// sameDigests: tables that differ by garbage alone have the same pieces.
func sameDigests(t interface{ Fatal(...any) }, a, b *keyspacetest.State, limit int64) {
	left, right := digests(t, a, limit), digests(t, b, limit)
	if !slices.EqualFunc(left, right, func(a, b keyspace.Extent) bool {
		return a.Hash == b.Hash && a.Rows == b.Rows && a.Bytes == b.Bytes && bytes.Equal(a.Next, b.Next)
	}) {
		t.Fatal(fmt.Sprintf("the pieces of equal tables differ:\n%v\n%v", left, right))
	}
}

// digested is a table with objects of several kinds in two databases.
func digested(t *testing.T) *keyspacetest.State {
	s := &keyspacetest.State{Now: 1000}
	for i := range 40 {
		err := s.Write(func(tx *keyspace.Tx) error {
			tx.Select(uint8(i % 2))
			key := fmt.Appendf(nil, "key%d", i)
			members := make([][]byte, 90) // rows of their own
			for m := range members {
				members[m] = fmt.Appendf(nil, "m%d", m)
			}
			if i%3 == 0 {
				tx.Set(key, []byte("text"))
				tx.SetExpire(key, 5000)
				return nil
			}
			if i%3 == 1 {
				for _, m := range members {
					if _, err := tx.HSet(key, m, []byte("value")); err != nil {
						return err
					}
				}
				return nil
			}
			_, err := tx.SAddAll(key, members)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Whichever row changes or is lost, some piece shows it.
func TestEveryRowIsInSomeDigest(t *testing.T) {
	s := digested(t)
	before := digests(t, s, 5000)
	same := func() bool {
		return slices.EqualFunc(before, digests(t, s, 5000), func(a, b keyspace.Extent) bool { return a.Hash == b.Hash })
	}
	type row struct{ k, v []byte }
	var rows []row
	s.Rows.Ascend(nil, nil, func(k, v []byte) bool { rows = append(rows, row{k, bytes.Clone(v)}); return true })
	count := 0
	for _, e := range before {
		count += e.Rows
	}
	if count != len(rows) {
		t.Fatalf("%d of %d rows are in a digest", count, len(rows))
	}
	for i, r := range rows {
		if (r.k[0] == 'e' || r.k[0] == 'h') && i%20 != 0 {
			continue
		}
		s.Rows.Set(r.k, append(bytes.Clone(r.v), 'x'))
		if same() {
			t.Fatalf("row %q was changed and the digests are the same", r.k)
		}
		s.Rows.Delete(r.k)
		if same() {
			t.Fatalf("row %q was lost and the digests are the same", r.k)
		}
		s.Rows.Set(r.k, r.v)
	}
	if !same() {
		t.Fatal("the rows are as before and the digests are not")
	}
}

// Deleted objects and flushed databases leave rows behind, which each node
// removes when it comes to it.
func TestGarbageIsInNoDigest(t *testing.T) {
	a, b := digested(t), digested(t)
	for _, s := range []*keyspacetest.State{a, b} {
		err := s.Write(func(tx *keyspace.Tx) error {
			for i := range 10 {
				tx.Delete(fmt.Appendf(nil, "key%d", 2*i))
			}
			tx.Select(1)
			tx.Flush()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b.Rows.Collect()
	if a.Rows.Len() == b.Rows.Len() {
		t.Fatal("there is no garbage")
	}
	for _, limit := range []int64{1, 500, 1 << 30} {
		sameDigests(t, a, b, limit)
	}
}

// A piece begins in the middle of an object that is gone, or another one, when
// it is read.
func TestDigestGoesOnWhereAnObjectWas(t *testing.T) {
	s := digested(t)
	e, err := keyspace.Digest(&s.Rows, nil, 3000, never)
	if err != nil || e.Next == nil {
		t.Fatal(e, err)
	}
	whole := digests(t, s, 1<<30)[0].Rows
	for range 3 {
		rest, err := keyspace.Digest(&s.Rows, e.Next, 1<<30, never)
		if err != nil || rest.Rows == 0 || rest.Rows >= whole {
			t.Fatalf("%d rows of %d, %v", rest.Rows, whole, err)
		}
		if err := s.Write(func(tx *keyspace.Tx) error {
			for i := range 40 {
				tx.Select(uint8(i % 2))
				tx.Delete(fmt.Appendf(nil, "key%d", i))
				if i%2 == 0 {
					tx.Set(fmt.Appendf(nil, "key%d", i), []byte("again"))
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		whole = digests(t, s, 1<<30)[0].Rows + 1
	}
	for _, bad := range [][]byte{{1}, {0, 9, 'm'}} {
		if _, err := keyspace.Digest(&s.Rows, bad, 10, never); err == nil {
			t.Errorf("a digest began at %x", bad)
		}
	}
}

func TestDigestEndsWhenToldTo(t *testing.T) {
	s := digested(t)
	enough := errors.New("enough")
	calls := 0
	_, err := keyspace.Digest(&s.Rows, nil, 1<<30, func() error {
		if calls++; calls == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || calls != 3 {
		t.Fatalf("error %v after %d calls", err, calls)
	}
}

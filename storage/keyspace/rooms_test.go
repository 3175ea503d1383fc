package keyspace_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// fill puts small, large and expiring keys into a database.
func fill(tx *keyspace.Tx, db uint8, n int) error {
	tx.Select(db)
	for i := range n {
		k := fmt.Appendf(nil, "key:%d", i)
		members := make([][]byte, 1+i%90)
		for j := range members {
			members[j] = fmt.Appendf(nil, "m%d", j)
		}
		if _, err := tx.SAddAll(k, members); err != nil {
			return err
		}
		if i%3 == 0 {
			tx.SetExpire(k, 5000+int64(i))
		}
	}
	return nil
}

func count(s *keyspacetest.State, db uint8) int64 {
	tx := s.Read()
	tx.Select(db)
	n, _ := tx.KeyCount()
	return n
}

// counted counts what is written.
type counted struct {
	*keyspacetest.Rows
	writes int
}

func (c *counted) Set(k, v []byte) { c.writes++; c.Rows.Set(k, v) }
func (c *counted) Delete(k []byte) { c.writes++; c.Rows.Delete(k) }

var _ storage.Writer = (*counted)(nil)

func TestFlushAndSwapTakeTheSameTimeForAnyNumberOfKeys(t *testing.T) {
	for _, keys := range []int{1, 500} {
		s := &keyspacetest.State{Now: 1000}
		must(t, s, func(tx *keyspace.Tx) error { return fill(tx, 3, keys) })
		must(t, s, func(tx *keyspace.Tx) error { return fill(tx, 4, keys) })
		s.Index++
		c := &counted{Rows: &s.Rows}
		tx := keyspace.NewWriter(c, s.Now, s.Index, &s.Hash)
		tx.SwapDB(3, 5)
		if c.writes != 0 {
			t.Errorf("%d keys: a swap writes %d rows", keys, c.writes)
		}
		tx.Select(4)
		tx.Flush()
		if c.writes != 1 {
			t.Errorf("%d keys: a flush writes %d rows", keys, c.writes)
		}
		if n := [3]int64{count(s, 3), count(s, 4), count(s, 5)}; n != [3]int64{0, 0, int64(keys)} {
			t.Errorf("databases 3, 4 and 5 have %d keys", n)
		}
		if err := s.Verify(); err != nil {
			t.Error(err)
		}
	}
}

func TestTheDomainsKeysStayWhereTheyAre(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	must(t, s, func(tx *keyspace.Tx) error {
		for _, k := range []string{"visitor:1", "a", "agent", "agent:", "agent;", "zz", "chat:1", "secret:x", "site:shop"} {
			if err := tx.Set(b(k), b("v")); err != nil {
				return err
			}
		}
		tx.SetExpire(b("secret:x"), 2000)
		return nil
	})
	names := func(db uint8) (all []string) {
		tx := s.Read()
		tx.Select(db)
		tx.EachKey(nil, func(key []byte, _ keyspace.Type) bool { all = append(all, string(key)); return true })
		return all
	}
	if got := names(0); !slices.IsSorted(got) || len(got) != 9 {
		t.Fatalf("the keys are %q, want 9 in order", got)
	}
	must(t, s, func(tx *keyspace.Tx) error { tx.SwapDB(2, 0); return nil })
	want := []string{"agent:", "chat:1", "secret:x", "site:shop", "visitor:1"}
	if got := names(0); !slices.Equal(got, want) {
		t.Fatalf("after the swap the keys are %q, want %q", got, want)
	}
	if got := names(2); !slices.Equal(got, []string{"a", "agent", "agent;", "zz"}) {
		t.Fatalf("what was swapped is %q", got)
	}
	must(t, s, func(tx *keyspace.Tx) error { tx.Flush(); return tx.Set(b("mine"), b("v")) })
	must(t, s, func(tx *keyspace.Tx) error { tx.Flush(); return nil })
	if got := names(0); !slices.Equal(got, want) {
		t.Fatalf("after a flush the keys are %q, want %q", got, want)
	}
	s.Now = 2000
	must(t, s, func(tx *keyspace.Tx) error { tx.Sweep(10); return nil })
	if n := count(s, 0); n != 4 {
		t.Fatalf("%d keys after the sweep, want 4", n)
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

// A watched key that another one took the place of has changed, even if both
// were written by the same entry.
func TestASwapIsAChangeOfItsKeys(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	must(t, s, func(tx *keyspace.Tx) error {
		for db := range uint8(2) {
			tx.Select(db)
			if err := tx.Set(b("k"), []byte{db}); err != nil {
				return err
			}
		}
		return nil
	})
	before := s.Read().Revision(b("k"))
	must(t, s, func(tx *keyspace.Tx) error { tx.SwapDB(0, 1); return nil })
	if now := s.Read().Revision(b("k")); now == before || now == 0 {
		t.Fatalf("the revision was %d and is %d", before, now)
	}
}

func TestAFlushThatIsTakenBackLeavesNoTrace(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	must(t, s, func(tx *keyspace.Tx) error { return fill(tx, 0, 50) })
	rows, hash := s.Rows.Len(), s.Hash
	failed := fmt.Errorf("no")
	if err := s.Write(func(tx *keyspace.Tx) error {
		tx.Flush()
		tx.SwapDB(0, 1)
		if err := tx.Set(b("new"), b("v")); err != nil {
			return err
		}
		return failed
	}); err != failed {
		t.Fatal(err)
	}
	if s.Rows.Len() != rows || s.Hash != hash || count(s, 0) != 50 {
		t.Fatal("something is left of it")
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

// Any sequence of flushes, swaps and moves is that of a map of maps, also when
// rooms got numbers of more than a byte.
func TestDatabasesAgreeWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &keyspacetest.State{Now: 1000}
		model := make([]map[string]string, 3)
		for i := range model {
			model[i] = map[string]string{}
		}
		for range rapid.SampledFrom([]int{0, 0, 250}).Draw(t, "flushes before") {
			must2(t, s, func(tx *keyspace.Tx) error { err := tx.Set(b("x"), b("v")); tx.Flush(); return err })
		}
		steps := rapid.IntRange(1, 40).Draw(t, "steps")
		for i := range steps {
			db := uint8(rapid.IntRange(0, 2).Draw(t, "db"))
			to := uint8(rapid.IntRange(0, 2).Draw(t, "to"))
			key := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "key")
			op := rapid.IntRange(0, 9).Draw(t, "op")
			must2(t, s, func(tx *keyspace.Tx) error {
				tx.Select(db)
				switch op {
				case 0:
					tx.Flush()
					clear(model[db])
				case 1, 2:
					tx.SwapDB(db, to)
					model[db], model[to] = model[to], model[db]
				case 3:
					_, there := model[to][key]
					v, had := model[db][key]
					if tx.Move(b(key), to) {
						if !had || there || db == to {
							t.Fatalf("moved %q from %d to %d", key, db, to)
						}
						model[to][key] = v
						delete(model[db], key)
					}
				case 4:
					tx.Delete(b(key))
					delete(model[db], key)
				case 5:
					s.Rows.Collect()
				default:
					v := fmt.Sprint(i)
					model[db][key] = v
					return tx.Set(b(key), b(v))
				}
				return nil
			})
		}
		for db, want := range model {
			tx := s.Read()
			tx.Select(uint8(db))
			got := map[string]string{}
			for next, more := uint64(0), true; more; more = next != 0 {
				next = tx.Scan(next, 1, func(key []byte, _ keyspace.Type) {
					v, _, _ := tx.Get(key)
					got[string(key)] = string(v)
				})
			}
			if !maps.Equal(got, want) {
				t.Fatalf("database %d has %v, want %v", db, got, want)
			}
		}
		if err := s.Verify(); err != nil {
			t.Fatal(err)
		}
		for db := range uint8(3) {
			must2(t, s, func(tx *keyspace.Tx) error { tx.Select(db); tx.Flush(); return nil })
		}
		s.Rows.Collect()
		if n := s.Rows.Len(); n != 0 {
			t.Fatalf("%d rows are left of nothing", n)
		}
	})
}

func must2(t *rapid.T, s *keyspacetest.State, fn func(tx *keyspace.Tx) error) {
	if err := s.Write(fn); err != nil {
		t.Fatal(err)
	}
}

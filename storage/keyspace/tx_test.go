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

func TestAKeyWhoseTimeHasComeDoesNotExist(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	many := make([][]byte, 200)
	for i := range many {
		many[i] = fmt.Appendf(nil, "member %d", i)
	}
	must(t, s, func(tx *keyspace.Tx) error {
		if _, err := tx.SAddAll(b("session"), many); err != nil {
			return err
		}
		tx.SetExpire(b("session"), 2000)
		return tx.Set(b("other"), b("v"))
	})
	s.Now = 1999
	if s.Read().Type(b("session")) != keyspace.Set {
		t.Fatal("gone before its time")
	}
	s.Now = 2000
	tx := s.Read()
	if tx.Type(b("session")) != keyspace.None || tx.Revision(b("session")) != 0 {
		t.Fatal("still there at its time")
	}
	if keys, expires := tx.KeyCount(); keys != 1 || expires != 0 {
		t.Fatalf("%d keys, %d expire; want 1 and 0", keys, expires)
	}
	if ms, ok := tx.NextExpiry(); !ok || ms != 2000 {
		t.Fatalf("next to expire at %d, %v", ms, ok)
	}
	// A write starts afresh, as another type too.
	must(t, s, func(tx *keyspace.Tx) error { _, err := tx.HSet(b("session"), b("f"), b("v")); return err })
	if _, ok := s.Read().ExpireAt(b("session")); ok {
		t.Fatal("the new key took over the old one's expiry")
	}
	s.Rows.Collect()
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestSweepTakesTheOldestFirstAndNoMoreThanAsked(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	must(t, s, func(tx *keyspace.Tx) error {
		for i := range 10 {
			tx.Select(uint8(i % 3))
			if err := tx.SetEx(fmt.Appendf(nil, "k%d", i), b("v"), int64(1100+i)); err != nil {
				return err
			}
		}
		return nil
	})
	s.Now = 1105
	var removed []int
	for range 3 {
		must(t, s, func(tx *keyspace.Tx) error { removed = append(removed, tx.Sweep(4)); return nil })
	}
	if fmt.Sprint(removed) != "[4 2 0]" {
		t.Fatalf("swept %v, want [4 2 0]", removed)
	}
	if ms, _ := s.Read().NextExpiry(); ms != 1106 {
		t.Fatalf("next to expire at %d, want 1106", ms)
	}
}

func TestARolledBackCommandLeavesNoTrace(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	must(t, s, func(tx *keyspace.Tx) error { _, err := tx.HSet(b("h"), b("f"), b("v")); return err })
	before := s.Hash
	err := s.Write(func(tx *keyspace.Tx) error {
		if _, err := tx.HSet(b("h"), b("f"), b("other")); err != nil {
			return err
		}
		if err := tx.Set(b("new"), b("v")); err != nil {
			return err
		}
		_, err := tx.SAdd(b("h"), b("m"))
		return err
	})
	if err != keyspace.ErrWrongType {
		t.Fatalf("answered %v", err)
	}
	if s.Hash != before || s.Verify() != nil || s.Read().Type(b("new")) != keyspace.None {
		t.Fatal("something of the failed command is left")
	}
}

func TestAfterAResetTheTxKnowsOnlyTheRows(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	tx := keyspace.NewWriter(&s.Rows, s.Now, 1, &s.Hash)
	s.Rows.Mark()
	for i := range 100 {
		if _, err := tx.SAdd(b("s"), fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	s.Rows.Rollback()
	s.Hash.Hi, s.Hash.Lo = 0, 0
	tx.Reset()
	if n, _ := tx.SLen(b("s")); n != 0 {
		t.Fatalf("%d members of a set that was rolled back", n)
	}
	if _, err := tx.SAdd(b("s"), b("m")); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestDatabasesAreApart(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	must(t, s, func(tx *keyspace.Tx) error {
		for db := range uint8(keyspace.Databases) {
			tx.Select(db)
			if err := tx.Set(b("k"), []byte{db}); err != nil {
				return err
			}
		}
		return nil
	})
	tx := s.Read()
	for db := range uint8(keyspace.Databases) {
		tx.Select(db)
		if v, _, _ := tx.Get(b("k")); len(v) != 1 || v[0] != db {
			t.Fatalf("database %d has %v", db, v)
		}
		if n, _ := tx.KeyCount(); n != 1 {
			t.Fatalf("database %d has %d keys", db, n)
		}
	}
}

func TestLimits(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	long := make([]byte, keyspace.MaxKey+1)
	wide := make([]byte, keyspace.MaxElement+1)
	huge := make([]byte, keyspace.MaxValue+1)
	for name, c := range map[string]struct {
		want error
		run  func(tx *keyspace.Tx) error
	}{
		"key":             {keyspace.ErrKeyTooLong, func(tx *keyspace.Tx) error { return tx.Set(long, nil) }},
		"key of a hash":   {keyspace.ErrKeyTooLong, func(tx *keyspace.Tx) error { _, err := tx.HSet(long, b("f"), nil); return err }},
		"string":          {keyspace.ErrValueTooLarge, func(tx *keyspace.Tx) error { return tx.Set(b("k"), huge) }},
		"field":           {keyspace.ErrElementTooLong, func(tx *keyspace.Tx) error { _, err := tx.HSet(b("k"), wide, nil); return err }},
		"value":           {keyspace.ErrValueTooLarge, func(tx *keyspace.Tx) error { _, err := tx.HSet(b("k"), b("f"), huge); return err }},
		"member":          {keyspace.ErrElementTooLong, func(tx *keyspace.Tx) error { _, err := tx.SAdd(b("k"), wide); return err }},
		"scored member":   {keyspace.ErrElementTooLong, func(tx *keyspace.Tx) error { _, err := tx.ZAdd(b("k"), wide, 1); return err }},
		"entry":           {keyspace.ErrValueTooLarge, func(tx *keyspace.Tx) error { return tx.XAdd(b("k"), keyspace.StreamID{Ms: 1}, [][]byte{b("f"), huge}) }},
		"new name":        {keyspace.ErrKeyTooLong, func(tx *keyspace.Tx) error { return tx.Rename(b("k"), long) }},
		"score":           {keyspace.ErrNotANumber, func(tx *keyspace.Tx) error { _, err := tx.ZAdd(b("k"), b("m"), nan()); return err }},
		"largest allowed": {nil, func(tx *keyspace.Tx) error { return tx.Set(long[1:], huge[1:]) }},
	} {
		if err := s.Write(c.run); err != c.want {
			t.Errorf("%s: answered %v, want %v", name, err, c.want)
		}
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

func nan() float64 { zero := 0.0; return zero / zero }

func TestAReaderCannotWrite(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	defer func() {
		if recover() == nil {
			t.Fatal("a read-only Tx took a write")
		}
	}()
	_ = s.Read().Set(b("k"), b("v"))
}

// A walk in steps sees each key that was there all the time, and once, however
// the keys change meanwhile.
// A reader that runs one command after the other sees of each key what a new
// reader sees, and what it has answered stays as it was.
func TestAReaderForgetsWhatItHasRead(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	must(t, s, func(tx *keyspace.Tx) error {
		_, err := tx.HSet(b("hash"), b("f"), b("v"))
		if err == nil {
			_, err = tx.SAdd(b("set"), b("m"))
		}
		if err == nil {
			err = tx.SetEx(b("short"), b("lived"), 2000)
		}
		if err == nil {
			err = tx.Set(b("long"), b("for ever"))
		}
		return err
	})
	look := func(tx *keyspace.Tx, key string) string {
		value, ok, err := tx.Get(b(key))
		fields, _ := tx.HLen(b(key))
		expire, there := tx.ExpireAt(b(key))
		return fmt.Sprintf("%q %v %v; %v fields; dies at %v, %v", value, ok, err, fields, expire, there)
	}
	reader := s.Read()
	first, _, err := reader.Get(b("short"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"hash", "short", "long", "nothing", "set", "long", "short", "hash"} {
		reader.Forget()
		if got, want := look(reader, key), look(s.Read(), key); got != want {
			t.Errorf("%s is %s to a reader that has read others, not %s", key, got, want)
		}
	}
	if string(first) != "lived" {
		t.Errorf("what was answered has become %q", first)
	}
}

func TestAScanThatOthersWriteInto(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	for i := range 500 {
		if err := s.Write(func(tx *keyspace.Tx) error { return tx.Set(fmt.Appendf(nil, "stay:%d", i), b("v")) }); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	cursor, steps := uint64(0), 0
	for {
		cursor = s.Read().Scan(cursor, 10, func(key []byte, _ keyspace.Type) { seen[string(key)]++ })
		steps++
		if cursor == 0 {
			break
		}
		if cursor >= 1<<53 {
			t.Fatalf("cursor %d does not fit the numbers of every client", cursor)
		}
		if err := s.Write(func(tx *keyspace.Tx) error {
			for i := range 20 {
				tx.Delete(fmt.Appendf(nil, "go:%d:%d", steps-1, i))
				if err := tx.Set(fmt.Appendf(nil, "go:%d:%d", steps, i), b("v")); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 {
		if n := seen[fmt.Sprintf("stay:%d", i)]; n != 1 {
			t.Fatalf("key %d was seen %d times", i, n)
		}
	}
	if steps < 50 {
		t.Fatalf("500 keys in %d steps of 10", steps)
	}
}

func TestTouchedNamesTheStreams(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	must(t, s, func(tx *keyspace.Tx) error {
		for i := range 3 {
			if err := tx.XAdd(b("events"), keyspace.StreamID{Ms: uint64(i + 1)}, [][]byte{b("f"), b("v")}); err != nil {
				return err
			}
		}
		if err := tx.Set(b("string"), b("v")); err != nil {
			return err
		}
		if got := fmt.Sprint(tx.Touched()); got != "[events]" {
			t.Errorf("touched %v", got)
		}
		if err := tx.Rename(b("events"), b("log")); err != nil {
			return err
		}
		if got := fmt.Sprint(tx.Touched()); got != "[events log]" {
			t.Errorf("touched %v after a rename", got)
		}
		if got := tx.Touched(); got != nil {
			t.Errorf("touched %v a second time", got)
		}
		return nil
	})
}

// Verify must see whatever row is changed, lost or added behind its back.
func TestVerifySeesDamage(t *testing.T) {
	build := func() *keyspacetest.State {
		s := &keyspacetest.State{Now: 1000}
		must(t, s, func(tx *keyspace.Tx) error {
			for i := range 70 {
				e := fmt.Appendf(nil, "%d", i)
				if _, err := tx.HSet(b("h"), e, e); err != nil {
					return err
				}
				if _, err := tx.SAdd(b("s"), e); err != nil {
					return err
				}
				if _, err := tx.ZAdd(b("z"), e, float64(i)); err != nil {
					return err
				}
				if err := tx.XAdd(b("x"), keyspace.StreamID{Ms: uint64(i + 1)}, [][]byte{e, e}); err != nil {
					return err
				}
			}
			if _, err := tx.XGroupCreate(b("x"), b("g"), keyspace.StreamID{}, 0); err != nil {
				return err
			}
			g, err := tx.XGroup(b("x"), b("g"))
			if err != nil {
				return err
			}
			if _, err := g.Join(b("c")); err != nil {
				return err
			}
			g.Give(keyspace.Pending{ID: keyspace.StreamID{Ms: 1}, Consumer: b("c"), Count: 1})
			g.Close()
			if err := tx.Set(b("small"), b("v")); err != nil {
				return err
			}
			tx.SetExpire(b("small"), 5000)
			return nil
		})
		return s
	}
	var rows [][]byte
	s := build()
	s.Rows.Ascend(nil, nil, func(k, _ []byte) bool {
		rows = append(rows, append([]byte{}, k...))
		return true
	})
	for i, row := range rows {
		if i%7 != 0 && row[0] != 'm' && row[0] != 'x' && row[0] != 'n' {
			continue // one of many alike
		}
		s := build()
		s.Rows.Delete(row)
		if s.Verify() == nil {
			t.Errorf("row %q is lost and Verify sees nothing", row)
		}
		v, _ := build().Rows.Get(row)
		if len(v) == 0 {
			continue
		}
		changed := append([]byte{}, v...)
		changed[len(changed)-1] ^= 1
		s = build()
		s.Rows.Set(row, changed)
		if s.Verify() == nil {
			t.Errorf("row %q is changed and Verify sees nothing", row)
		}
	}
	for _, row := range []string{"h\x00\x00\x00\x00\x00\x00\x00\x01place!f", "k\x00place!absent", "t\x00\x00\x00\x00\x00\x00\x00\x01\x00absent"} {
		s := build()
		s.Rows.Set(b(row), nil)
		if s.Verify() == nil {
			t.Errorf("row %q is too many and Verify sees nothing", row)
		}
	}
}

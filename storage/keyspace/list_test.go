package keyspace_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// listElement draws elements: few different ones, now and then a long one.
var listElement = rapid.Custom(func(t *rapid.T) string {
	n := rapid.IntRange(0, 9).Draw(t, "n")
	if n == 9 && rapid.Bool().Draw(t, "long") {
		return string(bytes.Repeat([]byte("x"), 700))
	}
	return fmt.Sprint("e", n)
})

// reversed gives a copy from the end.
func reversed(s []string) []string {
	out := slices.Clone(s)
	slices.Reverse(out)
	return out
}

// stepList changes the list and the model in the same way.
func stepList(t *rapid.T, tx *keyspace.Tx, k []byte, l []string) ([]string, error) {
	left := rapid.Bool().Draw(t, "left")
	at := rapid.IntRange(0, max(len(l)-1, 0)).Draw(t, "at")
	switch op := rapid.IntRange(0, 7).Draw(t, "op"); op {
	case 0, 1, 2:
		more := rapid.SliceOfN(listElement, 1, 50).Draw(t, "elements")
		n, err := tx.LPush(k, left, raw(more))
		if left {
			l = append(reversed(more), l...)
		} else {
			l = append(l, more...)
		}
		if int(n) != len(l) {
			t.Fatalf("pushed to %d elements, want %d", n, len(l))
		}
		return l, err
	case 3:
		n := rapid.IntRange(0, 60).Draw(t, "n")
		got, _, err := tx.LPop(k, left, int64(n))
		n = min(n, len(l))
		want := l[:n]
		if left {
			l = l[n:]
		} else {
			want, l = reversed(l[len(l)-n:]), l[:len(l)-n]
		}
		if !slices.EqualFunc(got, want, func(a []byte, b string) bool { return string(a) == b }) {
			t.Fatalf("popped %q, want %q", got, want)
		}
		return l, err
	case 4:
		v := listElement.Draw(t, "v")
		err := tx.LSet(k, int64(at), []byte(v))
		if len(l) == 0 {
			if err != keyspace.ErrNoSuchKey {
				t.Fatalf("set an element of nothing: %v", err)
			}
			return l, nil
		}
		l = slices.Clone(l)
		l[at] = v
		return l, err
	case 5:
		v, pivot := listElement.Draw(t, "v"), listElement.Draw(t, "pivot")
		n, err := tx.LInsert(k, left, []byte(pivot), []byte(v))
		i := slices.Index(l, pivot)
		want := -1
		if len(l) == 0 {
			want = 0
		}
		if i >= 0 {
			if left {
				i++
			}
			l = slices.Insert(slices.Clone(l), i, v)
			want = len(l)
		}
		if int(n) != want {
			t.Fatalf("inserted to %d, want %d", n, want)
		}
		return l, err
	case 6:
		v, limit := listElement.Draw(t, "v"), rapid.IntRange(0, 3).Draw(t, "limit")
		n, err := tx.LRem(k, []byte(v), int64(limit), left)
		if left {
			l = reversed(l)
		}
		var out []string
		for i, e := range l {
			if e == v && (limit == 0 || i-len(out) < limit) {
				continue
			}
			out = append(out, e)
		}
		if int(n) != len(l)-len(out) {
			t.Fatalf("removed %d, want %d", n, len(l)-len(out))
		}
		if left {
			out = reversed(out)
		}
		return out, err
	default:
		n := rapid.IntRange(0, len(l)-at).Draw(t, "n")
		return slices.Clone(l[at : at+n]), tx.LTrim(k, int64(at), int64(n))
	}
}

func TestAnyListAgreesWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &keyspacetest.State{Now: 1000}
		k := []byte("l")
		var l []string
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if err := s.Write(func(tx *keyspace.Tx) (err error) { l, err = stepList(t, tx, k, l); return err }); err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(); err != nil {
				t.Fatal(err)
			}
			tx := s.Read()
			got := []string{}
			if err := tx.LEach(k, 0, 1<<40, false, func(e []byte) bool { got = append(got, string(e)); return true }); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, l) {
				t.Fatalf("the list is\n%q, want\n%q", got, l)
			}
			if len(l) > 0 {
				i := rapid.IntRange(0, len(l)-1).Draw(t, "index")
				if e, ok, err := tx.LIndex(k, int64(i-len(l))); !ok || err != nil || string(e) != l[i] {
					t.Fatalf("element %d is %q, want %q", i, e, l[i])
				}
			}
			if rapid.Bool().Draw(t, "collect") {
				s.Rows.Collect()
			}
		}
	})
}

// A queue of any length works at its ends in a row or two.
func TestTheEndsOfALongListAreNear(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	many := make([][]byte, 5000)
	for i := range many {
		many[i] = fmt.Appendf(nil, "job %d", i)
	}
	must(t, s, func(tx *keyspace.Tx) error { _, err := tx.LPush(b("q"), false, many); return err })
	rows := s.Rows.Len()
	counter := &countingRows{Rows: &s.Rows}
	tx := keyspace.NewWriter(counter, s.Now, 100, &s.Hash)
	for i := range 10 {
		if _, err := tx.LPush(b("q"), true, [][]byte{b("urgent")}); err != nil {
			t.Fatal(err)
		}
		got, _, err := tx.LPop(b("q"), false, 1)
		if err != nil || string(got[0]) != fmt.Sprintf("job %d", 4999-i) {
			t.Fatalf("took %q: %v", got, err)
		}
	}
	if counter.reads+counter.writes > 10*8 {
		t.Fatalf("ten jobs cost %d reads and %d writes", counter.reads, counter.writes)
	}
	// Whatever is left of a trim, it costs what is left.
	counter.reads, counter.writes = 0, 0
	if err := tx.LTrim(b("q"), 0, 20); err != nil {
		t.Fatal(err)
	}
	if counter.reads+counter.writes > 60 {
		t.Fatalf("a trim to 20 of %d cost %d reads and %d writes", rows, counter.reads, counter.writes)
	}
	s.Rows.Collect()
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

// countingRows counts the rows that are touched.
type countingRows struct {
	*keyspacetest.Rows
	reads, writes int
}

func (c *countingRows) Get(key []byte) ([]byte, bool) { c.reads++; return c.Rows.Get(key) }
func (c *countingRows) Set(key, value []byte)         { c.writes++; c.Rows.Set(key, value) }
func (c *countingRows) Delete(key []byte)             { c.writes++; c.Rows.Delete(key) }
func (c *countingRows) Ascend(from, to []byte, fn func(k, v []byte) bool) {
	c.Rows.Ascend(from, to, func(k, v []byte) bool { c.reads++; return fn(k, v) })
}
func (c *countingRows) Descend(from, to []byte, fn func(k, v []byte) bool) {
	c.Rows.Descend(from, to, func(k, v []byte) bool { c.reads++; return fn(k, v) })
}

func TestWhoWaitsIsTold(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	for _, step := range []struct {
		what string
		do   func(tx *keyspace.Tx) error
		want []string
	}{
		{"a push", func(tx *keyspace.Tx) error { _, err := tx.LPush(b("l"), true, [][]byte{b("e")}); return err }, []string{"l"}},
		{"a new member", func(tx *keyspace.Tx) error { _, err := tx.ZAdd(b("z"), b("m"), 1); return err }, []string{"z"}},
		{"a new score", func(tx *keyspace.Tx) error { _, err := tx.ZAdd(b("z"), b("m"), 2); return err }, nil},
		{"a new name", func(tx *keyspace.Tx) error { return tx.Rename(b("l"), b("k")) }, []string{"k"}},
		{"a copy", func(tx *keyspace.Tx) error { return tx.Copy(b("z"), 0, b("y")) }, []string{"y"}},
		{"a pop", func(tx *keyspace.Tx) error { _, _, err := tx.LPop(b("k"), true, 1); return err }, nil},
	} {
		var got []string
		must(t, s, func(tx *keyspace.Tx) error {
			defer func() { got = tx.Touched() }()
			return step.do(tx)
		})
		if !slices.Equal(got, step.want) {
			t.Errorf("%s touches %q, want %q", step.what, got, step.want)
		}
	}
}

package keyspace_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// timed is a field as the model has it.
type timed struct {
	value string
	at    int64
}

// hashes is a state with hashes whose fields expire, and what ought to be.
type hashes struct {
	state keyspacetest.State
	keys  map[string]map[string]timed
	ends  map[string]int64 // when a key expires
}

func (h *hashes) pass(ms int64) {
	h.state.Now += ms
	for key, fields := range h.keys {
		for f, v := range fields {
			if v.at != 0 && v.at <= h.state.Now {
				delete(fields, f)
			}
		}
		if at := h.ends[key]; at != 0 && at <= h.state.Now {
			clear(fields)
		}
		h.tidy(key)
	}
}

func (h *hashes) tidy(key string) {
	if len(h.keys[key]) == 0 {
		delete(h.keys, key)
		delete(h.ends, key)
	}
}

func (h *hashes) step(t *rapid.T) {
	key := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
	names := rapid.SliceOfN(rapid.IntRange(0, 120), 1, 40).Draw(t, "fields")
	if rapid.IntRange(0, 2).Draw(t, "few") > 0 {
		names = names[:min(len(names), 3)]
	}
	at := h.state.Now + int64(rapid.IntRange(-1, 30).Draw(t, "ttl"))
	fields, pairs := make([][]byte, len(names)), make([][]byte, 0, 2*len(names))
	value := fmt.Sprint("v", rapid.IntRange(0, 9).Draw(t, "value"))
	for i, n := range names {
		fields[i] = fmt.Appendf(nil, "field %d", n)
		pairs = append(pairs, fields[i], b(value))
	}
	want := h.keys[key]
	if want == nil {
		want = map[string]timed{}
	}
	isNew := int64(0)
	for i, f := range fields {
		known := false
		for _, g := range fields[:i] {
			known = known || string(g) == string(f)
		}
		if _, had := want[string(f)]; !had && !known {
			isNew++
		}
	}
	write := func(fn func(tx *keyspace.Tx) error) {
		if err := h.state.Write(fn); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(got, want int64, what string) {
		if got != want {
			t.Fatalf("%s: %d, want %d", what, got, want)
		}
	}
	put := func(at func(timed) int64) {
		for _, f := range fields {
			want[string(f)] = timed{value, at(want[string(f)])}
		}
		h.keys[key] = want
	}
	switch rapid.IntRange(0, 11).Draw(t, "op") {
	case 0, 1:
		write(func(tx *keyspace.Tx) error {
			n, err := tx.HSetAll(b(key), pairs)
			expect(n, isNew, "new fields")
			return err
		})
		put(func(timed) int64 { return 0 })
	case 2:
		write(func(tx *keyspace.Tx) error {
			n, err := tx.HSetKeepTTL(b(key), pairs)
			expect(n, isNew, "new fields")
			return err
		})
		put(func(v timed) int64 { return v.at })
	case 3, 4:
		write(func(tx *keyspace.Tx) error { return tx.HSetEx(b(key), pairs, at) })
		put(func(timed) int64 { return at })
		h.pass(0)
	case 5, 6:
		to := at
		if rapid.IntRange(0, 3).Draw(t, "persist") == 0 {
			to = 0
		}
		write(func(tx *keyspace.Tx) error {
			_, err := tx.HExpire(b(key), fields, func(present int64) (int64, bool) { return to, true })
			return err
		})
		for _, f := range fields {
			if v, had := want[string(f)]; had {
				want[string(f)] = timed{v.value, to}
			}
		}
		h.pass(0)
	case 7, 8:
		gone := int64(0)
		for _, f := range fields {
			if _, had := want[string(f)]; had {
				gone++
				delete(want, string(f))
			}
		}
		h.tidy(key)
		write(func(tx *keyspace.Tx) error {
			n, err := tx.HDelAll(b(key), fields)
			expect(n, gone, "fields removed")
			return err
		})
	case 9:
		to := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "to")
		keep := rapid.Bool().Draw(t, "copy")
		if h.keys[key] == nil || to == key {
			return
		}
		write(func(tx *keyspace.Tx) error {
			if keep {
				return tx.Copy(b(key), 0, b(to))
			}
			return tx.Rename(b(key), b(to))
		})
		copied := map[string]timed{}
		for f, v := range want {
			copied[f] = v
		}
		h.keys[to], h.ends[to] = copied, h.ends[key]
		if !keep {
			delete(h.keys, key)
			delete(h.ends, key)
		}
	case 10:
		if h.keys[key] != nil {
			write(func(tx *keyspace.Tx) error { tx.SetExpire(b(key), at); return nil })
			h.ends[key] = at
			h.pass(0)
		}
	case 11:
		h.pass(int64(rapid.IntRange(0, 12).Draw(t, "time")))
		if rapid.Bool().Draw(t, "sweep") {
			limit := rapid.IntRange(1, 30).Draw(t, "limit")
			write(func(tx *keyspace.Tx) error { tx.Sweep(limit); return nil })
		}
		if rapid.Bool().Draw(t, "collect") {
			h.state.Rows.Collect()
		}
	}
}

func (h *hashes) check(t *rapid.T) {
	if err := h.state.Verify(); err != nil {
		t.Fatal(err)
	}
	tx := h.state.Read()
	if n, _ := tx.KeyCount(); n != int64(len(h.keys)) {
		t.Fatalf("%d keys, want %d", n, len(h.keys))
	}
	for _, key := range []string{"a", "b", "c"} {
		want := h.keys[key]
		if there := tx.Type(b(key)) == keyspace.Hash; there != (want != nil) {
			t.Fatalf("key %q is there: %v", key, there)
		}
		got, scanned := map[string]timed{}, map[string]timed{}
		read := func(into map[string]timed) func(f, v []byte) {
			return func(f, v []byte) {
				at, ok, _ := tx.HExpireAt(b(key), f)
				x, found, _ := tx.HGet(b(key), f)
				if !ok || !found || string(x) != string(v) {
					t.Fatalf("key %q: field %q is seen and not found", key, f)
				}
				into[string(f)] = timed{string(v), at}
			}
		}
		all := read(got)
		if err := tx.HEach(b(key), func(f, v []byte) bool { all(f, v); return true }); err != nil {
			t.Fatal(err)
		}
		for next, more := uint64(0), true; more; more = next != 0 {
			next, _ = tx.HScan(b(key), next, 5, read(scanned))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(scanned) != fmt.Sprint(want) {
			t.Fatalf("key %q at %d is\n%v, scanned\n%v, want\n%v", key, h.state.Now, got, scanned, want)
		}
		if n, _ := tx.HLen(b(key)); n != int64(len(want)) {
			t.Fatalf("key %q has %d fields, want %d", key, n, len(want))
		}
		if f, _, ok, _ := tx.HRandom(b(key), rand.New(rand.NewPCG(1, uint64(h.state.Now)))); ok {
			if _, there := want[string(f)]; !there {
				t.Fatalf("key %q: the random field %q is not there", key, f)
			}
		} else if want != nil {
			t.Fatalf("key %q has no random field", key)
		}
	}
}

func TestFieldsExpireAsInTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &hashes{keys: map[string]map[string]timed{}, ends: map[string]int64{}, state: keyspacetest.State{Now: 1000}}
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			h.step(t)
			if i%3 == 0 {
				h.check(t)
			}
		}
		h.check(t)
		// When all have expired, sweeps end and leave nothing.
		for _, key := range []string{"a", "b", "c"} {
			key := b(key)
			if err := h.state.Write(func(tx *keyspace.Tx) error {
				var fields [][]byte
				err := tx.HEach(key, func(f, _ []byte) bool { fields = append(fields, f); return true })
				if err == nil {
					_, err = tx.HExpire(key, fields, func(at int64) (int64, bool) { return h.state.Now + 1 + int64(len(fields)%7), at == 0 })
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		h.pass(1000)
		clear(h.keys)
		h.check(t)
		for {
			_, due := h.state.Read().NextExpiry()
			done := 0
			if err := h.state.Write(func(tx *keyspace.Tx) error { done = tx.Sweep(7); return nil }); err != nil {
				t.Fatal(err)
			}
			if due != (done > 0) {
				t.Fatalf("something is due: %v; the sweep did %d", due, done)
			}
			if done == 0 {
				break
			}
		}
		h.state.Rows.Collect()
		if n := h.state.Rows.Len(); n != 0 {
			t.Fatalf("%d rows are left of nothing", n)
		}
	})
}

// Sweeps take fields away some at a time, wherever they are.
func TestSweepsTakeFieldsSomeAtATime(t *testing.T) {
	s := &keyspacetest.State{Now: 1000}
	var pairs [][]byte
	for i := range 300 {
		pairs = append(pairs, fmt.Appendf(nil, "f%d", i), b("v"))
	}
	must(t, s, func(tx *keyspace.Tx) error {
		if err := tx.HSetEx(b("all"), pairs, 2000); err != nil {
			return err
		}
		if err := tx.HSetEx(b("some"), pairs, 2000); err != nil {
			return err
		}
		_, err := tx.HSet(b("some"), b("stays"), b("v"))
		return err
	})
	s.Now = 2000
	tx := s.Read()
	if n, _ := tx.KeyCount(); n != 1 || tx.Type(b("all")) != keyspace.None {
		t.Fatalf("%d keys, want the one with a field that stays", n)
	}
	var sweeps []int
	for {
		n := 0
		must(t, s, func(tx *keyspace.Tx) error { n = tx.Sweep(100); return nil })
		if err := s.Verify(); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		sweeps = append(sweeps, n)
	}
	// The key with nothing left goes at once, and what becomes small is tidied.
	if fmt.Sprint(sweeps) != "[100 100 100]" {
		t.Errorf("the sweeps took %v", sweeps)
	}
	if n, _ := s.Read().HLen(b("some")); n != 1 || !s.Read().Inlined(b("some")) {
		t.Errorf("%d fields are left, want 1, in one row", n)
	}
}

package keyspace_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// value is what a key holds, said as plainly as can be.
type value struct {
	typ    keyspace.Type
	expire int64
	str    string
	hash   map[string]string
	set    map[string]bool
	zset   map[string]float64
	stream []keyspace.StreamID
	last   keyspace.StreamID
}

func (v *value) clone() *value {
	c := *v
	c.hash, c.set, c.zset = map[string]string{}, map[string]bool{}, map[string]float64{}
	for k, x := range v.hash {
		c.hash[k] = x
	}
	for k, x := range v.set {
		c.set[k] = x
	}
	for k, x := range v.zset {
		c.zset[k] = x
	}
	c.stream = slices.Clone(v.stream)
	return &c
}

// world is a state and what it ought to be.
type world struct {
	state keyspacetest.State
	keys  map[string]*value
}

// get gives what the model has at a key for writing.
func (w *world) get(key string, typ keyspace.Type) (*value, error) {
	w.expire()
	v := w.keys[key]
	if v == nil {
		v = &value{typ: typ, hash: map[string]string{}, set: map[string]bool{}, zset: map[string]float64{}}
	}
	if v.typ != typ {
		return nil, keyspace.ErrWrongType
	}
	return v, nil
}

func (w *world) put(key string, v *value) {
	empty := (v.typ == keyspace.Hash && len(v.hash) == 0) || (v.typ == keyspace.Set && len(v.set) == 0) || (v.typ == keyspace.ZSet && len(v.zset) == 0)
	if empty {
		delete(w.keys, key)
		return
	}
	w.keys[key] = v
}

func (w *world) expire() {
	for k, v := range w.keys {
		if v.expire != 0 && v.expire <= w.state.Now {
			delete(w.keys, k)
		}
	}
}

// agree fails if a write's outcome is not the model's.
func agree(t *rapid.T, got, want error) bool {
	if !errors.Is(got, want) {
		t.Fatalf("answered %v, want %v", got, want)
	}
	return want == nil
}

var keyNames = rapid.SampledFrom([]string{"a", "b", "c", "d", "visitor:1", "visitor:2", ""})

// element draws fields and members: few, many, or long.
func element(t *rapid.T) string {
	switch n := rapid.IntRange(0, 99).Draw(t, "element"); {
	case n < 3:
		return string(bytes.Repeat([]byte{byte(n)}, 700))
	default:
		return fmt.Sprint("e", n)
	}
}

func (w *world) step(t *rapid.T) {
	key := keyNames.Draw(t, "key")
	k := []byte(key)
	tx := func(fn func(tx *keyspace.Tx) error) error { return w.state.Write(fn) }
	switch op := rapid.IntRange(0, 15).Draw(t, "op"); op {
	case 0:
		s := rapid.SampledFrom([]string{"", "x", "a longer string"}).Draw(t, "string")
		agree(t, tx(func(tx *keyspace.Tx) error { return tx.Set(k, []byte(s)) }), nil)
		w.keys[key] = &value{typ: keyspace.String, str: s}
	case 1, 2:
		pairs := rapid.SliceOfN(rapid.Custom(element), 1, 40).Draw(t, "fields")
		v, want := w.get(key, keyspace.Hash)
		var raw [][]byte
		for _, f := range pairs {
			raw = append(raw, []byte(f), []byte("v"+f))
		}
		if agree(t, tx(func(tx *keyspace.Tx) error { _, err := tx.HSetAll(k, raw); return err }), want) {
			for _, f := range pairs {
				v.hash[f] = "v" + f
			}
			w.put(key, v)
		}
	case 3, 4:
		members := rapid.SliceOfN(rapid.Custom(element), 1, 40).Draw(t, "members")
		v, want := w.get(key, keyspace.Set)
		if agree(t, tx(func(tx *keyspace.Tx) error { _, err := tx.SAddAll(k, raw(members)); return err }), want) {
			for _, m := range members {
				v.set[m] = true
			}
			w.put(key, v)
		}
	case 5, 6:
		members := rapid.SliceOfN(rapid.Custom(element), 1, 40).Draw(t, "members")
		score := rapid.SampledFrom([]float64{-1, 0, 0.5, 3, 1e9}).Draw(t, "score")
		v, want := w.get(key, keyspace.ZSet)
		scored := make([]keyspace.Scored, len(members))
		for i, m := range members {
			scored[i] = keyspace.Scored{Member: []byte(m), Score: score}
		}
		if agree(t, tx(func(tx *keyspace.Tx) error { _, err := tx.ZAddAll(k, scored); return err }), want) {
			for _, m := range members {
				v.zset[m] = score
			}
			w.put(key, v)
		}
	case 7, 8, 9:
		w.removeSome(t, key, rapid.SliceOfN(rapid.Custom(element), 1, 60).Draw(t, "gone"))
	case 10:
		v, want := w.get(key, keyspace.Stream)
		id := keyspace.StreamID{Ms: uint64(rapid.IntRange(0, 40).Draw(t, "ms"))}
		if want == nil {
			switch {
			case id == keyspace.StreamID{}:
				want = keyspace.ErrStreamIDZero
			case !v.last.Less(id):
				want = keyspace.ErrStreamIDSmall
			}
		}
		if agree(t, tx(func(tx *keyspace.Tx) error { return tx.XAdd(k, id, [][]byte{[]byte("f"), []byte("v")}) }), want) {
			v.stream, v.last = append(v.stream, id), id
			w.put(key, v)
		}
	case 11:
		v, want := w.get(key, keyspace.Stream)
		min := keyspace.StreamID{Ms: uint64(rapid.IntRange(0, 40).Draw(t, "min"))}
		if agree(t, tx(func(tx *keyspace.Tx) error { _, err := tx.XTrimMin(k, min, 0); return err }), want) && len(v.stream) > 0 {
			v.stream = slices.DeleteFunc(v.stream, func(id keyspace.StreamID) bool { return id.Less(min) })
		}
	case 12:
		w.expire()
		agree(t, tx(func(tx *keyspace.Tx) error { tx.Delete(k); return nil }), nil)
		delete(w.keys, key)
	case 13:
		to := keyNames.Draw(t, "to")
		w.move(t, key, to, rapid.Bool().Draw(t, "copy"))
	case 14:
		ms := w.state.Now + int64(rapid.IntRange(-5, 50).Draw(t, "ttl"))
		w.expire()
		agree(t, tx(func(tx *keyspace.Tx) error { tx.SetExpire(k, ms); return nil }), nil)
		if v := w.keys[key]; v != nil {
			v.expire = ms
		}
	case 15:
		w.state.Now += int64(rapid.IntRange(0, 20).Draw(t, "time"))
		if rapid.Bool().Draw(t, "sweep") {
			agree(t, tx(func(tx *keyspace.Tx) error { tx.Sweep(100); return nil }), nil)
		}
		if rapid.Bool().Draw(t, "collect") {
			w.state.Rows.Collect()
		}
	}
}

func raw(items []string) [][]byte {
	out := make([][]byte, len(items))
	for i, s := range items {
		out[i] = []byte(s)
	}
	return out
}

// removeSome removes elements of whatever is at the key.
func (w *world) removeSome(t *rapid.T, key string, gone []string) {
	w.expire()
	v := w.keys[key]
	if v == nil {
		return
	}
	k := []byte(key)
	var ids []keyspace.StreamID
	for i := range gone {
		ids = append(ids, keyspace.StreamID{Ms: uint64(i)})
	}
	err := w.state.Write(func(tx *keyspace.Tx) (err error) {
		switch v.typ {
		case keyspace.Hash:
			_, err = tx.HDelAll(k, raw(gone))
		case keyspace.Set:
			_, err = tx.SRemAll(k, raw(gone))
		case keyspace.ZSet:
			_, err = tx.ZRemAll(k, raw(gone))
		case keyspace.Stream:
			_, err = tx.XDelAll(k, ids)
		}
		return err
	})
	agree(t, err, nil)
	for _, e := range gone {
		delete(v.hash, e)
		delete(v.set, e)
		delete(v.zset, e)
	}
	if v.typ == keyspace.Stream {
		v.stream = slices.DeleteFunc(v.stream, func(id keyspace.StreamID) bool { return slices.Contains(ids, id) })
	}
	w.put(key, v)
}

func (w *world) move(t *rapid.T, from, to string, keep bool) {
	w.expire()
	var want error
	v := w.keys[from]
	if v == nil {
		want = keyspace.ErrNoSuchKey
	}
	err := w.state.Write(func(tx *keyspace.Tx) error {
		if keep {
			return tx.Copy([]byte(from), 0, []byte(to))
		}
		return tx.Rename([]byte(from), []byte(to))
	})
	if !agree(t, err, want) || from == to {
		return
	}
	w.keys[to] = v.clone()
	if !keep {
		delete(w.keys, from)
	}
}

// check compares everything, and the rows with each other.
func (w *world) check(t *rapid.T) {
	if err := w.state.Verify(); err != nil {
		t.Fatal(err)
	}
	w.expire()
	tx := w.state.Read()
	var names []string
	tx.EachKey(nil, func(key []byte, typ keyspace.Type) bool {
		names = append(names, string(key))
		if v := w.keys[string(key)]; v == nil || v.typ != typ {
			t.Fatalf("key %q is there as a %v", key, typ)
		}
		return true
	})
	if !sort.StringsAreSorted(names) || len(names) != len(w.keys) {
		t.Fatalf("keys %q, want %d", names, len(w.keys))
	}
	if n, _ := tx.KeyCount(); n != int64(len(names)) {
		t.Fatalf("%d keys, counted %d", len(names), n)
	}
	for key, v := range w.keys {
		w.checkKey(t, tx, key, v)
	}
}

func (w *world) checkKey(t *rapid.T, tx *keyspace.Tx, key string, v *value) {
	k := []byte(key)
	if ms, ok := tx.ExpireAt(k); ok != (v.expire != 0) || ms != v.expire {
		t.Fatalf("key %q expires at %d, want %d", key, ms, v.expire)
	}
	var got, want string
	switch v.typ {
	case keyspace.String:
		s, _, err := tx.Get(k)
		agree(t, err, nil)
		got, want = string(s), v.str
	case keyspace.Hash:
		m := map[string]string{}
		agree(t, tx.HEach(k, func(f, val []byte) bool { m[string(f)] = string(val); return true }), nil)
		got, want = fmt.Sprint(m), fmt.Sprint(v.hash)
		for f, val := range v.hash {
			if x, ok, _ := tx.HGet(k, []byte(f)); !ok || string(x) != val {
				t.Fatalf("key %q: field %q is %q", key, f, x)
			}
		}
	case keyspace.Set:
		m := map[string]bool{}
		agree(t, tx.SEach(k, func(e []byte) bool { m[string(e)] = true; return true }), nil)
		got, want = fmt.Sprint(m), fmt.Sprint(v.set)
	case keyspace.ZSet:
		got, want = w.zset(t, tx, k), modelOrder(v.zset)
	case keyspace.Stream:
		ids := []keyspace.StreamID{}
		agree(t, tx.XEach(k, keyspace.StreamID{}, keyspace.MaxStreamID, false, func(id keyspace.StreamID, _ [][]byte) bool {
			ids = append(ids, id)
			return true
		}), nil)
		got, want = fmt.Sprint(ids), fmt.Sprint(append([]keyspace.StreamID{}, v.stream...))
	}
	if got != want {
		t.Fatalf("key %q is\n%s, want\n%s", key, got, want)
	}
}

// zset reads a sorted set in order, and checks the ranks and the way back.
func (w *world) zset(t *rapid.T, tx *keyspace.Tx, k []byte) string {
	var order, back []string
	agree(t, tx.ZEach(k, -1e300, 1e300, false, func(m []byte, score float64) bool {
		order = append(order, fmt.Sprint(score, string(m)))
		return true
	}), nil)
	agree(t, tx.ZEach(k, -1e300, 1e300, true, func(m []byte, score float64) bool {
		back = append(back, fmt.Sprint(score, string(m)))
		if rank, ok, err := tx.ZRank(k, m, true); !ok || err != nil || rank != int64(len(back)-1) {
			t.Fatalf("the rank of %q from the top is %d, want %d", m, rank, len(back)-1)
		}
		return len(back) < 5
	}), nil)
	slices.Reverse(order)
	if len(order) < len(back) || !slices.Equal(order[:len(back)], back) {
		t.Fatalf("backwards %q, forwards %q", back, order)
	}
	slices.Reverse(order)
	return fmt.Sprint(order)
}

func modelOrder(zset map[string]float64) string {
	var all []keyspace.Scored
	for m, score := range zset {
		all = append(all, keyspace.Scored{Member: []byte(m), Score: score})
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Score != all[j].Score {
			return all[i].Score < all[j].Score
		}
		return bytes.Compare(all[i].Member, all[j].Member) < 0
	})
	var out []string
	for _, s := range all {
		out = append(out, fmt.Sprint(s.Score, string(s.Member)))
	}
	return fmt.Sprint(out)
}

func TestAnySequenceAgreesWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{keys: map[string]*value{}, state: keyspacetest.State{Now: 1000}}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.step(t)
		}
		w.check(t)
		for key := range w.keys {
			if err := w.state.Write(func(tx *keyspace.Tx) error { tx.Delete([]byte(key)); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		w.state.Now += 1 << 40
		if err := w.state.Write(func(tx *keyspace.Tx) error { tx.Sweep(1000); return nil }); err != nil {
			t.Fatal(err)
		}
		w.state.Rows.Collect()
		if n := w.state.Rows.Len(); n != 0 {
			t.Fatalf("%d rows are left of nothing", n)
		}
	})
}

// Two nodes that collect garbage at different times run the same commands.
func TestGarbageDoesNotMatterToTheHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		run := func(collect bool) keyspacetest.State {
			r := rand.New(rand.NewPCG(seed, 0))
			s := keyspacetest.State{Now: 1000}
			for range 200 {
				key := fmt.Appendf(nil, "k%d", r.IntN(3))
				members := make([][]byte, r.IntN(80))
				for i := range members {
					members[i] = fmt.Appendf(nil, "m%d", r.IntN(200))
				}
				op := r.IntN(4)
				if err := s.Write(func(tx *keyspace.Tx) (err error) {
					switch op {
					case 0:
						tx.Delete(key)
					case 1:
						_, err = tx.SRemAll(key, members)
					default:
						_, err = tx.SAddAll(key, members)
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
				if collect {
					s.Rows.Collect()
				}
			}
			return s
		}
		a, b := run(false), run(true)
		if a.Hash != b.Hash {
			t.Fatal("collecting garbage changed the hash")
		}
		sameDigests(t, &a, &b, rapid.Int64Range(1, 3000).Draw(t, "limit"))
	})
}

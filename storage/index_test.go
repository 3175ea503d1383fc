package storage

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// An index finds what a map finds, while keys come, change and go, in tables
// that fill up, grow and empty.
func TestIndexFindsWhatAMapFinds(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		x, model := newIndex(int(seed)*100), map[string]string{}
		keys := 1 + random.IntN(5000)
		for step := range 30_000 {
			key := fmt.Appendf(nil, "key:%d", random.IntN(keys))
			before, there := model[string(key)]
			var found []byte
			var ok bool
			switch growing := step/5000%2 == 0; {
			case random.IntN(3) == 0:
				found, ok = x.get(key)
			case growing == (random.IntN(4) > 0):
				value := fmt.Sprint(step)
				_, found, ok = x.set(row{key: key, value: []byte(value)})
				model[string(key)] = value
			default:
				found, ok = x.get(key)
				x.forget(key)
				delete(model, string(key))
			}
			if ok != there || string(found) != before {
				t.Fatalf("seed %d, step %d, %s: the index has %q (%v), the map %q (%v)", seed, step, key, found, ok, before, there)
			}
		}
		for key, value := range model {
			if found, ok := x.get([]byte(key)); !ok || string(found) != value {
				t.Fatalf("seed %d: %s is %q (%v) in the end, not %q", seed, key, found, ok, value)
			}
		}
		if x.n-len(x.free) != len(model) {
			t.Fatalf("seed %d: %d rows are kept for %d keys", seed, x.n-len(x.free), len(model))
		}
	}
}

// An overlay's rows do not keep an earlier write of theirs in memory.
func TestIndexKeepsTheKeyItIsGivenLast(t *testing.T) {
	x := newIndex(0)
	first, second := []byte("key"), []byte("key")
	x.set(row{key: first, value: []byte("a")})
	x.set(row{key: second, value: []byte("b")})
	if kept := x.rows[0][0].key; &kept[0] != &second[0] {
		t.Fatal("the key of the first write is kept")
	}
	x.forget(second)
	if r := x.rows[0][0]; r.key != nil || r.value != nil {
		t.Fatalf("a row that was taken out is kept: %q", r.row)
	}
}

func BenchmarkIndex(b *testing.B) {
	const keys = 200_000
	names := make([][]byte, keys)
	for i, n := range rand.New(rand.NewPCG(1, 1)).Perm(keys) {
		names[i] = fmt.Appendf(nil, "s:key:%d", n)
	}
	x := newIndex(0)
	b.Run("a new key, asked for and set", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if i%keys == 0 {
				b.StopTimer()
				x = newIndex(0)
				b.StartTimer()
			}
			x.get(names[i%keys])
			x.set(row{names[i%keys], names[0]})
		}
	})
	b.Run("a key of many, asked for and set", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			x.get(names[i*7919%keys])
			x.set(row{names[i*7919%keys], names[0]})
		}
	})
}

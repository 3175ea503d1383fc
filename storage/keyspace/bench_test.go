package keyspace_test

import (
	"fmt"
	"testing"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// benchmark runs fn with a writer for every 100 operations, as a log entry of
// 100 commands would be.
func benchmark(b *testing.B, fn func(tx *keyspace.Tx, i int) error) {
	s := &keyspacetest.State{Now: 1000}
	b.ReportAllocs()
	b.ResetTimer()
	var tx *keyspace.Tx
	for i := range b.N {
		if i%100 == 0 {
			s.Index++
			s.Rows.Mark()
			tx = keyspace.NewWriter(&s.Rows, s.Now, s.Index, &s.Hash)
		}
		if err := fn(tx, i); err != nil {
			b.Fatal(err)
		}
	}
}

func keys(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, "key:%08d", i)
	}
	return out
}

func BenchmarkSet(b *testing.B) {
	k, v := keys(10_000), make([]byte, 100)
	benchmark(b, func(tx *keyspace.Tx, i int) error { return tx.Set(k[i%len(k)], v) })
}

func BenchmarkGet(b *testing.B) {
	k, v := keys(10_000), make([]byte, 100)
	benchmark(b, func(tx *keyspace.Tx, i int) error {
		if i < len(k) {
			return tx.Set(k[i], v)
		}
		_, _, err := tx.Get(k[i%len(k)])
		return err
	})
}

func BenchmarkHSetSmall(b *testing.B) {
	k, f, v := keys(10_000), keys(20), make([]byte, 20)
	benchmark(b, func(tx *keyspace.Tx, i int) error {
		_, err := tx.HSet(k[i%len(k)], f[i/7%len(f)], v)
		return err
	})
}

func BenchmarkHSetLarge(b *testing.B) {
	f, v := keys(10_000), make([]byte, 20)
	benchmark(b, func(tx *keyspace.Tx, i int) error {
		_, err := tx.HSet([]byte("h"), f[i%len(f)], v)
		return err
	})
}

// A visitor as the domain makes one: 20 fields at once.
func BenchmarkHSetAll20(b *testing.B) {
	k := keys(10_000)
	var pairs [][]byte
	for _, f := range keys(20) {
		pairs = append(pairs, f, make([]byte, 20))
	}
	benchmark(b, func(tx *keyspace.Tx, i int) error {
		_, err := tx.HSetAll(k[i%len(k)], pairs)
		return err
	})
}

func BenchmarkZAddLarge(b *testing.B) {
	m := keys(10_000)
	benchmark(b, func(tx *keyspace.Tx, i int) error {
		_, err := tx.ZAdd([]byte("z"), m[i*7%len(m)], float64(i))
		return err
	})
}

func BenchmarkXAdd(b *testing.B) {
	fields := [][]byte{[]byte("from"), []byte("visitor"), []byte("text"), make([]byte, 100)}
	benchmark(b, func(tx *keyspace.Tx, i int) error {
		return tx.XAdd([]byte("x"), keyspace.StreamID{Ms: uint64(i + 1)}, fields)
	})
}

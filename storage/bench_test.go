package storage

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchKey is a key of a usual length; consecutive i are far apart.
func benchKey(i int) []byte {
	k := append([]byte("m\x00visitor:"), "0000000000000000"...)
	binary.BigEndian.PutUint64(k[len(k)-8:], uint64(i)*0x9e3779b97f4a7c15)
	return k
}

// benchRows is how many rows the data file has.
const benchRows = 500_000

func benchDB(b *testing.B, inFile int) *DB {
	b.Helper()
	return benchTable(b, Options{}, inFile)
}

func benchTable(b *testing.B, opt Options, inFile int) *DB {
	b.Helper()
	db := tempDB(b, opt)
	for at := 0; at < inFile; at += 100_000 {
		fill(db, at, min(100_000, inFile-at))
		checkpoint(b, db)
	}
	return db
}

func fill(db *DB, from, n int) {
	value := make([]byte, 100)
	t := db.Begin()
	for i := range n {
		t.Set(benchKey(from+i), value)
	}
	s := State{Index: db.state.Index + 1}
	t.Commit(s)
}

func BenchmarkGet(b *testing.B) {
	for _, where := range []string{"memory", "recent", "file", "nowhere"} {
		b.Run(where, func(b *testing.B) {
			opt := Options{}
			if where == "recent" {
				opt = Options{LookedUp: string(benchKey(0)[:1]), OverlayBudget: 512 << 20}
			}
			db := benchTable(b, opt, benchRows)
			offset := 0
			switch where {
			case "memory":
				fill(db, 0, benchRows)
			case "nowhere":
				offset = 1 << 32
			}
			t := db.Begin()
			defer t.Abort()
			b.ReportAllocs()
			for b.Loop() {
				t.Get(benchKey(offset + rand.IntN(benchRows)))
			}
		})
	}
}

// BenchmarkSet is a Set in batches of 256, with the commit.
func BenchmarkSet(b *testing.B) {
	db := benchDB(b, 0)
	value := make([]byte, 100)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 256 {
		t := db.Begin()
		for j := i; j < min(i+256, b.N); j++ {
			t.Set(benchKey(rand.IntN(benchRows)), value)
		}
		t.Commit(State{Index: uint64(i + 1)})
	}
}

func BenchmarkCommit(b *testing.B) {
	db := benchDB(b, 0)
	key, value := benchKey(1), make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		t := db.Begin()
		t.Set(key, value)
		t.Commit(State{Index: 1})
	}
}

// BenchmarkScan reads 20 neighbours.
func BenchmarkScan(b *testing.B) {
	for _, inMemory := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("overlay=%d", inMemory), func(b *testing.B) {
			db := benchDB(b, benchRows)
			fill(db, 0, inMemory)
			b.ReportAllocs()
			for b.Loop() {
				_ = db.View(func(r Reader, _ State) error {
					n := 0
					r.Ascend(benchKey(rand.IntN(benchRows)), nil, func(_, _ []byte) bool { n++; return n < 20 })
					return nil
				})
			}
		})
	}
}

func BenchmarkView(b *testing.B) {
	db := benchDB(b, 0)
	fill(db, 0, 1000)
	key := benchKey(7)
	b.ReportAllocs()
	for b.Loop() {
		_ = db.View(func(r Reader, _ State) error { r.Get(key); return nil })
	}
}

// BenchmarkCheckpoint writes scattered or appended rows to a data file of
// half a million, fsync included.
func BenchmarkCheckpoint(b *testing.B) {
	for _, rows := range []int{1, 10_000, 100_000} {
		for _, appended := range []bool{false, true} {
			b.Run(fmt.Sprintf("rows=%d/appended=%v", rows, appended), func(b *testing.B) {
				db := benchDB(b, benchRows)
				value, next := make([]byte, 100), uint64(0)
				for b.Loop() {
					b.StopTimer()
					t := db.Begin()
					for range rows {
						key := benchKey(rand.IntN(benchRows))
						if appended {
							next++
							key = binary.BigEndian.AppendUint64([]byte("x"), next)
						}
						t.Set(key, value)
					}
					t.Commit(State{Index: db.state.Index + 1})
					b.StartTimer()
					checkpoint(b, db)
				}
				b.ReportMetric(float64(db.Stats().FileBytes)/(1<<20), "file-MB")
			})
		}
	}
}

// BenchmarkFreeze is what the apply goroutine pays for a checkpoint.
func BenchmarkFreeze(b *testing.B) {
	db := benchDB(b, 0)
	fill(db, 0, 100_000)
	for b.Loop() {
		c, err := db.Freeze()
		if err != nil {
			b.Fatal(err)
		}
		c.Release()
	}
}

// BenchmarkWalk reads 100 rows of one kind, in memory, above a data file that has
// only others.
func BenchmarkWalk(b *testing.B) {
	for _, rows := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			db := benchDB(b, 10_000)
			t := db.Begin()
			key := func(i int) []byte { return binary.BigEndian.AppendUint64([]byte("lobject-1"), uint64(i)) }
			for i := range 100_000 {
				t.Set(key(i), []byte("value"))
			}
			t.Commit(State{Index: db.state.Index + 1})
			b.ReportAllocs()
			for b.Loop() {
				at := rand.IntN(100_000 - rows)
				_ = db.View(func(r Reader, _ State) error {
					r.Ascend(key(at), key(at+rows), func(_, _ []byte) bool { return true })
					return nil
				})
			}
		})
	}
}

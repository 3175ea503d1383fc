package storage

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// What is kept is what was written last, whatever came, changed, went and was
// forgotten for want of room; and it stays within its room.
func TestRecentRowsAreThoseWrittenLast(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		const pieces = 4
		x, model := newRecent("kl", pieces*recentPiece), map[string]string{}
		keys, found := 1+random.IntN(5000), 0
		for step := range 60_000 {
			key := fmt.Sprintf("%c%d", "klm"[random.IntN(3)], random.IntN(keys))
			switch random.IntN(3) {
			case 0:
				value := fmt.Sprint(step, strings.Repeat("x", random.IntN(200)))
				if random.IntN(100) == 0 {
					value = strings.Repeat("x", recentRow) // too large
				}
				x.set(row{[]byte(key), []byte(value)})
				model[key] = value
			case 1:
				if random.IntN(4) == 0 {
					x.set(row{key: []byte(key)})
					delete(model, key)
				}
			default:
				value, ok := x.get([]byte(key))
				if want, there := model[key]; ok && (!there || string(value) != want || key[0] == 'm') {
					t.Fatalf("seed %d, step %d: %s is %.30q, want %.30q (%v)", seed, step, key, value, want, there)
				}
				if ok {
					found++
				}
			}
		}
		if most := int64(pieces*recentPiece + 8*8*indexParts*1024); len(x.pieces) > pieces || x.bytes() > most {
			t.Fatalf("seed %d: %d pieces and %d bytes are kept, of %d and %d", seed, len(x.pieces), x.bytes(), pieces, most)
		}
		if found < 1000 {
			t.Fatalf("seed %d: only %d of some 13 000 were found", seed, found)
		}
	}
}

// The rows written last are there as long as there is room, and a slot is kept
// for none but them.
func TestRecentRowsFillTheirRoom(t *testing.T) {
	const pieces, rows = 8, 20_000
	x := newRecent("k", pieces*recentPiece)
	key := func(i int) []byte { return fmt.Appendf(nil, "k%08d", i) }
	for i := range rows {
		x.set(row{key(i), make([]byte, 100)})
	}
	size := recentSize(key(0), make([]byte, 100))
	fit := (pieces - 1) * (recentPiece / size)
	for i := range rows {
		if _, ok := x.get(key(i)); !ok && i >= rows-fit {
			t.Fatalf("row %d of %d is not kept, there is room for %d", i, rows, fit)
		}
	}
	used := 0
	for _, p := range x.parts {
		used += p.used
	}
	if used < fit || used > fit+recentPiece/size {
		t.Fatalf("%d slots are used for %d rows that fit", used, fit)
	}
}

// A row that is written again stays when the room of its former self is used.
func TestRecentRowsThatComeAgain(t *testing.T) {
	x := newRecent("k", 4*recentPiece)
	fill := func(pieces int, key string) {
		for i := 0; i < pieces*recentPiece; i += 1 << 10 {
			x.set(row{fmt.Appendf(nil, "%s%d", key, i), make([]byte, 1<<10-16)})
		}
	}
	x.set(row{[]byte("k"), []byte("former")})
	fill(3, "ka")
	x.set(row{[]byte("k"), []byte("now")})
	fill(2, "kb")
	if v, ok := x.get([]byte("k")); !ok || string(v) != "now" {
		t.Errorf("it is %q, kept: %v", v, ok)
	}
}

// Rows are found in memory after a checkpoint, as they are now and no longer
// once they are deleted, and neither by whoever reads the table as it was.
func TestReadsAfterACheckpoint(t *testing.T) {
	db := tempDB(t, Options{LookedUp: "k"})
	get := func(key string) (value string) {
		t.Helper()
		_ = db.View(func(r Reader, _ State) error {
			v, _ := r.Get([]byte(key))
			value = string(v)
			return nil
		})
		return value
	}
	kept := func(key string) bool {
		_, ok := db.recent.get([]byte(key))
		return ok
	}
	set(db, 1, "k1", "a", "k2", "b", "other", "c")
	checkpoint(t, db)
	if !kept("k1") || !kept("k2") || kept("other") {
		t.Errorf("k1 is kept: %v, k2: %v, other: %v", kept("k1"), kept("k2"), kept("other"))
	}
	before, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	b := db.Begin()
	b.Set([]byte("k1"), []byte("A"))
	b.Delete([]byte("k2"))
	b.Commit(State{Index: 2})
	if a, b := get("k1"), get("k2"); a != "A" || b != "" {
		t.Errorf("before the next checkpoint k1 is %q, k2 %q", a, b)
	}
	checkpoint(t, db)
	if a, b, c := get("k1"), get("k2"), get("other"); a != "A" || b != "" || c != "c" || kept("k2") {
		t.Errorf("after it k1 is %q, k2 %q (kept: %v), other %q", a, b, kept("k2"), c)
	}
	if v, _ := before.Get([]byte("k1")); string(v) != "a" {
		t.Errorf("who reads the table as it was finds k1 to be %q", v)
	}
	if v, _ := before.Get([]byte("k2")); string(v) != "b" {
		t.Errorf("who reads the table as it was finds k2 to be %q", v)
	}
}

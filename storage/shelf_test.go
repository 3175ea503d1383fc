package storage

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A shelf gives what a map gives, whoever reads it when, and its copies stay
// as they were.
func TestShelf(t *testing.T) {
	for _, reads := range []struct {
		name  string
		every int // writes between two reads in order
	}{{"never read", 1 << 30}, {"seldom read", 9_000}, {"often read", 40}} {
		t.Run(reads.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			o, want := newOverlay(), map[string]string{}
			var old *overlay
			var oldWant map[string]string
			for n := range 60_000 {
				key := fmt.Sprintf("k%0*d", 1+rnd.IntN(9), rnd.IntN(9000))
				switch rnd.IntN(8) {
				case 0:
					o.forget([]byte(key))
					delete(want, key)
				case 1:
					o.set(row{key: []byte(key)})
					want[key] = "gone"
				default:
					o.set(row{[]byte(key), fmt.Append(nil, n)})
					want[key] = fmt.Sprint(n)
				}
				if n%reads.every == reads.every-1 {
					o.shelves['k'].sorted()
				}
				if n == 30_000 {
					old, oldWant = o.copy(), maps.Clone(want)
				}
			}
			sameRows(t, o, want)
			sameRows(t, old, oldWant)
			if n := o.shelves['k'].recent.n; n != 0 {
				t.Errorf("%d writes are not in the tree after a read", n)
			}
		})
	}
}

// Rows that are only overwritten do not pile up, nor do those that copies hold
// as they were.
func TestShelfForgetsFormerWrites(t *testing.T) {
	for _, copies := range []bool{false, true} {
		o, most := newOverlay(), 100
		if copies {
			most = fewRecent
		}
		for n := range 100_000 {
			o.set(row{fmt.Append(nil, "k", n%100), fmt.Append(nil, n)})
			if copies && n%50 == 0 {
				o.copy()
			}
			if have := o.shelves['k'].recent.n; have > most {
				t.Fatalf("%d writes of 100 rows are kept", have)
			}
		}
	}
}

// A shelf that was often read in order is brought up to date before the next
// reader, a little with each write, but not again and again where none comes.
func TestShelfWaitsForReaders(t *testing.T) {
	o, n := newOverlay(), 0
	write := func(rows int) (fills int) {
		for range rows {
			s := o.shelf([]byte("k"))
			former, draining := s.recent.n, s.draining
			o.set(row{fmt.Appendf(nil, "k%d", n), noBytes})
			if s.draining && !draining {
				fills++
			}
			if s.recent.n < former-drainStep {
				t.Fatalf("one write moved %d others", former-s.recent.n)
			}
			n++
		}
		return fills
	}
	if write(2*fewRecent) != 0 {
		t.Error("sorted before anybody has read")
	}
	for range oftenAsked {
		o.shelves['k'].sorted()
	}
	if fills := write(fewRecent + 1); fills != 1 {
		t.Errorf("sorted %d times after reads, want once", fills)
	}
	if fills := write(40 * fewRecent); fills > 8 {
		t.Errorf("sorted %d times while nobody read", fills)
	}
}

// Who reads the rows of one kind, and finds none or the last of them, does not
// sort those of the kinds beside it.
func TestReadersLeaveOtherShelvesAlone(t *testing.T) {
	db := openDB(t, t.TempDir(), Options{})
	o := db.active
	for n := range 100 {
		for _, kind := range "aceg" {
			o.set(row{fmt.Appendf(nil, "%c%d", kind, n*7919%100), noBytes})
		}
	}
	read := func(from, to string) (rows int) {
		each := func(_, _ []byte) bool { rows++; return true }
		db.ascend([]byte(from), []byte(to), walk{}, each)
		db.descend([]byte(from), []byte(to), walk{}, each)
		return rows
	}
	for _, tc := range []struct {
		from, to string
		rows     int
	}{{"b", "c", 0}, {"b", "b\xff", 0}, {"d", "e", 0}, {"c5", "c6", 22}, {"c", "d", 200}, {"c99", "c\xff", 2}} {
		if rows := read(tc.from, tc.to); rows != tc.rows {
			t.Errorf("%d rows from %q to %q, read both ways, want %d", rows, tc.from, tc.to, tc.rows)
		}
	}
	for _, kind := range "aeg" {
		if o.shelves[kind].recent.n != 100 {
			t.Errorf("rows of %c were sorted by who read others", kind)
		}
	}
	if rows := read("", "z"); rows != 800 {
		t.Errorf("%d rows in all, read both ways, want 800", rows)
	}
}

func sameRows(t *testing.T, o *overlay, want map[string]string) {
	t.Helper()
	var keys []string
	o.each(func(r row) bool {
		keys = append(keys, string(r.key))
		value := string(r.value)
		if r.value == nil {
			value = "gone"
		}
		if found, ok := o.get(r.key); want[string(r.key)] != value || !ok || string(found) != string(r.value) {
			t.Errorf("row %q is %q, found by its key %q, want %q", r.key, value, found, want[string(r.key)])
		}
		return true
	})
	if expected := slices.Sorted(maps.Keys(want)); !slices.Equal(keys, expected) {
		t.Errorf("%d rows in order, want %d", len(keys), len(expected))
	}
	if o.rows != len(want) {
		t.Errorf("%d rows are counted, want %d", o.rows, len(want))
	}
}

// BenchmarkShelfFill is what the first reader in order pays for a row that is
// new, beside so many times as many rows that are in order.
func BenchmarkShelfFill(b *testing.B) {
	const rows = 20_000
	for _, times := range []int{0, 1, 8, 16, 32} {
		b.Run(fmt.Sprintf("beside=%d", times), func(b *testing.B) {
			s := newShelf(manyRows)
			var written changes
			for i := range rows * (times + 1) {
				c := change{row: row{key: benchKey(i * 7919 % (rows * (times + 1)))}}
				if i < rows {
					written.add(c)
				} else {
					s.recent.add(c)
				}
			}
			s.sorted()
			for b.Loop() {
				c := s.copy()
				c.recent = written.copy()
				c.sorted()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}

// A copy is asked for single rows while changes wait that are in no order: it
// finds the last change of each, and does not sort for a few of them.
func TestACopyFindsRowsWithoutSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newShelf(manyRows)
		want := map[string]string{}
		change1 := func(n int) {
			key := fmt.Sprintf("k%d", n)
			c := change{row: row{key: []byte(key), value: fmt.Append(nil, s.first+uint64(s.recent.n))}}
			if c.forget = n%5 == 0; c.forget {
				c.value = nil
				delete(want, key)
			} else {
				want[key] = string(c.value)
			}
			s.put(c, 0)
		}
		keys := rapid.IntRange(1, 400)
		for range rapid.IntRange(0, 3).Draw(t, "rounds") {
			for range rapid.IntRange(0, 600).Draw(t, "changes") {
				change1(keys.Draw(t, "key"))
			}
			s.fill(rapid.IntRange(0, s.recent.n).Draw(t, "sorted"))
		}
		c := s.copy()
		expected := maps.Clone(want)
		waiting := c.recent.n
		for range rapid.IntRange(0, 100).Draw(t, "later") {
			change1(keys.Draw(t, "key"))
		}
		for i := range 2 * fewSearches {
			key := fmt.Sprintf("k%d", keys.Draw(t, "key"))
			value, ok := c.find([]byte(key))
			if there, is := expected[key]; ok != is || string(value) != there {
				t.Fatalf("%s is %q (%v), want %q (%v)", key, value, ok, there, is)
			}
			if i == 3*fewSearches/2 && rapid.Bool().Draw(t, "walked") {
				waiting = 0
				n := 0
				c.sorted().each(func(row) bool { n++; return true })
				if n != len(expected) {
					t.Fatalf("%d rows in order, want %d", n, len(expected))
				}
			}
			if c.recent.n != waiting {
				t.Fatal("it was sorted for single rows")
			}
		}
	})
}

// BenchmarkCopiedGet is what single rows cost in a copy that is made after each 50
// writes, as a long read beside writes makes one.
func BenchmarkCopiedGet(b *testing.B) {
	for _, gets := range []int{0, 1, 16, 1000} {
		b.Run(fmt.Sprintf("rows=%d", gets), func(b *testing.B) { benchCopiedGet(b, gets) })
	}
}

func benchCopiedGet(b *testing.B, gets int) {
	s := newShelf(manyRows)
	for i := range 100_000 {
		s.put(change{row: row{key: benchKey(i * 7919 % 100_000)}}, 0)
	}
	s.fill(s.recent.n)
	for i := 0; b.Loop(); i++ {
		for k := range 50 {
			s.put(change{row: row{key: benchKey((i*50 + k) * 7919 % 100_000)}}, 0)
		}
		if !s.ready() {
			for s.orderSome() {
			}
		}
		c := s.copy()
		for k := range gets {
			c.find(benchKey((i*31 + k) % 100_000))
		}
	}
}

// Changes of any keys, alike for long or hardly, ended by zeros or not, again and
// again, are in order afterwards.
func TestChangesAreSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"", "\x00", "\x00\x00", "a", "b", "visitor:", "0000000000000000", "\xff"}), 0, 4)
		few := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return "m" + strings.Join(parts.Draw(t, "parts"), "") }), 1, 60).Draw(t, "keys")
		var l changes
		for range rapid.IntRange(1, 4*fewHeads).Draw(t, "changes") {
			key := rapid.SampledFrom(few).Draw(t, "key")
			if rapid.Bool().Draw(t, "numbered") {
				key += fmt.Sprintf("%03d", rapid.IntRange(0, 999).Draw(t, "number"))
			}
			l.add(change{row: row{key: []byte(key)}})
		}
		want := make([]int, l.n)
		for i := range want {
			want[i] = i
		}
		slices.SortStableFunc(want, func(a, b int) int { return bytes.Compare(l.at(a).key, l.at(b).key) })
		order := l.inOrder()
		for i, n := range want {
			if order[i].n != n {
				t.Fatalf("place %d has change %d (%q), want %d (%q)", i, order[i].n, l.at(order[i].n).key, n, l.at(n).key)
			}
			if i > 0 && bytes.Equal(l.at(n).key, l.at(want[i-1]).key) && order[i].head != order[i-1].head {
				t.Fatalf("two changes of %q have different heads", l.at(n).key)
			}
		}
	})
}

// BenchmarkInOrder is what sorting costs for each of so many rows that all but one
// have much in common, like those of one application.
func BenchmarkInOrder(b *testing.B) {
	for _, n := range []int{50, 4096, 300_000} {
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			var l changes
			l.add(change{row: row{key: []byte("m\x00system:group")}})
			for i := range n {
				l.add(change{row: row{key: fmt.Appendf(nil, "m\x01visitor:%012d", uint64(i)*0x9e3779b97f4a7c15%10_000_000)}})
			}
			for b.Loop() {
				l.inOrder()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
		})
	}
}

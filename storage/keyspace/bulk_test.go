package keyspace_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

func key(s string) []byte { return []byte(s) }

// Elements that come at once make the same rows as when they come one by one,
// however they are ordered and however often one comes.
func TestManyAtOnceAreAsOneByOne(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{10, 255, 256, 300, 2000} {
		for _, different := range []int{20, 250, 257, 3000} {
			elements := make([][]byte, n)
			scores := make([]float64, n)
			for i := range elements {
				elements[i] = fmt.Appendf(nil, "element %d", r.IntN(different))
				scores[i] = float64(r.IntN(7)) - 3
				if scores[i] == 0 {
					scores[i] = math.Copysign(0, -1)
				}
			}
			atOnce, oneByOne := &keyspacetest.State{Now: 1}, &keyspacetest.State{Now: 1}
			counts := [2][4]int64{}
			for i, s := range []*keyspacetest.State{atOnce, oneByOne} {
				write(t, s, func(tx *keyspace.Tx) (err error) {
					step := n
					if i == 1 {
						step = 1
					}
					got := &counts[i]
					for at := 0; at < n; at += step {
						var pairs [][]byte
						var scored []keyspace.Scored
						for j := at; j < at+step; j++ {
							pairs = append(pairs, elements[j], fmt.Append(nil, "value", j))
							scored = append(scored, keyspace.Scored{Member: elements[j], Score: scores[j]})
						}
						var made [3]int64
						if made[0], err = tx.SAddAll(key("set"), elements[at:at+step]); err != nil {
							return err
						}
						if made[1], err = tx.HSetAll(key("hash"), pairs); err != nil {
							return err
						}
						if made[2], err = tx.ZAddAll(key("zset"), scored); err != nil {
							return err
						}
						for k := range made {
							got[k] += made[k]
						}
						if got[3], err = tx.LPush(key("list"), false, elements[at:at+step]); err != nil {
							return err
						}
					}
					return nil
				})
				if err := s.Verify(); err != nil {
					t.Fatalf("%d of %d: %v", n, different, err)
				}
			}
			if counts[0] != counts[1] {
				t.Errorf("%d of %d: made %v, one by one %v", n, different, counts[0], counts[1])
			}
			// Objects are numbered in the order in which they get rows of their own,
			// which is another one when they come by turns: the rows are compared.
			for _, name := range []string{"set", "hash", "zset", "list"} {
				if a, b := dump(t, atOnce.Read(), name), dump(t, oneByOne.Read(), name); !bytes.Equal(a, b) {
					t.Errorf("%d of %d: %s is %.100q…, want %.100q…", n, different, name, a, b)
				}
			}
		}
	}
}

func write(t *testing.T, s *keyspacetest.State, fn func(tx *keyspace.Tx) error) {
	t.Helper()
	if err := s.Write(fn); err != nil {
		t.Fatal(err)
	}
}

// dump gives all that is at a key, in order.
func dump(t *testing.T, tx *keyspace.Tx, name string) (b []byte) {
	t.Helper()
	var err error
	switch tx.Type(key(name)) {
	case keyspace.Set:
		err = tx.SEach(key(name), func(m []byte) bool { b = fmt.Appendf(b, "%q ", m); return true })
	case keyspace.Hash:
		err = tx.HEach(key(name), func(f, v []byte) bool { b = fmt.Appendf(b, "%q %q ", f, v); return true })
	case keyspace.ZSet:
		err = tx.ZEach(key(name), math.Inf(-1), math.Inf(1), false, func(m []byte, s float64) bool {
			b = fmt.Appendf(b, "%q %v ", m, s)
			return true
		})
	case keyspace.List:
		err = tx.LEach(key(name), 0, math.MaxInt64, false, func(e []byte) bool { b = fmt.Appendf(b, "%q ", e); return true })
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Neighbours in a sorted set go as if they went one by one, however many they
// are and whichever way they were walked.
func TestNeighboursGo(t *testing.T) {
	for _, n := range []int{5, 60, 400, 1500} {
		for _, share := range []float64{0.05, 0.3, 0.5, 0.99, 1} {
			for _, reverse := range []bool{false, true} {
				s := &keyspacetest.State{Now: 1}
				var all []keyspace.Scored
				for i := range n {
					all = append(all, keyspace.Scored{Member: fmt.Appendf(nil, "member %d", i*7919%n), Score: float64(i / 3)})
				}
				write(t, s, func(tx *keyspace.Tx) error { _, err := tx.ZAddAll(key("zset"), all); return err })
				slices.SortFunc(all, func(a, b keyspace.Scored) int {
					if a.Score != b.Score {
						return int(a.Score - b.Score)
					}
					return bytes.Compare(a.Member, b.Member)
				})
				count := max(int(share*float64(n)), 1)
				from := (n - count) / 2
				gone := slices.Clone(all[from : from+count])
				if reverse {
					slices.Reverse(gone)
				}
				write(t, s, func(tx *keyspace.Tx) error {
					removed, err := tx.ZRemNeighbours(key("zset"), gone)
					if removed != int64(count) {
						t.Errorf("removed %d of %d", removed, count)
					}
					return err
				})
				var want []byte
				for _, m := range slices.Delete(all, from, from+count) {
					want = fmt.Appendf(want, "%q %v ", m.Member, m.Score)
				}
				if got := dump(t, s.Read(), "zset"); !bytes.Equal(got, want) {
					t.Errorf("%d of %d: left are %.80q…, want %.80q…", count, n, got, want)
				}
				if err := s.Verify(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

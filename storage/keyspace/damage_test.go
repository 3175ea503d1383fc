package keyspace_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// variety has a key of each type, small and large.
func variety(t testing.TB) *keyspacetest.State {
	s := &keyspacetest.State{Now: 1000}
	err := s.Write(func(tx *keyspace.Tx) error {
		for _, n := range []int{3, 90} {
			name := func(kind string) []byte { return fmt.Appendf(nil, "%s%d", kind, n) }
			var members, pairs [][]byte
			var scored []keyspace.Scored
			for i := range n {
				m := fmt.Appendf(nil, "m%d", i)
				members, pairs = append(members, m), append(pairs, m, m)
				scored = append(scored, keyspace.Scored{Member: m, Score: float64(i)})
			}
			_, err1 := tx.HSetAll(name("hash"), pairs)
			err2 := tx.HSetEx(name("timed"), pairs, 5000)
			_, err3 := tx.SAddAll(name("set"), members)
			_, err4 := tx.ZAddAll(name("zset"), scored)
			_, err5 := tx.LPush(name("list"), false, members)
			for _, err := range []error{err1, err2, err3, err4, err5} {
				if err != nil {
					return err
				}
			}
		}
		if err := tx.SetEx(b("string"), b("value"), 9000); err != nil {
			return err
		}
		for i := range 3 {
			if err := tx.XAdd(b("stream"), keyspace.StreamID{Ms: uint64(i + 1)}, [][]byte{b("f"), b("v")}); err != nil {
				return err
			}
		}
		if _, err := tx.XGroupCreate(b("stream"), b("group"), keyspace.StreamID{}, 0); err != nil {
			return err
		}
		g, err := tx.XGroup(b("stream"), b("group"))
		if err != nil {
			return err
		}
		if _, err := g.Join(b("consumer")); err != nil {
			return err
		}
		g.Give(keyspace.Pending{ID: keyspace.StreamID{Ms: 1}, Consumer: b("consumer"), Delivered: 1, Count: 1})
		g.Close()
		tx.Select(3)
		if err := tx.Set(b("gone"), b("v")); err != nil {
			return err
		}
		tx.Flush()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Rows that a disk or somebody changed are found by Verify, which neither
// panics over them nor takes memory that they only promise.
func FuzzVerify(f *testing.F) {
	var keys [][]byte
	variety(f).Rows.Ascend(nil, nil, func(k, v []byte) bool {
		keys = append(keys, append([]byte{}, k...))
		if n := len(keys) - 1; n%40 == 0 || k[0] == 'x' || k[0] == 'm' {
			for _, part := range []int{len(v), len(v) / 2, min(len(v), 1), 0} {
				f.Add(uint16(n), append([]byte{}, k...), append([]byte{}, v[:part]...), false)
			}
			f.Add(uint16(n), append([]byte{}, k[:len(k)/2]...), append([]byte{}, v...), true)
		}
		return true
	})
	f.Fuzz(func(t *testing.T, n uint16, key, value []byte, remove bool) {
		s := variety(t)
		if remove {
			s.Rows.Delete(keys[int(n)%len(keys)])
		}
		if len(key) > 0 {
			s.Rows.Set(key, value)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = s.Verify()
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(2<<20+200*len(value)); got > most {
			t.Fatalf("a row of %d bytes took %d bytes of memory", len(value), got)
		}
	})
}

package redis_test

import (
	"fmt"
	"github.com/parlorchat/parlor/storage/redis/redistest"
	"strconv"
	"testing"
)

// Counts and registers are those of Redis from one element to many, while
// sparse and dense.
func TestHyperLogLogsAreThoseOfRedis(t *testing.T) {
	server := redistest.Start(t)
	o := newOurs()
	next := 0
	for size := 1; size < 30_000; size += size/3 + 1 {
		args := []string{"PFADD", "pf"}
		for ; next < size; next++ {
			args = append(args, fmt.Sprintf("visitor %d", next))
		}
		other := []string{"PFADD", "other", "one", strconv.Itoa(size)}
		for _, a := range [][]string{args, other, {"PFMERGE", "both", "pf", "other"}} {
			if mine, theirs := show(o.do(a...)), show(server.Do(a...)); mine != theirs {
				t.Fatalf("%d elements: %s answers %s, Redis %s", size, a[0], mine, theirs)
			}
		}
		for _, a := range [][]string{{"GETRANGE", "pf", "16", "-1"}, {"GETRANGE", "both", "16", "-1"}, {"PFCOUNT", "pf"}, {"PFCOUNT", "pf", "other"}, {"PFCOUNT", "both"}} {
			if mine, theirs := show(o.do(a...)), show(server.Do(a...)); mine != theirs {
				t.Fatalf("%d elements: %q gives %.200s, Redis %.200s", size, a, mine, theirs)
			}
		}
	}
}

// Whatever a client writes over a HyperLogLog, the commands answer.
func FuzzHyperLogLogStrings(f *testing.F) {
	o := newOurs()
	o.do("PFADD", "pf", "a", "b", "c")
	f.Add(o.do("GET", "pf").Str[5:])
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		o := newOurs()
		for _, encoding := range []string{"\x00", "\x01"} {
			o.do("SET", "pf", "HYLL"+encoding+string(b))
			for _, args := range [][]string{{"PFCOUNT", "pf"}, {"PFADD", "pf", "x", "y", "z"}, {"PFCOUNT", "pf", "pf"}, {"PFMERGE", "new", "pf"}, {"PFMERGE", "pf", "new"}} {
				o.do(args...)
			}
		}
		if err := o.state.Verify(); err != nil {
			t.Fatal(err)
		}
	})
}

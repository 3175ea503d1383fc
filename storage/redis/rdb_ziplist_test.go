package redis_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// zipList packs elements as servers before 7.0 did.
func zipList(items []string) string {
	le := binary.LittleEndian
	b := make([]byte, 10)
	before := 0
	for _, item := range items {
		start := len(b)
		if before < 254 {
			b = append(b, byte(before))
		} else {
			b = le.AppendUint32(append(b, 254), uint32(before))
		}
		le.PutUint32(b[4:], uint32(start))
		n, err := strconv.ParseInt(item, 10, 64)
		switch size := len(item); {
		case err == nil && strconv.FormatInt(n, 10) == item && n >= 0 && n <= 12:
			b = append(b, 0xf1+byte(n))
		case err == nil && strconv.FormatInt(n, 10) == item && n == int64(int8(n)):
			b = append(b, 0xfe, byte(n))
		case err == nil && strconv.FormatInt(n, 10) == item && n == int64(int16(n)):
			b = le.AppendUint16(append(b, 0xc0), uint16(n))
		case err == nil && strconv.FormatInt(n, 10) == item && n == n<<40>>40:
			b = append(b, 0xf0, byte(n), byte(n>>8), byte(n>>16))
		case err == nil && strconv.FormatInt(n, 10) == item && n == int64(int32(n)):
			b = le.AppendUint32(append(b, 0xd0), uint32(n))
		case err == nil && strconv.FormatInt(n, 10) == item:
			b = le.AppendUint64(append(b, 0xe0), uint64(n))
		case size < 64:
			b = append(append(b, byte(size)), item...)
		case size < 1<<14:
			b = append(append(b, 0x40|byte(size>>8), byte(size)), item...)
		default:
			b = append(binary.BigEndian.AppendUint32(append(b, 0x80), uint32(size)), item...)
		}
		before = len(b) - start
	}
	b = append(b, 0xff)
	le.PutUint32(b, uint32(len(b)))
	le.PutUint16(b[8:], uint16(len(items)))
	return string(b)
}

// Values of servers before 7.0 come as a real server reads them, and broken
// ones are refused.
func TestZipLists(t *testing.T) {
	server, o := redistest.Start(t), newOurs()
	r := rand.New(rand.NewPCG(redistest.Seed(t), 0))
	text := func(s string) string { return rdbLength(len(s)) + s }
	element := func(i int) string {
		switch r.IntN(4) {
		case 0:
			n := r.Int64() >> r.IntN(63)
			if r.IntN(2) == 0 {
				n = -n
			}
			return strconv.FormatInt(n, 10)
		case 1:
			return strconv.Itoa(i)
		case 2:
			return fmt.Sprint(strings.Repeat("x", r.IntN(400)), i)
		}
		return fmt.Sprint(strings.Repeat("long ", r.IntN(4)*r.IntN(1500)), i)
	}
	for range 60 {
		var list, pairs, scored []string
		for i := range 1 + r.IntN(40) {
			list = append(list, element(i))
			pairs = append(pairs, fmt.Sprint("field", i), element(i))
			scored = append(scored, fmt.Sprint("member", i), strconv.Itoa(i*3-20))
		}
		half := r.IntN(len(list))
		nodes := "\x01" + text(zipList(list))
		if half > 0 {
			nodes = "\x02" + text(zipList(list[:half])) + text(zipList(list[half:]))
		}
		for kind, c := range map[string][]string{
			"\x0a" + text(zipList(list)):   {"LRANGE", "k", "0", "-1"},
			"\x0e" + nodes:                 {"LRANGE", "k", "0", "-1"},
			"\x0d" + text(zipList(pairs)):  {"HGETALL", "k"},
			"\x0c" + text(zipList(scored)): {"ZRANGE", "k", "0", "-1", "WITHSCORES"},
		} {
			for _, args := range [][]string{{"RESTORE", "k", "0", sealed(kind), "REPLACE"}, c} {
				mine, theirs := wire(o.do(args...), 2), server.Do(args...)
				if args[0] == "HGETALL" {
					mine, theirs = sorted(mine, 2), sorted(theirs, 2)
				}
				if show(mine) != show(theirs) {
					t.Fatalf("%.60q answers %.300s, Redis %.300s", args, show(mine), show(theirs))
				}
			}
			cut := 1 + r.IntN(len(kind)-1)
			if got := show(o.do("RESTORE", "broken", "0", sealed(kind[:cut]))); got != "-ERR Bad data format" {
				t.Fatalf("%d bytes of %.100q answer %s", cut, kind, got)
			}
		}
	}
	if err := o.state.Verify(); err != nil {
		t.Fatal(err)
	}
}

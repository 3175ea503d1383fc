package redis_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"math"
	"math/bits"
	"runtime"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// sortedUnless puts elements in order, unless theirs is to be compared.
func sortedUnless(order bool, r command.Reply, size int) command.Reply {
	if order {
		return r
	}
	return sorted(r, size)
}

// Values of all shapes go to a real server and come back.
func TestPayloadsGoToRedisAndBack(t *testing.T) {
	server, o := redistest.Start(t), newOurs()
	both := func(args ...string) {
		t.Helper()
		if mine, theirs := show(wire(o.do(args...), 2)), show(server.Do(args...)); mine != theirs {
			t.Fatalf("%.60q answers %s, Redis %s", args, mine, theirs)
		}
	}
	keys := map[string]string{}
	for i, s := range []string{"", "text", "7", "-100", "40000", "-2000000000", "9223372036854775807", strings.Repeat("again and ", 500), strings.Repeat("x", 70_000), "\x00\xff\r\n"} {
		both("SET", fmt.Sprint("s", i), s)
		keys[fmt.Sprint("s", i)] = "GET"
	}
	for _, n := range []int{1, 3, 129, 600} {
		for _, element := range []string{"%d", "e%d", "-%d00000", "1%d000000000000", strings.Repeat("long ", 30) + "%d", strings.Repeat("longer ", 60) + "%d"} {
			list, set, hash, zset := fmt.Sprint("l", n, element[:2], len(element)), fmt.Sprint("e", n, element[:2], len(element)), fmt.Sprint("h", n, element[:2], len(element)), fmt.Sprint("z", n, element[:2], len(element))
			for at := 0; at < n; at += 100 {
				l, e, h, z := []string{"RPUSH", list}, []string{"SADD", set}, []string{"HSET", hash}, []string{"ZADD", zset}
				for i := at; i < min(n, at+100); i++ {
					v := fmt.Sprintf(element, i)
					l, e, h, z = append(l, v), append(e, v), append(h, v, fmt.Sprint(i)), append(z, fmt.Sprint(float64(i)/8-3), v)
				}
				both(l...)
				both(e...)
				both(h...)
				both(z...)
			}
			keys[list], keys[set], keys[hash], keys[zset] = "LRANGE", "SMEMBERS", "HGETALL", "ZRANGE"
		}
	}
	both("ZADD", "z", "inf", "a", "-inf", "b", "1e300", "c", "0.1", "d")
	keys["z"] = "ZRANGE"
	for i := range 300 {
		both("XADD", "x", fmt.Sprintf("%d-%d", i/3+1, i%3), "sensor", fmt.Sprint(i%7), "text", strings.Repeat("t", i))
	}
	for _, args := range [][]string{
		{"XDEL", "x", "1-1", "50-0", "100-2"}, {"XGROUP", "CREATE", "x", "idle", "7-0"}, {"XGROUP", "CREATE", "x", "busy", "0", "ENTRIESREAD", "0"},
		{"XREADGROUP", "GROUP", "busy", "alice", "COUNT", "3", "STREAMS", "x", ">"}, {"XREADGROUP", "GROUP", "busy", "bob", "COUNT", "2", "STREAMS", "x", ">"}, {"XACK", "x", "busy", "1-2"},
		{"XADD", "gone", "1-0", "f", "v"}, {"XDEL", "gone", "1-0"},
	} {
		both(args...)
	}
	keys["x"], keys["gone"] = "XINFO", "XINFO"
	for key, read := range keys {
		mine, theirs := o.do("DUMP", key), server.Do("DUMP", key)
		if got := show(o.do("RESTORE", "copy", "0", string(theirs.Str), "REPLACE")); got != "+OK" {
			t.Fatalf("the payload of %q from Redis: %s", key, got)
		}
		if got := show(server.Do("RESTORE", "copy", "0", string(mine.Str), "REPLACE")); got != "+OK" {
			t.Fatalf("Redis gets the payload of %q: %s", key, got)
		}
		args := []string{read, "copy"}
		size := 1
		switch read {
		case "LRANGE", "ZRANGE":
			args = append(args, "0", "-1")
			if read == "ZRANGE" {
				args = append(args, "WITHSCORES")
			}
		case "HGETALL":
			size = 2
		}
		if read == "XINFO" {
			for _, args := range [][]string{{"XRANGE", "copy", "-", "+"}, {"XPENDING", "copy", "busy"}, {"XPENDING", "copy", "idle"}} {
				both(args...)
			}
			args := []string{"XINFO", "STREAM", "copy", "FULL"}
			if mine, theirs := show(redistest.MaskInfo(wire(o.do(args...), 2), true)), show(redistest.MaskInfo(server.Do(args...), true)); mine != theirs {
				t.Fatalf("the copy of %s is %s, in Redis %s", key, mine, theirs)
			}
			continue
		}
		order := read == "LRANGE" || read == "ZRANGE" || read == "GET"
		original := wire(o.do(append([]string{read, key}, args[2:]...)...), 2)
		for who, copied := range map[string]string{
			"here":     show(sortedUnless(order, wire(o.do(args...), 2), size)),
			"in Redis": show(sortedUnless(order, server.Do(args...), size)),
		} {
			if want := show(sortedUnless(order, original, size)); copied != want {
				t.Fatalf("%q %s is %.200s, want %.200s", key, who, copied, want)
			}
		}
	}
	if err := o.state.Verify(); err != nil {
		t.Fatal(err)
	}
}

// sealed puts version and sum behind a payload.
func sealed(payload string) string {
	b := append([]byte(payload), 10, 0)
	sum := ^crc64.Update(math.MaxUint64, crc64.MakeTable(bits.Reverse64(0xad93d23594c935a9)), b)
	return string(binary.LittleEndian.AppendUint64(b, sum))
}

func TestRestoreRefuses(t *testing.T) {
	server, o := redistest.Start(t), newOurs()
	o.do("SADD", "s", "a", "b")
	good := string(o.do("DUMP", "s").Str)
	damaged := good[:3] + "x" + good[4:]
	later := good[:len(good)-10] + "\xff\xff" + good[len(good)-8:]
	twice := sealed("\x02\x02\x01a\x01a")
	for _, args := range [][]string{
		{"RESTORE", "k", "0", good}, {"RESTORE", "k", "0", good}, {"RESTORE", "k", "0", good, "REPLACE"}, {"RESTORE", "k", "-1", good, "REPLACE"}, {"RESTORE", "k", "x", good, "REPLACE"},
		{"RESTORE", "k", "100", good}, {"RESTORE", "d", "0", damaged}, {"RESTORE", "d", "0", later}, {"RESTORE", "d", "0", ""}, {"RESTORE", "d", "0", "short"}, {"RESTORE", "d", "0", twice},
		{"RESTORE", "d", "0", good, "NOSUCH"}, {"RESTORE", "d", "0", good, "IDLETIME", "-1"}, {"RESTORE", "d", "0", good, "FREQ", "256"}, {"RESTORE", "d", "0", good, "IDLETIME", "1", "FREQ", "1"},
		{"RESTORE", "d", "1", good, "ABSTTL"}, {"EXISTS", "d"}, {"RESTORE", "k", "1", good, "ABSTTL", "REPLACE"}, {"EXISTS", "k"}, {"RESTORE", "i", "100000", good, "IDLETIME", "3"}, {"SCARD", "i"}, {"DUMP", "absent"},
	} {
		if mine, theirs := show(wire(o.do(args...), 2)), show(server.Do(args...)); mine != theirs {
			t.Errorf("%q answers %s, Redis %s", args, mine, theirs)
		}
	}
	if err := o.state.Verify(); err != nil {
		t.Fatal(err)
	}
}

// Whatever a payload says, RESTORE answers, and makes a whole value or none.
func FuzzRestore(f *testing.F) {
	o := newOurs()
	for _, args := range [][]string{{"SET", "k", "v"}, {"RPUSH", "k", "a", "1"}, {"SADD", "k", "a"}, {"HSET", "k", "a", "b"}, {"ZADD", "k", "1", "a"}, {"XADD", "k", "1-1", "f", "v"}} {
		o.do("DEL", "k")
		o.do(args...)
		b := o.do("DUMP", "k").Str
		f.Add(b[:len(b)-10])
	}
	// Packed by Redis: a list, a hash, a set of integers, a compressed string.
	f.Add([]byte("\x12\x01\x02\x0b\x0b\x00\x00\x00\x02\x00\x01\x01\x02\x01\xff"))
	f.Add([]byte("\x10\x0d\x0d\x00\x00\x00\x02\x00\x81a\x02\x81b\x02\xff"))
	f.Add([]byte("\x0b\x0a\x02\x00\x00\x00\x01\x00\x00\x00\x07\x00"))
	f.Add([]byte("\x00\xc3\x04\x0a\x00a\xe0\x00\x00"))
	// Fields that expire, of all four shapes.
	f.Add([]byte("\x18\x00\x68\xe5\xcf\x8b\x01\x00\x00\x02\x00\x01a\x01b\x41\x00\x01c\x01d"))
	f.Add([]byte("\x16\x01\x00\x01a\x01b"))
	f.Add([]byte("\x19\x00\x00\x00\x00\x00\x00\x00\x00\x0f\x0f\x00\x00\x00\x03\x00\x81a\x02\x81b\x02\x00\x01\xff"))
	f.Add([]byte("\x17\x0f\x0f\x00\x00\x00\x03\x00\x81a\x02\x81b\x02\x00\x01\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := newOurs()
		o.do("SET", "k", "old")
		var reply command.Reply
		// A byte may stand for a hundred and an element be two bytes, each of
		// which becomes a slice: that much, and no more.
		if n, most := allocated(func() { reply = o.do("RESTORE", "k", "0", sealed(string(b)), "REPLACE") }), uint64(4<<20+20_000*len(b)); n > most {
			t.Fatalf("%d bytes took %d bytes of memory, more than %d", len(b), n, most)
		}
		if err := o.state.Verify(); err != nil {
			t.Fatal(err)
		}
		if reply.Err() != nil && show(o.do("GET", "k")) != `"old"` {
			t.Fatalf("%v, and the old value is gone", reply.Err())
		}
		again := o.do("DUMP", "k")
		if again.IsNull() {
			return // a hash all of whose fields have expired long ago
		}
		if again.Err() != nil {
			t.Fatal(again.Err())
		}
		if r := show(o.do("RESTORE", "l", "0", string(again.Str))); r != "+OK" {
			t.Fatalf("our own payload: %s", r)
		}
	})
}

// allocated gives how many bytes fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// lzf compresses n zero bytes after a beginning, at best.
func lzf(begin string, n int) string {
	var b []byte
	for len(begin) > 0 {
		part := begin[:min(len(begin), 32)]
		b = append(append(b, byte(len(part)-1)), part...)
		begin = begin[len(part):]
	}
	b = append(b, 0, 0) // the zero to repeat
	for n--; n > 0; {
		k := min(n, 264)
		if k < 9 {
			b = append(b, byte(k-1))
			b = append(b, make([]byte, k)...)
		} else {
			b = append(b, 7<<5, byte(k-9), 0)
		}
		n -= k
	}
	return string(append(b, 0, 0xff))
}

func rdbLength(n int) string { return string(binary.BigEndian.AppendUint32([]byte{0x80}, uint32(n))) }

// A small payload that stands for millions of elements is refused before it has
// taken much.
func TestASmallPayloadCannotTakeMuchMemory(t *testing.T) {
	const size = 24 << 20
	head := string(binary.LittleEndian.AppendUint32(nil, size)) + "\xff\xff"
	packed := lzf(head, size-len(head)-1) // a listpack of zeros
	oldHead := string(binary.LittleEndian.AppendUint32(nil, size)) + "\x00\x00\x00\x00\xff\xff"
	ziplist := lzf(oldHead, size-len(oldHead)-1)
	intset := lzf("\x02\x00\x00\x00"+string(binary.LittleEndian.AppendUint32(nil, (size-8)/2)), size-9)
	compressed := func(s string, size int) string { return "\xc3" + rdbLength(len(s)) + rdbLength(size) + s }
	for name, payload := range map[string]string{
		"a packed hash":        "\x10" + compressed(packed, size),
		"an old packed hash":   "\x0d" + compressed(ziplist, size),
		"an old list":          "\x0e\x01" + compressed(ziplist, size),
		"a packed list":        "\x12\x01\x02" + compressed(packed, size),
		"a packed stream":      "\x15\x01\x10" + strings.Repeat("\x00", 16) + compressed(packed, size),
		"a packed timed hash":  "\x17" + compressed(packed, size),
		"a set of integers":    "\x0b" + compressed(intset, size),
		"a list of nothings":   "\x01" + rdbLength(8<<20) + strings.Repeat("\x00", 8<<20),
		"a sorted set of ones": "\x03" + rdbLength(4<<20) + strings.Repeat("\x00\x01\x31", 4<<20),
	} {
		o := newOurs()
		var reply command.Reply
		n := allocated(func() { reply = o.do("RESTORE", "k", "0", sealed(payload)) })
		if reply.Err() == nil {
			t.Errorf("%s is taken", name)
		}
		if n > 300<<20 {
			t.Errorf("%s: %d KB take %d MB", name, len(payload)>>10, n>>20)
		}
	}
}

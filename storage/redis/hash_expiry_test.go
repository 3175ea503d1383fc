package redis_test

import (
	"fmt"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// A cart whose reservations run out one by one.
func TestFieldsExpire(t *testing.T) {
	o := newOurs()
	play(t, o, `
		HSET cart apple 1 pear 2 plum 3 fig 4 => 4
		HEXPIRE cart 10 FIELDS 2 apple nothing => [1 -2]
		HPEXPIRE cart 500 FIELDS 1 pear => [1]
		HEXPIRE absent 10 FIELDS 2 a b => [-2 -2]
		HTTL cart FIELDS 4 apple pear plum nothing => [10 1 -1 -2]
		HPTTL cart FIELDS 1 apple => [10000]
		HEXPIRETIME cart FIELDS 1 apple => [1700000010]
		HPEXPIRETIME cart FIELDS 1 pear => [1700000000500]
		HEXPIRE cart 20 NX FIELDS 2 apple plum => [0 1]
		HEXPIRE cart 20 XX FIELDS 2 apple fig => [1 0]
		HEXPIRE cart 5 GT FIELDS 2 apple fig => [0 0]
		HEXPIRE cart 5 LT FIELDS 2 apple fig => [1 1]
		HPERSIST cart FIELDS 3 fig fig nothing => [1 -1 -2]
		HINCRBY cart apple 1 => 2
		HTTL cart FIELDS 1 apple => [5]
		HSET cart apple 1 => 0
		HTTL cart FIELDS 1 apple => [-1]
		OBJECT ENCODING cart => "listpackex"
	`)
	o.state.Now += 500
	play(t, o, `
		HGET cart pear => nil
		HMGET cart apple pear => ["1" nil]
		HEXISTS cart pear => 0
		HSTRLEN cart pear => 0
		HLEN cart => 3
		HGETALL cart => ["apple" "1" "plum" "3" "fig" "4"]
		HKEYS cart => ["apple" "plum" "fig"]
		HSCAN cart 0 => ["0" ["apple" "1" "plum" "3" "fig" "4"]]
		HDEL cart pear => 0
		HSETNX cart pear 7 => 1
		HTTL cart FIELDS 1 pear => [-1]
		HEXPIRE cart 0 FIELDS 2 pear apple => [2 2]
		HLEN cart => 2
		HDEL cart fig => 1
		EXISTS cart => 1
		COPY cart copy => 1
	`)
	o.state.Now += 20_000
	play(t, o, `
		EXISTS cart copy => 0
		TYPE cart => +none
		DBSIZE => 0
		KEYS * => []
		HLEN cart => 0
		HSET cart apple 1 => 1
		HGETALL cart => ["apple" "1"]
		HEXPIREAT cart 1 FIELDS 1 apple => [2]
		EXISTS cart => 0
	`)
	if err := o.state.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestFieldsAreSetAndReadWithATime(t *testing.T) {
	o := newOurs()
	play(t, o, `
		HSETEX h FXX FIELDS 1 a 1 => 0
		HSETEX h EX 10 FIELDS 2 a 1 b 2 => 1
		HSETEX h FNX FIELDS 2 b 3 c 3 => 0
		HSETEX h FXX PX 500 FIELDS 1 b 3 => 1
		HPTTL h FIELDS 2 a b => [10000 500]
		HSETEX h KEEPTTL FIELDS 2 b 4 c 4 => 1
		HPTTL h FIELDS 3 a b c => [10000 500 -1]
		HGETEX h FIELDS 2 b nothing => ["4" nil]
		HGETEX h EX 100 FIELDS 2 b c => ["4" "4"]
		HTTL h FIELDS 2 b c => [100 100]
		HGETEX h PERSIST FIELDS 2 b c => ["4" "4"]
		HTTL h FIELDS 2 b c => [-1 -1]
		HGETEX h PXAT 1 FIELDS 1 c => ["4"]
		HGETDEL h FIELDS 3 a c nothing => ["1" nil nil]
		HSETEX h EXAT 1 FIELDS 2 b 1 x 1 => 1
		EXISTS h => 0
		HGETDEL h FIELDS 1 a => [nil]
		HGETEX h EX 1 FIELDS 1 a => [nil]
		EXISTS h => 0
		HSET h f 1 => 1
		HEXPIRE h 5 FIELDS 2 f => -ERR The `+"`numfields`"+` parameter must match the number of arguments
		HEXPIRE h 5 FIELDS 0 f => -ERR Parameter `+"`numFields`"+` should be greater than 0
		HEXPIRE h 5 FIELD 1 f => -ERR Mandatory argument FIELDS is missing or not at the right position
		HEXPIRE h -5 FIELDS 1 f => -ERR invalid expire time, must be >= 0
		HEXPIRE h 99999999999999 FIELDS 1 f => -ERR invalid expire time in 'hexpire' command
		HTTL h FIELDS x f => -ERR Number of fields must be a positive integer
		HGETEX h EX 5 PX 5 FIELDS 1 f => -ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified
		HSETEX h FNX FXX FIELDS 1 f v => -ERR Only one of FXX or FNX arguments can be specified
		HSETEX h EX 1 FIELDS 2 f v => -ERR wrong number of arguments for 'hsetex' command
		HSETEX h EX 1 FIELDS x f v => -ERR invalid number of fields
		HSETEX h NOW 1 FIELDS 1 f v => -ERR unknown argument: NOW
		SET s v => +OK
		HTTL s FIELDS 1 f => -WRONGTYPE Operation against a key holding the wrong kind of value
		HSETEX s FIELDS 1 f v => -WRONGTYPE Operation against a key holding the wrong kind of value
	`)
}

// A hash of 200 fields keeps their times through a payload, and what has
// expired meanwhile does not come back.
func TestPayloadsKeepTheTimesOfFields(t *testing.T) {
	for _, n := range []int{4, 200} {
		o := newOurs()
		args := []string{"HSET", "h"}
		for i := range n {
			args = append(args, fmt.Sprint("f", i), fmt.Sprint(i))
		}
		o.do(args...)
		play(t, o, `
			HPEXPIRE h 1000 FIELDS 2 f0 f1 => [1 1]
			HEXPIRE h 100 FIELDS 1 f2 => [1]
		`)
		payload := string(o.do("DUMP", "h").Str)
		o.state.Now += 1000
		o.do("RESTORE", "again", "0", payload)
		play(t, o, `
			HPTTL again FIELDS 4 f0 f1 f2 f3 => [-2 -2 99000 -1]
		`)
		if got := o.do("HLEN", "again").Int; got != int64(n-2) {
			t.Errorf("%d fields came back, want %d", got, n-2)
		}
		if err := o.state.Verify(); err != nil {
			t.Fatal(err)
		}
	}
}

// Fields are drawn only from those that exist, however few these are.
func TestOnlyLivingFieldsAreDrawn(t *testing.T) {
	o := newOurs()
	var fields []string
	for i := range 400 {
		o.do("HSET", "h", fmt.Sprint("f", i), "v")
		fields = append(fields, fmt.Sprint("f", i))
	}
	o.do(append([]string{"HEXPIRE", "h", "1", "FIELDS", "398"}, fields[2:]...)...)
	o.state.Now += 1000
	seen := map[string]bool{}
	for range 50 {
		seen[o.do("HRANDFIELD", "h").Text()] = true
	}
	if len(seen) != 2 || !seen["f0"] || !seen["f1"] {
		t.Errorf("drawn were %v", seen)
	}
	if r := o.do("HRANDFIELD", "h", "10"); len(r.Elems) != 2 {
		t.Errorf("10 different ones are %s", show(r))
	}
	if r := o.do("HRANDFIELD", "h", "-10"); len(r.Elems) != 10 {
		t.Errorf("10 of any are %s", show(r))
	}
}

// A field that expires is removed by the sweep that the log carries, at the
// same index everywhere, and no read before shows it.
func TestASweepRemovesFieldsWithoutAnybodyNoticing(t *testing.T) {
	o := newOurs()
	play(t, o, `
		HSET h a 1 b 2 => 2
		HPEXPIRE h 10 FIELDS 1 a => [1]
	`)
	o.state.Now += 10
	before := show(command.Array(o.do("HGETALL", "h"), o.do("HLEN", "h"), o.do("HTTL", "h", "FIELDS", "2", "a", "b")))
	if err := o.state.Write(func(tx *keyspace.Tx) error { tx.Sweep(10); return nil }); err != nil {
		t.Fatal(err)
	}
	after := show(command.Array(o.do("HGETALL", "h"), o.do("HLEN", "h"), o.do("HTTL", "h", "FIELDS", "2", "a", "b")))
	if before != after {
		t.Errorf("before the sweep %s, after it %s", before, after)
	}
	if ms, ok := o.state.Read().NextExpiry(); ok {
		t.Errorf("something is due at %d", ms)
	}
}

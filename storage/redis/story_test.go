package redis_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/redis/redistest"
	"pgregory.net/rapid"
)

// play runs lines "command … => reply" one after another. A line "+ ms" lets
// time pass.
func play(t *testing.T, o *ours, script string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(script), "\n") {
		line = strings.TrimSpace(line)
		if ms, ok := strings.CutPrefix(line, "+ "); ok {
			n, err := strconv.ParseInt(ms, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			o.state.Now += n
			continue
		}
		cmd, want, _ := strings.Cut(line, " => ")
		args := strings.Fields(strings.ReplaceAll(cmd, `""`, "\x01"))
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "\x01", "")
		}
		if got := show(wire(o.do(args...), 2)); got != want {
			t.Errorf("%s\ngives %s\nwant  %s", cmd, got, want)
		}
	}
	if err := o.state.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestAKeyLivesAndExpires(t *testing.T) {
	play(t, newOurs(), `
		SET k v EX 10 => +OK
		TTL k => 10
		+ 600
		TTL k => 9
		PTTL k => 9400
		SET k w KEEPTTL => +OK
		PTTL k => 9400
		INCR k => -ERR value is not an integer or out of range
		EXPIRE k 5 GT => 0
		EXPIRE k 5 LT => 1
		+ 4999
		GET k => "w"
		DBSIZE => 1
		+ 1
		GET k => nil
		EXISTS k => 0
		TTL k => -2
		DBSIZE => 0
		KEYS * => []
		SCAN 0 => ["0" []]
		RANDOMKEY => nil
		RENAME k l => -ERR no such key
		SADD k m => 1
		TTL k => -1
		SETEX h 1 v => +OK
		APPEND h w => 2
		PTTL h => 1000
		+ 1000
		APPEND h x => 1
		PTTL h => -1
		EXPIRE h -1 => 1
		EXISTS h => 0
		SET e v PXAT 1 => +OK
		EXISTS e => 0
		HSET session user 1 => 1
		PEXPIRE session 100 => 1
		+ 100
		HSET session user 2 => 1
		PTTL session => -1
	`)
}

func TestSecretsStayHidden(t *testing.T) {
	o := newOurs()
	play(t, o, `
		SET secret:token_key v => +OK
		RANDOMKEY => nil
		KEYS * => []
		KEYS secret:* => []
		SCAN 0 COUNT 100 => ["0" []]
		SET open v => +OK
		RANDOMKEY => "open"
		KEYS * => ["open"]
		SCAN 0 COUNT 100 => ["0" ["open"]]
		DBSIZE => 1
	`)
}

// What Redis would keep a set as goes by its members.
func TestEncodingsOfSets(t *testing.T) {
	o := newOurs()
	play(t, o, `
		SADD s 1 -2 9223372036854775807 => 3
		OBJECT ENCODING s => "intset"
		SADD s 01 => 1
		OBJECT ENCODING s => "hashtable"
		SREM s 01 => 1
		OBJECT ENCODING s => "intset"
		SADD t a => 1
		OBJECT ENCODING t => "hashtable"`)
	for n, want := range map[int]string{512: "intset", 513: "hashtable"} {
		key := fmt.Sprint("numbers", n)
		var all strings.Builder
		for i := range n {
			fmt.Fprint(&all, " ", i)
		}
		play(t, o, fmt.Sprintf("SADD %s%s => %d\nOBJECT ENCODING %s => %q", key, all.String(), n, key, want))
	}
}

// Numbers at the ends of their range give an error, never a panic or a giant
// allocation: a panic would repeat on every node.
func TestNumbersAtTheEdge(t *testing.T) {
	play(t, newOurs(), `
		SET k hello => +OK
		SADD s a b c => 3
		ZADD z 1 a 2 b => 2
		HSET h a 1 => 1
		SETRANGE k 536870912 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
		SETRANGE k 9223372036854775807 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
		SETRANGE k -1 x => -ERR offset is out of range
		GETRANGE k -9223372036854775808 9223372036854775807 => "hello"
		GETRANGE k 9223372036854775807 -1 => ""
		SRANDMEMBER s -9223372036854775808 => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
		SRANDMEMBER s -9223372036854775807 => -ERR value is out of range: no more than 1048576 random elements at a time
		HRANDFIELD h -9223372036854775807 => -ERR value is out of range: no more than 1048576 random elements at a time
		HRANDFIELD h -9223372036854775807 WITHVALUES => -ERR value is out of range
		ZRANDMEMBER z -4611686018427387905 WITHSCORES => -ERR value is out of range
		SPOP s -1 => -ERR value is out of range, must be positive
		ZRANGE z -9223372036854775808 9223372036854775807 => ["a" "b"]
		ZRANGE z 0 -1 BYSCORE LIMIT 9223372036854775807 9223372036854775807 => []
		ZREVRANGE z 9223372036854775807 -9223372036854775808 => []
		ZREMRANGEBYRANK z 9223372036854775807 9223372036854775807 => 0
		ZADD z nan a => -ERR value is not a valid float
		ZADD z inf a => 0
		ZINCRBY z -inf a => -ERR resulting score is not a number (NaN)
		ZSCORE z a => "inf"
		EXPIRE k 9223372036854775807 => -ERR invalid expire time in 'expire' command
		PEXPIRE k 9223372036854775807 => -ERR invalid expire time in 'pexpire' command
		PEXPIREAT k 9223372036854775807 => 1
		SET k 9223372036854775807 EX 9223372036854775807 => -ERR invalid expire time in 'set' command
		SET k 9223372036854775807 => +OK
		INCR k => -ERR increment or decrement would overflow
		DECRBY k -9223372036854775808 => -ERR decrement would overflow
		INCRBYFLOAT k inf => -ERR increment would produce NaN or Infinity
		INCRBYFLOAT k 1e999999999 => -ERR value is not a valid float
		INCRBYFLOAT k nan => -ERR value is not a valid float
		XADD x 18446744073709551615-18446744073709551615 f v => "18446744073709551615-18446744073709551615"
		XADD x * f v => -ERR The stream has exhausted the last possible ID, unable to add more items
		XRANGE x (18446744073709551615-18446744073709551615 + => -ERR invalid start ID for the interval
		XREVRANGE x + (18446744073709551615-18446744073709551615 => -ERR invalid start ID for the interval
		XREAD STREAMS x 18446744073709551615-18446744073709551615 => nil[]
		SINTERCARD 9223372036854775807 s => -ERR Number of keys can't be greater than number of args
		ZUNION 9223372036854775807 z => -ERR syntax error
		SCAN 18446744073709551615 => ["0" []]
		SCAN 18446744073709551616 => -ERR invalid cursor
		SCAN -1 => -ERR invalid cursor
		SCAN 0 COUNT 9223372036854775807 MATCH z => ["0" ["z"]]
		HSCAN h 99999999999 => ["0" ["a" "1"]]
	`)
}

func TestAConsumerGroupHandsOutWork(t *testing.T) {
	play(t, newOurs(), `
		XADD jobs 1-0 do wash => "1-0"
		XADD jobs 2-0 do dry => "2-0"
		XGROUP CREATE jobs crew 0 => +OK
		XREADGROUP GROUP crew alice COUNT 1 STREAMS jobs > => [["jobs" [["1-0" ["do" "wash"]]]]]
		XREADGROUP GROUP crew bob STREAMS jobs > => [["jobs" [["2-0" ["do" "dry"]]]]]
		XREADGROUP GROUP crew bob STREAMS jobs > => nil[]
		XPENDING jobs crew => [2 "1-0" "2-0" [["alice" "1"] ["bob" "1"]]]
		XACK jobs crew 2-0 => 1
		+ 60000
		XREADGROUP GROUP crew alice STREAMS jobs 0 => [["jobs" [["1-0" ["do" "wash"]]]]]
		+ 30000
		XPENDING jobs crew - + 10 => [["1-0" "alice" 30000 2]]
		XAUTOCLAIM jobs crew bob 60000 0 => ["0-0" [] []]
		+ 30000
		XAUTOCLAIM jobs crew bob 60000 0 => ["0-0" [["1-0" ["do" "wash"]]] []]
		XPENDING jobs crew - + 10 => [["1-0" "bob" 0 3]]
		XDEL jobs 1-0 => 1
		XAUTOCLAIM jobs crew alice 0 0 => ["0-0" [] ["1-0"]]
		XGROUP DELCONSUMER jobs crew bob => 0
		XINFO CONSUMERS jobs crew => [["name" "alice" "pending" 0 "idle" 60000]]
	`)
}

// The same commands with the same times and seeds give the same rows on every
// node, however often the log is replayed.
func TestReplayGivesTheSameState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		run := func() (*ours, string) {
			o := newOurs()
			o.rand = rand.New(rand.NewPCG(seed, 1))
			m := &redistest.Maker{R: rand.New(rand.NewPCG(seed, 2)), Base: o.state.Now/1000 + 100_000}
			var replies strings.Builder
			for range 300 {
				o.state.Now += int64(m.R.IntN(3))
				replies.WriteString(show(o.do(m.Command(m.Pick(redistest.Templates...))...)))
			}
			return o, replies.String()
		}
		a, first := run()
		b, second := run()
		if first != second {
			t.Fatal("the replies differ")
		}
		if a.state.Hash != b.state.Hash {
			t.Fatal("the states differ")
		}
		if err := a.state.Verify(); err != nil {
			t.Fatal(err)
		}
	})
}

// What is drawn at random is spread over the whole collection.
func TestRandomMembersAreSpread(t *testing.T) {
	for _, size := range []int{10, 100, 2000} {
		o := newOurs()
		for i := range size {
			o.do("SADD", "s", fmt.Sprint("member ", i))
		}
		seen := map[string]int{}
		const draws = 20_000
		for range draws / 100 {
			for _, m := range o.do("SRANDMEMBER", "s", "-100").Elems {
				seen[string(m.Str)]++
			}
		}
		most := 0
		for _, n := range seen {
			most = max(most, n)
		}
		if len(seen) < size*9/10 {
			t.Errorf("of %d members %d were ever drawn", size, len(seen))
		}
		if limit := 4*draws/size + 30; most > limit {
			t.Errorf("of %d members one was drawn %d times of %d", size, most, draws)
		}
	}
}

// A pattern of many stars takes bounded time: this test ends.
func TestAPatternOfManyStars(t *testing.T) {
	o := newOurs()
	key := strings.Repeat("a", 4000)
	o.do("SET", key, "v")
	pattern := strings.Repeat("a*", 2000) + "b"
	if r := o.do("KEYS", pattern); len(r.Elems) != 0 {
		t.Fatal("matches what has no b")
	}
	if r := o.do("SCAN", "0", "MATCH", strings.Repeat("*", 1_000_000)); len(r.Elems[1].Elems) != 1 {
		t.Fatal("stars match everything")
	}
}

// FuzzCommands gives any bytes to every command: no panic, and rows that agree.
func FuzzCommands(f *testing.F) {
	for i, s := range []string{"SET\nk\nv", "ZADD\nz\n1\na", "XADD\nx\n*\nf\nv", "HSET\nh\nf\nv", "XGROUP\nCREATE\nx\ng\n0", "XREADGROUP\nGROUP\ng\nc\nSTREAMS\nx\n>"} {
		f.Add(uint64(i), s)
	}
	f.Fuzz(func(t *testing.T, seed uint64, text string) {
		o := newOurs()
		m := &redistest.Maker{R: rand.New(rand.NewPCG(seed, 2)), Base: o.state.Now / 1000}
		for range 10 {
			o.do(m.Command(m.Pick(redistest.Templates...))...)
		}
		o.do(strings.Split(text, "\n")...)
		if err := o.state.Verify(); err != nil {
			t.Fatal(err)
		}
	})
}

// What the domain keeps is neither flushed away nor sorted into the open, and
// what is the group's own is not counted.
func TestDomainKeysAreNotFlushed(t *testing.T) {
	o := newOurs()
	play(t, o, `
		SET mine 1 => +OK
		FLUSHDB => +OK
		DBSIZE => 0
		HSET system:group epoch e => 1
		SET secret:token_key hush => +OK
		SET secret:session:1 x EX 100 => +OK
		DBSIZE => 0
		RANDOMKEY => nil
		KEYS * => []
		KEYS s* => []
		KEYS system:* => ["system:group"]
		SCAN 0 COUNT 100 => ["0" []]
		SCAN 0 COUNT 100 MATCH system:g* => ["0" ["system:group"]]
		SCAN 0 COUNT 100 MATCH secret:* => ["0" []]
		HSET site:shop name Shop => 1
		DBSIZE => 1
		KEYS * => ["site:shop"]
		RPUSH names token_key => 1
		SORT names BY nosort GET secret:* GET # => [nil "token_key"]
		SORT names ALPHA BY secret:* => ["token_key"]
		MSET a 1 agent 1 agent; 1 b 1 secret 1 secret; 1 site; 1 zz 1 => +OK
		SET visitor:1 v => +OK
		SET visitor: v => +OK
		DBSIZE => 12
		FLUSHDB => +OK
		DBSIZE => 3
		KEYS * => ["site:shop" "visitor:" "visitor:1"]
		EXISTS secret:token_key secret:session:1 system:group => 3
		SET mine 1 => +OK
	`)
	play(t, o, `
		SWAPDB 0 1 => +OK
		DBSIZE => 3
		EXISTS mine visitor:1 secret:token_key => 2
		SWAPDB 1 0 => +OK
		EXISTS mine => 1
	`)
	o.db = 2
	o.do("SET", "visitor:2", "not the domain's")
	if got := show(o.do("SWAPDB", "2", "0")); !strings.HasPrefix(got, "-DENIED ") {
		t.Errorf("SWAPDB answers %s", got)
	}
	o.do("FLUSHDB")
	o.db = 1
	play(t, o, `
		SET mine 1 => +OK
		EXPIRE mine 10 => 1
		SWAPDB 1 2 => +OK
		DBSIZE => 0
		SWAPDB 2 1 => +OK
		TTL mine => 10
		MOVE mine 3 => 1
		EXISTS mine => 0
		SET other 1 => +OK
		FLUSHDB ASYNC => +OK
		DBSIZE => 0
	`)
	o.db = 3
	play(t, o, `
		TTL mine => 10
		FLUSHALL => +OK
		DBSIZE => 0
	`)
	o.db = 0
	play(t, o, `
		KEYS * => ["site:shop" "visitor:" "visitor:1"]
		EXISTS secret:token_key secret:session:1 system:group mine => 3
	`)
}

package resp

import (
	"bytes"
	"math"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
)

// Each kind of reply as clients of either protocol see it on the wire.
func TestReplies(t *testing.T) {
	one, two := command.Int(1), command.BulkString("b")
	for _, tc := range []struct {
		reply        command.Reply
		resp2, resp3 string
	}{
		{command.Null(), "$-1\r\n", "_\r\n"},
		{command.NullArray(), "*-1\r\n", "_\r\n"},
		{command.OK, "+OK\r\n", "+OK\r\n"},
		{command.Fail(command.Errorf("ERR", "a\r\nb")), "-ERR a  b\r\n", "-ERR a  b\r\n"},
		{command.Simple("a\nb"), "+a b\r\n", "+a b\r\n"},
		{command.Int(math.MinInt64), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
		{command.BulkString("a\r\n\x00"), "$4\r\na\r\n\x00\r\n", "$4\r\na\r\n\x00\r\n"},
		{command.BulkString(""), "$0\r\n\r\n", "$0\r\n\r\n"},
		{command.Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"},
		{command.Double(0.1), "$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n"},
		{command.Double(1e20), "$5\r\n1e+20\r\n", ",1e+20\r\n"},
		{command.Double(3), "$1\r\n3\r\n", ",3\r\n"},
		{command.Double(math.Inf(-1)), "$4\r\n-inf\r\n", ",-inf\r\n"},
		{command.Double(math.Inf(1)), "$3\r\ninf\r\n", ",inf\r\n"},
		{command.Reply{Kind: command.KindBool, Int: 1}, ":1\r\n", "#t\r\n"},
		{command.Reply{Kind: command.KindBool}, ":0\r\n", "#f\r\n"},
		{command.Array(), "*0\r\n", "*0\r\n"},
		{command.Array(one, command.Array(two)), "*2\r\n:1\r\n*1\r\n$1\r\nb\r\n", "*2\r\n:1\r\n*1\r\n$1\r\nb\r\n"},
		{command.Map(two, one), "*2\r\n$1\r\nb\r\n:1\r\n", "%1\r\n$1\r\nb\r\n:1\r\n"},
		{command.Set(one, two), "*2\r\n:1\r\n$1\r\nb\r\n", "~2\r\n:1\r\n$1\r\nb\r\n"},
		{command.Pairs(two, one), "*2\r\n$1\r\nb\r\n:1\r\n", "*1\r\n*2\r\n$1\r\nb\r\n:1\r\n"},
		{command.KeyTable(two, one), "*1\r\n*2\r\n$1\r\nb\r\n:1\r\n", "%1\r\n$1\r\nb\r\n:1\r\n"},
		{command.Verbatim("text\n"), "$5\r\ntext\n\r\n", "=9\r\ntxt:text\n\r\n"},
	} {
		if got := string(appendReply(nil, tc.reply, resp2)); got != tc.resp2 {
			t.Errorf("RESP2: %+v is %q, want %q", tc.reply, got, tc.resp2)
		}
		if got := string(appendReply(nil, tc.reply, resp3)); got != tc.resp3 {
			t.Errorf("RESP3: %+v is %q, want %q", tc.reply, got, tc.resp3)
		}
	}
	push := []command.Reply{two, one}
	if got := string(appendPush(nil, push, resp2)); got != "*2\r\n$1\r\nb\r\n:1\r\n" {
		t.Errorf("RESP2: a push is %q", got)
	}
	if got := string(appendPush(nil, push, resp3)); got != ">2\r\n$1\r\nb\r\n:1\r\n" {
		t.Errorf("RESP3: a push is %q", got)
	}
}

// No generic command names its keys in a way that the check of domain keys
// does not see.
func TestKeysOfAllGenericCommandsAreFound(t *testing.T) {
	without := map[string]bool{"RANDOMKEY": true, "KEYS": true, "SCAN": true, "DBSIZE": true, "FLUSHDB": true, "FLUSHALL": true, "SWAPDB": true}
	for _, spec := range redis.Commands() {
		if spec.First == 0 && movableKeys(spec.Name) == nil && !without[spec.Name] {
			t.Errorf("nobody can tell the keys of %s: clients could reach the domain's through it", spec.Name)
		}
	}
	srv := startServer(t, Config{}, newFakeStore())
	c := dial(t, srv.Addr())
	for _, args := range [][]string{
		{"XREAD", "COUNT", "1", "STREAMS", "a", "secret:x", "0", "0"},
		{"XREADGROUP", "GROUP", "g", "c", "STREAMS", "secret:x", ">"},
		{"SINTERCARD", "2", "a", "secret:x"}, {"ZUNION", "2", "a", "secret:x", "WITHSCORES"}, {"ZMPOP", "1", "secret:x", "MIN"},
		{"ZUNIONSTORE", "free", "2", "a", "secret:x"}, {"ZUNIONSTORE", "secret:x", "1", "a"}, {"ZUNIONSTORE", "site:x:visitors", "1", "a"},
		{"SINTERSTORE", "free", "a", "secret:x"}, {"SMOVE", "free", "agent:x:chats", "m"}, {"COPY", "secret:x", "free"}, {"MGET", "a", "secret:x"},
		{"MSET", "a", "1", "site:x", "2"}, {"OBJECT", "ENCODING", "secret:x"}, {"XGROUP", "CREATE", "site:x:events", "g", "$", "MKSTREAM"},
		{"XINFO", "STREAM", "secret:x"}, {"RENAME", "a", "secret:x"}, {"WATCH", "a", "secret:x"}, {"MEMORY", "USAGE", "secret:x"},
		{"SORT", "a", "STORE", "site:x:list"}, {"SORT", "secret:x"}, {"GEORADIUS", "a", "1", "1", "1", "m", "STORE", "site:x:list"}, {"GEORADIUSBYMEMBER", "a", "m", "1", "m", "STOREDIST", "secret:x"},
	} {
		if got := c.do(args...); len(got) < 7 || got[:7] != "-DENIED" {
			t.Errorf("%s answers %s", args, got)
		}
	}
}

// What is packed is written as the same elements one by one, and can be unpacked.
func TestPacked(t *testing.T) {
	b := func(s string) command.Reply { return command.BulkString(s) }
	var flat, nested command.Pack
	for _, s := range []string{"a", "", "two\r\nlines", "d"} {
		flat.Bulk([]byte(s))
	}
	nested.Group(2)
	nested.Bulk([]byte("id"))
	nested.Group(0)
	nested.Group(2)
	nested.Bulk([]byte("id2"))
	nested.Group(1)
	nested.Bulk([]byte("f"))
	elems := []command.Reply{b("a"), b(""), b("two\r\nlines"), b("d")}
	var none command.Pack
	for _, tc := range []struct{ packed, plain command.Reply }{
		{flat.Array(), command.Array(elems...)},
		{flat.Set(), command.Set(elems...)},
		{flat.Map(), command.Map(elems...)},
		{none.Map(), command.Map()},
		{nested.Array(), command.Array(command.Array(b("id"), command.Array()), command.Array(b("id2"), command.Array(b("f"))))},
		{command.Array(b("0"), flat.Array()), command.Array(b("0"), command.Array(elems...))},
	} {
		for _, proto := range []int{resp2, resp3} {
			packed, plain := appendReply(nil, tc.packed, proto), appendReply(nil, tc.plain, proto)
			if !bytes.Equal(packed, plain) {
				t.Errorf("RESP%d: packed %q, plain %q", proto, packed, plain)
			}
			if unpacked := appendReply(nil, tc.packed.Unpacked(), proto); !bytes.Equal(unpacked, plain) {
				t.Errorf("RESP%d: unpacked %q, plain %q", proto, unpacked, plain)
			}
		}
	}
}

package resp

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
)

// keyCommands are commands that do something to keys in every way that has an
// event, and in some that have none.
const keyCommands = `
SET a 1
SET a 2 EX 100
SET a 3 NX
SETNX b 1
SETEX b 100 x
PSETEX b 100000 x
GETSET a 9
MSET a 1 c 2 d 3
MSETNX a 1 z 2
MSETNX y 1 z 2
INCR a
DECRBY a 2
INCRBYFLOAT a 1.5
APPEND b more
SETRANGE b 2 xyz
SETRANGE b 2 ""
SETBIT bits 7 1
SETBIT bits 7 1
BITFIELD bits SET u8 0 200
BITFIELD bits GET u8 0
BITOP AND both bits bits
BITOP AND both none none
PFADD hll a b
PFADD hll a b
PFMERGE hll2 hll
GETDEL y
GETDEL y
GETEX a EX 100
GETEX a PERSIST
GETEX a PERSIST
GETEX a
GETEX a EXAT 1
SET a 1
EXPIRE a 100
PEXPIREAT a 99999999999999
PERSIST a
PERSIST a
EXPIRE a -1
EXPIRE none 10
DEL b c none
UNLINK d
SET r 1
RENAME r r2
SET r 1
RENAME r r2
RENAMENX r2 r3
RENAME r3 r3
COPY r3 r4
COPY r3 r4
COPY r3 r4 REPLACE
MOVE r4 1
MOVE r4 1
HSET h f v g w
HSET h f v
HSETNX h f v
HSETNX h n 1
HINCRBY h n 2
HINCRBYFLOAT h n 0.5
HDEL h f none
HDEL h none
HDEL h g n
HMSET h2 f v
RPUSH l a b c d e f
LPUSH l z
LPUSHX none z
RPUSHX l q
LINSERT l BEFORE b x
LINSERT l BEFORE nothing x
LSET l 0 y
LREM l 0 nothing
LREM l 0 x
LTRIM l 1 -1
LPOP l
RPOP l
LPOP l 2
LPOP none
LMOVE l l2 LEFT RIGHT
RPOPLPUSH l l
LMPOP 2 none l RIGHT COUNT 2
LMOVE l2 l3 RIGHT LEFT
LMPOP 1 l3 LEFT
BLPOP none l3 0.01
RPUSH l3 a b c
BLPOP none l3 1
BRPOP l3 1
BLMOVE l3 l4 LEFT LEFT 1
LTRIM l4 5 9
RPUSH sorting 3 1 2
SORT sorting STORE sorted
SORT none STORE sorted
SADD s a b c
SADD s a
SREM s a none
SREM s none
SMOVE s s2 b
SMOVE s s2 none
SMOVE s s2 c
SADD s x
SPOP s
SADD s x y z
SPOP s 2
SPOP s 10
SADD t a b
SADD u b c
SINTERSTORE v t u
SUNIONSTORE v t u
SDIFFSTORE v t t
SDIFFSTORE v t t
ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g
ZADD z 1 a
ZADD z XX CH 9 a
ZADD z NX INCR 1 new
ZINCRBY z 1 a
ZINCRBY z 0 a
ZREM z new none
ZREM z none
ZREMRANGEBYRANK z 0 0
ZREMRANGEBYSCORE z 3 3
ZREMRANGEBYSCORE z 100 200
ZREMRANGEBYLEX zlex - +
ZADD zlex 0 a 0 b 0 c
ZREMRANGEBYLEX zlex [a [a
ZPOPMIN z
ZPOPMAX z 1
ZMPOP 2 none z MAX
BZPOPMIN none z 1
ZRANGESTORE zr zlex 0 -1
ZRANGESTORE zr none 0 -1
ZUNIONSTORE zu 2 z zlex
ZINTERSTORE zu 2 zlex zlex
ZDIFFSTORE zu 2 zlex zlex
ZPOPMIN zlex 10
GEOADD geo 13.36 38.11 Palermo 15.08 37.50 Catania
GEOADD geo 13.36 38.11 Palermo
GEOSEARCHSTORE near geo FROMLONLAT 15 37 BYRADIUS 200 km
GEOSEARCHSTORE near geo FROMLONLAT 0 0 BYRADIUS 1 km
GEORADIUS geo 15 37 200 km STORE near
XADD x 1-1 f v
XADD x MAXLEN = 1 2-1 f v
XADD none NOMKSTREAM * f v
XGROUP CREATE x g 0
XGROUP CREATE x2 g $ MKSTREAM
XGROUP SETID x g 0
XGROUP CREATECONSUMER x g c1
XGROUP CREATECONSUMER x g c1
XREADGROUP GROUP g c2 STREAMS x >
XREADGROUP GROUP g c2 STREAMS x >
XCLAIM x g c3 0 2-1
XAUTOCLAIM x g c4 0 0
XACK x g 2-1
XGROUP DELCONSUMER x g c1
XGROUP DELCONSUMER x g c1
XGROUP DESTROY x g
XGROUP DESTROY x g
XSETID x 9-9
XDEL x 2-1
XDEL x 2-1
XADD x 10-1 f v
XTRIM x MAXLEN 0
XTRIM x MAXLEN 0
DEL x
SET wrong text
LPUSH wrong x
INCR wrong
CONFIG SET notify-keyspace-events KEAmn
GET missing
MGET wrong missing
HGET missing f
LRANGE missing 0 -1
CONFIG SET notify-keyspace-events Kg$
SET only 1
LPUSH l 1
DEL only l
FLUSHALL
FLUSHDB
CONFIG SET notify-keyspace-events Es
SADD s 1
SELECT 3
SADD s 1
MOVE s 4
CONFIG SET notify-keyspace-events K
SADD s 1
CONFIG GET notify-keyspace-events
CONFIG SET notify-keyspace-events q`

// What happens to keys is told as Redis tells it: the same commands, there
// and here, give the same events in the same order.
func TestKeyEventsAsInRedis(t *testing.T) {
	here := startServer(t, Config{}, newFakeStore())
	var told [2][]string
	for i, addr := range []net.Addr{startRedis(t, ""), here.Addr()} {
		listener, c := dial(t, addr), dial(t, addr)
		c.want("+OK", "CONFIG", "SET", "notify-keyspace-events", "KEAn")
		listener.do("PSUBSCRIBE", "__key*__:*")
		number := 0
		for line := range strings.SplitSeq(strings.TrimSpace(keyCommands), "\n") {
			args := quoted(t, line)
			reply := ""
			if got := c.do(args...); args[0] == "CONFIG" {
				reply = got
			}
			c.do("PUBLISH", "__key__:mark", fmt.Sprint(number))
			number++
			var events []string
			for {
				got := listener.read()
				if strings.Contains(got, "__key__:mark") {
					break
				}
				events = append(events, strings.TrimPrefix(got, `["pmessage" "__key*__:*" `))
			}
			told[i] = append(told[i], fmt.Sprint(line, " ", reply, events))
		}
	}
	for i := range told[0] {
		if told[0][i] != told[1][i] {
			t.Errorf("redis: %s\n here: %s", told[0][i], told[1][i])
		}
	}
}

// Each node tells its own subscribers, of commands by any node, of keys whose
// time has come, and of the chat, but not of what nobody may read.
func TestKeyEventsOfAGroup(t *testing.T) {
	nodes := startNodes(t, 3)
	writer := dial(t, startServer(t, Config{}, nodes[0]).Addr())
	var listeners []*testClient
	for _, n := range nodes[1:] {
		srv := startServer(t, Config{}, n)
		if err := srv.Configure("notify-keyspace-events", "EAx"); err != nil {
			t.Fatal(err)
		}
		l := dial(t, srv.Addr())
		l.want(`["psubscribe" "*" :1]`, "PSUBSCRIBE", "*")
		listeners = append(listeners, l)
	}
	writer.want("+OK", "SET", "lease", "v", "PX", "20")
	waitFor(t, "the lease to expire", func() bool { return writer.do("EXISTS", "lease") == ":0" })
	tick := command.Request{Commands: []command.Args{command.New("SYSTEM.TICK", "100")}} // as the leader sends it
	if res := nodes[0].Propose(t.Context(), []command.Request{tick})[0]; res.Err != nil {
		t.Fatal(res.Err)
	}
	writer.want("+OK", "ACL", "SETUSER", "bob", "on", ">secret")
	writer.want("+OK", "SITE.CREATE", "demo")
	writer.want(":1", "LPUSH", "last", "x")
	for i, l := range listeners {
		var got []string
		for len(got) == 0 || got[len(got)-1] != "lpush last" {
			f := strings.Fields(strings.Trim(l.read(), "[]"))
			got = append(got, strings.Trim(f[2][len(`"__keyevent@0__:`):], `"`)+" "+strings.Trim(f[3], `"`))
		}
		text := strings.Join(got, ", ")
		if !strings.HasPrefix(text, "set lease, expire lease, expired lease, site.create site:demo") || strings.Contains(text, "secret:") || strings.Contains(text, "system:") {
			t.Errorf("listener %d heard %s", i, text)
		}
	}
}

// Every command of Redis that writes has a rule, so that a new one is not
// forgotten.
func TestEveryWriteHasItsEvents(t *testing.T) {
	for _, spec := range redis.Commands() {
		if spec.Is(command.Write) && !redis.TellsEvents(spec.Name) {
			t.Errorf("%s has no rule", spec.Name)
		}
	}
}

package redistest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Templates say how random commands are made. $x are random arguments (see
// argument), [ ] may be left out, { } stands one to four times, a|b is one of
// them. A command that stands more often is run more often.
var Templates = []string{
	"SET $K $V [ NX|XX ] [ GET ] [ KEEPTTL ]", "SET $A $V [ EXAT $T ] [ NX|XX ]", "SET $K $V PXAT $P", "SET $K $I",
	"GET $K", "GET $A", "GETSET $K $V", "GETDEL $K", "GETEX $K [ PERSIST ]", "GETEX $K EXAT $T", "GETEX $K PXAT $P", "SETNX $K $V",
	"SETEX $K $R000 $V", "PSETEX $K $R00000 $V", "MGET { $A }", "MSET { $K $V }", "MSETNX { $K $V }",
	"INCR $K", "DECR $K", "INCRBY $K $I", "DECRBY $K $I", "INCRBYFLOAT $K $F", "INCRBYFLOAT $K $D", "APPEND $K $V", "STRLEN $K",
	"GETRANGE $K $J $J", "SUBSTR $K $J $J", "SETRANGE $K $j $V",

	"DEL { $A }", "DEL $A", "UNLINK { $A }", "EXISTS { $A }", "TOUCH { $A }", "TYPE $A", "TTL $A", "PTTL $A", "EXPIRETIME $A", "PEXPIRETIME $A",
	"EXPIRE $A $R000 [ NX|XX ]", "PEXPIRE $A $R00000", "EXPIREAT $A $T [ NX|XX|GT|LT ]", "PEXPIREAT $A $P [ NX|XX|GT|LT ] [ NX|XX|GT|LT ]",
	"PERSIST $A", "RENAME $A $A", "RENAMENX $A $A", "COPY $A $A [ REPLACE ]", "COPY $A $A DB 3 REPLACE", "RANDOMKEY", "KEYS $G", "SCAN $G", "DBSIZE",
	"OBJECT FREQ $A", "OBJECT NOSUCH $A",

	"HSET $H { $M $V }", "HSET $H { $M $I }", "HSET $H { $m $V }", "HMSET $H { $M $V }", "HSETNX $H $M $V", "HGET $H $M", "HMGET $H { $M }",
	"HGETALL $H", "HKEYS $H", "HVALS $H", "HDEL $H { $M }", "HDEL $H { $m }", "HEXISTS $H $M", "HLEN $H", "HSTRLEN $H $M", "HINCRBY $H $M $I",
	"HEXPIRE $H $R000 [ NX|XX|GT|LT ] FIELDS 1 $M", "HEXPIRE $H $R000 FIELDS 2 $M $m", "HPEXPIRE $H $R00000 [ NX|XX ] FIELDS 3 $M $m $M", "HEXPIREAT $H $T [ NX|XX|GT|LT ] FIELDS 2 $M $M", "HPEXPIREAT $H $P [ NX|XX|GT|LT ] FIELDS 2 $M $m",
	"HPEXPIREAT $H $P FIELDS 1 $M", "HPEXPIREAT $H $P FIELDS 4 $m $m $m $m", "HTTL $H FIELDS 2 $M $m", "HPTTL $H FIELDS 2 $M $M", "HEXPIRETIME $H FIELDS 2 $M $m", "HPEXPIRETIME $H FIELDS 3 $M $m $m", "HPERSIST $H FIELDS 2 $M $m", "HEXPIRE $H -1|0|9223372036854775807 FIELDS 1 $M",
	"HGETEX $H FIELDS 2 $M $M", "HGETEX $H EX|PX|EXAT|PXAT $T FIELDS 2 $M $m", "HGETEX $H PXAT $P FIELDS 2 $M $m", "HGETEX $H PERSIST FIELDS 2 $M $m", "HSETEX $H [ FNX|FXX ] PXAT $P FIELDS 2 $M $V $m $V", "HSETEX $H [ FNX|FXX ] [ EX $R000 ] FIELDS 1 $M $V", "HSETEX $H KEEPTTL FIELDS 1 $M $V", "HGETDEL $H FIELDS 2 $M $m",
	"HINCRBYFLOAT $H $M $F", "HINCRBYFLOAT $H $M $D", "HRANDFIELD $H [ $j [ WITHVALUES ] ]", "HSCAN $H $G",

	"SADD $S { $M }", "SADD $S { $m }", "SADD $S { $m } $m $m $m", "SREM $S { $M }", "SREM $S { $m }", "SMEMBERS $S", "SCARD $S", "SISMEMBER $S $M",
	"SMISMEMBER $S { $M }", "SMOVE $S $S $M", "SPOP $S [ $j ]", "SRANDMEMBER $S [ $J ]", "SINTER { $S }", "SUNION { $S }", "SDIFF { $S }",
	"SINTERSTORE $S { $S }", "SUNIONSTORE $S { $S }", "SDIFFSTORE $S { $S }", "SINTERCARD 2 $S $S [ LIMIT $j ]", "SINTERCARD 1 $S", "SSCAN $S $G",

	"ZADD $Z { $D $M }", "ZADD $Z { $D $m }", "ZADD $Z { $i $m }", "ZADD $Z [ NX|XX ] [ GT|LT ] [ CH ] { $D $M }", "ZADD $Z [ NX|XX ] [ GT|LT ] INCR $D $M",
	"ZINCRBY $Z $D $M", "ZREM $Z { $M }", "ZREM $Z { $m }", "ZCARD $Z", "ZSCORE $Z $M", "ZMSCORE $Z { $M }", "ZRANK $Z $M", "ZREVRANK $Z $M",
	"ZCOUNT $Z $B $B", "ZRANGE $Z $J $J [ REV ] [ WITHSCORES ]", "ZRANGE $Z $B $B BYSCORE [ REV ] [ LIMIT $J $J ] [ WITHSCORES ]",
	"ZRANGE $L $X $X BYLEX [ REV ] [ LIMIT $J $J ]", "ZRANGE $Z $X $X BYLEX [ REV ] [ LIMIT $J $J ]", "ZRANGESTORE $Z $Z $X $X BYLEX [ REV ]", "ZLEXCOUNT $Z $X $X", "ZREMRANGEBYLEX $Z $X $X", "ZREVRANGE $Z $J $J [ WITHSCORES ]", "ZRANGEBYSCORE $Z $B $B [ WITHSCORES ] [ LIMIT $J $J ]",
	"ZREVRANGEBYSCORE $Z $B $B [ WITHSCORES ] [ LIMIT $J $J ]", "ZRANGEBYLEX $L $X $X [ LIMIT $J $J ]", "ZREVRANGEBYLEX $L $X $X [ LIMIT $J $J ]",
	"ZADD $L { 0 $M }", "ZADD $L { 0 $m }", "ZADD $L { 0 $m } 0 $m 0 $m 0 $m", "ZLEXCOUNT $L $X $X", "ZREMRANGEBYLEX $L $X $X", "ZREMRANGEBYRANK $Z $J $J", "ZREMRANGEBYSCORE $Z $B $B",
	"ZRANGESTORE $Z $Z $J $J [ REV ]", "ZRANGESTORE $Z $Z $B $B BYSCORE [ REV ] [ LIMIT $J $J ]", "ZPOPMIN $Z [ $j ]", "ZPOPMAX $Z [ $j ]",
	"ZMPOP 2 $Z $Z MIN|MAX [ COUNT $j ]", "ZUNION 2 $Z $Y [ WEIGHTS $W $W ] [ AGGREGATE SUM|MIN|MAX ] [ WITHSCORES ]",
	"ZINTER 2 $Z $Y [ WEIGHTS $W $W ] [ AGGREGATE SUM|MIN|MAX ] [ WITHSCORES ]", "ZDIFF 2 $Z $Y [ WITHSCORES ]",
	"ZUNIONSTORE $Z 2 $Z $Y [ WEIGHTS $W $W ] [ AGGREGATE SUM|MIN|MAX ]", "ZINTERSTORE $Z 2 $Z $Y [ AGGREGATE SUM|MIN|MAX ]", "ZDIFFSTORE $Z 2 $Z $Y",
	"ZINTERCARD 2 $Z $Y [ LIMIT $j ]", "ZRANDMEMBER $Z [ $j [ WITHSCORES ] ]", "ZSCAN $Z $G",

	"SETBIT $K $o 0|1", "SETBIT $K $o 1", "GETBIT $K $o", "BITCOUNT $K [ $J $J [ BYTE|BIT ] ]", "BITPOS $K 0|1 [ $J [ $J [ BYTE|BIT ] ] ]", "BITOP AND|OR|XOR $K { $K }", "BITOP NOT $K $K",
	"BITFIELD $K { GET $n $o }", "BITFIELD $K [ OVERFLOW WRAP|SAT|FAIL ] { SET $n $o $I } [ OVERFLOW WRAP|SAT|FAIL ] { INCRBY $n $o $I }", "BITFIELD_RO $K { GET $n $o }",

	"SETRANGE $f $d $V", "SETRANGE $f $d $q", "APPEND $f $q", "APPEND $f $V", "SETBIT $f $D8 0|1", "SETBIT $f $D8 1", "GETBIT $f $D8", "STRLEN $f", "SET $f $q", "SET $f $V [ GET ] [ KEEPTTL ]",
	"GETRANGE $f $d $d", "BITCOUNT $f [ $d $d [ BYTE|BIT ] ]", "BITPOS $f 0|1 [ $d [ $d ] ]", "BITOP OR|XOR|AND $f { $f }", "BITOP NOT $f $f", "BITFIELD_RO $f { GET $n $D8 }",
	"BITFIELD $f { GET $n $D8 }", "BITFIELD $f [ OVERFLOW WRAP|SAT|FAIL ] { SET $n $D8 $I } { INCRBY $n $D8 $I }", "GET $f", "COPY $f $f [ REPLACE ]", "RENAME $f $f", "INCR $f", "GETDEL $f", "GETSET $f $V", "MGET $f $K",
	"PEXPIREAT $f $P", "LPUSH $f $V", "DEL $f", "TYPE $f", "MOVE $f 3", "COPY $f $f DB 3 REPLACE", "SORT $f", "PFCOUNT $f",

	"SELECT 0", "SELECT 0", "SELECT 0", "SELECT 3", "MOVE $A 3", "MOVE $A 0|3|16", "SWAPDB 3 0|4|3", "FLUSHDB [ ASYNC|SYNC ]", "FLUSHALL [ ASYNC ]",
	"LCS $K $K [ LEN ] [ IDX ] [ MINMATCHLEN $j ] [ WITHMATCHLEN ]", "LCS $K $K IDX [ MINMATCHLEN $j ] [ WITHMATCHLEN ]", "MSET string0 $O string1 $O",
	"RPUSH $l { $i }", "RPUSH numbers { $D }", "SADD set0 $i", "SORT $C [ LIMIT $J $J ] [ ASC|DESC ] [ ALPHA ]", "SORT numbers [ DESC ] [ LIMIT $J $J ]", "SORT numbers [ DESC ] [ LIMIT $J $J ] STORE $l",
	"SORT_RO $C [ ALPHA ] [ DESC ] GET string* GET #", "SORT numbers BY string* [ ALPHA ] [ LIMIT $J $J ] GET # [ GET $A ]", "SORT numbers BY hash*->m1 GET hash*->m1 GET # [ STORE $A ]",
	"SORT $C BY nosort [ DESC ] [ LIMIT $J $J ] [ STORE $l ]", "SORT $C ALPHA [ DESC ] [ LIMIT $J $J ] STORE $l", "SORT $A ALPHA STORE $A",

	"PFADD $h { $M }", "PFADD $h { $V } { $m }", "PFADD $h { $V } { $V } { $V } { $V }", "PFADD $h { $V } { $V } { $V } { $V }", "PFADD $A", "PFADD $A $M", "PFCOUNT $h", "PFCOUNT { $h }", "PFMERGE $h { $h }", "PFMERGE $A $h", "GET $h",

	"GEOADD $p { $x $y $M }", "GEOADD $p { $x $y $m }", "GEOADD $p { $x $y $m } $x $y $m $x $y $m", "GEOADD $p [ NX|XX ] [ CH ] { $x $y $M }", "GEOPOS $p { $M }", "GEOPOS $p { $m }", "GEODIST $p $m $m [ $u ]", "GEODIST $p $M $M $u", "GEOHASH $p { $M }",
	"GEOSEARCH $p FROMLONLAT $x $y BYRADIUS $a $u [ ASC|DESC ] [ COUNT $j ] [ WITHCOORD ] [ WITHDIST ] [ WITHHASH ]", "GEOSEARCH $p FROMMEMBER $M BYBOX $a $a $u [ ASC|DESC ] [ COUNT $j ] [ WITHCOORD ] [ WITHDIST ]",
	"GEOSEARCH $p FROMLONLAT $x $y BYBOX $a $a $u [ WITHDIST ]", "GEOSEARCHSTORE $p $p FROMLONLAT $x $y BYRADIUS $a $u [ ASC|DESC ] [ COUNT $j ]", "GEORADIUS $p $x $y $a $u [ WITHDIST ] [ COUNT $j ] [ ASC|DESC ]",
	"GEORADIUS $p $x $y $a $u STORE $Z", "GEORADIUS_RO $p $x $y $a $u [ WITHHASH ]", "GEORADIUSBYMEMBER $p $M $a $u [ WITHDIST ] [ DESC ]", "GEORADIUSBYMEMBER_RO $p $m $a $u [ COUNT $j ANY ]", "GEORADIUSBYMEMBER $p $M $a $u STORE $p",

	"DUMP $A $A", "DUMP $K $K", "DUMP $A",

	"LPUSH $l { $V }", "RPUSH $l { $M }", "RPUSH $l { $M } $m $m $m $m", "LPUSH $l { $M } $m $m $m", "LPUSHX $l { $V }", "RPUSHX $l { $M }", "LPOP $l [ $j ]", "RPOP $l [ $j ]", "LLEN $l",
	"LRANGE $l $J $J", "LRANGE $l 0 -1", "LINDEX $l $J", "LSET $l $J $V", "LINSERT $l BEFORE|AFTER $M $V", "LREM $l $b $M", "LTRIM $l $b $J", "LTRIM $l 0 $R",
	"LPOS $l $M [ RANK $b ] [ COUNT $j ] [ MAXLEN $R ]", "LMOVE $l $l LEFT|RIGHT LEFT|RIGHT", "RPOPLPUSH $l $l", "LMPOP 2 $l $l LEFT|RIGHT [ COUNT $j ]",
	"BLPOP $l $l $t", "BRPOP $l $t", "BLMOVE $l $l LEFT|RIGHT LEFT|RIGHT $t", "BRPOPLPUSH $l $l $t", "BLMPOP $t 2 $l $l LEFT|RIGHT [ COUNT $j ]",
	"BZPOPMIN $Z $L $t", "BZPOPMAX $Z $t", "BZMPOP $t 2 $Z $Z MIN|MAX [ COUNT $j ]",

	"XADD $Q [ NOMKSTREAM ] $E { $M $V }", "XADD $Q $* { $M $V }", "XADD $Q [ MAXLEN [ = ] $j ] $E { $M $V }", "XADD $Q MINID $E $E $M $V", "XADD $Q $E { $M $V }", "XADD $Q $U { $M $V }", "XADD $Q $U { $M $V }", "XADD $Q $U { $M $V }",
	"XLEN $Q", "XRANGE $Q $N $N [ COUNT $j ]", "XREVRANGE $Q $N $N [ COUNT $j ]", "XDEL $Q { $E }", "XTRIM $Q MAXLEN [ = ] $R", "XTRIM $Q MINID [ = ] $E",
	"XSETID $Q $E [ ENTRIESADDED $R ] [ MAXDELETEDID $E ]", "XREAD [ COUNT $j ] STREAMS $Q $E", "XREAD [ COUNT $j ] STREAMS $Q $Q $E $E", "XREAD STREAMS $Q $",
	"XREADGROUP GROUP $g $c [ COUNT $j ] [ NOACK ] STREAMS $Q >", "XREADGROUP GROUP $g $c COUNT 3 STREAMS $Q >", "XREADGROUP GROUP $g $c [ COUNT $j ] STREAMS $Q $E",
	"XREADGROUP GROUP $g $c STREAMS $Q $Q > $E",
	"XGROUP CREATE $Q $g $E|$ [ MKSTREAM ] [ ENTRIESREAD $R ]", "XGROUP CREATE $Q $g 0 MKSTREAM", "XGROUP SETID $Q $g $E|$ [ ENTRIESREAD $R ]", "XGROUP DESTROY $Q $g", "XGROUP CREATECONSUMER $Q $g $c",
	"XGROUP DELCONSUMER $Q $g $c", "XGROUP NOSUCH $Q", "XACK $Q $g { $E }", "XPENDING $Q $g", "XPENDING $Q $g [ IDLE $w ] $N $N $j [ $c ]",
	"XCLAIM $Q $g $c $w { $E } [ IDLE $w ] [ RETRYCOUNT $j ] [ FORCE ] [ JUSTID ]", "XCLAIM $Q $g $c $w { $E } [ TIME $P ] [ LASTID $E ]",
	"XAUTOCLAIM $Q $g $c $w $E|- [ COUNT $R ] [ JUSTID ]", "XINFO STREAM $Q", "XINFO STREAM $Q FULL [ COUNT $j ]", "XINFO GROUPS $Q", "XINFO CONSUMERS $Q $g",
}

// Maker makes random commands.
type Maker struct {
	R    *rand.Rand
	Base int64 // seconds since 1970 that absolute times are near
	next int   // for ids of streams
}

// Pick chooses one of them.
func (m *Maker) Pick(options ...string) string { return options[m.R.IntN(len(options))] }

// argument gives a random argument of a kind.
func (m *Maker) argument(kind string) string {
	n := m.R.IntN
	pool := func(prefix string, size int) string { return prefix + strconv.Itoa(n(size)) }
	if n(60) == 0 && strings.Contains("KHSZLYQl", kind) {
		kind = "A" // of another type, perhaps
	}
	switch kind {
	case "K":
		return pool("string", 5)
	case "H":
		return pool("hash", 3)
	case "S":
		return pool("set", 4)
	case "Z":
		return pool("zset", 3)
	case "L":
		return pool("lex", 2)
	case "Y":
		return m.Pick("zset0", "zset1", "zset2", "set0", "set1")
	case "l":
		return pool("list", 3)
	case "f":
		return pool("far", 2)
	case "d":
		return strconv.Itoa(m.R.IntN(m.R.IntN(60_000) + 1))
	case "D8":
		return strconv.Itoa(n(n(60_000)*8 + 1))
	case "q":
		return strings.Repeat(m.Pick("x", "\x00", "long ", "\xff\x80"), n(9000))
	case "o":
		return m.Pick(strconv.Itoa(n(100)), strconv.Itoa(n(20)), strconv.Itoa(n(3000)), "#"+strconv.Itoa(n(5)))
	case "n":
		return m.Pick("i", "u") + m.Pick("1", "2", "4", "8", "16", "32", "63", "64", "7", strconv.Itoa(n(66)))
	case "C":
		return m.Pick("numbers", "list0", "list1", "set0", "set1", "zset0", "zset1", "lex0")
	case "O":
		b := make([]byte, n(30))
		for i := range b {
			b[i] = "abc"[n(3)]
		}
		return string(b)
	case "h":
		return pool("pf", 3)
	case "p":
		return pool("geo", 2)
	case "x":
		return strconv.FormatFloat(m.R.Float64()*360-180, 'f', 5, 64)
	case "y":
		return strconv.FormatFloat(m.R.Float64()*140-70, 'f', 5, 64)
	case "a":
		return m.Pick("100", "5000", strconv.Itoa(n(2000)), "0.5")
	case "u":
		return m.Pick("m", "km", "km", "KM", "mi", "ft")
	case "b":
		return strconv.Itoa(n(5) - 2)
	case "t":
		return m.Pick("0", "1", "0.5", "1e3", "-1", "-0.1", "inf", "1e18", "9223372036854775", "0x10", "2.0001")
	case "Q":
		return pool("stream", 2)
	case "A":
		return m.Pick(pool("string", 5), pool("hash", 3), pool("set", 4), pool("zset", 3), pool("lex", 2), pool("stream", 2), pool("list", 3), "absent")
	case "M":
		return m.Pick(pool("m", 12), pool("m", 12), pool("member:", 30), "", "\x00\xff\r\n")
	case "m":
		return pool("many:", 250)
	case "V":
		switch n(12) {
		case 0:
			return strings.Repeat("long ", n(150))
		case 1:
			return ""
		case 2:
			return strconv.Itoa(n(100))
		}
		return pool("value ", 1000)
	case "I":
		return m.Pick("0", "1", "-1", "10", "-7", "100", strconv.Itoa(n(1000)), "9223372036854775807", "-9223372036854775808")
	case "i":
		return strconv.Itoa(n(300))
	case "J":
		return strconv.Itoa(n(30) - 12)
	case "j":
		return strconv.Itoa(n(12))
	case "R":
		return strconv.Itoa(n(50) + 1)
	case "e":
		return strconv.Itoa(n(20) + 1)
	case "R00000":
		return strconv.Itoa((n(50) + 1) * 100_000)
	case "R000":
		return strconv.Itoa((n(50) + 1) * 1000)
	case "W":
		return m.Pick("0", "1", "2", "-1", "0.5", "inf")
	case "F":
		return m.Pick("0.1", "0.2", "1.5", "-3.25", "1e3", "10", "3.0e-5", "0.3333333333333333", "12345678.9", "1e17", "-0")
	case "D":
		return m.Pick("0", "1", "1.5", "-2", "3.25", "100", "-0.5", "1e10", "1e-7", "inf", "-inf", strconv.Itoa(n(20)))
	case "B":
		return m.Pick("-inf", "+inf", "0", "1", "(1", "(1.5", "-2", "(-2", "3", "100", "(inf", strconv.Itoa(n(300)))
	case "X":
		return m.Pick("-", "+", "[m1", "(m1", "[m5", "(member:1", "[many:1", "(many:2", "[", "(", "[zzz", "[many:"+strconv.Itoa(n(250)))
	case "T":
		return strconv.FormatInt(m.Base+int64(n(6)+1)*1000, 10)
	case "P":
		if n(8) == 0 {
			return strconv.FormatInt((m.Base-1000)*1000, 10)
		}
		return strconv.FormatInt((m.Base+int64(n(6)+1)*1000)*1000+int64(n(2)), 10)
	case "G":
		return m.Pick("*", "s*", "*1", "m?", "m[1-3]", "m[^1]*", "*:*", "many:1*", `\m1`, "[a-z]*2", "h[ae]sh0", "*a*a*")
	case "E":
		switch n(12) {
		case 0:
			return "0"
		case 1:
			return strconv.Itoa(n(60)) + "-*"
		case 2:
			return strconv.Itoa(n(60))
		}
		return fmt.Sprintf("%d-%d", n(60), n(3))
	case "U": // rises
		m.next++
		return fmt.Sprintf("%d-%d", m.next/3%80, m.next%3)
	case "*": // after which small ids are too small
		if n(20) == 0 {
			return "*"
		}
		return m.argument("U")
	case "N":
		return m.Pick("-", "+", "0", "("+strconv.Itoa(n(40)), strconv.Itoa(n(60)), fmt.Sprintf("%d-%d", n(60), n(3)), fmt.Sprintf("(%d-%d", n(60), n(3)))
	case "g":
		return pool("group", 2)
	case "c":
		return pool("consumer", 3)
	case "w":
		return m.Pick("0", "0", "3600000")
	}
	panic("unknown kind " + kind)
}

// Command makes a command from a template.
func (m *Maker) Command(template string) []string {
	words := strings.Fields(template)
	args, _ := m.expand(words, 0, "")
	switch m.R.IntN(40) { // now and then a wrong one
	case 0:
		if len(args) > 1 {
			args = args[:len(args)-1]
		}
	case 1:
		args = append(args, m.junk())
	case 2:
		if len(args) > 1 {
			args[1+m.R.IntN(len(args)-1)] = m.junk()
		}
	}
	if m.R.IntN(4) == 0 {
		args[0] = strings.ToLower(args[0])
	}
	return args
}

func (m *Maker) junk() string {
	return m.Pick("", "abc", "-1", "0", "1.5", "9223372036854775808", "nan", "(", "NX", "COUNT", "LIMIT", "GT", "WITHSCORES", "01", " 1", "+1", "0x10", "1-1-1", "=", "~")
}

// expand makes arguments of words up to end, and gives the index after it.
func (m *Maker) expand(words []string, i int, end string) (args []string, next int) {
	for i < len(words) && words[i] != end {
		switch w := words[i]; {
		case w == "[":
			inner, next := m.expand(words, i+1, "]")
			if m.R.IntN(2) == 0 {
				args = append(args, inner...)
				if m.R.IntN(16) == 0 { // and once more, with another value
					inner, _ = m.expand(words, i+1, "]")
					args = append(args, inner...)
				}
			}
			i = next
		case w == "{":
			var next int
			for n := 1 + m.R.IntN(4); n > 0; n-- {
				var inner []string
				inner, next = m.expand(words, i+1, "}")
				args = append(args, inner...)
			}
			i = next
		default:
			w = m.Pick(strings.Split(w, "|")...)
			if len(w) > 1 && w[0] == '$' {
				w = m.argument(w[1:])
			} else if m.R.IntN(6) == 0 {
				w = strings.ToLower(w)
			}
			args = append(args, w)
			i++
		}
	}
	return args, i + 1
}

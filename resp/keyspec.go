package resp

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// keySpec says where some of a command's keys are and what it does with them,
// as COMMAND INFO shows it and key permissions need it.
type keySpec struct {
	flags   []string // RO, RW, OW or RM, and access, update, insert, delete, …
	index   int      // of the first key; 0: see keyword
	keyword string   // the first key follows this word; empty with index 0: nobody knows
	from    int      // where the search for keyword begins
	counted bool     // the first is the number of those that follow
	last    int      // relative to the first; negative: from the end
	step    int
	limit   int // the last is within 1/limit of the arguments left
}

// keyUse is a key of a call and what the call does with it.
type keyUse struct {
	key   []byte
	flags []string
}

// keySpecTexts are the specs of commands by name, of each group in one line:
// flags, then "@" and the place. "@2" is the second argument, "@1..-1/2"
// every second from the first to the last, "@2#" those that follow their
// number, "@STORE:5" the one after a word that is looked for from the fifth
// on, "@?" a place that only the command itself knows. Commands that are not
// here have what their row in the table of commands says.
func keySpecTexts() [][2]string {
	return [][2]string{
		{"OW insert @1", "setnx"},
		{"OW insert @1..-1/2", "msetnx"},
		{"OW update @1", "psetex restore setex"},
		{"OW update @1, RO access @2", "geosearchstore zrangestore"},
		{"OW update @1, RO access @2#", "zdiffstore zinterstore zunionstore"},
		{"OW update @1, RO access @2..-1", "sdiffstore sunionstore"},
		{"OW update @1..-1/2", "mset"},
		{"OW update @2, RO access @3..-1", "bitop"},
		{"RM delete @1..-1", "del unlink"},
		{"RO @1", "hexists hlen hstrlen llen scard sismember strlen type xlen zcard"},
		{"RO @1..-1", "exists touch watch"},
		{"RO @2", "memory|usage object|encoding object|freq object|idletime object|refcount"},
		{"RO access @1", "bitcount bitfield_ro bitpos dump expiretime geodist geohash geopos georadius_ro georadiusbymember_ro " +
			"geosearch get getbit getrange hget hgetall hkeys hmget hrandfield hscan hvals lindex lpos lrange pexpiretime pttl " +
			"smembers smismember srandmember sscan substr ttl xpending xrange xrevrange zcount zlexcount zmscore zrandmember " +
			"zrange zrangebylex zrangebyscore zrank zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore"},
		{"RO access @1#", "sintercard zdiff zinter zintercard zunion"},
		{"RO access @1, OW update @2", "copy"},
		{"RO access @1, OW update @STORE:5, OW update @STOREDIST:5", "georadiusbymember"},
		{"RO access @1, OW update @STORE:6, OW update @STOREDIST:6", "georadius"},
		{"RO access @1, RO access @?", "sort_ro"},
		{"RO access @1, RO access @?, OW update @?", "sort"},
		{"RO access @1..-1", "mget sdiff sinter sunion"},
		{"RO access @1..1", "lcs"},
		{"RO access @2", "xinfo|consumers xinfo|groups xinfo|stream"},
		{"RO access @STREAMS:1..-1/1/2", "xread"},
		{"RO access @STREAMS:4..-1/1/2", "xreadgroup"},
		{"RW access @1..-1", "pfcount"},
		{"RW access delete @1", "getdel lpop rpop spop zpopmax zpopmin"},
		{"RW access delete @1#", "lmpop zmpop"},
		{"RW access delete @1, OW insert @2", "renamenx"},
		{"RW access delete @1, OW update @2", "rename"},
		{"RW access delete @1, RW insert @2", "blmove brpoplpush lmove rpoplpush smove"},
		{"RW access delete @1..-2", "blpop brpop bzpopmax bzpopmin"},
		{"RW access delete @2#", "blmpop bzmpop"},
		{"RW access insert @1, RO access @2..-1", "pfmerge"},
		{"RW access update @1", "decr decrby getex getset hincrby hincrbyfloat incr incrby incrbyfloat move setbit zincrby"},
		{"RW access update variable_flags @1", "bitfield set"},
		{"RW delete @1", "hdel lrem ltrim srem xautoclaim xdel xtrim zrem zremrangebylex zremrangebyrank zremrangebyscore"},
		{"RW delete @2", "xgroup|delconsumer xgroup|destroy"},
		{"RW insert @1", "append hsetnx linsert lpush lpushx pfadd rpush rpushx sadd"},
		{"RW insert @2", "xgroup|create xgroup|createconsumer"},
		{"RW update @1", "expire expireat geoadd hmset hset lset persist pexpire pexpireat setrange xack xadd xclaim xsetid zadd"},
		{"RW update @1, RO access @2..-1", "sinterstore"},
		{"RW update @2", "xgroup|setid"},
		{"not_key @1", "spublish"},
		{"not_key @1..-1", "ssubscribe sunsubscribe"},
	}
}

// readKeySpecs gives the specs by the name of the command in lower case.
func readKeySpecs() map[string][]keySpec {
	all := map[string][]keySpec{}
	for _, line := range keySpecTexts() {
		var specs []keySpec
		for _, text := range strings.Split(line[0], ", ") {
			specs = append(specs, readKeySpec(text))
		}
		for _, name := range strings.Fields(line[1]) {
			all[name] = specs
		}
	}
	return all
}

func readKeySpec(text string) keySpec {
	flags, place, _ := strings.Cut(text, "@")
	spec := keySpec{flags: strings.Fields(flags), step: 1}
	number := func(s string) int {
		n, _ := strconv.Atoi(s)
		return n
	}
	begin, end, ranged := strings.Cut(place, "..")
	begin, spec.counted = strings.CutSuffix(begin, "#")
	if word, from, ok := strings.Cut(begin, ":"); ok {
		spec.keyword, spec.from = word, number(from)
	} else if begin != "?" {
		spec.index = number(begin)
	}
	if ranged {
		parts := strings.Split(end, "/")
		spec.last = number(parts[0])
		if len(parts) > 1 {
			spec.step = number(parts[1])
		}
		if len(parts) > 2 {
			spec.limit = number(parts[2])
		}
	}
	return spec
}

// defaultKeySpecs are those of a command of which only the table's row is
// known.
func defaultKeySpecs(spec *command.Spec) []keySpec {
	if spec.First <= 0 {
		return nil
	}
	k := keySpec{flags: []string{"RO", "access"}, index: spec.First, last: spec.Last, step: max(spec.Step, 1)}
	if spec.Is(command.Write) {
		k.flags = []string{"RW", "access", "update"}
	}
	if k.last > 0 {
		k.last -= k.index
	}
	return []keySpec{k}
}

// places gives where the keys are among the arguments of a call.
func (k *keySpec) places(args [][]byte) []int {
	first := k.index
	if k.keyword != "" {
		first = 0
		for i := k.from; i < len(args)-1; i++ {
			if bytes.EqualFold(args[i], []byte(k.keyword)) {
				first = i + 1
				break
			}
		}
	}
	if first <= 0 || first >= len(args) {
		return nil
	}
	last, step := first+k.last, k.step
	switch {
	case k.counted:
		n, err := strconv.Atoi(string(args[first]))
		if err != nil || n <= 0 || n > len(args)-first-1 {
			return nil
		}
		first, last = first+1, first+n
	case k.last < 0 && k.limit > 1:
		last = first + (len(args)-first)/k.limit + k.last
	case k.last < 0:
		last = len(args) + k.last
	}
	var at []int
	for i := first; i <= last && i < len(args); i += step {
		at = append(at, i)
	}
	return at
}

// uses gives the keys of a call and what the call does with each, each as often
// as it stands there. A key that no spec finds is taken to be used in all ways.
func (e *entry) uses(args [][]byte) []keyUse {
	var uses []keyUse
	found := map[string]int{}
	prefix := e.spec.KeyPrefix
	for i := range e.keySpecs {
		k := &e.keySpecs[i]
		if slices.Contains(k.flags, "not_key") {
			continue
		}
		for _, at := range k.places(args) {
			key := args[at]
			if prefix != "" {
				key = append([]byte(prefix), key...)
			}
			found[string(key)]++
			uses = append(uses, keyUse{key, variableFlags(e, k, args)})
		}
	}
	for _, key := range e.keys(args) {
		if found[string(key)]--; found[string(key)] < 0 {
			uses = append(uses, keyUse{key, otherFlags(e)})
		}
	}
	return uses
}

// variableFlags: what SET and BITFIELD do depends on their options.
func variableFlags(e *entry, k *keySpec, args [][]byte) []string {
	switch e.spec.Name {
	case "SET":
		if len(args) < 3 || !hasOption(args[2:], "GET") {
			return []string{"OW", "update"}
		}
		return []string{"RW", "access", "update"}
	case "BITFIELD":
		if !hasOption(args, "SET") && !hasOption(args, "INCRBY") {
			return []string{"RO", "access"}
		}
		return []string{"RW", "access", "update"}
	}
	return k.flags
}

// otherFlags are those of keys whose place only the command itself knows: the
// destinations of SORT and GEORADIUS.
func otherFlags(e *entry) []string {
	switch e.spec.Name {
	case "SORT", "GEORADIUS", "GEORADIUSBYMEMBER":
		return []string{"OW", "update"}
	}
	if e.spec.Is(command.Write) {
		return []string{"RW", "access", "update"}
	}
	return []string{"RO", "access"}
}

// rights says what a user must be allowed to do with the key.
func (u *keyUse) rights() (read, write bool) {
	for _, f := range u.flags {
		switch f {
		case "access":
			read = true
		case "insert", "update", "delete":
			write = true
		}
	}
	return read, write
}

// describe gives a spec as COMMAND INFO shows it.
func (k *keySpec) describe() command.Reply {
	b, n := command.BulkString, func(v int) command.Reply { return command.Int(int64(v)) }
	nothing := command.Map(b("type"), b("unknown"), b("spec"), command.Map())
	begin, find := nothing, nothing
	switch {
	case k.keyword != "":
		begin = command.Map(b("type"), b("keyword"), b("spec"), command.Map(b("keyword"), b(k.keyword), b("startfrom"), n(k.from)))
	case k.index > 0:
		begin = command.Map(b("type"), b("index"), b("spec"), command.Map(b("index"), n(k.index)))
	}
	switch {
	case k.counted:
		find = command.Map(b("type"), b("keynum"), b("spec"), command.Map(b("keynumidx"), n(0), b("firstkey"), n(1), b("keystep"), n(1)))
	case k.keyword != "" || k.index > 0:
		find = command.Map(b("type"), b("range"), b("spec"), command.Map(b("lastkey"), n(k.last), b("keystep"), n(k.step), b("limit"), n(k.limit)))
	}
	return command.Map(b("flags"), simpleSet(k.flags), b("begin_search"), begin, b("find_keys"), find)
}

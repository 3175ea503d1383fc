package redis

import (
	"math"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func setCommands() []entry {
	return []entry{
		{"SADD", -3, writeFast, oneKey, "1.0.0", "key member …", "Adds members; gives how many are new.", sadd},
		{"SREM", -3, writeFast, oneKey, "1.0.0", "key member …", "Removes members; gives how many there were.", srem},
		{"SMEMBERS", 2, read, oneKey, "1.0.0", "key", "Gives all members.", smembers},
		{"SCARD", 2, readFast, oneKey, "1.0.0", "key", "Counts the members.", scard},
		{"SISMEMBER", 3, readFast, oneKey, "1.0.0", "key member", "Says whether there is a member.", sismember},
		{"SMISMEMBER", -3, readFast, oneKey, "6.2.0", "key member …", "Says of each member whether there is one.", smismember},
		{"SMOVE", 4, writeFast, twoKeys, "1.0.0", "source destination member", "Moves a member from one set to another.", smove},
		{"SPOP", -2, writeFast, oneKey, "1.0.0", "key [count]", "Removes members at random and gives them.", spop},
		{"SRANDMEMBER", -2, read, oneKey, "1.0.0", "key [count]", "Gives members at random.", srandmember},
		{"SINTER", -2, read, allKeys, "1.0.0", "key …", "Gives the members that all sets have.", combine(intersect)},
		{"SUNION", -2, read, allKeys, "1.0.0", "key …", "Gives the members that any set has.", combine(unite)},
		{"SDIFF", -2, read, allKeys, "1.0.0", "key …", "Gives the members that only the first set has.", combine(subtract)},
		{"SINTERSTORE", -3, write, allKeys, "1.0.0", "destination key …", "Stores the members that all sets have.", borrowing(combineStore(intersect))},
		{"SUNIONSTORE", -3, write, allKeys, "1.0.0", "destination key …", "Stores the members that any set has.", borrowing(combineStore(unite))},
		{"SDIFFSTORE", -3, write, allKeys, "1.0.0", "destination key …", "Stores the members that only the first set has.", borrowing(combineStore(subtract))},
		{"SINTERCARD", -3, read, noKeys, "7.0.0", "numkeys key … [LIMIT limit]", "Counts the members that all sets have.", sintercard},
		{"SSCAN", -3, read, oneKey, "2.8.0", "key cursor [MATCH pattern] [COUNT count]", "Walks the members, some at a time.", sscan},
	}
}

func sadd(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := c.SAddAll(args[1], args[2:])
	return command.Int(n), err
}

func srem(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := c.SRemAll(args[1], args[2:])
	return command.Int(n), err
}

// setMembers gives all members. They belong to the Tx.
func setMembers(c *command.Call, key []byte) ([][]byte, error) {
	members := [][]byte{}
	err := c.SEach(key, func(m []byte) bool { members = append(members, m); return true })
	return members, err
}

func smembers(c *command.Call, args [][]byte) (command.Reply, error) {
	var out command.Pack
	err := c.SEach(args[1], func(m []byte) bool {
		out.Bulk(m)
		return true
	})
	return out.Set(), err
}

func scard(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := c.SLen(args[1])
	return command.Int(n), err
}

func sismember(c *command.Call, args [][]byte) (command.Reply, error) {
	has, err := c.SHas(args[1], args[2])
	return command.Bool(has), err
}

func smismember(c *command.Call, args [][]byte) (command.Reply, error) {
	out := make([]command.Reply, 0, len(args)-2)
	for _, m := range args[2:] {
		has, err := c.SHas(args[1], m)
		if err != nil {
			return command.Reply{}, err
		}
		out = append(out, command.Bool(has))
	}
	return command.Array(out...), nil
}

func smove(c *command.Call, args [][]byte) (command.Reply, error) {
	from, to, member := args[1], args[2], args[3]
	if c.Type(from) == keyspace.None {
		return command.Int(0), nil
	}
	has, err := c.SHas(from, member)
	if err != nil {
		return command.Reply{}, err
	}
	if _, err := c.SLen(to); err != nil {
		return command.Reply{}, err
	}
	if !has || string(from) == string(to) {
		return command.Bool(has), nil
	}
	if _, err := c.SRem(from, member); err != nil {
		return command.Reply{}, err
	}
	_, err = c.SAdd(to, member)
	return command.Int(1), err
}

func spop(c *command.Call, args [][]byte) (command.Reply, error) {
	if len(args) > 3 {
		return command.Reply{}, command.ErrSyntax
	}
	n := int64(1)
	if len(args) == 3 {
		var ok bool
		if n, ok = parseInt(args[2]); !ok || n < 0 {
			return command.Reply{}, errPositive
		}
	}
	items, err := sampleSet(c, args[1], n)
	if err != nil {
		return command.Reply{}, err
	}
	members := make([][]byte, len(items))
	for i, it := range items {
		members[i] = it.a
	}
	reply := pack(members).Set()
	if len(args) == 2 {
		reply = command.Null()
		if len(members) == 1 {
			reply = command.Bulk(members[0])
		}
	}
	_, err = c.SRemAll(args[1], members)
	return reply, err
}

func sampleSet(c *command.Call, key []byte, n int64) ([]item, error) {
	size, err := c.SLen(key)
	if err != nil {
		return nil, err
	}
	return sample(n, size, sampler{
		one: func() ([]byte, []byte, error) {
			m, _, err := c.SRandom(key, random(c))
			return m, nil, err
		},
		all: func(fn func(a, b []byte)) error {
			return c.SEach(key, func(m []byte) bool { fn(m, nil); return true })
		},
		shuffle: random(c).Shuffle,
	})
}

func srandmember(c *command.Call, args [][]byte) (command.Reply, error) {
	if len(args) > 3 {
		return command.Reply{}, command.ErrSyntax
	}
	if len(args) == 2 {
		m, ok, err := c.SRandom(args[1], random(c))
		return bulkOrNull(m, ok), err
	}
	n, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if n == math.MinInt64 {
		return command.Reply{}, command.Errorf("ERR", "value is out of range, value must between -9223372036854775807 and 9223372036854775807")
	}
	items, err := sampleSet(c, args[1], n)
	return pairsOrFirsts(items, false), err
}

func sscan(c *command.Call, args [][]byte) (command.Reply, error) {
	cursor, o, err := scanArgs(args, 0)
	if err != nil {
		return command.Reply{}, err
	}
	var items command.Pack
	next, err := c.SScan(args[1], cursor, o.count, func(m []byte) {
		if o.match(m) {
			items.Bulk(m)
		}
	})
	return scanReply(next, &items), err
}

func combine(how combination) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		members, err := how(c, args[1:], 0)
		return pack(members).Set(), err
	}
}

func combineStore(how combination) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		members, err := how(c, args[2:], 0)
		if err != nil {
			return command.Reply{}, err
		}
		c.Delete(args[1])
		n, err := c.SAddAll(args[1], members)
		return command.Int(n), err
	}
}

// numKeys reads "numkeys key …" at args[at] and gives what follows.
func numKeys(args [][]byte, at int, tooFew, tooMany error) (keys, rest [][]byte, err error) {
	n, ok := parseInt(args[at])
	if !ok || n <= 0 {
		return nil, nil, tooFew
	}
	if n > int64(len(args)-at-1) {
		return nil, nil, tooMany
	}
	end := at + 1 + int(n)
	return args[at+1 : end], args[end:], nil
}

var (
	errNumKeys     = command.Errorf("ERR", "numkeys should be greater than 0")
	errTooManyKeys = command.Errorf("ERR", "Number of keys can't be greater than number of args")
	errLimitBelow  = command.Errorf("ERR", "LIMIT can't be negative")
)

// keysAndLimit reads "numkeys key … [LIMIT n]".
func keysAndLimit(args [][]byte) (keys [][]byte, limit int, err error) {
	keys, rest, err := numKeys(args, 1, errNumKeys, errTooManyKeys)
	if err != nil {
		return nil, 0, err
	}
	for ; len(rest) > 0; rest = rest[2:] {
		if !is(rest[0], "LIMIT") || len(rest) < 2 {
			return nil, 0, command.ErrSyntax
		}
		n, ok := parseInt(rest[1])
		if !ok || n < 0 {
			return nil, 0, errLimitBelow
		}
		limit = int(min(n, math.MaxInt32))
	}
	return keys, limit, nil
}

func sintercard(c *command.Call, args [][]byte) (command.Reply, error) {
	keys, limit, err := keysAndLimit(args)
	if err != nil {
		return command.Reply{}, err
	}
	members, err := intersect(c, keys, limit)
	return command.Int(int64(len(members))), err
}

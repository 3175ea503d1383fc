package redis

import (
	"math"

	"github.com/parlorchat/parlor/storage/command"
)

func hashCommands() []entry {
	return []entry{
		{"HSET", -4, writeFast, oneKey, "2.0.0", "key <field value> …", "Sets fields; gives how many are new.", hset},
		{"HMSET", -4, writeFast, oneKey, "2.0.0", "key <field value> …", "Sets fields.", hmset},
		{"HSETNX", 4, writeFast, oneKey, "2.0.0", "key field value", "Sets a field if it does not exist.", hsetnx},
		{"HGET", 3, readFast, oneKey, "2.0.0", "key field", "Gives the value of a field.", hget},
		{"HMGET", -3, readFast, oneKey, "2.0.0", "key field …", "Gives the values of fields.", hmget},
		{"HGETALL", 2, read, oneKey, "2.0.0", "key", "Gives all fields and values.", hgetall},
		{"HKEYS", 2, read, oneKey, "2.0.0", "key", "Gives all fields.", hlist(true, false)},
		{"HVALS", 2, read, oneKey, "2.0.0", "key", "Gives all values.", hlist(false, true)},
		{"HDEL", -3, writeFast, oneKey, "2.0.0", "key field …", "Removes fields; gives how many there were.", hdel},
		{"HEXISTS", 3, readFast, oneKey, "2.0.0", "key field", "Says whether a field exists.", hexists},
		{"HLEN", 2, readFast, oneKey, "2.0.0", "key", "Counts the fields.", hlen},
		{"HSTRLEN", 3, readFast, oneKey, "3.2.0", "key field", "Gives the length of a value in bytes.", hstrlen},
		{"HINCRBY", 4, writeFast, oneKey, "2.0.0", "key field increment", "Adds to an integer in a field.", hincrby},
		{"HINCRBYFLOAT", 4, writeFast, oneKey, "2.6.0", "key field float", "Adds to a number in a field.", hincrbyfloat},
		{"HRANDFIELD", -2, read, oneKey, "6.2.0", "key [count [WITHVALUES]]", "Gives fields at random.", hrandfield},
		{"HSCAN", -3, read, oneKey, "2.8.0", "key cursor [MATCH pattern] [COUNT count] [NOVALUES]", "Walks the fields, some at a time.", hscan},
	}
}

func hset(c *command.Call, args [][]byte) (command.Reply, error) {
	if len(args)%2 == 1 {
		return command.Reply{}, command.ErrArity("hset")
	}
	n, err := c.HSetAll(args[1], args[2:])
	return command.Int(n), err
}

func hmset(c *command.Call, args [][]byte) (command.Reply, error) {
	if len(args)%2 == 1 {
		return command.Reply{}, command.ErrArity("hmset")
	}
	_, err := c.HSetAll(args[1], args[2:])
	return command.OK, err
}

func hsetnx(c *command.Call, args [][]byte) (command.Reply, error) {
	_, ok, err := c.HGet(args[1], args[2])
	if ok || err != nil {
		return command.Int(0), err
	}
	_, err = c.HSet(args[1], args[2], args[3])
	return command.Int(1), err
}

func hget(c *command.Call, args [][]byte) (command.Reply, error) {
	v, ok, err := c.HGet(args[1], args[2])
	return bulkOrNull(v, ok), err
}

func hmget(c *command.Call, args [][]byte) (command.Reply, error) {
	out := make([]command.Reply, 0, len(args)-2)
	for _, f := range args[2:] {
		v, ok, err := c.HGet(args[1], f)
		if err != nil {
			return command.Reply{}, err
		}
		out = append(out, bulkOrNull(v, ok))
	}
	return command.Array(out...), nil
}

func hgetall(c *command.Call, args [][]byte) (command.Reply, error) {
	out, err := hashItems(c, args[1], true, true)
	return out.Map(), err
}

func hlist(fields, values bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		out, err := hashItems(c, args[1], fields, values)
		return out.Array(), err
	}
}

func hashItems(c *command.Call, key []byte, fields, values bool) (out command.Pack, err error) {
	err = c.HEach(key, func(f, v []byte) bool {
		if fields {
			out.Bulk(f)
		}
		if values {
			out.Bulk(v)
		}
		return true
	})
	return out, err
}

func hdel(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := c.HDelAll(args[1], args[2:])
	return command.Int(n), err
}

func hexists(c *command.Call, args [][]byte) (command.Reply, error) {
	_, ok, err := c.HGet(args[1], args[2])
	return command.Bool(ok), err
}

func hlen(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := c.HLen(args[1])
	return command.Int(n), err
}

func hstrlen(c *command.Call, args [][]byte) (command.Reply, error) {
	v, _, err := c.HGet(args[1], args[2])
	return command.Int(int64(len(v))), err
}

func hincrby(c *command.Call, args [][]byte) (command.Reply, error) {
	by, err := intArg(args[3])
	if err != nil {
		return command.Reply{}, err
	}
	v, ok, err := c.HGet(args[1], args[2])
	if err != nil {
		return command.Reply{}, err
	}
	var n int64
	if ok {
		if n, ok = parseInt(v); !ok {
			return command.Reply{}, command.Errorf("ERR", "hash value is not an integer")
		}
	}
	if n, err = addInt(n, by); err != nil {
		return command.Reply{}, err
	}
	_, err = c.HSetKeepTTL(args[1], [][]byte{args[2], formatInt(n)})
	return command.Int(n), err
}

func hincrbyfloat(c *command.Call, args [][]byte) (command.Reply, error) {
	by, ok := parseLong(args[3])
	switch {
	case !ok:
		return command.Reply{}, command.ErrNotFloat
	case by.IsInf():
		return command.Reply{}, command.Errorf("ERR", "value is NaN or Infinity")
	}
	v, had, err := c.HGet(args[1], args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if !had {
		v = []byte("0")
	}
	n, ok := parseLong(v)
	if !ok {
		return command.Reply{}, command.Errorf("ERR", "hash value is not a float")
	}
	sum, err := addLong(n, by)
	if err != nil {
		return command.Reply{}, err
	}
	_, err = c.HSetKeepTTL(args[1], [][]byte{args[2], sum})
	return command.Bulk(sum), err
}

func hscan(c *command.Call, args [][]byte) (command.Reply, error) {
	cursor, o, err := scanArgs(args, scanNoValues)
	if err != nil {
		return command.Reply{}, err
	}
	var items command.Pack
	next, err := c.HScan(args[1], cursor, o.count, func(f, v []byte) {
		if !o.match(f) {
			return
		}
		items.Bulk(f)
		if !o.names {
			items.Bulk(v)
		}
	})
	return scanReply(next, &items), err
}

func hrandfield(c *command.Call, args [][]byte) (command.Reply, error) {
	if len(args) == 2 {
		f, _, ok, err := c.HRandom(args[1], random(c))
		return bulkOrNull(f, ok), err
	}
	n, with, err := randomCount(args, "WITHVALUES")
	if err != nil {
		return command.Reply{}, err
	}
	size, err := c.HLen(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	items, err := sample(n, size, sampler{
		one: func() ([]byte, []byte, error) {
			f, v, _, err := c.HRandom(args[1], random(c))
			return f, v, err
		},
		all: func(fn func(a, b []byte)) error {
			return c.HEach(args[1], func(f, v []byte) bool { fn(f, v); return true })
		},
		shuffle: random(c).Shuffle,
	})
	return pairsOrFirsts(items, with), err
}

// randomCount reads the count and the keyword after it.
func randomCount(args [][]byte, keyword string) (n int64, with bool, err error) {
	if n, err = intArg(args[2]); err != nil {
		return 0, false, err
	}
	if n == math.MinInt64 {
		return 0, false, command.Errorf("ERR", "value is out of range, value must between -9223372036854775807 and 9223372036854775807")
	}
	if len(args) > 4 || (len(args) == 4 && !is(args[3], keyword)) {
		return 0, false, command.ErrSyntax
	}
	with = len(args) == 4
	if with && (n < -math.MaxInt64/2 || n > math.MaxInt64/2) {
		return 0, false, errRange
	}
	return n, with, nil
}

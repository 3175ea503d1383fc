package redis

import (
	"math"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func keyCommands() []entry {
	const condition = " [NX|XX|GT|LT]"
	return []entry{
		{"DEL", -2, write, allKeys, "1.0.0", "key …", "Deletes keys.", del},
		{"UNLINK", -2, writeFast, allKeys, "4.0.0", "key …", "Deletes keys; here the same as DEL.", del},
		{"EXISTS", -2, readFast, allKeys, "1.0.0", "key …", "Counts the keys that exist.", exists},
		{"TOUCH", -2, readFast, allKeys, "3.2.1", "key …", "Counts the keys that exist.", exists},
		{"TYPE", 2, readFast, oneKey, "1.0.0", "key", "Gives the type of the value at a key.", typeOf},
		{"TTL", 2, readFast, oneKey, "1.0.0", "key", "Gives the seconds until a key expires.", ttl(1000, true)},
		{"PTTL", 2, readFast, oneKey, "2.6.0", "key", "Gives the milliseconds until a key expires.", ttl(1, true)},
		{"EXPIRETIME", 2, readFast, oneKey, "7.0.0", "key", "Gives the second at which a key expires.", ttl(1000, false)},
		{"PEXPIRETIME", 2, readFast, oneKey, "7.0.0", "key", "Gives the millisecond at which a key expires.", ttl(1, false)},
		{"EXPIRE", -3, writeFast, oneKey, "1.0.0", "key seconds" + condition, "Sets a key to expire after seconds.", expire("expire", 1000, true)},
		{"PEXPIRE", -3, writeFast, oneKey, "2.6.0", "key milliseconds" + condition, "Sets a key to expire after milliseconds.", expire("pexpire", 1, true)},
		{"EXPIREAT", -3, writeFast, oneKey, "1.2.0", "key unix-time-seconds" + condition, "Sets a key to expire at a second.", expire("expireat", 1000, false)},
		{"PEXPIREAT", -3, writeFast, oneKey, "2.6.0", "key unix-time-milliseconds" + condition, "Sets a key to expire at a millisecond.", expire("pexpireat", 1, false)},
		{"PERSIST", 2, writeFast, oneKey, "2.2.0", "key", "Lets a key not expire.", persist},
		{"RENAME", 3, write, twoKeys, "1.0.0", "key newkey", "Renames a key, whatever had the new name.", rename},
		{"RENAMENX", 3, writeFast, twoKeys, "1.0.0", "key newkey", "Renames a key if the new name is free.", renamenx},
		{"COPY", -3, write, twoKeys, "6.2.0", "source destination [DB db] [REPLACE]", "Copies a key.", copyKey},
		{"MOVE", 3, writeFast, oneKey, "1.0.0", "key db", "Takes a key to another database.", move},
		{"RANDOMKEY", 1, read, noKeys, "1.0.0", "", "Gives a key at random.", randomkey},
		{"KEYS", 2, read, noKeys, "1.0.0", "pattern", "Gives the keys that match a pattern.", keysMatching},
		{"SCAN", -2, read, noKeys, "2.8.0", "cursor [MATCH pattern] [COUNT count] [TYPE type]", "Walks the keys, some at a time.", scan},
		{"OBJECT", -2, read, keys{2, 2, 1}, "2.2.3", "<ENCODING|REFCOUNT|IDLETIME|FREQ|HELP> [key]", "Tells of the inner side of a value.", object},
	}
}

// serverCommands are those on keys that Redis counts among others.
func serverCommands() []entry {
	return []entry{
		{"DBSIZE", 1, readFast, noKeys, "1.0.0", "", "Counts the keys of the database.", dbsize},
	}
}

func del(c *command.Call, args [][]byte) (command.Reply, error) {
	n := int64(0)
	for _, key := range args[1:] {
		if c.Delete(key) {
			n++
		}
	}
	return command.Int(n), nil
}

func exists(c *command.Call, args [][]byte) (command.Reply, error) {
	n := int64(0)
	for _, key := range args[1:] {
		if c.Type(key) != keyspace.None {
			n++
		}
	}
	return command.Int(n), nil
}

func typeOf(c *command.Call, args [][]byte) (command.Reply, error) {
	return command.Simple(c.Type(args[1]).String()), nil
}

func ttl(unit int64, relative bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		if c.Type(args[1]) == keyspace.None {
			return command.Int(-2), nil
		}
		ms, ok := c.ExpireAt(args[1])
		if !ok {
			return command.Int(-1), nil
		}
		if relative {
			ms -= c.Now
		}
		if unit > 1 {
			ms = (ms + unit/2) / unit
		}
		return command.Int(ms), nil
	}
}

// expireIf are the conditions of EXPIRE and its kin.
type expireIf struct{ nx, xx, gt, lt bool }

func parseExpireIf(args [][]byte) (f expireIf, err error) {
	for _, a := range args {
		switch {
		case is(a, "NX"):
			f.nx = true
		case is(a, "XX"):
			f.xx = true
		case is(a, "GT"):
			f.gt = true
		case is(a, "LT"):
			f.lt = true
		default:
			return f, command.Errorf("ERR", "Unsupported option "+string(a))
		}
	}
	if f.nx && (f.xx || f.gt || f.lt) {
		return f, command.Errorf("ERR", "NX and XX, GT or LT options at the same time are not compatible")
	}
	if f.gt && f.lt {
		return f, command.Errorf("ERR", "GT and LT options at the same time are not compatible")
	}
	return f, nil
}

// allow says whether a new time may take the place of the present one.
func (f expireIf) allow(when, present int64, has bool) bool {
	switch {
	case f.nx && has, f.xx && !has:
		return false
	case f.gt && (!has || when <= present):
		return false
	case f.lt && has && when >= present:
		return false
	}
	return true
}

func expire(name string, scale int64, relative bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		f, err := parseExpireIf(args[3:])
		if err != nil {
			return command.Reply{}, err
		}
		when, err := intArg(args[2])
		if err != nil {
			return command.Reply{}, err
		}
		if when > math.MaxInt64/scale || when < math.MinInt64/scale {
			return command.Reply{}, errExpire(name)
		}
		when *= scale
		if relative {
			if when > math.MaxInt64-c.Now {
				return command.Reply{}, errExpire(name)
			}
			when += c.Now
		}
		key := args[1]
		present, has := c.ExpireAt(key)
		if c.Type(key) == keyspace.None || !f.allow(when, present, has) {
			return command.Int(0), nil
		}
		if when <= c.Now {
			c.Delete(key)
		} else {
			c.SetExpire(key, when)
		}
		return command.Int(1), nil
	}
}

func persist(c *command.Call, args [][]byte) (command.Reply, error) {
	if _, ok := c.ExpireAt(args[1]); !ok {
		return command.Int(0), nil
	}
	c.SetExpire(args[1], 0)
	return command.Int(1), nil
}

func rename(c *command.Call, args [][]byte) (command.Reply, error) {
	return command.OK, c.Rename(args[1], args[2])
}

func renamenx(c *command.Call, args [][]byte) (command.Reply, error) {
	if c.Type(args[1]) == keyspace.None {
		return command.Reply{}, command.ErrNoSuchKey
	}
	if c.Type(args[2]) != keyspace.None {
		return command.Int(0), nil
	}
	return command.Int(1), c.Rename(args[1], args[2])
}

func copyKey(c *command.Call, args [][]byte) (command.Reply, error) {
	db, replace := c.DB(), false
	for i := 3; i < len(args); i++ {
		switch {
		case is(args[i], "REPLACE"):
			replace = true
		case is(args[i], "DB") && i+1 < len(args):
			i++
			n, err := intArg(args[i])
			if err != nil {
				return command.Reply{}, err
			}
			if n < 0 || n >= keyspace.Databases {
				return command.Reply{}, command.Errorf("ERR", "DB index is out of range")
			}
			db = uint8(n)
		default:
			return command.Reply{}, command.ErrSyntax
		}
	}
	from, to := args[1], args[2]
	if db == c.DB() && string(from) == string(to) {
		return command.Reply{}, command.Errorf("ERR", "source and destination objects are the same")
	}
	if c.Type(from) == keyspace.None {
		return command.Int(0), nil
	}
	if !replace && existsIn(c, db, to) {
		return command.Int(0), nil
	}
	return command.Int(1), c.Copy(from, db, to)
}

func existsIn(c *command.Call, db uint8, key []byte) bool {
	home := c.DB()
	c.Select(db)
	defer c.Select(home)
	return c.Type(key) != keyspace.None
}

func randomkey(c *command.Call, _ [][]byte) (command.Reply, error) {
	key, ok := c.RandomKey(random(c), func(key []byte) bool { return listed(key, nil) })
	return bulkOrNull(key, ok), nil
}

func keysMatching(c *command.Call, args [][]byte) (command.Reply, error) {
	var out command.Pack
	c.EachKey(nil, func(key []byte, _ keyspace.Type) bool {
		if listed(key, args[1]) && glob(key, args[1]) {
			out.Bulk(key)
		}
		return true
	})
	return out.Array(), nil
}

// scanOptions are what may follow the cursor of SCAN and its kin.
type scanOptions struct {
	pattern  []byte // nil: all
	count    int
	typeName string // empty: all
	names    bool   // without the values of fields
}

// What there may be besides MATCH and COUNT.
const (
	scanType     = 1 << iota // TYPE
	scanNoValues             // NOVALUES, from 7.4 on
)

func parseScan(args [][]byte, also int) (o scanOptions, err error) {
	o.count = 10
	for i := 0; i < len(args); i++ {
		if also&scanNoValues != 0 && is(args[i], "NOVALUES") {
			o.names = true
			continue
		}
		name := args[i]
		if i++; i == len(args) {
			return o, command.ErrSyntax
		}
		switch v := args[i]; {
		case is(name, "COUNT"):
			n, err := intArg(v)
			if err != nil {
				return o, err
			}
			if n < 1 {
				return o, command.ErrSyntax
			}
			o.count = int(min(n, math.MaxInt32))
		case is(name, "MATCH"):
			o.pattern = v
			if string(v) == "*" {
				o.pattern = nil
			}
		case also&scanType != 0 && is(name, "TYPE"):
			o.typeName = strings.ToLower(string(v))
		default:
			return o, command.ErrSyntax
		}
	}
	return o, nil
}

func (o *scanOptions) match(s []byte) bool { return o.pattern == nil || glob(s, o.pattern) }

func scanReply(next uint64, items *command.Pack) command.Reply {
	return command.Array(command.BulkString(strconv.FormatUint(next, 10)), items.Array())
}

func scan(c *command.Call, args [][]byte) (command.Reply, error) {
	cursor, err := parseCursor(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	o, err := parseScan(args[2:], scanType)
	if err != nil {
		return command.Reply{}, err
	}
	var items command.Pack
	next := c.Scan(cursor, o.count, func(key []byte, t keyspace.Type) {
		if listed(key, o.pattern) && (o.typeName == "" || o.typeName == t.String()) && o.match(key) {
			items.Bulk(key)
		}
	})
	return scanReply(next, &items), nil
}

// scanArgs reads what HSCAN, SSCAN and ZSCAN have after the key.
func scanArgs(args [][]byte, also int) (cursor uint64, o scanOptions, err error) {
	if cursor, err = parseCursor(args[2]); err != nil {
		return 0, o, err
	}
	o, err = parseScan(args[3:], also)
	return cursor, o, err
}

func dbsize(c *command.Call, _ [][]byte) (command.Reply, error) {
	n, _ := Count(c.Tx)
	return command.Int(n), nil
}

func object(c *command.Call, args [][]byte) (command.Reply, error) {
	sub := strings.ToLower(string(args[1]))
	switch sub {
	case "help":
		if len(args) == 2 {
			return objectHelp(), nil
		}
	case "encoding", "refcount", "idletime", "freq":
		if len(args) == 3 {
			return objectOf(c, sub, args[2])
		}
	default:
		return command.Reply{}, command.Errorf("ERR", "unknown subcommand '"+string(args[1])+"'. Try OBJECT HELP.")
	}
	return command.Reply{}, command.ErrArity("object|" + sub)
}

func objectHelp() command.Reply {
	lines := []string{
		"OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"ENCODING <key>",
		"    How the value is kept.",
		"REFCOUNT <key>",
		"    Always 1.",
		"IDLETIME <key>",
		"    Always 0: reads are not recorded.",
		"HELP",
		"    Print this help.",
	}
	out := make([]command.Reply, len(lines))
	for i, l := range lines {
		out[i] = command.Simple(l)
	}
	return command.Array(out...)
}

func objectOf(c *command.Call, sub string, key []byte) (command.Reply, error) {
	t := c.Type(key)
	if t == keyspace.None {
		return command.Null(), nil
	}
	switch sub {
	case "refcount":
		return command.Int(1), nil
	case "idletime":
		return command.Int(0), nil
	case "freq":
		return command.Reply{}, command.Errorf("ERR", "An LFU maxmemory policy is not selected, access frequency not tracked. "+
			"Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	}
	return command.BulkString(encoding(c, key, t)), nil
}

// encoding gives the name that Redis has for what comes nearest.
func encoding(c *command.Call, key []byte, t keyspace.Type) string {
	switch {
	case t == keyspace.String:
		v, _, _ := c.Get(key)
		if _, ok := parseInt(v); ok {
			return "int"
		}
		if len(v) <= 44 {
			return "embstr"
		}
		return "raw"
	case t == keyspace.Stream:
		return "stream"
	case t == keyspace.List:
		return "quicklist"
	case t == keyspace.Set && fewNumbers(c, key):
		return "intset"
	case t == keyspace.Set:
		return "hashtable"
	case c.Inlined(key) && c.HTimed(key):
		return "listpackex"
	case c.Inlined(key):
		return "listpack"
	case t == keyspace.ZSet:
		return "skiplist"
	}
	return "hashtable"
}

// fewNumbers says whether a set is one that Redis, by default, keeps as a list of
// numbers.
func fewNumbers(c *command.Call, key []byte) bool {
	if n, _ := c.SLen(key); n > 512 {
		return false
	}
	only := true
	_ = c.SEach(key, func(member []byte) bool {
		_, only = parseInt(member)
		return only
	})
	return only
}

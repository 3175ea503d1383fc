package redis

import (
	"bytes"
	"math"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func stringCommands() []entry {
	const expiry = "EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds"
	return []entry{
		{"SET", -3, write, oneKey, "1.0.0", "key value [NX|XX] [GET] [" + expiry + "|KEEPTTL]", "Sets the string at a key, whatever was there.", set},
		{"GET", 2, readFast, oneKey, "1.0.0", "key", "Gives the string at a key.", get},
		{"GETSET", 3, writeFast, oneKey, "1.0.0", "key value", "Sets the string at a key and gives the one before.", getset},
		{"GETDEL", 2, writeFast, oneKey, "6.2.0", "key", "Gives the string at a key and deletes the key.", getdel},
		{"GETEX", -2, writeFast, oneKey, "6.2.0", "key [" + expiry + "|PERSIST]", "Gives the string at a key and sets when it expires.", getex},
		{"SETNX", 3, writeFast, oneKey, "1.0.0", "key value", "Sets a string if the key does not exist.", setnx},
		{"SETEX", 4, write, oneKey, "2.0.0", "key seconds value", "Sets a string that expires after seconds.", setex(1000)},
		{"PSETEX", 4, write, oneKey, "2.6.0", "key milliseconds value", "Sets a string that expires after milliseconds.", setex(1)},
		{"MGET", -2, readFast, allKeys, "1.0.0", "key …", "Gives the strings at several keys.", mget},
		{"MSET", -3, write, keys{1, -1, 2}, "1.0.1", "<key value> …", "Sets several strings at once.", mset},
		{"MSETNX", -3, write, keys{1, -1, 2}, "1.0.1", "<key value> …", "Sets several strings if none of the keys exists.", msetnx},
		{"INCR", 2, writeFast, oneKey, "1.0.0", "key", "Adds one to an integer.", incr(1)},
		{"DECR", 2, writeFast, oneKey, "1.0.0", "key", "Takes one from an integer.", incr(-1)},
		{"INCRBY", 3, writeFast, oneKey, "1.0.0", "key increment", "Adds to an integer.", incrby},
		{"DECRBY", 3, writeFast, oneKey, "1.0.0", "key decrement", "Takes from an integer.", decrby},
		{"INCRBYFLOAT", 3, writeFast, oneKey, "2.6.0", "key float", "Adds to a number.", incrbyfloat},
		{"APPEND", 3, writeFast, oneKey, "2.0.0", "key value", "Appends to a string.", appendString},
		{"STRLEN", 2, readFast, oneKey, "2.2.0", "key", "Gives the length of a string in bytes.", strlen},
		{"GETRANGE", 4, read, oneKey, "2.4.0", "key start end", "Gives part of a string.", getrange},
		{"SUBSTR", 4, read, oneKey, "1.0.0", "key start end", "Gives part of a string: the old name of GETRANGE.", getrange},
		{"LCS", -3, read | command.Heavy, twoKeys, "7.0.0", "key key [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]", "Gives the longest sequence that two strings have in common.", lcs},
		{"SETRANGE", 4, write, oneKey, "2.2.0", "key offset value", "Overwrites part of a string.", setrange},
	}
}

// setOptions are what may follow in SET and GETEX.
type setOptions struct {
	nx, xx, get, keepTTL, persist bool
	unit                          []byte // EX, PX, EXAT or PXAT as written; nil: none
	relative                      bool
	scale                         int64 // ms a unit
	time                          []byte
}

// parseSetOptions reads the options of SET, or those of GETEX.
func parseSetOptions(args [][]byte, getex bool) (o setOptions, err error) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		// The same unit may come again: then the last time counts.
		timed := o.keepTTL || o.persist || o.unit != nil && !bytes.EqualFold(o.unit, a)
		switch {
		case !getex && is(a, "NX") && !o.xx:
			o.nx = true
		case !getex && is(a, "XX") && !o.nx:
			o.xx = true
		case !getex && is(a, "GET"):
			o.get = true
		case !getex && is(a, "KEEPTTL") && o.unit == nil:
			o.keepTTL = true
		case getex && is(a, "PERSIST") && o.unit == nil:
			o.persist = true
		case (is(a, "EX") || is(a, "PX") || is(a, "EXAT") || is(a, "PXAT")) && !timed && i+1 < len(args):
			o.unit, o.time = a, args[i+1]
			o.relative = len(a) == 2
			o.scale = 1
			if a[0]|0x20 == 'e' {
				o.scale = 1000
			}
			i++
		default:
			return o, command.ErrSyntax
		}
	}
	return o, nil
}

// expiry gives the time in ms at which the key is to expire, 0 if never.
func (o *setOptions) expiry(now int64, name string) (int64, error) {
	if o.unit == nil {
		return 0, nil
	}
	return expiryTime(o.time, o.scale, o.relative, now, name)
}

// expiryTime reads a time that must be in the future of 1970.
func expiryTime(arg []byte, scale int64, relative bool, now int64, name string) (int64, error) {
	n, err := intArg(arg)
	if err != nil {
		return 0, err
	}
	if n <= 0 || n > math.MaxInt64/scale {
		return 0, errExpire(name)
	}
	n *= scale
	if relative {
		if n > math.MaxInt64-now {
			return 0, errExpire(name)
		}
		n += now
	}
	return n, nil
}

func errExpire(name string) error {
	return command.Errorf("ERR", "invalid expire time in '"+name+"' command")
}

func bulkOrNull(value []byte, ok bool) command.Reply {
	if !ok {
		return command.Null()
	}
	return command.Bulk(value)
}

func set(c *command.Call, args [][]byte) (command.Reply, error) {
	key, value := args[1], args[2]
	o, err := parseSetOptions(args[3:], false)
	if err != nil {
		return command.Reply{}, err
	}
	expire, err := o.expiry(c.Now, "set")
	if err != nil {
		return command.Reply{}, err
	}
	reply := command.OK
	if o.get {
		old, ok, err := c.Get(key)
		if err != nil {
			return command.Reply{}, err
		}
		reply = bulkOrNull(old, ok)
	}
	if o.nx || o.xx {
		if (c.Type(key) != keyspace.None) == o.nx {
			if o.get {
				return reply, nil
			}
			return command.Null(), nil
		}
	}
	if o.keepTTL {
		return reply, c.SetKeepTTL(key, value)
	}
	return reply, c.SetEx(key, value, expire)
}

func get(c *command.Call, args [][]byte) (command.Reply, error) {
	v, ok, err := c.Get(args[1])
	return bulkOrNull(v, ok), err
}

func getset(c *command.Call, args [][]byte) (command.Reply, error) {
	v, ok, err := c.Get(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	return bulkOrNull(v, ok), c.Set(args[1], args[2])
}

func getdel(c *command.Call, args [][]byte) (command.Reply, error) {
	v, ok, err := c.Get(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	reply := bulkOrNull(v, ok)
	c.Delete(args[1])
	return reply, nil
}

func getex(c *command.Call, args [][]byte) (command.Reply, error) {
	key := args[1]
	o, err := parseSetOptions(args[2:], true)
	if err != nil {
		return command.Reply{}, err
	}
	v, ok, err := c.Get(key)
	if err != nil || !ok {
		return command.Null(), err
	}
	expire, err := o.expiry(c.Now, "getex")
	if err != nil {
		return command.Reply{}, err
	}
	reply := command.Bulk(v)
	if o.persist || expire != 0 {
		if _, had := c.ExpireAt(key); had || expire != 0 {
			c.SetExpire(key, expire)
		}
	}
	return reply, nil
}

func setnx(c *command.Call, args [][]byte) (command.Reply, error) {
	if c.Type(args[1]) != keyspace.None {
		return command.Int(0), nil
	}
	return command.Int(1), c.Set(args[1], args[2])
}

func setex(scale int64) handler {
	name := "psetex"
	if scale == 1000 {
		name = "setex"
	}
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		expire, err := expiryTime(args[2], scale, true, c.Now, name)
		if err != nil {
			return command.Reply{}, err
		}
		return command.OK, c.SetEx(args[1], args[3], expire)
	}
}

func mget(c *command.Call, args [][]byte) (command.Reply, error) {
	out := make([]command.Reply, 0, len(args)-1)
	for _, key := range args[1:] {
		v, ok, err := c.Get(key)
		out = append(out, bulkOrNull(v, ok && err == nil))
	}
	return command.Array(out...), nil
}

func mset(c *command.Call, args [][]byte) (command.Reply, error) {
	if len(args)%2 == 0 {
		return command.Reply{}, command.ErrArity("mset")
	}
	return command.OK, setPairs(c, args[1:])
}

func setPairs(c *command.Call, pairs [][]byte) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := c.Set(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func msetnx(c *command.Call, args [][]byte) (command.Reply, error) {
	if len(args)%2 == 0 {
		return command.Reply{}, command.ErrArity("msetnx")
	}
	for i := 1; i < len(args); i += 2 {
		if c.Type(args[i]) != keyspace.None {
			return command.Int(0), nil
		}
	}
	return command.Int(1), setPairs(c, args[1:])
}

func incr(by int64) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) { return addTo(c, args[1], by) }
}

func incrby(c *command.Call, args [][]byte) (command.Reply, error) {
	by, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	return addTo(c, args[1], by)
}

func decrby(c *command.Call, args [][]byte) (command.Reply, error) {
	by, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if by == math.MinInt64 {
		return command.Reply{}, command.Errorf("ERR", "decrement would overflow")
	}
	return addTo(c, args[1], -by)
}

func addTo(c *command.Call, key []byte, by int64) (command.Reply, error) {
	v, ok, err := c.Get(key)
	if err != nil {
		return command.Reply{}, err
	}
	var n int64
	if ok {
		if n, err = intArg(v); err != nil {
			return command.Reply{}, err
		}
	}
	if n, err = addInt(n, by); err != nil {
		return command.Reply{}, err
	}
	return command.Int(n), c.SetKeepTTL(key, formatInt(n))
}

func incrbyfloat(c *command.Call, args [][]byte) (command.Reply, error) {
	v, ok, err := c.Get(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	if !ok {
		v = []byte("0")
	}
	n, ok := parseLong(v)
	by, ok2 := parseLong(args[2])
	if !ok || !ok2 {
		return command.Reply{}, command.ErrNotFloat
	}
	sum, err := addLong(n, by)
	if err != nil {
		return command.Reply{}, err
	}
	return command.Bulk(sum), c.SetKeepTTL(args[1], sum)
}

func appendString(c *command.Call, args [][]byte) (command.Reply, error) {
	n, _, err := c.StrLen(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	if n+int64(len(args[2])) > keyspace.MaxValue {
		return command.Reply{}, errStringSize
	}
	n, err = c.SetRange(args[1], n, args[2])
	return command.Int(n), err
}

func strlen(c *command.Call, args [][]byte) (command.Reply, error) {
	n, _, err := c.StrLen(args[1])
	return command.Int(n), err
}

func getrange(c *command.Call, args [][]byte) (command.Reply, error) {
	start, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	end, err := intArg(args[3])
	if err != nil {
		return command.Reply{}, err
	}
	n, _, err := c.StrLen(args[1])
	if err != nil || (start < 0 && end < 0 && start > end) {
		return command.BulkString(""), err
	}
	if end < 0 {
		end = max(end+n, 0)
	}
	from, count, ok := span(start, end, n)
	if !ok {
		return command.BulkString(""), nil
	}
	v, err := c.GetRange(args[1], from, count)
	return command.Bulk(v), err
}

func setrange(c *command.Call, args [][]byte) (command.Reply, error) {
	offset, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if offset < 0 {
		return command.Reply{}, errOffset
	}
	n, _, err := c.StrLen(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	patch := args[3]
	if len(patch) == 0 {
		return command.Int(n), nil
	}
	if offset > keyspace.MaxValue-int64(len(patch)) {
		return command.Reply{}, errStringSize
	}
	n, err = c.SetRange(args[1], offset, patch)
	return command.Int(n), err
}

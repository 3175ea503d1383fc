package redis

import (
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// hashExpiryCommands are those on the times at which fields expire.
func hashExpiryCommands() []entry {
	const (
		condition = " [NX|XX|GT|LT]"
		fields    = " FIELDS numfields field …"
		times     = "EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds"
	)
	return []entry{
		{"HEXPIRE", -6, writeFast, oneKey, "7.4.0", "key seconds" + condition + fields, "Sets fields to expire after seconds.", hexpire("hexpire", 1000, true)},
		{"HPEXPIRE", -6, writeFast, oneKey, "7.4.0", "key milliseconds" + condition + fields, "Sets fields to expire after milliseconds.", hexpire("hpexpire", 1, true)},
		{"HEXPIREAT", -6, writeFast, oneKey, "7.4.0", "key unix-time-seconds" + condition + fields, "Sets fields to expire at a second.", hexpire("hexpireat", 1000, false)},
		{"HPEXPIREAT", -6, writeFast, oneKey, "7.4.0", "key unix-time-milliseconds" + condition + fields, "Sets fields to expire at a millisecond.", hexpire("hpexpireat", 1, false)},
		{"HTTL", -5, readFast, oneKey, "7.4.0", "key" + fields, "Gives the seconds until fields expire.", httl(1000, true)},
		{"HPTTL", -5, readFast, oneKey, "7.4.0", "key" + fields, "Gives the milliseconds until fields expire.", httl(1, true)},
		{"HEXPIRETIME", -5, readFast, oneKey, "7.4.0", "key" + fields, "Gives the second at which fields expire.", httl(1000, false)},
		{"HPEXPIRETIME", -5, readFast, oneKey, "7.4.0", "key" + fields, "Gives the millisecond at which fields expire.", httl(1, false)},
		{"HPERSIST", -5, writeFast, oneKey, "7.4.0", "key" + fields, "Lets fields not expire.", hpersist},
		{"HGETEX", -5, writeFast, oneKey, "8.0.0", "key [" + times + "|PERSIST]" + fields, "Gives the values of fields and changes when they expire.", hgetex},
		{"HSETEX", -6, writeFast, oneKey, "8.0.0", "key [FNX|FXX] [" + times + "|KEEPTTL] FIELDS numfields <field value> …", "Sets fields and when they expire.", hsetex},
		{"HGETDEL", -5, writeFast, oneKey, "8.0.0", "key" + fields, "Gives the values of fields and removes them.", hgetdel},
	}
}

var (
	errFieldsMissing  = command.Errorf("ERR", "Mandatory argument FIELDS is missing or not at the right position")
	errFieldsMismatch = command.Errorf("ERR", "The `numfields` parameter must match the number of arguments")
	errFieldsCount    = command.Errorf("ERR", "Number of fields must be a positive integer")
	errExpireNegative = command.Errorf("ERR", "invalid expire time, must be >= 0")
)

// maxFieldTime is the last millisecond at which a field can expire.
const maxFieldTime = (1<<48 - 1) >> 2

// fieldArgs reads FIELDS, a number, and that many fields.
func fieldArgs(args [][]byte, bad *command.Error) ([][]byte, error) {
	if !is(args[0], "FIELDS") {
		return nil, errFieldsMissing
	}
	if len(args) < 2 {
		return nil, bad
	}
	n, ok := parseInt(args[1])
	if !ok || n < 1 {
		return nil, bad
	}
	if n != int64(len(args)-2) {
		return nil, errFieldsMismatch
	}
	return args[2:], nil
}

// fieldTime reads a time in units of scale ms and gives it in ms since 1970.
func fieldTime(arg []byte, name string, scale, base int64) (int64, error) {
	when, err := intArg(arg)
	switch {
	case err != nil:
		return 0, err
	case when < 0:
		return 0, errExpireNegative
	case when > maxFieldTime/scale || when*scale > maxFieldTime-base:
		return 0, errExpire(name)
	}
	return when*scale + base, nil
}

// hashOnly is an error if there is something else at a key.
func hashOnly(c *command.Call, key []byte) error {
	_, err := c.HLen(key)
	return err
}

func hexpire(name string, scale int64, relative bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		key := args[1]
		if err := hashOnly(c, key); err != nil {
			return command.Reply{}, err
		}
		base := int64(0)
		if relative {
			base = c.Now
		}
		when, err := fieldTime(args[2], name, scale, base)
		if err != nil {
			return command.Reply{}, err
		}
		rest, f := args[3:], expireIf{}
		switch {
		case is(rest[0], "NX"):
			f.nx = true
		case is(rest[0], "XX"):
			f.xx = true
		case is(rest[0], "GT"):
			f.gt = true
		case is(rest[0], "LT"):
			f.lt = true
		}
		if f != (expireIf{}) {
			rest = rest[1:]
		}
		fields, err := fieldArgs(rest, command.Errorf("ERR", "Parameter `numFields` should be greater than 0"))
		if err != nil {
			return command.Reply{}, err
		}
		done, err := c.HExpire(key, fields, func(at int64) (int64, bool) {
			return max(when, 1), f.allow(when, at, at != 0)
		})
		return expiries(done, map[keyspace.HExpiry]int64{keyspace.HNoField: -2, keyspace.HKept: 0, keyspace.HSet: 1, keyspace.HDeleted: 2}), err
	}
}

// expiries answers what became of fields.
func expiries(done []keyspace.HExpiry, code map[keyspace.HExpiry]int64) command.Reply {
	out := make([]command.Reply, len(done))
	for i, d := range done {
		out[i] = command.Int(code[d])
	}
	return command.Array(out...)
}

func httl(unit int64, relative bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		if err := hashOnly(c, args[1]); err != nil {
			return command.Reply{}, err
		}
		fields, err := fieldArgs(args[2:], errFieldsCount)
		if err != nil {
			return command.Reply{}, err
		}
		out := make([]command.Reply, len(fields))
		for i, f := range fields {
			at, ok, err := c.HExpireAt(args[1], f)
			switch {
			case err != nil:
				return command.Reply{}, err
			case !ok:
				out[i] = command.Int(-2)
				continue
			case at == 0:
				out[i] = command.Int(-1)
				continue
			case relative:
				at -= c.Now
			}
			out[i] = command.Int((at + unit - 1) / unit)
		}
		return command.Array(out...), nil
	}
}

func hpersist(c *command.Call, args [][]byte) (command.Reply, error) {
	if err := hashOnly(c, args[1]); err != nil {
		return command.Reply{}, err
	}
	fields, err := fieldArgs(args[2:], errFieldsCount)
	if err != nil {
		return command.Reply{}, err
	}
	done, err := c.HExpire(args[1], fields, func(at int64) (int64, bool) { return 0, at != 0 })
	return expiries(done, map[keyspace.HExpiry]int64{keyspace.HNoField: -2, keyspace.HKept: -1, keyspace.HSet: 1}), err
}

// fieldOptions are what precedes FIELDS in HGETEX and HSETEX.
type fieldOptions struct {
	at       int64 // when the fields expire; 0: not given
	stay     bool  // PERSIST or KEEPTTL
	fnx, fxx bool
	rest     [][]byte // what follows the number of fields
}

// parseFieldOptions reads the arguments after the key. stay is the keyword that
// stands in the place of a time; each field is followed by size-1 values.
func parseFieldOptions(c *command.Call, name string, args [][]byte, stay string, size int) (o fieldOptions, err error) {
	timed := false
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case is(a, "FIELDS"):
			if len(args)-i < 2+size {
				return o, command.ErrArity(name)
			}
			n, ok := parseInt(args[i+1])
			if !ok || n < 1 || n != int64(int32(n)) {
				return o, command.Errorf("ERR", "invalid number of fields")
			}
			o.rest = args[i+2:]
			if n*int64(size) != int64(len(o.rest)) {
				return o, command.ErrArity(name)
			}
			return o, nil
		case is(a, "EX"), is(a, "PX"), is(a, "EXAT"), is(a, "PXAT"), is(a, stay):
			if timed {
				return o, command.Errorf("ERR", "Only one of EX, PX, EXAT, PXAT or "+stay+" arguments can be specified")
			}
			timed = true
			if o.stay = is(a, stay); o.stay {
				continue
			}
			if i++; i >= len(args) {
				return o, command.Errorf("ERR", "missing expire time")
			}
			scale, base := int64(1), c.Now
			if a[0]|0x20 == 'e' {
				scale = 1000
			}
			if len(a) == len("EXAT") {
				base = 0
			}
			if o.at, err = fieldTime(args[i], name, scale, base); err != nil {
				return o, err
			}
			o.at = max(o.at, 1)
		case size == 2 && (is(a, "FNX") || is(a, "FXX")):
			if o.fnx || o.fxx {
				return o, command.Errorf("ERR", "Only one of FXX or FNX arguments can be specified")
			}
			o.fnx, o.fxx = is(a, "FNX"), is(a, "FXX")
		default:
			return o, command.Errorf("ERR", "unknown argument: "+string(a))
		}
	}
	return o, command.ErrArity(name)
}

// valuesOf answers the values of fields.
func valuesOf(c *command.Call, key []byte, fields [][]byte) (command.Reply, error) {
	out := make([]command.Reply, len(fields))
	for i, f := range fields {
		v, ok, err := c.HGet(key, f)
		if err != nil {
			return command.Reply{}, err
		}
		out[i] = bulkOrNull(v, ok)
	}
	return command.Array(out...), nil
}

func hgetex(c *command.Call, args [][]byte) (command.Reply, error) {
	key := args[1]
	o, err := parseFieldOptions(c, strings.ToLower(string(args[0])), args[2:], "PERSIST", 1)
	if err != nil {
		return command.Reply{}, err
	}
	values, err := valuesOf(c, key, o.rest)
	if err == nil && (o.stay || o.at != 0) {
		_, err = c.HExpire(key, o.rest, func(at int64) (int64, bool) { return o.at, at != o.at })
	}
	return values, err
}

func hsetex(c *command.Call, args [][]byte) (command.Reply, error) {
	key := args[1]
	o, err := parseFieldOptions(c, strings.ToLower(string(args[0])), args[2:], "KEEPTTL", 2)
	if err != nil {
		return command.Reply{}, err
	}
	if err := hashOnly(c, key); err != nil {
		return command.Reply{}, err
	}
	for i := 0; i < len(o.rest) && (o.fnx || o.fxx); i += 2 {
		_, has, err := c.HGet(key, o.rest[i])
		if err != nil {
			return command.Reply{}, err
		}
		if has == o.fnx {
			return command.Int(0), nil
		}
	}
	if o.stay {
		_, err = c.HSetKeepTTL(key, o.rest)
	} else {
		err = c.HSetEx(key, o.rest, o.at)
	}
	return command.Int(1), err
}

func hgetdel(c *command.Call, args [][]byte) (command.Reply, error) {
	if err := hashOnly(c, args[1]); err != nil {
		return command.Reply{}, err
	}
	fields, err := fieldArgs(args[2:], errFieldsCount)
	if err != nil {
		return command.Reply{}, err
	}
	values, err := valuesOf(c, args[1], fields)
	if err == nil {
		_, err = c.HDelAll(args[1], fields)
	}
	return values, err
}

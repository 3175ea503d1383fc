package redis

import (
	"bytes"
	"math"

	"github.com/parlorchat/parlor/storage/command"
)

func listCommands() []entry {
	const ends = " <LEFT|RIGHT> <LEFT|RIGHT>"
	const blocking = write | command.Blocking
	return []entry{
		{"LPUSH", -3, writeFast, oneKey, "1.0.0", "key element …", "Puts elements at the left end of a list.", push(true, false)},
		{"RPUSH", -3, writeFast, oneKey, "1.0.0", "key element …", "Puts elements at the right end of a list.", push(false, false)},
		{"LPUSHX", -3, writeFast, oneKey, "2.2.0", "key element …", "Puts elements at the left end of a list that exists.", push(true, true)},
		{"RPUSHX", -3, writeFast, oneKey, "2.2.0", "key element …", "Puts elements at the right end of a list that exists.", push(false, true)},
		{"LPOP", -2, writeFast, oneKey, "1.0.0", "key [count]", "Removes elements from the left end and gives them.", pop("lpop", true)},
		{"RPOP", -2, writeFast, oneKey, "1.0.0", "key [count]", "Removes elements from the right end and gives them.", pop("rpop", false)},
		{"LLEN", 2, readFast, oneKey, "1.0.0", "key", "Counts the elements.", llen},
		{"LRANGE", 4, read, oneKey, "1.0.0", "key start stop", "Gives the elements in a range.", lrange},
		{"LINDEX", 3, read, oneKey, "1.0.0", "key index", "Gives the element at an index.", lindex},
		{"LSET", 4, write, oneKey, "1.0.0", "key index element", "Changes the element at an index.", lset},
		{"LINSERT", 5, write, oneKey, "2.2.0", "key <BEFORE|AFTER> pivot element", "Puts an element before or behind another.", linsert},
		{"LREM", 4, write, oneKey, "1.0.0", "key count element", "Removes elements that are equal to one.", lrem},
		{"LTRIM", 4, write, oneKey, "1.0.0", "key start stop", "Removes the elements outside a range.", ltrim},
		{"LPOS", -3, read, oneKey, "6.0.6", "key element [RANK rank] [COUNT num-matches] [MAXLEN len]", "Gives the indexes of an element.", lpos},
		{"LMOVE", 5, write, twoKeys, "6.2.0", "source destination" + ends, "Moves an element from an end of a list to one of another.", lmove},
		{"RPOPLPUSH", 3, write, twoKeys, "1.2.0", "source destination", "Moves the last element of a list to the front of another.", rpoplpush},
		{"LMPOP", -4, write, noKeys, "7.0.0", "numkeys key … <LEFT|RIGHT> [COUNT count]", "Removes elements of the first list that has any.", lmpop(1)},
		{"BLPOP", -3, blocking, keys{1, -2, 1}, "2.0.0", "key … timeout", "Removes the first element of the first list that has any, or waits for one.", bpop(true)},
		{"BRPOP", -3, blocking, keys{1, -2, 1}, "2.0.0", "key … timeout", "Removes the last element of the first list that has any, or waits for one.", bpop(false)},
		{"BLMOVE", 6, blocking, twoKeys, "6.2.0", "source destination" + ends + " timeout", "Moves an element from list to list, or waits for one.", lmove},
		{"BRPOPLPUSH", 4, blocking, twoKeys, "2.2.0", "source destination timeout", "Moves the last element of a list to the front of another, or waits for one.", rpoplpush},
		{"BLMPOP", -5, blocking, noKeys, "7.0.0", "timeout numkeys key … <LEFT|RIGHT> [COUNT count]", "Removes elements of the first list that has any, or waits for some.", lmpop(2)},
	}
}

// blockingZSetCommands are the commands on sorted sets that may wait.
func blockingZSetCommands() []entry {
	const fast, slow = writeFast | command.Blocking, write | command.Blocking
	return []entry{
		{"BZPOPMIN", -3, fast, keys{1, -2, 1}, "5.0.0", "key … timeout", "Removes the lowest member of the first sorted set that has any, or waits for one.", bzpop(false)},
		{"BZPOPMAX", -3, fast, keys{1, -2, 1}, "5.0.0", "key … timeout", "Removes the highest member of the first sorted set that has any, or waits for one.", bzpop(true)},
		{"BZMPOP", -5, slow, noKeys, "7.0.0", "timeout numkeys key … <MIN|MAX> [COUNT count]", "Removes members of the first sorted set that has any, or waits for some.", bzmpop},
	}
}

// The commands that may wait do not wait here: they answer null if there is
// nothing, and are called again when one of their keys was touched.

// ParseWait reads the timeout of a command that waits: seconds, perhaps with a
// fraction. It gives ms; 0 is for ever.
func ParseWait(arg []byte, now int64) (ms int64, err error) {
	f, ok := parseLong(arg)
	if !ok {
		return 0, command.Errorf("ERR", "timeout is not a float or out of range")
	}
	seconds, _ := f.Float64()
	if seconds > math.MaxInt64/1000 {
		return 0, command.Errorf("ERR", "timeout is out of range")
	}
	if seconds < 0 {
		return 0, command.Errorf("ERR", "timeout is negative")
	}
	ms = int64(math.Ceil(seconds * 1000))
	if ms > math.MaxInt64-now {
		return 0, command.Errorf("ERR", "timeout is out of range")
	}
	return ms, nil
}

// checkWait reads the timeout of a command that waits, if it is one.
func checkWait(c *command.Call, timeout []byte) error {
	if timeout == nil {
		return nil
	}
	_, err := ParseWait(timeout, c.Now)
	return err
}

// optional gives an argument that may not be there.
func optional(args [][]byte, i int) []byte {
	if i >= len(args) {
		return nil
	}
	return args[i]
}

func push(left, ifExists bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		if ifExists {
			if n, err := c.LLen(args[1]); n == 0 {
				return command.Int(0), err
			}
		}
		n, err := c.LPush(args[1], left, args[2:])
		return command.Int(n), err
	}
}

func pop(name string, left bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		if len(args) > 3 {
			return command.Reply{}, command.ErrArity(name)
		}
		n, many := int64(1), len(args) == 3
		if many {
			var ok bool
			if n, ok = parseInt(args[2]); !ok || n < 0 {
				return command.Reply{}, errPositive
			}
		}
		out, ok, err := c.LPop(args[1], left, n)
		switch {
		case err != nil:
			return command.Reply{}, err
		case !ok && many:
			return command.NullArray(), nil
		case !ok:
			return command.Null(), nil
		case many:
			return pack(out).Array(), nil
		}
		return command.Bulk(out[0]), nil
	}
}

func llen(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := c.LLen(args[1])
	return command.Int(n), err
}

// listSpan reads the bounds of a range of a list that may not exist.
func listSpan(c *command.Call, args [][]byte) (from, count int64, ok bool, err error) {
	start, err := intArg(args[2])
	if err != nil {
		return 0, 0, false, err
	}
	stop, err := intArg(args[3])
	if err != nil {
		return 0, 0, false, err
	}
	n, err := c.LLen(args[1])
	if err != nil {
		return 0, 0, false, err
	}
	from, count, ok = span(start, stop, n)
	return from, count, ok, nil
}

func lrange(c *command.Call, args [][]byte) (command.Reply, error) {
	from, n, ok, err := listSpan(c, args)
	if !ok {
		return command.Array(), err
	}
	out := command.NewPack(n)
	err = c.LEach(args[1], from, n, false, func(e []byte) bool {
		out.Bulk(e)
		return true
	})
	return out.Array(), err
}

func ltrim(c *command.Call, args [][]byte) (command.Reply, error) {
	from, n, _, err := listSpan(c, args)
	if err != nil {
		return command.Reply{}, err
	}
	return command.OK, c.LTrim(args[1], from, n)
}

func lindex(c *command.Call, args [][]byte) (command.Reply, error) {
	if n, err := c.LLen(args[1]); n == 0 {
		return command.Null(), err
	}
	i, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	e, ok, err := c.LIndex(args[1], i)
	return bulkOrNull(e, ok), err
}

func lset(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := c.LLen(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	if n == 0 {
		return command.Reply{}, command.ErrNoSuchKey
	}
	i, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	return command.OK, c.LSet(args[1], i, args[3])
}

func linsert(c *command.Call, args [][]byte) (command.Reply, error) {
	if !is(args[2], "BEFORE") && !is(args[2], "AFTER") {
		return command.Reply{}, command.ErrSyntax
	}
	n, err := c.LInsert(args[1], is(args[2], "AFTER"), args[3], args[4])
	return command.Int(n), err
}

var errLong = command.Errorf("ERR", "value is out of range, value must between -9223372036854775807 and 9223372036854775807")

// symmetricArg reads an integer whose negative is one too.
func symmetricArg(arg []byte) (int64, error) {
	n, err := intArg(arg)
	if err == nil && n == math.MinInt64 {
		err = errLong
	}
	return n, err
}

func lrem(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := symmetricArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	removed, err := c.LRem(args[1], args[3], max(n, -n), n < 0)
	return command.Int(removed), err
}

// search is what LPOS looks for.
type search struct {
	rank, count, maxLen int64 // count -1: one; 0: all
}

func parseSearch(args [][]byte) (s search, err error) {
	s = search{rank: 1, count: -1}
	for ; len(args) > 0; args = args[2:] {
		if len(args) < 2 {
			return s, command.ErrSyntax
		}
		switch v := args[1]; {
		case is(args[0], "RANK"):
			if s.rank, err = symmetricArg(v); err != nil {
				return s, err
			}
			if s.rank == 0 {
				return s, command.Errorf("ERR", "RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list")
			}
		case is(args[0], "COUNT"):
			var ok bool
			if s.count, ok = parseInt(v); !ok || s.count < 0 {
				return s, command.Errorf("ERR", "COUNT can't be negative")
			}
		case is(args[0], "MAXLEN"):
			var ok bool
			if s.maxLen, ok = parseInt(v); !ok || s.maxLen < 0 {
				return s, command.Errorf("ERR", "MAXLEN can't be negative")
			}
		default:
			return s, command.ErrSyntax
		}
	}
	return s, nil
}

func lpos(c *command.Call, args [][]byte) (command.Reply, error) {
	s, err := parseSearch(args[3:])
	if err != nil {
		return command.Reply{}, err
	}
	n, err := c.LLen(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	reverse, skip := s.rank < 0, max(s.rank, -s.rank)-1
	out := []command.Reply{}
	seen := int64(0)
	err = c.LEach(args[1], 0, n, reverse, func(e []byte) bool {
		index := seen
		if reverse {
			index = n - 1 - seen
		}
		seen++
		if bytes.Equal(e, args[2]) {
			if skip > 0 {
				skip--
			} else {
				out = append(out, command.Int(index))
			}
		}
		return (s.maxLen == 0 || seen < s.maxLen) && (s.count == 0 || int64(len(out)) < max(s.count, 1))
	})
	switch {
	case err != nil:
		return command.Reply{}, err
	case s.count >= 0:
		return command.Array(out...), nil
	case len(out) > 0:
		return out[0], nil
	}
	return command.Null(), nil
}

// sideArg reads LEFT or RIGHT.
func sideArg(arg []byte) (left bool, err error) {
	if !is(arg, "LEFT") && !is(arg, "RIGHT") {
		return false, command.ErrSyntax
	}
	return is(arg, "LEFT"), nil
}

func lmove(c *command.Call, args [][]byte) (command.Reply, error) {
	from, err := sideArg(args[3])
	if err != nil {
		return command.Reply{}, err
	}
	to, err := sideArg(args[4])
	if err != nil {
		return command.Reply{}, err
	}
	return moveElement(c, args[1], args[2], from, to, optional(args, 5))
}

func rpoplpush(c *command.Call, args [][]byte) (command.Reply, error) {
	return moveElement(c, args[1], args[2], false, true, optional(args, 3))
}

// moveElement moves from one end to another; timeout is of the commands that
// may wait.
func moveElement(c *command.Call, source, destination []byte, fromLeft, toLeft bool, timeout []byte) (command.Reply, error) {
	if err := checkWait(c, timeout); err != nil {
		return command.Reply{}, err
	}
	n, err := c.LLen(source)
	if n == 0 {
		return command.Null(), err
	}
	if n == 1 && bytes.Equal(source, destination) { // the list, and its expiry, stay
		e, _, err := c.LIndex(source, 0)
		return command.Bulk(e), err
	}
	if _, err := c.LLen(destination); err != nil {
		return command.Reply{}, err
	}
	out, _, err := c.LPop(source, fromLeft, 1)
	if err != nil {
		return command.Reply{}, err
	}
	reply := command.Bulk(out[0])
	_, err = c.LPush(destination, toLeft, [][]byte{reply.Str})
	return reply, err
}

// lmpop reads "numkeys key … side" at args[at], which a timeout may precede.
func lmpop(at int) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		var timeout []byte
		if at == 2 {
			timeout = args[1]
		}
		keys, rest, err := numKeys(args, at, errNumKeys, command.ErrSyntax)
		if err != nil {
			return command.Reply{}, err
		}
		if len(rest) == 0 {
			return command.Reply{}, command.ErrSyntax
		}
		left, err := sideArg(rest[0])
		if err != nil {
			return command.Reply{}, err
		}
		n, err := popCount(rest[1:])
		if err != nil {
			return command.Reply{}, err
		}
		if err := checkWait(c, timeout); err != nil {
			return command.Reply{}, err
		}
		for _, key := range keys {
			out, _, err := c.LPop(key, left, n)
			if err != nil {
				return command.Reply{}, err
			}
			if len(out) > 0 {
				return command.Array(command.Bulk(key), pack(out).Array()), nil
			}
		}
		return command.NullArray(), nil
	}
}

// popCount reads "[COUNT count]".
func popCount(args [][]byte) (int64, error) {
	if len(args) == 0 {
		return 1, nil
	}
	if len(args) == 1 || !is(args[0], "COUNT") {
		return 0, command.ErrSyntax
	}
	n, ok := parseInt(args[1])
	if !ok || n <= 0 {
		return 0, command.Errorf("ERR", "count should be greater than 0")
	}
	if len(args) > 2 {
		return 0, command.ErrSyntax
	}
	return n, nil
}

func bpop(left bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		last := len(args) - 1
		if err := checkWait(c, args[last]); err != nil {
			return command.Reply{}, err
		}
		for _, key := range args[1:last] {
			out, _, err := c.LPop(key, left, 1)
			if err != nil {
				return command.Reply{}, err
			}
			if len(out) > 0 {
				return command.Array(command.Bulk(key), command.Bulk(out[0])), nil
			}
		}
		return command.NullArray(), nil
	}
}

func bzpop(highest bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		last := len(args) - 1
		if err := checkWait(c, args[last]); err != nil {
			return command.Reply{}, err
		}
		for _, key := range args[1:last] {
			out, err := take(c, key, 1, highest)
			if err != nil {
				return command.Reply{}, err
			}
			if len(out) > 0 {
				return command.Array(command.Bulk(key), command.Bulk(out[0].Member), command.Double(out[0].Score)), nil
			}
		}
		return command.NullArray(), nil
	}
}

func bzmpop(c *command.Call, args [][]byte) (command.Reply, error) {
	return popFirst(c, args[1:], args[1])
}

package redis

import (
	"math/bits"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func bitmapCommands() []entry {
	const get = "GET encoding offset"
	return []entry{
		{"SETBIT", 4, write, oneKey, "2.2.0", "key offset value", "Sets a bit and gives the one before.", setbit},
		{"GETBIT", 3, readFast, oneKey, "2.2.0", "key offset", "Gives a bit.", getbit},
		{"BITCOUNT", -2, read, oneKey, "2.6.0", "key [start end [BYTE|BIT]]", "Counts the bits that are set.", bitcount},
		{"BITPOS", -3, read, oneKey, "2.8.7", "key bit [start [end [BYTE|BIT]]]", "Finds the first bit that is set, or is not.", bitpos},
		{"BITOP", -4, write, keys{2, -1, 1}, "2.6.0", "<AND|OR|XOR|NOT> destination key …", "Stores the bits of several strings, combined.", bitop},
		{"BITFIELD", -2, write, oneKey, "3.2.0", "key <" + get + "|OVERFLOW <WRAP|SAT|FAIL>|SET encoding offset value|INCRBY encoding offset increment> …", "Reads and changes integers of any width.", bitfield(false)},
		{"BITFIELD_RO", -2, readFast, oneKey, "6.0.0", "key <" + get + "> …", "Reads integers of any width.", bitfield(true)},
	}
}

const maxBits = keyspace.MaxValue * 8

var (
	errBitOffset = command.Errorf("ERR", "bit offset is not an integer or out of range")
	errBit       = command.Errorf("ERR", "bit is not an integer or out of range")
)

// bitOffset reads an offset; one that begins with # is in units of width, if
// there is a width.
func bitOffset(arg []byte, width int) (int64, error) {
	scale := int64(1)
	if width > 0 && len(arg) > 0 && arg[0] == '#' {
		arg, scale = arg[1:], int64(width)
	}
	n, ok := parseInt(arg)
	if !ok || n < 0 || n >= 1<<40 {
		return 0, errBitOffset
	}
	if n *= scale; n >= maxBits {
		return 0, errBitOffset
	}
	return n, nil
}

// widened gives a copy with room for at least n bytes.
func widened(v []byte, n int) []byte {
	out := make([]byte, max(len(v), n))
	copy(out, v)
	return out
}

func bitAt(v []byte, at int64) int64 {
	if at>>3 >= int64(len(v)) {
		return 0
	}
	return int64(v[at>>3]>>(7-at&7)) & 1
}

func setbit(c *command.Call, args [][]byte) (command.Reply, error) {
	at, err := bitOffset(args[2], 0)
	if err != nil {
		return command.Reply{}, err
	}
	on, ok := parseInt(args[3])
	if !ok || on&^1 != 0 {
		return command.Reply{}, errBit
	}
	old, err := c.GetRange(args[1], at>>3, 1)
	if err != nil {
		return command.Reply{}, err
	}
	before := bitAt(old, at&7)
	if before == on && len(old) > 0 {
		return command.Int(before), nil
	}
	v := widened(old, 1)
	v[0] = v[0]&^(1<<(7-at&7)) | byte(on)<<(7-at&7)
	_, err = c.SetRange(args[1], at>>3, v)
	return command.Int(before), err
}

func getbit(c *command.Call, args [][]byte) (command.Reply, error) {
	at, err := bitOffset(args[2], 0)
	if err != nil {
		return command.Reply{}, err
	}
	v, err := c.GetRange(args[1], at>>3, 1)
	return command.Int(bitAt(v, at&7)), err
}

// bitUnit reads BYTE or BIT.
func bitUnit(arg []byte) (byBit bool, err error) {
	if !is(arg, "BIT") && !is(arg, "BYTE") {
		return false, command.ErrSyntax
	}
	return is(arg, "BIT"), nil
}

func bitcount(c *command.Call, args [][]byte) (command.Reply, error) {
	size, had, err := c.StrLen(args[1])
	if err != nil || !had {
		return command.Int(0), err
	}
	count := func(from, to int64) (command.Reply, error) {
		v, err := c.GetRange(args[1], from>>3, (to+7)>>3-from>>3)
		return command.Int(countBits(v, from&7, from&7+to-from)), err
	}
	switch len(args) {
	case 2:
		return count(0, size*8)
	case 4, 5:
	default:
		return command.Reply{}, command.ErrSyntax
	}
	start, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	end, err := intArg(args[3])
	if err != nil {
		return command.Reply{}, err
	}
	if start < 0 && end < 0 && start > end {
		return command.Int(0), nil
	}
	unit := int64(8)
	if len(args) == 5 {
		byBit, err := bitUnit(args[4])
		if err != nil {
			return command.Reply{}, err
		}
		if byBit {
			unit = 1
		}
	}
	n := size * 8 / unit
	if end < 0 {
		end = max(end+n, 0)
	}
	from, units, ok := span(start, end, n)
	if !ok {
		return command.Int(0), nil
	}
	return count(from*unit, (from+units)*unit)
}

// countBits counts the bits that are set from one offset up to another.
func countBits(v []byte, from, to int64) (n int64) {
	for ; from < to && from&7 != 0; from++ {
		n += bitAt(v, from)
	}
	for ; to > from && to&7 != 0; to-- {
		n += bitAt(v, to-1)
	}
	for _, b := range v[from>>3 : to>>3] {
		n += int64(bits.OnesCount8(b))
	}
	return n
}

func bitpos(c *command.Call, args [][]byte) (command.Reply, error) {
	bit, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if bit&^1 != 0 {
		return command.Reply{}, command.Errorf("ERR", "The bit argument must be 1 or 0.")
	}
	v, had, err := c.Get(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	if !had {
		return command.Int(-bit), nil // as if it were zeros without end
	}
	from, to, err := bitRange(args, int64(len(v)))
	if err != nil || from >= to {
		return command.Int(-1), err
	}
	if at := findBit(v, from, to, bit); at >= 0 {
		return command.Int(at), nil
	}
	if bit == 0 && len(args) < 5 {
		return command.Int(int64(len(v)) * 8), nil // the first zero behind the string
	}
	return command.Int(-1), nil
}

// bitRange reads BITPOS's "[start [end [unit]]]" as offsets of bits.
func bitRange(args [][]byte, size int64) (from, to int64, err error) {
	if len(args) == 3 {
		return 0, size * 8, nil
	}
	if len(args) > 6 {
		return 0, 0, command.ErrSyntax
	}
	start, err := intArg(args[3])
	if err != nil {
		return 0, 0, err
	}
	unit := int64(8)
	if len(args) == 6 {
		byBit, err := bitUnit(args[5])
		if err != nil {
			return 0, 0, err
		}
		if byBit {
			unit = 1
		}
	}
	n := size * 8 / unit
	end := n - 1
	if len(args) > 4 {
		if end, err = intArg(args[4]); err != nil {
			return 0, 0, err
		}
	}
	if end < 0 {
		end = max(end+n, 0)
	}
	first, count, _ := span(start, end, n)
	return first * unit, (first + count) * unit, nil
}

func findBit(v []byte, from, to, bit int64) int64 {
	skip := byte(0)
	if bit == 0 {
		skip = 0xff
	}
	for at := from; at < to; {
		if at&7 == 0 && to-at >= 8 && v[at>>3] == skip {
			at += 8
			continue
		}
		if bitAt(v, at) == bit {
			return at
		}
		at++
	}
	return -1
}

func bitop(c *command.Call, args [][]byte) (command.Reply, error) {
	op := strings.ToUpper(string(args[1]))
	switch {
	case op != "AND" && op != "OR" && op != "XOR" && op != "NOT":
		return command.Reply{}, command.ErrSyntax
	case op == "NOT" && len(args) != 4:
		return command.Reply{}, command.Errorf("ERR", "BITOP NOT must be called with a single source key.")
	}
	var sources [][]byte
	size := 0
	for _, key := range args[3:] {
		v, _, err := c.Get(key)
		if err != nil {
			return command.Reply{}, err
		}
		sources = append(sources, v)
		size = max(size, len(v))
	}
	if size == 0 {
		c.Delete(args[2])
		return command.Int(0), nil
	}
	return command.Int(int64(size)), c.Set(args[2], combineBits(op, sources, size))
}

// combineBits combines strings that are thought to end in zeros.
func combineBits(op string, sources [][]byte, size int) []byte {
	out := widened(sources[0], size)
	if op == "NOT" {
		for i := range out {
			out[i] = ^out[i]
		}
		return out
	}
	for _, s := range sources[1:] {
		if op == "AND" {
			clear(out[min(len(s), size):])
		}
		for i, b := range s {
			switch op {
			case "AND":
				out[i] &= b
			case "OR":
				out[i] |= b
			default:
				out[i] ^= b
			}
		}
	}
	return out
}

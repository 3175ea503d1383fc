package redis

import (
	"bytes"

	"github.com/parlorchat/parlor/storage/command"
)

// fieldOp is one operation of BITFIELD.
type fieldOp struct {
	kind     byte // g, s, i
	signed   bool
	width    int
	offset   int64
	value    int64
	overflow byte // w, s, f
}

var errBitType = command.Errorf("ERR", "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")

// bitType reads i1 to i64 and u1 to u63.
func bitType(arg []byte) (signed bool, width int, err error) {
	if len(arg) < 2 || (arg[0] != 'i' && arg[0] != 'u') {
		return false, 0, errBitType
	}
	n, ok := parseInt(arg[1:])
	signed = arg[0] == 'i'
	if !ok || n < 1 || (signed && n > 64) || (!signed && n > 63) {
		return false, 0, errBitType
	}
	return signed, int(n), nil
}

// parseFieldOps reads the operations; readOnly allows GET alone.
func parseFieldOps(args [][]byte, readOnly bool) ([]fieldOp, error) {
	var ops []fieldOp
	overflow := byte('w')
	for len(args) > 0 {
		op := fieldOp{overflow: overflow}
		n := 4
		switch a := args[0]; {
		case is(a, "GET") && len(args) >= 3:
			op.kind, n = 'g', 3
		case is(a, "SET") && len(args) >= 4:
			op.kind = 's'
		case is(a, "INCRBY") && len(args) >= 4:
			op.kind = 'i'
		case is(a, "OVERFLOW") && len(args) >= 2:
			switch v := args[1]; {
			case is(v, "WRAP"), is(v, "SAT"), is(v, "FAIL"):
				overflow = v[0] | 0x20
			default:
				return nil, command.Errorf("ERR", "Invalid OVERFLOW type specified")
			}
			args = args[2:]
			continue
		default:
			return nil, command.ErrSyntax
		}
		var err error
		if op.signed, op.width, err = bitType(args[1]); err != nil {
			return nil, err
		}
		if op.offset, err = bitOffset(args[2], op.width); err != nil {
			return nil, err
		}
		if op.kind != 'g' {
			if readOnly {
				return nil, command.Errorf("ERR", "BITFIELD_RO only supports the GET subcommand")
			}
			if op.value, err = intArg(args[3]); err != nil {
				return nil, err
			}
		}
		ops = append(ops, op)
		args = args[n:]
	}
	return ops, nil
}

func (op *fieldOp) get(v []byte) int64 {
	var n uint64
	for i := range int64(op.width) {
		n = n<<1 | uint64(bitAt(v, op.offset+i))
	}
	return op.extend(n)
}

// extend gives the number that the lowest bits stand for.
func (op *fieldOp) extend(n uint64) int64 {
	if op.signed {
		return int64(n<<(64-op.width)) >> (64 - op.width)
	}
	return int64(n)
}

// set writes a number's lowest bits into a string that is long enough.
func (op *fieldOp) set(v []byte, n int64) {
	for i := range int64(op.width) {
		at := op.offset + i
		bit := byte(n>>(int64(op.width)-1-i)) & 1
		v[at>>3] = v[at>>3]&^(1<<(7-at&7)) | bit<<(7-at&7)
	}
}

// fit brings old+by into the width; ok is false if it overflows and must not.
func (op *fieldOp) fit(old, by int64) (n int64, ok bool) {
	sum := uint64(old) + uint64(by)
	var over int
	if op.signed {
		high := int64(1)<<(op.width-1) - 1
		low := -high - 1
		// The differences wrap around for values far outside, as in Redis.
		room, below := high-old, low-old
		switch {
		case old > high, op.width != 64 && by > room, old >= 0 && by > 0 && by > room:
			over = 1
		case old < low, op.width != 64 && by < below, old < 0 && by < 0 && by < below:
			over = -1
		}
		if over != 0 && op.overflow == 's' {
			if over > 0 {
				return high, true
			}
			return low, true
		}
	} else {
		high := uint64(1)<<op.width - 1
		switch {
		case uint64(old) > high, by > 0 && uint64(by) > high-uint64(old):
			over = 1
		case by < 0 && uint64(-by) > uint64(old):
			over = -1
		}
		if over != 0 && op.overflow == 's' {
			if over > 0 {
				return int64(high), true
			}
			return 0, true
		}
	}
	if over != 0 && op.overflow == 'f' {
		return 0, false
	}
	if op.width < 64 {
		sum &= 1<<op.width - 1
	}
	return op.extend(sum), true
}

func bitfield(readOnly bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		ops, err := parseFieldOps(args[2:], readOnly)
		if err != nil {
			return command.Reply{}, err
		}
		size, _, err := c.StrLen(args[1])
		if err != nil {
			return command.Reply{}, err
		}
		var all, changed byteSpan // that are looked at, that may be changed
		for i := range ops {
			all.take(&ops[i])
			if ops[i].kind != 'g' {
				changed.take(&ops[i])
			}
		}
		if changed.end > maxBits/8 {
			return command.Reply{}, errBitOffset
		}
		former, err := c.GetRange(args[1], all.begin, all.end-all.begin)
		if err != nil {
			return command.Reply{}, err
		}
		v := widened(former, int(max(min(all.end, max(size, changed.end))-all.begin, 0))) // beyond that there are zeros
		out := make([]command.Reply, 0, len(ops))
		for i := range ops {
			ops[i].offset -= all.begin * 8
			out = append(out, ops[i].run(v))
		}
		if changed.end > size || !bytes.Equal(v[:len(former)], former) {
			_, err = c.SetRange(args[1], changed.begin, v[changed.begin-all.begin:changed.end-all.begin])
		}
		return command.Array(out...), err
	}
}

// byteSpan is a range of bytes; the zero byteSpan has none.
type byteSpan struct{ begin, end int64 }

// take makes the span one that has the bytes of an operation too.
func (s *byteSpan) take(op *fieldOp) {
	begin, end := op.offset>>3, (op.offset+int64(op.width)-1)>>3+1
	if s.end == 0 {
		s.begin = begin
	}
	s.begin, s.end = min(s.begin, begin), max(s.end, end)
}

// run carries an operation out on a string.
func (op *fieldOp) run(v []byte) command.Reply {
	old := op.get(v)
	if op.kind == 'g' {
		return command.Int(old)
	}
	n, ok := int64(0), false
	if op.kind == 's' {
		n, ok = op.fit(op.value, 0)
	} else {
		n, ok = op.fit(old, op.value)
	}
	if !ok {
		return command.Null()
	}
	op.set(v, n)
	if op.kind == 's' {
		return command.Int(old)
	}
	return command.Int(n)
}

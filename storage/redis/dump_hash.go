package redis

import (
	"encoding/binary"
	"math"

	"github.com/parlorchat/parlor/storage/command"
)

// A hash with fields that expire is the earliest of their times, 8 bytes, then
// for each field 0, or how much later it expires and one, before field and
// value.

// timedField is a field of a payload, at 0: it does not expire.
type timedField struct {
	field, value []byte
	at           int64
}

// dumpTimedHash appends a hash with fields that expire.
func dumpTimedHash(c *command.Call, b, key []byte) ([]byte, error) {
	first, n := int64(math.MaxInt64), int64(0)
	err := c.HEachTimed(key, func(_, _ []byte, at int64) bool {
		if n++; at != 0 {
			first = min(first, at)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	b = append(b, rdbHashTimed)
	b = binary.LittleEndian.AppendUint64(b, uint64(first))
	b = appendRDBLen(b, uint64(n))
	err = c.HEachTimed(key, func(field, value []byte, at int64) bool {
		ttl := int64(0)
		if at != 0 {
			ttl = at - first + 1
		}
		b = appendRDBLen(b, uint64(ttl))
		b = appendRDBString(appendRDBString(b, field), value)
		return len(b) <= maxDump
	})
	return b, err
}

// timedFields reads a hash with times; relative: they count from the first.
func (r *rdbReader) timedFields(relative bool) (out []timedField) {
	var first uint64
	if relative {
		first = binary.LittleEndian.Uint64(r.fixed(8))
	}
	for n := r.count(); n > 0 && r.more(3); n-- {
		at := r.number()
		if at != 0 && relative {
			at += first - 1
		}
		if at > maxFieldTime || first > maxFieldTime {
			r.fail()
		}
		out = append(out, timedField{r.string(), r.string(), int64(at)})
	}
	return out
}

// timedPack reads a packed hash with times, which are as they are.
func (r *rdbReader) timedPack(preceded bool) (out []timedField) {
	if preceded {
		r.fixed(8) // the first of the times
	}
	items := r.listPack()
	if len(items)%3 != 0 {
		r.fail()
		return nil
	}
	for i := 0; i < len(items); i += 3 {
		at, ok := parseInt(items[i+2])
		if !ok || at < 0 || at > maxFieldTime {
			r.fail()
			return nil
		}
		out = append(out, timedField{items[i], items[i+1], at})
	}
	return out
}

// timedHash makes a hash of what was read. Fields whose time has come count as
// made.
func (r *rdbReader) timedHash(c *command.Call, key []byte, items []timedField) (want, made int64, err error) {
	if !r.whole(len(items)) {
		return 0, 0, nil
	}
	seen := make(map[string]struct{}, len(items))
	for _, f := range items {
		if _, twice := seen[string(f.field)]; twice {
			continue
		}
		seen[string(f.field)] = struct{}{}
		if err := c.HSetEx(key, [][]byte{f.field, f.value}, f.at); err != nil {
			return 0, 0, err
		}
	}
	return int64(len(items)), int64(len(seen)), nil
}

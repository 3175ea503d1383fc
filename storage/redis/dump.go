package redis

import (
	"encoding/binary"
	"math"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func dumpCommands() []entry {
	return []entry{
		{"DUMP", 2, read, oneKey, "2.6.0", "key", "Gives the value at a key in a form that RESTORE takes, here and in Redis.", dump},
		{"RESTORE", -4, write, oneKey, "2.6.0", "key milliseconds serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]", "Makes a key of what DUMP gave, here or in Redis.", restore},
	}
}

func dump(c *command.Call, args [][]byte) (command.Reply, error) {
	key := args[1]
	var b []byte
	var err error
	each := func(count int64, kind byte) func(items ...[]byte) bool {
		b = appendRDBLen(append(b, kind), uint64(count))
		return func(items ...[]byte) bool {
			for _, item := range items {
				b = appendRDBString(b, item)
			}
			return len(b) <= maxDump
		}
	}
	var n int64
	switch c.Type(key) {
	case keyspace.None:
		return command.Null(), nil
	case keyspace.String:
		var v []byte
		v, _, err = c.Get(key)
		b = appendRDBString(append(b, rdbString), v)
	case keyspace.List:
		n, _ = c.LLen(key)
		add := each(n, rdbList)
		err = c.LEach(key, 0, n, false, func(e []byte) bool { return add(e) })
	case keyspace.Set:
		n, _ = c.SLen(key)
		add := each(n, rdbSet)
		err = c.SEach(key, func(m []byte) bool { return add(m) })
	case keyspace.Hash:
		if c.HTimed(key) {
			b, err = dumpTimedHash(c, b, key)
			break
		}
		n, _ = c.HLen(key)
		add := each(n, rdbHash)
		err = c.HEach(key, func(f, v []byte) bool { return add(f, v) })
	case keyspace.ZSet:
		n, _ = c.ZLen(key)
		add := each(n, rdbZSet)
		err = c.ZEach(key, math.Inf(-1), math.Inf(1), false, func(m []byte, score float64) bool {
			more := add(m)
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(score))
			return more
		})
	case keyspace.Stream:
		b, err = dumpStream(c, b, key)
	}
	switch {
	case err != nil:
		return command.Reply{}, err
	case len(b) > maxDump:
		return command.Reply{}, errDumpSize
	}
	return command.Bulk(appendFooter(b)), nil
}

// restoreOptions are the keywords of RESTORE.
type restoreOptions struct{ replace, absolute bool }

func parseRestore(args [][]byte) (o restoreOptions, err error) {
	idle, freq := false, false // checked, but reads are not recorded
	for i := 0; i < len(args); i++ {
		more := i+1 < len(args)
		switch a := args[i]; {
		case is(a, "REPLACE"):
			o.replace = true
		case is(a, "ABSTTL"):
			o.absolute = true
		case is(a, "IDLETIME") && more && !freq:
			i++
			n, err := intArg(args[i])
			if err != nil {
				return o, err
			}
			if n < 0 {
				return o, command.Errorf("ERR", "Invalid IDLETIME value, must be >= 0")
			}
			idle = true
		case is(a, "FREQ") && more && !idle:
			i++
			n, err := intArg(args[i])
			if err != nil {
				return o, err
			}
			if n < 0 || n > 255 {
				return o, command.Errorf("ERR", "Invalid FREQ value, must be >= 0 and <= 255")
			}
			freq = true
		default:
			return o, command.ErrSyntax
		}
	}
	return o, nil
}

func restore(c *command.Call, args [][]byte) (command.Reply, error) {
	key := args[1]
	o, err := parseRestore(args[4:])
	if err != nil {
		return command.Reply{}, err
	}
	if !o.replace && c.Type(key) != keyspace.None {
		return command.Reply{}, command.Errorf("BUSYKEY", "Target key name already exists.")
	}
	ttl, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if ttl < 0 {
		return command.Reply{}, command.Errorf("ERR", "Invalid TTL value, must be >= 0")
	}
	payload, err := openPayload(args[3])
	if err != nil {
		return command.Reply{}, err
	}
	c.Delete(key)
	if err := load(c, key, payload); err != nil {
		return command.Reply{}, err
	}
	if ttl > 0 {
		if !o.absolute {
			ttl += min(c.Now, math.MaxInt64-ttl)
		}
		c.SetExpire(key, ttl)
	}
	return command.OK, nil
}

// load makes the value of a payload, at a key where there is none.
func load(c *command.Call, key, payload []byte) error {
	r := &rdbReader{b: payload[1:]}
	var want, made int64
	var err error
	switch payload[0] {
	case rdbString:
		v := r.string()
		if r.done() {
			err, want, made = c.Set(key, v), 1, 1
		}
	case rdbList:
		want, made, err = r.list(c, key, r.strings(r.count()))
	case rdbQuickList:
		want, made, err = r.list(c, key, r.quickList())
	case rdbListZip:
		want, made, err = r.list(c, key, r.zipList())
	case rdbQuickZip:
		want, made, err = r.list(c, key, r.zipQuickList())
	case rdbSet:
		want, made, err = r.set(c, key, r.strings(r.count()))
	case rdbIntSet:
		want, made, err = r.set(c, key, r.intSet())
	case rdbSetPack:
		want, made, err = r.set(c, key, r.listPack())
	case rdbHash:
		want, made, err = r.hash(c, key, r.strings(2*r.count()))
	case rdbHashPack:
		want, made, err = r.hash(c, key, r.listPack())
	case rdbHashZip:
		want, made, err = r.hash(c, key, r.zipList())
	case rdbHashTimed, rdbHashTimedOld:
		want, made, err = r.timedHash(c, key, r.timedFields(payload[0] == rdbHashTimed))
	case rdbHashTimedPack, rdbHashTimedPackOld:
		want, made, err = r.timedHash(c, key, r.timedPack(payload[0] == rdbHashTimedPack))
	case rdbZSet, rdbZSetText:
		want, made, err = r.zset(c, key, r.members(payload[0] == rdbZSet))
	case rdbZSetPack:
		want, made, err = r.zset(c, key, r.scored(r.listPack()))
	case rdbZSetZip:
		want, made, err = r.zset(c, key, r.scored(r.zipList()))
	case rdbStream1, rdbStream2, rdbStream3:
		err, want, made = r.loadStream(c, key, payload[0]), 1, 1 // may be empty
	}
	if err != nil {
		return err
	}
	if r.err != nil {
		return r.err
	}
	if !r.done() || want == 0 || made != want { // nothing, or something twice
		return errDumpFormat
	}
	return nil
}

// done says whether all was read and nothing was wrong.
func (r *rdbReader) done() bool { return r.err == nil && len(r.b) == 0 }

// whole is done, if there are no more than n elements to make.
func (r *rdbReader) whole(n int) bool {
	if n > maxRestored {
		r.failWith(errDumpCount)
	}
	return r.done()
}

// members reads members and scores.
func (r *rdbReader) members(binaryScores bool) []keyspace.Scored {
	var out []keyspace.Scored
	for n := r.count(); n > 0 && r.more(3); n-- {
		m := keyspace.Scored{Member: r.string()}
		if binaryScores {
			m.Score = math.Float64frombits(binary.LittleEndian.Uint64(r.fixed(8)))
		} else {
			m.Score = r.textDouble()
		}
		if math.IsNaN(m.Score) {
			r.fail()
		}
		out = append(out, m)
	}
	return out
}

// list, set, hash and zset make what was read, if it was good. They give how
// much there was to make and how much came of it.

func (r *rdbReader) list(c *command.Call, key []byte, items [][]byte) (want, made int64, err error) {
	if r.whole(len(items)) {
		made, err = c.LPush(key, false, items)
	}
	return int64(len(items)), made, err
}

func (r *rdbReader) set(c *command.Call, key []byte, items [][]byte) (want, made int64, err error) {
	if r.whole(len(items)) {
		made, err = c.SAddAll(key, items)
	}
	return int64(len(items)), made, err
}

func (r *rdbReader) hash(c *command.Call, key []byte, items [][]byte) (want, made int64, err error) {
	if len(items)%2 == 1 {
		r.fail()
	}
	if r.whole(len(items) / 2) {
		made, err = c.HSetAll(key, items)
	}
	return int64(len(items) / 2), made, err
}

func (r *rdbReader) zset(c *command.Call, key []byte, items []keyspace.Scored) (want, made int64, err error) {
	if r.whole(len(items)) {
		made, err = c.ZAddAll(key, items)
	}
	return int64(len(items)), made, err
}

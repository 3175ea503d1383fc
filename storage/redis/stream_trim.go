package redis

import (
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// trimming is what MAXLEN or MINID ask for.
type trimming struct {
	set, byID  bool
	approx     bool
	maxLen     int64
	minID      keyspace.StreamID
	limit      int64
	limitGiven bool
}

// option reads MAXLEN, MINID or LIMIT at args[i] and gives the index of the
// last argument it took; ok is false if it is none of them.
func (t *trimming) option(args [][]byte, i int) (last int, ok bool, err error) {
	more := len(args) - 1 - i
	switch {
	case more > 0 && (is(args[i], "MAXLEN") || is(args[i], "MINID")):
		if t.set {
			return i, true, command.Errorf("ERR", "syntax error, MAXLEN and MINID options at the same time are not compatible")
		}
		t.set, t.byID, t.approx = true, is(args[i], "MINID"), false
		i++
		if more >= 2 && (string(args[i]) == "~" || string(args[i]) == "=") {
			t.approx = args[i][0] == '~'
			i++
		}
		if t.byID {
			t.minID, err = parseStreamID(args[i], 0)
		} else if t.maxLen, err = intArg(args[i]); err == nil && t.maxLen < 0 {
			err = command.Errorf("ERR", "The MAXLEN argument must be >= 0.")
		}
		return i, true, err
	case more > 0 && is(args[i], "LIMIT"):
		i++
		if t.limit, err = intArg(args[i]); err == nil && t.limit < 0 {
			err = command.Errorf("ERR", "The LIMIT argument must be >= 0.")
		}
		t.limitGiven = true
		return i, true, err
	}
	return i, false, nil
}

func (t *trimming) check(needed bool) error {
	switch {
	case t.limit != 0 && !t.set:
		return command.Errorf("ERR", "syntax error, LIMIT cannot be used without specifying a trimming strategy")
	case needed && !t.set:
		return command.Errorf("ERR", "syntax error, XTRIM must be called with a trimming strategy")
	case t.limitGiven && !t.approx:
		return command.Errorf("ERR", "syntax error, LIMIT cannot be used without the special ~ option")
	}
	if t.approx && !t.limitGiven {
		t.limit = 100 * nodeEntries
	}
	return nil
}

func (t *trimming) run(c *command.Call, key []byte) (int64, error) {
	switch {
	case !t.set:
		return 0, nil
	case t.approx:
		info, _, err := c.XInfo(key)
		if err != nil {
			return 0, err
		}
		doomed, err := t.blocks(c, key, info)
		if err != nil || doomed == 0 {
			return 0, err
		}
		return c.XTrimLen(key, info.Length-doomed, 0)
	case t.byID:
		return c.XTrimMin(key, t.minID, 0)
	}
	return c.XTrimLen(key, t.maxLen, 0)
}

// nodeEntries is how many entries Redis puts into a node of a stream unless it
// is told otherwise. With "~" it removes whole nodes. Here there are none, but
// who trims with "~" counts on what stays: so entries go by hundreds, as they
// were added.
const nodeEntries = 100

// blocks says how many entries at the beginning "~" removes.
func (t *trimming) blocks(c *command.Call, key []byte, info keyspace.StreamInfo) (removed int64, err error) {
	most := info.Length
	if t.limit > 0 { // 0: as many as there are
		most = min(most, t.limit)
	}
	if t.byID {
		most, err = entriesBelow(c, key, t.minID, most)
	} else {
		most = min(most, info.Length-t.maxLen)
	}
	first := nodeEntries - int64((info.Added-uint64(info.Length))%nodeEntries)
	for block := first; err == nil; block = nodeEntries {
		block = min(block, info.Length-removed)
		if block == 0 || removed+block > most {
			break
		}
		removed += block
	}
	return removed, err
}

// entriesBelow counts the entries below an id, up to most.
func entriesBelow(c *command.Call, key []byte, id keyspace.StreamID, most int64) (n int64, err error) {
	if most <= 0 {
		return 0, nil
	}
	err = c.XEach(key, keyspace.StreamID{}, id, false, func(at keyspace.StreamID, _ [][]byte) bool {
		if at.Less(id) {
			n++
		}
		return n < most
	})
	return n, err
}

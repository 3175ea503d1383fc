package redis

import (
	"math"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func streamCommands() []entry {
	const trim = "<MAXLEN|MINID> [=|~] threshold [LIMIT count]"
	const readBlocking, writeBlocking = read | command.Blocking, write | command.Blocking
	return []entry{
		{"XADD", -5, writeFast, oneKey, "5.0.0", "key [NOMKSTREAM] [" + trim + "] id <field value> …", "Appends an entry to a stream.", xadd},
		{"XLEN", 2, readFast, oneKey, "5.0.0", "key", "Counts the entries.", xlen},
		{"XRANGE", -4, read, oneKey, "5.0.0", "key start end [COUNT count]", "Gives the entries in a range of ids.", xrange(false)},
		{"XREVRANGE", -4, read, oneKey, "5.0.0", "key end start [COUNT count]", "Gives the entries in a range of ids, from the highest.", xrange(true)},
		{"XDEL", -3, writeFast, oneKey, "5.0.0", "key id …", "Removes entries.", xdel},
		{"XTRIM", -4, write, oneKey, "5.0.0", "key " + trim, "Removes entries from the beginning.", xtrim},
		{"XSETID", -3, writeFast, oneKey, "5.0.0", "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]", "Sets the last id of a stream.", xsetid},
		{"XREAD", -4, readBlocking, noKeys, "5.0.0", "[COUNT count] [BLOCK milliseconds] STREAMS <key …> <id …>", "Gives entries above given ids of several streams.", xread},
		{"XREADGROUP", -7, writeBlocking, noKeys, "5.0.0", "<GROUP group consumer> [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS <key …> <id …>", "Gives a consumer new entries, or those it has not acknowledged.", xreadgroup},
		{"XGROUP", -2, write, keys{2, 2, 1}, "5.0.0", "<CREATE|SETID|DESTROY|CREATECONSUMER|DELCONSUMER|HELP> [key group] [id] [MKSTREAM] [ENTRIESREAD entries-read]", "Makes, changes and removes consumer groups and consumers.", xgroup},
		{"XACK", -4, writeFast, oneKey, "5.0.0", "key group id …", "Acknowledges entries.", xack},
		{"XPENDING", -3, read, oneKey, "5.0.0", "key group [[IDLE milliseconds] start end count [consumer]]", "Tells which entries wait for an acknowledgement.", xpending},
		{"XCLAIM", -6, writeFast, oneKey, "5.0.0", "key group consumer min-idle-time id … [IDLE milliseconds] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]", "Gives pending entries to another consumer.", xclaim},
		{"XAUTOCLAIM", -6, writeFast, oneKey, "6.2.0", "key group consumer min-idle-time start [COUNT count] [JUSTID]", "Gives pending entries that were left alone to another consumer.", xautoclaim},
		{"XINFO", -2, read, keys{2, 2, 1}, "5.0.0", "<STREAM|GROUPS|CONSUMERS|HELP> [key] [group] [FULL] [COUNT count]", "Tells of a stream, its groups or their consumers.", xinfo},
	}
}

var (
	errStreamID  = command.Errorf("ERR", "Invalid stream ID specified as stream command argument")
	errStartID   = command.Errorf("ERR", "invalid start ID for the interval")
	errEndID     = command.Errorf("ERR", "invalid end ID for the interval")
	errExhausted = command.Errorf("ERR", "The stream has exhausted the last possible ID, unable to add more items")
)

// parseUint reads an unsigned number as the ids of streams have it.
func parseUint(s string) (uint64, bool) {
	s = strings.TrimPrefix(strings.TrimLeft(s, " \t\n\v\f\r"), "+")
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// parseStreamID reads "ms-seq" or "ms", which gets the sequence missing.
func parseStreamID(arg []byte, missing uint64) (keyspace.StreamID, error) {
	ms, seq, dash := strings.Cut(string(arg), "-")
	id := keyspace.StreamID{Seq: missing}
	var ok bool
	if id.Ms, ok = parseUint(ms); !ok || len(arg) > 127 {
		return id, errStreamID
	}
	if dash {
		if id.Seq, ok = parseUint(seq); !ok {
			return id, errStreamID
		}
	}
	return id, nil
}

// parseEndID is parseStreamID that knows "-" and "+" too.
func parseEndID(arg []byte, missing uint64) (keyspace.StreamID, error) {
	switch string(arg) {
	case "-":
		return keyspace.StreamID{}, nil
	case "+":
		return keyspace.MaxStreamID, nil
	}
	return parseStreamID(arg, missing)
}

// parseStart reads the lower end of a range, "(id" for what is above it.
func parseStart(arg []byte) (keyspace.StreamID, error) {
	if len(arg) > 1 && arg[0] == '(' {
		id, err := parseStreamID(arg[1:], 0)
		if err != nil {
			return id, err
		}
		next, ok := id.Next()
		if !ok {
			return id, errStartID
		}
		return next, nil
	}
	return parseEndID(arg, 0)
}

// parseStop reads the upper end of a range, "(id" for what is below it.
func parseStop(arg []byte) (keyspace.StreamID, error) {
	if len(arg) > 1 && arg[0] == '(' {
		id, err := parseStreamID(arg[1:], math.MaxUint64)
		if err != nil {
			return id, err
		}
		prev, ok := id.Prev()
		if !ok {
			return id, errEndID
		}
		return prev, nil
	}
	return parseEndID(arg, math.MaxUint64)
}

func streamIDReply(id keyspace.StreamID) command.Reply { return command.BulkString(id.String()) }

func entryReply(id keyspace.StreamID, fields [][]byte) command.Reply {
	return command.Array(streamIDReply(id), pack(fields).Array())
}

// packEntry is entryReply as one of many.
func packEntry(out *command.Pack, id keyspace.StreamID, fields [][]byte) {
	out.Group(2)
	out.Bulk([]byte(id.String()))
	out.Group(len(fields))
	for _, f := range fields {
		out.Bulk(f)
	}
}

// addition is what XADD is asked to do.
type addition struct {
	trim     trimming
	noStream bool // do not make a stream
	auto     bool // *
	autoSeq  bool // ms-*
	id       keyspace.StreamID
	fields   [][]byte
}

func parseAddition(args [][]byte) (a addition, err error) {
	i := 2
	for ; i < len(args)-1; i++ {
		if string(args[i]) == "*" {
			break
		}
		last, ok, err := a.trim.option(args, i)
		if err != nil {
			return a, err
		}
		if ok {
			i = last
			continue
		}
		if !is(args[i], "NOMKSTREAM") {
			break
		}
		a.noStream = true
	}
	if i < len(args)-1 {
		switch id := string(args[i]); {
		case id == "*":
			a.auto = true
		case strings.HasSuffix(id, "-*") && strings.Count(id, "-") == 1:
			a.autoSeq = true
			a.id, err = parseStreamID(args[i][:len(id)-2], 0)
		default:
			a.id, err = parseStreamID(args[i], 0)
		}
		if err != nil {
			return a, err
		}
	}
	if err := a.trim.check(false); err != nil {
		return a, err
	}
	if i+1 < len(args) {
		a.fields = args[i+1:]
	}
	if len(a.fields) < 2 || len(a.fields)%2 == 1 {
		return a, command.ErrArity("xadd")
	}
	if !a.auto && !a.autoSeq && a.id == (keyspace.StreamID{}) {
		return a, keyspace.ErrStreamIDZero
	}
	return a, nil
}

// next gives the id of the new entry.
func (a *addition) next(last keyspace.StreamID, now int64) (keyspace.StreamID, error) {
	switch {
	case a.auto:
		if id := (keyspace.StreamID{Ms: uint64(now)}); last.Ms < id.Ms {
			return id, nil
		}
		id, _ := last.Next()
		return id, nil
	case a.autoSeq && a.id.Ms == last.Ms:
		if last.Seq == math.MaxUint64 {
			return last, keyspace.ErrStreamIDSmall
		}
		return keyspace.StreamID{Ms: last.Ms, Seq: last.Seq + 1}, nil
	case a.autoSeq && a.id.Ms < last.Ms:
		return last, keyspace.ErrStreamIDSmall
	}
	return a.id, nil
}

func xadd(c *command.Call, args [][]byte) (command.Reply, error) {
	a, err := parseAddition(args)
	if err != nil {
		return command.Reply{}, err
	}
	key := args[1]
	info, ok, err := c.XInfo(key)
	if err != nil {
		return command.Reply{}, err
	}
	if !ok && a.noStream {
		return command.Null(), nil
	}
	if info.Last == keyspace.MaxStreamID {
		return command.Reply{}, errExhausted
	}
	id, err := a.next(info.Last, c.Now)
	if err != nil {
		return command.Reply{}, err
	}
	if err := c.XAdd(key, id, a.fields); err != nil {
		return command.Reply{}, err
	}
	_, err = a.trim.run(c, key)
	return streamIDReply(id), err
}

func xlen(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := c.XLen(args[1])
	return command.Int(n), err
}

func xrange(reverse bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		lo, hi := args[2], args[3]
		if reverse {
			lo, hi = hi, lo
		}
		from, err := parseStart(lo)
		if err != nil {
			return command.Reply{}, err
		}
		to, err := parseStop(hi)
		if err != nil {
			return command.Reply{}, err
		}
		count := int64(math.MaxInt64)
		for i := 4; i < len(args); i += 2 {
			if !is(args[i], "COUNT") || i+1 >= len(args) {
				return command.Reply{}, command.ErrSyntax
			}
			if count, err = intArg(args[i+1]); err != nil {
				return command.Reply{}, err
			}
		}
		if c.Type(args[1]) == keyspace.Stream && count <= 0 {
			return command.NullArray(), nil
		}
		entries, err := entriesBetween(c, args[1], from, to, count, reverse)
		return entries.Array(), err
	}
}

// entriesBetween gives up to count entries.
func entriesBetween(c *command.Call, key []byte, from, to keyspace.StreamID, count int64, reverse bool) (out command.Pack, err error) {
	err = c.XEach(key, from, to, reverse, func(id keyspace.StreamID, fields [][]byte) bool {
		packEntry(&out, id, fields)
		return out.Len() < count
	})
	return out, err
}

// parseIDs reads ids without "-" and "+".
func parseIDs(args [][]byte) ([]keyspace.StreamID, error) {
	ids := make([]keyspace.StreamID, len(args))
	for i, a := range args {
		var err error
		if ids[i], err = parseStreamID(a, 0); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func xdel(c *command.Call, args [][]byte) (command.Reply, error) {
	if _, ok, err := c.XInfo(args[1]); !ok {
		return command.Int(0), err
	}
	ids, err := parseIDs(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	n, err := c.XDelAll(args[1], ids)
	return command.Int(n), err
}

func xtrim(c *command.Call, args [][]byte) (command.Reply, error) {
	var t trimming
	for i := 2; i < len(args); i++ {
		last, ok, err := t.option(args, i)
		if err != nil {
			return command.Reply{}, err
		}
		if !ok {
			return command.Reply{}, command.ErrSyntax
		}
		i = last
	}
	if err := t.check(true); err != nil {
		return command.Reply{}, err
	}
	n, err := t.run(c, args[1])
	return command.Int(n), err
}

func xsetid(c *command.Call, args [][]byte) (command.Reply, error) {
	last, err := parseStreamID(args[2], 0)
	if err != nil {
		return command.Reply{}, err
	}
	var added *uint64
	var deleted *keyspace.StreamID
	for i := 3; i < len(args); i += 2 {
		switch {
		case is(args[i], "ENTRIESADDED") && i+1 < len(args):
			n, err := intArg(args[i+1])
			if err != nil {
				return command.Reply{}, err
			}
			if n < 0 {
				return command.Reply{}, command.Errorf("ERR", "entries_added must be positive")
			}
			u := uint64(n)
			added = &u
		case is(args[i], "MAXDELETEDID") && i+1 < len(args):
			id, err := parseStreamID(args[i+1], 0)
			if err != nil {
				return command.Reply{}, err
			}
			if last.Less(id) {
				return command.Reply{}, command.Errorf("ERR", "The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
			}
			deleted = &id
		default:
			return command.Reply{}, command.ErrSyntax
		}
	}
	info, ok, err := c.XInfo(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	if !ok {
		return command.Reply{}, command.ErrNoSuchKey
	}
	if err := checkLastID(c, args[1], info, last, added); err != nil {
		return command.Reply{}, err
	}
	return command.OK, c.XSetInfo(args[1], last, added, deleted)
}

// checkLastID refuses a last id that the stream's entries contradict.
func checkLastID(c *command.Call, key []byte, info keyspace.StreamInfo, last keyspace.StreamID, added *uint64) error {
	if info.Length == 0 {
		return nil
	}
	var top keyspace.StreamID
	err := c.XEach(key, keyspace.StreamID{}, keyspace.MaxStreamID, true, func(id keyspace.StreamID, _ [][]byte) bool {
		top = id
		return false
	})
	switch {
	case err != nil:
		return err
	case last.Less(top):
		return command.Errorf("ERR", "The ID specified in XSETID is smaller than the target stream top item")
	case added != nil && uint64(info.Length) > *added:
		return command.Errorf("ERR", "The entries_added specified in XSETID is smaller than the target stream length")
	}
	return nil
}

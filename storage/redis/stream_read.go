package redis

import (
	"math"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// reading is what XREAD and XREADGROUP are asked for.
type reading struct {
	group, consumer []byte // nil: XREAD
	count           int64  // 0: all
	noAck           bool
	keys, ids       [][]byte
}

// parseTimeout reads the value of BLOCK, which is checked here and waited for
// where the connection is.
func parseTimeout(arg []byte) (int64, error) {
	ms, ok := parseInt(arg)
	if !ok {
		return 0, command.Errorf("ERR", "timeout is not an integer or out of range")
	}
	if ms < 0 {
		return 0, command.Errorf("ERR", "timeout is negative")
	}
	return ms, nil
}

func parseReading(args [][]byte, grouped bool) (r reading, err error) {
	for i := 1; i < len(args); i++ {
		more := len(args) - i - 1
		switch a := args[i]; {
		case is(a, "BLOCK") && more > 0:
			i++
			if _, err := parseTimeout(args[i]); err != nil {
				return r, err
			}
		case is(a, "COUNT") && more > 0:
			i++
			if r.count, err = intArg(args[i]); err != nil {
				return r, err
			}
			r.count = max(r.count, 0)
		case is(a, "STREAMS") && more > 0:
			if more%2 == 1 {
				return r, command.Errorf("ERR", "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")
			}
			r.keys, r.ids = args[i+1:i+1+more/2], args[i+1+more/2:]
			i = len(args)
		case is(a, "GROUP") && more > 1:
			if !grouped {
				return r, command.Errorf("ERR", "The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
			}
			r.group, r.consumer = args[i+1], args[i+2]
			i += 2
		case is(a, "NOACK"):
			if !grouped {
				return r, command.Errorf("ERR", "The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
			}
			r.noAck = true
		default:
			return r, command.ErrSyntax
		}
	}
	if r.keys == nil {
		return r, command.ErrSyntax
	}
	if grouped && r.group == nil {
		return r, command.Errorf("ERR", "Missing GROUP option for XREADGROUP")
	}
	return r, nil
}

// streamsReply answers what was found; a list of nothing is null.
func streamsReply(out []command.Reply) command.Reply {
	if len(out) == 0 {
		return command.NullArray()
	}
	return command.KeyTable(out...)
}

// LatestEntry stands in XREAD for the id before that of a stream's last entry,
// from Redis 7.4 on. Of a stream without entries it is "$".
const LatestEntry = "+"

func xread(c *command.Call, args [][]byte) (command.Reply, error) {
	r, err := parseReading(args, false)
	if err != nil {
		return command.Reply{}, err
	}
	after := make([]keyspace.StreamID, len(r.ids))
	latest := make([]bool, len(r.ids))
	for i, arg := range r.ids {
		last, err := c.XLast(r.keys[i])
		if err != nil {
			return command.Reply{}, err
		}
		switch string(arg) {
		case "$":
			after[i] = last
		case LatestEntry:
			latest[i] = true
		case ">":
			return command.Reply{}, command.Errorf("ERR", "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
		default:
			if after[i], err = parseStreamID(arg, 0); err != nil {
				return command.Reply{}, err
			}
		}
	}
	count := r.count
	if count == 0 {
		count = math.MaxInt64
	}
	var out []command.Reply
	for i, key := range r.keys {
		from, ok := after[i].Next()
		if !ok {
			continue
		}
		most := count
		if latest[i] {
			from, most = keyspace.StreamID{}, 1
		}
		entries, err := entriesBetween(c, key, from, keyspace.MaxStreamID, most, latest[i])
		if err != nil {
			return command.Reply{}, err
		}
		if entries.Len() > 0 {
			out = append(out, command.Bulk(key), entries.Array())
		}
	}
	return streamsReply(out), nil
}

func xreadgroup(c *command.Call, args [][]byte) (command.Reply, error) {
	r, err := parseReading(args, true)
	if err != nil {
		return command.Reply{}, err
	}
	after := make([]keyspace.StreamID, len(r.ids))
	for i, arg := range r.ids {
		g, err := c.XGroup(r.keys[i], r.group)
		if err != nil {
			return command.Reply{}, err
		}
		if g == nil {
			return command.Reply{}, command.Errorf("NOGROUP", "No such key '"+string(r.keys[i])+"' or consumer group '"+
				string(r.group)+"' in XREADGROUP with GROUP option")
		}
		switch string(arg) {
		case "$":
			return command.Reply{}, command.Errorf("ERR", "The $ ID is meaningless in the context of XREADGROUP: you want to read "+
				"the history of this consumer by specifying a proper ID, or use the > ID to get new messages. "+
				"The $ ID would just return an empty result set.")
		case ">":
			after[i] = keyspace.MaxStreamID
		default:
			if after[i], err = parseStreamID(arg, 0); err != nil {
				return command.Reply{}, err
			}
		}
	}
	var out []command.Reply
	for i, key := range r.keys {
		entries, served, err := r.readGroup(c, key, after[i])
		if err != nil {
			return command.Reply{}, err
		}
		if served {
			out = append(out, command.Bulk(key), command.Array(entries...))
		}
	}
	return streamsReply(out), nil
}

// readGroup gives what one stream has for the consumer. served is false if
// there is nothing new; what a consumer has not acknowledged is always served.
func (r *reading) readGroup(c *command.Call, key []byte, after keyspace.StreamID) (entries []command.Reply, served bool, err error) {
	g, err := c.XGroup(key, r.group)
	if err != nil {
		return nil, false, err
	}
	defer g.Close()
	if after == keyspace.MaxStreamID {
		entries, err = r.readNew(c, key, g)
		return entries, len(entries) > 0, err
	}
	if err := r.join(g); err != nil {
		return nil, false, err
	}
	return r.readHistory(c, g, after), true, nil
}

// join makes the consumer known. One who is given nothing does not join.
func (r *reading) join(g *keyspace.StreamGroup) error {
	_, err := g.Join(r.consumer)
	g.Seen(r.consumer)
	return err
}

// readHistory gives the entries that the consumer has not acknowledged, once
// more.
func (r *reading) readHistory(c *command.Call, g *keyspace.StreamGroup, after keyspace.StreamID) []command.Reply {
	from, ok := after.Next()
	if !ok {
		return nil
	}
	var pending []keyspace.Pending
	g.EachPending(r.consumer, from, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
		pending = append(pending, p)
		return r.count == 0 || int64(len(pending)) < r.count
	})
	out := []command.Reply{}
	for _, p := range pending {
		fields, ok := g.Entry(p.ID)
		if !ok {
			out = append(out, command.Array(streamIDReply(p.ID), command.NullArray()))
			continue
		}
		out = append(out, entryReply(p.ID, fields))
		p.Delivered, p.Count = c.Now, p.Count+1
		g.Give(p)
	}
	return out
}

// readNew gives the entries that no consumer was given yet.
func (r *reading) readNew(c *command.Call, key []byte, g *keyspace.StreamGroup) ([]command.Reply, error) {
	from, ok := g.Last.Next()
	if !ok {
		return nil, nil
	}
	var ids []keyspace.StreamID
	out := []command.Reply{}
	err := c.XEach(key, from, keyspace.MaxStreamID, false, func(id keyspace.StreamID, fields [][]byte) bool {
		ids = append(ids, id)
		out = append(out, entryReply(id, fields))
		return r.count == 0 || int64(len(ids)) < r.count
	})
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	if err := r.join(g); err != nil {
		return nil, err
	}
	info := g.Stream()
	for _, id := range ids {
		g.SetLast(id, entriesReadAt(info, g.EntriesRead, id))
		if !r.noAck {
			g.Give(keyspace.Pending{ID: id, Consumer: r.consumer, Delivered: c.Now, Count: 1})
		}
	}
	return out, nil
}

// unknownRead is how many entries a group has read when that is not known.
const unknownRead = -1

// entriesReadAt counts one more entry read, at id, if counting is possible.
func entriesReadAt(s keyspace.StreamInfo, read int64, id keyspace.StreamID) int64 {
	switch {
	case read != unknownRead && !gapsAbove(s, id):
		return read + 1
	case s.Added > 0:
		return distance(s, id)
	}
	return read
}

// gapsAbove says whether entries at or above id were deleted.
func gapsAbove(s keyspace.StreamInfo, id keyspace.StreamID) bool {
	if s.Length == 0 || s.MaxDeleted == (keyspace.StreamID{}) || s.MaxDeleted.Less(s.First) {
		return false
	}
	return !s.MaxDeleted.Less(id)
}

// distance says how many entries were ever added up to id, or unknownRead.
func distance(s keyspace.StreamInfo, id keyspace.StreamID) int64 {
	added := int64(s.Added)
	if added == 0 {
		return 0
	}
	last := id.Compare(s.Last)
	switch {
	case s.Length == 0 && last < 1, last == 0:
		return added
	case last > 0:
		return unknownRead
	}
	if s.MaxDeleted == (keyspace.StreamID{}) || s.MaxDeleted.Less(s.First) {
		switch first := id.Compare(s.First); {
		case first < 0:
			return added - s.Length
		case first == 0:
			return added - s.Length + 1
		}
	}
	return unknownRead
}

// lag says how many entries the group has not read; ok is false if that is
// not known.
func lag(g *keyspace.StreamGroup) (n int64, ok bool) {
	s := g.Stream()
	switch {
	case s.Added == 0:
		return 0, true
	case g.EntriesRead != unknownRead && !gapsAbove(s, g.Last):
		return int64(s.Added) - g.EntriesRead, true
	}
	if read := distance(s, g.Last); read != unknownRead {
		return int64(s.Added) - read, true
	}
	return 0, false
}

package redis

import (
	"math"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// subcommands gives the number of arguments of each subcommand, as Arity.
type subcommands map[string]int

// check answers the errors that Redis has for a wrong subcommand.
func (s subcommands) check(args [][]byte) (sub string, err error) {
	parent := strings.ToLower(string(args[0]))
	sub = strings.ToLower(string(args[1]))
	arity, ok := s[sub]
	if !ok {
		return "", command.Errorf("ERR", "unknown subcommand '"+string(args[1])+"'. Try "+strings.ToUpper(parent)+" HELP.")
	}
	spec := command.Spec{Arity: arity}
	if !spec.ArityOK(len(args)) {
		return "", command.ErrArity(parent + "|" + sub)
	}
	return sub, nil
}

func errNoGroup(key, group []byte) error {
	return command.Errorf("NOGROUP", "No such key '"+string(key)+"' or consumer group '"+string(group)+"'")
}

func errNoGroupFor(key, group []byte) error {
	return command.Errorf("NOGROUP", "No such consumer group '"+string(group)+"' for key name '"+string(key)+"'")
}

func errGroupSyntax(sub []byte) error {
	return command.Errorf("ERR", "unknown subcommand or wrong number of arguments for '"+string(sub)+"'. Try XGROUP HELP.")
}

func helpReply(lines ...string) command.Reply {
	out := make([]command.Reply, len(lines))
	for i, l := range lines {
		out[i] = command.Simple(l)
	}
	return command.Array(out...)
}

func xgroup(c *command.Call, args [][]byte) (command.Reply, error) {
	sub, err := subcommands{"create": -5, "setid": -5, "destroy": 4, "createconsumer": 5, "delconsumer": 5, "help": 2}.check(args)
	if err != nil {
		return command.Reply{}, err
	}
	if sub == "help" {
		return helpReply(
			"XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
			"CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD entries_read]",
			"    Make a consumer group.",
			"CREATECONSUMER <key> <groupname> <consumer>",
			"    Make a consumer.",
			"DELCONSUMER <key> <groupname> <consumer>",
			"    Remove a consumer.",
			"DESTROY <key> <groupname>",
			"    Remove a consumer group.",
			"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
			"    Set the last id that was given out.",
			"HELP",
			"    Print this help."), nil
	}
	o, err := parseGroupOptions(args, sub)
	if err != nil {
		return command.Reply{}, err
	}
	key, group := args[2], args[3]
	info, exists, err := c.XInfo(key)
	if err != nil {
		return command.Reply{}, err
	}
	if !exists && !o.make {
		return command.Reply{}, command.Errorf("ERR", "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want "+
			"to use the MKSTREAM option to create an empty stream automatically.")
	}
	switch sub {
	case "create":
		if len(args) > 8 { // an option came twice
			return command.Reply{}, errGroupSyntax(args[1])
		}
		return createGroup(c, key, group, args[4], info, o)
	case "destroy":
		gone, err := c.XGroupDestroy(key, group)
		return command.Bool(gone), err
	}
	g, err := c.XGroup(key, group)
	if err != nil {
		return command.Reply{}, err
	}
	if g == nil {
		return command.Reply{}, errNoGroupFor(key, group)
	}
	defer g.Close()
	switch sub {
	case "createconsumer":
		created, err := g.Join(args[4])
		return command.Bool(created), err
	case "delconsumer":
		return command.Int(g.Leave(args[4])), nil
	}
	if len(args) > 7 {
		return command.Reply{}, errGroupSyntax(args[1])
	}
	last, err := groupStart(args[4], info, true)
	if err != nil {
		return command.Reply{}, err
	}
	g.SetLast(last, o.read)
	return command.OK, nil
}

type groupOptions struct {
	make bool // MKSTREAM
	read int64
}

func parseGroupOptions(args [][]byte, sub string) (o groupOptions, err error) {
	o.read = unknownRead
	if sub != "create" && sub != "setid" {
		return o, nil
	}
	for i := 5; i < len(args); i++ {
		switch {
		case sub == "create" && is(args[i], "MKSTREAM"):
			o.make = true
		case is(args[i], "ENTRIESREAD") && i+1 < len(args):
			i++
			if o.read, err = intArg(args[i]); err != nil {
				return o, err
			}
			if o.read < 0 && o.read != unknownRead {
				return o, command.Errorf("ERR", "value for ENTRIESREAD must be positive or -1")
			}
		default:
			return o, errGroupSyntax(args[1])
		}
	}
	return o, nil
}

// groupStart reads the id up to which a group counts as served.
func groupStart(arg []byte, info keyspace.StreamInfo, ends bool) (keyspace.StreamID, error) {
	if string(arg) == "$" {
		return info.Last, nil
	}
	if ends {
		return parseEndID(arg, 0)
	}
	return parseStreamID(arg, 0)
}

func createGroup(c *command.Call, key, group, start []byte, info keyspace.StreamInfo, o groupOptions) (command.Reply, error) {
	last, err := groupStart(start, info, false)
	if err != nil {
		return command.Reply{}, err
	}
	if err := c.XCreate(key); err != nil {
		return command.Reply{}, err
	}
	created, err := c.XGroupCreate(key, group, last, o.read)
	if err == nil && !created {
		err = command.Errorf("BUSYGROUP", "Consumer Group name already exists")
	}
	return command.OK, err
}

func xack(c *command.Call, args [][]byte) (command.Reply, error) {
	g, err := c.XGroup(args[1], args[2])
	if g == nil {
		return command.Int(0), err
	}
	ids, err := parseIDs(args[3:])
	if err != nil {
		return command.Reply{}, err
	}
	n := int64(0)
	for _, id := range ids {
		if g.Ack(id) {
			n++
		}
	}
	g.Close()
	return command.Int(n), nil
}

// pendingQuery is what the long form of XPENDING asks for.
type pendingQuery struct {
	idle     int64
	from, to keyspace.StreamID
	count    int64
	consumer []byte // nil: all
}

func parsePendingQuery(args [][]byte) (q pendingQuery, err error) {
	if len(args) < 6 || len(args) > 9 {
		return q, command.ErrSyntax
	}
	rest := args[3:]
	if is(rest[0], "IDLE") {
		if q.idle, err = intArg(rest[1]); err != nil {
			return q, err
		}
		if len(args) < 8 {
			return q, command.ErrSyntax
		}
		rest = rest[2:]
	}
	if q.count, err = intArg(rest[2]); err != nil {
		return q, err
	}
	if q.from, err = parseStart(rest[0]); err != nil {
		return q, err
	}
	if q.to, err = parseStop(rest[1]); err != nil {
		return q, err
	}
	if len(rest) > 3 {
		q.consumer = append([]byte{}, rest[3]...)
	}
	return q, nil
}

func xpending(c *command.Call, args [][]byte) (command.Reply, error) {
	var q pendingQuery
	var err error
	if len(args) > 3 {
		if q, err = parsePendingQuery(args); err != nil {
			return command.Reply{}, err
		}
	}
	g, err := c.XGroup(args[1], args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if g == nil {
		return command.Reply{}, errNoGroup(args[1], args[2])
	}
	if len(args) == 3 {
		return pendingSummary(g), nil
	}
	out := []command.Reply{}
	if q.consumer != nil {
		if _, ok := g.Consumer(q.consumer); !ok {
			return command.Array(out...), nil
		}
	}
	if q.count > 0 {
		g.EachPending(q.consumer, q.from, q.to, func(p keyspace.Pending) bool {
			idle := max(c.Now-p.Delivered, 0)
			if q.idle > 0 && idle < q.idle {
				return true
			}
			out = append(out, command.Array(streamIDReply(p.ID), command.Bulk(p.Consumer), command.Int(idle), command.Int(int64(p.Count))))
			return int64(len(out)) < q.count
		})
	}
	return command.Array(out...), nil
}

func pendingSummary(g *keyspace.StreamGroup) command.Reply {
	if g.Pending() == 0 {
		return command.Array(command.Int(0), command.Null(), command.Null(), command.NullArray())
	}
	var first, last keyspace.StreamID
	seen := false
	g.EachPending(nil, keyspace.StreamID{}, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
		if !seen {
			first, seen = p.ID, true
		}
		last = p.ID
		return true
	})
	who := []command.Reply{}
	g.EachConsumer(func(c keyspace.Consumer) bool {
		if c.Pending > 0 {
			who = append(who, command.Array(command.Bulk(c.Name), command.Bulk(formatInt(c.Pending))))
		}
		return true
	})
	return command.Array(command.Int(g.Pending()), streamIDReply(first), streamIDReply(last), command.Array(who...))
}

// claim is what XCLAIM is asked to do.
type claim struct {
	minIdle   int64
	ids       []keyspace.StreamID
	force     bool
	justID    bool
	delivered int64 // ms since 1970
	retries   int64 // -1: count one more
	last      keyspace.StreamID
}

func parseClaim(args [][]byte, now int64) (cl claim, err error) {
	var ok bool
	if cl.minIdle, ok = parseInt(args[4]); !ok {
		return cl, command.Errorf("ERR", "Invalid min-idle-time argument for XCLAIM")
	}
	cl.retries, cl.delivered = -1, -1
	i := 5
	for ; i < len(args); i++ {
		id, err := parseStreamID(args[i], 0)
		if err != nil {
			break
		}
		cl.ids = append(cl.ids, id)
	}
	number := func(option string) (n int64, err error) {
		i++
		n, ok := parseInt(args[i])
		if !ok {
			err = command.Errorf("ERR", "Invalid "+option+" option argument for XCLAIM")
		}
		return n, err
	}
	for ; i < len(args) && err == nil; i++ {
		more := len(args) - 1 - i
		switch a := args[i]; {
		case is(a, "FORCE"):
			cl.force = true
		case is(a, "JUSTID"):
			cl.justID = true
		case is(a, "IDLE") && more > 0:
			cl.delivered, err = number("IDLE")
			cl.delivered = now - cl.delivered
		case is(a, "TIME") && more > 0:
			cl.delivered, err = number("TIME")
		case is(a, "RETRYCOUNT") && more > 0:
			cl.retries, err = number("RETRYCOUNT")
		case is(a, "LASTID") && more > 0:
			i++
			cl.last, err = parseStreamID(args[i], 0)
		default:
			err = command.Errorf("ERR", "Unrecognized XCLAIM option '"+string(a)+"'")
		}
	}
	if cl.delivered < 0 || cl.delivered > now {
		cl.delivered = now
	}
	return cl, err
}

func xclaim(c *command.Call, args [][]byte) (command.Reply, error) {
	g, err := c.XGroup(args[1], args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if g == nil {
		return command.Reply{}, errNoGroup(args[1], args[2])
	}
	cl, err := parseClaim(args, c.Now)
	if err != nil {
		return command.Reply{}, err
	}
	if g.Last.Less(cl.last) {
		g.SetLast(cl.last, g.EntriesRead)
	}
	name := args[3]
	out := []command.Reply{}
	for _, id := range cl.ids {
		fields, exists := g.Entry(id)
		if !exists {
			g.Ack(id) // nobody can have it any more
			continue
		}
		p, had := g.Lookup(id)
		if (!had && !cl.force) || (had && cl.minIdle > 0 && c.Now-p.Delivered < cl.minIdle) {
			continue
		}
		if !had {
			p = keyspace.Pending{ID: id, Count: 1}
		}
		switch {
		case cl.retries >= 0:
			p.Count = uint64(cl.retries)
		case !cl.justID:
			p.Count++
		}
		if err := takeOver(g, p, name, cl.delivered); err != nil {
			return command.Reply{}, err
		}
		out = append(out, claimedReply(id, fields, cl.justID))
	}
	g.Close()
	return command.Array(out...), nil
}

// takeOver gives a pending entry to a consumer, who joins if he is new: one
// who claims nothing does not.
func takeOver(g *keyspace.StreamGroup, p keyspace.Pending, consumer []byte, delivered int64) error {
	if _, err := g.Join(consumer); err != nil {
		return err
	}
	g.Seen(consumer)
	p.Consumer, p.Delivered = consumer, delivered
	g.Give(p)
	return nil
}

func claimedReply(id keyspace.StreamID, fields [][]byte, justID bool) command.Reply {
	if justID {
		return streamIDReply(id)
	}
	return entryReply(id, fields)
}

// autoclaim is what XAUTOCLAIM is asked to do.
type autoclaim struct {
	minIdle int64
	from    keyspace.StreamID
	count   int64
	justID  bool
}

func parseAutoclaim(args [][]byte) (a autoclaim, err error) {
	var ok bool
	if a.minIdle, ok = parseInt(args[4]); !ok {
		return a, command.Errorf("ERR", "Invalid min-idle-time argument for XAUTOCLAIM")
	}
	if a.from, err = parseStart(args[5]); err != nil {
		return a, err
	}
	a.count = 100
	for i := 6; i < len(args); i++ {
		switch {
		case is(args[i], "COUNT") && i+1 < len(args):
			i++
			if a.count, ok = parseInt(args[i]); !ok || a.count < 1 || a.count > math.MaxInt64/16 {
				return a, command.Errorf("ERR", "COUNT must be > 0")
			}
		case is(args[i], "JUSTID"):
			a.justID = true
		default:
			return a, command.ErrSyntax
		}
	}
	return a, nil
}

func xautoclaim(c *command.Call, args [][]byte) (command.Reply, error) {
	a, err := parseAutoclaim(args)
	if err != nil {
		return command.Reply{}, err
	}
	g, err := c.XGroup(args[1], args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if g == nil {
		return command.Reply{}, errNoGroup(args[1], args[2])
	}
	claimed, deleted := []command.Reply{}, []command.Reply{}
	pending, cursor := a.candidates(c, g)
	for _, p := range pending {
		fields, exists := g.Entry(p.ID)
		if !exists {
			g.Ack(p.ID)
			deleted = append(deleted, streamIDReply(p.ID))
			continue
		}
		if !a.justID {
			p.Count++
		}
		if err := takeOver(g, p, args[3], c.Now); err != nil {
			return command.Reply{}, err
		}
		claimed = append(claimed, claimedReply(p.ID, fields, a.justID))
	}
	g.Close()
	return command.Array(streamIDReply(cursor), command.Array(claimed...), command.Array(deleted...)), nil
}

// candidates gives up to count pending entries that were left alone long
// enough or no longer exist, out of ten times as many; and where to go on.
func (a *autoclaim) candidates(c *command.Call, g *keyspace.StreamGroup) (out []keyspace.Pending, cursor keyspace.StreamID) {
	attempts, count := a.count*10, a.count
	g.EachPending(nil, a.from, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
		if attempts == 0 || count == 0 {
			cursor = p.ID
			return false
		}
		attempts--
		_, exists := g.Entry(p.ID)
		if exists && a.minIdle > 0 && c.Now-p.Delivered < a.minIdle {
			return true
		}
		count--
		out = append(out, p)
		return true
	})
	return out, cursor
}

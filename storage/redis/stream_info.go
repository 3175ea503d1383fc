package redis

import (
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func xinfo(c *command.Call, args [][]byte) (command.Reply, error) {
	sub, err := subcommands{"stream": -3, "groups": 3, "consumers": 4, "help": 2}.check(args)
	if err != nil {
		return command.Reply{}, err
	}
	if sub == "help" {
		return helpReply(
			"XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
			"CONSUMERS <key> <groupname>",
			"    The consumers of a group.",
			"GROUPS <key>",
			"    The groups of a stream.",
			"STREAM <key> [FULL [COUNT <count>]]",
			"    What a stream knows of itself.",
			"HELP",
			"    Print this help."), nil
	}
	key := args[2]
	info, ok, err := c.XInfo(key)
	if err != nil {
		return command.Reply{}, err
	}
	if !ok {
		return command.Reply{}, command.ErrNoSuchKey
	}
	switch sub {
	case "groups":
		return groupsInfo(c, key)
	case "consumers":
		return consumersInfo(c, key, args[3])
	}
	return streamInfo(c, args[1], key, info, args[3:])
}

// namedReply puts a name before its value.
func namedReply(name string, value command.Reply) []command.Reply {
	return []command.Reply{command.BulkString(name), value}
}

func mapReply(fields ...[]command.Reply) command.Reply {
	var out []command.Reply
	for _, f := range fields {
		out = append(out, f...)
	}
	return command.Map(out...)
}

// headInfo is what both forms of XINFO STREAM begin with.
func headInfo(info keyspace.StreamInfo) [][]command.Reply {
	leaves := (info.Length + 99) / 100 // as many as Redis would have at its default
	return [][]command.Reply{
		namedReply("length", command.Int(info.Length)),
		namedReply("radix-tree-keys", command.Int(leaves)),
		namedReply("radix-tree-nodes", command.Int(leaves+1)),
		namedReply("last-generated-id", streamIDReply(info.Last)),
		namedReply("max-deleted-entry-id", streamIDReply(info.MaxDeleted)),
		namedReply("entries-added", command.Int(int64(info.Added))),
		namedReply("recorded-first-entry-id", streamIDReply(info.First)),
	}
}

func streamInfo(c *command.Call, sub, key []byte, info keyspace.StreamInfo, args [][]byte) (command.Reply, error) {
	count := int64(10)
	switch {
	case len(args) == 0:
		return shortInfo(c, key, info)
	case !is(args[0], "FULL") || (len(args) != 1 && len(args) != 3) || (len(args) == 3 && !is(args[1], "COUNT")):
		return command.Reply{}, command.Errorf("ERR", "unknown subcommand or wrong number of arguments for '"+string(sub)+"'. Try XINFO HELP.")
	case len(args) == 3:
		var err error
		if count, err = intArg(args[2]); err != nil {
			return command.Reply{}, err
		}
		if count < 0 {
			count = 10
		}
	}
	if count == 0 {
		count = 1<<63 - 1
	}
	return fullInfo(c, key, info, count)
}

func shortInfo(c *command.Call, key []byte, info keyspace.StreamInfo) (command.Reply, error) {
	edge := func(reverse bool) (command.Reply, error) {
		e := command.Null()
		err := c.XEach(key, keyspace.StreamID{}, keyspace.MaxStreamID, reverse, func(id keyspace.StreamID, fields [][]byte) bool {
			e = entryReply(id, fields)
			return false
		})
		return e, err
	}
	first, err := edge(false)
	if err != nil {
		return command.Reply{}, err
	}
	last, err := edge(true)
	return mapReply(append(headInfo(info),
		namedReply("groups", command.Int(info.Groups)),
		namedReply("first-entry", first),
		namedReply("last-entry", last))...), err
}

func fullInfo(c *command.Call, key []byte, info keyspace.StreamInfo, count int64) (command.Reply, error) {
	entries, err := entriesBetween(c, key, keyspace.StreamID{}, keyspace.MaxStreamID, count, false)
	if err != nil {
		return command.Reply{}, err
	}
	groups := []command.Reply{}
	err = c.XEachGroup(key, func(name []byte, g *keyspace.StreamGroup) bool {
		groups = append(groups, fullGroupInfo(name, g, count))
		return true
	})
	return mapReply(append(headInfo(info),
		namedReply("entries", entries.Array()),
		namedReply("groups", command.Array(groups...)))...), err
}

func fullGroupInfo(name []byte, g *keyspace.StreamGroup, count int64) command.Reply {
	pel := []command.Reply{}
	g.EachPending(nil, keyspace.StreamID{}, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
		pel = append(pel, command.Array(streamIDReply(p.ID), command.Bulk(p.Consumer), command.Int(p.Delivered), command.Int(int64(p.Count))))
		return int64(len(pel)) < count
	})
	consumers := []command.Reply{}
	for _, c := range consumersOf(g) {
		own := []command.Reply{}
		g.EachPending(c.Name, keyspace.StreamID{}, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
			own = append(own, command.Array(streamIDReply(p.ID), command.Int(p.Delivered), command.Int(int64(p.Count))))
			return int64(len(own)) < count
		})
		consumers = append(consumers, mapReply(
			namedReply("name", command.Bulk(c.Name)),
			namedReply("seen-time", command.Int(c.Seen)),
			namedReply("pel-count", command.Int(c.Pending)),
			namedReply("pending", command.Array(own...))))
	}
	return mapReply(
		namedReply("name", command.Bulk(name)),
		namedReply("last-delivered-id", streamIDReply(g.Last)),
		namedReply("entries-read", readReply(g)),
		namedReply("lag", lagReply(g)),
		namedReply("pel-count", command.Int(g.Pending())),
		namedReply("pending", command.Array(pel...)),
		namedReply("consumers", command.Array(consumers...)))
}

// consumersOf gives the consumers. Their names are copies.
func consumersOf(g *keyspace.StreamGroup) []keyspace.Consumer {
	var out []keyspace.Consumer
	g.EachConsumer(func(c keyspace.Consumer) bool {
		c.Name = append([]byte{}, c.Name...)
		out = append(out, c)
		return true
	})
	return out
}

func readReply(g *keyspace.StreamGroup) command.Reply {
	if g.EntriesRead == unknownRead {
		return command.Null()
	}
	return command.Int(g.EntriesRead)
}

func lagReply(g *keyspace.StreamGroup) command.Reply {
	n, ok := lag(g)
	if !ok {
		return command.Null()
	}
	return command.Int(n)
}

func groupsInfo(c *command.Call, key []byte) (command.Reply, error) {
	out := []command.Reply{}
	err := c.XEachGroup(key, func(name []byte, g *keyspace.StreamGroup) bool {
		out = append(out, mapReply(
			namedReply("name", command.Bulk(name)),
			namedReply("consumers", command.Int(g.Members())),
			namedReply("pending", command.Int(g.Pending())),
			namedReply("last-delivered-id", streamIDReply(g.Last)),
			namedReply("entries-read", readReply(g)),
			namedReply("lag", lagReply(g))))
		return true
	})
	return command.Array(out...), err
}

func consumersInfo(c *command.Call, key, group []byte) (command.Reply, error) {
	g, err := c.XGroup(key, group)
	if err != nil {
		return command.Reply{}, err
	}
	if g == nil {
		return command.Reply{}, errNoGroupFor(key, group)
	}
	out := []command.Reply{}
	for _, m := range consumersOf(g) {
		out = append(out, mapReply(
			namedReply("name", command.Bulk(m.Name)),
			namedReply("pending", command.Int(m.Pending)),
			namedReply("idle", command.Int(max(c.Now-m.Seen, 0)))))
	}
	return command.Array(out...), nil
}

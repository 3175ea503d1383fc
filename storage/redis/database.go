package redis

import (
	"bytes"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// databaseCommands are those on whole databases.
func databaseCommands() []entry {
	return []entry{
		{"FLUSHDB", -1, write, noKeys, "1.0.0", "[ASYNC|SYNC]", "Deletes all keys of the database.", flush(false)},
		{"FLUSHALL", -1, write, noKeys, "1.0.0", "[ASYNC|SYNC]", "Deletes all keys of all databases.", flush(true)},
		{"SWAPDB", 3, writeFast, noKeys, "4.0.0", "index1 index2", "Exchanges the keys of two databases.", swapdb},
	}
}

var (
	errDomainKeys = command.Errorf("DENIED", "database 0 holds the domain's keys (visitor:, chat:, agent:, department:, site:, secret:, system:), which change through domain commands only; "+
		"delete your own keys with SCAN and UNLINK, or keep them in another database")
	errDBRange = command.Errorf("ERR", "DB index is out of range")
)

// holdsDomain says whether database 0, where the domain is, has keys of it.
func holdsDomain(c *command.Call) (found bool) {
	home := c.DB()
	c.Select(0)
	defer c.Select(home)
	for _, p := range ReservedPrefixes {
		prefix := []byte(p)
		if c.Type(prefix) != keyspace.None {
			return true
		}
		c.EachKey(prefix, func(key []byte, _ keyspace.Type) bool {
			found = bytes.HasPrefix(key, prefix)
			return false
		})
		if found {
			return true
		}
	}
	return false
}

func flush(all bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		if len(args) > 2 || (len(args) == 2 && !is(args[1], "ASYNC") && !is(args[1], "SYNC")) {
			return command.Reply{}, command.ErrSyntax
		}
		home := c.DB()
		defer c.Select(home)
		if (all || home == 0) && holdsDomain(c) {
			return command.Reply{}, errDomainKeys
		}
		if !all {
			return command.OK, c.Flush()
		}
		total := int64(0)
		for db := range uint8(keyspace.Databases) {
			c.Select(db)
			n, _ := c.KeyCount()
			if total += n; total > keyspace.MaxFlush {
				return command.Reply{}, keyspace.ErrTooManyKeys
			}
		}
		for db := range uint8(keyspace.Databases) {
			c.Select(db)
			if err := c.Flush(); err != nil {
				return command.Reply{}, err
			}
		}
		return command.OK, nil
	}
}

func swapdb(c *command.Call, args [][]byte) (command.Reply, error) {
	var db [2]int64
	for i, name := range []string{"first", "second"} {
		n, ok := parseInt(args[1+i])
		if !ok || n != int64(int32(n)) {
			return command.Reply{}, command.Errorf("ERR", "invalid "+name+" DB index")
		}
		db[i] = n
	}
	for _, n := range db {
		if n < 0 || n >= keyspace.Databases {
			return command.Reply{}, errDBRange
		}
	}
	if db[0] != db[1] && (db[0] == 0 || db[1] == 0) && holdsDomain(c) {
		return command.Reply{}, errDomainKeys
	}
	return command.OK, c.SwapDB(uint8(db[0]), uint8(db[1]))
}

func move(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := intArg(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if n != int64(int32(n)) {
		return command.Reply{}, command.ErrNotInteger
	}
	if n < 0 || n >= keyspace.Databases {
		return command.Reply{}, errDBRange
	}
	if uint8(n) == c.DB() {
		return command.Reply{}, command.Errorf("ERR", "source and destination objects are the same")
	}
	return command.Bool(c.Move(args[1], uint8(n))), nil
}

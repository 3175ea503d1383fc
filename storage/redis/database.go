package redis

import (
	"bytes"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// databaseCommands are those on whole databases.
func databaseCommands() []entry {
	return []entry{
		{"FLUSHDB", -1, write, noKeys, "1.0.0", "[ASYNC|SYNC]", "Deletes all keys of the database but those of the domain.", flush(false)},
		{"FLUSHALL", -1, write, noKeys, "1.0.0", "[ASYNC|SYNC]", "Deletes all keys of all databases but those of the domain.", flush(true)},
		{"SWAPDB", 3, writeFast, noKeys, "4.0.0", "index1 index2", "Exchanges the keys of two databases.", swapdb},
	}
}

var (
	errDomainKeys = command.Errorf("DENIED", "database 0 holds the domain's keys (visitor:, chat:, agent:, department:, site:, secret:, system:), which stay there")
	errDBRange    = command.Errorf("ERR", "DB index is out of range")
)

// holdsDomain says whether database 0, where the domain is, has keys of it.
func holdsDomain(c *command.Call) bool {
	home := c.DB()
	c.Select(0)
	defer c.Select(home)
	for _, p := range ReservedPrefixes {
		found := false
		eachOf(c.Tx, p, func([]byte) bool { found = true; return false })
		if found {
			return true
		}
	}
	return false
}

// eachOf walks the keys of the database that begin with a reserved prefix,
// until fn returns false.
func eachOf(tx *keyspace.Tx, prefix string, fn func(key []byte) bool) {
	if key := []byte(prefix); tx.Type(key) != keyspace.None && !fn(key) {
		return
	}
	tx.EachKey([]byte(prefix), func(key []byte, _ keyspace.Type) bool {
		return bytes.HasPrefix(key, []byte(prefix)) && fn(key)
	})
}

// flush removes the keys that clients can write: those of the domain stay.
func flush(all bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		if len(args) > 2 || (len(args) == 2 && !is(args[1], "ASYNC") && !is(args[1], "SYNC")) {
			return command.Reply{}, command.ErrSyntax
		}
		home := c.DB()
		defer c.Select(home)
		first, last := home, home
		if all {
			first, last = 0, keyspace.Databases-1
		}
		total, own, kept := int64(0), [][]byte(nil), false
		for db := first; db <= last; db++ {
			c.Select(db)
			if db == 0 && holdsDomain(c) {
				own, kept = ownKeys(c), true
				total += int64(len(own))
				continue
			}
			n, _ := c.KeyCount()
			total += n
		}
		if total > keyspace.MaxFlush {
			return command.Reply{}, keyspace.ErrTooManyKeys
		}
		for db := first; db <= last; db++ {
			c.Select(db)
			if db == 0 && kept {
				for _, key := range own {
					c.Delete(key)
				}
			} else if err := c.Flush(); err != nil {
				return command.Reply{}, err
			}
		}
		return command.OK, nil
	}
}

// ownKeys gives copies of the keys of the database that are not the domain's,
// of which there may be many more: it steps over them, a prefix at a time. It
// gives up beyond what a flush may remove.
func ownKeys(c *command.Call) (own [][]byte) {
	for from, more := []byte(nil), true; more; {
		more = false
		c.EachKey(from, func(key []byte, _ keyspace.Type) bool {
			if IsDomainKey(key) {
				from = bytes.Clone(key[:bytes.IndexByte(key, ':')+1])
				more = true
				return false
			}
			own = append(own, bytes.Clone(key))
			return len(own) <= keyspace.MaxFlush
		})
		if more {
			from[len(from)-1]++ // the least key above all with the prefix
			if c.Type(from) != keyspace.None {
				own = append(own, from)
			}
		}
	}
	return own
}

// Count gives how many keys the database has, and how many of them expire,
// without those that SCAN does not list.
func Count(tx *keyspace.Tx) (keys, expires int64) {
	keys, expires = tx.KeyCount()
	if tx.DB() == 0 {
		for _, p := range unlistedPrefixes {
			eachOf(tx, p, func(key []byte) bool {
				keys--
				if _, ok := tx.ExpireAt(key); ok {
					expires--
				}
				return true
			})
		}
	}
	return keys, expires
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

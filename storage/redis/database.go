package redis

import (
	"bytes"
	"math/rand/v2"

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
	errReserved = command.Errorf("DENIED", "a database with keys that begin with visitor:, chat:, agent:, department:, site:, secret: or system: cannot take the place of database 0, where these are the domain's")
	errDBRange  = command.Errorf("ERR", "DB index is out of range")
)

// holdsReserved says whether a database has keys of reserved names.
func holdsReserved(c *command.Call, db uint8) bool {
	home := c.DB()
	c.Select(db)
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
		for db := first; db <= last; db++ {
			c.Select(db)
			c.Flush()
		}
		return command.OK, nil
	}
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

// AverageTTL estimates how many ms the keys of the database that expire have
// left, by some that chance finds, or the first to go if it finds none.
func AverageTTL(tx *keyspace.Tx, r *rand.Rand) int64 {
	sum, n := int64(0), int64(0)
	add := func(at int64) { sum, n = sum+at-tx.Now(), n+1 }
	for range 4 {
		tx.Scan(r.Uint64()>>16, 8, func(key []byte, _ keyspace.Type) {
			if at, ok := tx.ExpireAt(key); ok && Listed(key) {
				add(at)
			}
		})
	}
	if n == 0 {
		tx.FirstExpiries(16, add)
	}
	return sum / max(n, 1)
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
	// The domain's keys stay in database 0: none may come there by a swap.
	for i, n := range db {
		if n == 0 && db[1-i] != 0 && holdsReserved(c, uint8(db[1-i])) {
			return command.Reply{}, errReserved
		}
	}
	c.SwapDB(uint8(db[0]), uint8(db[1]))
	return command.OK, nil
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

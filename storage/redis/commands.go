package redis

import (
	"bytes"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Commands gives all commands of this package, for command.NewTable.
func Commands() []command.Spec {
	var specs []command.Spec
	for _, g := range []group{
		{"string", "string", stringCommands()},
		{"bitmap", "bitmap", bitmapCommands()},
		{"generic", "keyspace", dumpCommands()},
		{"hyperloglog", "hyperloglog", hyperloglogCommands()},
		{"generic", "keyspace", keyCommands()},
		{"server", "keyspace", serverCommands()},
		{"server", "keyspace", databaseCommands()},
		{"generic", "list", sortCommands()},
		{"hash", "hash", hashCommands()},
		{"hash", "hash", hashExpiryCommands()},
		{"set", "set", setCommands()},
		{"sorted-set", "sortedset", zsetCommands()},
		{"sorted-set", "sortedset", blockingZSetCommands()},
		{"list", "list", listCommands()},
		{"geo", "geo", geoCommands()},
		{"stream", "stream", streamCommands()},
	} {
		for _, c := range g.commands {
			specs = append(specs, c.spec(g))
		}
	}
	return specs
}

type group struct {
	name     string // as COMMAND DOCS has it
	category string // as ACL CAT has it
	commands []entry
}

type handler = func(c *command.Call, args [][]byte) (command.Reply, error)

// borrowing is a handler that answers with numbers alone: what it reads need
// not outlive its entry of the log.
func borrowing(h handler) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		defer c.Borrow()()
		return h(c, args)
	}
}

// entry is one line of a table.
type entry struct {
	name    string
	arity   int
	flags   command.Flag
	keys    keys
	since   string
	syntax  string // arguments as the manual writes them; see parseSyntax
	summary string
	run     handler
}

// keys places the keys among the arguments: first, last, step.
type keys [3]int

var (
	noKeys  = keys{}        // none, or not at fixed places
	oneKey  = keys{1, 1, 1} // the first argument
	twoKeys = keys{1, 2, 1} // the first two
	allKeys = keys{1, -1, 1}
)

// Shorthands for the tables.
const (
	read      = command.ReadOnly
	readFast  = command.ReadOnly | command.Fast
	write     = command.Write
	writeFast = command.Write | command.Fast
)

// whenFull are the writes that Redis carries out when it is out of memory: they
// take away, or change nothing of note. XGROUP is one command here, and must be
// able to delete.
var whenFull = map[string]bool{
	"DEL": true, "UNLINK": true, "GETDEL": true, "FLUSHALL": true, "FLUSHDB": true, "SWAPDB": true,
	"EXPIRE": true, "EXPIREAT": true, "PEXPIRE": true, "PEXPIREAT": true, "PERSIST": true, "GETEX": true,
	"MOVE": true, "RENAME": true, "RENAMENX": true,
	"LPOP": true, "RPOP": true, "LMPOP": true, "LREM": true, "LTRIM": true, "BLPOP": true, "BRPOP": true, "BLMPOP": true,
	"HDEL": true, "HGETDEL": true, "HPERSIST": true, "SREM": true, "SPOP": true, "SMOVE": true,
	"ZREM": true, "ZREMRANGEBYLEX": true, "ZREMRANGEBYRANK": true, "ZREMRANGEBYSCORE": true,
	"ZPOPMIN": true, "ZPOPMAX": true, "ZMPOP": true, "BZPOPMIN": true, "BZPOPMAX": true, "BZMPOP": true,
	"XACK": true, "XDEL": true, "XGROUP": true, "XTRIM": true, "XCLAIM": true, "XAUTOCLAIM": true, "XREADGROUP": true,
}

func (e entry) spec(g group) command.Spec {
	rw, speed := "read", "slow"
	if e.flags&command.Write != 0 {
		rw = "write"
	}
	if e.flags&command.Fast != 0 {
		speed = "fast"
	}
	categories := []string{rw, g.category, speed}
	if e.flags&command.Blocking != 0 {
		categories = append(categories, "blocking")
	}
	switch e.name {
	case "KEYS", "SORT", "SORT_RO", "FLUSHDB", "FLUSHALL", "SWAPDB", "RESTORE":
		categories = append(categories, "dangerous")
		if strings.HasPrefix(e.name, "SORT") {
			categories = append(categories, "set", "sortedset")
		}
	}
	if whenFull[e.name] {
		e.flags |= command.WhenFull
	}
	return command.Spec{
		Name: e.name, Arity: e.arity, Flags: e.flags, Summary: e.summary, Group: g.name, Since: e.since,
		Categories: categories, First: e.keys[0], Last: e.keys[1], Step: e.keys[2],
		Args: parseSyntax(e.syntax), Run: e.run,
	}
}

// ReservedPrefixes begin the keys of the domain, which change through domain
// commands only.
var ReservedPrefixes = keyspace.ReservedPrefixes

// IsDomainKey says whether a key is one of the domain's.
func IsDomainKey(key []byte) bool { return keyspace.Reserved(key) }

// IsHidden says whether no client may see a key.
func IsHidden(key []byte) bool { return bytes.HasPrefix(key, []byte("secret:")) }

// unlistedPrefixes begin the keys that DBSIZE, KEYS, RANDOMKEY and SCAN leave out, so
// that the database of a new node looks empty: what is hidden, and the group's own.
var unlistedPrefixes = []string{"secret:", "system:"}

// listed says whether KEYS and SCAN show a key to one who asks for a pattern
// (nil: for all). The group's own keys are shown to who asks for them.
func listed(key, pattern []byte) bool {
	if len(key) < 2 || key[0] != 's' {
		return true
	}
	return !IsHidden(key) && (!bytes.HasPrefix(key, []byte("system:")) || bytes.HasPrefix(pattern, []byte("system:")))
}

// Listed says whether a key is among those that SCAN shows, so that a program
// may hear of it without having named it.
func Listed(key []byte) bool { return listed(key, nil) }

// is says whether an argument is a keyword, in any case.
func is(arg []byte, keyword string) bool {
	return len(arg) == len(keyword) && strings.EqualFold(string(arg), keyword)
}

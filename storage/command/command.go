package command

import (
	"math/rand/v2"
	"sort"
	"strings"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// Flag is a property of a command, as COMMAND INFO shows it.
type Flag uint32

const (
	Write    Flag = 1 << iota // changes state: goes through the log
	ReadOnly                  // changes nothing: runs on the node that was asked
	Fast                      // constant or logarithmic time
	Admin                     // for operators
	Blocking                  // may wait
	NoAuth                    // allowed before authentication
	Module                    // a domain command, not one of Redis
	Internal                  // proposed by nodes only, refused from clients
	Walks                     // passes over elements, although Redis calls it Fast
	Heavy                     // works long on few elements
	WhenFull                  // a write that is carried out while there is too little room: it makes some, or the group needs it
)

// Spec describes a command: all that is known about it in one place.
type Spec struct {
	Name    string // upper case, as clients write it: "HSET", "CHAT.SEND"
	Arity   int    // arguments with the name; negative: that many or more
	Flags   Flag
	Summary string // one line for COMMAND DOCS
	Group   string // COMMAND DOCS: string, hash, generic, …; "module" for the domain
	Since   string // the version it came with
	// Level is the feature level it came with; 0: the first. In a group of a
	// lower one it is refused before it gets into the log.
	Level int
	// Categories are ACL categories without "@": "read", "write", "hash",
	// "visitor". Every command is in read or write.
	Categories []string
	// First, Last and Step place the keys among the arguments, as in COMMAND
	// INFO; First 0: none. Last -1: up to the last argument.
	First, Last, Step int
	Args              []Arg // COMMAND DOCS, for redis-cli's hints

	// KeyPrefix is put before the key arguments of a domain command, whose
	// argument is an id: "visitor:" for VISITOR.CREATE.
	KeyPrefix string

	// Prepare, if any, rewrites the arguments on the node that received them,
	// before the log: it fixes what must not differ between nodes and is not
	// in Call (a salted password hash). It may reject with an *Error. It must
	// not modify args in place.
	Prepare func(args [][]byte) ([][]byte, error)

	// Run carries the command out. args[0] is the name as the client wrote
	// it; the arity has been checked. The arguments may be kept. If it returns
	// an error, whatever it wrote is undone and the error is the reply.
	Run func(c *Call, args [][]byte) (Reply, error)
}

// Arg describes one argument for COMMAND DOCS.
type Arg struct {
	Name     string
	Type     string // string, integer, double, key, pattern, unix-time, pure-token, oneof, block
	Token    string // the keyword before the value
	Optional bool
	Multiple bool
	Args     []Arg // of a block or oneof
}

// Call is what a running command may know of the world.
type Call struct {
	*keyspace.Tx // the keys, as of this command

	// Now is the time in milliseconds since 1970. Inside the log it is the
	// leader's, never goes back, and is the same on every node.
	Now int64
	// Index is the log index of the entry that carries the command; 0 for a
	// read.
	Index uint64
	// Level is the group's feature level, the same on every node for one place
	// in the log; 0 for a read. Only SYSTEM.LEVEL changes it.
	Level int
	// Op numbers the commands of an entry, from 0.
	Op int
	// Rand is seeded from the entry: the same on every node. Nil for a read
	// that was not given one.
	Rand *rand.Rand
}

// Is says whether the command has all the flags of f.
func (s *Spec) Is(f Flag) bool { return s.Flags&f == f }

// Database gives the database that a call runs in whose client has selected
// db. The domain is in database 0, whatever that is.
func (s *Spec) Database(db uint8) uint8 {
	if s.Flags&(Module|Internal) != 0 {
		return 0
	}
	return db
}

// ArityOK says whether n arguments, with the name, are right.
func (s *Spec) ArityOK(n int) bool {
	if s.Arity >= 0 {
		return n == s.Arity
	}
	return n >= -s.Arity
}

// Keys gives the keys among the arguments. They are not to be changed.
func (s *Spec) Keys(args [][]byte) [][]byte {
	if s.First <= 0 {
		return nil
	}
	last := s.Last
	if last < 0 {
		last += len(args)
	}
	step := max(s.Step, 1)
	if step == 1 && s.KeyPrefix == "" {
		end := min(last+1, len(args))
		if end <= s.First {
			return nil
		}
		return args[s.First:end:end]
	}
	var keys [][]byte
	for i := s.First; i <= last && i < len(args); i += step {
		key := args[i]
		if s.KeyPrefix != "" {
			key = append([]byte(s.KeyPrefix), key...)
		}
		keys = append(keys, key)
	}
	return keys
}

// Table is all the commands, by name. It does not change once made.
type Table struct {
	byName map[string]*Spec
	sorted []*Spec
	levels LevelRange
}

// NewTable makes a table. A name that stands twice is a programming error and
// panics.
func NewTable(lists ...[]Spec) *Table {
	known := Levels()
	t := &Table{byName: map[string]*Spec{}, levels: LevelRange{Oldest: oldestLevel, Newest: known[len(known)-1].Number}}
	for _, list := range lists {
		for i := range list {
			s := &list[i]
			if _, ok := t.byName[s.Name]; ok {
				panic("command table: " + s.Name + " stands twice")
			}
			if s.Is(Write) == s.Is(ReadOnly) {
				panic("command table: " + s.Name + " must be either Write or ReadOnly")
			}
			t.byName[s.Name] = s
			t.sorted = append(t.sorted, s)
			t.levels.Newest = max(t.levels.Newest, s.Level)
		}
	}
	sort.Slice(t.sorted, func(i, j int) bool { return t.sorted[i].Name < t.sorted[j].Name })
	return t
}

// Supporting gives the same commands in a program that supports other feature
// levels.
func (t *Table) Supporting(levels LevelRange) *Table {
	other := *t
	other.levels = levels
	return &other
}

// Levels is the feature levels that the program supports.
func (t *Table) Levels() LevelRange { return t.levels }

// Find looks a command up by name, in any case; nil if there is none.
func (t *Table) Find(name []byte) *Spec {
	if s, ok := t.byName[string(name)]; ok {
		return s
	}
	return t.byName[strings.ToUpper(string(name))]
}

// All gives the commands in order of their names.
func (t *Table) All() []*Spec { return t.sorted }

package resp

import (
	"sort"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// entry is a command as the server knows it: one of the Store, or one that the
// server answers itself.
type entry struct {
	spec  *command.Spec
	lower string // as error messages and COMMAND write it: "get", "client|list"

	// local carries out a command of the connection or the server. Nil: the
	// command runs in the Store.
	local func(s *session, args [][]byte) (command.Reply, error)
	// subs are the subcommands of a container, by upper-case name.
	subs map[string]*entry
	// immediate commands run even while MULTI queues the others.
	immediate bool
	// subscribing commands may be sent while the connection only listens.
	subscribing bool
	// brief says whether a call waits for nothing and is soon done. Nil: no.
	brief func(s *session, args [][]byte) bool
	// noMulti commands are refused inside MULTI.
	noMulti bool
	// refusal is why the command never runs.
	refusal error
	// secret commands carry passwords: what may be one is shown nowhere.
	secret bool
	// movable finds the keys where First, Last and Step cannot say it.
	movable func(args [][]byte) [][]byte
	// blocks says whether a call is to wait until there is an answer.
	blocks func(args [][]byte) bool

	// keySpecs say where the keys are and what becomes of them.
	keySpecs []keySpec
	// tips are what programs that spread calls over several servers may know.
	tips []string
	// pop is how the command removes elements, if it waits for them.
	pop *popForm

	calls callStats
}

// local describes a command that the server answers itself.
type local struct {
	spec      command.Spec
	run       func(s *session, args [][]byte) (command.Reply, error)
	subs      []local
	immediate bool
	refusal   error
	secret    bool
	// see entry
	subscribing, noMulti bool
	brief                func(s *session, args [][]byte) bool
}

// catalog is all the commands that clients may name.
type catalog struct {
	byName map[string]*entry
	sorted []*entry // without the internal ones
}

// newCatalog joins the commands of the Store with those of the server. Where
// both have one, the Store's is taken.
func newCatalog(table *command.Table) *catalog {
	c := &catalog{byName: map[string]*entry{}}
	for _, spec := range table.All() {
		c.add(newStoreEntry(spec))
	}
	c.splitContainers()
	for _, list := range [][]local{
		connectionCommands(), transactionCommands(), clientCommands(), serverCommands(),
		pubsubCommands(), monitorCommands(), inspectCommands(), debugCommands(), aclCommands(), scriptCommands(), refusedCommands(),
	} {
		for i := range list {
			if c.byName[list[i].spec.Name] == nil {
				c.add(newLocalEntry(&list[i], nil))
			}
		}
	}
	sort.Slice(c.sorted, func(i, j int) bool { return c.sorted[i].lower < c.sorted[j].lower })
	c.placeKeys()
	c.giveTips()
	return c
}

func (c *catalog) add(e *entry) {
	c.byName[e.spec.Name] = e
	c.byName[e.lower] = e // the two spellings that clients use need no conversion
	if !e.spec.Is(command.Internal) {
		c.sorted = append(c.sorted, e)
	}
}

func newStoreEntry(spec *command.Spec) *entry {
	return &entry{
		spec:    spec,
		lower:   strings.ToLower(spec.Name),
		secret:  spec.Prepare != nil,
		movable: movableKeys(spec.Name),
		blocks:  blockingForm(spec),
		pop:     popFormOf(spec.Name),
	}
}

func newLocalEntry(l *local, container *entry) *entry {
	e := &entry{
		spec:        &l.spec,
		lower:       strings.ToLower(l.spec.Name),
		local:       l.run,
		immediate:   l.immediate,
		refusal:     l.refusal,
		secret:      l.secret,
		subscribing: l.subscribing,
		noMulti:     l.noMulti,
		brief:       l.brief,
	}
	if container != nil {
		e.lower = container.lower + "|" + e.lower
	}
	if len(l.subs) > 0 {
		e.subs = map[string]*entry{}
		for i := range l.subs {
			e.subs[l.subs[i].spec.Name] = newLocalEntry(&l.subs[i], e)
		}
	}
	return e
}

// find looks a command up by name in any case; nil if there is none.
func (c *catalog) find(name []byte) *entry {
	if e := c.byName[string(name)]; e != nil {
		return e
	}
	return c.byName[strings.ToUpper(string(name))]
}

// lookup finds the command or subcommand that args call.
func (c *catalog) lookup(args [][]byte) (*entry, error) {
	e := c.find(args[0])
	if e == nil {
		return nil, errUnknown(args)
	}
	if e.subs == nil || len(args) == 1 {
		return e, nil
	}
	sub := e.subs[strings.ToUpper(string(args[1]))]
	if sub == nil {
		return nil, errUnknownSub(e, args[1])
	}
	return sub, nil
}

// errSubArity is what some subcommands say of too many arguments.
func errSubArity(container string, name []byte) error {
	return command.Errorf("ERR", "unknown subcommand or wrong number of arguments for '"+string(cut(name, maxQuoted))+
		"'. Try "+container+" HELP.")
}

func errUnknownSub(container *entry, name []byte) error {
	return command.Errorf("ERR", "unknown subcommand '"+string(cut(name, maxQuoted))+
		"'. Try "+container.spec.Name+" HELP.")
}

// stats gives the counters of the commands that were called or rejected.
func (c *catalog) stats() []CommandStats {
	var all []CommandStats
	c.each(func(e *entry) {
		if st := e.calls.snapshot(strings.ToUpper(e.lower)); st.Calls+st.Rejected > 0 {
			all = append(all, st)
		}
	})
	return all
}

// resetStats sets the counters to zero.
func (c *catalog) resetStats() {
	c.each(func(e *entry) { e.calls.reset() })
}

// each visits commands and their subcommands in order of their names.
func (c *catalog) each(fn func(*entry)) {
	for _, e := range c.sorted {
		fn(e)
		for _, sub := range e.sortedSubs() {
			fn(sub)
		}
	}
}

func (e *entry) sortedSubs() []*entry {
	subs := make([]*entry, 0, len(e.subs))
	for _, s := range e.subs {
		subs = append(subs, s)
	}
	sort.Slice(subs, func(i, j int) bool { return subs[i].lower < subs[j].lower })
	return subs
}

// keys gives the keys that a call of the command names.
func (e *entry) keys(args [][]byte) [][]byte {
	if e.movable != nil {
		return e.movable(args)
	}
	return e.spec.Keys(args)
}

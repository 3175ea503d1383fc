package resp

import (
	"slices"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// storeSub is a subcommand of a command that the Store has as one row.
type storeSub struct {
	name    string
	arity   int
	keyed   bool // its first argument is a key
	since   string
	summary string
	args    []command.Arg
}

// storeContainers are the Store's commands that have subcommands. The Store
// takes the whole call; here they are told apart for access rules, COMMAND and
// the counters.
func storeContainers() map[string][]storeSub {
	key := command.Arg{Name: "key", Type: "key"}
	group := command.Arg{Name: "group", Type: "string"}
	consumer := command.Arg{Name: "consumer", Type: "string"}
	from := command.Arg{Name: "id-selector", Type: "oneof", Args: []command.Arg{
		{Name: "id", Type: "string"}, {Name: "new-id", Type: "pure-token", Token: "$"}}}
	read := command.Arg{Name: "entriesread", Type: "integer", Token: "ENTRIESREAD", Optional: true}
	make := command.Arg{Name: "mkstream", Type: "pure-token", Token: "MKSTREAM", Optional: true}
	help := func(since string) storeSub {
		return storeSub{name: "HELP", arity: 2, since: since, summary: "Says what the subcommands do."}
	}
	object := func(name, since, summary string) storeSub {
		return storeSub{name, 3, true, since, summary, []command.Arg{key}}
	}
	return map[string][]storeSub{
		"OBJECT": {
			object("ENCODING", "2.2.3", "Tells how a value is kept."),
			object("FREQ", "4.0.0", "Refused: how often keys are used is not recorded."),
			object("IDLETIME", "2.2.3", "Answers 0: when keys were used is not recorded."),
			object("REFCOUNT", "2.2.3", "Answers 1."),
			help("6.2.0"),
		},
		"XINFO": {
			{"CONSUMERS", 4, true, "5.0.0", "Lists the consumers of a group.", []command.Arg{key, group}},
			{"GROUPS", 3, true, "5.0.0", "Lists the groups of a stream.", []command.Arg{key}},
			{"STREAM", -3, true, "5.0.0", "Describes a stream.", []command.Arg{key,
				{Name: "full-block", Type: "block", Optional: true, Args: []command.Arg{
					{Name: "full", Type: "pure-token", Token: "FULL"},
					{Name: "count", Type: "integer", Token: "COUNT", Optional: true}}}}},
			help("5.0.0"),
		},
		"XGROUP": {
			{"CREATE", -5, true, "5.0.0", "Makes a group of consumers.", []command.Arg{key, group, from, make, read}},
			{"CREATECONSUMER", 5, true, "6.2.0", "Makes a consumer.", []command.Arg{key, group, consumer}},
			{"DELCONSUMER", 5, true, "5.0.0", "Deletes a consumer.", []command.Arg{key, group, consumer}},
			{"DESTROY", 4, true, "5.0.0", "Deletes a group.", []command.Arg{key, group}},
			{"SETID", -5, true, "5.0.0", "Sets the last id that a group was given.", []command.Arg{key, group, from, read}},
			help("5.0.0"),
		},
	}
}

// splitContainers gives the Store's containers their subcommands.
func (c *catalog) splitContainers() {
	for name, subs := range storeContainers() {
		e := c.byName[name]
		if e == nil {
			continue
		}
		top := *e.spec
		top.First, top.Last, top.Step = 0, 0, 0
		top.Flags, top.Categories = 0, []string{"slow"}
		e.subs = map[string]*entry{}
		for _, s := range subs {
			spec := *e.spec // under its name and with its Run: what the Store knows
			spec.Arity, spec.Since, spec.Summary, spec.Args = s.arity, s.since, s.summary, s.args
			spec.First, spec.Last, spec.Step = 0, 0, 0
			if s.keyed {
				spec.First, spec.Last, spec.Step = 2, 2, 1
			}
			if !s.keyed {
				spec.Flags = 0
				spec.Categories = slices.DeleteFunc(slices.Clone(spec.Categories), func(c string) bool { return c == "read" || c == "write" })
			}
			sub := newStoreEntry(&spec)
			sub.lower = e.lower + "|" + strings.ToLower(s.name)
			if !s.keyed {
				sub.local = (*session).storeHelp
			}
			e.subs[s.name] = sub
		}
		e.spec = &top
	}
}

// storeHelp answers the HELP of a container of the Store, which needs no state.
func (s *session) storeHelp(args [][]byte) (reply command.Reply, err error) {
	err = s.server.store.View(func(tx *keyspace.Tx) error {
		reply, err = s.server.store.Table().Find(args[0]).Run(&command.Call{Tx: tx}, args)
		return err
	})
	return reply, err
}

// placeKeys notes where the keys of each command are.
func (c *catalog) placeKeys() {
	known := readKeySpecs()
	for _, e := range c.byName {
		e.placeKeys(known)
		for _, sub := range e.subs {
			sub.placeKeys(known)
		}
	}
}

func (e *entry) placeKeys(known map[string][]keySpec) {
	e.keySpecs = known[e.lower]
	if e.keySpecs == nil && len(e.subs) == 0 {
		e.keySpecs = defaultKeySpecs(e.spec)
	}
}

package resp

import (
	"cmp"
	"slices"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

var (
	errNoKeys     = command.Errorf("ERR", "The command has no key arguments")
	errNotCommand = command.Errorf("ERR", "Invalid command specified")
	errKeysArity  = command.Errorf("ERR", "Invalid number of arguments specified for command")
)

func inspectCommands() []local {
	sub := func(name string, arity int, since, summary string, args ...command.Arg) command.Spec {
		return command.Spec{Name: name, Arity: arity, Group: "server", Since: since, Summary: summary, Args: args,
			Categories: []string{"slow", "connection"}}
	}
	names := command.Arg{Name: "command-name", Type: "string", Optional: true, Multiple: true}
	call := []command.Arg{{Name: "command", Type: "string"}, {Name: "arg", Type: "string", Optional: true, Multiple: true}}
	c := container("COMMAND", "server", "2.8.13", "Describes commands.", []local{
		{spec: sub("COUNT", 2, "2.8.13", "Answers the number of commands."),
			run: func(s *session, _ [][]byte) (command.Reply, error) {
				return command.Int(int64(len(s.server.catalog.sorted))), nil
			}},
		{spec: sub("INFO", -2, "2.8.13", "Answers arity, flags, keys and categories of commands.", names), run: commandInfo},
		{spec: sub("DOCS", -2, "7.0.0", "Answers what commands do and take.", names), run: commandDocs},
		{spec: sub("LIST", -2, "7.0.0", "Lists the names of commands.",
			command.Arg{Name: "filterby", Type: "oneof", Token: "FILTERBY", Optional: true, Args: []command.Arg{
				{Name: "module-name", Type: "string", Token: "MODULE"},
				{Name: "category", Type: "string", Token: "ACLCAT"},
				{Name: "pattern", Type: "pattern", Token: "PATTERN"}}}), run: commandList},
		{spec: sub("GETKEYS", -4, "2.8.13", "Answers the keys that a call names.",
			call...), run: commandGetKeys},
		{spec: sub("GETKEYSANDFLAGS", -4, "7.0.0", "Answers the keys that a call names, and what it does with each.", call...), run: commandGetKeysAndFlags},
	})
	c.spec.Arity = -1
	c.spec.Categories = append(c.spec.Categories, "connection")
	c.run = func(s *session, _ [][]byte) (command.Reply, error) {
		return commandInfo(s, make([][]byte, 2))
	}
	return []local{c}
}

// commandInfo describes the named commands, null for one that there is not;
// without names, all.
func commandInfo(s *session, args [][]byte) (command.Reply, error) {
	var out []command.Reply
	if len(args) == 2 {
		for _, e := range s.server.catalog.sorted {
			out = append(out, e.info())
		}
		return command.Array(out...), nil
	}
	for _, name := range args[2:] {
		if e := s.server.catalog.named(name); e != nil {
			out = append(out, e.info())
		} else {
			out = append(out, command.Null())
		}
	}
	return command.Array(out...), nil
}

// named finds a command, or a subcommand written "client|list".
func (c *catalog) named(name []byte) *entry {
	top, rest, isSub := strings.Cut(string(name), "|")
	e := c.find([]byte(top))
	if e == nil || !isSub {
		return e
	}
	return e.subs[strings.ToUpper(rest)]
}

// info gives the ten elements of COMMAND INFO.
func (e *entry) info() command.Reply {
	subs := []command.Reply{}
	for _, sub := range e.sortedSubs() {
		subs = append(subs, sub.info())
	}
	return command.Array(
		command.BulkString(e.lower),
		command.Int(int64(e.spec.Arity)),
		simpleSet(e.flagNames()),
		command.Int(int64(e.spec.First)), command.Int(int64(e.spec.Last)), command.Int(int64(e.spec.Step)),
		simpleSet(prefixed("@", e.categories())),
		simpleSet(e.tips),
		e.describeKeys(),
		command.Set(subs...),
	)
}

func (e *entry) flagNames() []string {
	var names []string
	for _, f := range []struct {
		flag command.Flag
		name string
	}{
		{command.Write, "write"}, {command.ReadOnly, "readonly"}, {command.Admin, "admin"}, {command.Fast, "fast"},
		{command.Blocking, "blocking"}, {command.NoAuth, "no_auth"}, {command.Module, "module"}, {command.Internal, "internal"},
	} {
		if e.spec.Is(f.flag) {
			names = append(names, f.name)
		}
	}
	if e.spec.Is(command.Write) && !e.spec.Is(command.WhenFull) {
		names = append(names, "denyoom")
	}
	if e.movable != nil {
		names = append(names, "movablekeys")
	}
	return names
}

// categories gives the categories without "@", each once, in Redis' order; the
// domain's own come last.
func (e *entry) categories() []string {
	all := slices.Clone(e.spec.Categories)
	if e.spec.Is(command.Admin) {
		all = append(all, "admin", "dangerous")
	}
	slices.Sort(all)
	all = slices.Compact(all)
	order := strings.Fields("keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub " +
		"admin fast slow blocking dangerous connection transaction scripting")
	place := func(category string) uint { return uint(slices.Index(order, category)) } // of others: the last
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	return all
}

// describeKeys says where the keys are as Redis 7 does.
func (e *entry) describeKeys() command.Reply {
	out := []command.Reply{}
	for i := range e.keySpecs {
		out = append(out, e.keySpecs[i].describe())
	}
	return command.Set(out...)
}

// commandDocs answers a map from names to descriptions and leaves out names
// that there are not.
func commandDocs(s *session, args [][]byte) (command.Reply, error) {
	var out []command.Reply
	if len(args) == 2 {
		for _, e := range s.server.catalog.sorted {
			out = append(out, command.BulkString(e.lower), e.docs())
		}
		return command.Map(out...), nil
	}
	for _, name := range args[2:] {
		if e := s.server.catalog.named(name); e != nil {
			out = append(out, command.BulkString(e.lower), e.docs())
		}
	}
	return command.Map(out...), nil
}

func (e *entry) docs() command.Reply {
	b := command.BulkString
	out := []command.Reply{
		b("summary"), b(e.spec.Summary),
		b("since"), b(e.spec.Since),
		b("group"), b(e.spec.Group),
	}
	if e.spec.Is(command.Module) {
		out = append(out, b("module"), b("parlor"))
	}
	if len(e.spec.Args) > 0 {
		out = append(out, b("arguments"), argDocs(e.spec.Args))
	}
	if len(e.subs) > 0 {
		var subs []command.Reply
		for _, sub := range e.sortedSubs() {
			subs = append(subs, b(sub.lower), sub.docs())
		}
		out = append(out, b("subcommands"), command.Map(subs...))
	}
	return command.Map(out...)
}

func argDocs(args []command.Arg) command.Reply {
	b := command.BulkString
	var out []command.Reply
	keys := 0
	for _, a := range args {
		m := []command.Reply{b("name"), b(a.Name), b("type"), b(a.Type)}
		if a.Type == "key" {
			m = append(m, b("key_spec_index"), command.Int(int64(keys)))
			keys++
		}
		if a.Token != "" {
			m = append(m, b("token"), b(a.Token))
		}
		var flags []string
		if a.Optional {
			flags = append(flags, "optional")
		}
		if a.Multiple {
			flags = append(flags, "multiple")
		}
		if len(flags) > 0 {
			m = append(m, b("flags"), simpleSet(flags))
		}
		if len(a.Args) > 0 {
			m = append(m, b("arguments"), argDocs(a.Args))
		}
		out = append(out, command.Map(m...))
	}
	return command.Array(out...)
}

// commandList lists the names of commands and subcommands.
func commandList(s *session, args [][]byte) (command.Reply, error) {
	keep := func(*entry) bool { return true }
	switch {
	case len(args) == 2:
		return s.server.catalog.names(keep), nil
	case len(args) != 5 || !strings.EqualFold(string(args[2]), "FILTERBY"):
		return command.Reply{}, command.ErrSyntax
	}
	value := string(args[4])
	switch strings.ToUpper(string(args[3])) {
	case "MODULE":
		keep = func(e *entry) bool { return e.spec.Is(command.Module) && strings.EqualFold(value, "parlor") }
	case "ACLCAT":
		keep = func(e *entry) bool { return slices.Contains(e.categories(), strings.ToLower(value)) }
	case "PATTERN":
		keep = func(e *entry) bool { return matches(e.lower, value) }
	default:
		return command.Reply{}, command.ErrSyntax
	}
	return s.server.catalog.names(keep), nil
}

func (c *catalog) names(keep func(*entry) bool) command.Reply {
	var names []string
	c.each(func(e *entry) {
		if keep(e) {
			names = append(names, e.lower)
		}
	})
	return bulkList(names)
}

func commandGetKeys(s *session, args [][]byte) (command.Reply, error) {
	uses, err := s.server.catalog.keysOf(args[2:])
	out := []command.Reply{}
	for _, u := range uses {
		out = append(out, command.Bulk(u.key))
	}
	return command.Array(out...), err
}

func commandGetKeysAndFlags(s *session, args [][]byte) (command.Reply, error) {
	uses, err := s.server.catalog.keysOf(args[2:])
	out := []command.Reply{}
	for _, u := range uses {
		out = append(out, command.Array(command.Bulk(u.key), simpleSet(u.flags)))
	}
	return command.Array(out...), err
}

// keysOf gives the keys of a call, of which there must be some.
func (c *catalog) keysOf(call [][]byte) ([]keyUse, error) {
	e, err := c.lookup(call)
	switch {
	case err != nil:
		return nil, errNotCommand
	case e.spec.First <= 0 && e.movable == nil:
		return nil, errNoKeys
	case !e.spec.ArityOK(len(call)):
		return nil, errKeysArity
	}
	uses := e.uses(call)
	if len(uses) == 0 {
		return nil, errKeysArity
	}
	return uses, nil
}

// simpleSet is a set of simple strings.
func simpleSet(names []string) command.Reply {
	out := make([]command.Reply, len(names))
	for i, n := range names {
		out[i] = command.Simple(n)
	}
	return command.Set(out...)
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}

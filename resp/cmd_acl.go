package resp

import (
	"sort"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

func aclCommands() []local {
	sub := func(name string, arity int, flags command.Flag, summary string, args ...command.Arg) command.Spec {
		return command.Spec{Name: name, Arity: arity, Flags: flags, Group: "server", Since: "6.0.0", Summary: summary, Args: args,
			Categories: []string{"slow"}}
	}
	return []local{container("ACL", "server", "6.0.0", "Commands about access.", []local{
		{spec: sub("WHOAMI", 2, 0, "Answers the user of the connection."),
			run: func(*session, [][]byte) (command.Reply, error) { return command.BulkString(defaultUser), nil }},
		{spec: sub("CAT", -2, 0, "Lists the categories, or the commands of one.",
			command.Arg{Name: "categoryname", Type: "string", Optional: true}), run: aclCat},
		{spec: sub("USERS", 2, command.Admin, "Lists the users."),
			run: func(*session, [][]byte) (command.Reply, error) { return bulkList([]string{defaultUser}), nil }},
	})}
}

func aclCat(s *session, args [][]byte) (command.Reply, error) {
	if len(args) > 3 {
		return command.Reply{}, command.ErrArity("acl|cat")
	}
	byCategory := map[string][]string{}
	s.server.catalog.each(func(e *entry) {
		for _, c := range e.categories() {
			byCategory[c] = append(byCategory[c], e.lower)
		}
	})
	if len(args) == 2 {
		names := make([]string, 0, len(byCategory))
		for c := range byCategory {
			names = append(names, c)
		}
		sort.Strings(names)
		return bulkList(names), nil
	}
	commands, ok := byCategory[strings.ToLower(string(args[2]))]
	if !ok {
		return command.Reply{}, command.Errorf("ERR", "Unknown category '"+string(cut(args[2], maxQuoted))+"'")
	}
	return bulkList(commands), nil
}

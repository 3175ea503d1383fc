package core

import (
	"slices"

	"github.com/parlorchat/parlor/storage/command"
)

// Commands gives the domain's commands for the table.
func Commands() []command.Spec {
	all := slices.Concat(
		siteCommands(), departmentCommands(), agentCommands(), visitorCommands(), chatCommands(),
		eventCommands(), deadCommands(), systemCommands())
	for i := range all {
		if all[i].Is(command.Write) && (all[i].Is(command.Internal) || whenFull[all[i].Name]) {
			all[i].Flags |= command.WhenFull
		}
	}
	return all
}

// whenFull are the writes of clients that are carried out while there is too
// little room: they take something away, or say who is there. So are those that
// nodes propose.
var whenFull = map[string]bool{
	"SITE.UNSET": true, "DEPARTMENT.REMOVE": true, "AGENT.REMOVE": true, "AGENT.STATUS": true,
	"VISITOR.REMOVE": true, "CHAT.REMOVE": true, "CHAT.END": true,
	"EVENT.ACK": true, "EVENT.FORGET": true, "EVENT.TRIM": true,
}

const since = "0.1.0"

// writes describes a command that changes the object whose id is its first
// argument; prefix is of that object's key.
func writes(name, category, prefix, summary string, arity int, run func(*step, []string) (command.Reply, error), args ...command.Arg) command.Spec {
	return command.Spec{
		Name: name, Arity: arity, Flags: command.Write | command.Module, Summary: summary, Group: "module", Since: since,
		Categories: []string{"write", category}, First: 1, Last: 1, Step: 1, KeyPrefix: prefix, Args: args,
		Run: transition(run),
	}
}

// reads describes a command that only reads.
func reads(name, category, prefix, summary string, arity int, run func(*command.Call, []string) (command.Reply, error), args ...command.Arg) command.Spec {
	return command.Spec{
		Name: name, Arity: arity, Flags: command.ReadOnly | command.Module, Summary: summary, Group: "module", Since: since,
		Categories: []string{"read", category}, First: 1, Last: 1, Step: 1, KeyPrefix: prefix, Args: args,
		Run: query(run),
	}
}

// prepared adds what is to happen before the log.
func prepared(s command.Spec, prepare func([][]byte) ([][]byte, error)) command.Spec {
	s.Prepare = prepare
	return s
}

// internal is a command that nodes propose and clients may not.
func internal(s command.Spec) command.Spec {
	s.Flags |= command.Internal
	s.Categories = append(s.Categories, "admin")
	return s
}

// many says that all arguments are ids.
func many(s command.Spec) command.Spec {
	s.Last = -1
	return s
}

// keyless is a command without the id of an object.
func keyless(s command.Spec) command.Spec {
	s.First, s.Last, s.Step, s.KeyPrefix = 0, 0, 0, ""
	return s
}

func key(name string) command.Arg  { return command.Arg{Name: name, Type: "key"} }
func text(name string) command.Arg { return command.Arg{Name: name, Type: "string"} }
func integer(name string) command.Arg {
	return command.Arg{Name: name, Type: "integer"}
}

// optionally is an argument that may be left out.
func optionally(a command.Arg) command.Arg {
	a.Optional = true
	return a
}

// repeated is an argument that may come more than once.
func repeated(a command.Arg) command.Arg {
	a.Multiple = true
	return a
}

// after puts a keyword before a value.
func after(token string, a command.Arg) command.Arg {
	a.Token = token
	return a
}

// word is an optional keyword with a text after it.
func word(token, name string) command.Arg { return optionally(after(token, text(name))) }

// numberWord is an optional keyword with a number after it.
func numberWord(token, name string) command.Arg { return optionally(after(token, integer(name))) }

// choice is one of some fixed words.
func choice(name string, words ...string) command.Arg {
	a := command.Arg{Name: name, Type: "oneof"}
	for _, w := range words {
		a.Args = append(a.Args, command.Arg{Name: w, Type: "pure-token", Token: w})
	}
	return a
}

// block is several arguments that come together.
func block(name string, args ...command.Arg) command.Arg {
	return command.Arg{Name: name, Type: "block", Args: args}
}

// variables is VAR name value, any number of times.
func variables() command.Arg {
	return repeated(optionally(after("VAR", block("variable", text("name"), text("value")))))
}

// visitorFieldArgs is field value, any number of times.
func visitorFieldArgs() command.Arg {
	return repeated(optionally(block("field-value", text("field"), text("value"))))
}

// page is the options of a command that lists objects.
func page() []command.Arg {
	return []command.Arg{word("CURSOR", "cursor"), numberWord("COUNT", "count")}
}

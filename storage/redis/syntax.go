package redis

import (
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// parseSyntax turns "key [NX|XX] field value [field value ...]" into what
// COMMAND DOCS shows. Words in capitals are keywords and belong to the words
// after them up to the next "|"; "…" stands for more of what precedes it.
// Only the tables of this package are parsed: there is no bad input.
func parseSyntax(s string) []command.Arg {
	p := &syntaxParser{words: splitSyntax(s)}
	return p.sequence("")
}

// splitSyntax makes words of brackets and bars too.
func splitSyntax(s string) []string {
	for _, mark := range []string{"[", "]", "<", ">", "|"} {
		s = strings.ReplaceAll(s, mark, " "+mark+" ")
	}
	return strings.Fields(s)
}

type syntaxParser struct{ words []string }

func (p *syntaxParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *syntaxParser) next() string {
	w := p.peek()
	p.words = p.words[1:]
	return w
}

// sequence reads arguments up to a closing mark.
func (p *syntaxParser) sequence(end string) []command.Arg {
	var args []command.Arg
	for len(p.words) > 0 && p.peek() != end && p.peek() != "|" {
		switch w := p.next(); {
		case w == "[":
			a := p.choice("]")
			a.Optional = true
			args = append(args, a)
		case w == "<":
			args = append(args, p.choice(">"))
		case w == "…":
			args[len(args)-1].Multiple = true
		case w == strings.ToUpper(w) && strings.ToLower(w) != w:
			args = append(args, p.keyword(w))
		default:
			args = append(args, command.Arg{Name: w, Type: argType(w)})
		}
	}
	return args
}

// keyword reads a keyword and the value that follows it, if any.
func (p *syntaxParser) keyword(w string) command.Arg {
	switch v := p.peek(); {
	case v == "" || strings.ContainsAny(v, "[]<>|…") || v == strings.ToUpper(v):
		return command.Arg{Name: strings.ToLower(w), Type: "pure-token", Token: w}
	default:
		p.next()
		return command.Arg{Name: v, Type: argType(v), Token: w}
	}
}

// choice reads alternatives up to a closing mark.
func (p *syntaxParser) choice(end string) command.Arg {
	var options []command.Arg
	for {
		options = append(options, block(p.sequence(end)))
		if p.peek() != "|" {
			break
		}
		p.next()
	}
	p.next()
	if len(options) == 1 {
		return options[0]
	}
	return command.Arg{Name: options[0].Name, Type: "oneof", Args: options}
}

// block makes one argument of several.
func block(args []command.Arg) command.Arg {
	if len(args) == 1 {
		return args[0]
	}
	b := command.Arg{Name: args[0].Name, Type: "block", Args: args}
	if last := args[len(args)-1]; len(args) == 2 && last.Multiple && last.Name == args[0].Name {
		return last
	}
	return b
}

func argType(name string) string {
	switch name {
	case "key", "newkey", "source", "destination":
		return "key"
	case "seconds", "milliseconds", "count", "numkeys", "limit", "offset", "start", "stop", "end", "increment",
		"decrement", "cursor", "db", "weight", "min-idle-time", "entries-read", "entries-added", "threshold",
		"index", "index1", "index2", "bit", "rank", "num-matches", "len", "frequency":
		return "integer"
	case "unix-time-seconds", "unix-time-milliseconds":
		return "unix-time"
	case "score", "float", "timeout", "longitude", "latitude", "radius", "width", "height":
		return "double"
	case "pattern":
		return "pattern"
	}
	return "string"
}

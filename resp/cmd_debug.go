package resp

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// debugCommands are the parts of DEBUG that look at a value or try a client,
// and that test suites need. They are refused unless the node allows them.
func debugCommands() []local {
	return []local{{
		spec: command.Spec{Name: "DEBUG", Arity: -2, Flags: command.Admin, Group: "server", Since: "1.0.0",
			Summary: "Refused, unless the node was started with --resp-debug.", Categories: []string{"admin", "slow", "dangerous"}},
		run: (*session).debug,
	}}
}

const maxDebugSleep = time.Minute

func (s *session) debug(args [][]byte) (command.Reply, error) {
	if !s.server.config.Debug {
		return command.Reply{}, errNotAllowed("DEBUG")
	}
	switch sub := strings.ToUpper(string(args[1])); {
	case sub == "HELP" && len(args) == 2:
		return debugHelp(), nil
	case sub == "SLEEP" && len(args) == 3:
		return s.debugSleep(args[2])
	case sub == "OBJECT" && len(args) == 3:
		return s.debugObject(args[2])
	case sub == "PROTOCOL" && len(args) == 3:
		return debugProtocol(strings.ToLower(string(args[2])))
	case sub == "LOG" && len(args) == 3:
		s.server.log.Warn("DEBUG LOG", "addr", s.addr, "message", string(cut(args[2], maxQuoted)))
		return command.OK, nil
	case sub == "QUICKLIST-PACKED-THRESHOLD" && len(args) == 3, sub == "DICT-RESIZING" && len(args) == 3:
		return command.OK, nil // about structures that there are not here
	}
	return command.Reply{}, command.Errorf("ERR", "unknown subcommand or wrong number of arguments for '"+string(cut(args[1], maxQuoted))+"'. Try DEBUG HELP.")
}

func debugHelp() command.Reply {
	var lines []command.Reply
	for _, l := range []string{
		"DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"DICT-RESIZING <0|1>", "    Accepted; there is no such thing here.",
		"LOG <message>", "    Write to the node's log.",
		"OBJECT <key>", "    Show how a value is kept.",
		"PROTOCOL <type>", "    Answer a value of a type of the protocol: string, integer, double, null, array, set, map, verbatim, true, false.",
		"QUICKLIST-PACKED-THRESHOLD <size>", "    Accepted; there is no such thing here.",
		"SLEEP <seconds>", "    Keep this connection waiting, and no other.",
		"HELP", "    Print this help.",
	} {
		lines = append(lines, command.Simple(l))
	}
	return command.Array(lines...)
}

// debugSleep holds up this connection only.
func (s *session) debugSleep(arg []byte) (command.Reply, error) {
	seconds, err := strconv.ParseFloat(string(arg), 64)
	if err != nil || seconds < 0 || math.IsNaN(seconds) {
		return command.Reply{}, command.ErrNotFloat
	}
	s.server.pause(time.Duration(min(seconds, maxDebugSleep.Seconds()) * float64(time.Second)))
	return command.OK, nil
}

func (s *session) debugObject(key []byte) (command.Reply, error) {
	ask := func(words ...string) command.Reply {
		args := append(command.New(words...), key)
		e, err := s.server.catalog.lookup(args)
		if err != nil {
			return command.Null()
		}
		items := []item{{entry: e, db: s.dbIndex(), args: args}}
		s.run.read(items)
		return items[0].reply
	}
	if err := checkDomainKeys(s.server.catalog.find([]byte("GET")), [][]byte{nil, key}); err != nil {
		return command.Reply{}, err
	}
	encoding := ask("OBJECT", "ENCODING")
	if encoding.IsNull() || encoding.Err() != nil {
		return command.Reply{}, command.ErrNoSuchKey
	}
	return command.Simple(fmt.Sprintf("Value at:0x0 refcount:1 encoding:%s serializedlength:%d lru:0 lru_seconds_idle:0",
		encoding.Text(), len(ask("DUMP").Str))), nil
}

// debugProtocol answers a value of each type, for tests of clients.
func debugProtocol(kind string) (command.Reply, error) {
	n := command.Int
	switch kind {
	case "string":
		return command.BulkString("Hello World"), nil
	case "integer":
		return n(12345), nil
	case "double":
		return command.Double(3.141), nil
	case "null":
		return command.Null(), nil
	case "array":
		return command.Array(n(0), n(1), n(2)), nil
	case "set":
		return command.Set(n(0), n(1), n(2)), nil
	case "map":
		return command.Map(n(0), command.Reply{Kind: command.KindBool}, n(1), command.Reply{Kind: command.KindBool, Int: 1}, n(2), command.Reply{Kind: command.KindBool}), nil
	case "verbatim":
		return command.Verbatim("This is a verbatim\nstring"), nil
	case "true":
		return command.Reply{Kind: command.KindBool, Int: 1}, nil
	case "false":
		return command.Reply{Kind: command.KindBool}, nil
	}
	return command.Reply{}, command.Errorf("ERR", "Wrong protocol type name. Please use one of the following: string|integer|double|null|array|set|map|verbatim|true|false")
}

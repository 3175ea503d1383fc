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

var errNoDebug = command.Errorf("ERR", "DEBUG command not allowed: a node that is started with --resp-debug allows it")

func (s *session) debug(args [][]byte) (command.Reply, error) {
	if !s.server.config.Debug {
		return command.Reply{}, errNoDebug
	}
	switch sub := strings.ToUpper(string(args[1])); {
	case sub == "HELP" && len(args) == 2:
		return debugHelp(), nil
	case sub == "SLEEP" && len(args) == 3:
		return s.debugSleep(args[2])
	case sub == "OBJECT" && len(args) == 3:
		return s.debugObject(args[2])
	case sub == "PROTOCOL" && len(args) == 3:
		return s.debugProtocol(strings.ToLower(string(args[2])))
	case sub == "LOG" && len(args) == 3:
		s.server.log.Warn("DEBUG LOG", "addr", s.addr, "message", string(cut(args[2], maxQuoted)))
		return command.OK, nil
	case sub == "POPULATE" && len(args) >= 3 && len(args) <= 5:
		return s.debugPopulate(args[2:])
	case sub == "RELOAD", sub == "LOADAOF":
		return s.debugReload()
	case sub == "DIGEST" && len(args) == 2:
		return s.debugDigest()
	case sub == "DIGEST-VALUE":
		return s.debugDigestValue(args[2:])
	case sub == "SET-ACTIVE-EXPIRE" && len(args) == 3:
		return command.OK, nil // what has expired is not there, whether it was removed or not
	case len(args) == 3 && (sub == "QUICKLIST-PACKED-THRESHOLD" || sub == "DICT-RESIZING" || sub == "PAUSE-CRON"):
		return command.OK, nil // about what there is not here
	}
	return command.Reply{}, command.Errorf("ERR", "unknown subcommand or wrong number of arguments for '"+string(cut(args[1], maxQuoted))+"'. Try DEBUG HELP.")
}

func debugHelp() command.Reply {
	var lines []command.Reply
	for _, l := range []string{
		"DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"DICT-RESIZING <0|1>", "    Accepted; there is no such thing here.",
		"DIGEST", "    Answer a sum over all keys.",
		"DIGEST-VALUE [<key> ...]", "    Answer sums over the values at keys.",
		"LOADAOF", "    As RELOAD.",
		"LOG <message>", "    Write to the node's log.",
		"OBJECT <key>", "    Show how a value is kept.",
		"PAUSE-CRON <0|1>", "    Accepted; there is no such thing here.",
		"POPULATE <count> [<prefix>] [<size>]", "    Make strings <prefix>:0 (key:0), <prefix>:1 and so on, where there is no such key yet.",
		"PROTOCOL <type>", "    Answer a value of a type of the protocol: string, integer, double, null, array, set, map, attrib, bignum, verbatim, true, false.",
		"QUICKLIST-PACKED-THRESHOLD <size>", "    Accepted; there is no such thing here.",
		"RELOAD [<option> ...]", "    Make all keys anew from what DUMP gives of them.",
		"SET-ACTIVE-EXPIRE <0|1>", "    Accepted; what has expired does not show, whether it was removed or not.",
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

// kindRaw marks what is sent as it is: types that nothing here answers with.
const kindRaw = command.Kind(254)

// debugProtocol answers a value of each type, for tests of clients.
func (s *session) debugProtocol(kind string) (command.Reply, error) {
	n := command.Int
	raw := func(text string) command.Reply { return command.Reply{Kind: kindRaw, Str: []byte(text)} }
	switch kind {
	case "attrib":
		const reply = "Some real reply following the attribute"
		if s.proto.Load() < resp3 {
			return command.BulkString(reply), nil
		}
		return raw(fmt.Sprintf("|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$%d\r\n%s\r\n", len(reply), reply)), nil
	case "bignum":
		const number = "1234567999999999999999999999999999999"
		if s.proto.Load() < resp3 {
			return command.BulkString(number), nil
		}
		return raw("(" + number + "\r\n"), nil
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
	return command.Reply{}, command.Errorf("ERR", "Wrong protocol type name. Please use one of the following: string|integer|double|null|array|set|map|attrib|bignum|verbatim|true|false")
}

package resp

import (
	"strconv"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

func serverCommands() []local {
	spec := func(name string, arity int, flags command.Flag, since, summary string, args ...command.Arg) command.Spec {
		speed := "slow"
		if flags&command.Fast != 0 {
			speed = "fast"
		}
		return command.Spec{Name: name, Arity: arity, Flags: flags, Group: "server", Since: since, Summary: summary, Args: args,
			Categories: []string{speed}}
	}
	return []local{
		{spec: also(spec("INFO", -1, 0, "1.0.0", "Tells the state of the node and its group.",
			command.Arg{Name: "section", Type: "string", Optional: true, Multiple: true}), "dangerous"), run: (*session).info},
		{spec: spec("TIME", 1, command.Fast, "2.6.0", "Answers the time of this node: seconds since 1970 and microseconds."), run: timeNow},
		{spec: also(spec("LASTSAVE", 1, command.Fast, "1.0.0", "Answers the time of this node in seconds since 1970: what was acknowledged before is on disk."), "admin", "dangerous"),
			run: func(*session, [][]byte) (command.Reply, error) { return command.Int(time.Now().Unix()), nil }},
		{spec: also(spec("ROLE", 1, command.Fast, "2.8.12", "Answers master: every node takes writes. INFO parlor tells the role in the group."), "admin", "dangerous"),
			run: func(*session, [][]byte) (command.Reply, error) {
				return command.Array(command.BulkString("master"), command.Int(0), command.Array()), nil
			}},
		{spec: also(spec("LOLWUT", -1, command.ReadOnly|command.Fast, "5.0.0", "Answers the version.",
			command.Arg{Name: "version", Type: "integer", Token: "VERSION", Optional: true}), "read"),
			run: func(s *session, _ [][]byte) (command.Reply, error) {
				return command.Verbatim("Parlor ver. " + s.server.config.Version + "\n"), nil
			}},
		{spec: also(spec("WAIT", 3, 0, "3.0.0", "Answers on how many other nodes, at least, the connection's writes are: a write is answered when most have it.",
			command.Arg{Name: "numreplicas", Type: "integer"}, command.Arg{Name: "timeout", Type: "integer"}), "connection"), run: (*session).waitReplicas},
		{spec: also(spec("WAITAOF", 4, 0, "7.2.0", "Answers whether the connection's writes are on this node's disk, which they are, and on those of how many others at least.",
			command.Arg{Name: "numlocal", Type: "integer"}, command.Arg{Name: "numreplicas", Type: "integer"}, command.Arg{Name: "timeout", Type: "integer"}), "connection"), run: (*session).waitDurable},
		container("CONFIG", "server", "2.0.0", "Commands about the configuration.", configCommands()),
		container("SLOWLOG", "server", "2.2.12", "Commands about slow commands.", slowlogCommands()),
		container("LATENCY", "server", "2.8.13", "Commands about slow commands over time.", latencyCommands()),
		container("MEMORY", "server", "4.0.0", "Commands about memory.", memoryCommands()),
		container("MODULE", "server", "4.0.0", "Commands about modules, of which there are none.", []local{
			{spec: spec("LIST", 2, command.Admin, "4.0.0", "Lists the modules."),
				run: func(*session, [][]byte) (command.Reply, error) { return command.Array(), nil }},
			refusedSub("LOAD", -3, errNotAllowed("MODULE")), refusedSub("LOADEX", -3, errNotAllowed("MODULE")), refusedSub("UNLOAD", 3, errNotAllowed("MODULE")),
		}),
	}
}

// also adds categories.
func also(spec command.Spec, categories ...string) command.Spec {
	spec.Categories = append(spec.Categories, categories...)
	return spec
}

func timeNow(*session, [][]byte) (command.Reply, error) {
	now := time.Now()
	return command.Array(
		command.BulkString(strconv.FormatInt(now.Unix(), 10)),
		command.BulkString(strconv.Itoa(now.Nanosecond()/1000))), nil
}

// waitReplicas: a write is answered when a majority has it, so there is
// nothing to wait for.
func (s *session) waitReplicas(args [][]byte) (command.Reply, error) {
	return s.confirmed(args[1:])
}

// waitDurable answers for this node as well: what was answered is on its disk.
func (s *session) waitDurable(args [][]byte) (command.Reply, error) {
	if local := string(args[1]); local != "0" && local != "1" {
		return command.Reply{}, command.Errorf("ERR", "value is out of range, must be between 0 and 1")
	}
	if _, err := positiveArg(args[2]); err != nil {
		return command.Reply{}, err
	}
	others, err := s.confirmed(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	return command.Array(command.Int(1), others), nil
}

// confirmed is on how many other nodes, at least, the connection's writes are;
// args are how many are wanted and a timeout, neither of which is needed.
func (s *session) confirmed(args [][]byte) (command.Reply, error) {
	for i, a := range args {
		n, err := strconv.ParseInt(string(a), 10, 64)
		if err != nil {
			return command.Reply{}, command.ErrNotInteger
		}
		if timeout := i == 1; timeout && n < 0 {
			return command.Reply{}, command.Errorf("ERR", "timeout is negative")
		}
	}
	st, _ := s.server.status()
	return command.Int(int64(st.Members / 2)), nil
}

func positiveArg(arg []byte) (int64, error) {
	n, err := strconv.ParseInt(string(arg), 10, 64)
	if err != nil || n < 0 {
		return 0, command.Errorf("ERR", "value is out of range, must be positive")
	}
	return n, nil
}

func slowlogCommands() []local {
	sub := func(name string, arity int, summary string, args ...command.Arg) command.Spec {
		return command.Spec{Name: name, Arity: arity, Flags: command.Admin, Group: "server", Since: "2.2.12", Summary: summary,
			Args: args, Categories: []string{"admin", "slow", "dangerous"}}
	}
	return []local{
		{spec: sub("GET", -2, "Lists the slowest commands, newest first.", command.Arg{Name: "count", Type: "integer", Optional: true}), run: slowlogGet},
		{spec: sub("LEN", 2, "Answers how many commands are kept."),
			run: func(s *session, _ [][]byte) (command.Reply, error) {
				return command.Int(int64(s.server.slow.size())), nil
			}},
		{spec: sub("RESET", 2, "Forgets them."),
			run: func(s *session, _ [][]byte) (command.Reply, error) { s.server.slow.reset(); return command.OK, nil }},
	}
}

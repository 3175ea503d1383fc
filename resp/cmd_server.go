package resp

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/match"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
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
		container("CONFIG", "server", "2.0.0", "Commands about the configuration.", configCommands()),
		container("SLOWLOG", "server", "2.2.12", "Commands about slow commands.", slowlogCommands()),
		container("LATENCY", "server", "2.8.13", "Commands about latency spikes, of which no history is kept.", latencyCommands()),
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
	for _, a := range args[1:] {
		n, err := strconv.ParseInt(string(a), 10, 64)
		if err != nil {
			return command.Reply{}, command.ErrNotInteger
		}
		if n < 0 {
			return command.Reply{}, command.Errorf("ERR", "timeout is negative")
		}
	}
	st, _ := s.server.status()
	return command.Int(int64(st.Members / 2)), nil
}

func configCommands() []local {
	return []local{
		{spec: command.Spec{Name: "GET", Arity: -3, Flags: command.Admin, Group: "server", Since: "2.0.0", Summary: "Answers configuration values by pattern.",
			Categories: []string{"admin", "slow", "dangerous"}, Args: []command.Arg{{Name: "parameter", Type: "string", Multiple: true}}}, run: configGet},
		{spec: command.Spec{Name: "RESETSTAT", Arity: 2, Flags: command.Admin, Group: "server", Since: "2.0.0", Summary: "Sets the counters of commands to zero.",
			Categories: []string{"admin", "slow", "dangerous"}},
			run: func(s *session, _ [][]byte) (command.Reply, error) {
				s.server.catalog.resetStats()
				return command.OK, nil
			}},
		refusedSub("SET", -4, command.Errorf("ERR", "CONFIG SET is not supported: the configuration is read when the node starts")),
		refusedSub("REWRITE", 2, command.Errorf("ERR", "CONFIG REWRITE is not supported: the configuration is read when the node starts")),
	}
}

// configGet answers with the names that Redis has for what there is, spelt as
// the client did if it gave no pattern. The password is never shown.
func configGet(s *session, args [][]byte) (command.Reply, error) {
	var out []command.Reply
	for _, p := range s.server.parameters() {
		for _, pattern := range args[2:] {
			if matches(p.name, string(pattern)) {
				name := p.name
				if !strings.ContainsAny(string(pattern), "*?[") {
					name = string(pattern)
				}
				out = append(out, command.BulkString(name), command.BulkString(p.value))
				break
			}
		}
	}
	return command.Map(out...), nil
}

type parameter struct{ name, value string }

func (s *Server) parameters() []parameter {
	c := &s.config
	host, port, _ := net.SplitHostPort(s.Addr().String())
	slower := int64(-1)
	if c.SlowlogThreshold >= 0 {
		slower = c.SlowlogThreshold.Microseconds()
	}
	number := func(n int) string { return strconv.Itoa(n) }
	return []parameter{
		{"appendonly", "yes"},
		{"bind", host},
		{"databases", number(keyspace.Databases)},
		{"maxclients", number(c.MaxClients)},
		{"maxmemory", "0"},
		{"maxmemory-policy", "noeviction"},
		{"port", port},
		{"proto-max-bulk-len", number(c.MaxBulk)},
		{"protected-mode", "yes"},
		{"requirepass", ""},
		{"save", ""},
		{"slowlog-log-slower-than", strconv.FormatInt(slower, 10)},
		{"slowlog-max-len", number(c.SlowlogLength)},
		{"timeout", number(int(c.IdleTimeout.Seconds()))},
	}
}

// matchSteps bounds the comparison of a name with a client's pattern.
const matchSteps = 10_000

// matches compares without case; * and ? stand for anything and for one
// character.
func matches(name, pattern string) bool {
	ok, _ := match.MatchLimit(strings.ToLower(name), strings.ToLower(pattern), matchSteps)
	return ok
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

func latencyCommands() []local {
	sub := func(name string, arity int, summary string) command.Spec {
		return command.Spec{Name: name, Arity: arity, Flags: command.Admin, Group: "server", Since: "2.8.13", Summary: summary,
			Categories: []string{"admin", "slow", "dangerous"}}
	}
	empty := func(*session, [][]byte) (command.Reply, error) { return command.Array(), nil }
	return []local{
		{spec: sub("LATEST", 2, "Lists the latest spikes: none is kept."), run: empty},
		{spec: sub("HISTORY", 3, "Lists the spikes of an event: none is kept."), run: empty},
		{spec: sub("RESET", -2, "Forgets spikes; answers of how many events."),
			run: func(*session, [][]byte) (command.Reply, error) { return command.Int(0), nil }},
		{spec: sub("DOCTOR", 2, "Says where to look for latency."),
			run: func(*session, [][]byte) (command.Reply, error) {
				return command.Verbatim("No history of latency is kept here. SLOWLOG GET lists slow commands; /metrics has the distributions.\n"), nil
			}},
	}
}

func memoryCommands() []local {
	usage := command.Spec{Name: "USAGE", Arity: -3, Flags: command.ReadOnly, Group: "server", Since: "4.0.0",
		Summary: "Estimates the bytes of a key and its value.", Categories: []string{"read", "slow"}, First: 2, Last: 2, Step: 1,
		Args: []command.Arg{{Name: "key", Type: "key"}, {Name: "count", Type: "integer", Token: "SAMPLES", Optional: true}}}
	sub := func(name, summary string) command.Spec {
		return command.Spec{Name: name, Arity: 2, Group: "server", Since: "4.0.0", Summary: summary, Categories: []string{"slow"}}
	}
	return []local{
		{spec: usage, run: (*session).memoryUsage},
		{spec: sub("DOCTOR", "Says what is wrong with memory."),
			run: func(*session, [][]byte) (command.Reply, error) {
				return command.Verbatim(fmt.Sprintf("%d bytes are in use. Data is kept on disk; memory holds what changed since the last checkpoint.\n", heapBytes())), nil
			}},
		{spec: sub("PURGE", "Accepted; memory is given back by itself."),
			run: func(*session, [][]byte) (command.Reply, error) { return command.OK, nil }},
		{spec: sub("STATS", "Answers figures about memory."),
			run: func(*session, [][]byte) (command.Reply, error) {
				return command.Map(command.BulkString("total.allocated"), command.Int(int64(heapBytes()))), nil
			}},
	}
}

// rowOverhead is what a row costs besides its bytes, roughly.
const rowOverhead = 48

// memoryUsage measures up to SAMPLES elements (5; 0 is all) and takes the
// others to be like them.
func (s *session) memoryUsage(args [][]byte) (command.Reply, error) {
	samples := int64(5)
	switch {
	case len(args) == 3:
	case len(args) == 5 && strings.EqualFold(string(args[3]), "SAMPLES"):
		n, err := strconv.ParseInt(string(args[4]), 10, 64)
		if err != nil {
			return command.Reply{}, command.ErrNotInteger
		}
		if n < 0 {
			return command.Reply{}, command.ErrSyntax
		}
		samples = n
	default:
		return command.Reply{}, command.ErrSyntax
	}
	key := args[2]
	if err := s.catchUp(); err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	reply := command.Null()
	err := s.server.store.Walk(func(tx *keyspace.Tx) error {
		tx.Select(s.dbIndex())
		if typ := tx.Type(key); typ != keyspace.None {
			reply = command.Int(int64(len(key)) + rowOverhead + sampleSize(tx, key, typ, samples))
		}
		return nil
	})
	if err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	return reply, nil
}

// sampleSize estimates the bytes of a value. The type is known, so the
// operations cannot fail.
func sampleSize(tx *keyspace.Tx, key []byte, typ keyspace.Type, samples int64) int64 {
	var seen, bytes, total int64
	count := func(n int) bool {
		seen++
		bytes += int64(n) + rowOverhead
		return samples == 0 || seen < samples
	}
	switch typ {
	case keyspace.String:
		v, _, _ := tx.Get(key)
		return int64(len(v))
	case keyspace.Hash:
		total, _ = tx.HLen(key)
		_ = tx.HEach(key, func(f, v []byte) bool { return count(len(f) + len(v)) })
	case keyspace.Set:
		total, _ = tx.SLen(key)
		_ = tx.SEach(key, func(m []byte) bool { return count(len(m)) })
	case keyspace.List:
		total, _ = tx.LLen(key)
		_ = tx.LEach(key, 0, total, false, func(e []byte) bool { return count(len(e)) })
	case keyspace.ZSet:
		total, _ = tx.ZLen(key)
		_ = tx.ZEach(key, minScore, maxScore, false, func(m []byte, _ float64) bool { return count(2*len(m) + 16) })
	case keyspace.Stream:
		total, _ = tx.XLen(key)
		_ = tx.XEach(key, keyspace.StreamID{}, maxStreamID, false, func(_ keyspace.StreamID, fields [][]byte) bool {
			n := 16
			for _, f := range fields {
				n += len(f)
			}
			return count(n)
		})
	}
	if seen == 0 {
		return 0
	}
	return bytes * total / seen
}

package resp

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

func clientCommands() []local {
	sub := func(name string, arity int, since, summary string, args ...command.Arg) command.Spec {
		return command.Spec{Name: name, Arity: arity, Group: "connection", Since: since, Summary: summary, Args: args,
			Categories: []string{"slow", "connection"}}
	}
	onOff := command.Arg{Name: "enabled", Type: "oneof", Args: []command.Arg{
		{Name: "on", Type: "pure-token", Token: "ON"}, {Name: "off", Type: "pure-token", Token: "OFF"}}}
	admin := func(spec command.Spec) command.Spec {
		spec.Flags |= command.Admin
		return spec
	}
	subs := []local{
		{spec: sub("SETNAME", 3, "2.6.9", "Names the connection.", command.Arg{Name: "connection-name", Type: "string"}),
			run: func(s *session, args [][]byte) (command.Reply, error) { return command.OK, s.setName(args[2]) }},
		{spec: sub("GETNAME", 2, "2.6.9", "Answers the connection's name."), run: clientGetName},
		{spec: sub("SETINFO", 4, "7.2.0", "Notes name or version of the client library.",
			command.Arg{Name: "libname", Type: "string", Token: "LIB-NAME", Optional: true},
			command.Arg{Name: "libver", Type: "string", Token: "LIB-VER", Optional: true}), run: clientSetInfo},
		{spec: sub("ID", 2, "5.0.0", "Answers the connection's id."),
			run: func(s *session, _ [][]byte) (command.Reply, error) { return command.Int(s.id), nil }},
		{spec: sub("INFO", 2, "6.2.0", "Answers what is known of the connection."),
			run: func(s *session, args [][]byte) (command.Reply, error) {
				return command.Verbatim(s.describe(frameSize(args)) + "\n"), nil
			}},
		{spec: admin(sub("LIST", -2, "2.4.0", "Lists the connections of this node.",
			command.Arg{Name: "client-type", Type: "string", Token: "TYPE", Optional: true},
			command.Arg{Name: "client-id", Type: "integer", Token: "ID", Optional: true, Multiple: true})), run: clientList},
		{spec: admin(sub("KILL", -3, "2.4.0", "Ends connections of this node.",
			command.Arg{Name: "filter", Type: "string", Multiple: true})), run: clientKill},
		{spec: sub("REPLY", 3, "3.2.0", "Turns replies on or off.",
			command.Arg{Name: "mode", Type: "oneof", Args: []command.Arg{
				{Name: "on", Type: "pure-token", Token: "ON"}, {Name: "off", Type: "pure-token", Token: "OFF"},
				{Name: "skip", Type: "pure-token", Token: "SKIP"}}}), run: clientReply},
		{spec: admin(sub("UNBLOCK", -3, "5.0.0", "Ends the wait of a connection of this node.",
			command.Arg{Name: "client-id", Type: "integer"},
			command.Arg{Name: "how", Type: "oneof", Optional: true, Args: []command.Arg{
				{Name: "timeout", Type: "pure-token", Token: "TIMEOUT"}, {Name: "error", Type: "pure-token", Token: "ERROR"}}})),
			run: clientUnblock},
		{spec: admin(sub("NO-EVICT", 3, "7.0.0", "Lets the connection not be ended when all use too much memory.", onOff)), run: clientNoEvict},
		{spec: admin(sub("PAUSE", -3, "3.0.0", "Holds up the commands of this node's clients, all or those that write.",
			command.Arg{Name: "timeout", Type: "integer"},
			command.Arg{Name: "mode", Type: "oneof", Optional: true, Args: []command.Arg{
				{Name: "write", Type: "pure-token", Token: "WRITE"}, {Name: "all", Type: "pure-token", Token: "ALL"}}})), run: clientPause},
		{spec: admin(sub("UNPAUSE", 2, "6.2.0", "Ends a pause.")), run: clientUnpause},
		{spec: sub("NO-TOUCH", 3, "7.2.0", "Accepted; reads never touch keys.", onOff), run: clientOnOff},
	}
	subs = append(subs, trackingSubcommands(sub)...)
	return []local{container("CLIENT", "connection", "2.4.0", "Commands about connections.", subs)}
}

func (s *session) clientName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name
}

func clientGetName(s *session, _ [][]byte) (command.Reply, error) {
	if name := s.clientName(); name != "" {
		return command.BulkString(name), nil
	}
	return command.Null(), nil
}

func clientSetInfo(s *session, args [][]byte) (command.Reply, error) {
	attr, value := strings.ToLower(string(args[2])), args[3]
	if !isClientName(value) {
		return command.Reply{}, command.Errorf("ERR", attr+" cannot contain spaces, newlines or special characters.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch attr {
	case "lib-name":
		s.libName = string(value)
	case "lib-ver":
		s.libVer = string(value)
	default:
		return command.Reply{}, command.Errorf("ERR", "Unrecognized option '"+string(cut(args[2], maxQuoted))+"'")
	}
	return command.OK, nil
}

// frameSize is how many bytes a command takes on its way here.
func frameSize(args [][]byte) int {
	number := func(n int) int { return len("*\r\n") + len(strconv.Itoa(n)) }
	size := number(len(args))
	for _, a := range args {
		size += number(len(a)) + len(a) + len("\r\n")
	}
	return size
}

// describe gives the line of CLIENT LIST, from any goroutine. input is the
// size in bytes of the command that is being carried out.
func (s *session) describe(input int) string {
	s.mu.Lock()
	name, libName, libVer := s.name, s.libName, s.libVer
	s.mu.Unlock()
	flags, last := "N", "NULL"
	queued := s.queued.Load()
	if queued >= 0 {
		flags = "x"
	}
	if s.unblock.Load() != nil || s.held.Load() {
		flags = "b"
	}
	if s.subscriptions() > 0 {
		flags = "P"
	}
	if t := s.trackingFlags(); t != "" {
		flags = strings.TrimPrefix(flags, "N") + t
	}
	if e := s.lastCmd.Load(); e != nil {
		last = e.lower
	}
	var heard [audiences]int32
	if c := s.hears.Load(); c != nil {
		for kind := range heard {
			heard[kind] = c.counts[kind].Load()
		}
	}
	now := time.Now()
	waiting := s.guard.out.waiting()
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=%d tot-mem=%d events=r cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s",
		s.id, s.addr, s.laddr, s.id, name, int64(now.Sub(s.since).Seconds()), int64(s.idle().Seconds()), flags, s.db.Load(),
		heard[byChannel], heard[byPattern], heard[byShard], queued,
		input, waiting, waiting+minReadBuffer, last, s.userName(), s.redirection(), s.proto.Load(), libName, libVer)
}

func clientList(s *session, args [][]byte) (command.Reply, error) {
	wanted := func(*session) bool { return true }
	if len(args) > 2 {
		var err error
		if wanted, err = clientListFilter(args[2:]); err != nil {
			return command.Reply{}, err
		}
	}
	var b strings.Builder
	for _, c := range s.server.clients() {
		if wanted(c) && c.guard.out.failed() == nil { // else it is about to go
			input := 0
			if c == s {
				input = frameSize(args)
			}
			b.WriteString(c.describe(input))
			b.WriteByte('\n')
		}
	}
	return command.Verbatim(b.String()), nil
}

func clientListFilter(args [][]byte) (func(*session) bool, error) {
	switch option := strings.ToUpper(string(args[0])); {
	case option == "TYPE" && len(args) == 2:
		return clientType(args[1])
	case option == "ID" && len(args) > 1:
		ids := map[int64]bool{}
		for _, a := range args[1:] {
			id, err := strconv.ParseInt(string(a), 10, 64)
			if err != nil || id <= 0 {
				return nil, command.Errorf("ERR", "Invalid client ID")
			}
			ids[id] = true
		}
		return func(c *session) bool { return ids[c.id] }, nil
	}
	return nil, command.ErrSyntax
}

// clientType: connections are normal ones or subscribers.
func clientType(name []byte) (func(*session) bool, error) {
	switch strings.ToLower(string(name)) {
	case "normal":
		return func(c *session) bool { return c.subscriptions() == 0 }, nil
	case "pubsub":
		return func(c *session) bool { return c.subscriptions() > 0 }, nil
	case "master", "slave", "replica":
		return func(*session) bool { return false }, nil
	}
	return nil, command.Errorf("ERR", "Unknown client type '"+string(cut(name, maxQuoted))+"'")
}

func clientKill(s *session, args [][]byte) (command.Reply, error) {
	if len(args) == 3 {
		if s.killMatching(func(c *session) bool { return c.addr == string(args[2]) }) == 0 {
			return command.Reply{}, command.Errorf("ERR", "No such client")
		}
		return command.OK, nil
	}
	match, err := s.killFilter(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	return command.Int(int64(s.killMatching(match))), nil
}

// killFilter joins the filters of CLIENT KILL: a connection must pass all.
func (s *session) killFilter(args [][]byte) (func(*session) bool, error) {
	if len(args)%2 != 0 {
		return nil, command.ErrSyntax
	}
	skipMe := true
	var filters []func(*session) bool
	for ; len(args) > 0; args = args[2:] {
		value := string(args[1])
		var filter func(*session) bool
		switch strings.ToUpper(string(args[0])) {
		case "ID":
			id, err := strconv.ParseInt(value, 10, 64)
			if err != nil || id <= 0 {
				return nil, command.Errorf("ERR", "client-id should be greater than 0")
			}
			filter = func(c *session) bool { return c.id == id }
		case "ADDR":
			filter = func(c *session) bool { return c.addr == value }
		case "LADDR":
			filter = func(c *session) bool { return c.laddr == value }
		case "TYPE":
			var err error
			if filter, err = clientType(args[1]); err != nil {
				return nil, err
			}
		case "USER":
			if s.server.user(value) == nil {
				return nil, command.Errorf("ERR", "No such user '"+string(cut(args[1], maxQuoted))+"'")
			}
			filter = func(c *session) bool { u := c.user.Load(); return u != nil && u.name == value }
		case "MAXAGE":
			age, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, command.Errorf("ERR", "maxage is not an integer or out of range")
			}
			if age <= 0 {
				return nil, command.Errorf("ERR", "maxage should be greater than 0")
			}
			filter = func(c *session) bool { return int64(time.Since(c.since).Seconds()) >= age }
		case "SKIPME":
			switch strings.ToLower(value) {
			case "yes":
				skipMe = true
			case "no":
				skipMe = false
			default:
				return nil, command.ErrSyntax
			}
			continue
		default:
			return nil, command.ErrSyntax
		}
		filters = append(filters, filter)
	}
	return func(c *session) bool {
		for _, f := range filters {
			if !f(c) {
				return false
			}
		}
		return !skipMe || c != s
	}, nil
}

// killMatching ends connections; the caller's own only after its reply.
func (s *session) killMatching(match func(*session) bool) (killed int) {
	for _, c := range s.server.clients() {
		if !match(c) || c != s && c.expelled.Swap(true) { // the latter: it is on its way out
			continue
		}
		killed++
		s.server.stats.Killed.Add(1)
		if c == s {
			s.end()
		} else {
			c.guard.kill()
		}
	}
	return killed
}

func clientReply(s *session, args [][]byte) (command.Reply, error) {
	switch strings.ToUpper(string(args[2])) {
	case "ON":
		s.replies = replyOn
		return command.OK, nil
	case "OFF":
		s.replies = replyOff
		return noReply, nil
	case "SKIP":
		if s.replies != replyOff {
			s.replies = replySkipNext
		}
		return noReply, nil
	}
	return command.Reply{}, command.ErrSyntax
}

func clientUnblock(s *session, args [][]byte) (command.Reply, error) {
	withError := false
	switch {
	case len(args) > 4:
		return command.Reply{}, command.ErrArity("client|unblock")
	case len(args) == 4 && strings.EqualFold(string(args[3]), "ERROR"):
		withError = true
	case len(args) == 4 && !strings.EqualFold(string(args[3]), "TIMEOUT"):
		return command.Reply{}, command.Errorf("ERR", "CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
	}
	id, err := strconv.ParseInt(string(args[2]), 10, 64)
	if err != nil {
		return command.Reply{}, command.ErrNotInteger
	}
	c := s.server.session(id)
	if c == nil {
		return command.Bool(false), nil
	}
	waiting := c.unblock.Load()
	if waiting == nil {
		return command.Bool(false), nil
	}
	select {
	case *waiting <- withError:
		return command.Bool(true), nil
	default:
		return command.Bool(false), nil
	}
}

func clientNoEvict(s *session, args [][]byte) (command.Reply, error) {
	reply, err := clientOnOff(s, args)
	if err == nil {
		s.noEvict.Store(strings.EqualFold(string(args[2]), "ON"))
	}
	return reply, err
}

func clientOnOff(_ *session, args [][]byte) (command.Reply, error) {
	switch strings.ToUpper(string(args[2])) {
	case "ON", "OFF":
		return command.OK, nil
	}
	return command.Reply{}, command.ErrSyntax
}

// container makes a command that has only subcommands, HELP among them.
func container(name, group, since, summary string, subs []local) local {
	help := []string{name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"}
	for _, l := range subs {
		help = append(help, l.spec.Name, "    "+l.spec.Summary)
	}
	help = append(help, "HELP", "    Prints this help.")
	lines := make([]command.Reply, len(help))
	for i, l := range help {
		lines[i] = command.Simple(l)
	}
	categories := []string{"slow"}
	if group == "connection" || name == "COMMAND" {
		categories = append(categories, "connection")
	}
	subs = append(subs, local{
		spec: command.Spec{Name: "HELP", Arity: 2, Group: group, Since: since, Summary: "Says what the subcommands do.",
			Categories: categories},
		run: func(*session, [][]byte) (command.Reply, error) { return command.Array(lines...), nil },
	})
	return local{
		spec: command.Spec{Name: name, Arity: -2, Group: group, Since: since, Summary: summary, Categories: []string{"slow"}},
		run: func(_ *session, _ [][]byte) (command.Reply, error) {
			return command.Reply{}, command.ErrArity(strings.ToLower(name))
		},
		subs: subs,
	}
}

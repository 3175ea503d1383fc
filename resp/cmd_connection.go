package resp

import (
	"bytes"
	"strconv"

	"github.com/parlorchat/parlor/storage/command"
)

// redisVersion is the version of Redis whose behaviour clients may expect.
const redisVersion = "7.0.15"

var (
	errWrongPass   = command.Errorf("WRONGPASS", "invalid username-password pair or user is disabled.")
	errNoPassword  = command.Errorf("ERR", "AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	errNoProto     = command.Errorf("NOPROTO", "unsupported protocol version")
	errProtoInt    = command.Errorf("ERR", "Protocol version is not an integer or out of range")
	errHelloNoAuth = command.Errorf("NOAUTH", "HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
	errClientName  = command.Errorf("ERR", "Client names cannot contain spaces, newlines or special characters.")
	errDBIndex     = command.Errorf("ERR", "DB index is out of range")
)

// always is the brief of a command that never waits.
func always(*session, [][]byte) bool { return true }

func connectionCommands() []local {
	conn := func(name string, arity int, flags command.Flag, since, summary string, args ...command.Arg) command.Spec {
		return command.Spec{Name: name, Arity: arity, Flags: flags | command.Fast, Group: "connection", Since: since,
			Summary: summary, Args: args, Categories: []string{"fast", "connection"}}
	}
	return []local{
		{
			spec: conn("HELLO", -1, command.NoAuth, "6.0.0", "Chooses the protocol version, and may authenticate and name the connection.",
				command.Arg{Name: "protover", Type: "integer", Optional: true},
				command.Arg{Name: "auth", Type: "block", Token: "AUTH", Optional: true, Args: []command.Arg{
					{Name: "username", Type: "string"}, {Name: "password", Type: "string"}}},
				command.Arg{Name: "clientname", Type: "string", Token: "SETNAME", Optional: true}),
			run: (*session).hello, secret: true,
		},
		{
			spec: conn("AUTH", -2, command.NoAuth, "1.0.0", "Gives the password.",
				command.Arg{Name: "username", Type: "string", Optional: true}, command.Arg{Name: "password", Type: "string"}),
			run: (*session).auth, secret: true,
		},
		{
			spec: conn("PING", -1, 0, "1.0.0", "Answers, to show that the connection is alive.",
				command.Arg{Name: "message", Type: "string", Optional: true}),
			run: (*session).ping, subscribing: true, brief: always,
		},
		{
			spec: conn("ECHO", 2, 0, "1.0.0", "Answers its argument.", command.Arg{Name: "message", Type: "string"}),
			run:  func(_ *session, args [][]byte) (command.Reply, error) { return command.Bulk(args[1]), nil }, brief: always,
		},
		{
			spec: conn("QUIT", -1, command.NoAuth, "1.0.0", "Ends the connection."),
			run:  (*session).quit, immediate: true, subscribing: true,
		},
		{
			spec: conn("RESET", 1, command.NoAuth, "6.2.0", "Makes the connection as if it were new."),
			run: func(s *session, _ [][]byte) (command.Reply, error) {
				s.reset()
				return command.Simple("RESET"), nil
			},
			immediate: true, subscribing: true,
		},
		{
			spec: conn("SELECT", 2, 0, "1.0.0", "Chooses one of the databases 0 to 15.", command.Arg{Name: "index", Type: "integer"}),
			run:  (*session).selectDB, brief: always,
		},
		{
			spec: conn("READONLY", 1, 0, "3.0.0", "Lets reads of this connection be answered from this node's state at once, which may be behind the group's."),
			run:  func(s *session, _ [][]byte) (command.Reply, error) { s.localReads = true; return command.OK, nil }, brief: always,
		},
		{
			spec: conn("READWRITE", 1, 0, "3.0.0", "Lets reads of this connection see all that was committed before them, the default."),
			run:  func(s *session, _ [][]byte) (command.Reply, error) { s.localReads = false; return command.OK, nil }, brief: always,
		},
	}
}

func (s *session) ping(args [][]byte) (command.Reply, error) {
	if len(args) <= 2 && s.onlyListens() { // it must look like a message
		return command.Array(command.BulkString("pong"), command.Bulk(bytes.Join(args[1:], nil))), nil
	}
	switch len(args) {
	case 1:
		return command.Simple("PONG"), nil
	case 2:
		return command.Bulk(args[1]), nil
	}
	return command.Reply{}, command.ErrArity("ping")
}

func (s *session) quit([][]byte) (command.Reply, error) {
	s.end()
	return command.OK, nil
}

func (s *session) auth(args [][]byte) (command.Reply, error) {
	switch {
	case len(args) > 3:
		return command.Reply{}, command.ErrSyntax
	case len(args) == 2 && s.server.user(defaultUser).nopass:
		return command.Reply{}, errNoPassword
	}
	user := []byte(defaultUser)
	if len(args) == 3 {
		user = args[1]
	}
	if err := s.logIn(user, args[len(args)-1]); err != nil {
		return command.Reply{}, err
	}
	return command.OK, nil
}

// hello changes nothing unless all of it is right.
func (s *session) hello(args [][]byte) (command.Reply, error) {
	proto := s.proto.Load()
	if len(args) > 1 {
		n, err := strconv.ParseInt(string(args[1]), 10, 64)
		switch {
		case err != nil:
			return command.Reply{}, errProtoInt
		case n != resp2 && n != resp3:
			return command.Reply{}, errNoProto
		}
		proto = int32(n)
	}
	opts, err := helloOptions(args[min(len(args), 2):])
	if err != nil {
		return command.Reply{}, err
	}
	if opts.user != nil {
		if err := s.logIn(opts.user, opts.password); err != nil {
			return command.Reply{}, err
		}
	}
	if !s.authenticated() {
		return command.Reply{}, errHelloNoAuth
	}
	if opts.name != nil {
		if err := s.setName(opts.name); err != nil {
			return command.Reply{}, err
		}
	}
	s.proto.Store(proto)
	return command.Map(
		command.BulkString("server"), command.BulkString("redis"),
		command.BulkString("version"), command.BulkString(redisVersion),
		command.BulkString("proto"), command.Int(int64(proto)),
		command.BulkString("id"), command.Int(s.id),
		command.BulkString("mode"), command.BulkString("standalone"),
		command.BulkString("role"), command.BulkString("master"),
		command.BulkString("modules"), command.Array(),
	), nil
}

type helloOpts struct{ user, password, name []byte }

func helloOptions(args [][]byte) (o helloOpts, err error) {
	for len(args) > 0 {
		switch {
		case bytes.EqualFold(args[0], []byte("AUTH")) && len(args) >= 3:
			o.user, o.password, args = args[1], args[2], args[3:]
		case bytes.EqualFold(args[0], []byte("SETNAME")) && len(args) >= 2:
			o.name, args = args[1], args[2:]
			if !isClientName(o.name) {
				return o, errClientName
			}
		default:
			return o, command.Errorf("ERR", "Syntax error in HELLO option '"+string(cut(args[0], maxQuoted))+"'")
		}
	}
	return o, nil
}

// setName names the connection; an empty name takes the name away.
func (s *session) setName(name []byte) error {
	if !isClientName(name) {
		return errClientName
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name = string(name)
	return nil
}

// isClientName: CLIENT LIST is read by line and blank.
func isClientName(name []byte) bool {
	for _, c := range name {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

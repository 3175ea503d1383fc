package resp

import (
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

var errNoMulti = command.Errorf("ERR", "Command not allowed inside a transaction")

func pubsubCommands() []local {
	spec := func(name string, arity int, since, summary string, args ...command.Arg) command.Spec {
		return command.Spec{Name: name, Arity: arity, Group: "pubsub", Since: since, Summary: summary, Args: args,
			Categories: []string{"pubsub", "slow"}}
	}
	unhindered := func(s *session, _ [][]byte) bool { return s.server.pubsub.free() }
	publish := func(name, since, summary, channel string, kind audience) local {
		l := local{
			spec: spec(name, 3, since, summary, command.Arg{Name: channel, Type: "string"}, command.Arg{Name: "message", Type: "string"}),
			run: func(s *session, args [][]byte) (command.Reply, error) {
				if len(args[1])+len(args[2]) > maxMessage {
					return command.Reply{}, errLongMessage
				}
				return command.Int(s.server.publish(kind, args[1], args[2], &s.told)), nil
			},
			brief: func(s *session, args [][]byte) bool { return s.loop >= 0 && s.server.pubsub.few(kind, args[1]) },
		}
		l.spec.Flags, l.spec.Categories = command.Fast, []string{"pubsub", "fast"}
		return l
	}
	listen := func(name, since, summary, argument string, kind audience) local {
		return local{
			spec: spec(name, -2, since, summary, command.Arg{Name: argument, Type: listenType(kind), Multiple: true}),
			run: func(s *session, args [][]byte) (command.Reply, error) {
				return noReply, s.listen(kind, strings.ToLower(name), args[1:])
			},
			subscribing: true, noMulti: true, brief: unhindered,
		}
	}
	unlisten := func(name, since, summary, argument string, kind audience) local {
		return local{
			spec: spec(name, -1, since, summary, command.Arg{Name: argument, Type: listenType(kind), Optional: true, Multiple: true}),
			run: func(s *session, args [][]byte) (command.Reply, error) {
				s.unlisten(kind, strings.ToLower(name), args[1:])
				return noReply, nil
			},
			subscribing: true, noMulti: true, brief: unhindered,
		}
	}
	return []local{
		publish("PUBLISH", "2.0.0", "Sends a message to the subscribers of a channel, on all nodes; answers how many there are on this one.", "channel", byChannel),
		publish("SPUBLISH", "7.0.0", "Sends a message to the subscribers of a shard channel, on all nodes; answers how many there are on this one.", "shardchannel", byShard),
		listen("SUBSCRIBE", "2.0.0", "Listens to channels.", "channel", byChannel),
		listen("PSUBSCRIBE", "2.0.0", "Listens to the channels that match patterns.", "pattern", byPattern),
		listen("SSUBSCRIBE", "7.0.0", "Listens to shard channels.", "shardchannel", byShard),
		unlisten("UNSUBSCRIBE", "2.0.0", "Stops listening to channels, or to all.", "channel", byChannel),
		unlisten("PUNSUBSCRIBE", "2.0.0", "Stops listening to patterns, or to all.", "pattern", byPattern),
		unlisten("SUNSUBSCRIBE", "7.0.0", "Stops listening to shard channels, or to all.", "shardchannel", byShard),
		container("PUBSUB", "pubsub", "2.8.0", "Commands about channels.", pubsubSubcommands(spec)),
	}
}

func listenType(kind audience) string {
	if kind == byPattern {
		return "pattern"
	}
	return "string"
}

// pubsubSubcommands tell about the subscribers of this node.
func pubsubSubcommands(spec func(string, int, string, string, ...command.Arg) command.Spec) []local {
	channels := func(name, since string, kind audience) local {
		return local{
			spec: spec(name, -2, since, "Lists the channels that somebody listens to on this node.", command.Arg{Name: "pattern", Type: "pattern", Optional: true}),
			run: func(s *session, args [][]byte) (command.Reply, error) {
				if len(args) > 3 {
					return command.Reply{}, command.Errorf("ERR", "unknown subcommand or wrong number of arguments for '"+
						string(cut(args[1], maxQuoted))+"'. Try PUBSUB HELP.")
				}
				var pattern []byte
				if len(args) == 3 {
					if pattern = args[2]; len(pattern) > maxPattern {
						return command.Reply{}, errLongPattern
					}
				}
				return bulkList(s.server.pubsub.active(kind, pattern)), nil
			},
		}
	}
	numbers := func(name, since string, kind audience) local {
		return local{
			spec: spec(name, -2, since, "Answers how many listen to channels on this node, not counting patterns.",
				command.Arg{Name: "channel", Type: "string", Optional: true, Multiple: true}),
			run: func(s *session, args [][]byte) (command.Reply, error) {
				var out []command.Reply
				for _, name := range args[2:] {
					out = append(out, command.Bulk(name), command.Int(s.server.pubsub.count(kind, name)))
				}
				return command.Array(out...), nil // with RESP3 too
			},
		}
	}
	return []local{
		channels("CHANNELS", "2.8.0", byChannel),
		channels("SHARDCHANNELS", "7.0.0", byShard),
		numbers("NUMSUB", "2.8.0", byChannel),
		numbers("SHARDNUMSUB", "7.0.0", byShard),
		{spec: spec("NUMPAT", 2, "2.8.0", "Answers how many patterns somebody listens to on this node."),
			run: func(s *session, _ [][]byte) (command.Reply, error) {
				return command.Int(s.server.pubsub.size(byPattern)), nil
			}},
	}
}

// listen subscribes the connection. What was answered before goes out first:
// confirmations go to the outbox directly, as messages do.
func (s *session) listen(kind audience, word string, names [][]byte) error {
	for _, n := range names {
		switch {
		case len(n) > keyspace.MaxKey:
			return errLongChannel
		case kind == byPattern && len(n) > maxPattern:
			return errLongPattern
		}
	}
	c := s.listener()
	if int(c.counts[kind].Load())+len(names) > maxSubscriptions {
		return errTooManySubs
	}
	s.sendAhead()
	if err := s.server.pubsub.subscribe(c, kind, word, names); err != nil {
		s.broken = true
	}
	s.guard.patient = true
	if u := s.user.Load(); u != nil && !s.mayHear(u) {
		s.end() // the user was changed meanwhile
	}
	return nil
}

func (s *session) unlisten(kind audience, word string, names [][]byte) {
	c := s.listener()
	s.sendAhead()
	if err := s.server.pubsub.unsubscribe(c, kind, word, names); err != nil {
		s.broken = true
	}
	s.guard.patient = c.total() > 0
}

// stopListening ends all subscriptions without a word.
func (s *session) stopListening() {
	if c := s.hears.Load(); c != nil {
		s.server.pubsub.leave(c)
		s.guard.patient = false
	}
}

// listener gives the connection's place among subscribers.
func (s *session) listener() *subscriber {
	c := s.hears.Load()
	if c == nil {
		c = &subscriber{out: s.guard.out, proto: &s.proto}
		s.hears.Store(c)
	}
	return c
}

// sendAhead sends what was emitted so far.
func (s *session) sendAhead() {
	s.pushReplies()
	s.out = getBuffer()
}

// subscriptions tells how many the connection has of all kinds, from any
// goroutine.
func (s *session) subscriptions() int {
	if c := s.hears.Load(); c != nil {
		return c.total()
	}
	return 0
}

// onlyListens says whether the connection may do nothing but listen: RESP2
// cannot tell messages from replies.
func (s *session) onlyListens() bool {
	return s.hears.Load() != nil && s.proto.Load() == resp2 && s.subscriptions() > 0
}

func errOnlyListens(e *entry) error {
	return command.Errorf("ERR", "Can't execute '"+e.lower+
		"': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
}

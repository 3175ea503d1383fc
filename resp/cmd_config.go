package resp

import (
	"strings"

	"github.com/tidwall/match"

	"github.com/parlorchat/parlor/storage/command"
)

func configCommands() []local {
	spec := func(name string, arity int, summary string, args ...command.Arg) command.Spec {
		return command.Spec{Name: name, Arity: arity, Flags: command.Admin, Group: "server", Since: "2.0.0", Summary: summary,
			Categories: []string{"admin", "slow", "dangerous"}, Args: args}
	}
	pair := command.Arg{Name: "parameter-value", Type: "block", Multiple: true, Args: []command.Arg{
		{Name: "parameter", Type: "string"}, {Name: "value", Type: "string"}}}
	return []local{
		{spec: spec("GET", -3, "Answers settings by pattern.", command.Arg{Name: "parameter", Type: "string", Multiple: true}), run: configGet},
		{spec: spec("SET", -4, "Changes settings of this node until it stops, all of them or none.", pair), run: configSet, secret: true},
		{spec: spec("RESETSTAT", 2, "Sets the counters to zero."),
			run: func(s *session, _ [][]byte) (command.Reply, error) {
				s.server.resetStats()
				return command.OK, nil
			}},
		refusedSub("REWRITE", 2, command.Errorf("ERR", "The server is running without a config file")),
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
				out = append(out, command.BulkString(name), command.BulkString(p.get()))
				break
			}
		}
	}
	return command.Map(out...), nil
}

func configSet(s *session, args [][]byte) (command.Reply, error) {
	var words []string
	for _, a := range args[2:] {
		words = append(words, string(a))
	}
	if err := s.server.Configure(words...); err != nil {
		return command.Reply{}, err
	}
	var names []string
	for i := 0; i < len(words); i += 2 {
		names = append(names, words[i])
	}
	s.server.log.Info("settings were changed", "by", s.userName(), "addr", s.addr, "names", names)
	return command.OK, nil
}

// matchSteps bounds the comparison of a name with a client's pattern.
const matchSteps = 10_000

// matches compares without case; * and ? stand for anything and for one
// character.
func matches(name, pattern string) bool {
	ok, _ := match.MatchLimit(strings.ToLower(name), strings.ToLower(pattern), matchSteps)
	return ok
}

// resetStats sets to zero what INFO tells of commands and connections, but not
// what is so now.
func (s *Server) resetStats() {
	s.catalog.resetStats()
	s.failures.reset()
	st := &s.stats
	for _, n := range []interface{ Store(int64) }{
		&st.Accepted, &st.Refused, &st.Killed, &st.TimedOut, &st.Lagged, &st.Evicted, &st.Commands, &st.Failed, &st.ProtocolErrors,
		&st.AuthFailures, &st.BytesIn, &st.BytesOut, &st.Hits, &st.Misses,
	} {
		n.Store(0)
	}
	s.rates.reset()
}

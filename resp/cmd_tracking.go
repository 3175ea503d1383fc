package resp

import (
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// trackingSubcommands are those of CLIENT about keys that the client caches.
func trackingSubcommands(sub func(name string, arity int, since, summary string, args ...command.Arg) command.Spec) []local {
	token := func(name, word string) command.Arg {
		return command.Arg{Name: name, Type: "pure-token", Token: word, Optional: true}
	}
	return []local{
		{spec: sub("TRACKING", -3, "6.0.0", "Tells the connection when keys that it has read change, on any node.",
			command.Arg{Name: "status", Type: "oneof", Args: []command.Arg{
				{Name: "on", Type: "pure-token", Token: "ON"}, {Name: "off", Type: "pure-token", Token: "OFF"}}},
			command.Arg{Name: "client-id", Type: "integer", Token: "REDIRECT", Optional: true},
			command.Arg{Name: "prefix", Type: "string", Token: "PREFIX", Optional: true, Multiple: true},
			token("bcast", "BCAST"), token("optin", "OPTIN"), token("optout", "OPTOUT"), token("noloop", "NOLOOP")), run: clientTracking},
		{spec: sub("CACHING", 3, "6.0.0", "Says whether the keys of the next command are tracked.",
			command.Arg{Name: "mode", Type: "oneof", Args: []command.Arg{
				{Name: "yes", Type: "pure-token", Token: "YES"}, {Name: "no", Type: "pure-token", Token: "NO"}}}), run: clientCaching},
		{spec: sub("GETREDIR", 2, "6.0.0", "Answers which connection is told instead of this one: 0 none, -1 there is no tracking."),
			run: func(s *session, _ [][]byte) (command.Reply, error) { return command.Int(s.redirection()), nil }},
		{spec: sub("TRACKINGINFO", 2, "6.2.0", "Answers how the connection tracks keys."), run: clientTrackingInfo},
	}
}

func clientTracking(s *session, args [][]byte) (command.Reply, error) {
	mode, prefixes, err := s.parseTracking(args[3:])
	if err != nil {
		return command.Reply{}, err
	}
	switch strings.ToUpper(string(args[2])) {
	case "ON":
	case "OFF":
		s.stopTracking()
		return command.OK, nil
	default:
		return command.Reply{}, command.ErrSyntax
	}
	x := s.tracker.Load()
	fresh := x == nil
	if fresh {
		x = &tracker{session: s, reads: map[string]struct{}{}, own: map[uint64]uint64{}}
	}
	if err := mode.check(x, prefixes, fresh); err != nil {
		return command.Reply{}, err
	}
	if mode.bcast && len(prefixes) == 0 {
		prefixes = []string{""}
	}
	s.server.tracking.begin(x, mode, prefixes)
	s.tracker.Store(x)
	return command.OK, nil
}

func (s *session) parseTracking(args [][]byte) (mode trackMode, prefixes []string, err error) {
	for i := 0; i < len(args); i++ {
		more := i+1 < len(args)
		switch word := strings.ToUpper(string(args[i])); {
		case word == "REDIRECT" && more:
			i++
			if mode.redirect != 0 {
				return mode, nil, command.Errorf("ERR", "A client can only redirect to a single other client")
			}
			if mode.redirect, err = strconv.ParseInt(string(args[i]), 10, 64); err != nil {
				return mode, nil, command.ErrNotInteger
			}
			if s.server.session(mode.redirect) == nil {
				return mode, nil, command.Errorf("ERR", "The client ID you want redirect to does not exist")
			}
		case word == "BCAST":
			mode.bcast = true
		case word == "OPTIN":
			mode.optIn = true
		case word == "OPTOUT":
			mode.optOut = true
		case word == "NOLOOP":
			mode.noLoop = true
		case word == "PREFIX" && more:
			i++
			prefixes = append(prefixes, string(args[i]))
		default:
			return mode, nil, command.ErrSyntax
		}
	}
	return mode, prefixes, nil
}

// check says what is wrong with a mode, for a connection that tracks keys
// already unless it is fresh.
func (m trackMode) check(x *tracker, prefixes []string, fresh bool) error {
	switch {
	case !m.bcast && len(prefixes) > 0:
		return command.Errorf("ERR", "PREFIX option requires BCAST mode to be enabled")
	case !fresh && x.mode.bcast != m.bcast:
		return command.Errorf("ERR", "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.")
	case m.bcast && (m.optIn || m.optOut):
		return command.Errorf("ERR", "OPTIN and OPTOUT are not compatible with BCAST")
	case m.optIn && m.optOut:
		return command.Errorf("ERR", "You can't specify both OPTIN mode and OPTOUT mode")
	case m.optIn && x.mode.optOut || m.optOut && x.mode.optIn:
		return command.Errorf("ERR", "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.")
	case len(prefixes)+len(x.prefixes) > maxTrackedPrefixes:
		return command.Errorf("ERR", "too many prefixes on this connection")
	}
	for i, p := range prefixes {
		if other, yes := overlaps(p, x.prefixes); yes {
			return command.Errorf("ERR", "Prefix '"+p+"' overlaps with an existing prefix '"+other+"'. Prefixes for a single client must not overlap.")
		}
		if other, yes := overlaps(p, prefixes[i+1:]); yes {
			return command.Errorf("ERR", "Prefix '"+p+"' overlaps with another provided prefix '"+other+"'. Prefixes for a single client must not overlap.")
		}
	}
	return nil
}

// maxTrackedPrefixes is how many one connection may follow: every changed key
// is compared with all of them.
const maxTrackedPrefixes = 1000

// overlaps gives the first of the others that is the beginning of a prefix, or
// the other way round: a key could be told twice.
func overlaps(prefix string, others []string) (other string, yes bool) {
	for _, o := range others {
		if strings.HasPrefix(prefix, o) || strings.HasPrefix(o, prefix) {
			return o, true
		}
	}
	return "", false
}

func clientCaching(s *session, args [][]byte) (command.Reply, error) {
	x := s.tracker.Load()
	if x == nil {
		return command.Reply{}, command.Errorf("ERR", "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	}
	switch strings.ToUpper(string(args[2])) {
	case "YES":
		if !x.mode.optIn {
			return command.Reply{}, command.Errorf("ERR", "CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
		}
	case "NO":
		if !x.mode.optOut {
			return command.Reply{}, command.Errorf("ERR", "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
		}
	default:
		return command.Reply{}, command.ErrSyntax
	}
	x.caching = true
	return command.OK, nil
}

func clientTrackingInfo(s *session, _ [][]byte) (command.Reply, error) {
	x := s.tracker.Load()
	if x == nil {
		return trackingInfo(-1, nil, "off"), nil
	}
	flags := []string{"on"}
	for _, f := range []struct {
		name string
		is   bool
	}{
		{"bcast", x.mode.bcast}, {"optin", x.mode.optIn}, {"caching-yes", x.mode.optIn && x.caching},
		{"optout", x.mode.optOut}, {"caching-no", x.mode.optOut && x.caching}, {"noloop", x.mode.noLoop},
		{"broken_redirect", s.server.tracking.isBroken(x)},
	} {
		if f.is {
			flags = append(flags, f.name)
		}
	}
	return trackingInfo(x.mode.redirect, x.prefixes, flags...), nil
}

func trackingInfo(redirect int64, prefixes []string, flags ...string) command.Reply {
	set := bulkList(flags)
	set.Kind = command.KindSet
	return command.Map(command.BulkString("flags"), set, command.BulkString("redirect"), command.Int(redirect),
		command.BulkString("prefixes"), bulkList(prefixes))
}

// redirection is the connection that is told of changes; -1: there is no
// tracking. Any goroutine may ask.
func (s *session) redirection() int64 {
	x := s.tracker.Load()
	if x == nil {
		return -1
	}
	s.server.tracking.mu.Lock()
	defer s.server.tracking.mu.Unlock()
	return x.mode.redirect
}

// trackingFlags are those of CLIENT LIST.
func (s *session) trackingFlags() string {
	x := s.tracker.Load()
	if x == nil {
		return ""
	}
	s.server.tracking.mu.Lock()
	defer s.server.tracking.mu.Unlock()
	flags := "t"
	if x.broken {
		flags += "R"
	}
	if x.mode.bcast {
		flags += "B"
	}
	return flags
}

func (s *session) stopTracking() {
	if x := s.tracker.Swap(nil); x != nil {
		s.server.tracking.end(x)
	}
}

// holdInvalidations and sendInvalidations stand around what reads keys and
// sends what was read.
func (s *session) holdInvalidations() {
	if x := s.tracker.Load(); x != nil {
		s.server.tracking.hold(x)
	}
}

// tellInvalidations is sendInvalidations in the midst of it, behind the replies
// that were emitted: all whose values are known.
func (s *session) tellInvalidations() {
	if x := s.tracker.Load(); x != nil {
		s.out = s.server.tracking.tellBefore(x, s.out)
	}
}

func (s *session) sendInvalidations() {
	if x := s.tracker.Load(); x != nil {
		s.server.tracking.letGo(x)
	}
}

// tracks says whether the keys of the command that comes now are remembered.
func (s *session) tracks() bool {
	x := s.tracker.Load()
	return x != nil && !x.mode.bcast && (!x.mode.optIn || x.caching) && (!x.mode.optOut || !x.caching)
}

// endCaching ends what CLIENT CACHING said, after the command that it was said
// of.
func (s *session) endCaching(e *entry) {
	if x := s.tracker.Load(); x != nil && x.caching && !s.tx.open && (e == nil || !strings.HasPrefix(e.lower, "client|")) {
		x.caching = false
	}
}

// remember notes the keys that are about to be read, before they are.
func (s *session) remember(items []item) {
	if s.tracker.Load() != nil {
		s.rememberAt(items, s.server.store.Visible())
	}
}

// rememberAt is remember for what is read while an index is visible.
func (s *session) rememberAt(items []item, visible uint64) {
	x := s.tracker.Load()
	if x == nil {
		return
	}
	for i := range items {
		if it := &items[i]; it.tracked && it.entry != nil && it.entry.local == nil && !it.entry.spec.Is(command.Write) {
			s.server.tracking.remember(x, it.entry.keys(it.args), visible)
		}
	}
}

// noteOwn notes what the connection has written, and lets those who track it at
// this node hear of it first.
func (s *session) noteOwn(results []command.Result) {
	x := s.tracker.Load()
	last := uint64(0)
	for i := range results {
		if x != nil {
			s.server.tracking.wrote(x, &results[i])
		}
		last = max(last, results[i].Index)
	}
	s.server.tracking.settle(last)
}

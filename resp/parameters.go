package resp

import (
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/parlorchat/parlor/metric/memory"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// parameter is a name of CONFIG GET and CONFIG SET.
type parameter struct {
	name string
	get  func() string
	// set checks a value and gives what makes it hold. Nil: the value is
	// fixed, for the reason in why.
	set func(value string) (apply func(), err error)
	why string
}

// settingError says what is wrong with a value, in Redis' words.
type settingError string

func (e settingError) Error() string { return string(e) }

const errImmutable = "can't set immutable config"

// parameters are the names that Redis has for what there is, in order, and
// those of its own structures, which are kept and have no effect.
func (s *Server) parameters() []parameter {
	live, c := s.live, &s.config
	var host, port string
	if s.listener != nil { // else settings are only checked
		host, port, _ = net.SplitHostPort(s.Addr().String())
	}
	const onDisk = "what was acknowledged is on the disks of most nodes: this cannot be changed"
	const evictsNothing = "data is kept on disk: nothing is evicted"
	return append([]parameter{
		fixed("aclfile", "", errImmutable),
		integer("acllog-max-len", &live.aclLogLength, 0, math.MaxInt64),
		fixed("appendfsync", "always", onDisk),
		fixed("appendonly", "yes", onDisk),
		fixed("bind", host, "the address is chosen when the node starts"),
		s.bufferLimits(),
		fixed("cluster-enabled", "no", errImmutable),
		fixed("daemonize", "no", errImmutable),
		fixed("databases", strconv.Itoa(keyspace.Databases), errImmutable),
		fixed("dir", workingFolder(), "the data folder is chosen when the node starts"),
		fixed("enable-debug-command", yesNo(c.Debug), errImmutable),
		integer("latency-monitor-threshold", &live.latencyFrom, 0, math.MaxInt64),
		s.latencyTracking(),
		s.latencyPercentiles(),
		fixed("logfile", "", errImmutable),
		integer("maxclients", &live.maxClients, 1, math.MaxUint32),
		fixed("maxmemory", "0", evictsNothing),
		s.clientMemory(),
		fixed("maxmemory-policy", "noeviction", evictsNothing),
		s.keyEventClasses(),
		fixed("port", port, "the address is chosen when the node starts"),
		fixed("proto-max-bulk-len", strconv.Itoa(c.MaxBulk), "the limit is fixed, because log entries are limited"),
		fixed("protected-mode", "yes", "clients of other machines need a password or an ACL user"),
		fixed("replica-read-only", "yes", "every node takes writes"),
		fixed("replicaof", "", errImmutable),
		fixed("requirepass", "", "set the password of the user default with ACL SETUSER, or with --resp-password-file"),
		fixed("save", "", onDisk),
		fixed("slaveof", "", errImmutable),
		integer("slowlog-log-slower-than", &live.slowerThan, -1, math.MaxInt64),
		s.slowlogLength(),
		s.keepAlive(),
		s.idleTimeout(),
		fixed("tls-port", "0", errImmutable),
		s.trackingTable(),
	}, s.keptParameters()...)
}

// fixed is what cannot be changed; setting it to what it is does nothing.
func fixed(name, value, why string) parameter {
	return parameter{name: name, get: func() string { return value }, why: why}
}

// settable is a number that changes at once.
type settable interface {
	Load() int64
	Store(int64)
}

func integer(name string, at settable, least, most int64) parameter {
	return parameter{
		name: name,
		get:  func() string { return strconv.FormatInt(at.Load(), 10) },
		set: func(value string) (func(), error) {
			n, err := parseSetting(value, least, most)
			return func() { at.Store(n) }, err
		},
	}
}

func parseSetting(value string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return 0, settingError("argument couldn't be parsed into an integer")
	case n < least || n > most:
		return 0, settingError(fmt.Sprintf("argument must be between %d and %d inclusive", least, most))
	}
	return n, nil
}

// seconds is an integer that changes at once, kept in other units.
func seconds(name string, at settable, unit, most int64) parameter {
	return parameter{
		name: name,
		get:  func() string { return strconv.FormatInt(at.Load()/unit, 10) },
		set: func(value string) (func(), error) {
			n, err := parseSetting(value, 0, most)
			return func() { at.Store(n * unit) }, err
		},
	}
}

func (s *Server) idleTimeout() parameter {
	return seconds("timeout", &s.live.idleTimeout, int64(time.Second), math.MaxInt32)
}

// keepAlive holds for connections that are there, too.
func (s *Server) keepAlive() parameter {
	p := seconds("tcp-keepalive", &s.live.keepAlive, 1, math.MaxInt32)
	store := p.set
	p.set = func(value string) (func(), error) {
		apply, err := store(value)
		return func() {
			apply()
			for _, c := range s.clients() {
				s.live.keep(c.guard.Conn)
			}
		}, err
	}
	return p
}

func (s *Server) slowlogLength() parameter {
	p := integer("slowlog-max-len", &s.live.slowLength, 0, math.MaxInt64)
	store := p.set
	p.set = func(value string) (func(), error) {
		apply, err := store(value)
		return func() { apply(); s.slow.trim() }, err
	}
	return p
}

func (s *Server) trackingTable() parameter {
	p := integer("tracking-table-max-keys", &s.live.trackedKeys, 0, math.MaxInt64)
	store := p.set
	p.set = func(value string) (func(), error) {
		apply, err := store(value)
		return func() { apply(); s.tracking.trim() }, err
	}
	return p
}

func (s *Server) latencyTracking() parameter {
	return parameter{
		name: "latency-tracking",
		get:  func() string { return yesNo(s.live.latencyCounts.Load()) },
		set: func(value string) (func(), error) {
			on, err := parseYesNo(value)
			return func() { s.live.latencyCounts.Store(on) }, err
		},
	}
}

// latencyPercentiles are those that INFO latencystats has.
func (s *Server) latencyPercentiles() parameter {
	return parameter{
		name: "latency-tracking-info-percentiles",
		get: func() string {
			var words []string
			for _, p := range *s.live.percentiles.Load() {
				words = append(words, percentileName(p))
			}
			return strings.Join(words, " ")
		},
		set: func(value string) (func(), error) {
			list := []float64{}
			for _, word := range strings.Fields(value) {
				p, err := strconv.ParseFloat(word, 64)
				switch {
				case err != nil:
					return nil, settingError("latency-tracking-info-percentiles must be a list of numbers")
				case !(p >= 0 && p <= 100):
					return nil, settingError("latency-tracking-info-percentiles must be between 0.0 and 100.0")
				}
				list = append(list, p)
			}
			return func() { s.live.percentiles.Store(&list) }, nil
		},
	}
}

// percentileName writes a percentile with six decimals at most.
func percentileName(p float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(p, 'f', 6, 64), "0"), ".")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func parseYesNo(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, settingError("argument must be 'yes' or 'no'")
}

// clientMemory is in bytes, or in percent of the memory of the machine.
func (s *Server) clientMemory() parameter {
	return parameter{
		name: "maxmemory-clients",
		get: func() string {
			if share := s.live.memoryShare.Load(); share > 0 {
				return strconv.FormatInt(share, 10) + "%"
			}
			return strconv.FormatInt(s.live.clientMemory.Load(), 10)
		},
		set: func(value string) (func(), error) {
			share := int64(0)
			bytes, err := parseBytes(value)
			if text, ok := strings.CutSuffix(value, "%"); ok {
				if share, err = parseSetting(text, 0, 100); err == nil {
					bytes = int64(memory.Total()) / 100 * share
				}
			}
			if err != nil {
				err = settingError("argument must be a memory or percent value")
			}
			return func() {
				s.live.memoryShare.Store(share)
				s.live.clientMemory.Store(bytes)
				s.backlog.tell()
			}, err
		},
	}
}

// parseBytes reads "100", "1k", "1kb", "2mb", "3gb".
func parseBytes(value string) (int64, error) {
	text := strings.ToLower(value)
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	unit, ok := map[string]int64{
		"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1000 * 1000, "mb": 1 << 20, "g": 1000 * 1000 * 1000, "gb": 1 << 30,
	}[text[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 0 || n > math.MaxInt64/unit {
		return 0, settingError("argument must be a memory value")
	}
	return n * unit, nil
}

// bufferLimits are the limits of output buffers: class, hard, soft, seconds,
// for one class or several.
func (s *Server) bufferLimits() parameter {
	return parameter{
		name: "client-output-buffer-limit",
		get: func() string {
			var words []string
			for c := range clientClasses {
				l := s.live.limit(c)
				words = append(words, fmt.Sprintf("%s %d %d %d", c, l.hard, l.soft, int64(l.patience.Seconds())))
			}
			return strings.Join(words, " ")
		},
		set: func(value string) (func(), error) {
			limits := *s.live.limits.Load()
			words := strings.Fields(value)
			if len(words) == 0 || len(words)%4 != 0 {
				return nil, settingError("Wrong number of arguments in buffer limit configuration.")
			}
			for ; len(words) > 0; words = words[4:] {
				class, ok := map[string]clientClass{"normal": classNormal, "slave": classReplica, "replica": classReplica, "pubsub": classPubsub}[strings.ToLower(words[0])]
				if !ok {
					return nil, settingError("Invalid client class specified in buffer limit configuration.")
				}
				hard, err1 := parseBytes(words[1])
				soft, err2 := parseBytes(words[2])
				wait, err3 := parseSetting(words[3], 0, math.MaxInt32)
				if err1 != nil || err2 != nil || err3 != nil {
					return nil, settingError("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
				}
				limits[class] = outputLimit{hard, soft, time.Duration(wait) * time.Second}
			}
			return func() { s.live.limits.Store(&limits) }, nil
		},
	}
}

// keptParameters tune structures of Redis that there are not here. Programs and
// test suites set them; their values are kept and answered, and change
// nothing.
func (s *Server) keptParameters() []parameter {
	defaults := []string{
		"active-defrag-threshold-lower 10", "active-expire-effort 1", "activedefrag no", "activerehashing yes",
		"aof-use-rdb-preamble yes", "auto-aof-rewrite-min-size 67108864", "auto-aof-rewrite-percentage 100", "busy-reply-threshold 5000",
		"dynamic-hz yes", "hash-max-listpack-entries 128", "hash-max-listpack-value 64", "hash-max-ziplist-entries 128",
		"hash-max-ziplist-value 64", "hll-sparse-max-bytes 3000", "hz 10", "jemalloc-bg-thread yes",
		"lazyfree-lazy-eviction no", "lazyfree-lazy-expire no", "lazyfree-lazy-server-del no", "lazyfree-lazy-user-del no", "lazyfree-lazy-user-flush no",
		"lfu-decay-time 1", "lfu-log-factor 10", "list-compress-depth 0", "list-max-listpack-size -2", "list-max-ziplist-size -2",
		"lua-time-limit 5000", "maxmemory-eviction-tenacity 10", "maxmemory-samples 5", "no-appendfsync-on-rewrite no", "rdbchecksum yes", "rdbcompression yes",
		"sanitize-dump-payload yes", "set-max-intset-entries 512", "set-max-listpack-entries 128", "set-max-listpack-value 64",
		"stop-writes-on-bgsave-error yes", "stream-node-max-bytes 4096", "stream-node-max-entries 100",
		"zset-max-listpack-entries 128", "zset-max-listpack-value 64", "zset-max-ziplist-entries 128", "zset-max-ziplist-value 64",
	}
	var all []parameter
	for _, line := range defaults {
		name, value, _ := strings.Cut(line, " ")
		all = append(all, s.keptParameter(name, value))
	}
	return all
}

func (s *Server) keptParameter(name, value string) parameter {
	return parameter{
		name: name,
		get: func() string {
			s.live.mu.Lock()
			defer s.live.mu.Unlock()
			if set, ok := s.live.kept[name]; ok {
				return set
			}
			return value
		},
		set: func(given string) (func(), error) {
			var err error
			if value == "yes" || value == "no" {
				_, err = parseYesNo(given)
			} else {
				_, err = parseBytes(strings.TrimPrefix(given, "-"))
			}
			return func() {
				s.live.mu.Lock()
				defer s.live.mu.Unlock()
				s.live.kept[name] = strings.ToLower(given)
			}, err
		},
	}
}

func workingFolder() string {
	dir, _ := os.Getwd()
	return dir
}

// Configure changes settings by name as CONFIG SET does, all of them or none.
func (s *Server) Configure(namesAndValues ...string) error {
	apply, err := s.planSettings(namesAndValues)
	if err != nil {
		return err
	}
	for _, fn := range apply {
		fn()
	}
	return nil
}

// CheckSettings says what Configure would refuse, before there is a server.
func CheckSettings(namesAndValues ...string) error {
	config := Config{}.withDefaults()
	_, err := (&Server{config: config, live: newSettings(&config)}).planSettings(namesAndValues)
	return err
}

// planSettings checks settings and gives what makes them hold.
func (s *Server) planSettings(namesAndValues []string) (apply []func(), err error) {
	if len(namesAndValues)%2 != 0 {
		return nil, command.ErrArity("config|set")
	}
	known := map[string]parameter{}
	for _, p := range s.parameters() {
		known[p.name] = p
	}
	fail := func(p parameter, why string) error {
		return command.Errorf("ERR", "CONFIG SET failed (possibly related to argument '"+p.name+"') - "+why)
	}
	seen := map[string]bool{}
	for i := 0; i < len(namesAndValues); i += 2 {
		p, ok := known[strings.ToLower(namesAndValues[i])]
		switch {
		case !ok:
			return nil, command.Errorf("ERR", "Unknown option or number of arguments for CONFIG SET - '"+string(cut([]byte(namesAndValues[i]), maxQuoted))+"'")
		case seen[p.name]:
			return nil, fail(p, "duplicate parameter")
		}
		seen[p.name] = true
	}
	for i := 0; i < len(namesAndValues); i += 2 {
		p, value := known[strings.ToLower(namesAndValues[i])], namesAndValues[i+1]
		if p.set == nil {
			if p.why == errImmutable || !strings.EqualFold(value, p.get()) {
				return nil, fail(p, p.why)
			}
			continue
		}
		fn, err := p.set(value)
		if err != nil {
			return nil, fail(p, err.Error())
		}
		apply = append(apply, fn)
	}
	return apply, nil
}

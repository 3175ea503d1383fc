package resp

import (
	"regexp"
	"strings"
	"testing"
)

// An operator sees what clients send, without passwords, until he stops.
func TestMonitorShowsCommands(t *testing.T) {
	srv := startServer(t, Config{PubsubLimit: 1 << 20}, newFakeStore(domainSpecs()...))
	op, c := dial(t, srv.Addr()), dial(t, srv.Addr())
	op.want("+OK", "MONITOR")
	c.do("SELECT", "3")
	c.do("SET", "k", "a \"b\"\n\x00\xff")
	c.do("AGENT.CREATE", "alice", "hunter2 hunter2")
	c.do("AUTH", "bob", "hunter2")
	c.do("CONFIG", "GET", "maxclients")
	c.do("GET", "k")
	for _, want := range []string{`0 \S+\] "SELECT" "3"`, `3 \S+\] "SET" "k" "a \\"b\\"\\n\\x00\\xff"`,
		`3 \S+\] "AGENT.CREATE" "\(redacted\)" "\(redacted\)"`, `3 \S+\] "AUTH" "\(redacted\)" "\(redacted\)"`, `3 \S+\] "GET" "k"`} {
		if got := op.read(); !regexp.MustCompile(`^\+\d+\.\d{6} \[` + want + `$`).MatchString(got) {
			t.Errorf("the monitor got %s, want %s", got, want)
		}
	}
	op.want("+RESET", "RESET")
	c.do("GET", "k")
	op.want("+PONG", "PING")

	// One that does not read is dropped, and nobody waits for it.
	op.want("+OK", "MONITOR")
	large := strings.Repeat("x", 100<<10)
	waitFor(t, "the monitor to go", func() bool {
		c.do("ECHO", large)
		return srv.Stats().Clients.Load() == 1
	})
	waitFor(t, "the monitor to be forgotten", func() bool { return srv.monitors.count.Load() == 0 })
}

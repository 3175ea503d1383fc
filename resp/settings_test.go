package resp

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

// An operator lowers and raises the number of clients while they come.
func TestMaxClientsChangesAtRuntime(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	admin := dial(t, srv.Addr())
	admin.want("+OK", "CONFIG", "SET", "maxclients", "2")
	second := dial(t, srv.Addr())
	second.want("+PONG", "PING")
	late := dial(t, srv.Addr())
	if got := late.read(); got != "-ERR max number of clients reached" {
		t.Errorf("the third of two clients was told %s", got)
	}
	admin.want("+OK", "CONFIG", "SET", "maxclients", "3")
	dial(t, srv.Addr()).want("+PONG", "PING")
	if n := srv.Stats().Refused.Load(); n != 1 {
		t.Errorf("%d clients are counted as refused, want 1", n)
	}
}

// A timeout that is set later holds for who was idle already, and for nobody
// who listens or waits.
func TestTimeoutChangesAtRuntime(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	idle, listener, waiting := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	idle.want("+PONG", "PING")
	listener.want(`["subscribe" "c" :1]`, "SUBSCRIBE", "c")
	waiting.write(frame("BLPOP", "l", "0"))
	waitBlocked(t, srv, 1)
	admin := dial(t, srv.Addr())
	admin.want("+OK", "CONFIG", "SET", "timeout", "1")
	idle.wantClosed()
	if err := srv.Configure("timeout", "0"); err != nil { // from here on nobody is too slow
		t.Fatal(err)
	}
	again := dial(t, srv.Addr())
	again.want(":1", "PUBLISH", "c", "still here")
	if got := listener.read(); got != `["message" "c" "still here"]` {
		t.Errorf("the listener got %s", got)
	}
	again.want(":1", "RPUSH", "l", "v")
	if got := waiting.read(); got != `["l" "v"]` {
		t.Errorf("who waited got %s", got)
	}
}

// Clients that do not read use more memory together than is allowed: those that
// use most go, who asked to stay stays, and the others do not notice.
func TestClientsAreEvicted(t *testing.T) {
	const limit = 24 << 20
	srv := startServer(t, Config{ClientMemory: limit}, newFakeStore())
	admin := dial(t, srv.Addr())
	admin.want("+OK", "SET", "k", strings.Repeat("v", 1<<20))
	protected := dial(t, srv.Addr())
	protected.want("+OK", "CLIENT", "SETNAME", "protected")
	protected.want("+OK", "CLIENT", "NO-EVICT", "ON")
	greedy := []*testClient{protected}
	for range 5 {
		greedy = append(greedy, dial(t, srv.Addr()))
	}
	for _, c := range greedy {
		c.write(strings.Repeat(frame("GET", "k"), 16)) // and never reads
	}
	waitFor(t, "somebody to be evicted", func() bool { return srv.Stats().Evicted.Load() > 0 })
	waitFor(t, "memory to be within the limit", func() bool { return srv.backlog.bytes.Load() <= limit })
	admin.want("+PONG", "PING")
	if got := admin.do("CLIENT", "LIST"); !strings.Contains(got, "name=protected") {
		t.Errorf("who asked not to be evicted is gone:\n%s", got)
	}
	if got := admin.do("INFO", "stats"); strings.Contains(got, "evicted_clients:0") {
		t.Error("INFO does not count who was evicted")
	}
	// Who stayed gets all that it asked for.
	for range 16 {
		if got := protected.read(); len(got) != 1<<20+2 {
			t.Fatalf("a reply of %d bytes", len(got))
		}
	}
}

// Clients that send much and never all of it are evicted too, before they have
// given a password.
func TestIncompleteCommandsAreEvicted(t *testing.T) {
	const clients, limit = 40, 2 << 20
	srv := startServer(t, Config{Password: "pw", ClientMemory: limit}, newFakeStore())
	part := "*10\r\n" + strings.Repeat("$16384\r\n"+strings.Repeat("x", 16384)+"\r\n", 9) + "$16384\r\n"
	for range clients {
		c := dial(t, srv.Addr())
		_, _ = io.WriteString(c.conn, part)
	}
	waitFor(t, "somebody to be evicted", func() bool { return srv.Stats().Evicted.Load() > 0 })
	waitFor(t, "memory to be within the limit", func() bool {
		total := int64(0)
		for _, c := range srv.clients() {
			total += c.memory()
		}
		return total <= limit
	})
	c := dial(t, srv.Addr())
	c.want("+OK", "AUTH", "pw")
}

// A hard limit for normal clients ends who lets more wait; a soft one ends who
// does so for long.
func TestOutputLimitsOfNormalClients(t *testing.T) {
	for name, limit := range map[string]string{"hard": "normal 2mb 0 0", "soft": "normal 0 1mb 1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startServer(t, Config{}, newFakeStore())
			admin := dial(t, srv.Addr())
			admin.want("+OK", "SET", "k", strings.Repeat("v", 1<<20))
			admin.want("+OK", "CONFIG", "SET", "client-output-buffer-limit", limit)
			c := dial(t, srv.Addr())
			c.want("+PONG", "PING") // it is there, and counted
			c.write(strings.Repeat(frame("GET", "k"), 40))
			waitFor(t, "the client to go", func() bool { return srv.Stats().Clients.Load() == 1 })
			admin.want(fmt.Sprintf("%q", strings.Repeat("v", 1<<20)), "GET", "k")
		})
	}
}

// An operator holds up writers, and everybody.
func TestPause(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	admin, writer, reader := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	admin.want("+OK", "SET", "k", "before")
	admin.want("+OK", "CLIENT", "PAUSE", "1000000", "WRITE")
	writer.write(frame("GET", "k") + frame("SET", "k", "after") + frame("GET", "k"))
	if got := writer.read(); got != `"before"` {
		t.Errorf("what stands before a write in a pipeline was answered with %s", got)
	}
	tx := dial(t, srv.Addr())
	tx.want("+OK", "MULTI")
	tx.want("+QUEUED", "SET", "k2", "v")
	tx.write(frame("EXEC"))
	waitBlocked(t, srv, 2)
	if got := admin.do("CLIENT", "LIST"); strings.Count(got, "flags=b") != 2 {
		t.Errorf("CLIENT LIST does not show who is held up: %s", got)
	}
	for range 10 {
		reader.want(`"before"`, "GET", "k")
	}
	admin.want("+OK", "CLIENT", "UNPAUSE")
	if got := writer.read() + writer.read(); got != `+OK"after"` {
		t.Errorf("after the pause the writer got %s", got)
	}
	if got := tx.read(); got != "[+OK]" {
		t.Errorf("after the pause the transaction got %s", got)
	}
	began := time.Now()
	admin.want("+OK", "CLIENT", "PAUSE", "50", "ALL")
	reader.want(`"after"`, "GET", "k")
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("a read was answered %v after the beginning of a pause of 50 ms", took)
	}
	admin.want("+OK", "CLIENT", "PAUSE", "1000000", "ALL")
	reader.write(frame("GET", "k"))
	waitBlocked(t, srv, 1)
	admin.want("+OK", "CLIENT", "UNPAUSE")
	if got := reader.read(); got != `"after"` {
		t.Errorf("after the pause of all the reader got %s", got)
	}
}

// Slow commands are noted where a threshold was set.
func TestLatencyMonitor(t *testing.T) {
	srv := startServer(t, Config{Debug: true}, newFakeStore())
	c := dial(t, srv.Addr())
	c.want("+OK", "DEBUG", "SLEEP", "0.002")
	c.want("[]", "LATENCY", "LATEST")
	c.want("+OK", "CONFIG", "SET", "latency-monitor-threshold", "2")
	c.want("+OK", "DEBUG", "SLEEP", "0.002")
	c.want("+OK", "CONFIG", "SET", "latency-monitor-threshold", "3600000")
	if got := c.do("LATENCY", "LATEST"); !strings.HasPrefix(got, `[["command" :`) {
		t.Errorf("LATENCY LATEST gives %s", got)
	}
	if got := c.do("LATENCY", "HISTORY", "command"); !strings.HasPrefix(got, "[[:") {
		t.Errorf("LATENCY HISTORY gives %s", got)
	}
	if got := c.do("LATENCY", "GRAPH", "command"); !strings.Contains(got, "#") {
		t.Errorf("LATENCY GRAPH gives %s", got)
	}
	if got := c.do("LATENCY", "DOCTOR"); !strings.Contains(got, "command: ") || !strings.Contains(got, "SLOWLOG GET") {
		t.Errorf("LATENCY DOCTOR says %s", got)
	}
	c.want(":1", "LATENCY", "RESET")
	c.want("[]", "LATENCY", "LATEST")
}

// What CONFIG RESETSTAT forgets, and what it does not.
func TestResetStats(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	c := dial(t, srv.Addr())
	c.want("+PONG", "PING")
	c.want("-ERR unknown command 'NOSUCH', with args beginning with: ", "NOSUCH")
	c.want("+OK", "CONFIG", "RESETSTAT")
	info := c.do("INFO", "everything")
	for _, gone := range []string{"cmdstat_ping", "errorstat_ERR", "latency_percentiles_usec_ping"} {
		if strings.Contains(info, gone) {
			t.Errorf("INFO still tells of %s", gone)
		}
	}
	if !strings.Contains(info, "connected_clients:1") {
		t.Error("the connection is not counted any more")
	}
}

// INFO has the percentiles that were asked for.
func TestLatencyPercentiles(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	c := dial(t, srv.Addr())
	c.do("PING")
	c.want(`["latency-tracking-info-percentiles" "50 99 99.9"]`, "CONFIG", "GET", "latency-tracking-info-percentiles")
	if got := c.do("INFO", "latencystats"); !regexp.MustCompile(`latency_percentiles_usec_ping:p50=\d+\.000,p99=\d+\.000,p99\.9=\d+\.000`).MatchString(got) {
		t.Errorf("INFO latencystats says %s", got)
	}
	c.want("-ERR CONFIG SET failed (possibly related to argument 'latency-tracking-info-percentiles') - latency-tracking-info-percentiles must be between 0.0 and 100.0",
		"CONFIG", "SET", "latency-tracking-info-percentiles", "50 100.1")
	c.want("+OK", "CONFIG", "SET", "latency-tracking-info-percentiles", "0.0 100.0")
	if got := c.do("INFO", "latencystats"); !regexp.MustCompile(`latency_percentiles_usec_ping:p0=\d+\.000,p100=\d+\.000\\r`).MatchString(got) {
		t.Errorf("INFO latencystats says %s", got)
	}
}

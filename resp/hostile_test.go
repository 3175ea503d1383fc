package resp

import (
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// An attacker announces sizes and sends nothing: memory must follow the bytes
// that arrived, not the promises.
func TestAnnouncedSizesCostNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		config  Config
		opening string
	}{
		"before the password": {Config{Password: "pw"}, "*10\r\n$16384\r\n"},
		"one large argument":  {Config{}, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16777216\r\nx"},
		"many arguments":      {Config{MaxElements: 1 << 20}, "*1048576\r\n$1\r\nx\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := startServer(t, tc.config, newFakeStore())
			const clients = 200
			before := heapInUse()
			for range clients {
				dial(t, srv.Addr()).write(tc.opening)
			}
			waitFor(t, "all bytes to arrive", func() bool {
				return srv.Stats().BytesIn.Load() == int64(clients*len(tc.opening))
			})
			perClient := (int64(heapInUse()) - int64(before)) / clients
			if perClient > 128<<10 {
				t.Errorf("a client that announced and sent %d bytes costs %d bytes", len(tc.opening), perClient)
			}
		})
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An attacker sends commands and never reads the replies.
func TestUnreadRepliesAreBounded(t *testing.T) {
	t.Run("before the password the connection is dropped", func(t *testing.T) {
		srv := startServer(t, Config{Password: "pw"}, newFakeStore())
		c := dial(t, srv.Addr())
		flood(t, c.conn, strings.Repeat(frame("PING"), 1000))
		waitFor(t, "the connection to go", func() bool { return srv.Stats().Clients.Load() == 0 })
	})
	t.Run("afterwards the client is read no further, then dropped", func(t *testing.T) {
		srv := startServer(t, Config{OutputLimit: 1 << 20, WriteTimeout: 300 * time.Millisecond}, newFakeStore())
		dial(t, srv.Addr()).want("+OK", "SET", "k", strings.Repeat("v", 100<<10))
		c := dial(t, srv.Addr())
		var most int
		done := make(chan struct{})
		go func() {
			defer close(done)
			flood(t, c.conn, strings.Repeat(frame("GET", "k"), 100))
		}()
		waitFor(t, "the connection to go", func() bool {
			for _, s := range srv.clients() {
				most = max(most, s.guard.out.waiting())
			}
			return srv.Stats().Clients.Load() == 1
		})
		<-done
		if most > 2<<20 {
			t.Errorf("%d bytes of replies waited for one client, the limit is %d", most, 1<<20)
		}
	})
}

// flood writes again and again until the server has had enough.
func flood(t *testing.T, conn net.Conn, data string) {
	t.Helper()
	for range 1 << 20 {
		// A busy machine may take long to fill the buffers on the way; only a
		// server that takes nothing at all for so long has failed.
		_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, data); err != nil {
			if netErr, ok := err.(net.Error); ok && netErr.Timeout() {
				t.Error("the server neither read on nor hung up")
			}
			return
		}
	}
	t.Error("the server took all of a flood whose replies nobody reads")
}

// An attacker sends a byte now and then, to keep connections busy.
func TestSlowSendersAreDropped(t *testing.T) {
	for name, tc := range map[string]struct {
		config Config
		bytes  string
	}{
		"in the middle of a command": {Config{CommandTimeout: 50 * time.Millisecond}, "*2\r\n$3\r\nGET\r\n$1\r\n"},
		"in the middle of a line":    {Config{CommandTimeout: 50 * time.Millisecond}, "PIN"},
		"before the password":        {Config{Password: "pw", AuthTimeout: 50 * time.Millisecond}, ""},
		"idle":                       {Config{IdleTimeout: 50 * time.Millisecond}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startServer(t, tc.config, newFakeStore())
			c := dial(t, srv.Addr())
			c.write(tc.bytes)
			c.wantClosed()
			if n := srv.Stats().TimedOut.Load(); n != 1 {
				t.Errorf("%d connections are counted as timed out, want 1", n)
			}
		})
	}
}

// A client that trickles within the time for a command is served.
func TestTricklingClientIsServed(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	c := dial(t, srv.Addr())
	for _, b := range []byte(frame("SET", "k", "v") + frame("GET", "k")) {
		c.write(string(b))
	}
	if got := c.read() + c.read(); got != `+OK"v"` {
		t.Errorf("the replies are %s", got)
	}
}

// More connections than maxclients are told so, and others are let in when one
// leaves.
func TestTooManyClients(t *testing.T) {
	srv := startServer(t, Config{MaxClients: 2}, newFakeStore())
	first, second := dial(t, srv.Addr()), dial(t, srv.Addr())
	first.want("+PONG", "PING")
	second.want("+PONG", "PING")
	third := dial(t, srv.Addr())
	if got := third.read(); got != "-ERR max number of clients reached" {
		t.Errorf("the third client is told %s", got)
	}
	third.wantClosed()
	third.conn.Close()
	first.want("+OK", "QUIT")
	first.wantClosed()
	first.conn.Close()
	waitFor(t, "room", func() bool { return srv.Stats().Clients.Load() == 1 })
	dial(t, srv.Addr()).want("+PONG", "PING")
}

// Whatever bytes a client puts into names and arguments, it gets exactly one
// reply frame, so that a proxy between cannot be made to confuse clients.
func TestRepliesCannotBeSplit(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore(domainSpecs()...))
	evil := "x\r\n+OK\r\n\x00\xff"
	for _, proto := range []string{"2", "3"} {
		c := dial(t, srv.Addr())
		c.do("HELLO", proto)
		for _, args := range [][]string{
			{evil}, {evil, evil}, {"GET", evil}, {"SET", evil, evil}, {"SET", "k", "v", evil}, {"CLIENT", evil}, {"CLIENT", "SETNAME", evil},
			{"CLIENT", "SETINFO", evil, "x"}, {"CLIENT", "SETINFO", "lib-name", evil}, {"CLIENT", "KILL", evil}, {"CLIENT", "KILL", "USER", evil},
			{"CLIENT", "LIST", "TYPE", evil}, {"HELLO", evil}, {"HELLO", proto, evil}, {"HELLO", proto, "SETNAME", evil}, {"AUTH", evil, evil},
			{"ACL", "CAT", evil}, {"CONFIG", "GET", evil}, {"COMMAND", "INFO", evil}, {"COMMAND", "DOCS", evil}, {"COMMAND", "LIST", "FILTERBY", "PATTERN", evil},
			{"INFO", evil}, {"OBJECT", evil}, {"XADD", evil, evil, evil, evil}, {"VISITOR.CREATE", evil, evil}, {"HGETALL", "visitor:" + evil},
			{"SET", "visitor:" + evil, "x"}, {"MEMORY", "USAGE", evil}, {"SLOWLOG", evil}, {"ECHO", evil}, {"PING", evil}, {"HSET", evil, evil, evil}, {"KEYS", "*"},
		} {
			c.do(args...)
			if got := c.do("ECHO", "mark"); got != `"mark"` {
				t.Fatalf("protocol %s: after %q the next reply is %s", proto, args, got)
			}
		}
	}
}

// Clients come and go in the middle of everything; nothing of them stays.
func TestDepartedClientsLeaveNothing(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	before := runtime.NumGoroutine()
	for i := range 300 {
		c := dial(t, srv.Addr())
		switch i % 5 {
		case 0:
			c.do("MULTI")
			c.do("SET", "k", "v")
		case 1:
			c.do("WATCH", "k")
		case 2:
			c.write("*2\r\n$3\r\nGET\r\n$5\r\nab")
		case 3:
			c.write(frame("XREAD", "BLOCK", "0", "STREAMS", "s", "$"))
		case 4:
			c.write(frame("SET", "k", "v"))
		}
		c.conn.Close()
	}
	waitFor(t, "sessions to end", func() bool {
		srv.hub.mu.Lock()
		defer srv.hub.mu.Unlock()
		return len(srv.clients()) == 0 && srv.Stats().Clients.Load() == 0 && len(srv.hub.byKey) == 0
	})
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// Clients that come while the server closes are ended like all others: Close
// returns when nobody is left.
func TestClientsThatComeWhileTheServerClosesAreEnded(t *testing.T) {
	for range 20 {
		srv, err := New(Config{Addr: "127.0.0.1:0"}, newFakeStore(), nil)
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- srv.Serve() }()
		var crowd sync.WaitGroup
		for range 4 {
			crowd.Go(func() {
				for {
					conn, err := net.Dial("tcp", srv.Addr().String())
					if err != nil {
						return
					}
					defer conn.Close()
				}
			})
		}
		waitFor(t, "a client to come in", func() bool { return srv.Stats().Clients.Load() > 0 })
		if err := srv.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := srv.Stats().Clients.Load(); n != 0 {
			t.Fatalf("%d clients are left after Close", n)
		}
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		crowd.Wait()
	}
}

// A command that panics costs its client the connection and nobody else
// anything.
func TestPanicEndsOneConnection(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore(panickingSpec()))
	bystander := dial(t, srv.Addr())
	bystander.want("+PONG", "PING")
	c := dial(t, srv.Addr())
	c.write(frame("PING") + frame("PANIC") + frame("PING"))
	if got := c.read() + c.read(); !strings.HasPrefix(got, "+PONG-ERR internal error, in the node's log under client=") {
		t.Errorf("the replies are %s", got)
	}
	c.wantClosed()
	bystander.want("+PONG", "PING")
}

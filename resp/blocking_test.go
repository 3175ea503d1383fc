package resp

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// waitBlocked waits until n clients wait in a command.
func waitBlocked(t *testing.T, srv *Server, n int64) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d clients to wait", n), func() bool { return srv.Stats().Blocked.Load() == n })
}

// A reader waits for what is added after its command, and gets it.
func TestReaderWaitsForEntries(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	writer, reader, other := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	writer.do("XADD", "s", "1-1", "f", "before")
	reader.write(frame("PING") + frame("XREAD", "BLOCK", "0", "STREAMS", "s", "t", "$", "$") + frame("PING"))
	if got := reader.read(); got != "+PONG" {
		t.Errorf("what came before the wait is answered %s", got)
	}
	other.write(frame("XREAD", "BLOCK", "0", "STREAMS", "u", "0"))
	waitBlocked(t, srv, 2)
	writer.do("XADD", "s", "1-2", "f", "after")
	if got := reader.read(); got != `[["s" [["1-2" ["f" "after"]]]]]` {
		t.Errorf("the reader got %s", got)
	}
	if got := reader.read(); got != "+PONG" {
		t.Errorf("what came after the wait is answered %s", got)
	}
	waitBlocked(t, srv, 1)
	writer.do("XADD", "u", "1-1", "f", "v")
	if got := other.read(); got != `[["u" [["1-1" ["f" "v"]]]]]` {
		t.Errorf("the other reader got %s", got)
	}
}

// What is there already is given at once, in the form of the protocol.
func TestReaderDoesNotWaitInVain(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	c := dial(t, srv.Addr())
	c.do("XADD", "s", "1-1", "f", "v")
	c.want(`[["s" [["1-1" ["f" "v"]]]]]`, "XREAD", "BLOCK", "0", "STREAMS", "s", "0")
	c.want("nil-array", "XREAD", "BLOCK", "1", "STREAMS", "s", "$")
	c.want("nil-array", "XREAD", "STREAMS", "s", "$")
	c.do("HELLO", "3")
	c.want(`{"s" [["1-1" ["f" "v"]]]}`, "XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", "s", "0")
	c.want("null", "XREAD", "BLOCK", "1", "STREAMS", "s", "$")
	c.want("-ERR timeout is negative", "XREAD", "BLOCK", "-1", "STREAMS", "s", "$")
	c.want("-ERR timeout is not an integer or out of range", "XREAD", "BLOCK", "x", "STREAMS", "s", "$")
	c.want("-ERR timeout is not an integer or out of range", "XREAD", "BLOCK", "9223372036854775807", "STREAMS", "s", "$")
	c.do("MULTI")
	c.do("XREAD", "BLOCK", "0", "STREAMS", "s", "$")
	c.want("[null]", "EXEC")
}

// "+" is the last entry; where there is none, what comes after the command.
func TestReaderOfTheLastEntry(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	writer, reader := dial(t, srv.Addr()), dial(t, srv.Addr())
	writer.do("XADD", "s", "1-1", "f", "old")
	writer.do("XADD", "s", "1-2", "f", "last")
	reader.want(`[["s" [["1-2" ["f" "last"]]]]]`, "XREAD", "BLOCK", "0", "STREAMS", "s", "none", "+", "+")
	writer.do("XDEL", "s", "1-1", "1-2")
	reader.write(frame("XREAD", "BLOCK", "0", "STREAMS", "s", "none", "+", "+"))
	waitBlocked(t, srv, 1)
	writer.do("MULTI")
	writer.do("XADD", "s", "2-1", "f", "a")
	writer.do("XADD", "s", "2-2", "f", "b")
	writer.do("EXEC")
	if got := reader.read(); got != `[["s" [["2-1" ["f" "a"]] ["2-2" ["f" "b"]]]]]` {
		t.Errorf("the reader got %s", got)
	}
}

// Consumers of a group share the entries, each waiting for its own.
func TestConsumersWait(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	writer := dial(t, srv.Addr())
	writer.want("+OK", "XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
	var consumers []*testClient
	for i := range 2 {
		c := dial(t, srv.Addr())
		c.write(frame("XREADGROUP", "GROUP", "g", fmt.Sprint("c", i), "COUNT", "1", "BLOCK", "0", "STREAMS", "s", ">"))
		consumers = append(consumers, c)
	}
	waitBlocked(t, srv, 2)
	writer.write(frame("XADD", "s", "1-1", "f", "v") + frame("XADD", "s", "1-2", "f", "v"))
	got := consumers[0].read() + consumers[1].read()
	if strings.Count(got, `"1-1"`) != 1 || strings.Count(got, `"1-2"`) != 1 {
		t.Errorf("the consumers got %s", got)
	}
}

// A wait ends by its time, by another client, by hanging up, by the end of the
// server.
func TestWaitsEnd(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	admin := dial(t, srv.Addr())
	c := dial(t, srv.Addr())
	id := strings.TrimPrefix(c.do("CLIENT", "ID"), ":")
	admin.want(":0", "CLIENT", "UNBLOCK", id)
	wait := func() {
		c.write(frame("XREAD", "BLOCK", "0", "STREAMS", "s", "$"))
		waitBlocked(t, srv, 1)
	}
	wait()
	admin.want(":1", "CLIENT", "UNBLOCK", id)
	if got := c.read(); got != "nil-array" {
		t.Errorf("an unblocked client gets %s", got)
	}
	wait()
	if got := admin.do("CLIENT", "LIST"); !strings.Contains(got, "flags=b") {
		t.Errorf("CLIENT LIST does not show who waits: %s", got)
	}
	admin.want(":1", "CLIENT", "UNBLOCK", id, "ERROR")
	if got := c.read(); got != "-UNBLOCKED client unblocked via CLIENT UNBLOCK" {
		t.Errorf("an unblocked client gets %s", got)
	}
	c.want("+PONG", "PING")
	wait()
	c.conn.Close()
	waitBlocked(t, srv, 0)
	waitFor(t, "the connection to go", func() bool { return srv.Stats().Clients.Load() == 1 })

	last := dial(t, srv.Addr())
	last.write(frame("XREAD", "BLOCK", "0", "STREAMS", "s", "$"))
	waitBlocked(t, srv, 1)
	go func() { _ = srv.Close(t.Context()) }()
	if got := last.read(); !strings.HasPrefix(got, "-CLUSTERDOWN") {
		t.Errorf("a client of a server that stops gets %s", got)
	}
	last.wantClosed()
}

// A wait that is not under way when the time for a command passes is not
// mistaken for a slow sender.
func TestWaitOutlastsOtherDeadlines(t *testing.T) {
	srv := startServer(t, Config{IdleTimeout: 20 * time.Millisecond, CommandTimeout: 20 * time.Millisecond}, newFakeStore())
	c := dial(t, srv.Addr())
	c.write(frame("XREAD", "BLOCK", "100", "STREAMS", "s", "$"))
	if got := c.read(); got != "nil-array" {
		t.Errorf("the wait ends with %s", got)
	}
}

// Where a stream goes while somebody waits: who reads for a group is told, who
// just reads waits for another.
func TestStreamsGoWhileClientsWait(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	writer, reader, consumer := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	for _, c := range []struct {
		what string
		do   []string
		want string
	}{
		{"is deleted", []string{"DEL", "s"}, "-UNBLOCKED the stream key no longer exists"},
		{"is overwritten", []string{"SET", "s", "x"}, "-UNBLOCKED the stream key no longer exists"},
		{"is flushed", []string{"FLUSHALL"}, "-UNBLOCKED the stream key no longer exists"},
		{"loses the group", []string{"XGROUP", "DESTROY", "s", "g"}, "-NOGROUP the consumer group this client was blocked on no longer exists"},
	} {
		writer.do("DEL", "s")
		writer.want("+OK", "XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
		reader.write(frame("XREAD", "BLOCK", "0", "STREAMS", "s", "$"))
		consumer.write(frame("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"))
		waitBlocked(t, srv, 2)
		writer.do(c.do...)
		if got := consumer.read(); got != c.want {
			t.Errorf("the stream %s, and the consumer gets %s", c.what, got)
		}
		waitBlocked(t, srv, 1)
		writer.do("DEL", "s")
		writer.do("XADD", "s", "1-1", "f", "v")
		if got := reader.read(); got != `[["s" [["1-1" ["f" "v"]]]]]` {
			t.Errorf("the stream %s, comes again, and the reader gets %s", c.what, got)
		}
		waitBlocked(t, srv, 0)
	}
}

package redistest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// Conn is a connection to a server. It fails its test if the connection does.
type Conn struct {
	t     testing.TB
	conn  net.Conn
	r     *bufio.Reader
	known map[string]bool // commands
}

// patience is how long a server may take for an answer.
const patience = 60 * time.Second

// Dial connects to a server.
func Dial(t testing.TB, network, addr string) *Conn {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &Conn{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// Again is another connection to the same server.
func (c *Conn) Again() *Conn {
	c.t.Helper()
	addr := c.conn.RemoteAddr()
	again := Dial(c.t, addr.Network(), addr.String())
	again.known = c.known
	return again
}

// Start starts a real server for the test, with some arguments, and connects to
// it: the one that PARLOR_REDIS_SERVER names, or redis-server. The test is
// skipped if there is none.
func Start(t testing.TB, args ...string) *Conn {
	t.Helper()
	name := "redis-server"
	if s := os.Getenv("PARLOR_REDIS_SERVER"); s != "" {
		name = s
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("redis-server is not installed: nothing to compare with")
	}
	dir, err := os.MkdirTemp("", "redis") // t.TempDir() can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir, "--hz", "100")
	cmd.Args = append(cmd.Args, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	Until(t, "redis-server listens", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	c := Dial(t, "unix", socket)
	c.known = map[string]bool{}
	for _, name := range c.Do("COMMAND", "LIST").Elems {
		c.known[strings.ToUpper(string(name.Str))] = true
	}
	return c
}

// Until waits for a condition.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

// Grown are commands that take more arguments here than in Redis 7.0, as they do
// in later versions.
var Grown = []string{"ZRANK", "ZREVRANK"}

// Has says whether the server knows a command, by its name in capitals.
func (c *Conn) Has(name string) bool { return c.known[name] }

// Do runs a command.
func (c *Conn) Do(args ...string) command.Reply {
	c.t.Helper()
	return c.Pipe([][]string{args})[0]
}

// Pipe sends several commands at once and gives their replies.
func (c *Conn) Pipe(commands [][]string) []command.Reply {
	c.t.Helper()
	var b []byte
	for _, args := range commands {
		b = fmt.Appendf(b, "*%d\r\n", len(args))
		for _, a := range args {
			b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
		}
	}
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
	out := make([]command.Reply, len(commands))
	for i := range out {
		var err error
		if out[i], err = ReadReply(c.r); err != nil {
			c.t.Fatalf("%q: %v", commands[i], err)
		}
	}
	return out
}

// Unwaiting runs a command in a transaction, where it does not wait.
func (c *Conn) Unwaiting(args ...string) command.Reply {
	c.t.Helper()
	r := c.Pipe([][]string{{"MULTI"}, args, {"EXEC"}})
	if r[1].Kind == command.KindError {
		return r[1]
	}
	return r[2].Elems[0]
}

// Select changes the database.
func (c *Conn) Select(db string) { c.Do("SELECT", db) }

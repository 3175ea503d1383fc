package resp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testClient speaks the protocol byte by byte, and shows replies as text.
type testClient struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func dial(t testing.TB, addr net.Addr) *testClient {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &testClient{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// write sends bytes as they are.
func (c *testClient) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatal(err)
	}
}

// do sends a command and gives its reply.
func (c *testClient) do(args ...string) string {
	c.t.Helper()
	c.write(frame(args...))
	return c.read()
}

// want fails the test unless the reply to a command is as told.
func (c *testClient) want(reply string, args ...string) {
	c.t.Helper()
	if got := c.do(args...); got != reply {
		c.t.Errorf("%s answered %s, want %s", strings.Join(args, " "), got, reply)
	}
}

// read gives the next reply as text.
func (c *testClient) read() string {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	s, err := readReply(c.r)
	if err != nil {
		c.t.Fatalf("reading a reply: %v", err)
	}
	return s
}

// wantClosed fails the test unless the server ends the connection without
// another byte.
func (c *testClient) wantClosed() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	rest, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("the connection did not end cleanly: %v", err)
	}
	if len(rest) > 0 {
		c.t.Fatalf("there is more on the connection: %q", rest)
	}
}

// frame writes a command as clients do.
func frame(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// readReply shows a reply of either protocol: +OK, -ERR …, :1, "bulk", nil for
// $-1, nil-array for *-1, null for _, ,1.5 and #t as they are, [a b], {k:v},
// ~[a b], >[a b], =text.
func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if !strings.HasSuffix(line, "\r\n") {
		return "", fmt.Errorf("line %q does not end in CR LF", line)
	}
	line = line[:len(line)-2]
	switch line[0] {
	case '+', '-', ':', ',', '#', '(':
		if strings.ContainsRune(line, '\r') {
			return "", fmt.Errorf("line %q holds a CR", line)
		}
		return line, nil
	case '_':
		return "null", nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil {
		return "", fmt.Errorf("header %q: %w", line, err)
	}
	switch line[0] {
	case '$', '=':
		if n < 0 {
			return "nil", nil
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		if string(b[n:]) != "\r\n" {
			return "", fmt.Errorf("bulk %q does not end in CR LF", b)
		}
		if line[0] == '=' {
			return "=" + strconv.Quote(string(b[:n])), nil
		}
		return strconv.Quote(string(b[:n])), nil
	case '*', '~', '>':
		if n < 0 {
			return "nil-array", nil
		}
		prefix := strings.TrimPrefix(line[:1], "*")
		return readElems(r, n, prefix+"[", "]")
	case '%':
		return readElems(r, 2*n, "{", "}")
	}
	return "", fmt.Errorf("unknown reply %q", line)
}

func readElems(r *bufio.Reader, n int, open, end string) (string, error) {
	elems := make([]string, n)
	for i := range elems {
		var err error
		if elems[i], err = readReply(r); err != nil {
			return "", err
		}
	}
	return open + strings.Join(elems, " ") + end, nil
}

// quoted splits a line into words, quoted as in redis-cli.
func quoted(t *testing.T, line string) []string {
	t.Helper()
	args, ok := splitInline([]byte(line))
	if !ok {
		t.Fatalf("unbalanced quotes: %s", line)
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = string(a)
	}
	return words
}

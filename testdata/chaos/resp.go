package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// outcome is what a client knows of a call that he made.
type outcome string

const (
	done    outcome = "ok"      // answered: it was carried out, once
	refused outcome = "refused" // answered: it was not carried out, and never will be
	unknown outcome = "unknown" // it may have been carried out, or be so later, or never
)

// patience is how long a client waits for an answer.
const patience = 4 * time.Second

// serverError is an error reply.
type serverError string

func (e serverError) Error() string { return string(e) }

// client is one connection of the Redis protocol. A call that fails in any
// way but a refusal closes it.
type client struct {
	addr   string
	conn   net.Conn
	r      *bufio.Reader
	pinned bool // the next call is on the same connection, or not made
}

// respPassword is what the nodes want to hear from clients.
const respPassword = "chaos"

// call sends the commands in one piece and gives a reply for each: nil,
// string, int64, []any or serverError.
func (c *client) call(commands ...[]string) (replies []any, how outcome, err error) {
	pinned := c.pinned
	c.pinned = false
	if c.conn == nil && pinned {
		return nil, refused, errors.New("the connection is not there any more")
	}
	if err := c.dial(); err != nil {
		return nil, refused, err
	}
	defer func() {
		if how == unknown {
			c.close()
		}
	}()
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if err := c.send(commands...); err != nil {
		return nil, unknown, err
	}
	for range commands {
		reply, err := readReply(c.r)
		if err != nil {
			return nil, unknown, err
		}
		replies = append(replies, reply)
	}
	// The last reply decides: the others of a transaction are QUEUED.
	if failed, ok := replies[len(replies)-1].(serverError); ok {
		return nil, judge(failed), failed
	}
	return replies, done, nil
}

// dial makes the connection if there is none.
func (c *client) dial() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", c.addr, time.Second)
	if err != nil {
		return err
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
	_ = conn.SetDeadline(time.Now().Add(patience))
	err = c.send([]string{"AUTH", respPassword})
	if err == nil {
		var reply any
		if reply, err = readReply(c.r); err == nil && reply != "OK" {
			err = fmt.Errorf("AUTH: %v", reply)
		}
	}
	if err != nil {
		c.close()
	}
	return err
}

func (c *client) send(commands ...[]string) error {
	var b strings.Builder
	for _, args := range commands {
		fmt.Fprintf(&b, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
		}
	}
	_, err := io.WriteString(c.conn, b.String())
	return err
}

// judge says what an error reply means for the command. CLUSTERDOWN, BUSY and
// NOSPACE promise that nothing was changed; what is not known is taken for
// unknown.
func judge(e serverError) outcome {
	code, _, _ := strings.Cut(string(e), " ")
	switch code {
	case "CLUSTERDOWN", "BUSY", "NOSPACE", "LOADING", "EXECABORT", "CONFLICT", "NOTFOUND", "LIMIT", "EXISTS", "DENIED":
		return refused
	}
	return unknown
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func readReply(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return nil, errors.New("an empty line where a reply should be")
	}
	switch line[0] {
	case '+':
		return line[1:], nil
	case '-':
		return serverError(line[1:]), nil
	case ':':
		return strconv.ParseInt(line[1:], 10, 64)
	case '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return nil, err
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		return string(b[:n]), nil
	case '*':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return nil, err
		}
		list := make([]any, n)
		for i := range list {
			if list[i], err = readReply(r); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("a reply that begins with %q", line)
}

// texts turns an array reply into strings; numbers and nil too.
func texts(reply any) []string {
	list, _ := reply.([]any)
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = text(e)
	}
	return out
}

func text(reply any) string {
	switch v := reply.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	return fmt.Sprint(reply)
}

package redis_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
	"github.com/parlorchat/parlor/storage/redis"
)

// ours runs commands as the state machine and the connections do.
type ours struct {
	table *command.Table
	state keyspacetest.State
	rand  *rand.Rand
	db    uint8
}

func newOurs() *ours {
	return &ours{table: command.NewTable(redis.Commands()), rand: rand.New(rand.NewPCG(1, 2)), state: keyspacetest.State{Now: 1_700_000_000_000}}
}

func (o *ours) do(args ...string) command.Reply {
	raw := command.New(args...)
	spec := o.table.Find(raw[0])
	if spec == nil {
		return command.Fail(command.Errorf("ERR", "unknown command '"+args[0]+"'"))
	}
	if !spec.ArityOK(len(args)) {
		return command.Fail(command.ErrArity(strings.ToLower(args[0])))
	}
	call := command.Call{Now: o.state.Now, Rand: o.rand}
	var reply command.Reply
	run := func(tx *keyspace.Tx) error {
		tx.Select(o.db)
		call.Tx = tx
		var err error
		reply, err = spec.Run(&call, raw)
		return err
	}
	var err error
	if spec.Is(command.Write) {
		call.Index = o.state.Index + 1
		err = o.state.Write(run)
	} else {
		err = run(o.state.Read())
	}
	if err != nil {
		return command.Fail(err)
	}
	return reply
}

// theirs is a connection to a real server.
type theirs struct {
	conn  net.Conn
	r     *bufio.Reader
	known map[string]bool // commands
}

// has says whether the server is new enough for a command.
func (s *theirs) has(name string) bool { return s.known[name] }

// startRedis starts a server of its own for the test, on a unix socket.
func startRedis(t testing.TB) *theirs {
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
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			s := &theirs{conn: conn, r: bufio.NewReader(conn), known: map[string]bool{}}
			for _, c := range s.do(t, "COMMAND", "LIST").Elems {
				s.known[strings.ToUpper(string(c.Str))] = true
			}
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-server does not answer: %v", err)
		}
		time.Sleep(5 * time.Millisecond) // waits for the condition above
	}
}

func (s *theirs) do(t testing.TB, args ...string) command.Reply {
	t.Helper()
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	_ = s.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := s.conn.Write(b); err != nil {
		t.Fatal(err)
	}
	r, err := readReply(s.r)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return r
}

func readReply(r *bufio.Reader) (command.Reply, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return command.Reply{}, err
	}
	line = strings.TrimRight(line, "\r\n")
	text := line[1:]
	n, _ := strconv.Atoi(text)
	many := func(kind command.Kind, n int) (command.Reply, error) {
		reply := command.Reply{Kind: kind, Elems: []command.Reply{}}
		for range n {
			e, err := readReply(r)
			if err != nil {
				return reply, err
			}
			reply.Elems = append(reply.Elems, e)
		}
		return reply, nil
	}
	switch line[0] {
	case '+':
		return command.Simple(text), nil
	case '-':
		return command.Reply{Kind: command.KindError, Str: []byte(text)}, nil
	case ':':
		return command.Int(int64(n)), nil
	case ',':
		f, err := strconv.ParseFloat(text, 64)
		return command.Double(f), err
	case '_':
		return command.Null(), nil
	case '$':
		if n < 0 {
			return command.Null(), nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return command.Bulk(b[:n]), err
	case '*':
		if n < 0 {
			return command.NullArray(), nil
		}
		return many(command.KindArray, n)
	case '%':
		return many(command.KindMap, 2*n)
	case '~':
		return many(command.KindSet, n)
	}
	return command.Reply{}, errors.New("unknown reply " + line)
}

// wire turns a reply of ours into what a client of the protocol reads.
func wire(r command.Reply, proto int) command.Reply {
	elems := make([]command.Reply, len(r.Elems))
	for i, e := range r.Elems {
		elems[i] = wire(e, proto)
	}
	twos := func() command.Reply {
		out := []command.Reply{}
		for i := 0; i+1 < len(elems); i += 2 {
			out = append(out, command.Array(elems[i], elems[i+1]))
		}
		return command.Array(out...)
	}
	switch r.Kind {
	case command.KindDouble:
		if proto == 2 {
			if r.Str != nil {
				return command.Bulk(r.Str)
			}
			return command.BulkString(formatDouble(r.Float))
		}
		if f, err := strconv.ParseFloat(string(r.Str), 64); err == nil {
			return command.Double(f)
		}
	case command.KindNullArray:
		if proto == 3 {
			return command.Null()
		}
	case command.KindPairs:
		if proto == 3 {
			return twos()
		}
		return command.Array(elems...)
	case command.KindTable:
		if proto == 2 {
			return twos()
		}
		return command.Map(elems...)
	case command.KindMap, command.KindSet:
		if proto == 2 {
			return command.Array(elems...)
		}
		return command.Reply{Kind: r.Kind, Elems: elems}
	case command.KindArray:
		return command.Array(elems...)
	}
	return r
}

func formatDouble(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return strconv.FormatFloat(f, 'g', 17, 64)
}

// show writes a reply for comparing and reading.
func show(r command.Reply) string {
	switch r.Kind {
	case command.KindNull:
		return "nil"
	case command.KindNullArray:
		return "nil[]"
	case command.KindInt:
		return strconv.FormatInt(r.Int, 10)
	case command.KindDouble:
		return "," + formatDouble(r.Float)
	case command.KindBulk:
		return strconv.Quote(string(r.Str))
	case command.KindSimple:
		return "+" + string(r.Str)
	case command.KindError:
		return "-" + string(r.Str)
	}
	parts := make([]string, len(r.Elems))
	for i, e := range r.Elems {
		parts[i] = show(e)
	}
	open := map[command.Kind]string{command.KindArray: "[", command.KindMap: "%[", command.KindSet: "~["}[r.Kind]
	return open + strings.Join(parts, " ") + "]"
}

// sorted puts elements in order: size at a time, for fields and values.
func sorted(r command.Reply, size int) command.Reply {
	if len(r.Elems) == 0 || len(r.Elems)%size != 0 {
		return r
	}
	groups := make([][]command.Reply, 0, len(r.Elems)/size)
	for i := 0; i < len(r.Elems); i += size {
		groups = append(groups, r.Elems[i:i+size])
	}
	sort.SliceStable(groups, func(i, j int) bool { return show(groups[i][0]) < show(groups[j][0]) })
	out := command.Reply{Kind: r.Kind}
	for _, g := range groups {
		out.Elems = append(out.Elems, g...)
	}
	return out
}

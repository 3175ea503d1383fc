package resp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cliPlayer plays steps through redis-cli: one process a connection, which
// reads commands from its stdin and writes a line of JSON for each reply.
type cliPlayer struct {
	t        *testing.T
	path     string
	protocol int
	procs    map[string]*cliProcess
	heard    map[string]*cliProcess
}

type cliProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out chan string // lines
}

const cliPatience = 20 * time.Second

func playCLI(t *testing.T, path string, protocol int, steps []libStep) []outcome {
	p := &cliPlayer{t: t, path: path, protocol: protocol, procs: map[string]*cliProcess{}, heard: map[string]*cliProcess{}}
	defer p.close()
	var out []outcome
	for _, s := range steps {
		v, err := p.step(s)
		out = append(out, told(v, err))
	}
	return out
}

func (p *cliPlayer) close() {
	for _, all := range []map[string]*cliProcess{p.procs, p.heard} {
		for _, c := range all {
			c.end()
		}
	}
}

func (c *cliProcess) end() {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// flags are those of every call.
func (p *cliPlayer) flags(s libStep) []string {
	host, port, _ := net.SplitHostPort(s.Addr)
	flags := []string{"-h", host, "-p", port, "--no-auth-warning", "-" + strconv.Itoa(p.protocol)}
	if user := s.Options["user"]; user != "" {
		flags = append(flags, "--user", user)
	}
	if password := s.Options["password"]; password != "" {
		flags = append(flags, "--pass", password)
	}
	if db := s.Options["db"]; db != "" {
		flags = append(flags, "-n", db)
	}
	return flags
}

func (p *cliPlayer) run(s libStep, args ...string) *cliProcess {
	p.t.Helper()
	cmd := exec.Command(p.path, append(p.flags(s), args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	c := &cliProcess{cmd: cmd, in: in, out: make(chan string, 10000)}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.out <- lines.Text()
		}
		close(c.out)
	}()
	return c
}

func (p *cliPlayer) process(s libStep) *cliProcess {
	if p.procs[s.On] == nil {
		p.procs[s.On] = p.run(s, "--json")
	}
	return p.procs[s.On]
}

// line gives the next line that is not empty.
func (c *cliProcess) line() (string, error) {
	for {
		select {
		case line, ok := <-c.out:
			if !ok {
				return "", errors.New("redis-cli ended")
			}
			if line != "" {
				return line, nil
			}
		case <-time.After(cliPatience):
			return "", errors.New("no answer")
		}
	}
}

func cliLine(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		var b strings.Builder
		for _, c := range []byte(a) {
			if c < ' ' || c > '~' || c == '"' || c == '\\' {
				fmt.Fprintf(&b, `\x%02x`, c)
			} else {
				b.WriteByte(c)
			}
		}
		quoted[i] = `"` + b.String() + `"`
	}
	return strings.Join(quoted, " ") + "\n"
}

// cliMark is a command that nobody knows: its error comes back even to who is
// not logged in.
const cliMark = "SO-FAR"

func (c *cliProcess) send(args []string) error {
	_, err := io.WriteString(c.in, cliLine(args)+cliLine([]string{cliMark}))
	return err
}

// answer gives the lines before the mark.
func (c *cliProcess) answer() (any, error) {
	var lines []string
	for {
		line, err := c.line()
		if err != nil {
			return lines, err
		}
		if strings.Contains(line, cliMark) {
			return lines, nil
		}
		lines = append(lines, line)
	}
}

func (c *cliProcess) do(args []string) (any, error) {
	if err := c.send(args); err != nil {
		return nil, err
	}
	return c.answer()
}

func (p *cliPlayer) step(s libStep) (any, error) {
	switch s.Verb {
	case "connect":
		if c := p.procs[s.On]; c != nil {
			c.end()
			delete(p.procs, s.On)
		}
		return p.process(s).do([]string{"PING"})
	case "do":
		return ordered(p.process(s).do(s.Args))
	case "start":
		return "started", p.process(s).send(s.Args)
	case "wait":
		return p.process(s).answer()
	case "pipeline":
		return p.pipe(s)
	case "multi":
		return p.multi(s)
	case "subscribe", "psubscribe":
		c := p.run(s, append([]string{"--csv", strings.ToUpper(s.Verb)}, s.Args...)...)
		p.heard[s.On] = c
		return c.lines(len(s.Args))
	case "messages":
		n, _ := strconv.Atoi(s.Args[0])
		return p.heard[s.On].lines(n)
	case "scan":
		return p.scan(s)
	case "gone":
		for until := time.Now().Add(cliPatience); time.Now().Before(until); {
			v, err := p.process(s).do([]string{"EXISTS", s.Args[0]})
			if err != nil || fmt.Sprint(v) == "[0]" {
				return "gone", err
			}
		}
		return nil, errors.New("the key stays")
	}
	return nil, errors.New("unknown verb " + s.Verb)
}

// ordered makes a reply of one array of JSON a list, so that it can be
// compared without its order.
func ordered(v any, err error) (any, error) {
	lines, ok := v.([]string)
	if !ok || len(lines) != 1 || lines[0] == "" || lines[0][0] != '[' {
		return v, err
	}
	var list []any
	if json.Unmarshal([]byte(lines[0]), &list) != nil {
		return v, err
	}
	return list, err
}

func (c *cliProcess) lines(n int) (any, error) {
	var all []string
	for range n {
		line, err := c.line()
		if err != nil {
			return all, err
		}
		all = append(all, line)
	}
	return all, nil
}

// pipe sends commands as redis-cli --pipe does, which tells how many replies
// and errors there were.
func (p *cliPlayer) pipe(s libStep) (any, error) {
	var raw strings.Builder
	for _, args := range s.Commands {
		raw.WriteString(frame(args...))
	}
	cmd := exec.Command(p.path, append(p.flags(s), "--pipe")...)
	cmd.Stdin = strings.NewReader(raw.String())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *cliPlayer) multi(s libStep) (any, error) {
	c := p.process(s)
	var all []any
	do := func(args ...string) error {
		v, err := c.do(args)
		all = append(all, v)
		return err
	}
	if len(s.Watch) > 0 {
		if err := do(append([]string{"WATCH"}, s.Watch...)...); err != nil {
			return all, err
		}
	}
	for _, args := range s.Meanwhile {
		if out, err := exec.Command(p.path, append(p.flags(s), args...)...).CombinedOutput(); err != nil {
			return string(out), err
		}
	}
	// The mark would be queued too, so all is sent before what comes is read.
	script := cliLine([]string{"MULTI"})
	for _, args := range s.Commands {
		script += cliLine(args)
	}
	if _, err := io.WriteString(c.in, script); err != nil {
		return all, err
	}
	return append(all, nil), do("EXEC")
}

// scan goes through keys with --scan, and through a value cursor by cursor.
func (p *cliPlayer) scan(s libStep) (any, error) {
	if s.Args[0] == "SCAN" {
		flags := append(p.flags(s), "--scan")
		for i := 1; i+1 < len(s.Args); i += 2 {
			flags = append(flags, map[string]string{"MATCH": "--pattern", "COUNT": "--count"}[s.Args[i]], s.Args[i+1])
		}
		out, err := exec.Command(p.path, flags...).CombinedOutput()
		return strings.Fields(string(out)), err
	}
	var all []any
	for cursor := ""; cursor != "0"; {
		if cursor == "" {
			cursor = "0"
		}
		v, err := p.process(s).do(append([]string{s.Args[0], s.Args[1], cursor}, s.Args[2:]...))
		if err != nil {
			return nil, err
		}
		var page []json.RawMessage
		var items []any
		if err := json.Unmarshal([]byte(v.([]string)[0]), &page); err != nil || len(page) != 2 {
			return nil, fmt.Errorf("%v is no page", v)
		}
		if err := errors.Join(json.Unmarshal(page[0], &cursor), json.Unmarshal(page[1], &items)); err != nil {
			return nil, err
		}
		all = append(all, items...)
	}
	return all, nil
}

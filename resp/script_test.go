package resp

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the replies of redis-server, or of Parlor where it differs on purpose, into the scripts")

// TestScripts plays the scripts of testdata/resp. Those in the folder itself
// are answered by Redis in the same way, which is checked where redis-server is
// installed; those in parlor/ are not.
//
// A line "a> GET k" sends a command on connection a, quoted as in redis-cli;
// "a! \"…\"" sends bytes; the line below is the reply, "closed" for the end of
// the connection, or "/…/" for a reply that matches a pattern. A line
// "#! password" sets a password.
func TestScripts(t *testing.T) {
	both, err := filepath.Glob("../testdata/resp/*.txt")
	if err != nil || len(both) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range both {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			t.Run("redis", func(t *testing.T) { playScript(t, file, startRedis, *update) })
			t.Run("parlor", func(t *testing.T) { playScript(t, file, startParlor, false) })
		})
	}
	ours, err := filepath.Glob("../testdata/resp/parlor/*.txt")
	if err != nil || len(ours) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range ours {
		t.Run("parlor/"+filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			playScript(t, file, startParlor, *update)
		})
	}
}

func startParlor(t *testing.T, password string) net.Addr {
	return startServer(t, Config{Password: password}, newFakeStore(domainSpecs()...)).Addr()
}

// startRedis runs a redis-server until the test ends.
func startRedis(t *testing.T, password string) net.Addr {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed: nothing to compare with")
	}
	dir, err := os.MkdirTemp("", "redis") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	addr := &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "s")}
	cmd := exec.Command(path, "--port", "0", "--unixsocket", addr.Name, "--dir", dir, "--save", "", "--requirepass", password)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, "redis-server to listen", func() bool {
		conn, err := net.Dial("unix", addr.Name)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return addr
}

// waitFor waits until something is so.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func playScript(t *testing.T, file string, start func(*testing.T, string) net.Addr, write bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	password := ""
	if p, ok := strings.CutPrefix(lines[0], "#! "); ok {
		password = p
	}
	play := &player{t: t, addr: start(t, password), clients: map[string]*testClient{}}
	var out []string
	for i := 0; i < len(lines); i++ {
		out = append(out, lines[i])
		if lines[i] == "" || lines[i][0] == '#' {
			continue
		}
		got, err := play.step(lines[i])
		if err != nil {
			t.Fatalf("%s:%d: %s: %v", file, i+1, lines[i], err)
		}
		want := ""
		if i+1 < len(lines) {
			want = lines[i+1]
		}
		if write {
			if want == "" || want[0] == '#' || isStep(want) {
				out = append(out, got) // a new step without a reply
				continue
			}
			if !isPattern(want) {
				want = got
			}
			out = append(out, want)
		} else if !replyMatches(want, got) {
			t.Errorf("%s:%d: %s\n got %s\nwant %s", file, i+1, lines[i], got, want)
		}
		i++
	}
	if write {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func isStep(line string) bool {
	return len(line) > 2 && line[0] >= 'a' && line[0] <= 'z' && (line[1] == '>' || line[1] == '!')
}

func isPattern(line string) bool {
	return len(line) > 2 && line[0] == '/' && line[len(line)-1] == '/'
}

func replyMatches(want, got string) bool {
	if isPattern(want) {
		return regexp.MustCompile("^(?:" + want[1:len(want)-1] + ")$").MatchString(got)
	}
	return want == got
}

// player holds the connections of a script.
type player struct {
	t       *testing.T
	addr    net.Addr
	clients map[string]*testClient
}

// step carries out one line and gives the reply.
func (p *player) step(line string) (string, error) {
	if !isStep(line) {
		return "", errors.New("neither a step nor its reply")
	}
	name, rest := line[:1], strings.TrimSpace(line[2:])
	c := p.clients[name]
	if c == nil {
		c = dial(p.t, p.addr)
		p.clients[name] = c
	}
	if line[1] == '!' {
		raw, err := strconv.Unquote(rest)
		if err != nil {
			return "", fmt.Errorf("bytes to send: %w", err)
		}
		_, _ = io.WriteString(c.conn, raw) // if it is closed, reading tells
	} else {
		_, _ = io.WriteString(c.conn, frame(quoted(p.t, rest)...))
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	reply, err := readReply(c.r)
	var timeout net.Error
	if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
		delete(p.clients, name)
		return "closed", nil
	}
	return reply, err
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parlorchat/parlor/node"
)

// localGroup is a group of nodes on this machine, each a process of its own
// running this same program. The demo and the load generator use it, and the
// end-to-end tests.
type localGroup struct {
	dir       string
	members   []*member
	seed      string   // file of commands that each node proposes at its start; may be empty
	serveArgs []string // further flags for serve
}

// member is one node of a localGroup: its addresses, its folder, its process.
type member struct {
	name                string
	dataDir, logFile    string
	http, resp, cluster string
	program             string   // that it runs; empty: this one
	serveArgs           []string // further flags for its serve

	mu     sync.Mutex
	cmd    *exec.Cmd
	stdin  io.Closer     // closing it asks the process to stop: it also closes when we die
	exited chan struct{} // closed when the process has ended
}

// newLocalGroup lays out n nodes under dir: node i has HTTP on base+i, RESP on
// base+10+i and the cluster port on base+20+i.
func newLocalGroup(dir string, n, base int) *localGroup {
	g := &localGroup{dir: dir}
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("node%d", i)
		g.members = append(g.members, &member{
			name:    name,
			dataDir: filepath.Join(dir, name),
			logFile: filepath.Join(dir, name+".log"),
			http:    fmt.Sprintf("127.0.0.1:%d", base+i),
			resp:    fmt.Sprintf("127.0.0.1:%d", base+10+i),
			cluster: fmt.Sprintf("127.0.0.1:%d", base+20+i),
		})
	}
	return g
}

// checkPorts says which of the group's addresses are taken, before anything is
// written.
func (g *localGroup) checkPorts() error {
	for _, m := range g.members {
		for _, addr := range []string{m.http, m.resp, m.cluster} {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return fmt.Errorf("%s of %s is in use: choose other ports with --port-base: %w", addr, m.name, err)
			}
			_ = l.Close()
		}
	}
	return nil
}

// formed says whether the first node has a data folder from an earlier run.
func (g *localGroup) formed() bool {
	entries, err := os.ReadDir(g.members[0].dataDir)
	return err == nil && len(entries) > 0
}

// start forms the group if it is not, joins who has not joined, and starts
// every node, as an operator would on three machines.
func (g *localGroup) start(ctx context.Context) error {
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return fmt.Errorf("making the group's folder: %w", err)
	}
	first := g.members[0]
	var token string
	if !g.formed() {
		out, err := first.parlor(ctx, "init", "--data-dir", first.dataDir, "--cluster", first.cluster, "--http", first.http, "--resp", first.resp, "--json")
		if err != nil {
			return fmt.Errorf("forming the group on %s: %w", first.name, err)
		}
		if token, err = jsonString(out, "join_token"); err != nil {
			return fmt.Errorf("forming the group on %s: %w", first.name, err)
		}
	}
	if err := g.startMember(first); err != nil {
		return err
	}
	joined := token == ""
	if !joined {
		if err := first.waitReady(ctx); err != nil {
			return err
		}
	}
	for _, m := range g.members[1:] {
		if !joined {
			if _, err := m.parlor(ctx, "join", "--data-dir", m.dataDir, "--server", first.cluster, "--token", token,
				"--cluster", m.cluster, "--http", m.http, "--resp", m.resp); err != nil {
				return fmt.Errorf("joining %s: %w", m.name, err)
			}
		}
		if err := g.startMember(m); err != nil {
			return err
		}
		if !joined {
			if err := m.waitReady(ctx); err != nil {
				return err
			}
		}
	}
	for _, m := range g.members {
		if err := m.waitReady(ctx); err != nil {
			return err
		}
	}
	return g.waitVotes(ctx)
}

// waitVotes waits until every node has its vote: from then on the group goes
// on without any one of three. A new node gets it once it has kept up for some
// seconds.
func (g *localGroup) waitVotes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		status, err := node.NewAdmin(g.members[0].dataDir).Status(ctx)
		if err == nil && status.Voters == len(g.members) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d nodes have a vote after a minute: %w", status.Voters, len(g.members), errors.Join(ctx.Err(), err))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// startMember starts a node's process; its output goes to its log file.
func (g *localGroup) startMember(m *member) error {
	args := []string{"serve", "--data-dir", m.dataDir, "--name", m.name, "--stop-with-stdin"}
	if g.seed != "" {
		args = append(args, "--seed", g.seed)
	}
	args = append(append(args, g.serveArgs...), m.serveArgs...)
	exe, err := m.executable()
	if err != nil {
		return err
	}
	logFile, err := os.OpenFile(m.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", m.name, err)
	}
	defer func() { _ = logFile.Close() }()

	cmd := exec.Command(exe, args...)
	// Not a flag: an older program, beside which this one is tested, has none.
	cmd.Env = append(ownEnvironment(os.Environ()), envName("ballast")+"=0")
	cmd.Stdout, cmd.Stderr = logFile, logFile
	// A group of its own, so that Ctrl-C reaches the parent alone and the
	// nodes are stopped in order.
	cmd.SysProcAttr = ownGroup()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("starting %s: %w", m.name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", m.name, err)
	}
	exited := make(chan struct{})
	m.mu.Lock()
	m.cmd, m.stdin, m.exited = cmd, stdin, exited
	m.mu.Unlock()
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(exited)
	}()
	return nil
}

// process gives the running process and what closes when it has ended.
func (m *member) process() (*os.Process, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd == nil {
		return nil, nil
	}
	return m.cmd.Process, m.exited
}

// kill ends a node at once, as a power cut would, and waits for its end.
func (m *member) kill() error {
	p, exited := m.process()
	if p == nil {
		return errors.New(m.name + " was never started")
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing %s: %w", m.name, err)
	}
	<-exited
	return nil
}

// stop ends all nodes gracefully, and whoever is not gone after the grace
// period by force.
func (g *localGroup) stop(grace time.Duration) {
	deadline := time.After(grace)
	for _, m := range g.members {
		if p, _ := m.process(); p != nil && p.Signal(syscall.SIGTERM) != nil {
			m.mu.Lock()
			_ = m.stdin.Close() // where there are no signals
			m.mu.Unlock()
		}
	}
	for _, m := range g.members {
		p, exited := m.process()
		if p == nil {
			continue
		}
		select {
		case <-exited:
		case <-deadline:
			for _, m := range g.members {
				if p, exited := m.process(); p != nil {
					_ = p.Kill()
					<-exited
				}
			}
			return
		}
	}
}

// waitReady waits until the node says that it may be used.
func (m *member) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	client := &http.Client{Timeout: 2 * time.Second}
	for {
		_, exited := m.process()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.http+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("asking %s whether it is ready: %w", m.name, err)
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-exited:
			return fmt.Errorf("%s ended while starting; the end of its log:\n%s", m.name, tail(m.logFile, 12))
		case <-ctx.Done():
			return fmt.Errorf("%s did not become ready; the end of its log:\n%s", m.name, tail(m.logFile, 12))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// parlor runs this program with the arguments and gives its standard output.
func parlor(ctx context.Context, args ...string) ([]byte, error) {
	return new(member).parlor(ctx, args...)
}

// executable is the program that a node runs.
func (m *member) executable() (string, error) {
	if m.program != "" {
		return m.program, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	return exe, nil
}

// parlor runs the node's program with the arguments and gives its standard
// output.
func (m *member) parlor(ctx context.Context, args ...string) ([]byte, error) {
	exe, err := m.executable()
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = ownEnvironment(os.Environ())
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("parlor %s: %w: %s", strings.Join(args[:1], " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// ownEnvironment is an environment without settings: the group has its own,
// whatever is installed on this machine.
func ownEnvironment(all []string) []string {
	settings := map[string]bool{envName("config"): true}
	for name := range settingNames(rootCommand()) {
		settings[envName(name)] = true
	}
	var own []string
	for _, v := range all {
		if name, _, _ := strings.Cut(v, "="); !settings[name] {
			own = append(own, v)
		}
	}
	return append(own, envName("config")+"=")
}

// tail gives the last lines of a file, or why it cannot be read.
func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

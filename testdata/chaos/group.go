package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// machine is one node: its addresses, its folder, its process.
type machine struct {
	index               int
	name, binary, dir   string
	http, resp, cluster string // cluster: as advertised, which is a door of the network
	listens             string
	log                 *os.File
	net                 *network

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	wanted bool // we have not killed it: an end is a surprise
}

// group is three machines and the network between them.
type group struct {
	machines []*machine
	net      *network
	doors    []io.Closer
	surprise chan error // a process that ended by itself
}

var web = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// freeAddr gives an address that nobody uses now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// newGroup lays out, forms and starts the group in dir.
func newGroup(binary, dir string) (*group, error) {
	g := &group{net: newNetwork(), surprise: make(chan error, 16)}
	for i := range 3 {
		m := &machine{index: i, name: fmt.Sprintf("n%d", i+1), binary: binary, net: g.net}
		m.dir = filepath.Join(dir, m.name)
		for _, addr := range []*string{&m.http, &m.resp, &m.cluster, &m.listens} {
			var err error
			if *addr, err = freeAddr(); err != nil {
				return nil, err
			}
		}
		door, err := g.net.door(m.cluster, m.listens, i)
		if err != nil {
			return nil, err
		}
		g.doors = append(g.doors, door)
		if m.log, err = os.Create(filepath.Join(dir, m.name+".log")); err != nil {
			return nil, err
		}
		g.machines = append(g.machines, m)
	}
	return g, g.form()
}

func (g *group) form() error {
	first := g.machines[0]
	own := func(m *machine) []string {
		return []string{"--data-dir", m.dir, "--cluster", m.cluster, "--cluster-listen", m.listens, "--http", m.http, "--resp", m.resp}
	}
	out, err := first.parlor(append([]string{"init", "--json"}, own(first)...)...)
	if err != nil {
		return err
	}
	var formed struct {
		Token string `json:"join_token"`
	}
	if err := json.Unmarshal(out, &formed); err != nil {
		return err
	}
	for i, m := range g.machines {
		if i > 0 {
			if _, err := m.parlor(append([]string{"join", "--server", first.cluster, "--token", formed.Token}, own(m)...)...); err != nil {
				return err
			}
		}
		if err := g.start(m); err != nil {
			return err
		}
		if err := m.ready(time.Minute); err != nil {
			return err
		}
	}
	return g.whole(2 * time.Minute)
}

// parlor runs the program's command line.
func (m *machine) parlor(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("parlor %s %s: %w: %s", args[0], args[1], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

func (g *group) start(m *machine) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil {
		return nil
	}
	cmd := exec.Command(m.binary, "serve", "--data-dir", m.dir, "--name", m.name, "--rate-limits=false", "--stop-with-stdin")
	cmd.Stdout, cmd.Stderr = m.log, m.log
	// When we die, the pipe ends and the node stops.
	if _, err := cmd.StdinPipe(); err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	g.net.runs(cmd.Process.Pid, m.index)
	exited := make(chan struct{})
	m.cmd, m.exited, m.wanted = cmd, exited, true
	go func() {
		err := cmd.Wait()
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.cmd == cmd {
			if m.wanted {
				g.surprise <- fmt.Errorf("%s ended by itself (%v): see %s", m.name, err, m.log.Name())
			}
			m.cmd = nil
		}
		close(exited)
	}()
	return nil
}

// kill ends the process at once.
func (m *machine) kill() {
	m.mu.Lock()
	cmd, exited := m.cmd, m.exited
	m.wanted = false
	m.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill()
		<-exited
	}
}

func (m *machine) signal(s syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil {
		_ = m.cmd.Process.Signal(s)
	}
}

// answers says whether a path of the node's HTTP door gives 200.
func (m *machine) answers(path string) bool {
	resp, err := web.Get("http://" + m.http + path)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (m *machine) ready(within time.Duration) error {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if m.answers("/readyz") {
			return nil
		}
	}
	return fmt.Errorf("%s does not become ready: see %s", m.name, m.log.Name())
}

// leader finds who says that he leads; without one, it is anybody.
func (g *group) leader() *machine {
	for range 5 {
		for _, m := range g.machines {
			if m.answers("/readyz?role=leader") {
				return m
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return g.machines[0]
}

type status struct {
	NodeID  string `json:"node_id"`
	Leader  string `json:"leader"`
	Members []struct {
		ID         string `json:"id"`
		Name       string `json:"name"`
		Voter      bool   `json:"voter"`
		Reachable  bool   `json:"reachable"`
		Applied    uint64 `json:"applied"`
		StateHash  string `json:"state_hash"`
		Quarantine string `json:"quarantine"`
	} `json:"members"`
}

func (m *machine) status() (s status, err error) {
	out, err := m.parlor("status", "--json", "--data-dir", m.dir)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// whole waits until all three are ready, have a vote, and are at one index
// with one state.
func (g *group) whole(within time.Duration) error {
	problem := errors.New("no status yet")
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if problem = g.agree(); problem == nil {
			return nil
		}
		var d *differs
		if errors.As(problem, &d) {
			return problem
		}
	}
	return fmt.Errorf("the group does not become whole within %s: %w", within, problem)
}

// differs is the error that no waiting mends.
type differs struct{ what string }

func (d *differs) Error() string { return d.what }

func (g *group) agree() error {
	for _, m := range g.machines {
		if !m.answers("/readyz") {
			return fmt.Errorf("%s is not ready", m.name)
		}
	}
	s, err := g.machines[0].status()
	if err != nil {
		return err
	}
	if len(s.Members) != len(g.machines) {
		return fmt.Errorf("%d members", len(s.Members))
	}
	for _, m := range s.Members {
		switch first := s.Members[0]; {
		case m.Quarantine != "":
			return &differs{fmt.Sprintf("%s is in quarantine: %s", m.Name, m.Quarantine)}
		case !m.Voter || !m.Reachable:
			return fmt.Errorf("%s: voter %v, reachable %v", m.Name, m.Voter, m.Reachable)
		case m.Applied != first.Applied:
			return fmt.Errorf("%s is at %d, %s at %d", m.Name, m.Applied, first.Name, first.Applied)
		case m.StateHash != first.StateHash:
			return &differs{fmt.Sprintf("the states differ at index %d: %+v", m.Applied, s.Members)}
		}
	}
	return nil
}

// stop ends what we started.
func (g *group) stop() {
	for _, m := range g.machines {
		m.signal(syscall.SIGCONT)
		m.kill()
		_ = m.log.Close()
	}
	for _, d := range g.doors {
		_ = d.Close()
	}
	g.net.heal()
}

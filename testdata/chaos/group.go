package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	http, resp, cluster string // cluster: as advertised, which may be a door of proxies
	listens             string
	clock, password     string // files: how far the clock is off; what Redis clients must say
	log                 *os.File
	net                 network
	drive               *drive // nil: the folder is on a disk like any other

	works sync.Mutex // held by a fault that stops, changes and starts the node: one at a time

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	wanted bool // we have not killed it: an end is a surprise
	held   bool // it is not to be started
	mortal int  // faults that are under way at which it may end by itself
}

// group is three machines and the network between them.
type group struct {
	machines []*machine
	net      network
	steps    bool // the program's clock can be set

	surprise chan error // a process that ended by itself
	members  sync.Mutex // one node is replaced at a time
	// Where all nodes were off, the machines' clocks are all that is known of
	// the time: no clock is wrong just then.
	clocks sync.Mutex
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

// layout says of what the machines are made.
type layout struct {
	binary, dir string
	steps       bool // the program's clock can be set
	hosts       bool // each node has a network of its own; else on loopback, with proxies between
	drives      bool // each node has a disk of its own
	lies        bool // the disks say that they have synced when they have not
	seed        uint64
}

// newGroup lays out, forms and starts the group.
func newGroup(l layout) (g *group, err error) {
	g = &group{steps: l.steps, surprise: make(chan error, 16)}
	doors := newProxies()
	if g.net = doors; l.hosts {
		if g.net, err = newHosts(); err != nil {
			return g, fmt.Errorf("making the hosts: %w", err)
		}
	}
	password := filepath.Join(l.dir, "password")
	if err := os.WriteFile(password, []byte(respPassword), 0o600); err != nil {
		return g, err
	}
	for i := range 3 {
		m := &machine{index: i, name: fmt.Sprintf("n%d", i+1), binary: l.binary, net: g.net, password: password}
		m.dir, m.clock = filepath.Join(l.dir, m.name), filepath.Join(l.dir, m.name+".clock")
		if m.log, err = os.Create(filepath.Join(l.dir, m.name+".log")); err != nil {
			return g, err
		}
		g.machines = append(g.machines, m)
		if l.drives {
			if m.drive, err = newDrive(m.dir, l.seed+uint64(i)); err != nil {
				return g, fmt.Errorf("making a disk: %w", err)
			}
			m.drive.Lie(l.lies)
			m.drive.Plain((l.seed+uint64(i))%2 == 0)
			m.dir = filepath.Join(m.drive.Mount, "data")
		}
		if l.hosts {
			at := func(port int) string { return fmt.Sprintf("%s:%d", hostAddr(i), port) }
			m.http, m.resp, m.cluster, m.listens = at(8080), at(6380), at(7400), at(7400)
			continue
		}
		for _, addr := range []*string{&m.http, &m.resp, &m.cluster, &m.listens} {
			if *addr, err = freeAddr(); err != nil {
				return g, err
			}
		}
		if err := doors.door(m.cluster, m.listens, i); err != nil {
			return g, err
		}
	}
	return g, g.form()
}

// own are the arguments that say where a node is.
func (m *machine) own() []string {
	return []string{"--data-dir", m.dir, "--cluster", m.cluster, "--cluster-listen", m.listens, "--http", m.http, "--resp", m.resp}
}

func (g *group) form() error {
	first := g.machines[0]
	out, err := first.parlor(append([]string{"init", "--json"}, first.own()...)...)
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
			if _, err := m.parlor(append([]string{"join", "--server", first.cluster, "--token", formed.Token}, m.own()...)...); err != nil {
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

// parlor runs the program's command line, where the node runs.
func (m *machine) parlor(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	line := append(append(m.net.enter(m.index), m.binary), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), clockEnv+"="+m.clock)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("parlor %s %s: %w: %s", args[0], args[1], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// start runs a node, if it does not run. A machine whose node is being replaced
// has an empty folder meanwhile: a node that is started there would be a group
// of its own.
func (g *group) start(m *machine) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil || m.held || m.isNobody() {
		return nil
	}
	line := append(m.net.enter(m.index), m.binary, "serve", "--data-dir", m.dir, "--name", m.name, "--rate-limits=false",
		"--resp-password-file", m.password, "--stop-with-stdin")
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), clockEnv+"="+m.clock)
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
			if m.wanted && m.mortal == 0 {
				g.surprise <- fmt.Errorf("%s ended by itself (%v): see %s", m.name, err, m.log.Name())
			}
			m.cmd = nil
		}
		close(exited)
	}()
	return nil
}

// hold kills the process and lets nobody start it until it is let go.
func (m *machine) hold() {
	m.mu.Lock()
	m.held = true
	m.mu.Unlock()
	m.kill()
}

func (m *machine) letGo() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = false
}

// mayEnd says how many faults are under way at which the node may end itself.
func (m *machine) mayEnd(by int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mortal += by
}

// awaitAnswer waits, not for ever, until a process that was started answers.
func (m *machine) awaitAnswer() {
	for range 50 {
		if !m.runs() {
			return
		}
		if _, err := m.status(); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (m *machine) runs() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cmd != nil
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

// elected waits until somebody leads, but not for ever.
func (g *group) elected() {
	for end := time.Now().Add(forWhole); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, m := range g.machines {
			if m.answers("/readyz?role=leader") {
				return
			}
		}
	}
}

type status struct {
	NodeID  string `json:"node_id"`
	Role    string `json:"role"`
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
	out, err := m.parlor("status", "--json", "--stale", "--data-dir", m.dir)
	if err != nil && len(out) == 0 {
		return s, err
	}
	return s, json.Unmarshal(out, &s) // of a removed node it is an error, but it is told
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
func (g *group) stop() (err error) {
	for _, m := range g.machines {
		m.signal(syscall.SIGCONT)
		if m.drive != nil {
			m.drive.Hang(false)
		}
		m.kill()
		if m.drive != nil {
			err = errors.Join(err, m.drive.remove())
		}
		_ = m.log.Close()
	}
	return errors.Join(err, g.net.Close())
}

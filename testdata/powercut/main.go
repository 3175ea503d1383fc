// Powercut writes to a group of three nodes whose disks forget what was not
// synced, cuts the power of all of them at once, again and again, and looks
// whether everything is there that was acknowledged. It needs Linux with FUSE
// and the right to mount.
//
//	go build -o parlor ./cmd/parlor
//	go -C testdata/powercut run . -parlor ../../parlor
//
// With -lie it must fail: that shows that it can.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/testdata/powercut/disk"
)

func main() {
	binary := flag.String("parlor", "../../parlor", "the program to test")
	writes := flag.Int("writes", 1_000_000, "acknowledged writes to make")
	cuts := flag.Int("cuts", 20, "times that the power is cut")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what the disks lose")
	port := flag.Int("port", 19400, "first of the ports to use")
	lie := flag.Bool("lie", false, "let the disks say that they have synced when they have not: losses must be found")
	flag.Parse()
	fmt.Printf("seed %d\n", *seed)
	if err := run(*binary, *writes, *cuts, *seed, *port, *lie); err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(1)
	}
}

// machine is one node with its disk.
type machine struct {
	disk                *disk.Disk
	binary              string
	http, resp, cluster string
	log                 *os.File
	cmd                 *exec.Cmd
}

func (m *machine) data() string { return filepath.Join(m.disk.Mount, "data") }

func (m *machine) parlor(args ...string) ([]byte, error) {
	cmd := exec.Command(m.binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("parlor %s: %w: %s", args[0], err, stderr.String())
	}
	return out, nil
}

func (m *machine) start() error {
	m.cmd = exec.Command(m.binary, "serve", "--data-dir", m.data())
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	return m.cmd.Start()
}

// ready waits until the node may be used.
func (m *machine) ready() error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get("http://" + m.http + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("the node at %s does not become ready: see %s", m.http, m.log.Name())
}

func run(binary string, writes, cuts int, seed uint64, port int, lie bool) (err error) {
	binary, err = filepath.Abs(binary)
	if err != nil {
		return err
	}
	base, err := os.MkdirTemp("", "powercut-")
	if err != nil {
		return err
	}
	var group []*machine
	defer func() {
		for _, m := range group {
			if m.cmd != nil {
				_ = m.cmd.Process.Kill()
				_ = m.cmd.Wait()
			}
			m.disk.Cut()
			err = errors.Join(err, m.disk.Off())
		}
		if err == nil {
			err = os.RemoveAll(base)
		} else {
			err = fmt.Errorf("%w\nwhat is left is in %s", err, base)
		}
	}()
	for i := range 3 {
		d, err := disk.New(filepath.Join(base, fmt.Sprint("disk", i)), seed+uint64(i))
		if err != nil {
			return err
		}
		log, err := os.Create(filepath.Join(base, fmt.Sprintf("node%d.log", i)))
		if err != nil {
			return err
		}
		at := func(n int) string { return fmt.Sprintf("127.0.0.1:%d", port+10*i+n) }
		group = append(group, &machine{disk: d, binary: binary, http: at(0), resp: at(1), cluster: at(2), log: log})
	}
	if err := form(group); err != nil {
		return err
	}
	for _, m := range group {
		m.disk.Lie(lie)
	}
	l := newLedger(12)
	for cut := 1; cut <= cuts; cut++ {
		started := time.Now()
		if err := l.write(group, int64(writes)*int64(cut)/int64(cuts)); err != nil {
			return err
		}
		wrote := time.Since(started)
		for _, m := range group {
			m.disk.Cut()
		}
		for _, m := range group {
			_ = m.cmd.Process.Kill()
			_ = m.cmd.Wait()
		}
		l.stop()
		for _, m := range group {
			if err := errors.Join(m.disk.Off(), m.disk.On(), m.start()); err != nil {
				return err
			}
		}
		started = time.Now()
		for _, m := range group {
			if err := m.ready(); err != nil {
				return err
			}
		}
		back := time.Since(started)
		if err := l.check(group[cut%3], cut == cuts); err != nil {
			return fmt.Errorf("after cut %d: %w", cut, err)
		}
		if err := agree(group); err != nil {
			return fmt.Errorf("after cut %d: %w", cut, err)
		}
		fmt.Printf("cut %2d: %8d acknowledged so far, in %5.1f s; ready again after %4.1f s\n", cut, l.acked.Load(), wrote.Seconds(), back.Seconds())
	}
	for i, m := range group {
		fmt.Printf("disk %d: %s\n", i, m.disk.Losses())
	}
	fmt.Printf("%d acknowledged writes, none lost\n", l.acked.Load())
	return nil
}

// form makes the group and waits until all have a vote.
func form(group []*machine) error {
	first := group[0]
	out, err := first.parlor("init", "--data-dir", first.data(), "--cluster", first.cluster, "--http", first.http, "--resp", first.resp, "--json")
	if err != nil {
		return err
	}
	var formed struct {
		Token string `json:"join_token"`
	}
	if err := json.Unmarshal(out, &formed); err != nil {
		return err
	}
	for i, m := range group {
		if i > 0 {
			if _, err := m.parlor("join", "--data-dir", m.data(), "--server", first.cluster, "--token", formed.Token,
				"--cluster", m.cluster, "--http", m.http, "--resp", m.resp); err != nil {
				return err
			}
		}
		if err := errors.Join(m.start(), m.ready()); err != nil {
			return err
		}
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if s, err := first.status(); err == nil && s.Voters == len(group) {
			return nil
		}
	}
	return errors.New("the nodes do not get their votes")
}

type status struct {
	Voters  int `json:"voters"`
	Members []struct {
		ID         string `json:"id"`
		Reachable  bool   `json:"reachable"`
		Applied    uint64 `json:"applied"`
		StateHash  string `json:"state_hash"`
		Quarantine string `json:"quarantine"`
	} `json:"members"`
}

func (m *machine) status() (s status, err error) {
	out, err := m.parlor("status", "--data-dir", m.data(), "--json")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// agree waits until all nodes are at one log index, and compares their states.
func agree(group []*machine) error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s, err := group[0].status()
		if err != nil {
			return err
		}
		same := true
		for _, m := range s.Members {
			if m.Quarantine != "" {
				return fmt.Errorf("node %s is in quarantine: %s", m.ID, m.Quarantine)
			}
			same = same && m.Reachable && m.Applied == s.Members[0].Applied
		}
		if !same {
			continue
		}
		for _, m := range s.Members {
			if m.StateHash != s.Members[0].StateHash {
				return fmt.Errorf("the states differ at index %d: %+v", m.Applied, s.Members)
			}
		}
		return nil
	}
	return errors.New("the nodes do not come to one index")
}

// ledger is what was written and acknowledged. Each client writes keys of its
// own, w<client>:<number>, one after another, and counts them with INCR.
type ledger struct {
	clients []*client
	acked   atomic.Int64
	wg      sync.WaitGroup
	ending  atomic.Bool
}

type client struct {
	name     string
	next     int   // number of the next key
	acked    []int // numbers, in order
	counted  int64 // acknowledged INCRs
	proposed int64 // INCRs sent
	checked  int   // of acked, that were seen after a cut
}

func newLedger(clients int) *ledger {
	l := &ledger{}
	for i := range clients {
		l.clients = append(l.clients, &client{name: fmt.Sprint("w", i)})
	}
	return l
}

// write has the clients write until so many writes are acknowledged, and goes
// on behind the caller's back: the cut comes in the middle.
func (l *ledger) write(group []*machine, until int64) error {
	l.ending.Store(false)
	for i, c := range l.clients {
		l.wg.Go(func() {
			for at := i; !l.ending.Load(); at++ {
				c.write(group[at%len(group)].resp, l)
			}
		})
	}
	end := time.Now().Add(20 * time.Minute)
	for l.acked.Load() < until {
		if time.Now().After(end) {
			return errors.New("the group takes no writes")
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

func (l *ledger) stop() {
	l.ending.Store(true)
	l.wg.Wait()
}

// write sends pipelines until the connection breaks.
func (c *client) write(addr string, l *ledger) {
	conn, err := dial(addr)
	if err != nil {
		time.Sleep(5 * time.Millisecond)
		return
	}
	defer conn.Close()
	const batch = 50
	for !l.ending.Load() {
		first := c.next
		c.next += batch
		for n := first; n < c.next; n++ {
			conn.send("SET", fmt.Sprintf("%s:%d", c.name, n), fmt.Sprint(n))
		}
		conn.send("INCR", c.name)
		c.proposed++
		if conn.flush() != nil {
			return
		}
		for n := first; n < c.next; n++ {
			reply, err := conn.receive()
			if err != nil {
				return
			}
			if reply == "OK" {
				c.acked = append(c.acked, n)
				l.acked.Add(1)
			}
		}
		reply, err := conn.receive()
		if err != nil {
			return
		}
		if len(reply) > 0 && reply[0] != '-' {
			c.counted++
			l.acked.Add(1)
		}
	}
}

// check looks for what was acknowledged; with all set for everything, else for
// what is new since the last time.
func (l *ledger) check(m *machine, all bool) error {
	conn, err := dial(m.resp)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, c := range l.clients {
		conn.send("GET", c.name)
		if err := conn.flush(); err != nil {
			return err
		}
		reply, err := conn.receive()
		if err != nil {
			return err
		}
		var n int64
		_, _ = fmt.Sscan(reply, &n)
		if n < c.counted || n > c.proposed {
			return fmt.Errorf("counter %s is %q after %d acknowledged of %d increments", c.name, reply, c.counted, c.proposed)
		}
		if all {
			c.checked = 0
		}
		if err := c.find(conn); err != nil {
			return err
		}
	}
	return nil
}

// find reads the keys that were acknowledged.
func (c *client) find(conn *conn) error {
	for ; c.checked < len(c.acked); c.checked += min(1000, len(c.acked)-c.checked) {
		some := c.acked[c.checked:min(c.checked+1000, len(c.acked))]
		for _, n := range some {
			conn.send("GET", fmt.Sprintf("%s:%d", c.name, n))
		}
		if err := conn.flush(); err != nil {
			return err
		}
		for _, n := range some {
			reply, err := conn.receive()
			if err != nil {
				return err
			}
			if reply != fmt.Sprint(n) {
				return fmt.Errorf("LOST: %s:%d was acknowledged and is %q", c.name, n, reply)
			}
		}
	}
	return nil
}

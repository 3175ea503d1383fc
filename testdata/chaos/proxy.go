package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// network is what the nodes have between them. Cut and delay are of one
// direction between two of them.
type network interface {
	set(l link, cut bool, delay time.Duration) error
	// reset breaks all connections of a node, as a router does that was replaced.
	reset(node int)
	// heal makes all links whole.
	heal() error
	// runs notes the process of a node.
	runs(pid, node int)
	// enter is what a command begins with that runs where a node does.
	enter(node int) []string
	// slows says whether delays are possible.
	slows() bool
	Close() error
}

// proxies are a network on loopback: each one's advertised address
// is a door of ours, which passes on what comes to where the node listens.
// What a link does depends on who sends and who receives; the sender of a
// connection is found by its process, as /proc tells it.
type proxies struct {
	doors   []io.Closer
	mu      sync.Mutex
	changed *sync.Cond
	cut     map[link]bool
	delay   map[link]time.Duration
	pids    map[int]int // process → node
	conns   map[*wire]bool
}

// link is one direction between two nodes. outside is whoever is no node.
type link struct{ from, to int }

const outside = -1

// wire is one proxied connection.
type wire struct {
	from, to int
	in, out  net.Conn
}

func (w *wire) close() { _ = w.in.Close(); _ = w.out.Close() }

func newProxies() *proxies {
	n := &proxies{cut: map[link]bool{}, delay: map[link]time.Duration{}, pids: map[int]int{}, conns: map[*wire]bool{}}
	n.changed = sync.NewCond(&n.mu)
	return n
}

func (n *proxies) runs(pid, node int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pids[pid] = node
}

func (n *proxies) enter(int) []string { return nil }
func (n *proxies) slows() bool        { return true }

func (n *proxies) Close() error {
	for _, d := range n.doors {
		_ = d.Close()
	}
	return n.heal()
}

func (n *proxies) set(l link, cut bool, delay time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[l], n.delay[l] = cut, delay
	n.changed.Broadcast()
	return nil
}

func (n *proxies) reset(node int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.conns {
		if w.from == node || w.to == node {
			w.close()
		}
	}
}

func (n *proxies) heal() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	clear(n.delay)
	n.changed.Broadcast()
	return nil
}

// pass waits until a link carries, and gives its delay.
func (n *proxies) pass(l link) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.cut[l] {
		n.changed.Wait()
	}
	return n.delay[l]
}

// door opens the advertised address of a node.
func (n *proxies) door(advertised, listens string, to int) error {
	l, err := net.Listen("tcp", advertised)
	if err != nil {
		return err
	}
	n.doors = append(n.doors, l)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go n.carry(in, listens, to)
		}
	}()
	return nil
}

func (n *proxies) carry(in net.Conn, listens string, to int) {
	defer in.Close()
	from := n.sender(in.RemoteAddr().String())
	// A handshake needs both directions.
	n.pass(link{from, to})
	n.pass(link{to, from})
	out, err := net.DialTimeout("tcp", listens, 5*time.Second)
	if err != nil {
		return
	}
	w := &wire{from, to, in, out}
	defer w.close()
	n.mu.Lock()
	n.conns[w] = true
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.conns, w)
	}()
	ended := make(chan struct{}, 2)
	go func() { n.pump(in, out, link{from, to}); ended <- struct{}{} }()
	go func() { n.pump(out, in, link{to, from}); ended <- struct{}{} }()
	<-ended
}

// pump carries one direction. A delay holds back everything behind it, but
// what arrives meanwhile goes on together: latency, and not a narrow pipe.
func (n *proxies) pump(from, to net.Conn, l link) {
	type piece struct {
		at   time.Time
		data []byte
	}
	pieces := make(chan piece, 256)
	go func() {
		defer close(pieces)
		for {
			b := make([]byte, 16<<10)
			k, err := from.Read(b)
			if k > 0 {
				pieces <- piece{time.Now(), b[:k]}
			}
			if err != nil {
				return
			}
		}
	}()
	broken := false
	for p := range pieces {
		if broken {
			continue
		}
		time.Sleep(time.Until(p.at.Add(n.pass(l))))
		n.pass(l)
		if _, err := to.Write(p.data); err != nil {
			broken = true
			_ = from.Close()
		}
	}
	// The end of a connection is news too: it does not cross a cut.
	n.pass(l)
}

// sender finds the node to whose process a local port belongs.
func (n *proxies) sender(addr string) int {
	inode := inodeOf(addr)
	if inode == "" {
		return outside
	}
	n.mu.Lock()
	pids := make(map[int]int, len(n.pids))
	for pid, node := range n.pids {
		pids[pid] = node
	}
	n.mu.Unlock()
	for pid, node := range pids {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && to == "socket:["+inode+"]" {
				return node
			}
		}
	}
	return outside
}

// inodeOf finds the socket with a local IPv4 address in /proc/net/tcp.
func inodeOf(addr string) string {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return ""
	}
	ip := a.IP.To4()
	local := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) > 9 && fields[1] == local {
			return fields[9]
		}
	}
	return ""
}

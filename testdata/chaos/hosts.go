package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// hosts are three network namespaces on a bridge: each node has a network
// stack of its own. A cut direction is a wrong hardware address for whoever is
// not to be reached: what is sent to him is lost without a word.
type hosts struct {
	delays bool // the kernel can delay packets

	mu     sync.Mutex
	keeper []*exec.Cmd // processes that keep the namespaces
	cuts   map[link]bool
	delay  map[link]time.Duration
}

func hostAddr(node int) string { return fmt.Sprintf("10.88.0.%d", node+1) }
func hardware(node int) string { return fmt.Sprintf("02:00:00:00:00:%02x", node+1) }

const nowhere = "02:00:00:00:ff:ff"

// newHosts makes the namespaces. It must be called inside.
func newHosts() (h *hosts, err error) {
	h = &hosts{cuts: map[link]bool{}, delay: map[link]time.Duration{}}
	defer func() {
		if err != nil {
			_ = h.Close()
		}
	}()
	all := [][]string{
		{"ip", "link", "add", "hosts", "type", "bridge"},
		{"ip", "addr", "add", "10.88.0.254/24", "dev", "hosts"},
		{"ip", "link", "set", "hosts", "up"},
	}
	for i := range 3 {
		cmd := exec.Command("sleep", "infinity")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return h, err
		}
		h.keeper = append(h.keeper, cmd)
		port := fmt.Sprint("host", i)
		in := func(args ...string) []string { return append(h.enter(i), args...) }
		all = append(all,
			[]string{"ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "address", hardware(i), "netns", strconv.Itoa(cmd.Process.Pid)},
			[]string{"ip", "link", "set", port, "master", "hosts", "up"},
			in("ip", "link", "set", "lo", "up"),
			in("ip", "addr", "add", hostAddr(i)+"/24", "dev", "eth0"),
			in("ip", "link", "set", "eth0", "up"))
	}
	for _, args := range all {
		if err := sh(args...); err != nil {
			return h, err
		}
	}
	h.delays = sh(append(h.enter(0), "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")...) == nil
	if h.delays {
		_ = sh(append(h.enter(0), "tc", "qdisc", "del", "dev", "lo", "root")...)
	}
	return h, h.heal()
}

// enter is what a command begins with that is to run on a host.
func (h *hosts) enter(node int) []string {
	return []string{"nsenter", "-t", strconv.Itoa(h.keeper[node].Process.Pid), "-n", "--"}
}

func (h *hosts) runs(int, int) {}
func (h *hosts) reset(int)     {}
func (h *hosts) slows() bool   { return h.delays }

// set changes one direction. Of delays, a host has one for all that it sends.
func (h *hosts) set(l link, cut bool, delay time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.put(l, cut, delay)
}

func (h *hosts) put(l link, cut bool, delay time.Duration) error {
	to := hardware(l.to)
	if cut {
		to = nowhere
	}
	h.cuts[l] = cut
	err := sh(append(h.enter(l.from), "ip", "neigh", "replace", hostAddr(l.to), "lladdr", to, "dev", "eth0", "nud", "permanent")...)
	if h.delays && h.delay[l] != delay {
		h.delay[l] = delay
		err = errors.Join(err, sh(append(h.enter(l.from), "tc", "qdisc", "replace", "dev", "eth0", "root", "netem", "delay", fmt.Sprintf("%dus", delay.Microseconds()))...))
	}
	return err
}

func (h *hosts) heal() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	for from := range 3 {
		for to := range 3 {
			if from != to {
				err = errors.Join(err, h.put(link{from, to}, false, 0))
			}
		}
	}
	return err
}

// Close ends the hosts.
func (h *hosts) Close() error {
	for _, k := range h.keeper {
		_ = k.Process.Kill()
		_ = k.Wait()
	}
	return nil
}

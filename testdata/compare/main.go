// Compare measures replicated writes: three nodes of Parlor, three of etcd,
// and one Redis that fsyncs every write, one after another on this machine,
// with the same number of clients and the same values, and prints ratios.
//
//	go build -o parlor ./cmd/parlor
//	go -C testdata/compare run . -parlor ../../parlor
//
// It needs etcd and redis-server in PATH, listens on loopback, and keeps its
// data in a temporary folder. It is a module of its own so that the product
// does not depend on etcd's client.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// value is what is written: 100 bytes, as a chat message may be.
var value = strings.Repeat("v", 100)

// system is something that stores a value durably.
type system interface {
	// start brings it up in dir and returns when it accepts writes.
	start(dir string) error
	// client gives a function that stores one value under a key.
	client(i int) (set func(key string) error, err error)
	stop()
}

// figure is the outcome of one round.
type figure struct {
	perSecond     float64
	p50, p99, max time.Duration
}

func main() {
	binary := flag.String("parlor", "../../parlor", "the program to measure")
	clients := flag.Int("clients", 200, "connections, each with one write under way")
	seconds := flag.Int("seconds", 8, "of a round")
	rounds := flag.Int("rounds", 3, "of each system; the median counts")
	flag.Parse()
	if err := run(*binary, *clients, *seconds, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(binary string, clients, seconds, rounds int) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	names := []string{"parlor, 3 nodes", "etcd, 3 nodes", "redis, 1 node, appendfsync always"}
	figures := make([][]figure, len(names))
	for round := range rounds {
		for i, s := range []system{&parlorGroup{binary: binary}, &etcdGroup{}, &redisServer{}} {
			f, err := measure(s, clients, time.Duration(seconds)*time.Second)
			if err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
			fmt.Fprintf(os.Stderr, "round %d  %-36s %8.0f a second\n", round+1, names[i], f.perSecond)
			figures[i] = append(figures[i], f)
		}
	}
	fmt.Printf("%d CPUs, %d clients, values of %d bytes, %d rounds of %d s, medians\n\n", runtime.NumCPU(), clients, len(value), rounds, seconds)
	fmt.Printf("| system | SET/s | p50 | p99 | parlor is |\n|---|---:|---:|---:|---:|\n")
	base := median(figures[0])
	for i, name := range names {
		m := median(figures[i])
		fmt.Printf("| %s | %.0f | %.1f ms | %.1f ms | %.2f × |\n", name, m.perSecond,
			m.p50.Seconds()*1000, m.p99.Seconds()*1000, base.perSecond/m.perSecond)
	}
	return nil
}

func median(f []figure) figure {
	sorted := append([]figure(nil), f...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].perSecond < sorted[j].perSecond })
	return sorted[len(sorted)/2]
}

// measure starts a system, warms it up, and writes as fast as the clients can.
func measure(s system, clients int, duration time.Duration) (figure, error) {
	dir, err := os.MkdirTemp("", "parlor-compare-")
	if err != nil {
		return figure{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer s.stop()
	if err := s.start(dir); err != nil {
		return figure{}, err
	}
	sets := make([]func(string) error, clients)
	for i := range sets {
		if sets[i], err = s.client(i); err != nil {
			return figure{}, err
		}
	}
	if _, err := write(sets, time.Second); err != nil {
		return figure{}, fmt.Errorf("warming up: %w", err)
	}
	return write(sets, duration)
}

func write(sets []func(string) error, duration time.Duration) (figure, error) {
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	latencies := make([][]time.Duration, len(sets))
	begin := time.Now()
	for i, set := range sets {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; time.Since(begin) < duration; n++ {
				at := time.Now()
				if err := set(fmt.Sprintf("key:%d:%d", i, n%1000)); err != nil {
					failed.Store(&err)
					return
				}
				latencies[i] = append(latencies[i], time.Since(at))
			}
		}()
	}
	wg.Wait()
	elapsed := time.Since(begin)
	if err := failed.Load(); err != nil {
		return figure{}, *err
	}
	var all []time.Duration
	for _, l := range latencies {
		all = append(all, l...)
	}
	if len(all) == 0 {
		return figure{}, errors.New("nothing was written")
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return figure{
		perSecond: float64(len(all)) / elapsed.Seconds(),
		p50:       all[len(all)/2], p99: all[len(all)*99/100], max: all[len(all)-1],
	}, nil
}

// processes are the servers of a system.
type processes struct{ running []*exec.Cmd }

func (p *processes) launch(dir, name string, args ...string) error {
	log, err := os.Create(filepath.Join(dir, fmt.Sprintf("log%d", len(p.running))))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	if err := cmd.Start(); err != nil {
		return err
	}
	p.running = append(p.running, cmd)
	return nil
}

func (p *processes) stop() {
	for _, cmd := range p.running {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, cmd := range p.running {
		timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
	}
}

// respClient writes over the Redis protocol.
func respClient(addr string) (func(string) error, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	return func(key string) error {
		if _, err := fmt.Fprintf(conn, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(value), value); err != nil {
			return err
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, "+OK") {
			return errors.New(strings.TrimSpace(line))
		}
		return nil
	}, nil
}

// eventually waits until a server takes a write.
func eventually(try func() error) error {
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if err = try(); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("did not come up: %w", err)
}

const basePort = 14400

// parlorGroup is three nodes; clients are spread over all of them.
type parlorGroup struct {
	processes
	binary string
}

func (g *parlorGroup) start(dir string) error {
	if err := g.launch(dir, g.binary, "demo", "--dir", filepath.Join(dir, "demo"), "--port-base", fmt.Sprint(basePort)); err != nil {
		return err
	}
	for i := range 3 {
		if err := eventually(func() error {
			set, err := respClient(g.addr(i))
			if err != nil {
				return err
			}
			return set("ready")
		}); err != nil {
			return err
		}
	}
	return nil
}

func (g *parlorGroup) addr(i int) string { return fmt.Sprintf("127.0.0.1:%d", basePort+10+1+i%3) }

func (g *parlorGroup) client(i int) (func(string) error, error) { return respClient(g.addr(i)) }

// etcdGroup is three nodes at their defaults; clients are spread over all.
type etcdGroup struct {
	processes
	clients []*clientv3.Client
}

func (g *etcdGroup) endpoint(i int) string {
	return fmt.Sprintf("http://127.0.0.1:%d", basePort+50+i%3)
}

func (g *etcdGroup) start(dir string) error {
	var members []string
	for i := range 3 {
		members = append(members, fmt.Sprintf("n%d=http://127.0.0.1:%d", i, basePort+60+i))
	}
	for i := range 3 {
		peer := fmt.Sprintf("http://127.0.0.1:%d", basePort+60+i)
		if err := g.launch(dir, "etcd", "--name", fmt.Sprintf("n%d", i), "--data-dir", filepath.Join(dir, fmt.Sprintf("n%d", i)),
			"--listen-client-urls", g.endpoint(i), "--advertise-client-urls", g.endpoint(i),
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new"); err != nil {
			return err
		}
	}
	return eventually(func() error {
		set, err := g.client(0)
		if err != nil {
			return err
		}
		return set("ready")
	})
}

func (g *etcdGroup) client(i int) (func(string) error, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{g.endpoint(i)}, DialTimeout: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	g.clients = append(g.clients, c)
	return func(key string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := c.Put(ctx, key, value)
		return err
	}, nil
}

func (g *etcdGroup) stop() {
	for _, c := range g.clients {
		_ = c.Close()
	}
	g.processes.stop()
}

// redisServer is one node that fsyncs before it answers.
type redisServer struct{ processes }

func (s *redisServer) addr() string { return fmt.Sprintf("127.0.0.1:%d", basePort+70) }

func (s *redisServer) start(dir string) error {
	if err := s.launch(dir, "redis-server", "--port", fmt.Sprint(basePort+70), "--bind", "127.0.0.1", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", ""); err != nil {
		return err
	}
	return eventually(func() error {
		set, err := s.client(0)
		if err != nil {
			return err
		}
		return set("ready")
	})
}

func (s *redisServer) client(int) (func(string) error, error) { return respClient(s.addr()) }

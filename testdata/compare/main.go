// Compare measures replicated writes: three nodes of Parlor, three of etcd,
// and one Redis that fsyncs every write, one after another on this machine,
// with the same number of clients and the same values, and prints ratios.
//
//	go build -o parlor ./cmd/parlor
//	go -C testdata/compare run . -parlor ../../parlor
//	go -C testdata/compare run . -parlor ../../parlor -single
//
// With -single it compares one durable node with one Redis, with -single -large
// in writing large values, with -single -elements in reading from larger keys, with
// -single -bulk in loading a million keys, with -single -fanout in giving messages to
// subscribers.
//
// It needs etcd (or -etcd) and redis-server in PATH, listens on loopback, and keeps its
// data in a temporary folder. It is a module of its own so that the product
// does not depend on etcd's client.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
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
	etcd := flag.String("etcd", "etcd", "the etcd to compare with")
	clients := flag.Int("clients", 200, "connections, each with one write under way")
	seconds := flag.Int("seconds", 8, "of a round")
	rounds := flag.Int("rounds", 3, "of each system; the median counts")
	single := flag.Bool("single", false, "one node beside one Redis instead, with redis-benchmark as the client")
	requests := flag.Int("requests", 100_000, "with -single: of a round, four times as many in pipelines")
	large := flag.Bool("large", false, "with -single: values of 10 KB and of 1 MB")
	elements := flag.Bool("elements", false, "with -single: reads of some elements of larger keys")
	bulk := flag.Bool("bulk", false, "with -single: a million keys that are mostly new")
	fanout := flag.Bool("fanout", false, "with -single: messages to subscribers, rounds of -seconds")
	flag.Parse()
	if *single {
		compare := func() error { return compareSingle(smallLoads(), *rounds, *requests) }
		switch {
		case *large:
			compare = func() error { return compareSingle(largeLoads(), *rounds, *requests) }
		case *elements:
			compare = func() error { return compareSingle(elementLoads(), *rounds, *requests) }
		case *bulk:
			compare = func() error { return compareSingle(bulkLoads(), *rounds, *requests) }
		case *fanout:
			compare = func() error { return compareFanouts(*rounds, time.Duration(*seconds)*time.Second) }
		}
		if err := besideRedis(*binary, compare); err != nil {
			fmt.Fprintln(os.Stderr, "compare:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(*binary, *etcd, *clients, *seconds, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(binary, etcd string, clients, seconds, rounds int) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	rows := []row{
		{name: "parlor, 3 nodes, clients at the leader", make: func() system { return &parlorGroup{binary: binary, atLeader: true} }},
		{name: "etcd, 3 nodes, clients at the leader", make: func() system { return &etcdGroup{binary: etcd, atLeader: true} }, beside: 0},
		{name: "parlor, 3 nodes, clients at all", make: func() system { return &parlorGroup{binary: binary} }, beside: 2},
		{name: "etcd, 3 nodes, clients at all", make: func() system { return &etcdGroup{binary: etcd} }, beside: 2},
		{name: "redis, 1 node, appendfsync always", make: func() system { return &redisServer{} }, beside: 0},
	}
	for round := range rounds {
		for i := range rows {
			r := &rows[i]
			f, err := measure(r.make(), clients, time.Duration(seconds)*time.Second)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d  %-40s %8.0f a second\n", round+1, r.name, f.perSecond)
			r.figures = append(r.figures, f)
		}
	}
	fmt.Printf("%d CPUs, %d clients, values of %d bytes, %d rounds of %d s, medians\n\n", runtime.NumCPU(), clients, len(value), rounds, seconds)
	fmt.Printf("| system | SET/s | p50 | p99 | parlor is |\n|---|---:|---:|---:|---:|\n")
	for _, r := range rows {
		m := median(r.figures)
		fmt.Printf("| %s | %.0f | %.1f ms | %.1f ms | %.2f × |\n", r.name, m.perSecond,
			m.p50.Seconds()*1000, m.p99.Seconds()*1000, median(rows[r.beside].figures).perSecond/m.perSecond)
	}
	return nil
}

// row is one system in one way of use.
type row struct {
	name    string
	make    func() system
	beside  int // the row of ours that it is compared with
	figures []figure
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
	var out []byte
	bulk := func(s string) {
		out = append(out, '$')
		out = strconv.AppendInt(out, int64(len(s)), 10)
		out = append(out, "\r\n"...)
		out = append(append(out, s...), "\r\n"...)
	}
	return func(key string) error {
		out = append(out[:0], "*3\r\n$3\r\nSET\r\n"...)
		bulk(key)
		bulk(value)
		if _, err := conn.Write(out); err != nil {
			return err
		}
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) < 3 || line[0] != '+' {
			return errors.New(strings.TrimSpace(string(line)))
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

// parlorGroup is three nodes at their defaults.
type parlorGroup struct {
	processes
	binary   string
	atLeader bool
	leader   int
}

func (g *parlorGroup) start(dir string) error {
	if err := g.launch(dir, g.binary, "demo", "--dir", filepath.Join(dir, "demo"), "--port-base", fmt.Sprint(basePort)); err != nil {
		return err
	}
	for i := range 3 {
		if err := eventually(func() error {
			set, err := respClient(fmt.Sprintf("127.0.0.1:%d", basePort+10+1+i))
			if err != nil {
				return err
			}
			return set("ready")
		}); err != nil {
			return err
		}
		if err := eventually(func() error { return g.look(dir, i) }); err != nil {
			return err
		}
	}
	return nil
}

// look asks a node whether all three vote by now and whether it leads.
func (g *parlorGroup) look(dir string, i int) error {
	out, err := exec.Command(g.binary, "status", "--json", "--data-dir", filepath.Join(dir, "demo", fmt.Sprintf("node%d", i+1))).Output()
	if err != nil {
		return fmt.Errorf("asking node %d how it is: %w", i+1, err)
	}
	var status struct {
		Role   string
		Voters int
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return err
	}
	if status.Voters < 3 {
		return fmt.Errorf("%d of 3 nodes vote", status.Voters)
	}
	if status.Role == "leader" {
		g.leader = i
	}
	return nil
}

func (g *parlorGroup) addr(i int) string {
	if g.atLeader {
		i = g.leader
	}
	return fmt.Sprintf("127.0.0.1:%d", basePort+10+1+i%3)
}

func (g *parlorGroup) client(i int) (func(string) error, error) { return respClient(g.addr(i)) }

// etcdGroup is three nodes at their defaults.
type etcdGroup struct {
	processes
	binary   string
	atLeader bool
	leader   int
	clients  []*clientv3.Client
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
		if err := g.launch(dir, g.binary, "--name", fmt.Sprintf("n%d", i), "--data-dir", filepath.Join(dir, fmt.Sprintf("n%d", i)),
			"--listen-client-urls", g.endpoint(i), "--advertise-client-urls", g.endpoint(i),
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new"); err != nil {
			return err
		}
	}
	if err := eventually(func() error {
		set, err := g.client(0)
		if err != nil {
			return err
		}
		return set("ready")
	}); err != nil {
		return err
	}
	for i := range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		status, err := g.clients[0].Status(ctx, g.endpoint(i))
		cancel()
		if err != nil {
			return fmt.Errorf("asking etcd node %d how it is: %w", i, err)
		}
		if status.Leader == status.Header.MemberId {
			g.leader = i
		}
	}
	return nil
}

func (g *etcdGroup) client(i int) (func(string) error, error) {
	if g.atLeader {
		i = g.leader
	}
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

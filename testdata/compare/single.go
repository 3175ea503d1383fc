package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
)

// With -single, one node of Parlor stands beside one Redis, both answering
// only what is on disk, and redis-benchmark is the client of both. With -large
// as well, values are of 10 KB and of 1 MB; with -elements, commands read or remove
// elements of larger keys; with -bulk, they write a million keys that are mostly new.

// load is what redis-benchmark is asked to do.
type load struct {
	name     string
	args     []string
	clients  int
	pipeline int
	requests int // 0: as many as one asks for, and more in pipelines
	before   []string
}

// smallLoads are the commands, each with few and many clients, one by one and in
// pipelines. Reads come last: they find what the writes have left.
func smallLoads() []load {
	commands := []load{
		{name: "SET", args: []string{"SET", "key:__rand_int__", value}},
		{name: "HSET", args: []string{"HSET", "hash:__rand_int__", "field", value}},
		{name: "XADD", args: []string{"XADD", "stream:__rand_int__", "*", "field", value}},
		{name: "GET", args: []string{"GET", "key:__rand_int__"}},
	}
	var all []load
	for _, l := range commands {
		for _, l.clients = range []int{50, 200} {
			for _, l.pipeline = range []int{1, 16} {
				all = append(all, l)
			}
		}
	}
	return all
}

// largeLoads write values that take more of the disk than of the processor,
// 600 MB of them: more than what a node keeps in memory until it is in its table.
func largeLoads() []load {
	const most = 600 << 20
	var all []load
	for _, size := range []int{10 << 10, 1 << 20} {
		for _, pipeline := range []int{1, 16} {
			all = append(all, load{
				name: fmt.Sprintf("SET of %d KB", size>>10), args: []string{"-t", "set", "-d", strconv.Itoa(size)},
				clients: 4, pipeline: pipeline, requests: most / size,
			})
		}
	}
	return all
}

// elementLoads are reads of some elements, and removals of one, with 50 clients, one by one.
// What is there is written before.
func elementLoads() []load {
	fill := func(n int, args ...string) []string {
		return append([]string{"-n", strconv.Itoa(n), "-r", strconv.Itoa(n), "-P", "16"}, args...)
	}
	const many = 400_000
	loads := []load{
		{name: "LRANGE of 100", before: fill(100_000, "RPUSH", "list", "element"), args: []string{"LRANGE", "list", "0", "99"}},
		{name: "LRANGE of 600", args: []string{"LRANGE", "list", "0", "599"}},
		{name: "HGETALL of 12", before: fill(12, "HSET", "hash", "field:__rand_int__", value[:20]), args: []string{"HGETALL", "hash"}},
		{name: "SMEMBERS of some 65", before: fill(100, "SADD", "members", "member:__rand_int__"), args: []string{"SMEMBERS", "members"}},
		{name: "ZRANGE of 20", before: fill(many, "ZADD", "scores", "__rand_int__", "member:__rand_int__"), args: []string{"ZRANGE", "scores", "0", "19"}},
		{name: "ZRANGE of 20 in the middle", args: []string{"ZRANGE", "scores", "100000", "100019"}},
		{name: "ZRANGEBYSCORE of 20", args: []string{"ZRANGEBYSCORE", "scores", "5000", "+inf", "LIMIT", "0", "20"}},
		{name: "ZRANK", args: []string{"ZRANK", "scores", "member:__rand_int__"}},
		{name: "XREVRANGE of 10", before: fill(30_000, "XADD", "stream", "*", "field", "value"), args: []string{"XREVRANGE", "stream", "+", "-", "COUNT", "10"}},
		{name: "SPOP", before: fill(many, "SADD", "set", "member:__rand_int__"), args: []string{"SPOP", "set"}},
		{name: "ZPOPMIN", args: []string{"ZPOPMIN", "scores"}},
	}
	for i := range loads {
		loads[i].clients, loads[i].pipeline = 50, 1
	}
	return loads
}

// bulkLoads write more than a node keeps in memory until it is in its table, to keys
// and members that are mostly new.
func bulkLoads() []load {
	bulk := func(name string, args ...string) load {
		return load{name: name, args: append([]string{"-r", "10000000"}, args...), clients: 50, pipeline: 16, requests: 1_000_000}
	}
	return []load{
		bulk("HSET", "HSET", "hash:__rand_int__", "field", "1"),
		bulk("ZADD", "ZADD", "scores", "__rand_int__", "member:__rand_int__"),
		bulk("SET", "SET", "key:__rand_int__", "value"),
	}
}

// parlorNode is one node at its defaults.
type parlorNode struct {
	processes
	binary string
}

const nodePort = basePort + 80

func (n *parlorNode) addr() string { return fmt.Sprintf("127.0.0.1:%d", nodePort) }

func (n *parlorNode) start(dir string) error {
	if err := n.launch(dir, n.binary, "serve", "--data-dir", filepath.Join(dir, "node"), "--resp", n.addr(),
		"--http", fmt.Sprintf("127.0.0.1:%d", nodePort+1), "--cluster", fmt.Sprintf("127.0.0.1:%d", nodePort+2)); err != nil {
		return err
	}
	return eventually(func() error {
		set, err := respClient(n.addr())
		if err != nil {
			return err
		}
		return set("ready")
	})
}

const redisPort = basePort + 70

// besideRedis starts both servers and runs fn.
func besideRedis(binary string, fn func() error) error {
	binary, err := filepath.Abs(binary) // the servers run in folders of their own
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "parlor-compare-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	parlor, redis := &parlorNode{binary: binary}, &redisServer{}
	defer parlor.stop()
	defer redis.stop()
	for _, s := range []struct {
		name  string
		start func(dir string) error
	}{{"parlor", parlor.start}, {"redis", redis.start}} {
		home := filepath.Join(dir, s.name)
		if err := os.Mkdir(home, 0o700); err != nil {
			return err
		}
		if err := s.start(home); err != nil {
			return fmt.Errorf("starting %s: %w", s.name, err)
		}
	}
	return fn()
}

// compareSingle prints a table of both servers. In each round one load after
// the other runs on both, one right after the other.
func compareSingle(loads []load, rounds, requests int) error {
	fmt.Printf("| command | clients | pipeline | parlor | p99 | longest | redis | p99 | longest | parlor is |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, l := range loads {
		var ours, theirs []measured
		if l.before != nil {
			for _, port := range []int{nodePort, redisPort} {
				if err := exec.Command("redis-benchmark", append([]string{"-p", strconv.Itoa(port)}, l.before...)...).Run(); err != nil {
					return fmt.Errorf("%s: writing what is read: %w", l.name, err)
				}
			}
		}
		for range rounds {
			for _, side := range []struct {
				port int
				into *[]measured
			}{{nodePort, &ours}, {redisPort, &theirs}} {
				m, err := l.run(side.port, requests)
				if err != nil {
					return fmt.Errorf("%s: %w", l.name, err)
				}
				*side.into = append(*side.into, m)
			}
		}
		p, r := middle(ours), middle(theirs)
		fmt.Printf("| %s | %d | %d | %.0f | %.1f ms | %.0f ms | %.0f | %.1f ms | %.0f ms | %.2f × |\n",
			l.name, l.clients, l.pipeline, p.perSecond, p.p99, p.max, r.perSecond, r.p99, r.max, p.perSecond/r.perSecond)
	}
	return nil
}

// measured is the outcome of one run of redis-benchmark; p99 and max are in ms.
type measured struct{ perSecond, p99, max float64 }

func middle(all []measured) measured {
	sort.Slice(all, func(i, j int) bool { return all[i].perSecond < all[j].perSecond })
	return all[len(all)/2]
}

// run carries a load out. A pipeline carries more requests in the same time.
func (l load) run(port, requests int) (measured, error) {
	switch {
	case l.requests > 0:
		requests = l.requests
	case l.pipeline > 1:
		requests *= 4
	}
	args := append([]string{"-p", strconv.Itoa(port), "-c", strconv.Itoa(l.clients), "-P", strconv.Itoa(l.pipeline),
		"-n", strconv.Itoa(requests), "-r", "100000", "--csv"}, l.args...)
	var failed bytes.Buffer
	cmd := exec.Command("redis-benchmark", args...)
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return measured{}, fmt.Errorf("redis-benchmark: %w: %s", err, failed.String())
	}
	rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil || len(rows) < 2 {
		return measured{}, fmt.Errorf("what redis-benchmark printed is no table: %q", out)
	}
	// "test","rps","avg","min","p50","p95","p99","max"
	last := rows[len(rows)-1]
	var m measured
	for _, f := range []struct {
		into   *float64
		column int
	}{{&m.perSecond, 1}, {&m.p99, 6}, {&m.max, 7}} {
		if *f.into, err = strconv.ParseFloat(last[f.column], 64); err != nil {
			return m, err
		}
	}
	return m, nil
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// untilMemoryIsBack is how long a virtual machine may take to give the memory of
// a process that has ended back to the one it runs on: some of it every two
// seconds, and all processes stand still meanwhile. That is no part of what a
// new node costs.
const untilMemoryIsBack = 20 * time.Second

// TestStallFigures measures how long a write takes on three nodes while
// checkpoints are written, while the table is compacted and while a new node
// receives a snapshot, beside how long it takes when nothing of that goes on.
// PARLOR_STALLS is how many seconds of checkpoints. It judges nothing: the
// figures go into docs/benchmarks.md. See make stalls.
func TestStallFigures(t *testing.T) {
	seconds, err := strconv.Atoi(os.Getenv("PARLOR_STALLS"))
	if err != nil {
		t.Skip("set PARLOR_STALLS to how many seconds of checkpoints the figures are wanted for")
	}
	g := startGroup(t, 3, nil)
	leader := g.leader(t)
	client := redis.NewClient(&redis.Options{Addr: leader.resp, ReadTimeout: time.Minute})
	defer func() { _ = client.Close() }()
	const large = 600 << 20 // bytes, of which the table gets rid later
	fillState(t, client, large)
	fillSmall(t, client)
	phases := watchPhases(t, g)
	phases.until(t, func(now string) bool { return now == "quiet" })

	w := startWrites(t, leader.resp)
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
	case <-t.Context().Done():
		t.Fatal("interrupted")
	}

	removeLarge(t, client, large)
	phases.until(t, func(now string) bool { return now == "compaction" })
	phases.until(t, func(now string) bool { return now != "compaction" && phases.compacted() >= len(g.members) })
	phases.set("compaction") // until the files before are given up, too
	for _, m := range g.members {
		awaitFormerGone(t, m)
	}

	fresh := g.members[len(g.members)-1]
	if fresh == leader {
		fresh = g.members[0]
	}
	phases.set("gone") // counts for nothing
	g.takeOut(t, leader, fresh)
	time.Sleep(untilMemoryIsBack)
	phases.set("snapshot")
	begun := time.Now()
	g.bringIn(t, leader, fresh)
	t.Logf("a new node had the table and a vote after %.1f s", time.Since(begun).Seconds())
	phases.set("")
	phases.until(t, func(now string) bool { return now == "quiet" })
	samples := w.stop()
	phases.report(t, samples)
}

// awaitFormerGone waits until a node has given up the file that it has compacted.
// Only Linux tells; elsewhere it does not wait.
func awaitFormerGone(t *testing.T, m *member) {
	t.Helper()
	p, _ := m.process()
	for {
		open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.Pid))
		former := slices.ContainsFunc(open, func(fd string) bool {
			name, _ := os.Readlink(fd)
			return strings.HasSuffix(name, "data.db (deleted)")
		})
		if !former {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("interrupted")
		}
	}
}

// smallKeys is how many keys of 100 bytes the measured writes change.
const smallKeys = 300_000

func smallKey(i int) string { return fmt.Sprintf("small:%06d", i) }

func fillSmall(t *testing.T, client *redis.Client) {
	t.Helper()
	value := strings.Repeat("x", 100)
	for i := 0; i < smallKeys; {
		p := client.Pipeline()
		for range 500 {
			p.Set(t.Context(), smallKey(i), value, 0)
			i++
		}
		if _, err := p.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// removeLarge deletes what fillState wrote, a little at a time.
func removeLarge(t *testing.T, client *redis.Client, bytes int) {
	t.Helper()
	const value = 8 << 10
	for i := 0; i < bytes/value; {
		keys := make([]string, 0, 50)
		for range cap(keys) {
			keys = append(keys, fmt.Sprintf("filled:%08d", i))
			i++
		}
		if err := client.Del(t.Context(), keys...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// takeOut ends a node and takes it out of the group for good. What it had on the
// disk stays there: to remove a gigabyte of files can hold up others who use the
// disk longer than anything that a new node does.
func (g *localGroup) takeOut(t *testing.T, leader, m *member) {
	t.Helper()
	if err := m.kill(); err != nil {
		t.Fatal(err)
	}
	g.mustParlor(t, leader, "cluster", "remove", m.name, "--force")
}

// bringIn has a new node join in the place of one that was taken out.
func (g *localGroup) bringIn(t *testing.T, leader, m *member) {
	t.Helper()
	m.dataDir += "-new"
	out, err := parlor(t.Context(), "token", "create", "--data-dir", leader.dataDir, "--json")
	if err != nil {
		t.Fatal(err)
	}
	token, err := jsonString(out, "token")
	if err != nil {
		t.Fatal(err)
	}
	g.mustParlor(t, m, "join", "--server", leader.cluster, "--token", token,
		"--cluster", m.cluster, "--http", m.http, "--resp", m.resp)
	g.mustStart(t, m)
	if err := g.waitVotes(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// sample is one write.
type sample struct{ begun, ended time.Time }

// writes are SETs of random keys at a steady rate, whether answers come or not.
type writes struct {
	cancel  context.CancelFunc
	done    chan struct{}
	mu      sync.Mutex
	samples []sample
}

// writesPerSecond is a quarter of what three nodes and their clients reach on
// two cores.
const writesPerSecond = 1000

func startWrites(t *testing.T, addr string) *writes {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &writes{cancel: cancel, done: make(chan struct{})}
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 400, ReadTimeout: time.Minute})
	go func() {
		defer close(w.done)
		defer func() { _ = client.Close() }()
		var under sync.WaitGroup
		defer under.Wait()
		every := time.NewTicker(time.Second / writesPerSecond)
		defer every.Stop()
		value := strings.Repeat("y", 100)
		for {
			select {
			case <-every.C:
			case <-ctx.Done():
				return
			}
			under.Go(func() {
				begun := time.Now()
				if err := client.Set(context.WithoutCancel(ctx), smallKey(rand.IntN(smallKeys)), value, 0).Err(); err != nil {
					t.Errorf("writing: %v", err)
					return
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				w.samples = append(w.samples, sample{begun, time.Now()})
			})
		}
	}()
	return w
}

func (w *writes) stop() []sample {
	w.cancel()
	<-w.done
	return w.samples
}

// phases knows what the nodes were busy with, and when.
type phases struct {
	mu      sync.Mutex
	forced  string
	changes []phase
	done    int // nodes that have compacted their table
}

type phase struct {
	from time.Time
	what string
}

func watchPhases(t *testing.T, g *localGroup) *phases {
	t.Helper()
	p := &phases{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		every := time.NewTicker(50 * time.Millisecond)
		defer every.Stop()
		for {
			p.look(ctx, g)
			select {
			case <-every.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return p
}

// look asks all nodes.
func (p *phases) look(ctx context.Context, g *localGroup) {
	now, done := "quiet", 0
	at := time.Now()
	for _, m := range g.members {
		v := gauges(ctx, m)
		if v["parlor_table_compactions_total"] > 0 {
			done++
		}
		if v["parlor_table_compaction_running"] > 0 {
			now = "compaction"
		} else if v["parlor_checkpoint_running"] > 0 && now == "quiet" {
			now = "checkpoint"
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = max(p.done, done)
	if p.forced != "" {
		now = p.forced
	}
	if n := len(p.changes); n == 0 || p.changes[n-1].what != now {
		p.changes = append(p.changes, phase{at, now})
	}
}

// gauges gives a node's metrics; none if it does not answer.
func gauges(ctx context.Context, m *member) map[string]float64 {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	values := map[string]float64{}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.http+"/metrics", nil)
	if err != nil {
		return values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return values
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok {
			values[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return values
}

func (p *phases) set(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forced = what
}

func (p *phases) compacted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

func (p *phases) until(t *testing.T, ok func(now string) bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for time.Now().Before(deadline) {
		p.mu.Lock()
		now := ""
		if n := len(p.changes); n > 0 {
			now = p.changes[n-1].what
		}
		p.mu.Unlock()
		if ok(now) {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("interrupted")
		}
	}
	t.Fatal("the nodes did not come to what was waited for")
}

// of says what went on while a write was under way: the busiest of it.
func (p *phases) of(s sample) string {
	i, _ := slices.BinarySearchFunc(p.changes, s.begun, func(c phase, at time.Time) int { return c.from.Compare(at) })
	what := "quiet"
	for i = max(i-1, 0); i < len(p.changes) && p.changes[i].from.Before(s.ended); i++ {
		if now := p.changes[i].what; now != "quiet" {
			what = now
		}
	}
	return what
}

func (p *phases) report(t *testing.T, samples []sample) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	took := map[string][]time.Duration{}
	for _, s := range samples {
		what := p.of(s)
		took[what] = append(took[what], s.ended.Sub(s.begun))
	}
	var quiet time.Duration
	for _, what := range []string{"quiet", "checkpoint", "compaction", "snapshot"} {
		all := took[what]
		if len(all) == 0 {
			t.Logf("%-11s nothing was written", what)
			continue
		}
		slices.Sort(all)
		at := func(share float64) time.Duration {
			return all[int(share*float64(len(all)-1))].Round(10 * time.Microsecond)
		}
		if what == "quiet" {
			quiet = at(0.99)
		}
		t.Logf("%-11s %6d writes, p50 %v, p99 %v, p99.9 %v, longest %v: p99 is %.1f times the quiet one",
			what, len(all), at(0.5), at(0.99), at(0.999), at(1), float64(at(0.99))/float64(quiet))
	}
}

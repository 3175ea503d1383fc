package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestFailoverFigures measures, over three real nodes with the settings that
// everybody has, for how long a client gets no write acknowledged when the
// leader is killed and when it hands over, and how much memory idle nodes take.
// PARLOR_FAILOVER is how many times each. It judges nothing: the figures go
// into docs/benchmarks.md. See make failover.
func TestFailoverFigures(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv("PARLOR_FAILOVER"))
	if err != nil {
		t.Skip("set PARLOR_FAILOVER to how many kills and transfers the figures are wanted for")
	}
	g := startGroup(t, 3, nil)
	idleMemory(t, g)
	w := newWriter(t, g)
	w.report("leader killed", measured(rounds, func() time.Duration {
		leader := g.leader(t)
		gap := w.around(func() {
			if err := leader.kill(); err != nil {
				t.Fatal(err)
			}
		})
		g.mustStart(t, leader)
		g.settle(t)
		return gap
	}))
	w.report("leadership handed over", measured(rounds, func() time.Duration {
		leader := g.leader(t)
		gap := w.around(func() {
			if _, err := parlor(t.Context(), "cluster", "transfer-leader", "--data-dir", leader.dataDir); err != nil {
				t.Fatal(err)
			}
		})
		g.settle(t)
		return gap
	}))
	w.report("leader stopped (SIGTERM)", measured(rounds, func() time.Duration {
		leader := g.leader(t)
		gap := w.around(func() { leader.terminate(t) })
		g.mustStart(t, leader)
		g.settle(t)
		return gap
	}))
	w.stop()
}

func measured(rounds int, once func() time.Duration) []time.Duration {
	var all []time.Duration
	for range rounds {
		all = append(all, once())
	}
	slices.Sort(all)
	return all
}

// terminate stops a node in good order.
func (m *member) terminate(t *testing.T) {
	t.Helper()
	p, exited := m.process()
	if err := p.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-exited
}

// settle waits until all nodes are reachable and have the whole log.
func (g *localGroup) settle(t *testing.T) {
	t.Helper()
	eventually(t, "all nodes have caught up", func() bool {
		for _, m := range g.members {
			if m.waitReady(t.Context()) != nil {
				return false
			}
		}
		return true
	})
}

// idleMemory waits a minute and looks at what the processes have in memory.
func idleMemory(t *testing.T, g *localGroup) {
	t.Helper()
	select {
	case <-time.After(time.Minute):
	case <-t.Context().Done():
	}
	for _, m := range g.members {
		p, _ := m.process()
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
		if err != nil {
			t.Logf("idle memory: %v", err)
			return
		}
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "RssAnon:") {
				t.Logf("idle for a minute: %s %s", m.name, strings.Join(strings.Fields(line), " "))
			}
		}
	}
}

// writer is a client that counts up without a pause, on whichever node it
// gets an answer from. When a node closes the connection it tries the next.
type writer struct {
	t      *testing.T
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	acks   []time.Time
}

func newWriter(t *testing.T, g *localGroup) *writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &writer{t: t, cancel: cancel}
	t.Cleanup(w.stop)
	w.done.Go(func() {
		for at := 0; ctx.Err() == nil; at++ {
			w.writeTo(ctx, g.members[at%len(g.members)])
		}
	})
	return w
}

func (w *writer) writeTo(ctx context.Context, m *member) {
	client := redis.NewClient(&redis.Options{Addr: m.resp, MaxRetries: -1, PoolSize: 1, DialTimeout: 100 * time.Millisecond, DialerRetries: 1, ReadTimeout: 10 * time.Second})
	defer func() { _ = client.Close() }()
	for {
		if err := client.Incr(ctx, "failover").Err(); err != nil {
			select { // the dead node's port is refused at once: go easy on the machine
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
			return
		}
		w.mu.Lock()
		w.acks = append(w.acks, time.Now())
		w.mu.Unlock()
	}
}

func (w *writer) stop() {
	w.cancel()
	w.done.Wait()
}

// around does something while the client writes, and gives the longest time
// between two acknowledged writes from shortly before until well after.
func (w *writer) around(do func()) time.Duration {
	w.t.Helper()
	steady := func(n int) {
		w.mu.Lock()
		from := len(w.acks)
		w.mu.Unlock()
		eventually(w.t, "writes go on", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.acks) >= from+n
		})
	}
	steady(50)
	w.mu.Lock()
	first := len(w.acks) - 1
	w.mu.Unlock()
	do()
	steady(50)
	w.mu.Lock()
	defer w.mu.Unlock()
	longest := time.Duration(0)
	for i := first + 1; i < len(w.acks); i++ {
		longest = max(longest, w.acks[i].Sub(w.acks[i-1]))
	}
	return longest
}

func (w *writer) report(what string, sorted []time.Duration) {
	ms := func(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
	w.t.Logf("%-26s %d times   least %s   median %s   9 of 10 within %s   most %s", what, len(sorted),
		ms(sorted[0]), ms(sorted[len(sorted)/2]), ms(sorted[len(sorted)*9/10]), ms(sorted[len(sorted)-1]))
}

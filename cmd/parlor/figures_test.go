package main

import (
	"context"
	"fmt"
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

// TestBackupFigures measures, on three nodes with PARLOR_FIGURES megabytes of
// state, writes before and during a backup, and how soon a node is ready after
// it was killed. It judges nothing: the figures go into docs/benchmarks.md. See
// make figures.
func TestBackupFigures(t *testing.T) {
	megabytes, err := strconv.Atoi(os.Getenv("PARLOR_FIGURES"))
	if err != nil {
		t.Skip("set PARLOR_FIGURES to the megabytes of state that the figures are wanted for")
	}
	g := startGroup(t, 3, nil)
	client := redis.NewClient(&redis.Options{Addr: g.members[0].resp, ReadTimeout: time.Minute})
	defer func() { _ = client.Close() }()
	started := time.Now()
	fillState(t, client, megabytes<<20)
	t.Logf("%d MB written in %.0f s", megabytes, time.Since(started).Seconds())

	// The leader has more to do: who asks for a backup asks another.
	leader := g.leader(t)
	asked := g.members[0]
	if asked == leader {
		asked = g.members[1]
	}
	t.Logf("before:  %s", writesFor(t, leader.resp, 20*time.Second, nil))
	for _, m := range []*member{asked, leader} {
		path := filepath.Join(g.dir, m.name+".parlor")
		over := make(chan struct{})
		go func() {
			defer close(over)
			begun := time.Now()
			if _, err := parlor(t.Context(), "backup", path, "--data-dir", m.dataDir); err != nil {
				t.Error(err)
				return
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Error(err)
				return
			}
			t.Logf("backup:  %d MB from %s in %.1f s", info.Size()>>20, m.name, time.Since(begun).Seconds())
		}()
		t.Logf("during:  %s (leader asked: %v)", writesFor(t, leader.resp, 0, over), m == leader)
		<-over
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	t.Logf("after:   %s", writesFor(t, leader.resp, 10*time.Second, nil))

	for range 2 {
		if err := asked.kill(); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		g.mustStart(t, asked)
		t.Logf("restart: ready %.1f s after the start of a node that was killed", time.Since(begun).Seconds())
	}
}

// fillState writes values of 8 KB until there are so many bytes.
func fillState(t *testing.T, client *redis.Client, bytes int) {
	t.Helper()
	const value, pipe = 8 << 10, 16
	var writers sync.WaitGroup
	const parallel = 4
	for w := range parallel {
		writers.Go(func() {
			for i := w; i*value*pipe < bytes; i += parallel {
				p := client.Pipeline()
				for k := range pipe {
					key := fmt.Sprintf("filled:%08d", i*pipe+k)
					p.Set(t.Context(), key, strings.Repeat(key, value/len(key)), 0)
				}
				for _, err := p.Exec(t.Context()); err != nil; _, err = p.Exec(t.Context()) {
					if t.Context().Err() != nil || !strings.Contains(err.Error(), "BUSY") {
						t.Errorf("filling: %v", err)
						return
					}
				}
			}
		})
	}
	writers.Wait()
}

// writesFor sets 100 bytes, 500 times a second whether answers come or not,
// for a time or until a channel is closed, and says how long it took.
func writesFor(t *testing.T, addr string, d time.Duration, until <-chan struct{}) string {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 400, ReadTimeout: time.Minute})
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if until == nil {
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	} else {
		go func() { <-until; cancel() }()
	}
	var mu sync.Mutex
	var took []time.Duration
	var under sync.WaitGroup
	every := time.NewTicker(2 * time.Millisecond)
	defer every.Stop()
	value := strings.Repeat("x", 100)
	for i := 0; ctx.Err() == nil; i++ {
		select {
		case <-every.C:
		case <-ctx.Done():
			continue
		}
		under.Go(func() {
			begun := time.Now()
			if err := client.Set(t.Context(), fmt.Sprintf("small:%05d", i%20_000), value, 0).Err(); err != nil {
				t.Errorf("writing: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(begun))
		})
	}
	under.Wait()
	slices.Sort(took)
	if len(took) == 0 {
		return "nothing was written"
	}
	at := func(share float64) time.Duration {
		return took[int(share*float64(len(took)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%d writes, p50 %v, p99 %v, p99.9 %v, longest %v", len(took), at(0.5), at(0.99), at(0.999), at(1))
}

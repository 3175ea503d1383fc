package resp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/parlorchat/parlor/storage/command"
)

// Workers that wait for one list get its elements in the order in which they
// came, each one.
func TestWorkersAreServedInTheirOrder(t *testing.T) {
	for _, c := range []struct {
		wait, push []string
		reply      string // of the i-th element
	}{
		{[]string{"BLPOP", "q", "0"}, []string{"RPUSH", "q"}, `["q" "%d"]`},
		{[]string{"BRPOP", "other", "q", "0"}, []string{"LPUSH", "q"}, `["q" "%d"]`},
		{[]string{"BLMOVE", "q", "done", "LEFT", "RIGHT", "0"}, []string{"RPUSH", "q"}, `"%d"`},
		{[]string{"BLMPOP", "0", "2", "other", "q", "LEFT"}, []string{"RPUSH", "q"}, `["q" ["%d"]]`},
	} {
		t.Run(c.wait[0], func(t *testing.T) {
			srv := startServer(t, Config{}, newFakeStore())
			producer := dial(t, srv.Addr())
			var workers []*testClient
			for i := range 8 {
				w := dial(t, srv.Addr())
				w.write(frame(c.wait...))
				waitBlocked(t, srv, int64(i+1))
				workers = append(workers, w)
			}
			producer.do(append(slices.Clone(c.push), "0")...)
			producer.do(append(slices.Clone(c.push), "1", "2", "3", "4")...)
			for i, w := range workers[:5] {
				if got, want := w.read(), fmt.Sprintf(c.reply, i); got != want {
					t.Errorf("worker %d got %s, want %s", i, got, want)
				}
			}
			waitBlocked(t, srv, 3)
			// A newcomer stands behind them.
			late := dial(t, srv.Addr())
			late.write(frame(c.wait...))
			waitBlocked(t, srv, 4)
			producer.do(append(slices.Clone(c.push), "5", "6", "7", "8", "9")...)
			for i, w := range append(workers[5:], late) {
				if got, want := w.read(), fmt.Sprintf(c.reply, i+5); got != want {
					t.Errorf("worker %d got %s, want %s", i+5, got, want)
				}
			}
			producer.want(":1", "LLEN", "q")
			noQueues(t, srv)
		})
	}
}

// A list and a sorted set under one name do not stand in each other's way, and
// waiting costs no log entries.
func TestWaitingForTypes(t *testing.T) {
	store := newFakeStore()
	srv := startServer(t, Config{}, store)
	lists, sets, p := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	lists.write(frame("BLPOP", "k", "0"))
	waitBlocked(t, srv, 1)
	sets.write(frame("BZPOPMAX", "k", "0"))
	waitBlocked(t, srv, 2)
	p.want(":2", "ZADD", "k", "1", "a", "2", "b")
	if got := sets.read(); got != `["k" "b" "2"]` {
		t.Errorf("who waits for a sorted set got %s", got)
	}
	store.mu.Lock()
	before := len(store.proposals)
	store.mu.Unlock()
	p.want("+OK", "SET", "k", "x")
	p.want(":1", "DEL", "k")
	p.want(":1", "RPUSH", "other", "y")
	store.mu.Lock()
	if n := len(store.proposals) - before; n != 3 {
		t.Errorf("three writes that concern nobody made %d proposals", n)
	}
	store.mu.Unlock()
	p.want("+OK", "RENAME", "other", "k")
	if got := lists.read(); got != `["k" "y"]` {
		t.Errorf("who waits for a list got %s", got)
	}
}

// A wait ends by CLIENT UNBLOCK, by its time, and with its client, and then
// the next one in the queue is served.
func TestWorkersThatLeave(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	admin := dial(t, srv.Addr())
	var workers []*testClient
	var ids []string
	for i := range 5 {
		w := dial(t, srv.Addr())
		ids = append(ids, strings.TrimPrefix(w.do("CLIENT", "ID"), ":"))
		timeout := "0"
		if i == 2 {
			timeout = "0.01"
		}
		w.write(frame("BLPOP", "q", timeout))
		if i == 2 {
			if got := w.read(); got != "nil-array" {
				t.Errorf("after its time a worker gets %s", got)
			}
		} else {
			waitBlocked(t, srv, int64(min(i+1, 5)-i/3))
		}
		workers = append(workers, w)
	}
	admin.want(":1", "CLIENT", "UNBLOCK", ids[0], "ERROR")
	if got := workers[0].read(); got != "-UNBLOCKED client unblocked via CLIENT UNBLOCK" {
		t.Errorf("an unblocked worker gets %s", got)
	}
	workers[1].conn.Close()
	waitFor(t, "its connection to go", func() bool { return srv.Stats().Clients.Load() == 5 })
	admin.want(":1", "CLIENT", "UNBLOCK", ids[3])
	if got := workers[3].read(); got != "nil-array" {
		t.Errorf("an unblocked worker gets %s", got)
	}
	admin.want(":1", "RPUSH", "q", "x")
	if got := workers[4].read(); got != `["q" "x"]` {
		t.Errorf("the one that is left gets %s", got)
	}
	noQueues(t, srv)
	workers[0].want("+PONG", "PING")
}

// A worker that waits while the group has no leader goes on waiting.
func TestWaitOutlivesALeader(t *testing.T) {
	store := newFakeStore()
	srv := startServer(t, Config{}, store)
	worker, p := dial(t, srv.Addr()), dial(t, srv.Addr())
	worker.write(frame("BLPOP", "q", "0"))
	waitBlocked(t, srv, 1)
	refused := make(chan struct{}, 100)
	store.mu.Lock()
	store.refuse = func(args command.Args) error {
		if string(args[0]) != "BLPOP" || len(refused) > 0 {
			return nil
		}
		refused <- struct{}{}
		return command.ErrNoLeader
	}
	store.mu.Unlock()
	p.want(":1", "RPUSH", "q", "x")
	if got := worker.read(); got != `["q" "x"]` {
		t.Errorf("the worker got %s", got)
	}
	if len(refused) != 1 {
		t.Error("it was not refused once")
	}
}

// Workers on three nodes share what producers on three nodes bring, while the
// leader changes: nothing comes twice, and nothing that was acknowledged to
// nobody is lost.
func TestWorkersOnThreeNodes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	nodes := startNodes(t, 3)
	const each = 60
	got := make(chan string, 10*each)
	var workers, producers sync.WaitGroup
	for i, n := range nodes {
		rdb := goredis.NewClient(&goredis.Options{Addr: startServer(t, Config{}, n).Addr().String(), MaxRetries: -1, ReadTimeout: 20 * time.Second})
		t.Cleanup(func() { rdb.Close() })
		for range 2 {
			workers.Go(func() {
				for {
					v, err := rdb.BLPop(ctx, 0, "jobs", "end").Result()
					if err != nil {
						t.Errorf("a worker of node %d: %v", i, err)
						return
					}
					if v[0] == "end" {
						return
					}
					got <- v[1]
				}
			})
		}
		producers.Go(func() {
			for k := range each {
				if err := rdb.RPush(ctx, "jobs", fmt.Sprintf("%d:%d", i, k)).Err(); err != nil {
					t.Errorf("a producer of node %d: %v", i, err)
				}
			}
		})
	}
	for _, n := range nodes {
		if n.IsLeader() {
			if err := n.TransferLeader(ctx, ""); err != nil {
				t.Logf("the leadership stayed: %v", err)
			}
		}
	}
	producers.Wait()
	seen := map[string]bool{}
	for range 3 * each {
		select {
		case v := <-got:
			if seen[v] {
				t.Errorf("%s came twice", v)
			}
			seen[v] = true
		case <-ctx.Done():
			t.Fatalf("%d of %d jobs were done", len(seen), 3*each)
		}
	}
	end := command.New("RPUSH", "end", "1", "2", "3", "4", "5", "6")
	if r := nodes[0].Propose(ctx, []command.Request{{Commands: []command.Args{end}}})[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	workers.Wait()
}

// noQueues fails the test if the hub still knows somebody who left.
func noQueues(t *testing.T, srv *Server) {
	t.Helper()
	waitFor(t, "the queues to empty", func() bool {
		srv.hub.mu.Lock()
		defer srv.hub.mu.Unlock()
		return len(srv.hub.queues) == 0
	})
}

// Databases that are exchanged bring elements to those who wait.
func TestASwapServesWhoWaits(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	waiting, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	waiting.write(frame("BLPOP", "q", "0"))
	waitBlocked(t, srv, 1)
	other.want("+OK", "SELECT", "5")
	other.want(":1", "RPUSH", "q", "x")
	other.want("+OK", "SWAPDB", "5", "0")
	if got := waiting.read(); got != `["q" "x"]` {
		t.Errorf("got %s", got)
	}
	noQueues(t, srv)
}

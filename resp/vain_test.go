package resp

import (
	"strconv"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// vainOf runs a server for a store and gives a client of it, and how many writes
// were answered without the log.
func vainOf(t *testing.T, store Store) (*redistest.Conn, func() int64) {
	t.Helper()
	srv := startServer(t, Config{}, store)
	return redistest.Dial(t, "tcp", srv.Addr().String()), func() int64 { return srv.Stats().Vain.Load() }
}

// A worker that finds nothing in its queue writes nothing into the log, on
// whatever node, and finds what others put there as soon as they have.
func TestAWorkerThatFindsNothingDoesNotFillTheLog(t *testing.T) {
	for _, size := range []int{1, 3} {
		nodes := startNodes(t, size)
		worker, vain := vainOf(t, nodes[size-1])
		producer, _ := vainOf(t, nodes[0])
		for i := range 20 {
			if got := worker.Do("LPOP", "queue"); !got.IsNull() {
				t.Fatalf("an empty queue gives %v", redistest.Show(got))
			}
			if i < 10 {
				continue
			}
			producer.Do("RPUSH", "queue", strconv.Itoa(i))
			if got := worker.Do("LPOP", "queue").Text(); got != strconv.Itoa(i) {
				t.Fatalf("%d nodes: the worker got %q after %d was put there", size, got, i)
			}
		}
		if got := vain(); got != 10+1-tryAfter {
			t.Errorf("%d nodes: %d writes went without the log", size, got)
		}
	}
}

// What is tried out are whole batches: one that changes something in the middle
// goes through the log as a whole, in order.
func TestWritesInVainComeInPipelines(t *testing.T) {
	c, vain := vainOf(t, startNodes(t, 1)[0])
	c.Do("RPUSH", "other", "x")
	batch := [][]string{{"LPOP", "queue"}, {"SADD", "set", "a"}, {"INCR", "other"}, {"NONSENSE"}, {"HSETNX", "hash", "f", "v"}}
	replies := func() (out []string) {
		for _, r := range c.Pipe(batch) {
			out = append(out, redistest.Show(r))
		}
		return out
	}
	first := replies()
	var last []string
	for range 2 + tryAfter {
		last = replies()
	}
	if first[1] != redistest.Show(c.Do("SADD", "set", "b")) || last[1] != redistest.Show(c.Do("SADD", "set", "b")) {
		t.Errorf("the first time %q, the last time %q", first, last)
	}
	for _, i := range []int{0, 2, 3} {
		if first[i] != last[i] {
			t.Errorf("%q gives %s in vain, %s otherwise", batch[i], last[i], first[i])
		}
	}
	if got := vain(); got != 2*int64(len(batch)-1) { // one is no command
		t.Errorf("%d writes went without the log", got)
	}
	for range tryAfter {
		c.Do("LPOP", "queue")
	}
	before := vain()
	for i := range 5 {
		got := c.Pipe([][]string{{"LPOP", "queue"}, {"RPUSH", "queue", strconv.Itoa(i)}, {"LPOP", "queue"}})
		if !got[0].IsNull() || got[2].Text() != strconv.Itoa(i) {
			t.Fatalf("round %d: %s, %s", i, redistest.Show(got[0]), redistest.Show(got[2]))
		}
	}
	if vain() != before {
		t.Error("a batch that changes something was kept from the log")
	}
}

// Everybody but one fails to get a lock, again and again; when it is given back
// exactly one of them gets it.
func TestALockThatIsHeldIsAskedForInVain(t *testing.T) {
	nodes := startNodes(t, 3)
	var clients []*redistest.Conn
	var vain []func() int64
	for _, n := range nodes {
		c, v := vainOf(t, n)
		clients, vain = append(clients, c), append(vain, v)
	}
	take := func(i int) bool { return !clients[i].Do("SET", "lock", strconv.Itoa(i), "NX", "PX", "60000").IsNull() }
	for round := range 6 {
		holder := -1
		for k := range 12 {
			i := (round + k) % len(clients)
			if i != holder {
				if got := take(i); got != (holder < 0) {
					t.Fatalf("round %d: %d asks for the lock that %d has, and gets it: %v", round, i, holder, got)
				} else if got {
					holder = i
				}
			}
		}
		if got := clients[holder].Do("DEL", "lock"); got.Int != 1 {
			t.Fatalf("round %d: %d gives back a lock that it has not: %v", round, holder, redistest.Show(got))
		}
	}
	for i := range vain {
		if vain[i]() == 0 {
			t.Errorf("node %d sent everything to the log", i)
		}
	}
}

// A client that reads what its node has, current or not, writes as all do.
func TestWritesInVainOfOneWhoReadsLocally(t *testing.T) {
	store := newFakeStore()
	srv := startServer(t, Config{}, store)
	c := redistest.Dial(t, "tcp", srv.Addr().String())
	c.Do("READONLY")
	batch := [][]string{{"LPOP", "queue"}, {"GET", "k"}}
	for range tryAfter {
		c.Pipe(batch)
	}
	readIndexes := func() int {
		store.mu.Lock()
		defer store.mu.Unlock()
		return store.readIndexes
	}
	before := readIndexes()
	c.Pipe(batch)
	if got := readIndexes() - before; got != 1 || srv.Stats().Vain.Load() != 1 {
		t.Errorf("it has caught up %d times for a write, %d in vain", got, srv.Stats().Vain.Load())
	}
}

// Without a leader nothing can be tried out: the client is told at once that
// nothing was changed.
func TestWritesInVainWithoutALeader(t *testing.T) {
	store := newFakeStore()
	srv := startServer(t, Config{}, store)
	c := redistest.Dial(t, "tcp", srv.Addr().String())
	for range tryAfter {
		c.Do("LPOP", "queue")
	}
	store.mu.Lock()
	sent := len(store.proposals)
	store.readErr = command.ErrUnconfirmed
	store.mu.Unlock()
	if got := redistest.Show(c.Do("LPOP", "queue")); got != redistest.Show(command.Fail(command.ErrNoLeader)) {
		t.Errorf("LPOP gives %s", got)
	}
	store.mu.Lock()
	defer store.mu.Unlock()
	if len(store.proposals) != sent {
		t.Error("it was sent all the same")
	}
}

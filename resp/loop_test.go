//go:build linux

package resp

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// watchedStore tells which way commands took to it.
type watchedStore struct {
	*fakeStore
	busy bool // Submit takes nothing

	mu                           sync.Mutex
	submitted, proposed, current int
	behind                       bool // it is never current
	caughtUp                     int
}

func (w *watchedStore) count(n *int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*n++
}

func (w *watchedStore) counted() (submitted, proposed, current int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	submitted, proposed, current = w.submitted, w.proposed, w.current
	w.submitted, w.proposed, w.current = 0, 0, 0
	return submitted, proposed, current
}

func (w *watchedStore) Submit(reqs []command.Request, limit time.Duration, done func([]command.Result)) (giveUp func()) {
	if w.busy {
		return nil
	}
	w.count(&w.submitted)
	return w.fakeStore.Submit(reqs, limit, done)
}

func (w *watchedStore) Propose(ctx context.Context, reqs []command.Request) []command.Result {
	w.count(&w.proposed)
	return w.fakeStore.Propose(ctx, reqs)
}

func (w *watchedStore) Current() bool {
	w.count(&w.current)
	return w.fakeStore.Current() && !w.behind
}

func (w *watchedStore) CatchUp(limit time.Duration, done func(error)) (giveUp func()) {
	if w.busy {
		return nil
	}
	w.count(&w.caughtUp)
	return w.fakeStore.CatchUp(limit, done)
}

// Whoever sends a message right after another one has asked for it, and before
// that one was answered, is heard by it, as with Redis.
func TestAMessageAfterASubscriptionIsHeard(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	listener := dial(t, srv.Addr())
	listener.want("+PONG", "PING")
	for range loopsFor(runtime.GOMAXPROCS(0)) - 1 { // the next one is on the same loop
		dial(t, srv.Addr()).want("+PONG", "PING")
	}
	speaker := dial(t, srv.Addr())
	speaker.want("+PONG", "PING")
	waitFor(t, "all to rest", func() bool {
		return srv.count(func(s *session) bool { return !s.guard.socket.Resting() }) == 0
	})
	for i := range 300 {
		channel := fmt.Sprint("channel", i)
		listener.write(frame("SUBSCRIBE", channel))
		speaker.want(":1", "PUBLISH", channel, "hello")
		if got := listener.read(); !strings.Contains(got, `"subscribe"`) {
			t.Fatalf("SUBSCRIBE was answered %s", got)
		}
		if got := listener.read(); got != `["message" "`+channel+`" "hello"]` {
			t.Fatalf("after the subscription came %s", got)
		}
	}
}

// However many hear a message and by whatever way it goes to them, all hear it,
// and the answer is how many they are.
func TestMessagesToFewAndToMany(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	speaker := dial(t, srv.Addr())
	var hearers []*testClient
	publish := func(text string) {
		t.Helper()
		speaker.want(fmt.Sprint(":", len(hearers)), "PUBLISH", "news", text)
		for i, h := range hearers {
			if got := h.read(); !strings.HasSuffix(got, `"news" "`+text+`"]`) {
				t.Fatalf("number %d of %d heard %s", i, len(hearers), got)
			}
		}
	}
	few := func() bool { return srv.pubsub.few(byChannel, []byte("news")) }
	for _, n := range []int{1, 2, flushedByLoop, flushedByLoop + 1, 2 * flushedByLoop} {
		for len(hearers) < n {
			c := dial(t, srv.Addr())
			if len(hearers)%5 == 4 {
				c.do("PSUBSCRIBE", "new?")
			} else {
				c.do("SUBSCRIBE", "news")
			}
			hearers = append(hearers, c)
		}
		waitFor(t, "the subscription to be over", few)
		publish(fmt.Sprint("to ", n))
	}
	other := []string{"PSUBSCRIBE"}
	for i := range fewSteps / len("news") / maxPattern {
		other = append(other, strings.Repeat("*", maxPattern-2)+fmt.Sprintf("%02d", i))
	}
	dial(t, srv.Addr()).do(other...)
	if few() {
		t.Error("a message is compared with long patterns by the way")
	}
	publish("beside long patterns")
}

// What need not wait goes past the goroutine of the connection, all else does
// not, and the answers are the same.
func TestWaysToTheStore(t *testing.T) {
	many := func(n int, args ...string) string { return strings.Repeat(frame(args...), n) }
	for _, tc := range []struct {
		name                         string
		before                       []string // commands, their arguments separated by spaces
		send                         string
		replies                      string
		submitted, proposed, current int
	}{
		{"a write", nil, frame("SET", "k", "v"), "+OK", 1, 0, 0},
		{"a read", []string{"SET k v"}, frame("GET", "k"), `"v"`, 0, 0, 1},
		{"writes in a pipeline", nil, many(3, "INCR", "n"), ":1 :2 :3", 1, 0, 0},
		{"reads in a pipeline", []string{"SET k v"}, many(3, "GET", "k"), `"v" "v" "v"`, 0, 0, 1},
		{"reads enough for another processor", []string{"SET k v"}, many(loopReads+1, "GET", "k"), strings.TrimSpace(strings.Repeat(`"v" `, loopReads+1)), 0, 0, 0},
		{"a read after a write", nil, frame("SET", "k", "v") + frame("GET", "k"), `+OK "v"`, 0, 1, 0},
		{"a long pipeline", nil, many(viewReads+1, "SET", "k", "v"), strings.TrimSpace(strings.Repeat("+OK ", viewReads+1)), 0, 1, 0},
		{"a write that is refused", []string{"SET k v"}, frame("HSET", "k", "f"), "-ERR wrong number of arguments for 'hset' command", 0, 0, 0},
		{"a write that fails", []string{"SET k v"}, frame("INCR", "k"), "-ERR value is not an integer or out of range", 1, 0, 0},
		{"a command of the connection", nil, frame("PING"), "+PONG", 0, 0, 0},
		{"in a transaction", []string{"MULTI"}, frame("SET", "k", "v"), "+QUEUED", 0, 0, 0},
		{"one that would wait", []string{"RPUSH l a"}, frame("BLPOP", "l", "0"), `["l" "a"]`, 0, 1, 0},
		{"a read of many", []string{"RPUSH l a b"}, frame("LRANGE", "l", "0", "-1"), `["a" "b"]`, 0, 0, 1},
		{"by who caches", []string{"CLIENT TRACKING on", "SET k v"}, frame("SET", "k", "w"), "+OK", 0, 1, 0},
		{"in RESP3", []string{"HELLO 3"}, frame("HGET", "h", "f"), "null", 0, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := &watchedStore{fakeStore: newFakeStore()}
			srv := startServer(t, Config{}, store)
			c := dial(t, srv.Addr())
			c.do("PING") // so it has been let in
			for _, before := range tc.before {
				c.do(strings.Fields(before)...)
			}
			awaitRest(t, srv)
			store.counted()
			c.write(tc.send)
			var got []string
			for len(got) < strings.Count(tc.send, "*") {
				got = append(got, c.read())
			}
			if all := strings.Join(got, " "); all != tc.replies {
				t.Errorf("answered %s, want %s", all, tc.replies)
			}
			if s, p, r := store.counted(); s != tc.submitted || p != tc.proposed || r != tc.current {
				t.Errorf("submitted %d, proposed %d, asked %d times whether it is current; want %d, %d, %d", s, p, r, tc.submitted, tc.proposed, tc.current)
			}
		})
	}
}

// awaitRest waits until the connections rest: what comes then comes to the loop.
func awaitRest(t *testing.T, srv *Server) {
	t.Helper()
	for _, c := range srv.clients() {
		for c.serving.Load() || !c.guard.socket.Resting() {
			time.Sleep(time.Millisecond)
		}
	}
}

// A store that cannot take writes at once has them proposed, and nothing of them
// is done twice.
func TestWritesThatCannotBeTakenAtOnce(t *testing.T) {
	store := &watchedStore{fakeStore: newFakeStore(), busy: true}
	srv := startServer(t, Config{}, store)
	c := dial(t, srv.Addr())
	for i := 1; i <= 20; i++ {
		awaitRest(t, srv)
		c.write(frame("INCR", "n") + frame("INCRBY", "n", "nonsense") + frame("INCR"))
		if got, want := c.read(), fmt.Sprintf(":%d", i); got != want {
			t.Fatalf("answered %s, want %s", got, want)
		}
		for range 2 {
			if got := c.read(); !strings.HasPrefix(got, "-ERR") {
				t.Fatalf("answered %s", got)
			}
		}
	}
	if _, proposed, _ := store.counted(); proposed != 20 {
		t.Errorf("proposed %d times, want 20", proposed)
	}
}

// Reads of a node that must ask others first are answered when it has, with what
// it holds then, or with the reason why not.
func TestReadsThatWaitForTheGroup(t *testing.T) {
	for _, busy := range []bool{false, true} {
		store := &watchedStore{fakeStore: newFakeStore(), behind: true, busy: busy}
		srv := startServer(t, Config{}, store)
		c := dial(t, srv.Addr())
		for i := range 20 {
			c.want("+OK", "SET", "k", fmt.Sprint(i))
			awaitRest(t, srv)
			c.write(frame("GET", "k") + frame("GET") + frame("STRLEN", "k"))
			if got, want := c.read(), fmt.Sprintf("%q", fmt.Sprint(i)); got != want {
				t.Fatalf("answered %s, want %s", got, want)
			}
			if got := c.read(); !strings.HasPrefix(got, "-ERR wrong number") {
				t.Fatalf("answered %s", got)
			}
			if got, want := c.read(), fmt.Sprintf(":%d", len(fmt.Sprint(i))); got != want {
				t.Fatalf("answered %s, want %s", got, want)
			}
		}
		awaitRest(t, srv)
		c.write(frame("GET")) // nothing of which needs the store
		if got := c.read(); !strings.HasPrefix(got, "-ERR wrong number") {
			t.Fatalf("answered %s", got)
		}
		store.mu.Lock()
		asked := store.caughtUp
		store.mu.Unlock()
		store.fakeStore.mu.Lock()
		store.readErr = command.ErrUnconfirmed
		store.fakeStore.mu.Unlock()
		if want := map[bool]int{false: 20, true: 0}[busy]; asked != want {
			t.Errorf("waited %d times, want %d", asked, want)
		}
		awaitRest(t, srv)
		if got := c.do("GET", "k"); !strings.HasPrefix(got, "-CLUSTERDOWN no leader: this read") {
			t.Errorf("a read that nobody confirms is answered %s", got)
		}
	}
}

// Clients that do not read what they asked for, or stop in the middle of a
// command, keep nobody waiting.
func TestOthersAreServedBesideClientsThatStop(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	good := dial(t, srv.Addr())
	good.want("+OK", "SET", "large", strings.Repeat("x", 1<<20))
	for range 20 { // more than there are loops
		silent := dial(t, srv.Addr())
		silent.write(strings.Repeat(frame("GET", "large"), 30))
		half := dial(t, srv.Addr())
		half.write(frame("SET", "k", "v")[:20])
	}
	for i := range 200 {
		good.want("+OK", "SET", "k", fmt.Sprint(i))
		good.want(fmt.Sprintf("%q", fmt.Sprint(i)), "GET", "k")
	}
}

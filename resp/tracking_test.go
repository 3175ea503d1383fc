package resp

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// A program caches what it has read from one node. Whatever changes it on any
// node, by any way, the program is told.
func TestCachedKeysOnAGroup(t *testing.T) {
	nodes := startNodes(t, 3)
	var servers []*Server
	for _, n := range nodes {
		servers = append(servers, startServer(t, Config{}, n))
	}
	cache, writer, third := dial(t, servers[0].Addr()), dial(t, servers[1].Addr()), dial(t, servers[2].Addr())
	cache.do("HELLO", "3")
	cache.want("+OK", "CLIENT", "TRACKING", "ON")
	told := func(want string) {
		t.Helper()
		if got := cache.read(); got != `>["invalidate" `+want+"]" {
			t.Errorf("the program was told %s, want %s", got, want)
		}
	}
	writer.want("+OK", "SET", "price", "1")
	cache.want(`"1"`, "GET", "price")
	third.want("+OK", "SET", "price", "2")
	told(`["price"]`)
	cache.want(`"2"`, "GET", "price")

	t.Log("a key goes because its time has come")
	writer.want(":1", "PEXPIRE", "price", "30")
	told(`["price"]`)
	cache.do("GET", "price")
	waitFor(t, "the key to expire", func() bool { return third.do("EXISTS", "price") == ":0" })
	tick := command.Request{Commands: []command.Args{command.New("SYSTEM.TICK", "100")}} // as the leader sends it
	if res := nodes[0].Propose(t.Context(), []command.Request{tick})[0]; res.Err != nil {
		t.Fatal(res.Err)
	}
	told(`["price"]`)

	t.Log("the chat's own keys")
	writer.want("+OK", "SITE.CREATE", "demo")
	writer.want("+OK", "VISITOR.CREATE", "v1", "demo")
	if got := cache.do("HGETALL", "visitor:v1"); !strings.Contains(got, "demo") {
		t.Errorf("the visitor is %s", got)
	}
	third.want("+OK", "VISITOR.UPDATE", "v1", "NAME", "Ann")
	told(`["visitor:v1"]`)

	t.Log("who follows all keys hears nothing of secrets")
	cache.want("+OK", "CLIENT", "TRACKING", "OFF")
	cache.want("+OK", "CLIENT", "TRACKING", "ON", "BCAST")
	third.want("+OK", "ACL", "SETUSER", "bob", "on", ">secret")
	third.want("+OK", "SET", "last", "1")
	told(`["last"]`)

	t.Log("a change while it is switched on")
	cache.want("+OK", "CLIENT", "TRACKING", "OFF")
	for i := range 50 {
		cache.want("+OK", "CLIENT", "TRACKING", "ON")
		value := strconv.Itoa(i)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = writer.conn.Write([]byte(frame("SET", "race", value)))
		}()
		cached := cache.do("GET", "race")
		<-done
		if got := writer.read(); got != "+OK" {
			t.Fatalf("SET answered %s", got)
		}
		if cached != strconv.Quote(value) {
			if got := cache.read(); got != `>["invalidate" ["race"]]` && got != `>["invalidate" null]` {
				t.Fatalf("the program keeps %s and is told %s", cached, got)
			}
		}
		cache.write(frame("CLIENT", "TRACKING", "OFF") + frame("PING"))
		for cache.read() != "+PONG" { // what else was told on the way: of the new value, too
		}
	}
}

// A program writes by one connection and caches by another one of the same
// node: when the write is answered, the cache has been told.
func TestACacheIsToldBeforeTheWriterIsAnswered(t *testing.T) {
	srv := startServer(t, Config{}, startNodes(t, 1)[0])
	cache, writer := dial(t, srv.Addr()), dial(t, srv.Addr())
	for range 200 { // others who have to be told, too
		c := dial(t, srv.Addr())
		c.do("HELLO", "3")
		c.want("+OK", "CLIENT", "TRACKING", "ON", "BCAST")
	}
	cache.do("HELLO", "3")
	cache.want("+OK", "CLIENT", "TRACKING", "ON")
	for i := range 50 {
		cache.do("GET", "k")
		writer.want("+OK", "SET", "k", strconv.Itoa(i))
		cache.write(frame("PING"))
		if got := cache.read(); got != `>["invalidate" ["k"]]` {
			t.Fatalf("write %d was answered, and then the cache was told %s", i, got)
		}
		if got := cache.read(); got != "+PONG" {
			t.Fatal(got)
		}
	}
}

// Programs on every node read and cache while others write on every node.
// When all is quiet nobody keeps a value that is not true any more.
func TestNobodyKeepsAStaleValue(t *testing.T) {
	const keys, rounds = 8, 40
	var servers []*Server
	for _, n := range startNodes(t, 3) {
		servers = append(servers, startServer(t, Config{}, n))
	}
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	caches := make([]*localCache, 3)
	for i, srv := range servers {
		caches[i] = newLocalCache(t, srv.Addr())
		readers.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
					caches[i].get(fmt.Sprint("k", n%keys), fmt.Sprint("k", (n*5+1)%keys))
				}
			}
		})
		w := dial(t, srv.Addr())
		writers.Go(func() {
			for n := range rounds {
				w.do("INCR", fmt.Sprint("k", (n*7+i)%keys))
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	truth := dial(t, servers[0].Addr())
	for i, c := range caches {
		want := map[string]string{}
		for k := range keys {
			key := fmt.Sprint("k", k)
			want[key] = truth.do("GET", key)
		}
		// What is on its way comes within moments; what was forgotten never.
		waitFor(t, fmt.Sprint("the cache of node ", i, " to be true"), func() bool {
			c.sync()
			for key, value := range c.values {
				if value != want[key] {
					return false
				}
			}
			return true
		})
	}
}

// localCache keeps values as a client library does, in the order in which
// frames come.
type localCache struct {
	t      *testing.T
	conn   net.Conn
	r      *bufio.Reader
	values map[string]string
}

func newLocalCache(t *testing.T, addr net.Addr) *localCache {
	c := dial(t, addr)
	c.do("HELLO", "3")
	c.want("+OK", "CLIENT", "TRACKING", "ON")
	return &localCache{t, c.conn, c.r, map[string]string{}}
}

// reply gives the next reply, and takes in what is told before it.
func (c *localCache) reply() string {
	for {
		got, err := readReply(c.r)
		if err != nil {
			c.t.Errorf("reading: %v", err)
			return ""
		}
		list, ok := strings.CutPrefix(got, `>["invalidate" `)
		if !ok {
			return got
		}
		if list == "null]" {
			clear(c.values)
		}
		for _, key := range strings.Fields(strings.Trim(list, "[]")) {
			delete(c.values, strings.Trim(key, `"`))
		}
	}
}

// get asks for values that are not kept, in a pipeline.
func (c *localCache) get(keys ...string) {
	var missing []string
	var b strings.Builder
	for _, key := range keys {
		if _, ok := c.values[key]; !ok {
			missing = append(missing, key)
			b.WriteString(frame("GET", key))
		}
	}
	if len(missing) == 0 {
		c.sync()
		return
	}
	if _, err := c.conn.Write([]byte(b.String())); err != nil {
		c.t.Error(err)
	}
	for _, key := range missing {
		c.values[key] = c.reply()
	}
}

// sync takes in what has been told.
func (c *localCache) sync() {
	if _, err := c.conn.Write([]byte(frame("PING"))); err != nil {
		c.t.Error(err)
	}
	c.reply()
}

// A client that misses too much is told to forget everything, and what is kept
// of keys is bounded.
func TestTrackingIsBounded(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	c, w := dial(t, srv.Addr()), dial(t, srv.Addr())
	c.do("HELLO", "3")
	c.want("+OK", "CLIENT", "TRACKING", "ON")
	c.want("+OK", "CONFIG", "SET", "tracking-table-max-keys", "2")
	c.write(frame("MGET", "a", "b", "c"))
	if got := c.read(); got != "[null null null]" {
		t.Fatalf("MGET answered %s", got)
	}
	evicted := c.read()
	if !strings.HasPrefix(evicted, `>["invalidate" ["`) {
		t.Errorf("of three keys where two are kept one is evicted: %s", evicted)
	}
	if info := w.do("INFO", "stats"); !strings.Contains(info, `tracking_total_keys:2\r\n`) {
		t.Error("two keys are not two keys in INFO")
	}
	w.want("+OK", "CONFIG", "SET", "tracking-table-max-keys", "1")
	if got := c.read(); !strings.HasPrefix(got, `>["invalidate" ["`) || got == evicted {
		t.Errorf("the second eviction is %s", got)
	}
	x := srv.clients()[0].tracker.Load()
	srv.tracking.hold(x)
	for i := range heldKeys + 1 {
		srv.tracking.tell(x, invalidation{keys: []string{strconv.Itoa(i)}, requests: []uint64{0}})
	}
	srv.tracking.letGo(x)
	if got := c.read(); got != `>["invalidate" null]` {
		t.Errorf("after too many keys the client is told %s", got)
	}
	c.conn.Close()
	waitFor(t, "the table to be empty", func() bool {
		clients, keys, items, _ := srv.tracking.figures()
		return clients+keys+items == 0
	})
}

// racingStore changes a key right after it was read, before the reply is on
// its way.
type racingStore struct {
	*fakeStore
	afterRead func()
}

func (s *racingStore) View(fn func(tx *keyspace.Tx) error) error {
	err := s.fakeStore.View(fn)
	if race := s.afterRead; race != nil {
		s.afterRead = nil
		race()
	}
	return err
}

// A reply that carries an older value comes before the word that it is one.
func TestReplyComesBeforeInvalidation(t *testing.T) {
	store := &racingStore{fakeStore: newFakeStore()}
	srv := startServer(t, Config{}, store)
	c := dial(t, srv.Addr())
	c.do("HELLO", "3")
	c.want("+OK", "SET", "k", "old")
	c.want("+OK", "CLIENT", "TRACKING", "ON")
	store.afterRead = func() {
		store.Propose(t.Context(), []command.Request{{Commands: []command.Args{command.New("SET", "k", "new")}}})
	}
	c.want(`"old"`, "GET", "k")
	if got := c.read(); got != `>["invalidate" ["k"]]` {
		t.Errorf("after the older value came %s", got)
	}
}

// A client that changes what it keeps hears of it behind the answer and before
// the next one, as with Redis.
func TestAClientHearsOfItsOwnChangesWithTheAnswer(t *testing.T) {
	here := startServer(t, Config{}, startNodes(t, 1)[0]).Addr()
	pipelines := []string{
		"GET x|SET x 2|PING",
		"GET x|DEL x|PING",
		"GET x|SET x 2|GET x|SET x 3|PING",
		"GET x|FLUSHDB|PING",
		"GET x|FLUSHALL|PING",
		"GET x|MULTI|SET x 2|GET x|EXEC|PING",
		"GET x|MULTI|GET x|EXEC|SET x 2|PING",
		"GET x|GETSET x 2|PING",
		"GET x|INCR x|GET x|PING",
		"GET x|LPUSH x 2|PING",
		"LRANGE list 0 -1|LPUSH list a|PING",
		"LRANGE list 0 -1|RPUSH list a b|BLPOP list 1|PING",
	}
	for _, mode := range []string{"", "NOLOOP", "OPTOUT"} {
		var told [2][]string
		for i, addr := range []net.Addr{startRedis(t, ""), here} {
			for _, pipeline := range pipelines {
				c := dial(t, addr)
				c.do("HELLO", "3")
				c.want("+OK", "FLUSHALL")
				c.want("+OK", "SET", "x", "1")
				c.want("+OK", append([]string{"CLIENT", "TRACKING", "ON"}, strings.Fields(mode)...)...)
				var all strings.Builder
				for cmd := range strings.SplitSeq(pipeline, "|") {
					all.WriteString(frame(strings.Fields(cmd)...))
				}
				c.write(all.String())
				line := mode + " " + pipeline + ":"
				for got := ""; got != "+PONG"; {
					got = c.read()
					line += " " + got
				}
				told[i] = append(told[i], line)
				c.conn.Close()
			}
		}
		for i := range told[0] {
			if told[0][i] != told[1][i] {
				t.Errorf("redis: %s\n here: %s", told[0][i], told[1][i])
			}
		}
	}
	// One that waits for the answer finds both there.
	c := dial(t, here)
	c.do("HELLO", "3")
	c.want("+OK", "CLIENT", "TRACKING", "ON")
	for i := range 50 {
		c.do("GET", "x")
		c.want("+OK", "SET", "x", strconv.Itoa(i))
		if c.r.Buffered() == 0 {
			t.Fatalf("write %d was answered, and what becomes of the kept value is told later", i)
		}
		c.read()
	}
}

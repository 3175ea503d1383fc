package resp

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
)

// A pipeline reaches the group in as few steps as its order allows.
func TestPipelineIsProposedTogether(t *testing.T) {
	store := newFakeStore(domainSpecs()...)
	srv := startServer(t, Config{}, store)
	c := dial(t, srv.Addr())
	c.write(frame("SET", "a", "1") + frame("SET", "b", "2") + frame("NOSUCH") + frame("AGENT.CREATE", "x", "short") + frame("INCR", "a") +
		frame("GET", "a") + frame("GET", "b") + frame("SET", "c", "3") + frame("PING"))
	var replies []string
	for range 9 {
		replies = append(replies, c.read())
	}
	want := `[+OK +OK -ERR unknown command 'NOSUCH', with args beginning with:  -INVALID password is shorter than 8 characters :2 "2" "2" +OK +PONG]`
	if got := fmt.Sprint(replies); got != want {
		t.Errorf("the replies are\n%s, want\n%s", got, want)
	}
	var sizes []int
	for _, p := range store.proposals {
		sizes = append(sizes, len(p))
	}
	if got := fmt.Sprint(sizes); got != "[3 1]" {
		t.Errorf("the writes were proposed in groups of %s, want [3 1]", got)
	}
	if store.readIndexes != 0 {
		t.Errorf("reads after a write of the same pipeline asked the group %d times, and need not", store.readIndexes)
	}
}

// Reads of a pipeline share one question to the group; local reads ask none.
func TestReadsShareOneReadIndex(t *testing.T) {
	store := newFakeStore()
	srv := startServer(t, Config{}, store)
	c := dial(t, srv.Addr())
	many := strings.Repeat(frame("GET", "k"), 100)
	readAll := func() {
		for range 100 {
			if got := c.read(); got != "nil" {
				t.Fatalf("GET answers %s", got)
			}
		}
	}
	c.write(many)
	readAll()
	if n := store.readIndexes; n == 0 || n > 2 { // the network may have cut the pipeline
		t.Errorf("100 reads asked the group %d times", n)
	}
	c.want("+OK", "READONLY")
	before := store.readIndexes
	c.write(many)
	readAll()
	if store.readIndexes != before {
		t.Error("local reads asked the group")
	}
	c.want("+OK", "READWRITE")
	c.want("nil", "GET", "k")
	if store.readIndexes != before+1 {
		t.Error("a read after READWRITE did not ask the group")
	}
}

// Reads that look at much do not hold up writers; short ones are not made to
// pay for it, whatever else their keys hold.
func TestLongReadsWalk(t *testing.T) {
	store := newFakeStore()
	srv := startServer(t, Config{}, store)
	c := dial(t, srv.Addr())
	c.do("HSET", "small", "f", "v")
	for _, large := range []struct {
		args    []string
		element func(i int) []string
	}{
		{[]string{"HSET", "hash"}, func(i int) []string { return []string{fmt.Sprint("f", i), "v"} }},
		{[]string{"ZADD", "ranked"}, func(i int) []string { return []string{fmt.Sprint(i), fmt.Sprint("m", i)} }},
		{[]string{"RPUSH", "list"}, func(i int) []string { return []string{fmt.Sprint("e", i)} }},
		{[]string{"SADD", "set"}, func(i int) []string { return []string{fmt.Sprint("m", i)} }},
		{[]string{"MSET"}, func(i int) []string { return []string{fmt.Sprint("key:", i), "v"} }},
	} {
		for i := range shortWalk + 1 {
			large.args = append(large.args, large.element(i)...)
		}
		c.do(large.args...)
	}
	c.do("SETRANGE", "string", "2000000", "v")
	last := fmt.Sprint("m", shortWalk)
	for _, tc := range []struct {
		walks int
		line  string
	}{
		{0, "HGETALL small"}, {1, "HGETALL hash"}, {1, "KEYS *"}, {0, "GET k"}, {0, "HGET hash f1"}, {0, "MGET a b"},
		{0, "SCAN 0"}, {1, "SCAN 0 COUNT 100000"}, {0, "LRANGE list 0 9"}, {0, "LRANGE list -9 -1"}, {1, "LRANGE list 0 -1"}, {0, "LPOS list e7"},
		{0, "ZSCORE ranked " + last}, {0, "ZRANK ranked m7"}, {1, "ZRANK ranked " + last}, {0, "ZCOUNT ranked 0 9"}, {1, "ZCOUNT ranked 0 +inf"},
		{0, "ZRANGEBYSCORE ranked 7 9"}, {0, "ZRANGE ranked 0 9"}, {0, "ZREVRANGE ranked 0 9 WITHSCORES"}, {1, "ZRANGE ranked 0 -1"},
		{0, "SRANDMEMBER set 5"}, {1, "SRANDMEMBER set -5000"}, {1, "BITCOUNT string"}, {1, "LCS small k"}, {0, "STRLEN string"},
	} {
		before := store.walks
		c.do(strings.Fields(tc.line)...)
		if got := store.walks - before; got != tc.walks {
			t.Errorf("%s walked %d times, want %d", tc.line, got, tc.walks)
		}
	}
	// A transaction that reads is at one instant as a whole, and counts what it
	// has found once.
	for _, tc := range []struct {
		walks       int
		hits, keys  int64
		transaction []string
	}{
		{0, 3, 3, []string{"HGETALL small", "LRANGE list 0 9", "STRLEN string"}},
		{1, 1, 2, []string{"GET none", "LRANGE list 0 -1"}},
		{1, 2, 2, []string{"LRANGE list 0 600", "LRANGE list 0 600"}},
		{1, 0, 2, []string{"LCS none k"}},
		{0, 0, 0, []string{"PING"}},
	} {
		before, stats := store.walks, srv.Stats()
		hits, misses := stats.Hits.Load(), stats.Misses.Load()
		c.do("MULTI")
		for _, line := range tc.transaction {
			c.do(strings.Fields(line)...)
		}
		if got := c.do("EXEC"); got[0] != '[' {
			t.Errorf("%q: %s", tc.transaction, got)
		}
		hits, misses = stats.Hits.Load()-hits, stats.Misses.Load()-misses
		if got := store.walks - before; got != tc.walks || hits != tc.hits || hits+misses != tc.keys {
			t.Errorf("%q walked %d times, want %d, and found %d of %d keys, want %d of %d", tc.transaction, got, tc.walks, hits, hits+misses, tc.hits, tc.keys)
		}
	}
}

// A long read between short ones is answered in its turn, and whole, although
// it was begun among them.
func TestLongReadsAmongShortOnes(t *testing.T) {
	store := newFakeStore()
	srv := startServer(t, Config{}, store)
	c := dial(t, srv.Addr())
	push := []string{"RPUSH", "list"}
	var all []string
	for i := range shortWalk + 1 {
		push = append(push, fmt.Sprint(i))
		all = append(all, fmt.Sprintf("%q", fmt.Sprint(i)))
	}
	c.do(push...)
	c.do("SET", "k", "v")
	long := "[" + strings.Join(all, " ") + "]"
	for _, many := range []int{1, loopReads} {
		awaitRest(t, srv)
		var sent strings.Builder
		for range many {
			sent.WriteString(frame("GET", "k") + frame("LRANGE", "list", "0", "-1") + frame("LRANGE", "list", "3", "4"))
		}
		c.write(sent.String())
		for range many {
			if got := c.read(); got != `"v"` {
				t.Fatalf("the first read answers %s", got)
			}
			if got := c.read(); got != long {
				t.Fatalf("the long read answers %.60s…", got)
			}
			if got := c.read(); got != `["3" "4"]` {
				t.Fatalf("the read after it answers %s", got)
			}
		}
	}
	calls := int64(0)
	for _, st := range srv.catalog.stats() {
		if st.Name == "LRANGE" {
			calls = st.Calls
		}
	}
	if want := int64(2 * (1 + loopReads)); calls != want {
		t.Errorf("LRANGE was called %d times, not %d", calls, want)
	}
}

// A client learns whether its write may have happened.
func TestErrorsOfTheGroup(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{command.ErrNoLeader, "-CLUSTERDOWN no leader"},
		{command.ErrUnknownOutcome, "-UNKNOWN timeout: outcome unknown"},
		{command.ErrBusy, "-BUSY "},
		{command.ErrTooLarge, "-ERR command is larger"},
		{fmt.Errorf("proposing: %w", command.ErrClosing), "-CLUSTERDOWN the node is stopping"},
		{errors.New("disk on fire"), "-ERR disk on fire"},
	} {
		store := newFakeStore()
		store.proposeErr, store.readErr = tc.err, tc.err
		srv := startServer(t, Config{}, store)
		c := dial(t, srv.Addr())
		for _, args := range [][]string{{"SET", "k", "v"}, {"GET", "k"}, {"WATCH", "k"}, {"DBSIZE"}, {"HGETALL", "k"}} {
			if got := c.do(args...); !strings.HasPrefix(got, tc.want) {
				t.Errorf("%s answers %s, want %s…", args, got, tc.want)
			}
		}
		c.do("MULTI")
		c.do("SET", "k", "v")
		if got := c.do("EXEC"); !strings.HasPrefix(got, tc.want) {
			t.Errorf("EXEC answers %s, want %s…", got, tc.want)
		}
		if got := c.do("EXEC"); got != "-ERR EXEC without MULTI" {
			t.Errorf("the failed transaction is still open: %s", got)
		}
		if got := c.do("INFO"); !strings.Contains(got, "redis_version") {
			t.Errorf("INFO needs the group: %s", got)
		}
	}
}

// A transaction that only reads costs no log entry; one that writes costs one.
func TestTransactionsAndTheLog(t *testing.T) {
	store := newFakeStore()
	srv := startServer(t, Config{}, store)
	c := dial(t, srv.Addr())
	c.write(frame("MULTI") + frame("GET", "a") + frame("HGETALL", "b") + frame("EXEC"))
	for range 3 {
		c.read()
	}
	if got := c.read(); got != "[nil []]" || len(store.proposals) != 0 {
		t.Errorf("EXEC answers %s after %d proposals", got, len(store.proposals))
	}
	c.write(frame("MULTI") + frame("SET", "a", "1") + frame("PING") + frame("GET", "a") + frame("EXEC"))
	for range 4 {
		c.read()
	}
	if got := c.read(); got != `[+OK +PONG "1"]` || len(store.proposals) != 1 || len(store.proposals[0]) != 1 {
		t.Errorf("EXEC answers %s after %d proposals", got, len(store.proposals))
	}
}

// A transaction cannot be grown until the server has no memory left.
func TestTransactionIsBounded(t *testing.T) {
	srv := startServer(t, Config{QueuedCommands: 3}, newFakeStore())
	c := dial(t, srv.Addr())
	c.do("MULTI")
	for range 3 {
		c.want("+QUEUED", "SET", "k", "v")
	}
	c.want("-"+errBusyTx.Error(), "SET", "k", "v")
	c.want("-"+errExecAbort.Error(), "EXEC")
	c.want("nil", "GET", "k")
}

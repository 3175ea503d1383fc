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
// pay for it.
func TestLongReadsWalk(t *testing.T) {
	store := newFakeStore()
	srv := startServer(t, Config{}, store)
	c := dial(t, srv.Addr())
	args := []string{"HSET", "large"}
	for i := range shortWalk + 1 {
		args = append(args, fmt.Sprint("f", i), "v")
	}
	c.do(args...)
	c.do("HSET", "small", "f", "v")
	args = []string{"ZADD", "ranked"}
	for i := range shortWalk + 1 {
		args = append(args, fmt.Sprint(i), fmt.Sprint("m", i))
	}
	c.do(args...)
	for _, tc := range []struct {
		walks int
		args  []string
	}{
		{0, []string{"HGETALL", "small"}}, {1, []string{"HGETALL", "large"}}, {1, []string{"KEYS", "*"}},
		{0, []string{"GET", "k"}}, {0, []string{"HGET", "large", "f1"}}, {0, []string{"MGET", "a", "b"}}, {1, []string{"SCAN", "0"}},
		{1, []string{"ZRANK", "ranked", "m7"}}, {1, []string{"ZCOUNT", "ranked", "0", "9"}}, {0, []string{"ZSCORE", "ranked", "m7"}},
	} {
		before := store.walks
		c.do(tc.args...)
		if got := store.walks - before; got != tc.walks {
			t.Errorf("%s walked %d times, want %d", tc.args, got, tc.walks)
		}
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

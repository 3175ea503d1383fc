package resp

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/node"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
)

var _ Store = (*node.Node)(nil)

// startNode runs a group of one, with its log and table on disk.
func startNode(t *testing.T) *node.Node {
	t.Helper()
	opts := nodeOptions(t)
	if _, err := node.Init(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	return openNode(t, opts)
}

// startNodes runs a group of n.
func startNodes(t *testing.T, n int) []*node.Node {
	t.Helper()
	opts := nodeOptions(t)
	formed, err := node.Init(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	nodes := []*node.Node{openNode(t, opts)}
	for len(nodes) < n {
		opts := nodeOptions(t)
		if _, err := node.Join(t.Context(), opts, nodes[0].Cluster(), formed.JoinToken); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, openNode(t, opts))
	}
	return nodes
}

func nodeOptions(t *testing.T) node.Options {
	return node.Options{
		Dir: filepath.Join(t.TempDir(), "data"), Cluster: "127.0.0.1:0",

		Table: command.NewTable(redis.Commands(), core.Commands()),
		Fatal: func(err error) { t.Error(err) },
		Timing: node.Timing{
			Heartbeat: 100 * time.Millisecond, Election: 100 * time.Millisecond, LeaderLease: 50 * time.Millisecond,
			Handover: 100 * time.Millisecond,
		},
	}
}

// openNode runs the member of a folder until the test ends.
func openNode(t *testing.T, opts node.Options) *node.Node {
	t.Helper()
	opts.Cluster = "" // as kept in the folder
	n, err := node.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// A program works with a real node: its writes are in the log, its reads see
// them, the domain's commands and keys are there.
func TestClientOfARealNode(t *testing.T) {
	srv := startServer(t, Config{}, startNode(t))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	rdb := goredis.NewClient(&goredis.Options{Addr: srv.Addr().String()})
	defer rdb.Close()

	cmds, err := rdb.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i := range 500 {
			p.Incr(ctx, "n")
			p.HSet(ctx, "h", fmt.Sprint("f", i), i)
		}
		p.Get(ctx, "n")
		p.HLen(ctx, "h")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := cmds[1000].(*goredis.StringCmd).Val(); got != "500" {
		t.Errorf("after 500 INCR the number is %s", got)
	}
	if got := cmds[1001].(*goredis.IntCmd).Val(); got != 500 {
		t.Errorf("after 500 HSET the hash has %d fields", got)
	}
	if got, err := rdb.HGetAll(ctx, "h").Result(); len(got) != 500 || err != nil {
		t.Errorf("HGETALL gives %d fields, %v", len(got), err)
	}

	ttl := func() time.Duration { return rdb.PTTL(ctx, "lease").Val() }
	rdb.Set(ctx, "lease", "v", time.Hour)
	if got := ttl(); got <= 59*time.Minute || got > time.Hour {
		t.Errorf("of an hour %v is left", got)
	}

	for _, args := range [][]any{
		{"SITE.CREATE", "demo", "NAME", "Demo shop"}, {"DEPARTMENT.CREATE", "sales", "demo"},
		{"AGENT.CREATE", "alice", "demo", "PASSWORD", "correct horse", "DEPARTMENTS", "sales"},
	} {
		if err := rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	if got := rdb.HGet(ctx, "site:demo", "name").Val(); got != "Demo shop" {
		t.Errorf("the site's name is %q", got)
	}
	if err := rdb.HGetAll(ctx, "secret:agent:alice").Err(); err == nil || !strings.HasPrefix(err.Error(), "DENIED") {
		t.Errorf("the password's hash: %v", err)
	}
	if err := rdb.Do(ctx, "SYSTEM.TICK", "1").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		t.Errorf("an internal command: %v", err)
	}
	for _, k := range rdb.Keys(ctx, "*").Val() {
		if strings.HasPrefix(k, "secret:") {
			t.Errorf("KEYS shows %s", k)
		}
	}
}

// A program follows the events of a site while another makes them.
func TestFollowingEventsOfARealNode(t *testing.T) {
	srv := startServer(t, Config{}, startNode(t))
	c, follower := dial(t, srv.Addr()), dial(t, srv.Addr())
	c.want("+OK", "SITE.CREATE", "demo")
	follower.write(frame("XREAD", "BLOCK", "0", "STREAMS", "site:demo:events", "$"))
	waitBlocked(t, srv, 1)
	c.want("+OK", "VISITOR.CREATE", "v1", "demo")
	if got := follower.read(); !strings.Contains(got, `"visitor.created"`) {
		t.Errorf("the follower got %s", got)
	}
	c.want("+OK", "XGROUP", "CREATE", "site:demo:events", "mailer", "0")
	if got := c.do("XREADGROUP", "GROUP", "mailer", "one", "STREAMS", "site:demo:events", ">"); !strings.Contains(got, `"visitor.created"`) {
		t.Errorf("the consumer group got %s", got)
	}
	if got := c.do("XADD", "site:demo:events", "*", "type", "forged"); !strings.HasPrefix(got, "-DENIED") {
		t.Errorf("an event could be forged: %s", got)
	}
}

// A watched key that somebody changed stops the transaction in the log.
func TestTransactionOnARealNode(t *testing.T) {
	srv := startServer(t, Config{}, startNode(t))
	a, b := dial(t, srv.Addr()), dial(t, srv.Addr())
	a.want("+OK", "SET", "stock", "1")
	a.want("+OK", "WATCH", "stock")
	b.want("+OK", "WATCH", "stock")
	for _, c := range []*testClient{a, b} {
		c.want("+OK", "MULTI")
		c.want("+QUEUED", "DECR", "stock")
		c.want("+QUEUED", "GET", "stock")
	}
	a.want(`[:0 "0"]`, "EXEC")
	b.want("nil-array", "EXEC")
	b.want(`"0"`, "GET", "stock")
}

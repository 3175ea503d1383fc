package resp

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Programs on three nodes hear each other, each publisher in its order.
func TestMessagesReachEveryNode(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const publishers, messages = 3, 300
	var clients []*goredis.Client
	for _, n := range startNodes(t, publishers) {
		rdb := goredis.NewClient(&goredis.Options{Addr: startServer(t, Config{}, n).Addr().String()})
		t.Cleanup(func() { rdb.Close() })
		clients = append(clients, rdb)
	}

	var subs []*goredis.PubSub
	for i, rdb := range clients {
		var sub *goredis.PubSub
		switch i {
		case 0:
			sub = rdb.Subscribe(ctx, "room:1")
		case 1:
			sub = rdb.PSubscribe(ctx, "room:*")
		case 2:
			sub = rdb.SSubscribe(ctx, "room:1")
		}
		t.Cleanup(func() { sub.Close() })
		if _, err := sub.Receive(ctx); err != nil { // the confirmation
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	// The first words between two members may be lost while they connect.
	for i, rdb := range clients {
		for j, sub := range subs {
			for heard := false; !heard; {
				probe := fmt.Sprintf("%d -1", i)
				if err := errors.Join(rdb.Publish(ctx, "room:1", probe).Err(), rdb.SPublish(ctx, "room:1", probe).Err()); err != nil {
					t.Fatal(err)
				}
				got, err := sub.ReceiveTimeout(ctx, 100*time.Millisecond)
				if ctx.Err() != nil {
					t.Fatalf("subscriber %d does not hear node %d: %v", j, i, err)
				}
				m, ok := got.(*goredis.Message)
				heard = ok && m.Payload == probe
			}
		}
	}
	var work sync.WaitGroup
	for i, rdb := range clients {
		work.Go(func() {
			for k := range messages {
				if err := rdb.Publish(ctx, "room:1", fmt.Sprintf("%d %d", i, k)).Err(); err != nil {
					t.Error(err)
				}
				if err := rdb.SPublish(ctx, "room:1", fmt.Sprintf("%d %d", i, k)).Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i, sub := range subs {
		next := [publishers]int{}
		for next != [publishers]int{messages, messages, messages} {
			m, err := sub.ReceiveMessage(ctx)
			if err != nil {
				t.Fatalf("subscriber %d after %v: %v", i, next, err)
			}
			var from, k int
			if _, err := fmt.Sscanf(m.Payload, "%d %d", &from, &k); err != nil || m.Channel != "room:1" {
				t.Fatalf("subscriber %d got %q on %s from one that had said %v", i, m.Payload, m.Channel, next)
			}
			if k == -1 {
				continue // a probe
			}
			if k != next[from] {
				t.Fatalf("subscriber %d got %q out of order, from nodes that had said %v", i, m.Payload, next)
			}
			next[from]++
		}
	}
	work.Wait()
}

// A subscriber that does not read loses its connection; the publisher and the
// other subscribers notice nothing.
func TestSlowSubscriberIsDropped(t *testing.T) {
	srv := startServer(t, Config{PubsubLimit: 1 << 20}, newFakeStore())
	slow, quick, publisher := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	slow.want(`["subscribe" "c" :1]`, "SUBSCRIBE", "c")
	quick.want(`["subscribe" "c" :1]`, "SUBSCRIBE", "c")
	message := strings.Repeat("x", 100<<10)
	for i := 0; srv.Stats().Lagged.Load() == 0; i++ {
		if got := publisher.do("PUBLISH", "c", message); got != ":2" && srv.Stats().Lagged.Load() == 0 {
			t.Fatalf("message %d was given to %s", i, got)
		}
		if got := quick.read(); !strings.HasPrefix(got, `["message" "c" "x`) {
			t.Fatalf("the quick one got %.40s", got)
		}
		if i > 10_000 {
			t.Fatal("a gigabyte waits for a client that does not read")
		}
	}
	waitFor(t, "the slow one to go", func() bool { return publisher.do("PUBSUB", "NUMSUB", "c") == `["c" :1]` })
	if n := srv.Stats().Lagged.Load(); n != 1 {
		t.Errorf("%d subscribers were dropped", n)
	}
}

// More than the soft limit may wait for a while only.
func TestSubscriberThatStaysBehindIsDropped(t *testing.T) {
	srv := startServer(t, Config{PubsubSoftLimit: 64 << 10, PubsubSoftTime: time.Millisecond}, newFakeStore())
	slow, publisher := dial(t, srv.Addr()), dial(t, srv.Addr())
	slow.want(`["subscribe" "c" :1]`, "SUBSCRIBE", "c")
	message := strings.Repeat("x", 100<<10)
	waitFor(t, "the slow one to go", func() bool { return publisher.do("PUBLISH", "c", message) == ":0" })
	if n := srv.Stats().Lagged.Load(); n != 1 {
		t.Errorf("%d subscribers were dropped", n)
	}
}

// Subscriptions that came and went leave nothing behind, however they went.
func TestSubscriptionsLeaveNothing(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	admin := dial(t, srv.Addr())
	c := dial(t, srv.Addr())
	cycle := func(i int) {
		name := fmt.Sprint("c", i)
		c.write(frame("SUBSCRIBE", name) + frame("PSUBSCRIBE", name+"*") + frame("SSUBSCRIBE", name))
		switch i % 3 {
		case 0:
			c.write(frame("UNSUBSCRIBE", name) + frame("PUNSUBSCRIBE") + frame("SUNSUBSCRIBE"))
			for range 6 {
				c.read()
			}
		case 1:
			c.write(frame("RESET"))
			for range 4 {
				c.read()
			}
		case 2:
			if i%100 != 2 {
				c.write(frame("RESET"))
				for range 4 {
					c.read()
				}
				return
			}
			for range 3 {
				c.read()
			}
			c.conn.Close()
			c = dial(t, srv.Addr())
		}
	}
	for i := range 100 {
		cycle(i)
	}
	waitFor(t, "the closed ones to go", func() bool { return srv.Stats().Clients.Load() == 2 })
	goroutines := runtime.NumGoroutine()
	for i := range 10_000 {
		cycle(i)
	}
	waitFor(t, "the closed ones to go", func() bool { return srv.Stats().Clients.Load() == 2 })
	waitFor(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
	for _, kind := range []audience{byChannel, byPattern, byShard} {
		if n := srv.pubsub.size(kind); n != 0 {
			t.Errorf("%d names of kind %d are left", n, kind)
		}
	}
	if got := admin.do("INFO", "stats"); !strings.Contains(got, `pubsub_channels:0\r\npubsub_patterns:0\r\npubsubshard_channels:0\r\n`) {
		t.Errorf("INFO says %s", got)
	}
}

// A subscriber is not idle, and others see what it is.
func TestSubscriberIsSeenAndNotIdle(t *testing.T) {
	srv := startServer(t, Config{IdleTimeout: 20 * time.Millisecond}, newFakeStore())
	sub := dial(t, srv.Addr())
	sub.want(`["subscribe" "c" :1]`, "SUBSCRIBE", "c")
	waitFor(t, "an idle client to be closed", func() bool {
		idle := dial(t, srv.Addr())
		idle.want("+PONG", "PING")
		return srv.Stats().TimedOut.Load() > 2
	})
	admin := dial(t, srv.Addr())
	if got := admin.do("CLIENT", "LIST", "TYPE", "pubsub"); !strings.Contains(got, "flags=P db=0 sub=1 psub=0 ssub=0") || strings.Count(got, "id=") != 1 {
		t.Errorf("CLIENT LIST says %s", got)
	}
	admin = dial(t, srv.Addr())
	admin.want(":1", "PUBLISH", "c", "m")
	if got := sub.read(); got != `["message" "c" "m"]` {
		t.Errorf("the subscriber got %s", got)
	}
	admin = dial(t, srv.Addr())
	admin.want(":1", "CLIENT", "KILL", "TYPE", "pubsub")
	sub.wantClosed()
}

// What is too large is refused and reaches nobody; the limits stand in the
// document.
func TestMessagesAndSubscriptionsAreBounded(t *testing.T) {
	a, b := newFakeStore(), newFakeStore()
	a.others = []*fakeStore{b}
	here, there := startServer(t, Config{}, a), startServer(t, Config{}, b)
	sub, c := dial(t, there.Addr()), dial(t, here.Addr())
	sub.want(`["subscribe" "c" :1]`, "SUBSCRIBE", "c")
	c.want("-ERR channel and message are longer than 524224 bytes together, nothing was published", "PUBLISH", "c", strings.Repeat("x", maxMessage))
	longest := strings.Repeat("y", maxMessage-1)
	c.want(":0", "PUBLISH", "c", longest) // none is on this node
	if got := sub.read(); got != `["message" "c" "`+longest+`"]` {
		t.Errorf("the subscriber got %d bytes", len(got))
	}
	c.want("-ERR pattern is longer than 1024 bytes", "PSUBSCRIBE", strings.Repeat("*a", 513))
	c.want("-ERR channel is longer than 8192 bytes", "SUBSCRIBE", "ok", strings.Repeat("a", 8193))
	c.want("[]", "PUBSUB", "CHANNELS")
	for _, damaged := range []string{"", "\x00", "\x01", "\x07\x01c", "\x00\x05c", "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		there.hear([][]byte{[]byte(damaged)})
	}
	sub.want(`["pong" ""]`, "PING")
}

// Messages that are published one right after another come in one piece, on
// every node; one that is followed by something else does not wait for that.
func TestMessagesOfAPipelineComeTogether(t *testing.T) {
	nodes := startNodes(t, 2)
	here, there := startServer(t, Config{}, nodes[0]), startServer(t, Config{}, nodes[1])
	speaker := dial(t, here.Addr())
	hearers := []*testClient{dial(t, here.Addr()), dial(t, here.Addr()), dial(t, there.Addr())}
	hearers[1].do("HELLO", "3")
	for i, h := range hearers {
		h.do([]string{"SUBSCRIBE", "PSUBSCRIBE", "SUBSCRIBE"}[i], "news")
	}
	hear := func(h *testClient, want string) {
		t.Helper()
		if got := h.read(); !strings.HasSuffix(got, `"news" "`+want+`"]`) {
			t.Fatalf("a subscriber heard %s, want %s", got, want)
		}
	}
	var all strings.Builder
	for i := range 20 {
		all.WriteString(frame("PUBLISH", "news", fmt.Sprint("message ", i)))
	}
	speaker.write(all.String())
	for i, h := range hearers {
		for n := range 20 {
			hear(h, fmt.Sprint("message ", n))
			if together := i < 2; together && n < 19 && h.r.Buffered() == 0 {
				t.Fatalf("message %d came alone", n)
			}
		}
	}
	for range 20 {
		if got := speaker.read(); got != ":2" {
			t.Fatalf("PUBLISH answered %s", got)
		}
	}
	for _, then := range []string{
		frame("BLPOP", "nothing", "0"),
		frame("MULTI") + frame("PUBLISH", "news", "second") + frame("EXEC") + frame("BLPOP", "nothing", "0"),
		frame("CLIENT", "PAUSE", "1000000", "ALL") + frame("PUBLISH", "news", "never"),
	} {
		c := dial(t, here.Addr())
		c.write(frame("PUBLISH", "news", "first") + then)
		for _, h := range hearers {
			hear(h, "first")
			if strings.Contains(then, "second") {
				hear(h, "second")
			}
		}
	}
	speaker.want("+OK", "CLIENT", "UNPAUSE")
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestFirstChat is the whole path on three real nodes: a visitor and an agent
// on different nodes, 500 messages each way, while the leader is killed twice.
func TestFirstChat(t *testing.T) {
	const each = 500
	story := newTranscript(t)
	g := startGroup(t, 3, demoSite())
	hosts := []string{g.members[0].http, g.members[1].http, g.members[2].http}
	story.members(g)

	// Alice logs in on the third node and goes online.
	alice := newPerson(t, "alice", []string{hosts[2], hosts[0], hosts[1]})
	var session struct {
		Token string `json:"token"`
	}
	login := map[string]string{"login": "alice", "password": demoPassword}
	alice.call("POST", "/v1/login", login, &session)
	alice.token = session.Token
	var me struct {
		Epoch string `json:"epoch"`
		Seq   uint64 `json:"seq"`
	}
	alice.call("GET", "/v1/me", nil, &me)
	alice.epoch, alice.since = me.Epoch, me.Seq
	alice.listen("/v1/socket")
	alice.call("PUT", "/v1/me/status", map[string]string{"status": "online"}, nil)
	story.http("Alice logs in on node 3, connects, and goes online", "POST /v1/login", login, map[string]any{"token": "…"})

	// A visitor comes in on the first node, walks to the pricing page, opens
	// the chat, fills the form in.
	ann := newPerson(t, "Ann", []string{hosts[0], hosts[1], hosts[2]})
	page := map[string]string{"site": "demo", "url": "http://" + hosts[0] + "/demo/pricing", "title": "Pricing", "language": "en"}
	var visit struct {
		Token   string `json:"token"`
		Visitor struct {
			ID string `json:"id"`
		} `json:"visitor"`
		Campaign     string         `json:"campaign"`
		Segments     []string       `json:"segments"`
		Route        map[string]any `json:"route"`
		Invitation   map[string]any `json:"invitation"`
		Availability string         `json:"availability"`
		Epoch        string         `json:"epoch"`
		Seq          uint64         `json:"seq"`
	}
	eventually(t, "alice is seen online on Ann's node", func() bool {
		ann.token = ""
		ann.call("POST", "/v1/visitor/page", page, &visit)
		ann.token = visit.Token
		return visit.Availability == "online"
	})
	if visit.Campaign != "default" || visit.Route["department"] != "sales" || visit.Invitation["id"] == nil {
		t.Errorf("on the pricing page: campaign %q, route %v, invitation %v; want default, sales and an invitation", visit.Campaign, visit.Route, visit.Invitation)
	}
	shown := visit
	shown.Token = "…"
	story.http("Ann comes to the pricing page through node 1; the rules give her a campaign, a route and an invitation", "POST /v1/visitor/page", page, shown)
	ann.epoch, ann.since = visit.Epoch, visit.Seq
	ann.listen("/v1/visitor/socket")

	variables := map[string]string{"plan": "gold"}
	var decided struct {
		Campaign string   `json:"campaign"`
		Segments []string `json:"segments"`
	}
	ann.call("PUT", "/v1/visitor/variables", variables, &decided)
	if decided.Campaign != "vip" || !slices.Contains(decided.Segments, "valued") {
		t.Errorf("with plan gold: campaign %q, segments %v; want vip, [valued]", decided.Campaign, decided.Segments)
	}
	story.http("The shop says that Ann is a gold customer: other segment, other campaign", "PUT /v1/visitor/variables", variables, decided)

	var opened map[string]any
	ann.call("POST", "/v1/visitor/chat/open", map[string]any{}, &opened)
	story.http("Ann presses the button", "POST /v1/visitor/chat/open", map[string]any{}, opened)
	prechat := map[string]any{"prechat": map[string]string{"name": "Ann", "email": "ann@shop.example", "question": "A price"}}
	var asked struct {
		Status string `json:"status"`
		Chat   struct {
			ID    string `json:"id"`
			Agent string `json:"agent"`
		} `json:"chat"`
	}
	ann.call("POST", "/v1/visitor/chat", prechat, &asked)
	if asked.Status != "chatting" || asked.Chat.Agent != "alice" {
		t.Fatalf("asking for a chat: %+v; want to be chatting with alice", asked)
	}
	story.http("and asks for a chat: assigned in the same step", "POST /v1/visitor/chat", prechat, asked)
	chat := asked.Chat.ID
	if got := alice.await("chat.assigned"); got.Chat != chat {
		t.Fatalf("alice was told of chat %q, want %q", got.Chat, chat)
	}
	alice.call("POST", "/v1/chats/"+chat+"/accept", map[string]any{}, nil)
	story.redis(g, "What an operator sees", "HGETALL", "visitor:"+visit.Visitor.ID)

	// Both talk; the leader dies twice meanwhile.
	var fromAnn, fromAlice atomic.Int64
	var talking sync.WaitGroup
	talk := func(p *person, path string, count *atomic.Int64) {
		talking.Add(1)
		go func() {
			defer talking.Done()
			for i := range each {
				p.call("POST", path, map[string]string{
					"client_id": fmt.Sprintf("%s-%d", p.name, i),
					"text":      fmt.Sprintf("%s says %d", p.name, i),
				}, nil)
				count.Add(1)
			}
		}()
	}
	talk(ann, "/v1/visitor/messages", &fromAnn)
	talk(alice, "/v1/chats/"+chat+"/messages", &fromAlice)
	for round, after := range []int64{each / 5, each / 2} {
		eventually(t, "the talk goes on", func() bool { return fromAnn.Load() >= after && fromAlice.Load() >= after })
		leader := g.leader(t)
		sentBefore := fromAnn.Load() + fromAlice.Load()
		if err := leader.kill(); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		eventually(t, "messages are acknowledged without the old leader", func() bool {
			return fromAnn.Load()+fromAlice.Load() > sentBefore+10 || fromAnn.Load()+fromAlice.Load() == 2*each
		})
		story.sayf("Kill %d: `kill -9` of %s, the leader, after %d messages; %.1f s later ten more are acknowledged. It is started again.\n",
			round+1, leader.name, sentBefore, time.Since(killed).Seconds())
		if err := g.startMember(leader); err != nil {
			t.Fatal(err)
		}
		if err := leader.waitReady(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	talking.Wait()

	// Both got everything the other said, once and in order.
	inOrder(t, "alice", alice.collect("visitor", each), "Ann says %d")
	inOrder(t, "Ann", ann.collect("agent", each), "alice says %d")

	// Ann ends the chat, alice hears of it.
	ann.call("POST", "/v1/visitor/chat/end", map[string]any{}, nil)
	alice.await("chat.ended")

	// Every node has the same messages, over HTTP and over RESP.
	reference := ""
	for _, m := range g.members {
		all := allMessages(alice, m.http, chat)
		sameMessages(t, m.name, all, each)
		if rows := streamText(t, m, chat); reference == "" {
			reference = rows
		} else if rows != reference {
			t.Errorf("chat:%s:messages on %s differs from the one on %s", chat, m.name, g.members[0].name)
		}
	}
	story.sayf("Both sides got all %d messages of the other, once and in order; every node holds the same %d.\n", each, 2*each)
	story.redis(g, "At the end", "HGETALL", "chat:"+chat)
	story.redis(g, "", "XREVRANGE", "chat:"+chat+":messages", "+", "-", "COUNT", "2")
	story.redis(g, "", "XREVRANGE", "site:demo:events", "+", "-", "COUNT", "1")
	story.write()
}

// inOrder checks that messages are exactly what was said, in order.
func inOrder(t *testing.T, who string, got []message, format string) {
	t.Helper()
	for i, m := range got {
		if want := fmt.Sprintf(format, i); m.Text != want {
			t.Fatalf("%s: message %d is %q, want %q", who, i, m.Text, want)
		}
	}
}

// sameMessages checks a whole chat: dense sequence, nothing missing, nothing
// twice, each side in its order.
func sameMessages(t *testing.T, where string, all []message, each int) {
	t.Helper()
	var ann, alice []message
	for i, m := range all {
		if m.Seq != uint64(i+1) {
			t.Fatalf("%s: message %d has seq %d", where, i+1, m.Seq)
		}
		switch m.From.Type {
		case "visitor":
			ann = append(ann, m)
		case "agent":
			alice = append(alice, m)
		}
	}
	if len(ann) != each || len(alice) != each {
		t.Fatalf("%s: %d messages of Ann and %d of alice, want %d each", where, len(ann), len(alice), each)
	}
	inOrder(t, where, ann, "Ann says %d")
	inOrder(t, where, alice, "alice says %d")
}

// allMessages pages through a chat on one node.
func allMessages(p *person, host, chat string) []message {
	var all []message
	for after := uint64(0); ; {
		var page struct {
			Messages []message `json:"messages"`
		}
		if err := p.once(context.Background(), host, "GET", fmt.Sprintf("/v1/chats/%s/messages?after=%d", chat, after), nil, &page); err != nil {
			p.t.Fatalf("reading the messages on %s: %v", host, err)
		}
		if len(page.Messages) == 0 {
			return all
		}
		all = append(all, page.Messages...)
		after = all[len(all)-1].Seq
	}
}

// streamText reads a chat's messages from a node with a Redis client.
func streamText(t *testing.T, m *member, chat string) string {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: m.resp})
	defer func() { _ = client.Close() }()
	entries, err := client.XRange(context.Background(), "chat:"+chat+":messages", "-", "+").Result()
	if err != nil {
		t.Fatalf("XRANGE on %s: %v", m.name, err)
	}
	return fmt.Sprint(entries)
}

// startGroup starts a group of real processes and stops it with the test.
func startGroup(t *testing.T, n int, seed [][]string, serveArgs ...string) *localGroup {
	t.Helper()
	g := layOutGroup(t, n, seed, serveArgs...)
	if err := g.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g
}

// layOutGroup makes a group that is not formed yet.
func layOutGroup(t *testing.T, n int, seed [][]string, serveArgs ...string) *localGroup {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real nodes")
	}
	t.Setenv("PARLOR_TEST_PROGRAM", "1")
	g := newLocalGroup(t.TempDir(), n, freePorts(t, n))
	g.seed = filepath.Join(g.dir, "seed.json")
	g.serveArgs = serveArgs
	if err := writeSeed(g.seed, seed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.stop(20 * time.Second)
		if t.Failed() {
			for _, m := range g.members {
				t.Logf("the end of the log of %s:\n%s", m.name, tail(m.logFile, 30))
			}
		}
	})
	return g
}

// freePorts finds a multiple of 100 such that all ports of a local group
// counted from there are free. It looks below the range from which the kernel
// takes outgoing ports, so that nobody takes them by chance before the nodes do.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for i := range 180 {
		base := 12000 + (os.Getpid()+int(portRound.Add(1))+i)%180*100
		if newLocalGroup("", n, base).checkPorts() == nil {
			return base
		}
	}
	t.Fatal("found no free ports")
	return 0
}

// portRound makes tests of one run look for ports in different places.
var portRound atomic.Int64

// leader finds the node that leads now.
func (g *localGroup) leader(t *testing.T) *member {
	t.Helper()
	var found *member
	eventually(t, "a node leads", func() bool {
		for _, m := range g.members {
			out, err := parlor(t.Context(), "status", "--data-dir", m.dataDir, "--json")
			if err != nil {
				continue
			}
			if role, err := jsonString(out, "role"); err == nil && role == "leader" {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

package api_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/api"
	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// TestSeeingOnlyOnesOwn: visitors see themselves, agents their chats, admins
// everything.
func TestSeeingOnlyOnesOwn(t *testing.T) {
	w := newWorld(t, 1)
	alice, bob := w.online("alice"), w.online("bob")
	var me struct {
		Epoch string
		Seq   int64
	}
	bob.do("GET", "/v1/me", nil).ok(&me)
	vera, veraPage := w.stranger().visit("https://shop.example/")
	wim, wimPage := w.stranger().visit("https://shop.example/")
	_, first, _ := vera.request("Vera")
	_, second, _ := wim.request("Wim")
	if first.Agent == second.Agent {
		t.Fatalf("both chats are with %s", first.Agent)
	}
	vera.do("POST", "/v1/visitor/messages", object{"client_id": "1", "text": "from Vera"}).ok()
	wim.do("POST", "/v1/visitor/messages", object{"client_id": "1", "text": "from Wim"}).ok()

	texts := func(a *actor, path string, p pageView) string {
		var out []string
		for _, f := range a.poll(path, p.Epoch, p.Seq, 0).Frames {
			switch {
			case f.Type == "message.created":
				out = append(out, f.text())
			case path == "/v1/visitor/sync" && (strings.HasPrefix(f.Type, "visitor.") || strings.HasPrefix(f.Type, "agent.")):
				t.Errorf("a visitor was shown %s", f.Type)
			}
		}
		return strings.Join(out, ", ")
	}
	from := pageView{Epoch: me.Epoch, Seq: me.Seq}
	if got := texts(vera, "/v1/visitor/sync", veraPage); got != "from Vera" {
		t.Errorf("Vera sees %q", got)
	}
	if got := texts(wim, "/v1/visitor/sync", wimPage); got != "from Wim" {
		t.Errorf("Wim sees %q", got)
	}
	want := "from Vera"
	if second.Agent == "bob" {
		want = "from Wim"
	}
	if got := texts(bob, "/v1/sync", from); got != want {
		t.Errorf("bob sees %q, want %q", got, want)
	}
	if got := texts(alice, "/v1/sync", from); got != "from Vera, from Wim" {
		t.Errorf("the admin sees %q", got)
	}
}

// TestReset: a gap that cannot be filled is told, never skipped.
func TestReset(t *testing.T) {
	w := newWorld(t, 1)
	w.online("alice")
	visitor, page := w.stranger().visit("https://shop.example/")
	for name, got := range map[string]frames{
		"another epoch":  visitor.poll("/v1/visitor/sync", "epoch-0", page.Seq, 20),
		"beyond what is": visitor.poll("/v1/visitor/sync", page.Epoch, page.Seq+1000, 20),
	} {
		if !got.Reset || got.Epoch != page.Epoch || got.Seq < page.Seq || len(got.Frames) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	_, chat, _ := visitor.request("Vera")
	var commands [][][]byte
	for i := range 2100 {
		commands = append(commands, core.ChatSend{Chat: chat.ID, From: core.Party{Type: core.FromAgent, ID: "alice"}, Text: fmt.Sprint(i)}.Args())
	}
	w.run(commands...)
	if got := visitor.poll("/v1/visitor/sync", page.Epoch, page.Seq, 20); !got.Reset {
		t.Errorf("2 100 events behind: %d frames and no reset", len(got.Frames))
	} else if next := visitor.poll("/v1/visitor/sync", got.Epoch, got.Seq-1999, 20); next.Reset || len(next.Frames) != 1999 {
		t.Errorf("1 999 events behind: %d frames, reset %v", len(next.Frames), next.Reset)
	}
}

// TestAStateFromElsewhere: after a restore from a backup everybody begins
// anew.
func TestAStateFromElsewhere(t *testing.T) {
	w := newWorld(t, 1)
	visitor, page := w.stranger().visit("https://shop.example/")
	phone := visitor.dial("/v1/visitor/socket", "")
	phone.next()
	waiting := visitor.polling("/v1/visitor/sync", page.Epoch, page.Seq)
	err := w.group.members[0].replaced(func(tx *keyspace.Tx) error {
		_, err := tx.HSet([]byte("system:group"), []byte("epoch"), []byte("epoch-2"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	phone.closedWith(4000)
	if got := waiting(); !got.Reset || got.Epoch != "epoch-2" {
		t.Fatalf("the waiting poll was answered with %+v", got)
	}
	if got := visitor.poll("/v1/visitor/sync", page.Epoch, page.Seq, 0); !got.Reset || got.Epoch != "epoch-2" {
		t.Fatalf("a poll afterwards: %+v", got)
	}
}

// TestALaggingMember: a client comes from a member that is ahead; this one
// catches up before it says that it knows nothing.
func TestALaggingMember(t *testing.T) {
	for name, ask := range map[string]func(visitor *actor, page pageView){
		"a visitor whom it does not know": func(visitor *actor, page pageView) {
			visitor.do("GET", "/v1/visitor/chat", nil).ok()
		},
		"a page view of such a visitor": func(visitor *actor, page pageView) {
			if _, again := visitor.visit("https://shop.example/2"); again.New || again.Visitor.ID != page.Visitor.ID {
				panic("the visitor was taken for a new one")
			}
		},
		"a position that it has not reached": func(visitor *actor, page pageView) {
			if got := visitor.poll("/v1/visitor/sync", page.Epoch, page.Seq, 0); got.Reset || got.Seq < page.Seq {
				panic(fmt.Sprintf("sync: %+v", got))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.group.members[1].pause()
			visitor, page := w.stranger().visit("https://shop.example/")
			ask(visitor.at(1), page)
		})
	}
}

// TestALaggingMemberAlone: a member that cannot catch up does not claim that
// the client's position is not one, and sends him elsewhere.
func TestALaggingMemberAlone(t *testing.T) {
	w := newWorld(t, 2)
	visitor, page := w.stranger().visit("https://shop.example/")
	w.group.members[1].pause()
	_, later := visitor.visit("https://shop.example/2")
	w.group.refuseWith(command.ErrNoLeader)
	visitor.at(1).do("GET", fmt.Sprintf("/v1/visitor/sync?epoch=%s&since=%d", page.Epoch, later.Seq), nil).fails(503, "unavailable")
	visitor.at(1).dial("/v1/visitor/socket", fmt.Sprintf("?epoch=%s&since=%d", page.Epoch, later.Seq)).closedWith(4002)
	// What it has, it gives.
	if got := visitor.at(1).poll("/v1/visitor/sync", page.Epoch, page.Seq, 0); got.Reset {
		t.Fatalf("sync: %+v", got)
	}
}

// TestTheIndexOfAChange: who shows the index of his own change to another
// member sees that change there.
func TestTheIndexOfAChange(t *testing.T) {
	w := newWorld(t, 2)
	alice := w.login("alice")
	got := alice.do("PUT", "/v1/me/status", object{"status": "away"}).ok()
	index := got.header.Get("X-Parlor-Index")
	if index == "" {
		t.Fatal("a change was answered without its index")
	}
	var me struct{ Agent struct{ Status string } }
	alice.at(1).with("X-Parlor-Index", index).do("GET", "/v1/me", nil).ok(&me)
	if me.Agent.Status != "away" {
		t.Fatalf("on the other member the status is %q", me.Agent.Status)
	}
	alice.with("X-Parlor-Index", "many").do("GET", "/v1/me", nil).fails(422, "invalid_request")
}

// TestAnIndexThatWaits: a call waits until the member has applied its index.
func TestAnIndexThatWaits(t *testing.T) {
	w := newWorld(t, 2)
	alice := w.login("alice")
	lagging := w.group.members[1]
	lagging.pause()
	index := alice.do("PUT", "/v1/me/status", object{"status": "away"}).ok().header.Get("X-Parlor-Index")
	answered := make(chan string)
	go func() {
		var me struct{ Agent struct{ Status string } }
		alice.at(1).with("X-Parlor-Index", index).do("GET", "/v1/me", nil).ok(&me)
		answered <- me.Agent.Status
	}()
	if err := lagging.ReadIndex(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status := <-answered; status != "away" {
		t.Fatalf("on the lagging member the status is %q", status)
	}
}

// TestALateMessageStaysInItsChat: what was written into a chat that is over
// does not turn up in the next one, nor in one of somebody else.
func TestALateMessageStaysInItsChat(t *testing.T) {
	w := newWorld(t, 1)
	w.online("alice")
	vera, _ := w.stranger().visit("https://shop.example/")
	wim, _ := w.stranger().visit("https://shop.example/")
	_, former, _ := vera.request("Vera")
	_, foreign, _ := wim.request("Wim")
	phone := vera.dial("/v1/visitor/socket", "")
	phone.next()
	vera.do("POST", "/v1/visitor/chat/end", nil).ok()
	_, present, _ := vera.request("Vera")

	phone.send(object{"op": "send", "chat": former.ID, "client_id": "late", "text": "one more thing"})
	phone.nacked("late", "chat_ended")
	phone.send(object{"op": "send", "chat": foreign.ID, "client_id": "wrong", "text": "hello"})
	phone.nacked("wrong", "not_found")
	phone.send(object{"op": "send", "chat": present.ID, "client_id": "right", "text": "again"})
	phone.frame("message.created")
	var now struct{ Messages []struct{ Text string } }
	vera.do("GET", "/v1/visitor/chat", nil).ok(&now)
	if len(now.Messages) != 1 || now.Messages[0].Text != "again" {
		t.Fatalf("the present chat has %+v", now.Messages)
	}
}

// TestTheEndOfALongChat: the answer to the end shows the end.
func TestTheEndOfALongChat(t *testing.T) {
	w := newWorld(t, 1)
	w.online("alice")
	visitor, page := w.stranger().visit("https://shop.example/")
	_, chat, _ := visitor.request("Vera")
	const sent = core.MaxPage + 5
	var messages []command.Args
	for i := range sent {
		messages = append(messages, core.ChatSend{
			Chat: chat.ID, From: core.Party{Type: core.FromVisitor, ID: page.Visitor.ID},
			ID: fmt.Sprintf("m%d", i), Text: fmt.Sprint(i),
		}.Args())
	}
	w.run(messages...)
	var end struct{ Messages []struct{ Seq int64 } }
	visitor.do("POST", "/v1/visitor/chat/end", nil).ok(&end)
	if n := len(end.Messages); n != core.MaxPage || end.Messages[n-1].Seq != sent {
		t.Fatalf("%d messages, the last of them %d, of %d", n, end.Messages[n-1].Seq, sent)
	}
	visitor.do("POST", fmt.Sprintf("/v1/visitor/chat/end?after=%d", sent-2), nil).ok(&end)
	if len(end.Messages) != 2 {
		t.Fatalf("%d messages after all but two", len(end.Messages))
	}
}

// TestMessagesOnTheSocket: sending, typing and pinging without HTTP calls.
func TestMessagesOnTheSocket(t *testing.T) {
	w := newWorld(t, 2)
	alice := w.online("alice")
	visitor, _ := w.stranger().visit("https://shop.example/")
	_, chat, _ := visitor.request("Vera")
	phone, console := visitor.dial("/v1/visitor/socket", ""), alice.at(1).dial("/v1/socket", "")
	phone.next()
	console.next()

	phone.send(object{"op": "send", "chat": chat.ID, "client_id": "v1", "text": "hello"})
	if f := console.frame("message.created"); f.text() != "hello" {
		t.Fatalf("the agent got %q", f.text())
	}
	for acked := false; !acked; {
		f := phone.next()
		if f.Ack != nil {
			acked = true
			if f.Ack.ClientID != "v1" || f.Ack.Seq == 0 || f.Ack.ID == "" {
				t.Fatalf("ack: %+v", f.Ack)
			}
		}
	}
	console.send(object{"op": "send", "chat": "another", "client_id": "a0", "text": "hello"})
	console.nacked("a0", "not_found")
	console.send(object{"op": "send", "chat": chat.ID, "client_id": "a1", "text": strings.Repeat("x", 17_000)})
	console.nacked("a1", "message_too_large")
	console.send(object{"op": "dance", "client_id": "a2"})
	console.nacked("a2", "invalid_request")
	if err := console.conn.WriteMessage(1, []byte("{")); err != nil {
		t.Fatal(err)
	}
	console.nacked("", "invalid_json")

	// Typing reaches the other member's sockets, and the preview agents only.
	phone.send(object{"op": "typing", "typing": true, "preview": "I want"})
	if f := console.frame("typing"); f.Seq != 0 || f.Chat != chat.ID || !strings.Contains(string(f.Data), "I want") {
		t.Fatalf("typing: %+v %s", f, f.Data)
	}
	console.send(object{"op": "typing", "chat": chat.ID, "typing": true, "preview": "secret"})
	if f := phone.frame("typing"); strings.Contains(string(f.Data), "secret") || !strings.Contains(string(f.Data), "true") {
		t.Fatalf("typing of the agent: %s", f.Data)
	}
	visitor.do("POST", "/v1/visitor/typing", object{"typing": false}).ok()
	console.frame("typing")
	alice.do("POST", "/v1/chats/"+chat.ID+"/typing", object{"typing": false}).ok()
	phone.frame("typing")

	phone.send(object{"op": "ping"})
	if f := phone.next(); f.Epoch == "" || f.Seq == 0 {
		t.Fatalf("ping was answered with %+v", f)
	}
}

// nacked waits for a refusal.
func (c *client) nacked(clientID, code string) {
	c.t.Helper()
	for {
		f := c.next()
		c.backlog = append(c.backlog, f.Frames...)
		if f.Nack != nil {
			if f.Nack.ClientID != clientID || f.Nack.Code != code || f.Nack.Message == "" {
				c.t.Fatalf("nack %+v, want %s for %q", f.Nack, code, clientID)
			}
			return
		}
	}
}

// TestSocketsNeedAToken: nobody listens without one.
func TestSocketsNeedAToken(t *testing.T) {
	w := newWorld(t, 1)
	_, resp, err := w.stranger().dialRaw("/v1/visitor/socket", "")
	if err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("a stranger got %v, %v", resp, err)
	}
	visitor, _ := w.stranger().visit("https://shop.example/")
	if _, resp, err = visitor.dialRaw("/v1/socket", ""); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("a visitor got the agents' socket: %v, %v", resp, err)
	}
	phone := visitor.dial("/v1/visitor/socket", "")
	if got := phone.conn.Subprotocol(); got != "parlor.v1" {
		t.Fatalf("subprotocol %q", got)
	}
}

// TestASlowClient is told to begin anew instead of missing something.
func TestASlowClient(t *testing.T) {
	w := newWorld(t, 1, func(c *api.Config) { c.Queue = 8 })
	alice := w.online("alice")
	visitor, _ := w.stranger().visit("https://shop.example/")
	_, chat, _ := visitor.request("Vera")
	conn, _, err := visitor.dialRaw("/v1/visitor/socket", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.NetConn().(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	// He reads no more. The network takes some megabytes, then the queue
	// fills.
	text := strings.Repeat("x", 16_000)
	for range 30 {
		var commands [][][]byte
		for range 32 {
			commands = append(commands, core.ChatSend{Chat: chat.ID, From: core.Party{Type: core.FromAgent, ID: "alice"}, Text: text}.Args())
		}
		w.run(commands...)
	}
	// Now he reads again: all up to a point, and then that he is too far behind.
	c := &client{t: t, conn: conn, messages: make(chan frames, 4096), ended: make(chan error, 1)}
	go c.read()
	c.closedWith(4000)
	alice.do("GET", "/v1/chats/"+chat.ID, nil).ok()
}

// TestPresence: who is connected is told to the group at once.
func TestPresence(t *testing.T) {
	w := newWorld(t, 1)
	bob := w.login("bob")
	connected := func() bool {
		var me struct{ Agent struct{ Connected bool } }
		bob.do("GET", "/v1/me", nil).ok(&me)
		return me.Agent.Connected
	}
	if connected() {
		t.Fatal("an agent without a connection counts as connected")
	}
	bob.dial("/v1/socket", "").next()
	eventually(t, "the agent counts as connected", connected)
}

// TestGoingAway: a member that stops sends its clients away and answers those
// that wait.
func TestGoingAway(t *testing.T) {
	w := newWorld(t, 2)
	visitor, page := w.stranger().visit("https://shop.example/")
	phone := visitor.dial("/v1/visitor/socket", "")
	phone.next()
	waiting := visitor.polling("/v1/visitor/sync", page.Epoch, page.Seq)
	w.servers[0].Drain()
	phone.closedWith(4002)
	if got := waiting(); got.Reset {
		t.Fatalf("the waiting poll was answered with %+v", got)
	}
	visitor.do("GET", "/v1/visitor/sync", nil).fails(503, "unavailable")
	w.stranger().do("GET", "/readyz", nil).fails(503, "unavailable")
	visitor.do("GET", "/v1/visitor/chat", nil).ok()
	visitor.at(1).dial("/v1/visitor/socket", "").next()

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.servers[0].Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if n := w.servers[0].Sockets(); n != 0 {
		t.Fatalf("%d sockets are open after the end", n)
	}
}

// TestPollsEnd: a poll for which nothing comes is answered all the same.
func TestPollsEnd(t *testing.T) {
	w := newWorld(t, 1)
	visitor, page := w.stranger().visit("https://shop.example/")
	got := visitor.poll("/v1/visitor/sync", page.Epoch, page.Seq, 0.05)
	if got.Reset || len(got.Frames) != 0 || got.Seq != page.Seq {
		t.Fatalf("poll: %+v", got)
	}
}

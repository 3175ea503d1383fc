package core_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/core"
)

// TestWhoWaitsHearsThatHeMovesUp: each time somebody in front of him is gone,
// as far as that is among the first of the queue.
func TestWhoWaitsHearsThatHeMovesUp(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	name := func(i int) string { return fmt.Sprintf("v%02d", i) }
	for i := range 25 {
		w.visitor(name(i))
		want := core.ChatWaiting
		if i == 0 {
			want = core.ChatChatting
		}
		w.asks(name(i), want)
	}
	told := func() map[string]int64 {
		t.Helper()
		events, err := w.Events("shop", w.seen["shop"])
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]int64{}
		for _, e := range events {
			w.seen["shop"] = e.Seq
			if e.Type != core.EventChatQueued {
				continue
			}
			var data core.ChatData
			if err := json.Unmarshal(e.Data, &data); err != nil || data.Chat == nil || data.Chat.Status != core.ChatWaiting {
				t.Fatalf("%s: %v", e.Data, err)
			}
			if !e.ForVisitor(e.Visitor) {
				t.Fatal("the visitor does not hear of it")
			}
			out[e.Visitor] = data.Position
		}
		return out
	}
	told()

	// Alice takes the first who waits: the next twenty move up.
	w.ok(core.ChatEnd{Chat: "chat-v00", By: core.Party{Type: core.FromAgent}}.Args())
	want := map[string]int64{}
	for i := range 20 {
		want[name(i+2)] = int64(i + 1)
	}
	if got := told(); !maps.Equal(got, want) {
		t.Fatalf("told %v\nwant %v", got, want)
	}

	// Somebody in the middle gives up: who is in front of him hears nothing.
	w.ok(core.ChatEnd{Chat: "chat-v20", By: core.Party{Type: core.FromVisitor}}.Args())
	if got, want := told(), map[string]int64{"v21": 19, "v22": 20}; !maps.Equal(got, want) {
		t.Fatalf("told %v\nwant %v", got, want)
	}

	// The last one becomes urgent: he alone moves up.
	w.ok(core.ChatUpdate{Chat: "chat-v24", Priority: ptr(int64(core.MaxPriority))}.Args())
	if got, want := told(), map[string]int64{"v24": 1}; !maps.Equal(got, want) {
		t.Fatalf("told %v\nwant %v", got, want)
	}

	// Who comes last is told once.
	w.visitor("v99")
	w.asks("v99", core.ChatWaiting)
	if got, want := told(), map[string]int64{"v99": 23}; !maps.Equal(got, want) {
		t.Fatalf("told %v\nwant %v", got, want)
	}
}

func TestVisitorChatsWithAnAgentAndLeaves(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 2)
	w.visitor("vera")
	w.ok(core.VisitorPage{ID: "vera", URL: "https://shop.example/prices", Title: "Prices"}.Args())
	w.happened()

	o := w.asks("vera", core.ChatChatting)
	if o.Chat != "chat-vera" || o.Position != 0 {
		t.Fatalf("outcome %+v", o)
	}
	w.expect(core.EventChatCreated, core.EventChatAssigned)
	if c := w.chat("chat-vera"); c.PageURL != "https://shop.example/prices" || c.AssignedAt != w.Now() {
		t.Fatalf("chat %+v", c)
	}
	if v := w.theVisitor("vera"); v.Status != core.VisitorChatting || v.Chat != "chat-vera" || v.ChatCount != 1 {
		t.Fatalf("visitor %+v", v)
	}

	vera, alice := core.Party{Type: core.FromVisitor, ID: "vera"}, core.Party{Type: core.FromAgent, ID: "alice"}
	for i, m := range []core.ChatSend{
		{From: vera, Text: "Hello?", ClientID: "1"}, {From: alice, Text: "Hello Vera!", ClientID: "1"}, {From: vera, Text: "谢谢", ClientID: "2"},
	} {
		m.Chat = "chat-vera"
		sent, err := m.Result(w.ok(m.Args()))
		if err != nil || sent.Seq != int64(i+1) || sent.At != w.Now() || len(sent.ID) != 36 {
			t.Fatalf("message %d: %+v, %v", i, sent, err)
		}
	}
	w.expect(core.EventMessageCreated, core.EventChatAccepted, core.EventMessageCreated, core.EventMessageCreated)

	messages, err := core.ChatMessages(w.View(), "chat-vera", 1, 10)
	if err != nil || len(messages) != 2 || messages[0].From.Name != "alice" || messages[1].Text != "谢谢" {
		t.Fatalf("messages after 1: %+v, %v", messages, err)
	}

	end := core.ChatEnd{Chat: "chat-vera", By: vera}.Args()
	w.ok(end)
	w.expect(core.EventChatEnded)
	if c := w.chat("chat-vera"); c.Status != core.ChatEnded || c.EndedBy != core.FromVisitor || c.Agent != "alice" {
		t.Fatalf("chat %+v", c)
	}
	if v := w.theVisitor("vera"); v.Status != core.VisitorBrowsing || v.Chat != "" {
		t.Fatalf("visitor %+v", v)
	}
	if a := w.theAgent("alice"); a.Chats != 0 || a.IdleSince != w.Now() {
		t.Fatalf("agent %+v", a)
	}

	w.ok(end) // again: nothing happens
	w.expect()
	w.fails(core.CodeConflict, "has ended", core.ChatSend{Chat: "chat-vera", From: vera, Text: "one more"}.Args())
}

func TestMessageSentAgainIsNotAddedAgain(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.visitor("vera")
	w.asks("vera", core.ChatChatting)
	hello := core.ChatSend{Chat: "chat-vera", From: core.Party{Type: core.FromVisitor, ID: "vera"}, Text: "Hello", ClientID: "c1"}
	first, err := hello.Result(w.ok(hello.Args()))
	if err != nil {
		t.Fatal(err)
	}
	w.happened()
	w.Advance(time.Second)
	check := func() {
		t.Helper()
		again, err := hello.Result(w.ok(hello.Args()))
		if err != nil || again != first {
			t.Fatalf("again: %+v, %v; first %+v", again, err, first)
		}
		w.expect()
	}
	check()
	// The same name from another sender is another message.
	other := core.ChatSend{Chat: "chat-vera", From: core.Party{Type: core.FromAgent, ID: "alice"}, Text: "Hi", ClientID: "c1"}
	if sent, err := other.Result(w.ok(other.Args())); err != nil || sent.Seq != 2 {
		t.Fatalf("%+v, %v", sent, err)
	}
	// And the answer stays the same after the end.
	w.ok(core.ChatEnd{Chat: "chat-vera", By: core.Party{Type: core.FromSystem}}.Args())
	w.happened()
	check()
}

func TestOnlyParticipantsSend(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.agent("bob", 1)
	w.ok(core.AgentCreate{ID: "chief", Site: "shop", Role: core.RoleAdmin}.Args())
	w.ok(core.SiteCreate{ID: "other"}.Args())
	w.ok(core.AgentCreate{ID: "stranger", Site: "other", Role: core.RoleAdmin}.Args())
	w.visitor("vera")
	w.visitor("victor")
	w.asks("vera", core.ChatChatting)
	with := w.chat("chat-vera").Agent
	if with != "alice" {
		t.Fatalf("assigned to %s", with)
	}
	send := func(typ, id, text string) core.ChatSend {
		return core.ChatSend{Chat: "chat-vera", From: core.Party{Type: typ, ID: id}, Text: text}
	}
	w.fails(core.CodeDenied, "takes no part", send(core.FromVisitor, "victor", "x").Args())
	w.fails(core.CodeDenied, "takes no part", send(core.FromAgent, "bob", "x").Args())
	w.fails(core.CodeDenied, "takes no part", send(core.FromAgent, "stranger", "x").Args())
	w.fails(core.CodeDenied, "does not exist", send(core.FromAgent, "nobody", "x").Args())
	w.fails(core.CodeInvalid, "no kind of participant", send("ghost", "x", "x").Args())
	w.fails(core.CodeInvalid, "empty", send(core.FromVisitor, "vera", "").Args())
	w.fails(core.CodeInvalid, "UTF-8", send(core.FromVisitor, "vera", "\xff").Args())
	w.fails(core.CodeLimit, "16384", send(core.FromVisitor, "vera", strings.Repeat("x", core.MaxText+1)).Args())
	w.fails(core.CodeNotFound, "does not exist", core.ChatSend{Chat: "none", From: core.Party{Type: core.FromVisitor, ID: "vera"}, Text: "x"}.Args())
	w.ok(send(core.FromVisitor, "vera", strings.Repeat("x", core.MaxText)).Args())
	w.ok(send(core.FromAgent, "chief", "I listen in").Args())
	w.ok(send(core.FromSystem, "", "This chat may be recorded").Args())
	if c := w.chat("chat-vera"); c.LastSeq != 3 || c.AcceptedAt != 0 {
		t.Fatalf("chat %+v", c)
	}
}

func TestFullAgentsLetVisitorsWaitInOrder(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	for _, v := range []string{"v1", "v2", "v3", "v4"} {
		w.visitor(v)
	}
	w.asks("v1", core.ChatChatting)
	if o := w.asks("v2", core.ChatWaiting); o.Position != 1 {
		t.Fatalf("v2 %+v", o)
	}
	if o := w.asks("v3", core.ChatWaiting); o.Position != 2 {
		t.Fatalf("v3 %+v", o)
	}
	w.Advance(time.Millisecond)
	urgent := core.ChatRequest{Visitor: "v4", Chat: "chat-v4", Department: "sales", Priority: ptr(int64(4))}
	if o, err := urgent.Result(w.ok(urgent.Args())); err != nil || o.Position != 1 {
		t.Fatalf("v4 %+v, %v", o, err)
	}
	q, ok, err := core.QueuePosition(w.View(), "chat-v3")
	if err != nil || !ok || q.Position != 3 || q.ETA != 15*60 {
		t.Fatalf("queue of v3: %+v %v %v", q, ok, err)
	}
	// Asking again changes nothing: it is the chat that he has.
	w.happened()
	if o := w.asks("v2", core.ChatWaiting); o.Chat != "chat-v2" || o.Position != 2 {
		t.Fatalf("v2 again %+v", o)
	}
	w.expect()

	end := func(chat string) {
		t.Helper()
		w.ok(core.ChatEnd{Chat: chat, By: core.Party{Type: core.FromAgent}}.Args())
	}
	end("chat-v1")
	w.expect(core.EventChatEnded, core.EventChatAssigned, core.EventChatQueued, core.EventChatQueued)
	w.with("chat-v4", "alice")
	w.ok(core.ChatUpdate{Chat: "chat-v3", Priority: ptr(int64(3))}.Args())
	end("chat-v4")
	w.with("chat-v3", "alice")
	end("chat-v3")
	w.with("chat-v2", "alice")
}

func TestFewestChatsThenLongestAgoThenID(t *testing.T) {
	w := newWorld(t)
	for _, a := range []string{"carol", "bob", "alice"} {
		w.agent(a, 5)
	}
	var got []string
	for _, v := range []string{"v1", "v2", "v3", "v4", "v5"} {
		w.visitor(v)
		w.asks(v, core.ChatChatting)
		got = append(got, w.chat("chat-"+v).Agent)
	}
	if s := strings.Join(got, " "); s != "alice bob carol alice bob" {
		t.Fatalf("assigned to %s", s)
	}
	w.ok(core.ChatEnd{Chat: "chat-v1", By: core.Party{Type: core.FromSystem}}.Args())
	w.ok(core.ChatEnd{Chat: "chat-v3", By: core.Party{Type: core.FromSystem}}.Args())
	// carol 0; alice 1, bob 2
	w.visitor("v6")
	w.asks("v6", core.ChatChatting)
	w.with("chat-v6", "carol")
	w.visitor("v7")
	w.asks("v7", core.ChatChatting)
	w.with("chat-v7", "alice") // as many as carol, but longer ago
	w.ok(core.ChatEnd{Chat: "chat-v4", By: core.Party{Type: core.FromSystem}}.Args())
	w.visitor("v8")
	w.asks("v8", core.ChatChatting)
	w.with("chat-v8", "carol") // as many as alice, but longer ago
}

func TestNobodyOnlineMeansOffline(t *testing.T) {
	w := newWorld(t)
	w.ok(core.AgentCreate{ID: "alice", Site: "shop", Departments: []string{"sales"}}.Args())
	w.visitor("vera")
	w.happened()
	if o := w.asks("vera", core.ChatOffline); o.Chat != "" {
		t.Fatalf("outcome %+v", o)
	}
	w.expect(core.EventVisitorUpdated)
	if v := w.theVisitor("vera"); v.Status != core.VisitorOffline || v.Chat != "" {
		t.Fatalf("visitor %+v", v)
	}
	if _, ok, _ := core.GetChat(w.View(), "chat-vera"); ok {
		t.Fatal("a chat was made")
	}
	w.asks("vera", core.ChatOffline)
	w.expect()

	w.ok(core.AgentStatus{ID: "alice", Status: core.AgentAway}.Args())
	w.asks("vera", core.ChatOffline)
	w.ok(core.AgentStatus{ID: "alice", Status: core.AgentOnline}.Args())
	w.asks("vera", core.ChatChatting)
}

func TestRouteDecidesWhereARequestGoes(t *testing.T) {
	w := newWorld(t)
	w.ok(core.DepartmentCreate{ID: "help", Site: "shop"}.Args())
	w.agent("alice", 5, "sales")
	w.agent("hugo", 5, "help")
	w.agent("lone", 1, []string{}...)
	ask := func(v string, d *core.Decisions, r core.ChatRequest) core.Chat {
		t.Helper()
		w.ok(core.VisitorCreate{ID: v, Site: "shop", Decisions: d}.Args())
		r.Visitor, r.Chat = v, "chat-"+v
		if o, err := r.Result(w.ok(r.Args())); err != nil || o.Status != core.ChatChatting {
			t.Fatalf("%s: %+v, %v", v, o, err)
		}
		return w.chat("chat-" + v)
	}
	toSales := &core.Decisions{Route: &core.Route{Department: "sales", Priority: ptr(3)}}
	if c := ask("v1", toSales, core.ChatRequest{}); c.Agent != "alice" || c.Department != "sales" || c.Priority != 3 {
		t.Fatalf("by route: %+v", c)
	}
	if c := ask("v2", toSales, core.ChatRequest{Department: "help"}); c.Agent != "hugo" {
		t.Fatalf("what the request names comes first: %+v", c)
	}
	if c := ask("v3", nil, core.ChatRequest{}); c.Department != "help" {
		t.Fatalf("without a route the first department: %+v", c)
	}
	if c := ask("v4", &core.Decisions{Route: &core.Route{Department: "gone", Agent: "gone"}}, core.ChatRequest{}); c.Department != "help" {
		t.Fatalf("a route to what is gone: %+v", c)
	}
	if c := ask("v5", &core.Decisions{Route: &core.Route{Agent: "alice"}}, core.ChatRequest{}); c.Agent != "alice" || c.Department != "sales" {
		t.Fatalf("to an agent: %+v", c)
	}
	if c := ask("v6", nil, core.ChatRequest{Agent: "lone"}); c.Agent != "lone" || c.Department != "" {
		t.Fatalf("to an agent without department: %+v", c)
	}
	w.visitor("v7")
	full := core.ChatRequest{Visitor: "v7", Chat: "chat-v7", Agent: "lone"}
	if o, err := full.Result(w.ok(full.Args())); err != nil || o.Status != core.ChatOffline {
		t.Fatalf("to a full agent without a queue: %+v, %v", o, err)
	}
	w.ok(core.AgentRemove{ID: "lone"}.Args())
	if c := w.chat("chat-v6"); c.Department != "help" || c.Agent != "hugo" {
		t.Fatalf("without its agent: %+v", c)
	}
}

func TestPrechatTellsWhoTheVisitorIs(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.visitor("vera")
	w.happened()
	r := core.ChatRequest{Visitor: "vera", Chat: "c1", Name: "Vera", Email: "vera@example.org", Prechat: []byte(`{"topic":"<b>prices</b>"}`)}
	w.ok(r.Args())
	w.expect(core.EventVisitorUpdated, core.EventChatCreated, core.EventChatAssigned)
	c, v := w.chat("c1"), w.theVisitor("vera")
	if v.Name != "Vera" || v.Email != "vera@example.org" || c.VisitorName != "Vera" || string(c.Prechat) != `{"topic":"<b>prices</b>"}` {
		t.Fatalf("visitor %+v, chat %+v", v, c)
	}
	w.visitor("victor")
	for _, bad := range []core.ChatRequest{
		{Visitor: "victor", Chat: "c2", Prechat: []byte(`[1]`)},
		{Visitor: "victor", Chat: "c2", Prechat: []byte(`{"a":"` + strings.Repeat("x", 20_000) + `"}`)},
		{Visitor: "victor", Chat: "c2", Name: strings.Repeat("x", 257)},
		{Visitor: "victor", Chat: "c:2"},
		{Visitor: "victor", Chat: "c2", Priority: ptr(int64(5))},
	} {
		w.fails(core.CodeInvalid, "", bad.Args())
	}
	w.fails(core.CodeExists, "another id", core.ChatRequest{Visitor: "victor", Chat: "c1"}.Args())
	w.fails(core.CodeNotFound, "department", core.ChatRequest{Visitor: "victor", Chat: "c2", Department: "none"}.Args())
	w.fails(core.CodeNotFound, "visitor", core.ChatRequest{Visitor: "nobody", Chat: "c2"}.Args())
}

func TestTransfer(t *testing.T) {
	w := newWorld(t)
	w.ok(core.DepartmentCreate{ID: "help", Site: "shop"}.Args())
	w.agent("alice", 1, "sales")
	w.agent("bob", 1, "sales")
	w.agent("hugo", 1, "help")
	w.ok(core.AgentCreate{ID: "chief", Site: "shop", Role: core.RoleAdmin}.Args())
	w.visitor("v1")
	w.asks("v1", core.ChatChatting)
	w.with("chat-v1", "alice")
	w.happened()

	w.fails(core.CodeDenied, "does not have chat", core.ChatTransfer{Chat: "chat-v1", Agent: "bob", By: "hugo"}.Args())
	w.fails(core.CodeConflict, "already", core.ChatTransfer{Chat: "chat-v1", Agent: "alice", By: "alice"}.Args())
	w.fails(core.CodeConflict, "not there", core.ChatTransfer{Chat: "chat-v1", Agent: "chief", By: "alice"}.Args())
	w.fails(core.CodeNotFound, "agent", core.ChatTransfer{Chat: "chat-v1", Agent: "nobody"}.Args())
	w.fails("ERR", "DEPARTMENT or AGENT", core.ChatTransfer{Chat: "chat-v1", By: "alice"}.Args())

	w.ok(core.ChatTransfer{Chat: "chat-v1", Agent: "bob", By: "alice"}.Args())
	w.with("chat-v1", "bob")
	w.expect(core.EventChatTransferred, core.EventChatAssigned)

	w.visitor("v2")
	w.asks("v2", core.ChatChatting)
	w.with("chat-v2", "alice")
	w.fails(core.CodeLimit, "may have 1", core.ChatTransfer{Chat: "chat-v1", Agent: "alice", By: "chief"}.Args())
	w.fails(core.CodeLimit, "full", core.ChatTransfer{Chat: "chat-v1", Department: "sales", By: "bob"}.Args())

	// bob gives v1 to help and takes v3, who waits, in the same step.
	w.visitor("v3")
	w.asks("v3", core.ChatWaiting)
	w.happened()
	w.ok(core.ChatTransfer{Chat: "chat-v1", Department: "help", By: "bob"}.Args())
	w.expect(core.EventChatTransferred, core.EventChatAssigned, core.EventChatAssigned)
	w.with("chat-v1", "hugo")
	w.with("chat-v3", "bob")

	// hugo is full now: the next one waits in help, and the chief may move it.
	w.ok(core.ChatTransfer{Chat: "chat-v2", Department: "help", By: "alice"}.Args())
	w.with("chat-v2", "")
	w.fails(core.CodeConflict, "waits in department", core.ChatTransfer{Chat: "chat-v2", Department: "help"}.Args())
	w.fails(core.CodeDenied, "", core.ChatTransfer{Chat: "chat-v2", Department: "sales", By: "bob"}.Args())
	w.ok(core.ChatTransfer{Chat: "chat-v2", Department: "sales", By: "hugo"}.Args())
	w.with("chat-v2", "alice")

	w.ok(core.AgentStatus{ID: "hugo", Status: core.AgentOffline}.Args())
	w.fails(core.CodeConflict, "nobody else", core.ChatTransfer{Chat: "chat-v2", Department: "help", By: "alice"}.Args())
	w.ok(core.ChatEnd{Chat: "chat-v2", By: core.Party{Type: core.FromAgent, ID: "alice"}}.Args())
	w.fails(core.CodeConflict, "has ended", core.ChatTransfer{Chat: "chat-v2", Agent: "bob"}.Args())
}

func TestAcceptTakesAWaitingChat(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.ok(core.AgentCreate{ID: "bob", Site: "shop", MaxChats: ptr(int64(1))}.Args())
	w.visitor("v1")
	w.visitor("v2")
	w.asks("v1", core.ChatChatting)
	w.asks("v2", core.ChatWaiting)
	w.fails(core.CodeConflict, "alice", core.ChatAccept{Chat: "chat-v1", Agent: "bob"}.Args())
	w.fails(core.CodeLimit, "may have 1", core.ChatAccept{Chat: "chat-v2", Agent: "alice"}.Args())
	w.happened()
	w.ok(core.ChatAccept{Chat: "chat-v2", Agent: "bob"}.Args())
	w.expect(core.EventChatAssigned, core.EventChatAccepted)
	w.with("chat-v2", "bob")
	w.ok(core.ChatAccept{Chat: "chat-v1", Agent: "alice"}.Args())
	w.ok(core.ChatAccept{Chat: "chat-v1", Agent: "alice"}.Args())
	w.expect(core.EventChatAccepted)
}

func TestIntegrationMakesAndRemovesChats(t *testing.T) {
	w := newWorld(t)
	w.ok(core.AgentCreate{ID: "alice", Site: "shop", MaxChats: ptr(int64(1)), Departments: []string{"sales"}}.Args())
	w.visitor("v1")
	w.visitor("v2")
	w.visitor("v3")
	o, err := core.ChatCreate{}.Result(w.ok(core.ChatCreate{ID: "c1", Visitor: "v1", Department: "sales"}.Args()))
	if err != nil || o.Status != core.ChatWaiting || o.Position != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	w.fails(core.CodeConflict, "end it first", core.ChatCreate{ID: "c2", Visitor: "v1", Department: "sales"}.Args())
	w.ok(core.ChatCreate{ID: "c2", Visitor: "v2", Department: "sales", Agent: "alice"}.Args())
	w.with("c2", "alice")
	w.fails(core.CodeLimit, "alice", core.ChatCreate{ID: "c3", Visitor: "v3", Department: "sales", Agent: "alice"}.Args())
	w.ok(core.AgentStatus{ID: "alice", Status: core.AgentOnline}.Args())
	w.with("c1", "")
	w.happened()
	if ok, err := (core.ChatRemove{}).Result(w.ok(core.ChatRemove{Chat: "c2"}.Args())); err != nil || !ok {
		t.Fatal(ok, err)
	}
	w.expect(core.EventChatEnded, core.EventChatRemoved, core.EventChatAssigned)
	w.with("c1", "alice")
	if ok, err := (core.ChatRemove{}).Result(w.ok(core.ChatRemove{Chat: "c2"}.Args())); err != nil || ok {
		t.Fatal(ok, err)
	}
	if v := w.theVisitor("v2"); v.Chat != "" || v.Status != core.VisitorBrowsing {
		t.Fatalf("%+v", v)
	}
}

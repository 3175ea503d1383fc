package core_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
)

func TestAgentWhoComesOnlineTakesWhoWaits(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	for _, v := range []string{"v1", "v2", "v3", "v4"} {
		w.visitor(v)
	}
	w.asks("v1", core.ChatChatting)
	w.asks("v2", core.ChatWaiting)
	w.asks("v3", core.ChatWaiting)
	w.asks("v4", core.ChatWaiting)
	w.ok(core.AgentCreate{ID: "bob", Site: "shop", MaxChats: ptr(int64(1)), Departments: []string{"sales"}}.Args())
	w.happened()
	w.ok(core.AgentStatus{ID: "bob", Status: core.AgentOnline}.Args())
	w.expect(core.EventAgentStatusChanged, core.EventChatAssigned, core.EventChatQueued, core.EventChatQueued)
	w.with("chat-v2", "bob")
	w.ok(core.AgentUpdate{ID: "bob", MaxChats: ptr(int64(2))}.Args())
	w.expect(core.EventAgentUpdated, core.EventChatAssigned, core.EventChatQueued)
	w.with("chat-v3", "bob")

	// Another who joins the department.
	w.ok(core.AgentCreate{ID: "carol", Site: "shop"}.Args())
	w.ok(core.AgentStatus{ID: "carol", Status: core.AgentOnline}.Args())
	w.with("chat-v4", "")
	w.ok(core.AgentUpdate{ID: "carol", Departments: &[]string{"sales"}}.Args())
	w.with("chat-v4", "carol")
}

func TestAgentWhoLosesHisConnectionKeepsHisChats(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.visitor("v1")
	w.visitor("v2")
	w.asks("v1", core.ChatChatting)
	w.asks("v2", core.ChatWaiting)
	w.Advance(20 * time.Second)
	if n, err := (core.AgentSeen{}).Result(w.ok(core.AgentSeen{IDs: []string{"alice", "nobody"}}.Args())); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	w.ok(core.VisitorSeen{IDs: []string{"v1", "v2"}}.Args())
	w.happened()
	w.tick(29_999 * time.Millisecond)
	w.expect()
	w.tick(time.Millisecond)
	w.expect(core.EventAgentStatusChanged)
	if a := w.theAgent("alice"); a.Connected || a.Status != core.AgentOnline || a.Chats != 1 {
		t.Fatalf("%+v", a)
	}
	w.with("chat-v1", "alice")
	// Nobody is there for others; who waits goes on waiting.
	w.visitor("v3")
	w.asks("v3", core.ChatOffline)
	w.with("chat-v2", "")
	// His chat ends meanwhile: he gets no other until he is back.
	w.ok(core.ChatEnd{Chat: "chat-v1", By: core.Party{Type: core.FromVisitor, ID: "v1"}}.Args())
	w.with("chat-v2", "")
	w.happened()
	w.ok(core.AgentSeen{IDs: []string{"alice"}}.Args())
	w.expect(core.EventAgentStatusChanged, core.EventChatAssigned)
	w.with("chat-v2", "alice")
}

func TestOutageEndsNobodysChat(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.visitor("v1")
	w.visitor("v2")
	w.asks("v1", core.ChatChatting)
	w.asks("v2", core.ChatWaiting)
	w.happened()
	w.Advance(time.Hour) // nobody could say that he is here
	w.ok(core.SystemResume{}.Args())
	w.tick(10 * time.Second)
	w.ok(core.AgentSeen{IDs: []string{"alice"}}.Args())
	w.ok(core.VisitorSeen{IDs: []string{"v1"}}.Args())
	w.tick(29 * time.Second)
	w.expect()
	w.tick(21 * time.Second)
	w.expect(core.EventAgentStatusChanged, core.EventChatEnded, core.EventVisitorLeft)
	w.with("chat-v1", "alice")
	if v := w.theVisitor("v2"); v.Status != core.VisitorLeft {
		t.Fatalf("%+v", v)
	}
}

func TestAgentWhoIsRemovedGivesHisChatsBack(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 3)
	for _, v := range []string{"v1", "v2"} {
		w.visitor(v)
		w.asks(v, core.ChatChatting)
	}
	w.agent("bob", 1)
	w.happened()
	if ok, err := (core.AgentRemove{}).Result(w.ok(core.AgentRemove{ID: "alice"}.Args())); err != nil || !ok {
		t.Fatal(ok, err)
	}
	w.expect(core.EventChatQueued, core.EventChatQueued, core.EventAgentRemoved, core.EventChatAssigned, core.EventChatQueued)
	w.with("chat-v1", "bob")
	w.with("chat-v2", "")
	if v := w.theVisitor("v2"); v.Status != core.VisitorWaiting {
		t.Fatalf("%+v", v)
	}
	for _, key := range []string{"agent:alice", "agent:alice:chats", "agent:alice:departments", "secret:agent:alice"} {
		if w.View().Type([]byte(key)) != 0 {
			t.Errorf("%s is left", key)
		}
	}
	if ok, err := (core.AgentRemove{}).Result(w.ok(core.AgentRemove{ID: "alice"}.Args())); err != nil || ok {
		t.Fatal(ok, err)
	}
	agents, next, err := core.ListAgents(w.View(), "shop", core.AgentFilter{}, "", 10)
	if err != nil || next != "" || len(agents) != 1 || agents[0].ID != "bob" {
		t.Fatalf("%+v %q %v", agents, next, err)
	}
}

func TestAgentSignsInAndOut(t *testing.T) {
	w := newWorld(t)
	create := command.New("AGENT.CREATE", "alice", "shop", "password", "secret-enough", "NAME", "Alice", "ROLE", "admin")
	w.ok(create)
	c, ok, err := core.AgentCredentials(w.View(), "alice")
	if err != nil || !ok || !strings.HasPrefix(c.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") || c.Agent.Role != core.RoleAdmin {
		t.Fatalf("%+v %v %v", c, ok, err)
	}
	if !core.VerifyPassword(c.PasswordHash, "secret-enough") || core.VerifyPassword(c.PasswordHash, "secret-enougH") {
		t.Fatal("the password is not verified")
	}
	if string(create[3]) != "password" {
		t.Fatal("the arguments were changed in place")
	}
	unhashed := command.New("AGENT.UPDATE", "alice", "PASSWORD", "secret-enough")
	if err := w.Apply(unhashed).Err(); core.CodeOf(err) != "ERR" || !strings.Contains(err.Error(), "before the log") {
		t.Fatalf("a password in the log: %v", err)
	}

	session := strings.Repeat("ab", 32)
	w.ok(core.SessionCreate{SHA256: session, Agent: "alice", ExpiresAt: w.Now() + 3_600_000}.Args())
	s, ok, err := core.GetSession(w.View(), session)
	if err != nil || !ok || s.Agent.ID != "alice" || s.ExpiresAt != w.Now()+3_600_000 {
		t.Fatalf("%+v %v %v", s, ok, err)
	}
	signedIn := func(want bool) {
		t.Helper()
		if _, ok, err := core.GetSession(w.View(), session); ok != want || err != nil {
			t.Fatalf("session valid: %v, %v", ok, err)
		}
	}
	w.fails(core.CodeExists, "", core.SessionCreate{SHA256: session, Agent: "alice", ExpiresAt: w.Now() + 1}.Args())
	w.fails(core.CodeInvalid, "64 hex digits", core.SessionCreate{SHA256: "ab", Agent: "alice", ExpiresAt: w.Now() + 1}.Args())
	w.fails(core.CodeInvalid, "expires-at", core.SessionCreate{SHA256: strings.Repeat("cd", 32), Agent: "alice", ExpiresAt: w.Now()}.Args())

	w.Advance(time.Second)
	w.ok(command.New("AGENT.UPDATE", "alice", "PASSWORD", "another-secret"))
	signedIn(false) // a new password ends sessions
	w.ok(core.SessionRemove{SHA256: session}.Args())
	w.ok(core.SessionCreate{SHA256: session, Agent: "alice", ExpiresAt: w.Now() + 1000}.Args())
	signedIn(true)
	w.Advance(time.Second)
	signedIn(false) // expired
	if err := w.Tick(); err != nil {
		t.Fatal(err)
	}
	w.ok(core.SessionCreate{SHA256: session, Agent: "alice", ExpiresAt: w.Now() + 3_600_000}.Args())
	w.Advance(time.Second)
	w.ok(core.AgentRemove{ID: "alice"}.Args())
	w.ok(core.AgentCreate{ID: "alice", Site: "shop"}.Args())
	signedIn(false) // another alice
}

func TestAgentsWriteToEachOther(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.agent("bob", 1)
	w.ok(core.SiteCreate{ID: "other"}.Args())
	w.ok(core.AgentCreate{ID: "stranger", Site: "other"}.Args())
	w.happened()
	m := core.AgentSend{To: "bob", From: "alice", Text: "Can you take over?", ClientID: "1"}
	for range 2 {
		if seq, err := m.Result(w.ok(m.Args())); err != nil || seq != 1 {
			t.Fatal(seq, err)
		}
	}
	w.expect(core.EventAgentMessage)
	got, err := core.AgentMessages(w.View(), "bob", 0, 10)
	if err != nil || len(got) != 1 || got[0].From != "alice" || got[0].To != "bob" || got[0].At != w.Now() {
		t.Fatalf("%+v %v", got, err)
	}
	events, err := w.Events("shop", w.seen["shop"]-1)
	if err != nil || len(events) != 1 {
		t.Fatal(events, err)
	}
	for agent, sees := range map[string]bool{"alice": true, "bob": true, "carol": false} {
		if events[0].ForAgent(agent, true) != sees {
			t.Errorf("%s sees it: %v", agent, !sees)
		}
	}
	w.fails(core.CodeDenied, "different sites", core.AgentSend{To: "bob", From: "stranger", Text: "x"}.Args())
	w.fails(core.CodeNotFound, "nobody", core.AgentSend{To: "nobody", From: "alice", Text: "x"}.Args())
	w.fails(core.CodeLimit, "16384", core.AgentSend{To: "bob", From: "alice", Text: strings.Repeat("x", core.MaxText+1)}.Args())
}

func TestAgentsAreChecked(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.ok(core.SiteCreate{ID: "other"}.Args())
	w.ok(core.DepartmentCreate{ID: "far", Site: "other"}.Args())
	w.fails(core.CodeExists, "alice", core.AgentCreate{ID: "alice", Site: "other"}.Args())
	w.fails(core.CodeNotFound, "site", core.AgentCreate{ID: "bob", Site: "none"}.Args())
	w.fails(core.CodeInvalid, "agent id", core.AgentCreate{ID: "Bob", Site: "shop"}.Args())
	w.fails(core.CodeInvalid, "ROLE", core.AgentCreate{ID: "bob", Site: "shop", Role: "king"}.Args())
	w.fails(core.CodeInvalid, "MAX-CHATS", core.AgentCreate{ID: "bob", Site: "shop", MaxChats: ptr(int64(-1))}.Args())
	w.fails(core.CodeInvalid, "another site", core.AgentCreate{ID: "bob", Site: "shop", Departments: []string{"far"}}.Args())
	w.fails(core.CodeNotFound, "department", core.AgentCreate{ID: "bob", Site: "shop", Departments: []string{"none"}}.Args())
	w.fails(core.CodeInvalid, "$argon2id$", core.AgentCreate{ID: "bob", Site: "shop", PasswordHash: "secret"}.Args())
	w.fails(core.CodeInvalid, "password", command.New("AGENT.CREATE", "bob", "shop", "PASSWORD", "short"))
	w.fails(core.CodeInvalid, "online, away", core.AgentStatus{ID: "alice", Status: "busy"}.Args())
	w.fails("ERR", "stands twice", command.New("AGENT.UPDATE", "alice", "NAME", "a", "name", "b"))
	w.fails("ERR", "unknown keyword", command.New("AGENT.UPDATE", "alice", "COLOUR", "red"))
	w.fails("ERR", "takes a value", command.New("AGENT.UPDATE", "alice", "NAME"))
}

func TestDepartmentGoesWhenNobodyWaits(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.visitor("v1")
	w.visitor("v2")
	w.asks("v1", core.ChatChatting)
	w.asks("v2", core.ChatWaiting)
	d, err := core.ListDepartments(w.View(), "shop")
	if err != nil || len(d) != 1 || d[0].Agents != 1 || d[0].Online != 1 || d[0].QueueLength != 1 {
		t.Fatalf("%+v %v", d, err)
	}
	a, err := core.GetAvailability(w.View(), "shop", "", "")
	if err != nil || a != (core.Availability{Members: 1, Online: 1, Free: 0, Capacity: 1, Waiting: 1}) || a.String() != "online" {
		t.Fatalf("%+v %v", a, err)
	}
	w.fails(core.CodeConflict, "1 chats wait", core.DepartmentRemove{ID: "sales"}.Args())
	w.ok(core.ChatEnd{Chat: "chat-v2", By: core.Party{Type: core.FromSystem}}.Args())
	w.happened()
	w.ok(core.DepartmentRemove{ID: "sales"}.Args())
	w.expect(core.EventDepartmentRemoved, core.EventAgentUpdated)
	w.with("chat-v1", "alice")
	// Without the department there is nowhere to go back to.
	w.ok(core.AgentRemove{ID: "alice"}.Args())
	w.expect(core.EventChatEnded, core.EventAgentRemoved)
	if ok, err := (core.DepartmentRemove{}).Result(w.ok(core.DepartmentRemove{ID: "sales"}.Args())); err != nil || ok {
		t.Fatal(ok, err)
	}
}

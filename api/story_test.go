package api_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/parlorchat/parlor/core"
)

// TestFirstChat is the story of a visitor and an agent on two members: page,
// variables, window, form, chat, messages both ways, a lost connection, the
// end.
func TestFirstChat(t *testing.T) {
	t.Run("two members in memory", func(t *testing.T) { firstChat(t, newWorld(t, 2)) })
	t.Run("one real member", func(t *testing.T) { firstChat(t, newRealWorld(t)) })
}

func firstChat(t *testing.T, w *world) {
	last := len(w.nodes) - 1 // the agent's member, and the visitor's second one
	w.run(core.SiteSet{Site: "shop", Kind: "segments", ID: "vip",
		Document: []byte(`{"id":"vip","name":"VIP","when":{"field":"var.plan","op":"is","value":"gold"}}`)}.Args())
	alice := w.online("alice").at(last)
	console := alice.dial("/v1/socket", "")
	hello := console.next()
	if hello.Reset || hello.Epoch == "" || len(hello.Frames) != 0 {
		t.Fatalf("the first object on the socket is %+v", hello)
	}

	visitor, page := w.stranger().visit("https://shop.example/pricing?ref=1")
	if !page.New || page.Campaign != "default" || page.Route.Department != "sales" || page.Availability != "online" || page.Chat != nil {
		t.Fatalf("page: %+v", page)
	}
	console.frame("visitor.created")

	var decided struct {
		Segments     []string
		Availability string
	}
	visitor.do("PUT", "/v1/visitor/variables", object{"plan": "gold", "seats": 5, "trial": false}).ok(&decided)
	if len(decided.Segments) != 1 || decided.Segments[0] != "vip" {
		t.Fatalf("segments after the variables: %v", decided.Segments)
	}

	var opened struct {
		Window struct {
			State string
			Form  struct {
				Fields []struct{ ID string }
			}
		}
		Availability string
	}
	visitor.do("POST", "/v1/visitor/chat/open", object{}).ok(&opened)
	if opened.Window.State != "prechat" || len(opened.Window.Form.Fields) != 2 {
		t.Fatalf("window: %+v", opened.Window)
	}

	status, chat, _ := visitor.request("Vera")
	if status != "chatting" || chat.Agent != "alice" || chat.AgentName != "Alice" {
		t.Fatalf("request: %s %+v", status, chat)
	}
	assigned := console.frame("chat.assigned")
	if assigned.Chat != chat.ID {
		t.Fatalf("assigned chat %s, want %s", assigned.Chat, chat.ID)
	}
	alice.do("POST", "/v1/chats/"+chat.ID+"/accept", nil).ok()

	phone := visitor.dial("/v1/visitor/socket", fmt.Sprintf("?epoch=%s&since=%d", page.Epoch, page.Seq))
	phone.frame("chat.assigned")
	phone.frame("chat.accepted")
	visitor.do("POST", "/v1/visitor/messages", object{"client_id": "v1", "text": "hello"}).ok()
	received := console.frame("message.created")
	if got := received.text(); got != "hello" {
		t.Fatalf("the agent got %q", got)
	}
	alice.do("POST", "/v1/chats/"+chat.ID+"/messages", object{"client_id": "a1", "text": "good day"}).ok()
	phone.frame("message.created")
	if f := phone.frame("message.created"); f.text() != "good day" {
		t.Fatalf("the visitor got %q", f.text())
	}

	// The visitor's connection is lost; what is said meanwhile comes through
	// the other member.
	seen := phone.at
	phone.conn.Close()
	for i := range 5 {
		alice.do("POST", "/v1/chats/"+chat.ID+"/messages", object{"client_id": fmt.Sprint("a", i+2), "text": fmt.Sprint("still there? ", i)}).ok()
	}
	again := visitor.at(last).dial("/v1/visitor/socket", fmt.Sprintf("?epoch=%s&since=%d", seen.Epoch, seen.Seq))
	for i := range 5 {
		f := again.frame("message.created")
		if got := f.text(); got != fmt.Sprint("still there? ", i) {
			t.Fatalf("after the reconnect, message %d is %q", i, got)
		}
	}

	var end struct {
		Chat     chatView
		Messages []core.Message
	}
	visitor.do("POST", "/v1/visitor/chat/end", nil).ok(&end)
	if end.Chat.Status != "ended" || len(end.Messages) < 7 {
		t.Fatalf("end: %+v", end)
	}
	console.frame("chat.ended")
	again.frame("chat.ended")
	visitor.do("POST", "/v1/visitor/messages", object{"client_id": "late", "text": "one more"}).fails(409, "chat_ended")
}

// TestFirstChatByLongPoll is the same conversation over long-polls.
func TestFirstChatByLongPoll(t *testing.T) {
	t.Run("in memory", func(t *testing.T) { firstChatByLongPoll(t, newWorld(t, 1)) })
	t.Run("one real member", func(t *testing.T) { firstChatByLongPoll(t, newRealWorld(t)) })
}

func firstChatByLongPoll(t *testing.T, w *world) {
	alice := w.login("alice")
	// The agent is connected by his long-poll alone.
	var me struct {
		Epoch string
		Seq   int64
	}
	alice.do("GET", "/v1/me", nil).ok(&me)
	alice.do("PUT", "/v1/me/status", object{"status": "online"}).ok()
	visitor, page := w.stranger().visit("https://shop.example/")
	status, chat, _ := visitor.request("Vera")
	if status != "chatting" {
		t.Fatalf("request: %s", status)
	}
	seen := alice.until("/v1/sync", me.Epoch, me.Seq, "chat.assigned")
	if seen.Chat != chat.ID {
		t.Fatalf("assigned %s, want %s", seen.Chat, chat.ID)
	}

	// A poll that waits is answered by the message that comes meanwhile.
	now := visitor.poll("/v1/visitor/sync", page.Epoch, page.Seq, 0)
	waiting := visitor.polling("/v1/visitor/sync", now.Epoch, now.Seq)
	alice.do("POST", "/v1/chats/"+chat.ID+"/messages", object{"client_id": "a1", "text": "hello"}).ok()
	got := waiting()
	if len(got.Frames) == 0 || got.Reset {
		t.Fatalf("the waiting poll was answered with %+v", got)
	}
	if f := visitor.until("/v1/visitor/sync", now.Epoch, now.Seq, "message.created"); f.text() != "hello" {
		t.Fatalf("the visitor got %q", f.text())
	}
	var state struct {
		Chat     chatView
		Messages []core.Message
		Seq      int64
	}
	visitor.do("GET", "/v1/visitor/chat?after=0", nil).ok(&state)
	if state.Chat.ID != chat.ID || state.Messages[len(state.Messages)-1].Text != "hello" || state.Seq < got.Seq {
		t.Fatalf("state: %+v", state)
	}
}

// until polls until an event of a type comes.
func (a *actor) until(path, epoch string, since int64, typ string) frame {
	a.w.t.Helper()
	for range 50 {
		got := a.poll(path, epoch, since, 20)
		if got.Reset {
			a.w.t.Fatalf("%s: reset", path)
		}
		for _, f := range got.Frames {
			if f.Type == typ {
				return f
			}
		}
		epoch, since = got.Epoch, got.Seq
	}
	a.w.t.Fatalf("%s: no %s in 50 answers", path, typ)
	return frame{}
}

// TestTwoWait: an agent who takes one chat at a time, three visitors, and the
// queue between them.
func TestTwoWait(t *testing.T) {
	w := newWorld(t, 1)
	one := int64(1)
	w.run(core.AgentUpdate{ID: "bob", MaxChats: &one}.Args())
	bob := w.online("bob")
	vera, _ := w.stranger().visit("https://shop.example/")
	wim, _ := w.stranger().visit("https://shop.example/")
	xena, _ := w.stranger().visit("https://shop.example/")

	status, first, _ := vera.request("Vera")
	if status != "chatting" || first.Agent != "bob" {
		t.Fatalf("Vera: %s %+v", status, first)
	}
	status, second, position := wim.request("Wim")
	if status != "waiting" || position != 1 {
		t.Fatalf("Wim: %s at %d", status, position)
	}
	if status, _, position := xena.request("Xena"); status != "waiting" || position != 2 {
		t.Fatalf("Xena: %s at %d", status, position)
	}
	// Asking again changes nothing.
	if status, again, position := xena.request("Xena"); status != "waiting" || position != 2 || again == nil {
		t.Fatalf("Xena again: %s at %d", status, position)
	}
	var list struct{ Chats []chatView }
	bob.do("GET", "/v1/chats?status=waiting", nil).ok(&list)
	if len(list.Chats) != 2 {
		t.Fatalf("%d chats wait, want 2", len(list.Chats))
	}

	socket := xena.dial("/v1/visitor/socket", "")
	socket.next()
	bob.do("POST", "/v1/chats/"+first.ID+"/end", nil).ok()
	var moved struct{ Position int64 }
	if f := socket.frame("chat.queued"); json.Unmarshal(f.Data, &moved) != nil || moved.Position != 1 {
		t.Fatalf("Xena is told %s", f.Data)
	}
	if status, chat, _ := wim.request("Wim"); status != "chatting" || chat.ID != second.ID {
		t.Fatalf("Wim after the first chat's end: %s %+v", status, chat)
	}
	if status, _, position := xena.request("Xena"); status != "waiting" || position != 1 {
		t.Fatalf("Xena after the first chat's end: %s at %d", status, position)
	}
}

// TestNobodyThere: the visitor is told, and nothing is lost of his wish.
func TestNobodyThere(t *testing.T) {
	w := newWorld(t, 1)
	visitor, page := w.stranger().visit("https://shop.example/")
	if page.Availability != "offline" {
		t.Fatalf("availability %q", page.Availability)
	}
	var opened struct {
		Window struct {
			State string
			Form  struct {
				Text   string
				Fields []struct{ ID string }
			}
		}
	}
	visitor.do("POST", "/v1/visitor/chat/open", object{}).ok(&opened)
	if opened.Window.State != "offline" || opened.Window.Form.Text == "" || len(opened.Window.Form.Fields) != 3 {
		t.Fatalf("window: %+v", opened.Window)
	}
	var got struct {
		Status string
		Chat   *chatView
	}
	visitor.do("POST", "/v1/visitor/chat", object{"prechat": object{"name": "Vera", "email": "vera@example.com", "message": "call me"}}).ok(&got)
	if got.Status != "offline" || got.Chat != nil {
		t.Fatalf("request: %+v", got)
	}
	_, page = visitor.visit("https://shop.example/2")
	if page.New || page.Visitor.Status != "offline" || page.Visitor.Name != "Vera" {
		t.Fatalf("the visitor afterwards: %+v", page.Visitor)
	}
	var detail struct{ Vars map[string]string }
	w.login("alice").do("GET", "/v1/visitors/"+page.Visitor.ID, nil).ok(&detail)
	if detail.Vars["offline.message"] != "call me" {
		t.Fatalf("what the visitor left: %v", detail.Vars)
	}
}

// TestTransfer: a chat goes from one agent to the other, and only its present
// agent may write.
func TestTransfer(t *testing.T) {
	w := newWorld(t, 1)
	bob := w.online("bob")
	visitor, _ := w.stranger().visit("https://shop.example/")
	_, chat, _ := visitor.request("Vera")
	if chat.Agent != "bob" {
		t.Fatalf("the chat is with %q", chat.Agent)
	}
	alice := w.online("alice")
	var moved struct{ Status string }
	bob.do("POST", "/v1/chats/"+chat.ID+"/transfer", object{"agent": "alice"}).ok(&moved)
	if moved.Status != "chatting" {
		t.Fatalf("transfer: %+v", moved)
	}
	bob.do("POST", "/v1/chats/"+chat.ID+"/messages", object{"client_id": "b1", "text": "wait"}).fails(403, "forbidden")
	bob.do("GET", "/v1/chats/"+chat.ID+"/messages", nil).fails(403, "forbidden")
	alice.do("POST", "/v1/chats/"+chat.ID+"/messages", object{"client_id": "a1", "text": "hello"}).ok()
	bob.do("POST", "/v1/chats/"+chat.ID+"/transfer", object{}).fails(422, "invalid_request")
	alice.do("POST", "/v1/chats/"+chat.ID+"/end", nil).ok()
	alice.do("POST", "/v1/chats/"+chat.ID+"/transfer", object{"agent": "bob"}).fails(409, "chat_ended")
	alice.do("POST", "/v1/chats/"+chat.ID+"/accept", nil).fails(409, "chat_ended")
}

// TestInvitations: a rule invites once, an agent may as well, and the visitor
// answers.
func TestInvitations(t *testing.T) {
	w := newWorld(t, 1)
	w.run(core.SiteSet{Site: "shop", Kind: "invitations", ID: "pricing",
		Document: []byte(`{"id":"pricing","text":"Questions about prices?","once":"visit","when":{"field":"page.path","op":"is","value":"/pricing"}}`)}.Args())
	visitor, page := w.stranger().visit("https://shop.example/")
	if page.Invitation != nil {
		t.Fatalf("invited on the first page: %+v", page.Invitation)
	}
	visitor, page = visitor.visit("https://shop.example/pricing")
	if page.Invitation == nil || page.Invitation.Text != "Questions about prices?" {
		t.Fatalf("not invited on the page with the prices: %+v", page)
	}
	if _, again := visitor.visit("https://shop.example/pricing"); again.Invitation != nil {
		t.Fatal("invited twice in one visit")
	}
	visitor.do("POST", "/v1/visitor/invitation", object{"id": page.Invitation.ID, "accepted": false}).ok()

	alice := w.login("alice")
	var made struct{ ID string }
	alice.do("POST", "/v1/visitors/"+page.Visitor.ID+"/invitations", object{"text": "May I help?"}).ok(&made)
	if f := visitor.until("/v1/visitor/sync", page.Epoch, page.Seq, "invitation.sent"); f.Type == "" || made.ID == "" {
		t.Fatalf("invitation: %+v", f)
	}
	alice.do("POST", "/v1/visitors/nobody/invitations", object{"text": "Hello?"}).fails(404, "not_found")
}

// TestTheConsolesLists reads what an agent's page shows.
func TestTheConsolesLists(t *testing.T) {
	w := newWorld(t, 1)
	alice := w.online("alice")
	for i := range 5 {
		w.group.advance(10)
		w.stranger().visit(fmt.Sprintf("https://shop.example/%d", i))
	}
	var all []string
	for cursor, pages := "", 0; ; pages++ {
		var list struct {
			Visitors []struct {
				ID      string
				PageURL string `json:"page_url"`
			}
			NextCursor string `json:"next_cursor"`
		}
		alice.do("GET", "/v1/visitors?limit=2&cursor="+cursor, nil).ok(&list)
		for _, v := range list.Visitors {
			all = append(all, v.PageURL)
		}
		if cursor = list.NextCursor; cursor == "" {
			break
		}
		if pages > 5 {
			t.Fatal("the list has no end")
		}
	}
	if len(all) != 5 || all[0] != "https://shop.example/4" {
		t.Fatalf("visitors: %v", all)
	}
	visitor, page := w.stranger().with("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36").
		with("Accept-Language", "zh-CN,zh;q=0.9").visit("https://shop.example/first")
	visitor.visit("https://shop.example/second")
	var detail struct {
		Browser, OS, Device, Language, IP string
		PageCount                         int64 `json:"page_count"`
		Pages                             []struct{ URL string }
	}
	alice.do("GET", "/v1/visitors/"+page.Visitor.ID, nil).ok(&detail)
	if detail.Browser != "Chrome 156" || detail.OS != "Windows" || detail.Device != "desktop" || detail.Language != "zh-CN" || detail.IP != "127.0.0.1" {
		t.Fatalf("what is known of the visitor: %+v", detail)
	}
	if len(detail.Pages) != 2 || detail.Pages[0].URL != "https://shop.example/first" || detail.PageCount != 2 {
		t.Fatalf("pages: %+v", detail)
	}
	var agents struct {
		Agents []struct{ ID, Status string }
	}
	alice.do("GET", "/v1/agents", nil).ok(&agents)
	if len(agents.Agents) != 2 || agents.Agents[0].ID != "alice" || agents.Agents[0].Status != "online" {
		t.Fatalf("agents: %+v", agents)
	}
	var departments struct {
		Departments []struct {
			ID     string
			Agents int64
		}
	}
	alice.do("GET", "/v1/departments", nil).ok(&departments)
	if len(departments.Departments) != 1 || departments.Departments[0].Agents != 2 {
		t.Fatalf("departments: %+v", departments)
	}
	alice.do("GET", "/v1/visitors?limit=0", nil).fails(422, "invalid_request")
	alice.do("GET", "/v1/chats/nothing", nil).fails(404, "not_found")
}

package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func TestVisitorWalksThroughTheShop(t *testing.T) {
	w := newWorld(t)
	w.happened()
	w.ok(core.VisitorCreate{ID: "vera", Site: "shop", Fields: map[string]string{"language": "de", "page_url": "https://shop/"},
		Decisions: &core.Decisions{Campaign: "default", Segments: []string{"new"}, Explain: []byte(`{"why":1}`)},
		Vars:      map[string]string{"cart": "0"}}.Args())
	w.ok(core.VisitorPage{ID: "vera", URL: "https://shop/"}.Args())
	w.expect(core.EventVisitorCreated, core.EventVisitorPage)
	v := w.theVisitor("vera")
	if v.Status != core.VisitorBrowsing || v.Visits != 1 || v.PageCount != 1 || v.LandingURL != "https://shop/" ||
		!slices.Equal(v.Segments, []string{"new"}) || v.Vars["cart"] != "0" || string(v.Explain) != `{"why":1}` {
		t.Fatalf("%+v", v)
	}

	w.Advance(time.Second)
	w.ok(core.VisitorPage{ID: "vera", URL: "https://shop/cart", Title: "Cart", Referrer: "https://shop/",
		Decisions: &core.Decisions{Campaign: "buyers", Segments: []string{"new"}}}.Args())
	w.expect(core.EventVisitorPage, core.EventVisitorUpdated)
	w.ok(core.VisitorUpdate{ID: "vera", Vars: map[string]string{"cart": "2", "vip": "yes"}}.Args())
	w.expect(core.EventVisitorUpdated)
	w.ok(core.VisitorUpdate{ID: "vera", Vars: map[string]string{"cart": "2", "gone": ""}}.Args())
	w.expect() // nothing new
	w.ok(core.VisitorUpdate{ID: "vera", Fields: map[string]string{"language": ""}, Vars: map[string]string{"vip": ""}}.Args())
	v = w.theVisitor("vera")
	if v.Language != "" || len(v.Vars) != 1 || v.Campaign != "buyers" || v.Explain != nil || v.Referrer != "https://shop/" || v.PageCount != 2 {
		t.Fatalf("%+v", v)
	}
	pages, err := core.VisitorPages(w.View(), "vera", 10)
	if err != nil || len(pages) != 2 || pages[0].URL != "https://shop/cart" || pages[0].Title != "Cart" || pages[0].At != w.Now() {
		t.Fatalf("%+v %v", pages, err)
	}
	w.fails(core.CodeExists, "vera", core.VisitorCreate{ID: "vera", Site: "shop"}.Args())
}

func TestVisitorLeavesAndComesBack(t *testing.T) {
	w := newWorld(t)
	w.visitor("vera")
	w.ok(core.VisitorPage{ID: "vera", URL: "https://shop/a"}.Args())
	w.happened()
	w.tick(59 * time.Second)
	w.ok(core.VisitorSeen{IDs: []string{"vera", "nobody"}}.Args())
	w.tick(59 * time.Second)
	w.expect()
	w.tick(time.Second)
	w.expect(core.EventVisitorLeft)
	left, _, err := core.ListVisitors(w.View(), "shop", core.VisitorFilter{Status: core.VisitorLeft}, "", 10)
	if err != nil || len(left) != 1 || left[0].ID != "vera" {
		t.Fatalf("%+v %v", left, err)
	}
	w.tick(time.Hour)
	w.expect()
	w.ok(core.VisitorSeen{IDs: []string{"vera"}}.Args()) // the tab woke up
	w.expect(core.EventVisitorUpdated)
	w.tick(time.Hour)
	w.happened()
	w.ok(core.VisitorPage{ID: "vera", URL: "https://shop/b"}.Args())
	w.expect(core.EventVisitorPage, core.EventVisitorUpdated)
	if v := w.theVisitor("vera"); v.Status != core.VisitorBrowsing || v.Visits != 2 || v.LandingURL != "https://shop/b" || v.VisitAt != w.Now() {
		t.Fatalf("%+v", v)
	}
}

func TestVisitorWhoLeavesWhileHeWaitsLosesHisPlace(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.visitor("v1")
	w.visitor("v2")
	w.asks("v1", core.ChatChatting)
	w.asks("v2", core.ChatWaiting)
	w.happened()
	for range 4 { // alice stays, the visitors do not
		w.ok(core.AgentSeen{IDs: []string{"alice"}}.Args())
		w.tick(20 * time.Second)
	}
	w.expect(core.EventVisitorLeft, core.EventChatEnded, core.EventVisitorLeft)
	if c := w.chat("chat-v2"); c.Status != core.ChatEnded || c.EndedBy != core.FromSystem {
		t.Fatalf("%+v", c)
	}
	w.with("chat-v1", "alice")
	for range 20 {
		w.ok(core.AgentSeen{IDs: []string{"alice"}}.Args())
		w.tick(20 * time.Second)
	}
	w.expect(core.EventChatEnded)
	if v := w.theVisitor("v1"); v.Status != core.VisitorLeft || v.Chat != "" {
		t.Fatalf("%+v", v)
	}
}

func TestVisitorWhoWritesIsBack(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.visitor("vera")
	w.asks("vera", core.ChatChatting)
	w.tick(2 * time.Minute)
	if v := w.theVisitor("vera"); v.Status != core.VisitorLeft || v.Chat == "" {
		t.Fatalf("%+v", v)
	}
	w.happened()
	w.ok(core.ChatSend{Chat: "chat-vera", From: core.Party{Type: core.FromVisitor}, Text: "I am back"}.Args())
	w.expect(core.EventVisitorUpdated, core.EventMessageCreated)
	if v := w.theVisitor("vera"); v.Status != core.VisitorChatting || v.LastSeen != w.Now() {
		t.Fatalf("%+v", v)
	}
}

func TestVisitorIsRemovedWithAllHisData(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.ok(core.VisitorCreate{ID: "vera", Site: "shop", Vars: map[string]string{"a": "b"}}.Args())
	w.ok(core.VisitorPage{ID: "vera", URL: "https://shop/"}.Args())
	w.asks("vera", core.ChatChatting)
	w.ok(core.ChatSend{Chat: "chat-vera", From: core.Party{Type: core.FromVisitor}, Text: "x", ClientID: "1"}.Args())
	w.happened()
	if ok, err := (core.VisitorRemove{}).Result(w.ok(core.VisitorRemove{ID: "vera"}.Args())); err != nil || !ok {
		t.Fatal(ok, err)
	}
	w.expect(core.EventChatEnded, core.EventChatRemoved, core.EventVisitorRemoved)
	w.View().EachKey(nil, func(key []byte, _ keyspace.Type) bool {
		if strings.Contains(string(key), "vera") {
			t.Errorf("%s is left", key)
		}
		return true
	})
	if a := w.theAgent("alice"); a.Chats != 0 {
		t.Fatalf("%+v", a)
	}
	w.tick(time.Hour)
}

func TestVisitorFieldsAreChecked(t *testing.T) {
	w := newWorld(t)
	w.visitor("vera")
	update := func(args ...string) command.Args {
		return command.New(append([]string{"VISITOR.UPDATE", "vera"}, args...)...)
	}
	w.fails(core.CodeInvalid, "fields of a visitor are name email", update("shoe_size", "44"))
	w.fails(core.CodeInvalid, "unknown keyword \"status\"", update("status", "chatting"))
	w.fails(core.CodeInvalid, "at most 256", update("name", strings.Repeat("x", 257)))
	w.fails(core.CodeInvalid, "at most 2048", update("page_url", strings.Repeat("x", 2049)))
	w.fails(core.CodeInvalid, "UTF-8", update("name", "\xff"))
	w.fails(core.CodeInvalid, "JSON array", update("segments", "vip"))
	w.fails(core.CodeInvalid, "segment id", update("segments", `["V I P"]`))
	w.fails(core.CodeInvalid, "route is not", update("route", "sales"))
	w.fails(core.CodeInvalid, "priority", update("route", `{"priority":9}`))
	w.fails(core.CodeInvalid, "explain is not", update("explain", "because"))
	w.fails(core.CodeInvalid, "no name", update("VAR", "", "x"))
	w.fails(core.CodeInvalid, "at most 1024", update("VAR", "a", strings.Repeat("x", 1025)))
	w.fails("ERR", "takes 2 values", update("VAR", "a"))
	w.fails(core.CodeInvalid, "needs a URL", command.New("VISITOR.PAGE", "vera", ""))
	var many []string
	for i := range 101 {
		many = append(many, "VAR", fmt.Sprint("n", i), "x")
	}
	w.fails(core.CodeLimit, "100 variables", update(many...))
	w.ok(update(many[:300]...))
	w.fails(core.CodeInvalid, "visitor id", core.VisitorCreate{ID: "a:b", Site: "shop"}.Args())
	w.fails(core.CodeNotFound, "site", core.VisitorCreate{ID: "x", Site: "none"}.Args())
	if got := core.ClipField("name", strings.Repeat("é", 200)); len(got) != 256 {
		t.Fatalf("clipped to %d bytes", len(got))
	}
	if got := core.ClipField("name", "a\xffb"); got != "ab" {
		t.Fatalf("clipped to %q", got)
	}
}

func TestOnlyTheLastPagesAreKept(t *testing.T) {
	w := newWorld(t)
	w.visitor("vera")
	for i := range 130 {
		if i%3 == 0 {
			w.Advance(time.Millisecond)
		}
		w.ok(core.VisitorPage{ID: "vera", URL: fmt.Sprint("https://shop/", i)}.Args())
	}
	pages, err := core.VisitorPages(w.View(), "vera", 1000)
	if err != nil || len(pages) != 100 || pages[0].URL != "https://shop/129" || pages[99].URL != "https://shop/30" {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
}

func TestVisitorIsInvited(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.visitor("vera")
	w.happened()
	id, err := core.VisitorInvite{}.Result(w.ok(core.VisitorInvite{Visitor: "vera", Text: "May I help?", Rule: "on-prices"}.Args()))
	if err != nil || len(id) != 36 {
		t.Fatal(id, err)
	}
	w.expect(core.EventInvitationSent)
	if v := w.theVisitor("vera"); v.Invitation.ID != id || v.Invitation.State != core.InvitationSent || v.Invited["on-prices"] != 1 {
		t.Fatalf("%+v", v)
	}
	yes := core.VisitorAnswer{Visitor: "vera", Invitation: id, Accepted: true}
	w.ok(yes.Args())
	w.ok(yes.Args())
	w.expect(core.EventInvitationAnswered)
	w.fails(core.CodeConflict, "accepted already", core.VisitorAnswer{Visitor: "vera", Invitation: id}.Args())
	w.fails(core.CodeNotFound, "invitation", core.VisitorAnswer{Visitor: "vera", Invitation: "other"}.Args())
	w.ok(core.VisitorInvite{Visitor: "vera", Text: "Really!", Agent: "alice", ID: "inv-2"}.Args())
	w.fails(core.CodeNotFound, "agent", core.VisitorInvite{Visitor: "vera", Text: "x", Agent: "nobody"}.Args())
	w.fails(core.CodeInvalid, "empty", core.VisitorInvite{Visitor: "vera"}.Args())
	w.asks("vera", core.ChatChatting)
	w.fails(core.CodeConflict, "has a chat", core.VisitorInvite{Visitor: "vera", Text: "x"}.Args())
}

func TestVisitorsAreFound(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 5)
	for i := range 25 {
		w.Advance(time.Millisecond * time.Duration(i%2)) // some at the same time
		country := "NZ"
		if i%5 == 0 {
			country = "DE"
		}
		w.ok(core.VisitorCreate{ID: fmt.Sprintf("v%02d", i), Site: "shop", Fields: map[string]string{
			"country": country, "name": fmt.Sprint("Visitor ", i), "page_url": fmt.Sprint("https://shop/p/", i), "email": fmt.Sprintf("v%d@example.org", i),
		}, Vars: map[string]string{"odd": fmt.Sprint(i%2 == 1)}, Decisions: &core.Decisions{Campaign: "default", Segments: []string{"s" + strings.ToLower(country)}}}.Args())
	}
	w.asks("v03", core.ChatChatting)
	find := func(f core.VisitorFilter) string {
		t.Helper()
		var ids []string
		for cursor, pages := "", 0; ; pages++ {
			vs, next, err := core.ListVisitors(w.View(), "shop", f, cursor, 4)
			if err != nil || len(vs) > 4 || pages > 20 {
				t.Fatalf("page %d: %d visitors, %v", pages, len(vs), err)
			}
			for _, v := range vs {
				ids = append(ids, v.ID)
			}
			if cursor = next; next == "" {
				return strings.Join(ids, " ")
			}
		}
	}
	all := strings.Fields(find(core.VisitorFilter{}))
	if len(all) != 25 || all[0] != "v03" {
		t.Fatalf("all: %v", all)
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != 25 {
		t.Fatal("a visitor came twice")
	}
	for _, c := range []struct {
		f    core.VisitorFilter
		want string
	}{
		{core.VisitorFilter{Country: "de"}, "v20 v15 v10 v05 v00"},
		{core.VisitorFilter{Segment: "sde"}, "v20 v15 v10 v05 v00"},
		{core.VisitorFilter{Campaign: "default", Country: "de", Vars: map[string]string{"odd": "true"}}, "v15 v05"},
		{core.VisitorFilter{Status: core.VisitorChatting}, "v03"},
		{core.VisitorFilter{Agent: "alice"}, "v03"},
		{core.VisitorFilter{Department: "sales"}, "v03"},
		{core.VisitorFilter{Page: "*/P/7"}, "v07"},
		{core.VisitorFilter{Name: "visitor 24"}, "v24"},
		{core.VisitorFilter{Email: "V24@example.org"}, "v24"},
		{core.VisitorFilter{ID: "v11"}, "v11"},
		{core.VisitorFilter{ID: "v11", Country: "de"}, ""},
		{core.VisitorFilter{Language: "en"}, ""},
	} {
		if got := find(c.f); got != c.want {
			t.Errorf("%+v: %q, want %q", c.f, got, c.want)
		}
	}
	if _, _, err := core.ListVisitors(w.View(), "shop", core.VisitorFilter{}, "nonsense", 4); core.CodeOf(err) != core.CodeInvalid {
		t.Fatalf("bad cursor: %v", err)
	}
	// A pattern made to cost for ever costs little.
	w.ok(core.VisitorUpdate{ID: "v00", Fields: map[string]string{"page_url": strings.Repeat("a", 2048)}}.Args())
	if got := find(core.VisitorFilter{Page: strings.Repeat("*a", 40) + "*b"}); got != "" {
		t.Errorf("a hopeless pattern matches %q", got)
	}
	r := w.ok(command.New("VISITOR.LIST", "shop", "VAR", "odd", "true", "country", "de", "COUNT", "1"))
	if len(r.Elems) != 2 || len(r.Elems[1].Elems) != 1 || r.Elems[0].Text() == "0" {
		t.Fatalf("%+v", r)
	}
}

func TestChatsAreFound(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 3)
	for i := range 8 {
		v := fmt.Sprint("v", i)
		w.visitor(v)
		want := core.ChatChatting
		if i >= 3 {
			want = core.ChatWaiting
		}
		w.asks(v, want)
	}
	w.ok(core.ChatEnd{Chat: "chat-v7", By: core.Party{Type: core.FromSystem}}.Args())
	find := func(f core.ChatFilter, limit int) string {
		t.Helper()
		var ids []string
		for cursor, pages := "", 0; ; pages++ {
			cs, next, err := core.ListChats(w.View(), "shop", f, cursor, limit)
			if err != nil || len(cs) > limit || pages > 20 {
				t.Fatalf("page %d: %d chats, %v", pages, len(cs), err)
			}
			for _, c := range cs {
				ids = append(ids, strings.TrimPrefix(c.ID, "chat-"))
			}
			if cursor = next; next == "" {
				return strings.Join(ids, " ")
			}
		}
	}
	for _, limit := range []int{1, 3, 100} {
		for _, c := range []struct {
			f    core.ChatFilter
			want string
		}{
			{core.ChatFilter{}, "v6 v5 v4 v3 v2 v1 v0 v7"},
			{core.ChatFilter{Status: core.ChatWaiting}, "v6 v5 v4 v3"},
			{core.ChatFilter{Agent: "alice"}, "v2 v1 v0"},
			{core.ChatFilter{Department: "sales", Status: core.ChatEnded}, "v7"},
			{core.ChatFilter{Visitor: "v4"}, "v4"},
			{core.ChatFilter{Visitor: "v4", Status: core.ChatEnded}, ""},
		} {
			if got := find(c.f, limit); got != c.want {
				t.Errorf("%+v by %d: %q, want %q", c.f, limit, got, c.want)
			}
		}
	}
}

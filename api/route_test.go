package api_test

import (
	"fmt"
	"testing"

	"github.com/parlorchat/parlor/core"
)

// TestRoutes: the rules send a visitor's chat where his page, his variables
// and his answers say, and a route to somebody who is gone harms nobody.
func TestRoutes(t *testing.T) {
	w := newWorld(t, 1)
	w.run(
		core.DepartmentCreate{ID: "tech", Site: "shop", Name: "Support"}.Args(),
		core.AgentUpdate{ID: "bob", Departments: &[]string{"tech"}}.Args(),
		routeTo("asked", 1, `{"field":"prechat.email","op":"endsWith","value":"@tech.example"}`, `{"department":"tech"}`),
		routeTo("gone", 2, `{"field":"var.topic","op":"is","value":"gone"}`, `{"agent":"somebody"}`),
		routeTo("broken", 3, `{"field":"page.path","op":"beginsWith","value":"/help"}`, `{"department":"tech"}`),
	)
	w.online("alice")
	w.online("bob")

	byPage, page := w.stranger().visit("https://shop.example/help/me")
	if page.Route.Department != "tech" {
		t.Fatalf("route on the help page: %+v", page.Route)
	}
	if _, chat, _ := byPage.request("Vera"); chat.Agent != "bob" || chat.Department != "tech" {
		t.Fatalf("the chat from the help page: %+v", chat)
	}

	byAnswer, page := w.stranger().visit("https://shop.example/")
	if page.Route.Department != "sales" {
		t.Fatalf("route elsewhere: %+v", page.Route)
	}
	var got struct{ Chat *chatView }
	byAnswer.do("POST", "/v1/visitor/chat", object{"prechat": object{"name": "Wim", "email": "wim@tech.example"}}).ok(&got)
	if got.Chat == nil || got.Chat.Agent != "bob" {
		t.Fatalf("the chat by the form's answer: %+v", got.Chat)
	}

	toNobody, _ := w.stranger().visit("https://shop.example/")
	toNobody.do("PUT", "/v1/visitor/variables", object{"topic": "gone"}).ok()
	if status, chat, _ := toNobody.request("Xena"); status != "chatting" || chat == nil {
		t.Fatalf("the chat on a route to nobody: %s %+v", status, chat)
	}
}

func routeTo(id string, order int, when, to string) [][]byte {
	doc := fmt.Sprintf(`{"id":%q,"name":%q,"order":%d,"when":%s,"to":%s}`, id, id, order, when, to)
	return core.SiteSet{Site: "shop", Kind: "routes", ID: id, Document: []byte(doc)}.Args()
}

// TestNothingChanged: opening the window again, or setting what is set, writes
// nothing.
func TestNothingChanged(t *testing.T) {
	w := newWorld(t, 1)
	visitor, _ := w.stranger().visit("https://shop.example/")
	visitor.do("PUT", "/v1/visitor/variables", object{"plan": "gold"}).ok()
	before := w.nodes[0].Applied()
	for range 3 {
		visitor.do("PUT", "/v1/visitor/variables", object{"plan": "gold"}).ok()
		if got := visitor.do("POST", "/v1/visitor/chat/open", nil).ok(); got.header.Get("X-Parlor-Index") != "" {
			t.Error("opening the window wrote something")
		}
	}
	if after := w.nodes[0].Applied(); after != before {
		t.Fatalf("%d writes for nothing", after-before)
	}
}

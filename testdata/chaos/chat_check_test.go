package main

import (
	"strconv"
	"strings"
	"testing"
)

// said is a message that was acknowledged; store is what CHAT.MESSAGES gives.
func said(call int64, id, seq string) op { return did(call, call+1, "say visitor", id, seq, "id-"+id) }

func store(ids ...string) op {
	var list []any
	for i, id := range ids {
		list = append(list, []any{"seq", strconv.Itoa(i + 1), "id", "id-" + id, "from_type", "visitor", "client_id", id})
	}
	return did(90, 91, "messages", "", list)
}

func TestTalkIsChecked(t *testing.T) {
	hole := store("a", "b")
	hole.Out[0].([]any)[1].([]any)[1] = "3"
	for _, c := range []struct {
		name string
		ops  []op
		want string
	}{
		{"as it should be", []op{said(1, "a", "1"), never(3, unknown, "say visitor", "b"), store("a", "b")}, ""},
		{"sent again after no answer", []op{never(1, unknown, "say visitor", "a"), said(3, "b", "1"), said(5, "a", "2"), store("b", "a")}, ""},
		{"missing", []op{said(1, "a", "1"), store()}, "is 0"},
		{"twice", []op{said(1, "a", "1"), store("a", "a")}, "twice"},
		{"elsewhere", []op{said(1, "a", "1"), never(1, unknown, "say visitor", "b"), store("b", "a")}, "acknowledged as message 1"},
		{"refused and there", []op{never(1, refused, "say visitor", "a"), store("a")}, "refused or never sent"},
		{"from nowhere", []op{store("z")}, "refused or never sent"},
		{"against time", []op{said(1, "a", "2"), never(5, unknown, "say visitor", "b"), store("b", "a")}, "acknowledged when it was first sent"},
		{"a hole", []op{said(1, "a", "1"), never(2, unknown, "say visitor", "b"), hole}, "comes where 2 should"},
		{"nodes differ", []op{said(1, "a", "1"), store("a"), store()}, "on another"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := checkTalk("k", c.ops)
			found(t, err, c.want)
		})
	}
}

func TestEventsAreChecked(t *testing.T) {
	c := &chats{site: "s", agents: []string{"ann", "bob"}}
	event := func(seq, kind, chat, agent string) any {
		return []any{"seq", seq, "type", kind, "chat", chat, "agent", agent}
	}
	read := func(ann, bob []any, events ...any) []op {
		return []op{did(1, 2, "events", "", list(events, ann, bob)), did(3, 4, "events", "", list(list(), ann, bob))}
	}
	full := []any{event("1", "chat.assigned", "x", "ann"), event("2", "chat.assigned", "y", "ann")}
	for _, c2 := range []struct {
		name string
		ops  []op
		want string
	}{
		{"as it should be", read(list("x", "y"), nil, full...), ""},
		{"handed over", read(list("y"), list("x"), append(full, event("3", "chat.transferred", "x", ""), event("4", "chat.assigned", "x", "bob"))...), ""},
		{"beyond his room", read(list("x", "y", "z"), nil, append(full, event("3", "chat.assigned", "z", "ann"))...), "room for 2"},
		{"two agents", read(list("x"), list("x"), event("1", "chat.assigned", "x", "ann"), event("2", "chat.assigned", "x", "bob")), "while ann has it"},
		{"a hole", read(nil, nil, event("2", "chat.created", "x", "")), "where 1 should"},
		{"sets against events", read(list("x"), nil, full...), "does not have it"},
		{"sets beyond events", read(list("x"), nil, event("1", "chat.created", "x", "")), "the events say"},
	} {
		t.Run(c2.name, func(t *testing.T) {
			_, err := c.replay(c2.ops)
			found(t, err, c2.want)
		})
	}
	found(t, checkHoldings(op{}, c.agents, list(list("x"), list("x"))), "two agents")
	found(t, checkHoldings(op{}, c.agents, list(list("x", "y", "z"), nil)), "room for 2")
	found(t, checkFollowing([]op{did(1, 2, "follow", "4", "6", "5", "6")}), "")
	found(t, checkFollowing([]op{did(1, 2, "follow", "4", "6", "6")}), "where 5 should")
	found(t, checkFollowing([]op{did(1, 2, "follow", "4", "7", "5", "6")}), "ended at 7")
}

// found says whether a checker found what it should; want "" is nothing.
func found(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("a good history is refused: %v", err)
	case want != "" && err == nil:
		t.Errorf("nothing was found, want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("found %q, want %q", err, want)
	}
}

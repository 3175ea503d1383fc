package core_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/core/coretest"
	"github.com/parlorchat/parlor/storage/command"
)

// world is a site with its people, for stories.
type world struct {
	*testing.T
	*coretest.Store
	seen map[string]int64 // site → last event that a story looked at
}

// newWorld is a site "shop" with the department "sales".
func newWorld(t *testing.T) *world {
	w := &world{T: t, Store: coretest.New(), seen: map[string]int64{}}
	w.ok(core.SiteCreate{ID: "shop", Name: "Shop"}.Args())
	w.ok(core.DepartmentCreate{ID: "sales", Site: "shop", Name: "Sales"}.Args())
	t.Cleanup(func() {
		if err := w.State.Verify(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// ok carries a command out that must succeed.
func (w *world) ok(args command.Args) command.Reply {
	w.Helper()
	r := w.Do(args)
	if err := r.Err(); err != nil {
		w.Fatalf("%s: %v", show(args), err)
	}
	return r
}

// fails carries a command out that must fail with a code, saying something,
// and change nothing.
func (w *world) fails(code, says string, args command.Args) {
	w.Helper()
	hash := w.State.Hash
	err := w.Do(args).Err()
	if core.CodeOf(err) != code || !strings.Contains(err.Error(), says) {
		w.Fatalf("%s: got %v, want %s … %s", show(args), err, code, says)
	}
	if w.State.Hash != hash {
		w.Fatalf("%s failed and changed something", show(args))
	}
}

func show(args command.Args) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = string(a)
		if len(out[i]) > 60 {
			out[i] = out[i][:60] + "…"
		}
	}
	return strings.Join(out, " ")
}

func ptr[T any](v T) *T { return &v }

// agent makes an agent of sales who is online.
func (w *world) agent(id string, maxChats int64, departments ...string) {
	w.Helper()
	if departments == nil {
		departments = []string{"sales"}
	}
	w.ok(core.AgentCreate{ID: id, Site: "shop", MaxChats: &maxChats, Departments: departments}.Args())
	w.ok(core.AgentStatus{ID: id, Status: core.AgentOnline}.Args())
}

// visitor makes a visitor.
func (w *world) visitor(id string) {
	w.Helper()
	w.ok(core.VisitorCreate{ID: id, Site: "shop"}.Args())
}

// asks lets a visitor ask sales for a chat and checks what he hears. Time
// passes, so that who asks first stands first.
func (w *world) asks(visitor, wantStatus string) core.Outcome {
	w.Helper()
	w.Advance(time.Millisecond)
	o, err := core.ChatRequest{}.Result(w.ok(core.ChatRequest{Visitor: visitor, Chat: "chat-" + visitor, Department: "sales"}.Args()))
	if err != nil || o.Status != wantStatus {
		w.Fatalf("%s asks: %+v, %v; want %s", visitor, o, err, wantStatus)
	}
	return o
}

func (w *world) chat(id string) core.Chat {
	w.Helper()
	c, ok, err := core.GetChat(w.View(), id)
	if err != nil || !ok {
		w.Fatalf("chat %s: there %v, %v", id, ok, err)
	}
	return c
}

func (w *world) theVisitor(id string) core.Visitor {
	w.Helper()
	v, ok, err := core.GetVisitor(w.View(), id)
	if err != nil || !ok {
		w.Fatalf("visitor %s: there %v, %v", id, ok, err)
	}
	return v
}

func (w *world) theAgent(id string) core.Agent {
	w.Helper()
	a, ok, err := core.GetAgent(w.View(), id)
	if err != nil || !ok {
		w.Fatalf("agent %s: there %v, %v", id, ok, err)
	}
	return a
}

// with checks that a chat is with an agent ("": waits).
func (w *world) with(chat, agent string) {
	w.Helper()
	c := w.chat(chat)
	want := core.ChatChatting
	if agent == "" {
		want = core.ChatWaiting
	}
	if c.Agent != agent || c.Status != want {
		w.Fatalf("chat %s is %s with %q; want it %s with %q", chat, c.Status, c.Agent, want, agent)
	}
}

// happened gives the types of the events since it was last called.
func (w *world) happened() string {
	w.Helper()
	events, err := w.Events("shop", w.seen["shop"])
	if err != nil {
		w.Fatal(err)
	}
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
		w.seen["shop"] = e.Seq
	}
	return strings.Join(types, " ")
}

// expect checks which events happened since they were last looked at.
func (w *world) expect(types ...string) {
	w.Helper()
	if got, want := w.happened(), strings.Join(types, " "); got != want {
		w.Fatalf("events:\n got %s\nwant %s", got, want)
	}
}

// tick lets the time pass and does what it has come for.
func (w *world) tick(d time.Duration) {
	w.Helper()
	w.Advance(d)
	if err := w.Tick(); err != nil {
		w.Fatal(err)
	}
}

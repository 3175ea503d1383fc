package core_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/core/coretest"
	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func TestNewSiteHasItsCampaign(t *testing.T) {
	w := newWorld(t)
	doc, ok, err := core.GetConfig(w.View(), "shop", "campaigns", "default")
	if err != nil || !ok || doc.Rev != 1 || doc.ID != "default" {
		t.Fatalf("%+v %v %v", doc, ok, err)
	}
	if err := rules.Validate("campaigns", doc.Document); err != nil {
		t.Fatal(err)
	}
	w.expect(core.EventSiteCreated, core.EventConfigChanged, core.EventDepartmentCreated)
	site, ok, err := core.GetSite(w.View(), "shop")
	if err != nil || !ok || site.EventsKeep != core.DefaultEventsKeep || site.LastEvent != 3 || site.Name != "Shop" {
		t.Fatalf("%+v %v %v", site, ok, err)
	}
	w.fails(core.CodeExists, "shop", core.SiteCreate{ID: "shop"}.Args())
	w.fails(core.CodeInvalid, "site id", core.SiteCreate{ID: "Shop!"}.Args())
	w.fails(core.CodeInvalid, "EVENTS-KEEP", core.SiteCreate{ID: "b", EventsKeep: 10}.Args())
	w.fails(core.CodeConflict, "cannot be removed", core.SiteUnset{Site: "shop", Kind: "campaigns", ID: "default"}.Args())
	w.ok(core.SiteUpdate{ID: "shop", Name: ptr("The shop")}.Args())
	w.ok(core.SiteUpdate{ID: "shop", Name: ptr("The shop")}.Args())
	w.expect(core.EventSiteUpdated)
}

func TestConfigObjectsHaveRevisions(t *testing.T) {
	w := newWorld(t)
	w.happened()
	set := core.SiteSet{Site: "shop", Kind: "segments", ID: "vip", Document: []byte(`{"name":"VIP <1>","enabled":true,"when":{"field":"var.vip","op":"is","value":"yes"}}`)}
	rev, err := set.Result(w.ok(set.Args()))
	if err != nil || rev != 2 {
		t.Fatal(rev, err)
	}
	w.expect(core.EventConfigChanged)
	doc, _, err := core.GetConfig(w.View(), "shop", "segments", "vip")
	if err != nil || doc.Rev != 2 || !strings.Contains(string(doc.Document), `"id":"vip"`) || !strings.Contains(string(doc.Document), "VIP <1>") {
		t.Fatalf("%s %v", doc.Document, err)
	}
	set.Rev = ptr(int64(0))
	w.fails(core.CodeConflict, "has revision 2, not 0", set.Args())
	set.Rev = ptr(int64(2))
	// A document may be sent back as it was read.
	set.Document = doc.Document
	if rev, err := set.Result(w.ok(set.Args())); err != nil || rev != 3 {
		t.Fatal(rev, err)
	}
	w.fails(core.CodeConflict, "has revision 3", core.SiteUnset{Site: "shop", Kind: "segments", ID: "vip", Rev: ptr(int64(2))}.Args())
	unset := core.SiteUnset{Site: "shop", Kind: "segments", ID: "vip", Rev: ptr(int64(3))}
	if ok, err := unset.Result(w.ok(unset.Args())); err != nil || !ok {
		t.Fatal(ok, err)
	}
	w.fails(core.CodeConflict, "does not exist any more", set.Args())
	set.Rev = ptr(int64(0))
	if rev, err := set.Result(w.ok(set.Args())); err != nil || rev != 5 { // 4 was the removal
		t.Fatal(rev, err)
	}
	all, err := core.SiteConfig(w.View(), "shop", "segments")
	if err != nil || len(all) != 1 || all[0].Rev != 5 {
		t.Fatalf("%+v %v", all, err)
	}
	if r := w.ok(command.New("SITE.CONFIG", "shop", "segments")); len(r.Elems) != 2 {
		t.Fatalf("%+v", r)
	}
	if r := w.ok(command.New("SITE.CONFIG", "shop", "segments", "none")); !r.IsNull() {
		t.Fatalf("%+v", r)
	}

	bad := func(kind, id, doc, says string) {
		t.Helper()
		w.fails(core.CodeInvalid, says, core.SiteSet{Site: "shop", Kind: kind, ID: id, Document: []byte(doc)}.Args())
	}
	bad("segment", "vip", `{}`, "known are campaigns segments")
	bad("segments", "V", `{"name":"x","when":{}}`, "config object id")
	bad("segments", "vip", `{"name":"x","when":{"field":"var.vip","op":"resembles","value":"yes"}}`, "resembles")
	bad("segments", "vip", `[]`, "")
	bad("segments", "vip", `{"id":"other","name":"x","when":{}}`, "id is not")
	bad("webhooks", "crm", `{"url":"nowhere"}`, "url")
	w.fails(core.CodeNotFound, "site", core.SiteSet{Site: "none", Kind: "segments", ID: "vip", Document: []byte(`{"name":"x","when":{}}`)}.Args())
}

func TestWebhookSecretsAreForThePipelineOnly(t *testing.T) {
	w := newWorld(t)
	doc := `{"url":"https://crm.example/hook","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","events":["chat.created"],"enabled":true}`
	w.ok(core.SiteSet{Site: "shop", Kind: "webhooks", ID: "crm", Document: []byte(doc)}.Args())

	// Whoever reads the store sees the endpoint without its secret …
	for _, args := range []command.Args{
		command.New("SITE.CONFIG", "shop", "webhooks"),
		command.New("SITE.CONFIG", "shop", "webhooks", "crm"),
	} {
		r := w.ok(args)
		text := r.Text()
		for _, e := range r.Elems {
			text += e.Text()
		}
		if !strings.Contains(text, "crm.example") || strings.Contains(text, "whsec") {
			t.Errorf("%s answers %s", args, text)
		}
	}
	if typ := w.View().Type([]byte("site:shop:config:webhooks")); typ != keyspace.None {
		t.Error("the documents are where clients may read them")
	}
	// … and who delivers has it.
	got, ok, err := core.GetConfig(w.View(), "shop", "webhooks", "crm")
	if err != nil || !ok || !strings.Contains(string(got.Document), "whsec_") {
		t.Errorf("%s %v %v", got.Document, ok, err)
	}
}

func TestEventsAreNumberedWithoutGaps(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 2)
	w.visitor("vera")
	w.asks("vera", core.ChatChatting)
	events, err := w.Events("shop", 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range events {
		if e.Seq != int64(i+1) || e.Site != "shop" || e.At == 0 || !json.Valid(e.Data) {
			t.Fatalf("event %d: %+v", i+1, e)
		}
	}
	last := events[len(events)-1]
	if last.Type != core.EventChatAssigned || last.Visitor != "vera" || last.Chat != "chat-vera" || last.Agent != "alice" || last.Department != "sales" {
		t.Fatalf("%+v", last)
	}
	var data core.ChatData
	if err := json.Unmarshal(last.Data, &data); err != nil || data.Agent.ID != "alice" || data.Chat.Status != core.ChatChatting {
		t.Fatalf("%s %v", last.Data, err)
	}
	if !last.ForVisitor("vera") || last.ForVisitor("victor") || last.ForVisitor("") || !last.ForAgent("bob", false) {
		t.Fatal("who sees chat.assigned")
	}
	message := core.Event{Type: core.EventMessageCreated, Visitor: "vera", Agent: "alice"}
	if !message.ForAgent("alice", false) || message.ForAgent("bob", false) || !message.ForAgent("bob", true) || !message.ForVisitor("vera") {
		t.Fatal("who sees message.created")
	}
	r := w.ok(command.New("EVENT.READ", "shop", "AFTER", "2", "TYPE", core.EventAgentCreated))
	if len(r.Elems) != 1 || r.Elems[0].Kind != command.KindMap {
		t.Fatalf("%+v", r)
	}
}

func TestConsumersKeepTheirPlaceAndWhatTheyNeed(t *testing.T) {
	w := newWorld(t)
	w.ok(core.SiteUpdate{ID: "shop", EventsKeep: ptr(int64(core.MinEventsKeep))}.Args())
	w.agent("alice", 1)
	w.visitor("vera")
	w.asks("vera", core.ChatChatting)
	ack := func(seq int64) { t.Helper(); w.ok(core.EventAck{Site: "shop", Consumer: "crm", Seq: seq}.Args()) }
	ack(4)
	ack(2) // never back
	c, ok, err := core.ConsumerCursor(w.View(), "shop", "crm")
	if err != nil || !ok || c.Seq != 4 || c.At != w.Now() {
		t.Fatalf("%+v %v %v", c, ok, err)
	}
	w.fails(core.CodeInvalid, "seq", core.EventAck{Site: "shop", Consumer: "crm", Seq: 10_000}.Args())
	send := core.ChatSend{Chat: "chat-vera", From: core.Party{Type: core.FromVisitor}, Text: "x"}
	for range core.MinEventsKeep + 1500 {
		w.ok(send.Args())
	}
	span := func() (first, last int64) {
		t.Helper()
		w.tick(0)
		first, err := core.FirstEvent(w.View(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		last, err = core.LastEvent(w.View(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		return first, last
	}
	if first, _ := span(); first != 1 {
		t.Fatalf("events from %d; crm needs 5, and 4 are not worth the trouble", first)
	}
	if r := w.ok(command.New("EVENT.TRIM", "shop", "BELOW", "100")); r.Int != 4 {
		t.Fatalf("trimmed %d, crm had done with 4", r.Int)
	}
	if ok, err := (core.EventForget{}).Result(w.ok(core.EventForget{Site: "shop", Consumer: "crm"}.Args())); err != nil || !ok {
		t.Fatal(ok, err)
	}
	first, last := span()
	if last-first+1 < core.MinEventsKeep || last-first+1 > core.MinEventsKeep+1000 {
		t.Fatalf("events from %d to %d", first, last)
	}
	w.ok(send.Args())
	if _, now := span(); now != last+1 {
		t.Fatalf("after the trim the next event is %d", now)
	}
}

func TestGroupIsFormedAndSetUpOnce(t *testing.T) {
	w := &world{T: t, Store: coretest.New(), seen: map[string]int64{}}
	setup := strings.Repeat("5e", 32)
	w.ok(core.SystemResume{}.Args()) // a leader is there before the group is formed
	w.fails(core.CodeInvalid, "at least 32", core.SystemInit{Epoch: "e1", TokenKey: []byte("short"), SetupSHA256: setup}.Args())
	w.ok(core.SystemInit{Epoch: "e1", TokenKey: []byte(strings.Repeat("\x00\xff", 16)), SetupSHA256: setup}.Args())
	w.fails(core.CodeConflict, "formed already", core.SystemInit{Epoch: "e2", TokenKey: make([]byte, 32), SetupSHA256: setup}.Args())
	if epoch, err := core.Epoch(w.View()); err != nil || epoch != "e1" {
		t.Fatal(epoch, err)
	}
	if key, err := core.TokenKey(w.View()); err != nil || len(key) != 32 || key[1] != 0xff {
		t.Fatal(key, err)
	}
	hash, err := core.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	first := core.SystemSetup{SetupSHA256: setup, Site: "shop", SiteName: "Shop", Agent: "alice", AgentName: "Alice", AgentPassHashed: hash}
	wrong := first
	wrong.SetupSHA256 = strings.Repeat("00", 32)
	w.fails(core.CodeDenied, "setup token", wrong.Args())
	bad := first
	bad.Agent = "Alice"
	w.fails(core.CodeInvalid, "agent id", bad.Args())
	if pending, err := core.SetupPending(w.View()); err != nil || !pending {
		t.Fatal("a setup that failed used the token up", err)
	}
	w.ok(first.Args())
	w.fails(core.CodeDenied, "works once", first.Args())
	c, ok, err := core.AgentCredentials(w.View(), "alice")
	if err != nil || !ok || c.Agent.Role != core.RoleAdmin || c.Agent.Departments[0] != "general" || !core.VerifyPassword(c.PasswordHash, "correct horse") {
		t.Fatalf("%+v %v %v", c, ok, err)
	}
}

func TestNothingIsDueWithoutReason(t *testing.T) {
	w := newWorld(t)
	due := func() bool {
		t.Helper()
		due, err := core.Due(w.View(), w.Now())
		if err != nil {
			t.Fatal(err)
		}
		return due
	}
	w.agent("alice", 1)
	w.visitor("vera")
	if due() {
		t.Fatal("something is due at once")
	}
	w.Advance(30 * time.Second)
	if !due() {
		t.Fatal("the agent's lease is over")
	}
	w.tick(0)
	if due() {
		t.Fatal("still due")
	}
	for i := range 250 {
		w.visitor(fmt.Sprint("v", i))
	}
	w.tick(time.Minute)
	here, _, err := core.ListVisitors(w.View(), "shop", core.VisitorFilter{Status: core.VisitorBrowsing}, "", 1)
	if err != nil || len(here) > 0 || due() {
		t.Fatal("ticks left something over", here, err)
	}
}

package core_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/core"
)

func TestDeadLettersOutliveTheirEvents(t *testing.T) {
	w := newWorld(t)
	w.visitor("v1")
	w.visitor("v2")
	last, err := core.LastEvent(w.View(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	dead := func(seq int64, reason string) core.EventDead {
		return core.EventDead{Site: "shop", Consumer: "webhook.crm", Seq: seq, Reason: reason}
	}
	w.ok(dead(last, "first").Args())
	w.ok(dead(last-1, strings.Repeat("é", 2000)).Args())

	letters, err := core.DeadLetters(w.View(), "shop", "webhook.crm", 10)
	if err != nil || len(letters) != 2 {
		t.Fatal(letters, err)
	}
	newest, oldest := letters[0], letters[1]
	if oldest.Event.Seq != last || oldest.Event.Visitor != "v2" || oldest.Event.Type != core.EventVisitorCreated || oldest.Reason != "first" || oldest.DiedAt == 0 {
		t.Errorf("%+v", oldest)
	}
	if newest.Event.Visitor != "v1" || len(newest.Reason) > 1100 || !strings.HasPrefix(newest.Reason, "éé") {
		t.Errorf("%+v", newest)
	}
	if one, err := core.DeadLetters(w.View(), "shop", "webhook.crm", 1); err != nil || len(one) != 1 || one[0].Reason != newest.Reason {
		t.Errorf("the newest: %+v, %v", one, err)
	}
	if none, err := core.DeadLetters(w.View(), "shop", "webhook.other", 10); err != nil || len(none) != 0 {
		t.Errorf("of another consumer: %+v, %v", none, err)
	}

	w.fails(core.CodeNotFound, "no event", dead(last+1, "x").Args())
	w.fails(core.CodeInvalid, "seq", dead(0, "x").Args())
	w.fails(core.CodeInvalid, "name", core.EventDead{Site: "shop", Seq: last, Reason: "x"}.Args())
	w.fails(core.CodeNotFound, "site", core.EventDead{Site: "nowhere", Consumer: "webhook.crm", Seq: last, Reason: "x"}.Args())
}

func TestOldDeadLettersGoFirst(t *testing.T) {
	w := newWorld(t)
	const kept = 10_000
	for i := range kept + 3 {
		w.ok(core.EventDead{Site: "shop", Consumer: "webhook.crm", Seq: 1, Reason: fmt.Sprint(i)}.Args())
	}
	letters, err := core.DeadLetters(w.View(), "shop", "webhook.crm", 2*kept)
	if err != nil || len(letters) != kept || letters[0].Reason != fmt.Sprint(kept+2) || letters[kept-1].Reason != "3" {
		t.Errorf("%d letters, %v", len(letters), err)
	}
}

package pipeline

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parlorchat/parlor/core"
)

// TestWindow drives a window at random and holds it to what it promises:
// within a lane, events come in order, one at a time; the cursor is always
// just below the first event that is not done with; and nothing is left over.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWindow(100)
		now := time.UnixMilli(0)
		seq := int64(100)
		held := map[*lane]int64{}
		open := map[int64]string{}       // events not done with, by number
		lastOfLane := map[string]int64{} // last event that was taken, by lane

		check := func() {
			want := w.last
			for s := range open {
				want = min(want, s-1)
			}
			if got := w.cursor(); got != want {
				t.Fatalf("the cursor is %d, want %d", got, want)
			}
		}
		take := func(t *rapid.T) {
			l := w.take(now)
			if l == nil {
				return
			}
			s := l.queue[0].event.Seq
			if _, twice := held[l]; twice {
				t.Fatalf("lane %s was given out twice", l.key)
			}
			for other, key := range open {
				if key == l.key && other < s {
					t.Fatalf("%d overtook %d in lane %s", s, other, key)
				}
			}
			if s < lastOfLane[l.key] {
				t.Fatalf("lane %s goes back", l.key)
			}
			lastOfLane[l.key] = s
			held[l] = s
		}
		someHeld := func(t *rapid.T) *lane {
			if len(held) == 0 {
				t.Skip("nothing is held")
			}
			var lowest *lane
			pick := rapid.IntRange(0, len(held)-1).Draw(t, "pick")
			order := make([]*lane, 0, len(held))
			for _, it := range w.order {
				if _, ok := held[it.lane]; ok && !it.done && it.lane.queue[0] == it {
					order = append(order, it.lane)
				}
			}
			lowest = order[pick]
			return lowest
		}
		finish := func(l *lane) {
			delete(open, held[l])
			delete(held, l)
			w.finish(l)
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"add": func(t *rapid.T) {
				seq++
				e := core.Event{Seq: seq, Visitor: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "visitor"))}
				open[seq] = LaneOf(&e)
				w.add(e)
			},
			"skip":   func(*rapid.T) { seq++; w.skip(seq) },
			"take":   take,
			"finish": func(t *rapid.T) { finish(someHeld(t)) },
			"postpone": func(t *rapid.T) {
				l := someHeld(t)
				delete(held, l)
				w.postpone(l, now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "pause"))), rapid.Bool().Draw(t, "asked"))
			},
			"hurry": func(*rapid.T) { w.hurry() },
			"time":  func(*rapid.T) { now = now.Add(1) },
			"hold": func(t *rapid.T) {
				for _, it := range w.order {
					if l := it.lane; !it.done && l.state != laneBusy && l.queue[0] == it {
						w.hold(l)
						held[l] = it.event.Seq
						return
					}
				}
			},
		})
		now = now.Add(time.Hour)
		for range len(open) + len(held) {
			take(t)
			for l := range held {
				finish(l)
			}
			check()
		}
		if len(open) > 0 || w.cursor() != seq || w.bytes != 0 || len(w.lanes) > 0 {
			t.Fatalf("left over: %v, cursor %d of %d, %d bytes, %d lanes", open, w.cursor(), seq, w.bytes, len(w.lanes))
		}
		if _, ok := w.nextDue(now); ok {
			t.Fatal("an empty window has something to do")
		}
	})
}

func TestLanes(t *testing.T) {
	for _, c := range []struct {
		event core.Event
		lane  string
	}{
		{core.Event{Visitor: "v", Chat: "c", Agent: "a", Department: "d"}, "visitor:v"},
		{core.Event{Chat: "c", Agent: "a"}, "chat:c"},
		{core.Event{Agent: "a", Department: "d"}, "agent:a"},
		{core.Event{Department: "d"}, "department:d"},
		{core.Event{Type: core.EventConfigChanged}, "site"},
	} {
		if got := LaneOf(&c.event); got != c.lane {
			t.Errorf("%+v is in lane %q, want %q", c.event, got, c.lane)
		}
	}
}

func TestBreaker(t *testing.T) {
	exact := func(d time.Duration) time.Duration { return d }
	t0 := time.UnixMilli(0)
	b := breaker{limit: 3, min: 10 * time.Second, max: 30 * time.Second}

	b.failed(t0, exact)
	b.failed(t0, exact)
	if !b.allows(t0, 5) {
		t.Fatal("open after two failures of three")
	}
	if !b.failed(t0, exact) || b.allows(t0, 0) {
		t.Fatal("not open after three failures")
	}
	if b.failed(t0.Add(time.Second), exact) || b.until != t0.Add(10*time.Second) {
		t.Fatal("what was under way when it opened made the pause longer")
	}
	trial := t0.Add(10 * time.Second)
	if !b.allows(trial, 0) || b.allows(trial, 1) {
		t.Fatal("not exactly one trial")
	}
	for _, pause := range []time.Duration{20 * time.Second, 30 * time.Second, 30 * time.Second} {
		b.failed(trial, exact)
		if got := b.until.Sub(trial); got != pause {
			t.Fatalf("the pause is %s, want %s", got, pause)
		}
		trial = b.until
	}
	if got := b.failingFor(trial); got != trial.Sub(t0) {
		t.Fatalf("failing for %s", got)
	}
	if !b.succeeded() || !b.allows(trial, 7) || b.failingFor(trial) != 0 {
		t.Fatal("not closed after a success")
	}
	b.failed(trial, exact)
	if b.succeeded() {
		t.Fatal("one failure counts as an open circuit")
	}
}

func TestRetryTable(t *testing.T) {
	o := Options{}.withDefaults()
	if o.Horizon < 46*time.Hour || o.Horizon > 47*time.Hour {
		t.Errorf("the horizon is %s", o.Horizon)
	}
	for n, want := range DefaultRetry() {
		for range 100 {
			got, ok := o.pause(n)
			if !ok || float64(got) < 0.79*float64(want) || float64(got) > 1.21*float64(want) {
				t.Fatalf("attempt %d after %s, want about %s", n, got, want)
			}
		}
	}
	if _, ok := o.pause(len(DefaultRetry())); ok {
		t.Error("there is one attempt too many")
	}
}

func TestKeysOfEvents(t *testing.T) {
	for key, want := range map[string]string{
		core.EventsKey("demo"): "demo", core.EventsKey("a.b_c-d"): "a.b_c-d",
		"site:demo:consumers": "", "chat:1:messages": "", "site:demo": "", "events": "",
	} {
		got, ok := siteOfEvents(key)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", key, got, ok)
		}
	}
}

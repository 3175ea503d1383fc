package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/pipeline"
	"github.com/parlorchat/parlor/pipeline/pipelinetest"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// module is a Module whose consumers a test sets.
type module struct {
	mu        sync.Mutex
	consumers []pipeline.Consumer
}

func (m *module) Name() string { return "test" }

func (m *module) Consumers(*keyspace.Tx, core.Site) ([]pipeline.Consumer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.consumers, nil
}

// set changes the consumers, and the site's config so that the runner looks.
func (m *module) set(t *testing.T, g *pipelinetest.Group, consumers ...pipeline.Consumer) {
	t.Helper()
	m.mu.Lock()
	m.consumers = consumers
	m.mu.Unlock()
	g.Do(t, command.New("SITE.SET", "shop", "segments", "changed", `{"when": {}}`))
}

// receiver notes which events it was given, and which it took.
type receiver struct {
	mu      sync.Mutex
	given   []core.Event
	taken   []core.Event
	lanes   map[string]int64 // last event taken, by visitor
	broken  string           // how an event overtook another
	answers func(e *core.Event, attempt int) error
	tries   map[int64]int
}

func newReceiver(answers func(e *core.Event, attempt int) error) *receiver {
	return &receiver{lanes: map[string]int64{}, tries: map[int64]int{}, answers: answers}
}

func (r *receiver) Handle(_ context.Context, e *core.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given = append(r.given, *e)
	r.tries[e.Seq]++
	if r.answers != nil {
		if err := r.answers(e, r.tries[e.Seq]); err != nil {
			return err
		}
	}
	r.taken = append(r.taken, *e)
	lane := e.Visitor
	if e.Seq > r.lanes[lane] {
		for _, missed := range r.given {
			if lane != "" && missed.Visitor == lane && missed.Seq < e.Seq && missed.Seq > r.lanes[lane] {
				r.broken = fmt.Sprintf("%d came before %d", e.Seq, missed.Seq)
			}
		}
		r.lanes[lane] = e.Seq
	}
	return nil
}

// has says how many different events were taken.
func (r *receiver) has() map[int64]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[int64]int{}
	for _, e := range r.taken {
		out[e.Seq]++
	}
	return out
}

func (r *receiver) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.given)
}

func (r *receiver) overtook() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

func all(*core.Event) bool { return true }

// fast are options that do not wait long.
func fast() pipeline.Options {
	return pipeline.Options{
		Retry:      []time.Duration{0, time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, 3 * time.Millisecond, 3 * time.Millisecond},
		Horizon:    time.Hour,
		BreakAfter: 1000, BreakMin: time.Millisecond, BreakMax: 4 * time.Millisecond,
		AckInterval: 5 * time.Millisecond,
	}
}

// lead runs a runner until stop is called or the test ends.
func lead(t *testing.T, g *pipelinetest.Group, o pipeline.Options, modules ...pipeline.Module) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		pipeline.New(g, modules, o).Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// shop is a group with the site "shop" and a module with one consumer that
// has begun.
func shop(t *testing.T, r *receiver, o pipeline.Options) (g *pipelinetest.Group, m *module, stop func()) {
	t.Helper()
	g = pipelinetest.NewGroup(t)
	g.Site(t, "shop")
	m = &module{consumers: []pipeline.Consumer{{Name: "test.one", Version: "1", Wants: all, Concurrency: 4, Handler: r}}}
	stop = lead(t, g, o, m)
	pipelinetest.Eventually(t, "the consumer has a cursor", func() bool { _, ok := g.Cursor(t, "shop", "test.one"); return ok })
	return g, m, stop
}

// expect waits until a receiver took all events above after.
func expect(t *testing.T, g *pipelinetest.Group, r *receiver, after int64) {
	t.Helper()
	pipelinetest.Eventually(t, "all events arrive", func() bool {
		has := r.has()
		for _, e := range g.Events(t, "shop") {
			if e.Seq > after && has[e.Seq] == 0 {
				return false
			}
		}
		return true
	})
	if how := r.overtook(); how != "" {
		t.Errorf("out of order for a visitor: %s", how)
	}
}

func talk(t *testing.T, g *pipelinetest.Group, visitors, messages int) {
	t.Helper()
	for v := range visitors {
		g.Chat(t, "shop", fmt.Sprintf("v%d", v))
	}
	for i := range messages {
		for v := range visitors {
			g.Say(t, fmt.Sprintf("v%d", v), fmt.Sprint(i))
		}
	}
}

// TestEverythingArrivesInOrder: whatever share of the attempts fails, each
// event is handled, and no event of a visitor before an earlier one of his.
func TestEverythingArrivesInOrder(t *testing.T) {
	for _, percent := range []int{0, 10, 90} {
		t.Run(fmt.Sprintf("%d%% fail", percent), func(t *testing.T) {
			o := fast()
			o.Retry = make([]time.Duration, 1000)
			for i := range o.Retry {
				o.Retry[i] = time.Duration(min(i, 2)) * 100 * time.Microsecond
			}
			r := newReceiver(func(*core.Event, int) error {
				if rand.IntN(100) < percent {
					return errors.New("not now")
				}
				return nil
			})
			g, _, stop := shop(t, r, o)
			begin, _ := g.Cursor(t, "shop", "test.one")
			talk(t, g, 5, 20)
			expect(t, g, r, begin)
			stop()
			events := g.Events(t, "shop")
			if seq, _ := g.Cursor(t, "shop", "test.one"); seq != events[len(events)-1].Seq {
				t.Errorf("the cursor stands at %d of %d", seq, len(events))
			}
			for seq, n := range r.has() {
				if n != 1 {
					t.Errorf("event %d was taken %d times although nothing was interrupted", seq, n)
				}
			}
			if dead := g.DeadLetters(t, "shop", "test.one"); len(dead) > 0 {
				t.Errorf("dead letters: %+v", dead)
			}
		})
	}
}

// TestChangeOfLeader: the leader changes again and again while events are
// handled; whoever follows goes on from the durable cursor.
func TestChangeOfLeader(t *testing.T) {
	r := newReceiver(func(_ *core.Event, attempt int) error {
		if attempt == 1 {
			return errors.New("try again")
		}
		return nil
	})
	g, m, stop := shop(t, r, fast())
	begin, _ := g.Cursor(t, "shop", "test.one")
	for term := range 5 {
		g.Chat(t, "shop", fmt.Sprintf("v%d", term))
		for i := range 30 {
			g.Say(t, fmt.Sprintf("v%d", term), fmt.Sprint(i))
		}
		before := r.tried()
		pipelinetest.Eventually(t, "it goes on", func() bool { return r.tried() > before })
		stop()
		stop = lead(t, g, fast(), m)
	}
	expect(t, g, r, begin)
}

// TestLeaderDiesBeforeAck: a leader that dies cannot write the cursor any
// more. The next one repeats what came after it, and nothing is lost.
func TestLeaderDiesBeforeAck(t *testing.T) {
	o := fast()
	o.AckInterval = time.Hour
	r := newReceiver(nil)
	g, m, stop := shop(t, r, o)
	begin, _ := g.Cursor(t, "shop", "test.one")
	talk(t, g, 2, 5)
	expect(t, g, r, begin)
	g.Break(command.ErrNoLeader)
	stop()
	g.Break(nil)
	handled := r.has()

	lead(t, g, o, m)
	g.Say(t, "v0", "last words")
	expect(t, g, r, begin)
	for seq, n := range r.has() {
		if handled[seq] > 0 && n > handled[seq]+1 {
			t.Errorf("event %d was taken %d times", seq, n)
		}
	}
}

// TestStuckVisitorHoldsNobodyUp: one visitor's event cannot be handled; his
// later ones wait for it, all others go on.
func TestStuckVisitorHoldsNobodyUp(t *testing.T) {
	var open atomic.Bool
	o := fast()
	o.Retry = make([]time.Duration, 100_000)
	for i := range o.Retry {
		o.Retry[i] = time.Millisecond
	}
	r := newReceiver(func(e *core.Event, _ int) error {
		if e.Visitor == "stuck" && !open.Load() {
			return errors.New("not him")
		}
		return nil
	})
	g, _, _ := shop(t, r, o)
	begin, _ := g.Cursor(t, "shop", "test.one")
	g.Chat(t, "shop", "stuck")
	g.Say(t, "stuck", "hello?")
	talk(t, g, 3, 10)
	pipelinetest.Eventually(t, "the others are served", func() bool {
		has := r.has()
		for _, e := range g.Events(t, "shop") {
			if e.Seq > begin && e.Visitor != "stuck" && has[e.Seq] == 0 {
				return false
			}
		}
		return true
	})
	first := int64(0)
	for _, e := range g.Events(t, "shop") {
		if e.Visitor == "stuck" && first == 0 {
			first = e.Seq
		}
	}
	if seq, _ := g.Cursor(t, "shop", "test.one"); seq >= first {
		t.Errorf("the cursor stands at %d, above event %d, which is not done with", seq, first)
	}
	open.Store(true)
	expect(t, g, r, begin)
}

// TestPoisonHoldsUpOnlySoMuch: an event that can never be handled is given up
// early when the consumer, which takes all others, could read no further.
func TestPoisonHoldsUpOnlySoMuch(t *testing.T) {
	o := fast()
	o.Retry = []time.Duration{0, time.Millisecond, time.Millisecond, time.Hour, time.Hour}
	o.ReadAhead = 20
	r := newReceiver(func(e *core.Event, _ int) error {
		if strings.Contains(string(e.Data), "poison") {
			return errors.New("cannot swallow this")
		}
		return nil
	})
	g, _, _ := shop(t, r, o)
	g.Chat(t, "shop", "stuck")
	g.Say(t, "stuck", "poison")
	events := g.Events(t, "shop")
	poison := events[len(events)-1].Seq
	talk(t, g, 3, 20)
	expect(t, g, r, poison)
	dead := g.DeadLetters(t, "shop", "test.one")
	if len(dead) != 1 || dead[0].Event.Seq != poison || !strings.Contains(dead[0].Reason, "held up all others") {
		t.Errorf("dead letters: %+v", dead)
	}
}

// TestDeadLetters: after its last attempt an event is kept as a dead letter,
// and the visitor's next events go on.
func TestDeadLetters(t *testing.T) {
	r := newReceiver(func(e *core.Event, _ int) error {
		switch {
		case strings.Contains(string(e.Data), "poison"):
			return errors.New("cannot swallow this")
		case strings.Contains(string(e.Data), "hopeless"):
			return pipeline.Permanent(errors.New("never"))
		case strings.Contains(string(e.Data), "panic"):
			panic("dropped the tray")
		}
		return nil
	})
	o := fast()
	o.Metrics = metrics.NewSet()
	g, _, stop := shop(t, r, o)
	g.Chat(t, "shop", "v")
	for _, text := range []string{"poison", "fine", "hopeless", "panic", "after all"} {
		g.Say(t, "v", text)
	}
	events := g.Events(t, "shop")
	last := events[len(events)-1]
	pipelinetest.Eventually(t, "the last message arrives", func() bool { return r.has()[last.Seq] > 0 })
	stop()

	dead := g.DeadLetters(t, "shop", "test.one")
	if len(dead) != 3 {
		t.Fatalf("%d dead letters: %+v", len(dead), dead)
	}
	for i, want := range []struct{ text, reason string }{
		{"panic", "the handler panicked: dropped the tray"}, {"hopeless", "never"}, {"poison", "given up after 6 attempts: cannot swallow this"},
	} {
		if !strings.Contains(string(dead[i].Event.Data), want.text) || !strings.Contains(dead[i].Reason, want.reason) {
			t.Errorf("dead letter %d: %s (%s), want %q (%q)", i, dead[i].Event.Data, dead[i].Reason, want.text, want.reason)
		}
	}
	if seq, _ := g.Cursor(t, "shop", "test.one"); seq != last.Seq {
		t.Errorf("the cursor stands at %d of %d", seq, last.Seq)
	}
	var page strings.Builder
	o.Metrics.WritePrometheus(&page)
	for _, want := range []string{
		`parlor_pipeline_events_total{site="shop",consumer="test.one",result="dead"} 3`,
		`parlor_pipeline_events_total{site="shop",consumer="test.one",result="failed"} 12`,
	} {
		if !strings.Contains(page.String(), want+"\n") {
			t.Errorf("no %s in\n%s", want, page.String())
		}
	}
	if strings.Contains(page.String(), "parlor_pipeline_pending_events") {
		t.Error("who does not lead still says how much is pending")
	}
}

// TestNoQuorumForAWhile: while nothing can be written, an event that is given
// up is not forgotten, and its lane does not go on.
func TestNoQuorumForAWhile(t *testing.T) {
	var refused atomic.Int32
	r := newReceiver(func(e *core.Event, _ int) error {
		if strings.Contains(string(e.Data), "poison") {
			refused.Add(1)
			return pipeline.Permanent(errors.New("never"))
		}
		return nil
	})
	g, _, _ := shop(t, r, fast())
	g.Chat(t, "shop", "v")
	g.Say(t, "v", "poison")
	pipelinetest.Eventually(t, "a dead letter", func() bool { return len(g.DeadLetters(t, "shop", "test.one")) == 1 })
	g.Say(t, "v", "poison")
	g.Say(t, "v", "after")
	g.Break(command.ErrNoLeader)
	pipelinetest.Eventually(t, "the second poison is refused", func() bool { return refused.Load() >= 2 })
	g.Break(nil)
	events := g.Events(t, "shop")
	pipelinetest.Eventually(t, "the next message arrives", func() bool { return r.has()[events[len(events)-1].Seq] > 0 })
	if dead := g.DeadLetters(t, "shop", "test.one"); len(dead) != 2 {
		t.Errorf("%d dead letters", len(dead))
	}
}

// TestCircuit: a consumer that always fails is left alone, however much waits
// for it; one that works is not affected; and once it works again everything
// arrives at once.
func TestCircuit(t *testing.T) {
	var works atomic.Bool
	sick := newReceiver(func(*core.Event, int) error {
		if works.Load() {
			return nil
		}
		return errors.New("down")
	})
	healthy := newReceiver(nil)
	o := fast()
	o.BreakAfter, o.BreakMin, o.BreakMax = 5, 250*time.Millisecond, 250*time.Millisecond
	o.Retry = []time.Duration{0, time.Hour, time.Hour, time.Hour}
	g, m, _ := shop(t, sick, o)
	begin, _ := g.Cursor(t, "shop", "test.one")
	m.set(t, g, m.consumers[0], pipeline.Consumer{Name: "test.two", Version: "1", Wants: all, Handler: healthy})
	pipelinetest.Eventually(t, "the second consumer has a cursor", func() bool { _, ok := g.Cursor(t, "shop", "test.two"); return ok })
	started, _ := g.Cursor(t, "shop", "test.two")

	began := time.Now()
	talk(t, g, 40, 1)
	pipelinetest.Eventually(t, "the circuit opens", func() bool { return sick.tried() > o.BreakAfter+3 }) // four may be under way
	expect(t, g, healthy, started)
	// Four attempts may have been under way when it opened; then one trial a
	// pause. Without the circuit there would be at least one for each visitor.
	if most := 5 + 3 + 2*int(time.Since(began)/(200*time.Millisecond)+1); sick.tried() > most {
		t.Errorf("%d attempts while everything failed, at most %d are expected", sick.tried(), most)
	}
	works.Store(true)
	expect(t, g, sick, begin) // although each lane was to wait an hour
}

// TestRetryAfterIsForTheWholeConsumer: nothing is sent while it asked for a
// pause.
func TestRetryAfterIsForTheWholeConsumer(t *testing.T) {
	var asked, early atomic.Int64
	const pause = 100 * time.Millisecond
	r := newReceiver(func(*core.Event, int) error {
		now := time.Now().UnixNano()
		if asked.CompareAndSwap(0, now) {
			return pipeline.RetryAfter(errors.New("too many"), pause)
		}
		if time.Duration(now-asked.Load()) < pause {
			early.Add(1)
		}
		return nil
	})
	o := fast()
	g := pipelinetest.NewGroup(t)
	g.Site(t, "shop")
	m := &module{consumers: []pipeline.Consumer{{Name: "test.one", Version: "1", Wants: all, Handler: r}}}
	lead(t, g, o, m)
	pipelinetest.Eventually(t, "the consumer has a cursor", func() bool { _, ok := g.Cursor(t, "shop", "test.one"); return ok })
	begin, _ := g.Cursor(t, "shop", "test.one")
	talk(t, g, 5, 2)
	expect(t, g, r, begin)
	if n := early.Load(); n > 0 {
		t.Errorf("%d attempts came before the pause was over", n)
	}
}

// TestOldEventsAreGivenUp: when nothing has arrived for longer than the grace
// period, events older than the horizon become dead letters without all their
// attempts, so that the stream can be trimmed.
func TestOldEventsAreGivenUp(t *testing.T) {
	r := newReceiver(func(*core.Event, int) error { return errors.New("down") })
	o := fast()
	o.Retry = []time.Duration{0, 5 * time.Millisecond, 5 * time.Millisecond, time.Hour, time.Hour}
	o.Horizon, o.Grace = time.Millisecond, 2*time.Millisecond
	g, _, _ := shop(t, r, o)
	begin, _ := g.Cursor(t, "shop", "test.one")
	talk(t, g, 3, 3)
	want := 0
	for _, e := range g.Events(t, "shop") {
		if e.Seq > begin {
			want++
		}
	}
	pipelinetest.Eventually(t, "all are dead letters", func() bool { return len(g.DeadLetters(t, "shop", "test.one")) == want })
}

// TestNewConsumerBeginsWhereItCame: it gets what happened after the event it
// recognises, although nobody led then; without one, what comes from now on.
func TestNewConsumerBeginsWhereItCame(t *testing.T) {
	g := pipelinetest.NewGroup(t)
	g.Site(t, "shop")
	talk(t, g, 2, 50)
	g.Do(t, command.New("SITE.SET", "shop", "segments", "born", `{"when": {}}`))
	born := g.Events(t, "shop")
	talkAgain := func() { g.Say(t, "v0", "news") }
	for range 100 {
		talkAgain()
	}
	before := int64(len(g.Events(t, "shop")))

	found, end := newReceiver(nil), newReceiver(nil)
	begins := func(e *core.Event) bool {
		return e.Type == core.EventConfigChanged && strings.Contains(string(e.Data), `"born"`)
	}
	m := &module{consumers: []pipeline.Consumer{
		{Name: "test.found", Version: "1", Wants: all, Begins: begins, Handler: found},
		{Name: "test.end", Version: "1", Wants: all, Begins: func(*core.Event) bool { return false }, Handler: end},
	}}
	lead(t, g, fast(), m)
	pipelinetest.Eventually(t, "both have a cursor", func() bool {
		_, one := g.Cursor(t, "shop", "test.found")
		_, two := g.Cursor(t, "shop", "test.end")
		return one && two
	})
	talkAgain()
	expect(t, g, found, born[len(born)-1].Seq)
	expect(t, g, end, before)
	for seq := range found.has() {
		if seq <= born[len(born)-1].Seq {
			t.Errorf("event %d was before its time", seq)
		}
	}
	if n := len(end.has()); n != 1 {
		t.Errorf("%d events, want the last", n)
	}
}

// TestConsumersComeAndGo: one that is removed loses its cursor, also if
// nobody led when it was; one that changed goes on from its cursor.
func TestConsumersComeAndGo(t *testing.T) {
	one, changed := newReceiver(nil), newReceiver(nil)
	g, m, stop := shop(t, one, fast())
	begin, _ := g.Cursor(t, "shop", "test.one")
	g.Chat(t, "shop", "v")
	expect(t, g, one, begin)

	m.set(t, g, pipeline.Consumer{Name: "test.one", Version: "2", Wants: all, Handler: changed})
	g.Say(t, "v", "to the new one")
	events := g.Events(t, "shop")
	last := events[len(events)-1].Seq
	pipelinetest.Eventually(t, "the new version gets it", func() bool { return changed.has()[last] == 1 })
	for seq := range changed.has() {
		if one.has()[seq] > 0 {
			t.Errorf("event %d was handled by both", seq)
		}
	}

	m.set(t, g)
	pipelinetest.Eventually(t, "its cursor is gone", func() bool { _, ok := g.Cursor(t, "shop", "test.one"); return !ok })
	m.set(t, g, pipeline.Consumer{Name: "test.one", Version: "3", Wants: all, Handler: changed})
	pipelinetest.Eventually(t, "it is back", func() bool { _, ok := g.Cursor(t, "shop", "test.one"); return ok })
	stop()

	g.Do(t, core.EventAck{Site: "shop", Consumer: "other.module", Seq: 1}.Args())
	m.set(t, g)
	lead(t, g, fast(), m)
	pipelinetest.Eventually(t, "the orphan is gone", func() bool { _, ok := g.Cursor(t, "shop", "test.one"); return !ok })
	if _, ok := g.Cursor(t, "shop", "other.module"); !ok {
		t.Error("a cursor that is not ours was dropped")
	}
}

// TestNewSites: a site that is made while the runner runs is served too.
func TestNewSites(t *testing.T) {
	r := newReceiver(nil)
	g := pipelinetest.NewGroup(t)
	m := &module{consumers: []pipeline.Consumer{{Name: "test.one", Version: "1", Wants: all, Handler: r}}}
	lead(t, g, fast(), m)
	g.Site(t, "shop")
	pipelinetest.Eventually(t, "it has a cursor", func() bool { _, ok := g.Cursor(t, "shop", "test.one"); return ok })
	begin, _ := g.Cursor(t, "shop", "test.one")
	g.Chat(t, "shop", "v")
	expect(t, g, r, begin)
}

// TestLongStreams: more events than are read ahead, wanted and not, arrive
// all the same, and the cursor follows what is only passed over.
func TestLongStreams(t *testing.T) {
	o := fast()
	o.ReadAhead, o.ReadAheadBytes = 100, 20_000
	r := newReceiver(nil)
	g := pipelinetest.NewGroup(t)
	g.Site(t, "shop")
	m := &module{consumers: []pipeline.Consumer{{
		Name: "test.one", Version: "1", Concurrency: 4, Handler: r,
		Wants: func(e *core.Event) bool { return e.Type == core.EventMessageCreated },
	}}}
	g.Do(t, core.EventAck{Site: "shop", Consumer: "test.one", Seq: 0}.Args())
	talk(t, g, 5, 100)
	for i := range 1100 {
		g.Do(t, command.New("SITE.SET", "shop", "segments", "s", fmt.Sprintf(`{"order": %d, "when": {}}`, i)))
	}
	lead(t, g, o, m)
	pipelinetest.Eventually(t, "all messages arrive", func() bool { return len(r.has()) == 500 })
	pipelinetest.Eventually(t, "the cursor comes near the end", func() bool {
		seq, _ := g.Cursor(t, "shop", "test.one")
		return seq >= int64(len(g.Events(t, "shop")))-1000
	})
	if how := r.overtook(); how != "" {
		t.Error(how)
	}
}

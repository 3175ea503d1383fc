package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// readChunk is how many events one View reads: few enough to hold no writer
// up.
const readChunk = 64

// dispatcher carries the events of one site to one consumer. Everything in it
// belongs to the goroutine in run; attempts run in goroutines of their own
// and report back through results.
type dispatcher struct {
	site     string
	consumer Consumer
	store    Store
	options  *Options
	counters *counters
	log      *slog.Logger
	wake     <-chan struct{} // there may be new events

	window   *window
	breaker  breaker
	underWay int
	results  chan result
	attempts sync.WaitGroup

	more    bool      // there may be events that were not read
	readAt  time.Time // reading failed: not before
	acked   int64     // the durable cursor
	ackAt   time.Time // it is not written before
	handled bool      // something was done with since it was written

	doomed []*lane   // whose first event is to become a dead letter
	buryAt time.Time // not before
}

// result is the outcome of an attempt at the first event of a lane.
type result struct {
	lane *lane
	err  error
}

// run dispatches until ctx ends and its attempts have returned.
func (d *dispatcher) run(ctx context.Context) {
	from, ok := d.begin(ctx)
	if !ok {
		return
	}
	d.window = newWindow(from)
	d.acked = from
	d.more = true
	d.results = make(chan result, max(d.consumer.Concurrency, 1))
	d.breaker = breaker{limit: d.options.BreakAfter, min: d.options.BreakMin, max: d.options.BreakMax}

	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		d.read(now)
		d.unblock()
		d.bury(ctx, now)
		d.launch(ctx, now)
		d.acknowledge(ctx, now)
		d.counters.lag.Store(d.window.ahead())
		if at, ok := d.nextEvent(time.Now()); ok {
			timer.Reset(time.Until(at))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
		case <-d.wake:
			d.more = true
		case r := <-d.results:
			d.settle(r)
		case <-timer.C:
		}
	}
	d.end(ctx)
}

// end waits for what is under way and writes the cursor a last time, so that
// whoever goes on from it repeats little.
func (d *dispatcher) end(ctx context.Context) {
	d.attempts.Wait()
	for range d.underWay {
		if r := <-d.results; r.err == nil { // others were broken off: they have not failed
			d.settle(r)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	d.ackAt = time.Time{}
	d.acknowledge(ctx, time.Now())
}

// read fills the window with what the stream has.
func (d *dispatcher) read(now time.Time) {
	for d.more && !now.Before(d.readAt) && d.hasRoom() {
		var events []core.Event
		limit := int(min(readChunk, d.options.ReadAhead-d.window.ahead()))
		err := d.store.View(func(tx *keyspace.Tx) (err error) {
			events, err = core.ReadEvents(tx, d.site, d.window.last, limit)
			return err
		})
		if err != nil {
			d.log.Error("reading events", "error", err)
			d.readAt = now.Add(time.Second)
			return
		}
		d.more = len(events) == limit
		for i := range events {
			d.take(&events[i])
		}
	}
}

func (d *dispatcher) hasRoom() bool {
	return d.window.bytes < d.options.ReadAheadBytes && d.window.ahead() < d.options.ReadAhead
}

func (d *dispatcher) take(e *core.Event) {
	if gap := e.Seq - d.window.last - 1; gap > 0 {
		d.log.Warn("events are gone from the stream", "after", d.window.last, "count", gap)
	}
	if !d.consumer.Wants(e) {
		d.window.skip(e.Seq)
		return
	}
	d.window.add(*e)
}

// launch begins attempts at what is due.
func (d *dispatcher) launch(ctx context.Context, now time.Time) {
	for d.underWay < max(d.consumer.Concurrency, 1) && d.breaker.allows(now, d.underWay) {
		l := d.window.take(now)
		if l == nil {
			return
		}
		d.underWay++
		d.attempts.Add(1)
		go func(e *core.Event) {
			defer d.attempts.Done()
			d.results <- result{l, d.attempt(ctx, e)}
		}(&l.queue[0].event)
	}
}

// attempt calls the handler. A handler that panics has failed.
func (d *dispatcher) attempt(ctx context.Context, e *core.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("a handler panicked", "seq", e.Seq, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	return d.consumer.Handler.Handle(ctx, e)
}

// settle decides what becomes of an event after an attempt.
func (d *dispatcher) settle(r result) {
	d.underWay--
	if r.err == nil {
		d.counters.done.Inc()
		d.handled = true
		r.lane.failingSince = time.Time{}
		d.window.finish(r.lane)
		if d.breaker.succeeded() {
			d.log.Info("the consumer works again")
			d.window.hurry()
		}
		return
	}
	d.fail(r, time.Now())
}

// fail plans another attempt, or gives the event up.
func (d *dispatcher) fail(r result, now time.Time) {
	l, it := r.lane, r.lane.queue[0]
	it.attempts++
	if isPermanent(r.err) {
		d.doom(l, r.err.Error())
		return
	}
	d.counters.failed.Inc()
	if l.failingSince.IsZero() {
		l.failingSince = now
	}
	if d.breaker.failed(now, d.options.jitter) {
		d.log.Warn("the consumer keeps failing and is left alone for a while", "seq", it.event.Seq, "error", r.err)
	}
	asked := pauseOf(r.err)
	if asked > 0 {
		d.breaker.rest(now.Add(asked))
	}
	pause, again := d.options.pause(it.attempts)
	if !again || d.tooOld(it, now) {
		d.doom(l, fmt.Sprintf("given up after %d attempts: %s", it.attempts, r.err))
	} else {
		d.window.postpone(l, now.Add(max(pause, asked)), asked > 0)
	}
	d.sweep(now, r.err)
}

// tooOld says whether an event is so old, and its lane or the whole consumer
// has failed for so long, that it is not worth its remaining attempts.
func (d *dispatcher) tooOld(it *item, now time.Time) bool {
	if now.Sub(time.UnixMilli(it.event.At)) < d.options.Horizon {
		return false
	}
	since := it.lane.failingSince
	return !since.IsZero() && now.Sub(since) >= d.options.Grace || d.breaker.failingFor(now) >= d.options.Grace
}

// sweep gives up what waits and is too old, once the whole consumer has been
// failing for long: it must not hold the stream back for ever.
func (d *dispatcher) sweep(now time.Time, cause error) {
	if d.breaker.failingFor(now) < d.options.Grace {
		return
	}
	for _, it := range d.window.order {
		l := it.lane
		if !it.done && l.state != laneBusy && l.queue[0] == it && d.tooOld(it, now) {
			d.window.hold(l)
			d.doom(l, fmt.Sprintf("given up after %d attempts, nothing has arrived for %s: %s",
				it.attempts, d.breaker.failingFor(now).Round(time.Second), cause))
		}
	}
}

// patience is how many attempts an event has even if it holds up all others.
const patience = 3

// unblock gives up an event for which the consumer can read no further, while
// it takes those of other lanes: one visitor must not hold up all.
func (d *dispatcher) unblock() {
	if d.hasRoom() || len(d.window.order) == 0 || d.breaker.pause > 0 {
		return
	}
	it := d.window.order[0]
	l := it.lane
	if l.state != laneLater || it.attempts < patience || !d.window.overtaken() {
		return
	}
	d.window.hold(l)
	d.doom(l, fmt.Sprintf("given up after %d attempts, because it held up all others", it.attempts))
}

// nextEvent gives the time at which there is something to do although nothing
// happens; ok false: there is nothing.
func (d *dispatcher) nextEvent(now time.Time) (at time.Time, ok bool) {
	consider := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if due, any := d.window.nextDue(now); any && d.underWay < max(d.consumer.Concurrency, 1) {
		switch {
		case d.breaker.until.After(due):
			consider(d.breaker.until)
		case d.breaker.pause == 0 || d.underWay == 0:
			consider(due)
		} // else a trial is under way: its result comes first
	}
	if d.more && d.hasRoom() {
		consider(d.readAt)
	}
	if len(d.doomed) > 0 {
		consider(d.buryAt)
	}
	if d.wantsAck() {
		consider(d.ackAt)
	}
	return at, ok
}

package pipeline

import (
	"container/heap"
	"slices"
	"time"

	"github.com/parlorchat/parlor/core"
)

// window is the events that a consumer has read and not done with, in lanes.
// It decides what may be handled next and how far the cursor may move; it
// knows no clock and starts nothing.
type window struct {
	lanes map[string]*lane
	order []*item  // in order of the stream; done ones are dropped from the front
	ready []*lane  // have an event and wait for nothing
	later waitList // wait for their time
	last  int64    // the last event that was read, wanted or not
	bytes int      // of events not done with
}

// item is an event in the window.
type item struct {
	event    core.Event
	size     int
	lane     *lane
	attempts int    // failed so far
	reason   string // why it is given up; "": it is not
	done     bool
}

// lane is events that are handled one after another.
type lane struct {
	key          string
	queue        []*item // the first is next, or being handled
	state        laneState
	due          time.Time // of laneLater
	asked        bool      // the receiver asked for this pause
	place        int       // in the wait list
	failingSince time.Time // first failure since the last success
}

type laneState uint8

const (
	laneReady laneState = iota
	laneBusy            // its first event is being handled or buried
	laneLater           // waits for its time
)

func newWindow(last int64) *window {
	return &window{lanes: map[string]*lane{}, last: last}
}

// skip passes over an event that is not wanted.
func (w *window) skip(seq int64) { w.last = seq }

// add takes an event in.
func (w *window) add(e core.Event) {
	key := LaneOf(&e)
	l := w.lanes[key]
	if l == nil {
		l = &lane{key: key}
		w.lanes[key] = l
	}
	it := &item{event: e, lane: l, size: len(e.Data) + 256}
	w.order = append(w.order, it)
	w.last = e.Seq
	w.bytes += it.size
	l.queue = append(l.queue, it)
	if len(l.queue) == 1 {
		l.state = laneReady
		w.ready = append(w.ready, l)
	}
}

// take gives a lane whose first event may be handled at a time, and holds the
// lane; nil: there is none.
func (w *window) take(now time.Time) *lane {
	for len(w.later) > 0 && !w.later[0].due.After(now) {
		l := heap.Pop(&w.later).(*lane)
		l.state = laneReady
		w.ready = append(w.ready, l)
	}
	if len(w.ready) == 0 {
		return nil
	}
	l := w.ready[0]
	w.ready = w.ready[1:]
	l.state = laneBusy
	return l
}

// nextDue gives the time at which take will give a lane; ok false: never, as
// things are.
func (w *window) nextDue(now time.Time) (t time.Time, ok bool) {
	if len(w.ready) > 0 {
		return now, true
	}
	if len(w.later) > 0 {
		return w.later[0].due, true
	}
	return time.Time{}, false
}

// finish is done with the first event of a lane that is held, and lets the
// lane go on.
func (w *window) finish(l *lane) {
	it := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	it.done = true
	it.event = core.Event{Seq: it.event.Seq}
	w.bytes -= it.size
	for len(w.order) > 0 && w.order[0].done {
		w.order[0] = nil
		w.order = w.order[1:]
	}
	if len(l.queue) == 0 {
		delete(w.lanes, l.key)
		return
	}
	l.state = laneReady
	w.ready = append(w.ready, l)
}

// postpone lets a lane that is held go on at a time. asked: the receiver said
// so, and hurry does not change it.
func (w *window) postpone(l *lane, due time.Time, asked bool) {
	l.state, l.due, l.asked = laneLater, due, asked
	heap.Push(&w.later, l)
}

// hurry makes all lanes ready that wait, except where the receiver asked for
// the pause.
func (w *window) hurry() {
	var keep waitList
	for _, l := range w.later {
		if l.asked {
			keep = append(keep, l)
			continue
		}
		l.state = laneReady
		w.ready = append(w.ready, l)
	}
	w.later = keep
	heap.Init(&w.later)
	for i, l := range w.later {
		l.place = i
	}
}

// hold holds a lane that is ready or waits.
func (w *window) hold(l *lane) {
	switch l.state {
	case laneLater:
		heap.Remove(&w.later, l.place)
	case laneReady:
		for i := range w.ready {
			if w.ready[i] == l {
				w.ready = append(w.ready[:i:i], w.ready[i+1:]...)
				break
			}
		}
	}
	l.state = laneBusy
}

// cursor is the event up to which everything is done with.
func (w *window) cursor() int64 {
	if len(w.order) > 0 {
		return w.order[0].event.Seq - 1
	}
	return w.last
}

// ahead is how many events were read above the cursor.
func (w *window) ahead() int64 { return w.last - w.cursor() }

// overtaken says whether an event above the cursor was handled with success.
func (w *window) overtaken() bool {
	return slices.ContainsFunc(w.order, func(it *item) bool { return it.done && it.reason == "" })
}

// waitList is a heap of lanes by due.
type waitList []*lane

func (h waitList) Len() int           { return len(h) }
func (h waitList) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h waitList) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *waitList) Push(x any) {
	l := x.(*lane)
	l.place = len(*h)
	*h = append(*h, l)
}

func (h *waitList) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return l
}

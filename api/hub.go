package api

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parlorchat/parlor/core"
)

// hub follows the event streams of the sites that somebody listens to, and
// hands each event to the receivers that may see it. See DESIGN.md.
type hub struct {
	node  Node
	log   *slog.Logger
	now   func() time.Time
	queue int // frames a receiver may have waiting

	mu    sync.Mutex
	feeds map[string]*feed

	dirtyMu sync.Mutex
	dirty   map[string]bool // event keys with new entries
	all     bool            // anything may have changed
	ended   bool            // a session has
	wake    chan struct{}
}

// feedIdle is how long a feed is kept after its last receiver left: long-poll
// clients come back within a moment.
const feedIdle = time.Minute

func newHub(node Node, log *slog.Logger, now func() time.Time, queue int) *hub {
	return &hub{
		node: node, log: log, now: now, queue: queue,
		feeds: map[string]*feed{},
		dirty: map[string]bool{},
		wake:  make(chan struct{}, 1),
	}
}

// run follows the node until ctx ends.
func (h *hub) run(ctx context.Context) {
	cancel := h.node.Watch(h.touched)
	defer cancel()
	evict := time.NewTicker(feedIdle / 2)
	defer evict.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-evict.C:
			h.evict()
		case <-h.wake:
			h.follow()
		}
	}
}

// touched is called by the node after each batch and only takes notes.
func (h *hub) touched(keys []string) {
	h.dirtyMu.Lock()
	if keys == nil {
		h.all = true
	}
	for _, key := range keys {
		if isEventsKey(key) {
			h.dirty[key] = true
		}
		h.ended = h.ended || key == core.SessionsEndKey
	}
	some := h.all || h.ended || len(h.dirty) > 0
	h.dirtyMu.Unlock()
	if some {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

// follow brings the feeds up to date whose streams have changed.
func (h *hub) follow() {
	h.dirtyMu.Lock()
	dirty, all, ended := h.dirty, h.all, h.ended
	h.dirty, h.all, h.ended = map[string]bool{}, false, false
	h.dirtyMu.Unlock()

	h.mu.Lock()
	var due, doubtful []*feed
	for _, f := range h.feeds {
		if all || dirty[f.key] {
			due = append(due, f)
		}
		if all || ended {
			doubtful = append(doubtful, f)
		}
	}
	h.mu.Unlock()
	for _, f := range doubtful {
		if err := f.review(func(*receiver) bool { return true }); err != nil {
			h.log.Error("looking at the sessions of those who listen", "site", f.site, "err", err)
		}
	}
	for _, f := range due {
		if err := f.refresh(); err != nil {
			h.log.Error("following events", "site", f.site, "err", err)
		}
	}
}

// feed gives the feed of a site and keeps it alive.
func (h *hub) feed(site string) *feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[site]
	if f == nil {
		f = newFeed(h.node, site)
		h.feeds[site] = f
	}
	f.used = h.now()
	return f
}

// evict forgets feeds that nobody listens to.
func (h *hub) evict() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for site, f := range h.feeds {
		if h.now().Sub(f.used) > feedIdle && f.idle() {
			delete(h.feeds, site)
		}
	}
}

// position is a place in a site's event stream.
type position struct {
	epoch string
	seq   int64
}

// opening is what a receiver begins with.
type opening struct {
	at     position // everything up to here is in frames or not for him
	reset  bool
	frames []*frame
}

// catchUpWait is how long a client with a position that this node has not
// reached waits for the node.
const catchUpWait = 3 * time.Second

// maxGap is how many events a client may be behind.
const maxGap = 2000

// join registers a receiver and gives what he has missed since his last
// position; nil: he begins now. leave must follow.
func (h *hub) join(ctx context.Context, r *receiver, from *position) (opening, error) {
	f := h.feed(r.site)
	r.feed, r.limit = f, h.queue
	if err := f.refresh(); err != nil {
		return opening{}, err
	}
	if from != nil && f.behind(*from) {
		if err := h.catchUp(ctx, f); err != nil {
			return opening{}, err
		}
	}
	at := f.add(r)
	// His session may have ended between the gate and here, unheard.
	if err := f.review(func(other *receiver) bool { return other == r }); err != nil {
		return opening{}, err
	}
	if err := r.dismissed(); err != nil {
		return opening{}, err
	}
	if from == nil {
		return opening{at: at}, nil
	}
	if from.epoch != at.epoch || from.seq > at.seq || at.seq-from.seq > maxGap {
		return opening{at: at, reset: true}, nil
	}
	frames, ok, err := f.between(from.seq, at.seq)
	if err != nil || !ok {
		return opening{at: at, reset: true}, err
	}
	return opening{at: at, frames: r.visible(frames)}, nil
}

// catchUp waits a moment for the rest of the group's log: the client has seen
// events on another node that this one has not applied yet. Where that cannot
// be had, the client is not told to begin anew, but to go elsewhere.
func (h *hub) catchUp(ctx context.Context, f *feed) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	if err := h.node.ReadIndex(ctx); err != nil {
		h.log.Debug("catching up for a client", "site", f.site, "err", err)
		return retryable(codeUnavailable, "this node has not yet seen what you have seen on another one; use that one", time.Second)
	}
	return f.refresh()
}

// leave takes a receiver out.
func (h *hub) leave(r *receiver) {
	if r.feed == nil {
		return
	}
	r.feed.remove(r)
	h.feed(r.site) // the feed stays for a while after its last receiver
}

// whisper hands out a frame that is not of the stream and may be lost.
func (h *hub) whisper(site string, to addressee, body []byte) {
	h.mu.Lock()
	f := h.feeds[site]
	h.mu.Unlock()
	if f != nil {
		f.whisper(to, &frame{body: body})
	}
}

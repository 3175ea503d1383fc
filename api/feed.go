package api

import (
	"sync"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

const (
	// ringSize is how many recent events of a site are held in memory, ready
	// encoded.
	ringSize = 2048
	// readAtOnce is how many events are read in one View.
	readAtOnce = 128
)

// feed is the tail of one site's event stream.
type feed struct {
	node Node
	site string
	key  string // of the stream

	used time.Time // guarded by hub.mu

	// refreshing is held while events are read from the state, so that they
	// are handed out once and in order. It is taken before mu.
	refreshing sync.Mutex

	mu       sync.Mutex
	at       position
	loaded   bool
	ring     [ringSize]*frame // event seq at seq % ringSize
	first    int64            // oldest seq in ring; at.seq+1: none
	visitors map[string]map[*receiver]bool
	agents   map[*receiver]bool
}

func newFeed(node Node, site string) *feed {
	return &feed{
		node: node, site: site, key: core.EventsKey(site),
		visitors: map[string]map[*receiver]bool{},
		agents:   map[*receiver]bool{},
	}
}

// refresh reads what is new in the stream and hands it out.
func (f *feed) refresh() error {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	for {
		f.mu.Lock()
		known, loaded := f.at, f.loaded
		f.mu.Unlock()

		var now position
		var events []core.Event
		err := f.node.View(func(tx *keyspace.Tx) (err error) {
			if now, err = readPosition(tx, f.site); err != nil {
				return err
			}
			if loaded && now.epoch == known.epoch && now.seq > known.seq {
				events, err = readEvents(tx, f.site, known.seq)
			}
			return err
		})
		if err != nil {
			return err
		}
		if !loaded || now.epoch != known.epoch || now.seq < known.seq {
			f.restart(now)
			return nil
		}
		if len(events) == 0 {
			if now.seq > known.seq { // trimmed away before we saw them
				f.restart(now)
			}
			return nil
		}
		if events[0].Seq != known.seq+1 {
			f.restart(now)
			return nil
		}
		if err := f.heed(events); err != nil {
			return err
		}
		f.hand(events)
		if events[len(events)-1].Seq >= now.seq {
			return nil
		}
	}
}

// restart begins anew at a position that does not follow from the last one.
// Whoever listens has to load his state again.
func (f *feed) restart(at position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.loaded
	f.at, f.first, f.loaded = at, at.seq+1, true
	f.ring = [ringSize]*frame{}
	if !was {
		return
	}
	f.each(func(r *receiver) { r.overflow() })
}

// hand puts events into the ring and before the receivers.
func (f *feed) hand(events []core.Event) {
	frames := make([]*frame, len(events))
	for i := range events {
		frames[i] = newFrame(&events[i])
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fr := range frames {
		f.at.seq = fr.event.Seq
		f.ring[f.at.seq%ringSize] = fr
		if f.at.seq-f.first >= ringSize {
			f.first = f.at.seq - ringSize + 1
		}
		f.deliver(fr)
	}
}

// deliver puts one event before those who may see it. mu is held.
func (f *feed) deliver(fr *frame) {
	for r := range f.visitors[fr.event.Visitor] {
		if r.sees(fr) {
			r.push(fr)
		}
	}
	for r := range f.agents {
		if r.sees(fr) {
			r.push(fr)
		}
	}
}

// addressee is whom a whisper is for.
type addressee struct {
	Visitor string `json:"visitor,omitempty"`
	Agent   string `json:"agent,omitempty"`
}

func (f *feed) whisper(to addressee, fr *frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if to.Visitor != "" {
		for r := range f.visitors[to.Visitor] {
			r.offer(fr)
		}
	}
	if to.Agent != "" {
		for r := range f.agents {
			if r.agent == to.Agent {
				r.offer(fr)
			}
		}
	}
}

// behind says whether a position of this epoch is one that the feed has not
// reached.
func (f *feed) behind(p position) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return p.seq > f.at.seq || p.epoch != f.at.epoch
}

// between gives the events in (from, to]; ok false: not all of them are kept.
func (f *feed) between(from, to int64) (frames []*frame, ok bool, err error) {
	if from == to {
		return nil, true, nil
	}
	if frames, ok := f.fromRing(from, to); ok {
		return frames, true, nil
	}
	for next := from; next < to; {
		var events []core.Event
		err := f.node.View(func(tx *keyspace.Tx) (err error) {
			events, err = readEvents(tx, f.site, next)
			return err
		})
		if err != nil {
			return nil, false, err
		}
		if len(events) == 0 || events[0].Seq != next+1 {
			return nil, false, nil
		}
		for i := range events {
			next = events[i].Seq
			if next > to {
				break
			}
			frames = append(frames, newFrame(&events[i]))
		}
	}
	return frames, true, nil
}

func (f *feed) fromRing(from, to int64) ([]*frame, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if from+1 < f.first || to > f.at.seq {
		return nil, false
	}
	frames := make([]*frame, 0, to-from)
	for seq := from + 1; seq <= to; seq++ {
		frames = append(frames, f.ring[seq%ringSize])
	}
	return frames, true
}

// add registers a receiver and gives the position after which he gets frames.
func (f *feed) add(r *receiver) position {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.visitor != "" {
		if f.visitors[r.visitor] == nil {
			f.visitors[r.visitor] = map[*receiver]bool{}
		}
		f.visitors[r.visitor][r] = true
	} else {
		f.agents[r] = true
	}
	return f.at
}

func (f *feed) remove(r *receiver) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.agents, r)
	if set := f.visitors[r.visitor]; set != nil {
		delete(set, r)
		if len(set) == 0 {
			delete(f.visitors, r.visitor)
		}
	}
}

func (f *feed) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.visitors) == 0 && len(f.agents) == 0
}

// each calls fn for all receivers. mu is held.
func (f *feed) each(fn func(r *receiver)) {
	for _, set := range f.visitors {
		for r := range set {
			fn(r)
		}
	}
	for r := range f.agents {
		fn(r)
	}
}

// receiver is one client that listens: a socket, or a long-poll while it
// waits. Either visitor or agent is set. The fields below feed are guarded by
// feed.mu.
type receiver struct {
	site    string
	visitor string
	agent   string
	admin   bool
	session string        // SHA-256 of the agent's token, in hex
	notify  chan struct{} // capacity 1: there is something to take

	feed    *feed
	limit   int
	pending []*frame
	over    bool // he was too slow, the stream began anew, or his role changed
	gone    bool // he may not listen any more
}

func newVisitorReceiver(site, visitor string) *receiver {
	return &receiver{site: site, visitor: visitor, notify: make(chan struct{}, 1)}
}

func newAgentReceiver(site, agent string, admin bool, session string) *receiver {
	return &receiver{site: site, agent: agent, admin: admin, session: session, notify: make(chan struct{}, 1)}
}

// push adds a frame. feed.mu is held.
func (r *receiver) push(fr *frame) {
	if r.over || r.gone {
		return
	}
	if len(r.pending) >= r.limit {
		r.overflow()
		return
	}
	r.pending = append(r.pending, fr)
	r.ring()
}

// offer adds a frame that may be lost. feed.mu is held.
func (r *receiver) offer(fr *frame) {
	if len(r.pending) < r.limit {
		r.push(fr)
	}
}

// overflow gives up on a receiver. feed.mu is held.
func (r *receiver) overflow() {
	r.over, r.pending = true, nil
	r.ring()
}

func (r *receiver) ring() {
	select {
	case r.notify <- struct{}{}:
	default:
	}
}

// take gives the frames that wait, and the position that the receiver has
// with them; ok false: he has to begin anew.
func (r *receiver) take() (frames []*frame, at position, ok bool) {
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	frames, r.pending = r.pending, nil
	return frames, r.feed.at, !r.over
}

// visible gives those of the frames that the receiver may see.
func (r *receiver) visible(frames []*frame) []*frame {
	var out []*frame
	for _, fr := range frames {
		if r.sees(fr) {
			out = append(out, fr)
		}
	}
	return out
}

// sees says whether the receiver may see an event (docs/events.md).
func (r *receiver) sees(fr *frame) bool {
	if r.visitor != "" {
		return fr.event.ForVisitor(r.visitor)
	}
	return fr.event.ForAgent(r.agent, r.admin)
}

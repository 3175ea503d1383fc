package resp

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis"
)

// invalidateChannel is where clients of RESP2 hear of keys that changed.
const invalidateChannel = "__redis__:invalidate"

const (
	// trackedBytes is how many bytes of keys the table holds at most.
	trackedBytes = 256 << 20
	// trackedItems is how many pairs of key and connection it holds at most.
	trackedItems = 16 << 20
	// heldKeys is how many keys may wait for a connection that is being
	// served. One that misses more is told to forget everything.
	heldKeys = 100_000
	// settleLimit is how long an answer waits at most for others to be told.
	settleLimit = 100 * time.Millisecond
)

// tracking knows which connections are to be told when keys change: those
// that have read a key, and those that follow prefixes (BCAST).
//
// No client may keep a value that is not true any more. So a key is remembered
// before it is read, with the index that readers see at that moment: a change
// by a later entry is told, and one by an earlier entry is in what was read.
// And what is told while a connection is being served is held until its
// replies are on their way, because one of them may carry the older value.
type tracking struct {
	server *Server

	mu       sync.Mutex
	trackers map[*tracker]struct{}
	keys     map[string]map[*tracker]readAt
	prefixes map[string]map[*tracker]struct{}
	items    int // pairs in keys
	bytes    int // of the names in keys
	reached  uint64
	advance  chan struct{} // closed when reached moves on; nil: nobody waits
	unfollow func()

	some atomic.Bool // there are trackers
}

// readAt are the indexes of the log that were visible when a connection read a
// key, since it was told of it last: for the first time and for the last.
type readAt struct{ first, last uint64 }

// trackMode is what CLIENT TRACKING asked for.
type trackMode struct {
	bcast, optIn, optOut, noLoop bool
	redirect                     int64 // connection that is told; 0: this one
}

// tracker is a connection that tracks keys. The goroutine of the connection
// changes it under tracking.mu, and so does no other.
type tracker struct {
	session  *session
	mode     trackMode
	prefixes []string // in order
	caching  bool     // CLIENT CACHING was said of the next command; not guarded

	// The rest is guarded by tracking.mu for all.
	reads   map[string]struct{} // keys that it is remembered at
	gone    bool
	broken  bool // the connection that was to be told has ended
	held    bool
	waiting []invalidation
	waits   int               // keys in waiting
	own     map[uint64]uint64 // requests of this connection that may still be told, and their entries
}

// invalidation is one message: keys, or everything.
type invalidation struct {
	keys       []string
	requests   []uint64 // that changed the keys, of this node; only for NOLOOP
	everything bool
}

func newTracking(s *Server) *tracking {
	return &tracking{server: s, trackers: map[*tracker]struct{}{}, keys: map[string]map[*tracker]readAt{},
		prefixes: map[string]map[*tracker]struct{}{}}
}

// begin adds a connection that is being served, or changes its mode and adds
// prefixes. From then on what it reads is remembered.
func (t *tracking) begin(x *tracker, mode trackMode, prefixes []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trackers[x] = struct{}{}
	t.some.Store(true)
	x.mode, x.broken, x.held = mode, false, true
	all := map[string]struct{}{}
	for _, p := range append(x.prefixes, prefixes...) {
		all[p] = struct{}{}
		if t.prefixes[p] == nil {
			t.prefixes[p] = map[*tracker]struct{}{}
		}
		t.prefixes[p][x] = struct{}{}
	}
	x.prefixes = sortedKeys(all)
	if t.unfollow == nil {
		t.reached = t.server.store.Visible() // what was before need not be told
		t.unfollow = t.server.store.Effects(t.changed)
	}
}

// end forgets a connection.
func (t *tracking) end(x *tracker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.gone {
		return
	}
	t.release(x)
	x.gone = true
	delete(t.trackers, x)
	t.advanced()
	for _, p := range x.prefixes {
		delete(t.prefixes[p], x)
		if len(t.prefixes[p]) == 0 {
			delete(t.prefixes, p)
		}
	}
	if len(t.trackers) == 0 {
		t.unfollow()
		t.unfollow = nil
		t.forgetKeys()
		return
	}
	for key := range x.reads {
		t.forget(key, t.keys[key], x)
	}
}

func (t *tracking) forgetKeys() {
	for x := range t.trackers {
		clear(x.reads)
	}
	t.keys, t.items, t.bytes = map[string]map[*tracker]readAt{}, 0, 0
}

// forget takes one connection off a key.
func (t *tracking) forget(key string, who map[*tracker]readAt, x *tracker) {
	delete(who, x)
	delete(x.reads, key)
	t.items--
	if len(who) == 0 {
		delete(t.keys, key)
		t.bytes -= len(key)
	}
}

// remember notes that a connection is about to read keys, while an index is
// visible.
func (t *tracking) remember(x *tracker, keys [][]byte, visible uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		who := t.keys[string(key)]
		if at, ok := who[x]; ok {
			who[x] = readAt{min(at.first, visible), max(at.last, visible)}
			continue
		}
		name := string(key)
		if who == nil {
			who = map[*tracker]readAt{}
			t.keys[name] = who
			t.bytes += len(name)
		}
		who[x] = readAt{visible, visible}
		x.reads[name] = struct{}{}
		t.items++
	}
	t.evict()
}

// evict gives keys up while there are too many. Their readers must forget them.
func (t *tracking) evict() {
	most := t.server.live.trackedKeys.Load()
	for key, who := range t.keys {
		if (most == 0 || int64(len(t.keys)) <= most) && t.bytes <= trackedBytes && t.items <= trackedItems {
			return
		}
		for x := range who {
			t.tell(x, invalidation{keys: []string{key}, requests: []uint64{0}})
			t.forget(key, who, x)
		}
	}
}

// trim is evict for one who has changed the limit.
func (t *tracking) trim() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.evict()
}

// changed hears what an entry of the log did.
func (t *tracking) changed(index uint64, effects []command.Effect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reached = index
	t.advanced()
	if effects == nil {
		t.tellEverything()
		return
	}
	broadcast := map[string]*invalidation{}
	for i := range effects {
		e := &effects[i]
		for k := range e.Changes {
			c := &e.Changes[k]
			switch {
			case c.What == keyspace.Replaced:
				t.tellEverything()
				clear(broadcast)
			case c.What == keyspace.ConsumerMade:
			case c.What == keyspace.Expired: // nobody's doing
				t.invalidate(index, c.Key, 0)
				t.collect(broadcast, c.Key, 0)
			default:
				t.invalidate(index, c.Key, e.Request)
				t.collect(broadcast, c.Key, e.Request)
			}
		}
	}
	for _, prefix := range sortedKeys(broadcast) {
		for x := range t.prefixes[prefix] {
			t.tell(x, *broadcast[prefix])
		}
	}
}

// invalidate tells those who have read a key before an entry changed it. Who
// has read it again since then is told nevertheless, as it is not known which
// of the values it keeps, and goes on being told.
func (t *tracking) invalidate(index uint64, key string, request uint64) {
	who := t.keys[key]
	for x, read := range who {
		if read.first >= index {
			continue
		}
		t.tell(x, invalidation{keys: []string{key}, requests: []uint64{request}})
		if read.last >= index {
			who[x] = readAt{read.last, read.last}
		} else {
			t.forget(key, who, x)
		}
	}
}

// collect puts a key into the messages of the prefixes that it has: one
// message a prefix and entry, each key once.
func (t *tracking) collect(broadcast map[string]*invalidation, key string, request uint64) {
	if len(t.prefixes) == 0 || !redis.Listed([]byte(key)) {
		return
	}
	for prefix := range t.prefixes {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		msg := broadcast[prefix]
		if msg == nil {
			msg = &invalidation{}
			broadcast[prefix] = msg
		}
		if n := len(msg.keys); n > 0 && msg.keys[n-1] == key && msg.requests[n-1] == request {
			continue
		}
		msg.keys, msg.requests = append(msg.keys, key), append(msg.requests, request)
	}
}

// tellEverything tells all that anything may have changed.
func (t *tracking) tellEverything() {
	t.forgetKeys()
	for x := range t.trackers {
		t.tell(x, invalidation{everything: true})
	}
}

// tell sends a message, or keeps it while the connection is being served.
func (t *tracking) tell(x *tracker, msg invalidation) {
	if x.gone {
		return
	}
	if !x.held {
		t.send(x, msg)
		return
	}
	x.waiting = append(x.waiting, msg)
	if x.waits += len(msg.keys); msg.everything || x.waits > heldKeys {
		x.waiting, x.waits = []invalidation{{everything: true}}, 0
	}
}

// hold keeps what is to be told until release.
func (t *tracking) hold(x *tracker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x.held = true
}

// letGo sends what was held.
func (t *tracking) letGo(x *tracker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release(x)
}

func (t *tracking) release(x *tracker) {
	x.held = false
	waiting := x.waiting
	x.waiting, x.waits = nil, 0
	for i := range waiting {
		t.send(x, waiting[i])
	}
	for request, index := range x.own {
		if index <= t.reached {
			delete(x.own, request)
		}
	}
}

// wrote notes a request of a connection that is being served, if it does not
// want to hear of its own.
func (t *tracking) wrote(x *tracker, res *command.Result) {
	if !x.mode.noLoop || res.Err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	x.own[res.Request] = res.Index
}

// withoutOwn leaves out the keys that the connection itself has changed.
func (x *tracker) withoutOwn(msg invalidation) invalidation {
	if !x.mode.noLoop || len(x.own) == 0 || msg.everything {
		return msg
	}
	var rest invalidation
	for i, key := range msg.keys {
		if _, own := x.own[msg.requests[i]]; !own {
			rest.keys = append(rest.keys, key)
		}
	}
	return rest
}

// tellBefore sends what is held, as far as the connection is told itself after
// the replies in out. It is right when no reply is to follow whose value is known
// already. So who has changed a key that it caches hears of that with the answer
// and not a moment later, when it may have read its cache.
func (t *tracking) tellBefore(x *tracker, out []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	waiting := x.waiting
	x.waiting, x.waits = nil, 0
	for i := range waiting {
		if to, frame := t.addressed(x, waiting[i]); to == x.session {
			out = append(out, frame...)
		} else {
			t.push(to, frame)
		}
	}
	return out
}

// send puts a message before the connection that is to hear it.
func (t *tracking) send(x *tracker, msg invalidation) { t.push(t.addressed(x, msg)) }

// push never waits: who does not read is dropped.
func (t *tracking) push(to *session, frame []byte) {
	if len(frame) > 0 {
		_ = to.guard.out.push(frame, t.server.live.hardLimit(classPubsub))
	}
}

// addressed gives the connection that is to hear a message, and what it is
// sent: nothing if it changed the keys itself and does not want to hear of that,
// or does not listen.
func (t *tracking) addressed(x *tracker, msg invalidation) (to *session, frame []byte) {
	to, msg = x.session, x.withoutOwn(msg)
	if !msg.everything && len(msg.keys) == 0 {
		return to, nil
	}
	if x.mode.redirect != 0 {
		if other := t.server.session(x.mode.redirect); other != nil && !other.guard.ending.Load() {
			to = other
		} else {
			x.broken = true
			return to, to.pushOf(resp3, command.BulkString("tracking-redir-broken"), command.Int(x.mode.redirect))
		}
	}
	keys := msg.keyList()
	if to.proto.Load() != resp3 && x.mode.redirect != 0 && to.subscriptions() > 0 {
		return to, to.pushOf(resp2, command.BulkString("message"), command.BulkString(invalidateChannel), keys)
	}
	return to, to.pushOf(resp3, command.BulkString("invalidate"), keys)
}

// keyList is each key once, or null.
func (m *invalidation) keyList() command.Reply {
	if m.everything {
		return command.Null()
	}
	list, seen := command.Array(), map[string]bool{}
	for _, key := range m.keys {
		if !seen[key] {
			seen[key] = true
			list.Elems = append(list.Elems, command.BulkString(key))
		}
	}
	return list
}

// pushOf gives a frame for a connection that speaks the protocol.
func (s *session) pushOf(proto int, frame ...command.Reply) []byte {
	if int(s.proto.Load()) != proto {
		return nil
	}
	return appendPush(nil, frame, proto)
}

// isBroken says whether the connection that was to be told has ended.
func (t *tracking) isBroken(x *tracker) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return x.broken
}

// settle waits until what happened up to an index of the log is told, or waits
// for connections that are being served. So a program whose write was answered
// knows that its own caches at this node are true, as with Redis.
func (t *tracking) settle(index uint64) {
	if !t.some.Load() {
		return
	}
	patience := time.NewTimer(settleLimit)
	defer patience.Stop()
	for {
		t.mu.Lock()
		if len(t.trackers) == 0 || t.reached >= index {
			t.mu.Unlock()
			return
		}
		if t.advance == nil {
			t.advance = make(chan struct{})
		}
		advance := t.advance
		t.mu.Unlock()
		select {
		case <-advance:
		case <-patience.C:
			return
		case <-t.server.stop:
			return
		}
	}
}

// advanced wakes who waits in settle; the caller holds mu.
func (t *tracking) advanced() {
	t.some.Store(len(t.trackers) > 0)
	if t.advance != nil {
		close(t.advance)
		t.advance = nil
	}
}

// figures are those of INFO.
func (t *tracking) figures() (clients, keys, items, prefixes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.trackers), len(t.keys), t.items, len(t.prefixes)
}

package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Broadcasts are words between members that may be lost, such as that
// somebody is typing, or a message that is published. They are not in the log,
// cost no disk, and wait for nobody: a member that is slow or gone misses
// them. What does arrive from a member arrives once and in its order.

const (
	// BroadcastLimit is the longest payload, in bytes.
	BroadcastLimit = 512 << 10
	// broadcastBatch is how many bytes of payload travel together at most,
	// unless a single one has more. It stays well below callLimit.
	broadcastBatch = 256 << 10
	// broadcastQueue is how many bytes may wait for one member.
	broadcastQueue = 16 << 20
	// broadcastCost is what a payload costs the queue besides its bytes.
	broadcastCost = 64
	// broadcastPatience is how long a batch may take.
	broadcastPatience = 5 * time.Second
)

// note is one broadcast on its way. The payload is shared by all members'
// queues.
type note struct {
	topic   string
	payload []byte
}

// outgoing is the queue to one member. One batch is on its way at a time, so
// the order is kept.
type outgoing struct {
	notes   []note
	size    int
	sending bool
}

// incoming is what was heard of one member.
type incoming struct {
	mu     sync.Mutex // held while handlers run
	stream uint64
	last   uint64 // number of the last batch
}

// broadcasts holds who listens here, and what is on its way.
type broadcasts struct {
	stream   uint64 // tells this start of the member from earlier ones
	audience atomic.Pointer[audience]

	mu       sync.Mutex
	next     int
	handlers map[string]map[int]func(payloads [][]byte)
	to       map[string]*outgoing // by node id
	from     map[string]*incoming
	sent     uint64 // batches
}

func newBroadcasts() *broadcasts {
	return &broadcasts{
		stream:   rand.Uint64(),
		handlers: map[string]map[int]func([][]byte){},
		to:       map[string]*outgoing{},
		from:     map[string]*incoming{},
	}
}

// Broadcast hands a payload of at most BroadcastLimit bytes, which must not be
// modified afterwards, to all other members and returns at once. It may be
// lost on the way; it comes at most once, and after what was broadcast before.
func (n *Node) Broadcast(topic string, payload []byte) {
	if len(payload) > BroadcastLimit || n.ctx.Err() != nil {
		return
	}
	for _, id := range n.others() {
		switch start, lost := n.broadcasts.queue(id, note{topic, payload}); {
		case lost:
			n.log.Debug("a broadcast was lost: too many wait", "to", id, "topic", topic)
		case start:
			go n.sendBroadcasts(id)
		}
	}
}

// audience is who broadcasts went to, after so many changes of the membership.
type audience struct {
	changes uint64
	at      time.Time
	ids     []string
}

// audienceAge is after how long the members are looked up again although no
// change was seen: a snapshot may have brought one.
const audienceAge = time.Second

// others are the other members, as far as this one knows.
func (n *Node) others() []string {
	changes := n.solitude.changes.Load()
	if a := n.broadcasts.audience.Load(); a != nil && a.changes == changes && time.Since(a.at) < audienceAge {
		return a.ids
	}
	a := &audience{changes: changes, at: time.Now()}
	for id := range n.addresses() {
		if id != n.id.NodeID {
			a.ids = append(a.ids, id)
		}
	}
	n.broadcasts.audience.Store(a)
	return a.ids
}

// queue puts a broadcast on the way to a member. start: nobody is sending to
// it yet.
func (b *broadcasts) queue(id string, x note) (start, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.to[id]
	if o == nil {
		o = &outgoing{}
		b.to[id] = o
	}
	cost := len(x.topic) + len(x.payload) + broadcastCost
	if o.size+cost > broadcastQueue {
		return false, true
	}
	o.notes = append(o.notes, x)
	o.size += cost
	start = !o.sending
	o.sending = true
	return start, false
}

// sendBroadcasts empties the queue to a member. If it cannot be reached, it
// misses what waits: the words are stale when it comes back.
func (n *Node) sendBroadcasts(id string) {
	for {
		body := n.broadcasts.batch(id)
		if body == nil {
			return
		}
		if err := n.sendBroadcast(id, body); err != nil {
			lost := n.broadcasts.discard(id)
			n.log.Debug("broadcasts were lost", "to", id, "queued", lost, "err", err)
		}
	}
}

func (n *Node) sendBroadcast(id string, body []byte) error {
	ctx, cancel := context.WithTimeout(n.ctx, broadcastPatience)
	defer cancel()
	addr := n.calls.book.find(id)
	if addr == "" {
		return fail(CodeUnreachable, "the address of member "+id+" is not known")
	}
	conn, err := n.calls.connect(ctx, id, addr)
	if err != nil {
		return err
	}
	_, err = conn.ask(ctx, callBroadcast, body)
	return err
}

// batch takes the next broadcasts to a member; nil: there are none. It is
// encoded as stream and number (u64, big-endian), then for each: topic and
// payload, each with its length (uvarint) before it.
func (b *broadcasts) batch(id string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.to[id]
	if len(o.notes) == 0 {
		delete(b.to, id)
		return nil
	}
	b.sent++
	body := binary.BigEndian.AppendUint64(nil, b.stream)
	body = binary.BigEndian.AppendUint64(body, b.sent)
	taken := 0
	for _, x := range o.notes {
		if taken > 0 && len(body)+len(x.payload) > broadcastBatch {
			break
		}
		for _, part := range [][]byte{[]byte(x.topic), x.payload} {
			body = binary.AppendUvarint(body, uint64(len(part)))
			body = append(body, part...)
		}
		o.size -= len(x.topic) + len(x.payload) + broadcastCost
		taken++
	}
	clear(o.notes[:taken])
	o.notes = o.notes[taken:]
	return body
}

// discard forgets what waits for a member.
func (b *broadcasts) discard(id string) (lost int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.to[id]
	lost = len(o.notes)
	o.notes, o.size = nil, 0
	return lost
}

// OnBroadcast calls fn with the payloads of other members, those together that
// came at once. fn must not block; it may keep them.
func (n *Node) OnBroadcast(topic string, fn func(payloads [][]byte)) (cancel func()) {
	b := n.broadcasts
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	id := b.next
	if b.handlers[topic] == nil {
		b.handlers[topic] = map[int]func([][]byte){}
	}
	b.handlers[topic][id] = fn
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.handlers[topic], id)
	}
}

// answerBroadcast hears a batch of a member. One that was overtaken by a later
// one, because its sender gave it up, is not heard.
func (n *Node) answerBroadcast(_ context.Context, peer string, body []byte) (any, error) {
	if len(body) < 16 {
		return nil, fail(CodeInvalid, "a broadcast is cut off")
	}
	stream, number := binary.BigEndian.Uint64(body), binary.BigEndian.Uint64(body[8:])
	in := n.broadcasts.incoming(peer)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stream == stream && number <= in.last {
		return struct{}{}, nil
	}
	in.stream, in.last = stream, number
	var topic []byte
	var payloads [][]byte
	hear := func() {
		for _, fn := range n.broadcasts.listeners(string(topic)) {
			fn(payloads)
		}
	}
	for rest := body[16:]; len(rest) > 0; {
		name, left, whole := cutPart(rest)
		payload, left, wholeToo := cutPart(left)
		if !whole || !wholeToo {
			return nil, fail(CodeInvalid, "a broadcast is cut off")
		}
		if !bytes.Equal(name, topic) {
			hear()
			topic, payloads = name, nil
		}
		payloads, rest = append(payloads, payload), left
	}
	hear()
	return struct{}{}, nil
}

// cutPart takes a text with its length before it.
func cutPart(b []byte) (part, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(size)
	return b[n:end:end], b[end:], true
}

func (b *broadcasts) incoming(peer string) *incoming {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := b.from[peer]
	if in == nil {
		in = &incoming{}
		b.from[peer] = in
	}
	return in
}

func (b *broadcasts) listeners(topic string) []func([][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fns := make([]func([][]byte), 0, len(b.handlers[topic]))
	for _, fn := range b.handlers[topic] {
		fns = append(fns, fn)
	}
	return fns
}

package node

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// Broadcasts are words between members that may be lost, such as that
// somebody is typing. They are not in the log, cost no disk, and wait for
// nobody: a member that is slow or gone misses them.

const (
	// broadcastLimit is the longest payload, in bytes.
	broadcastLimit = 64 << 10
	// broadcastsAtOnce is how many may be on their way to one member.
	broadcastsAtOnce = 32
	// broadcastPatience is how long one may take.
	broadcastPatience = 2 * time.Second
)

// broadcast is the call that carries one.
type broadcast struct {
	Topic   string `json:"topic"`
	Payload []byte `json:"payload"`
}

// broadcasts holds who listens here and what is on its way to others.
type broadcasts struct {
	mu       sync.Mutex
	next     int
	handlers map[string]map[int]func(payload []byte)
	underway map[string]int // by node id
}

func newBroadcasts() *broadcasts {
	return &broadcasts{handlers: map[string]map[int]func([]byte){}, underway: map[string]int{}}
}

// Broadcast hands a payload of at most 64 KiB to all other members and returns
// at once. It may be lost on the way; it comes at most once.
func (n *Node) Broadcast(topic string, payload []byte) {
	if len(payload) > broadcastLimit || n.ctx.Err() != nil {
		return
	}
	note := broadcast{Topic: topic, Payload: payload}
	for id := range n.addresses() {
		if id == n.id.NodeID || !n.broadcasts.enter(id) {
			continue
		}
		go func() {
			defer n.broadcasts.leave(id)
			ctx, cancel := context.WithTimeout(n.ctx, broadcastPatience)
			defer cancel()
			if err := n.calls.call(ctx, id, callBroadcast, note, &struct{}{}); err != nil {
				n.log.Debug("a broadcast was lost", "to", id, "topic", topic, "err", err)
			}
		}()
	}
}

// OnBroadcast calls fn with the payloads of other members. fn must not block;
// it may keep the payload.
func (n *Node) OnBroadcast(topic string, fn func(payload []byte)) (cancel func()) {
	b := n.broadcasts
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	id := b.next
	if b.handlers[topic] == nil {
		b.handlers[topic] = map[int]func([]byte){}
	}
	b.handlers[topic][id] = fn
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.handlers[topic], id)
	}
}

// enter takes a place on the way to a member, if there is one.
func (b *broadcasts) enter(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.underway[id] >= broadcastsAtOnce {
		return false
	}
	b.underway[id]++
	return true
}

func (b *broadcasts) leave(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.underway[id]--; b.underway[id] == 0 {
		delete(b.underway, id)
	}
}

func (n *Node) answerBroadcast(_ context.Context, _ string, body []byte) (any, error) {
	var note broadcast
	if err := json.Unmarshal(body, &note); err != nil {
		return nil, fail(CodeInvalid, "a broadcast that cannot be read: "+err.Error())
	}
	b := n.broadcasts
	b.mu.Lock()
	fns := make([]func([]byte), 0, len(b.handlers[note.Topic]))
	for _, fn := range b.handlers[note.Topic] {
		fns = append(fns, fn)
	}
	b.mu.Unlock()
	for _, fn := range fns {
		fn(note.Payload)
	}
	return struct{}{}, nil
}

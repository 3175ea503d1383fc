package resp

import (
	"slices"
	"sync"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// hub wakes the connections that wait for entries or elements at keys.
// Readers, who take nothing away from each other, are all woken; of those who
// remove elements only the first in the queue is.
type hub struct {
	mu     sync.Mutex
	byKey  map[string]map[*waiter]struct{}
	queues map[queueName][]*waiter // in the order in which they came
}

// queueName: who waits for a list does not stand in the way of who waits for
// a sorted set under the same name.
type queueName struct {
	db  uint8
	key string
	typ keyspace.Type
}

// waiter is a connection that waits. woken holds at most one token: several
// changes wake it once.
type waiter struct {
	keys  []string
	db    uint8
	typ   keyspace.Type // of what it removes; None: it reads
	woken chan struct{}
}

func (w *waiter) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

func newHub() *hub {
	return &hub{byKey: map[string]map[*waiter]struct{}{}, queues: map[queueName][]*waiter{}}
}

// register must come before the look at the keys that the wait follows, so
// that no change falls between the two.
func (h *hub) register(keys [][]byte) *waiter {
	w := newWaiter(keys, keyspace.None)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range w.keys {
		if h.byKey[key] == nil {
			h.byKey[key] = map[*waiter]struct{}{}
		}
		h.byKey[key][w] = struct{}{}
	}
	return w
}

// queue is register for one who removes elements of values of a type.
func (h *hub) queue(db uint8, keys [][]byte, typ keyspace.Type) *waiter {
	w := newWaiter(keys, typ)
	w.db = db
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range w.keys {
		name := queueName{db, key, typ}
		h.queues[name] = append(h.queues[name], w)
	}
	return w
}

// newWaiter takes each key once.
func newWaiter(keys [][]byte, typ keyspace.Type) *waiter {
	w := &waiter{typ: typ, woken: make(chan struct{}, 1)}
	seen := make(map[string]bool, len(keys))
	for _, k := range keys {
		if key := string(k); !seen[key] {
			seen[key] = true
			w.keys = append(w.keys, key)
		}
	}
	return w
}

// remove forgets a waiter, and lets those look who come first now.
func (h *hub) remove(w *waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range w.keys {
		if w.typ != keyspace.None {
			h.leave(w, queueName{w.db, key, w.typ})
			continue
		}
		delete(h.byKey[key], w)
		if len(h.byKey[key]) == 0 {
			delete(h.byKey, key)
		}
	}
}

func (h *hub) leave(w *waiter, name queueName) {
	q := h.queues[name]
	for i := range q {
		if q[i] != w {
			continue
		}
		q = slices.Delete(q, i, i+1)
		if len(q) == 0 {
			delete(h.queues, name)
			return
		}
		h.queues[name] = q
		if i == 0 {
			q[0].wake()
		}
		return
	}
}

// leads says whether it is the waiter's turn at a key.
func (h *hub) leads(w *waiter, key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	q := h.queues[queueName{w.db, key, w.typ}]
	return len(q) > 0 && q[0] == w
}

// isFirst says whether nobody waits before w for any of its keys.
func (h *hub) isFirst(w *waiter) bool {
	for _, key := range w.keys {
		if !h.leads(w, key) {
			return false
		}
	}
	return true
}

// touched wakes those who wait for the keys; all if keys is nil or stands for
// everything.
func (h *hub) touched(keys []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.byKey) == 0 && len(h.queues) == 0 {
		return
	}
	if keys == nil || slices.Contains(keys, keyspace.Everything) {
		for _, waiters := range h.byKey {
			wakeAll(waiters)
		}
		for _, q := range h.queues {
			q[0].wake()
		}
		return
	}
	for _, key := range keys {
		wakeAll(h.byKey[key])
		h.wakeFirst(key)
	}
}

// wakeFirst wakes who is first in the queues for a key, in every database:
// what was touched is told without.
func (h *hub) wakeFirst(key string) {
	if len(h.queues) == 0 {
		return
	}
	for db := range uint8(keyspace.Databases) {
		for _, typ := range []keyspace.Type{keyspace.List, keyspace.ZSet} {
			if q := h.queues[queueName{db, key, typ}]; len(q) > 0 {
				q[0].wake()
			}
		}
	}
}

func wakeAll(waiters map[*waiter]struct{}) {
	for w := range waiters {
		w.wake()
	}
}

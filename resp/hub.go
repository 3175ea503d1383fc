package resp

import "sync"

// hub wakes the connections that wait for entries at keys.
type hub struct {
	mu    sync.Mutex
	byKey map[string]map[*waiter]struct{}
}

// waiter is a connection that waits. woken holds at most one token: several
// changes wake it once.
type waiter struct {
	keys  []string
	woken chan struct{}
}

func newHub() *hub { return &hub{byKey: map[string]map[*waiter]struct{}{}} }

// register must come before the look at the keys that the wait follows, so
// that no change falls between the two.
func (h *hub) register(keys [][]byte) *waiter {
	w := &waiter{woken: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range keys {
		key := string(k)
		w.keys = append(w.keys, key)
		if h.byKey[key] == nil {
			h.byKey[key] = map[*waiter]struct{}{}
		}
		h.byKey[key][w] = struct{}{}
	}
	return w
}

func (h *hub) remove(w *waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range w.keys {
		delete(h.byKey[key], w)
		if len(h.byKey[key]) == 0 {
			delete(h.byKey, key)
		}
	}
}

// touched wakes those who wait for the keys; all if keys is nil.
func (h *hub) touched(keys []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.byKey) == 0 {
		return
	}
	if keys == nil {
		for _, waiters := range h.byKey {
			wake(waiters)
		}
		return
	}
	for _, key := range keys {
		wake(h.byKey[key])
	}
}

func wake(waiters map[*waiter]struct{}) {
	for w := range waiters {
		select {
		case w.woken <- struct{}{}:
		default:
		}
	}
}

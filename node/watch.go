package node

import "sync"

// watchers tell those who wait for changes which keys got entries. The apply
// goroutine only adds to lists; each watcher has a goroutine of its own, and
// one that lags gets several batches at once.
type watchers struct {
	mu     sync.Mutex
	all    map[*watcher]struct{}
	closed bool
	wg     sync.WaitGroup
}

// A watcher that is behind by more keys than this is told that anything may
// have changed.
const watchBacklog = 10_000

type watcher struct {
	fn   func(touched []string)
	wake chan struct{} // capacity 1
	stop chan struct{}

	mu       sync.Mutex
	touched  []string
	known    map[string]struct{} // the keys in touched
	anything bool                // more than touched can tell
}

func newWatchers() *watchers { return &watchers{all: map[*watcher]struct{}{}} }

// watch registers fn until the returned function is called, which does not
// wait for a call of fn that is under way.
func (ws *watchers) watch(fn func(touched []string)) (cancel func()) {
	w := &watcher{fn: fn, wake: make(chan struct{}, 1), stop: make(chan struct{}), known: map[string]struct{}{}}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return func() {}
	}
	ws.all[w] = struct{}{}
	ws.wg.Add(1)
	go func() {
		defer ws.wg.Done()
		w.run()
	}()
	return func() { ws.drop(w) }
}

func (ws *watchers) drop(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, ok := ws.all[w]; ok {
		delete(ws.all, w)
		close(w.stop)
	}
}

// close ends all watchers and waits for them.
func (ws *watchers) close() {
	ws.mu.Lock()
	ws.closed = true
	for w := range ws.all {
		delete(ws.all, w)
		close(w.stop)
	}
	ws.mu.Unlock()
	ws.wg.Wait()
}

// tell adds what a batch touched; nil: anything may have changed. It is called
// on the apply goroutine and never blocks for long.
func (ws *watchers) tell(touched []string) {
	if touched != nil && len(touched) == 0 {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.add(touched)
	}
}

func (w *watcher) add(touched []string) {
	w.mu.Lock()
	if touched == nil || len(w.touched)+len(touched) > watchBacklog {
		w.anything, w.touched = true, nil
		clear(w.known)
	}
	if !w.anything {
		for _, key := range touched {
			if _, ok := w.known[key]; !ok {
				w.known[key] = struct{}{}
				w.touched = append(w.touched, key)
			}
		}
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) run() {
	for {
		select {
		case <-w.wake:
		case <-w.stop:
			return
		}
		w.mu.Lock()
		touched, anything := w.touched, w.anything
		w.touched, w.anything = nil, false
		clear(w.known)
		w.mu.Unlock()
		if anything {
			w.fn(nil)
		} else if len(touched) > 0 {
			w.fn(touched)
		}
	}
}

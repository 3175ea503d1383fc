package node

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
)

// applied follows how far this member's state machine has come, for those who
// wait for an index.
type applied struct {
	index   atomic.Uint64
	mu      sync.Mutex
	waiters waiterHeap
}

type appliedWaiter struct {
	index uint64
	done  chan struct{}
	at    int // in the heap, -1 when out of it
}

// reach is called on the apply goroutine, when readers can see the index.
func (a *applied) reach(index uint64) {
	a.index.Store(index)
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.waiters) > 0 && a.waiters[0].index <= index {
		w := heap.Pop(&a.waiters).(*appliedWaiter)
		close(w.done)
	}
}

// wait returns when index is reached or ctx ends.
func (a *applied) wait(ctx context.Context, index uint64) error {
	if a.index.Load() >= index {
		return nil
	}
	w := &appliedWaiter{index: index, done: make(chan struct{})}
	a.mu.Lock()
	if a.index.Load() >= index { // reached meanwhile: nobody would wake us
		a.mu.Unlock()
		return nil
	}
	heap.Push(&a.waiters, w)
	a.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if w.at >= 0 {
		heap.Remove(&a.waiters, w.at)
		return ctx.Err()
	}
	return nil
}

// waiterHeap has the lowest index first.
type waiterHeap []*appliedWaiter

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(i, j int) bool { return h[i].index < h[j].index }
func (h waiterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *waiterHeap) Push(x any) {
	w := x.(*appliedWaiter)
	w.at = len(*h)
	*h = append(*h, w)
}

func (h *waiterHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	w.at = -1
	return w
}

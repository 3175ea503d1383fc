package node

import (
	"sync"

	"github.com/parlorchat/parlor/storage/command"
)

// effects hands what the commands of the log did to keys to those who follow
// it. The apply goroutine only adds to lists; each follower has a goroutine of
// its own. While nobody follows nothing is recorded.
type effects struct {
	mu     sync.Mutex
	all    map[*effectsFollower]struct{}
	closed bool
	wg     sync.WaitGroup
}

// A follower that is behind by more commands than this is told that anything
// may have happened instead.
const effectsBacklog = 10_000

type effectsFollower struct {
	fn   func(index uint64, effects []command.Effect)
	wake chan struct{} // capacity 1
	stop chan struct{}

	mu    sync.Mutex
	queue []entryEffects
	size  int // commands in queue
}

// entryEffects is what one entry did; nil effects: it is not known.
type entryEffects struct {
	index   uint64
	effects []command.Effect
}

func newEffects() *effects { return &effects{all: map[*effectsFollower]struct{}{}} }

// Effects calls fn with what each entry of the log did to keys, in order, on a
// goroutine of its own, until cancel is called. effects is nil if that is not
// known: anything may have happened. What is committed after Effects has
// returned is told. cancel does not wait for a call that is under way.
func (n *Node) Effects(fn func(index uint64, effects []command.Effect)) (cancel func()) {
	f := &effectsFollower{fn: fn, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	e := n.effects
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return func() {}
	}
	e.all[f] = struct{}{}
	n.fsm.Record(true)
	e.wg.Go(f.run)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if _, ok := e.all[f]; !ok {
			return
		}
		delete(e.all, f)
		close(f.stop)
		n.fsm.Record(len(e.all) > 0)
	}
}

// Visible is the index of the last entry of the log whose effects View and Walk
// show from now on. It may be ahead of Applied by the entries that are being
// announced.
func (n *Node) Visible() uint64 { return n.fsm.Applied() }

// ExpiredKeys is how many keys this member has removed since its start because
// their time had come.
func (n *Node) ExpiredKeys() int64 { return n.fsm.Expired() }

// tell is called on the apply goroutine.
func (e *effects) tell(index uint64, what []command.Effect) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for f := range e.all {
		f.add(entryEffects{index, what})
	}
}

// close ends all followers and waits for them.
func (e *effects) close() {
	e.mu.Lock()
	e.closed = true
	for f := range e.all {
		delete(e.all, f)
		close(f.stop)
	}
	e.mu.Unlock()
	e.wg.Wait()
}

func (f *effectsFollower) add(x entryEffects) {
	f.mu.Lock()
	if f.size+len(x.effects) > effectsBacklog {
		x.effects = nil
	}
	if x.effects == nil { // whatever waits is part of "anything"
		f.queue, f.size = f.queue[:0], 0
	}
	f.queue = append(f.queue, x)
	f.size += len(x.effects)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *effectsFollower) run() {
	for {
		select {
		case <-f.wake:
		case <-f.stop:
			return
		}
		f.mu.Lock()
		queue := f.queue
		f.queue, f.size = nil, 0
		f.mu.Unlock()
		for _, x := range queue {
			f.fn(x.index, x.effects)
		}
	}
}

package resp

import "sync"

// hearers are the outboxes that hold messages until flush. Messages that are sent
// one right after another, by a pipeline of PUBLISH say, thus reach a subscriber
// in one piece. Who has told something flushes before he does anything else.
type hearers []*outbox

// give puts a frame into an outbox. A large one goes on its way at once.
func (t *hearers) give(o *outbox, frame []byte, hard int) error {
	if len(frame) >= heldBytes {
		if cap(frame) <= pooledBuffer {
			frame = append(getBuffer(), frame...) // outboxes recycle them
		}
		return o.push(frame, hard)
	}
	first, err := o.hold(frame, hard)
	if first {
		*t = append(*t, o)
	}
	return err
}

// pass leaves the flushing to another.
func (t *hearers) pass(to *hearers) {
	*to = append(*to, *t...)
	clear(*t)
	*t = (*t)[:0]
}

func (t *hearers) flush() {
	for i, o := range *t {
		o.flush()
		(*t)[i] = nil
	}
	*t = (*t)[:0]
}

// flushedByLoop is to how many an event loop sends messages itself: each takes a
// few microseconds, in which it serves nobody.
const flushedByLoop = 64

// turned is called by an event loop when it has served all that came at once.
func (s *Server) turned(loop int) {
	t := &s.turns[loop]
	if len(*t) <= flushedByLoop {
		t.flush()
		return
	}
	s.flusher.take(t)
}

// flusher flushes for those who must not be held up. What is told meanwhile goes
// together.
type flusher struct {
	wake chan struct{} // capacity 1

	mu  sync.Mutex
	all hearers
}

func newFlusher() *flusher { return &flusher{wake: make(chan struct{}, 1)} }

func (f *flusher) take(t *hearers) {
	f.mu.Lock()
	t.pass(&f.all)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *flusher) run(stop <-chan struct{}) {
	var mine hearers
	for {
		select {
		case <-f.wake:
		case <-stop:
			return
		}
		f.mu.Lock()
		mine, f.all = f.all, mine
		f.mu.Unlock()
		mine.flush()
	}
}

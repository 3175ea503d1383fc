package resp

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

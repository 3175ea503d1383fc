package resp

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errOutputLimit = errors.New("client does not read its replies")
	errConnClosed  = errors.New("connection is closed")
)

const (
	// writeStep is how much is written under one deadline: a client that
	// reads slowly but reads makes progress.
	writeStep = 256 << 10
	// lingerTime is how long a connection that the server ends stays open for
	// the client to read its last reply.
	lingerTime = time.Second
)

// outbox is the queue of replies on their way to one client. One goroutine
// writes; any may push. What is pushed at once is never torn apart by what
// another pushes. While nothing waits, push hands the socket what it takes at
// once, which spares the way through the other goroutine.
type outbox struct {
	conn    net.Conn
	direct  tryWriter // nil: the socket cannot tell how much it takes; guarded by mu
	timeout time.Duration
	written *atomic.Int64 // bytes, over all connections
	all     *backlog

	mu      sync.Mutex
	changed sync.Cond
	held    []byte // waits for flush or the next push
	queue   [][]byte
	size    int   // bytes in queue and being written
	closing bool  // write what is there, then end
	err     error // why nothing is written any more
}

// tryWriter writes what a socket takes at once.
type tryWriter interface{ TryWrite(b []byte) int }

func newOutbox(conn net.Conn, timeout time.Duration, written *atomic.Int64, all *backlog) *outbox {
	o := &outbox{conn: conn, timeout: timeout, written: written, all: all}
	o.direct, _ = conn.(tryWriter)
	o.changed.L = &o.mu
	return o
}

// push queues whole frames and takes over b. If more than hard bytes would
// wait, the connection is broken off instead.
func (o *outbox) push(b []byte, hard int) error {
	if len(b) == 0 {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.admitLocked(len(b), hard); err != nil {
		return err
	}
	if len(o.held) > 0 && len(b) < heldBytes {
		o.held = append(o.held, b...)
		putBuffer(b)
		b = nil
	}
	o.flushLocked()
	o.sendLocked(b)
	return nil
}

// hold is push for whole frames that more may follow at once: they wait for
// flush, which the caller is to call soon if first, or for the next push, and go
// in one piece. It copies b.
func (o *outbox) hold(b []byte, hard int) (first bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.admitLocked(len(b), hard); err != nil {
		return false, err
	}
	if first = o.held == nil; first {
		o.held = getBuffer()
	}
	if o.held = append(o.held, b...); len(o.held) >= heldBytes {
		o.flushLocked()
		first = false
	}
	return first, nil
}

// heldBytes is how much is held at most: each subscriber may have as much while a
// pipeline of messages is carried out.
const heldBytes = 8 << 10

// flush sends what is held.
func (o *outbox) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.flushLocked()
	}
}

func (o *outbox) flushLocked() {
	b := o.held
	o.held = nil
	o.sendLocked(b)
}

// admitLocked says why no more bytes may wait.
func (o *outbox) admitLocked(n, hard int) error {
	switch {
	case o.err != nil:
		return o.err
	case o.closing:
		return errConnClosed
	case o.size+len(o.held)+n > hard:
		o.failLocked(errOutputLimit)
		_ = o.conn.Close()
		return errOutputLimit
	}
	return nil
}

func (o *outbox) sendLocked(b []byte) {
	if len(b) == 0 {
		return
	}
	if o.direct != nil && o.size == 0 { // so nothing is being written either
		n := o.direct.TryWrite(b)
		o.written.Add(int64(n))
		if n == len(b) {
			putBuffer(b)
			return
		}
		b = b[n:]
	}
	o.queue = append(o.queue, b)
	o.size += len(b)
	o.all.add(len(b))
	o.changed.Broadcast()
}

// awaitRoom waits until less than limit bytes wait for the client.
func (o *outbox) awaitRoom(limit int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.size >= limit && o.err == nil && !o.closing {
		o.changed.Wait()
	}
	if o.err == nil && o.closing {
		return errConnClosed
	}
	return o.err
}

// failed says why nothing is written any more; nil while there is no reason.
func (o *outbox) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// busy says whether anything waits for the client, or nothing will be written
// any more.
func (o *outbox) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size > 0 || o.err != nil || o.closing
}

// waiting tells how many bytes wait for the client.
func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size + len(o.held)
}

// finish lets run end once the queue is empty.
func (o *outbox) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flushLocked()
	o.closing = true
	o.changed.Broadcast()
}

// fail ends run at once.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failLocked(err)
}

// drop is fail for a client that is not to get another byte.
func (o *outbox) drop(err error) {
	o.fail(err)
	_ = o.conn.Close()
}

func (o *outbox) failLocked(err error) {
	if o.err == nil {
		o.err = err
	}
	o.all.add(-o.size)
	o.held, o.queue, o.size = nil, nil, 0
	o.changed.Broadcast()
}

// run writes until finish or fail was called or the client is gone. It returns
// nil if everything was written.
func (o *outbox) run() error {
	for {
		batch, ok := o.next()
		if !ok {
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.err
		}
		if err := o.write(batch); err != nil {
			o.fail(err)
			return err
		}
	}
}

// next waits for something to write.
func (o *outbox) next() ([][]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && !o.closing && o.err == nil {
		o.changed.Wait()
	}
	batch := o.queue
	o.queue = nil
	return batch, len(batch) > 0 && o.err == nil
}

func (o *outbox) write(batch [][]byte) error {
	for _, b := range batch {
		whole := b
		for len(b) > 0 {
			step := b[:min(len(b), writeStep)]
			if err := o.conn.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
				return err
			}
			n, err := o.conn.Write(step)
			o.written.Add(int64(n))
			if err != nil {
				return err
			}
			b = b[n:]
			o.mu.Lock()
			n = min(n, o.size) // 0 if it failed meanwhile
			o.size -= n
			o.all.add(-n)
			o.changed.Broadcast()
			o.mu.Unlock()
		}
		putBuffer(whole)
	}
	return nil
}

// Reply buffers go round: a session fills one, the outbox writes it.
const pooledBuffer = 64 << 10

var bufferPool = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

func getBuffer() []byte { return (*bufferPool.Get().(*[]byte))[:0] }

func putBuffer(b []byte) {
	if cap(b) > 0 && cap(b) <= pooledBuffer {
		bufferPool.Put(&b)
	}
}

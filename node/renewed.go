package node

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Connections between members live for days. So that they do not outlive the
// certificates they were made with, each is replaced once in a while and
// whenever this member's credentials change; always between two requests, so
// that nobody notices.

var errConnectionOld = errors.New("the connection has to be made anew")

// whenOver cancels ctx when the lifespan ends, unless stop was called before.
func (l lifespan) whenOver(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	ended := make(chan struct{})
	left := time.NewTimer(time.Until(l.until))
	go func() {
		defer left.Stop()
		select {
		case <-l.replaced:
			cancel(errConnectionOld)
		case <-left.C:
			cancel(errConnectionOld)
		case <-ctx.Done():
		case <-ended:
		}
	}()
	return func() { close(ended) }
}

// renewed is a connection for raft's requests that is replaced by another to
// the same member when its time is over. raft sets the deadline when it begins
// a request, and only then; the answer to the one before has been read in full.
type renewed struct {
	dial  func(ctx context.Context) (net.Conn, error)
	lives func() lifespan

	mu     sync.Mutex
	conn   net.Conn
	life   lifespan
	closed bool
}

func newRenewed(ctx context.Context, dial func(context.Context) (net.Conn, error), lives func() lifespan) (*renewed, error) {
	r := &renewed{dial: dial, lives: lives, life: lives()}
	var err error
	if r.conn, err = dial(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *renewed) current() net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn
}

// SetDeadline begins a request. If the connection cannot be replaced in time,
// the request goes over the one there is.
func (r *renewed) SetDeadline(t time.Time) error {
	r.mu.Lock()
	over := !r.closed && r.life.over()
	r.mu.Unlock()
	if over {
		r.replace(t)
	}
	return r.current().SetDeadline(t)
}

func (r *renewed) replace(before time.Time) {
	life := r.lives() // before dialling: what changes meanwhile counts for the next time
	ctx, cancel := context.WithDeadline(context.Background(), before)
	defer cancel()
	fresh, err := r.dial(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		return
	case r.closed:
		fresh.Close()
		return
	}
	r.conn.Close()
	r.conn, r.life = fresh, life
}

func (r *renewed) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.conn.Close()
}

func (r *renewed) Read(p []byte) (int, error)         { return r.current().Read(p) }
func (r *renewed) Write(p []byte) (int, error)        { return r.current().Write(p) }
func (r *renewed) LocalAddr() net.Addr                { return r.current().LocalAddr() }
func (r *renewed) RemoteAddr() net.Addr               { return r.current().RemoteAddr() }
func (r *renewed) SetReadDeadline(t time.Time) error  { return r.current().SetReadDeadline(t) }
func (r *renewed) SetWriteDeadline(t time.Time) error { return r.current().SetWriteDeadline(t) }

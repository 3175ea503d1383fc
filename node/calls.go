package node

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"sync"
)

// Calls between members: questions with a short answer, many at a time on one
// connection. Bodies are JSON.
const (
	callLimit   = 1 << 20
	callsAtOnce = 64 // of one peer, being answered
)

// handler answers a call of a member.
type handler func(ctx context.Context, peer string, body []byte) (any, error)

// callServer answers the calls of other members.
type callServer struct {
	ctx     context.Context // ends with the member
	methods map[string]handler
	removed func(nodeID string) bool
}

func (s *callServer) serve(conn *tls.Conn) {
	peer := peerID(conn.ConnectionState())
	ctx, cancel := context.WithCancel(s.ctx)
	var answering sync.WaitGroup
	defer answering.Wait()
	defer cancel()
	r := bufio.NewReader(conn)
	w := &frameWriter{w: bufio.NewWriter(conn)}
	slots := make(chan struct{}, callsAtOnce)
	for {
		f, err := readFrame(r, callLimit)
		if err != nil || f.kind != frameCall {
			return
		}
		slots <- struct{}{}
		answering.Add(1)
		go func() {
			defer answering.Done()
			defer func() { <-slots }()
			kind, body := s.answer(ctx, peer, f.body)
			if w.write(kind, f.id, body) != nil {
				conn.Close()
			}
		}()
	}
}

func (s *callServer) answer(ctx context.Context, peer string, call []byte) (frameKind, []byte) {
	if s.removed(peer) {
		return frameError, encodeError(errRemoved(peer))
	}
	name, args, _ := bytes.Cut(call, []byte{0})
	h := s.methods[string(name)]
	if h == nil {
		return frameError, encodeError(fail(CodeInvalid, "this member knows no call "+string(name)))
	}
	out, err := h(ctx, peer, args)
	if err != nil {
		return frameError, encodeError(err)
	}
	body, err := json.Marshal(out)
	if err != nil {
		return frameError, encodeError(err)
	}
	return frameAnswer, body
}

func encodeError(err error) []byte {
	e := fail(CodeInternal, err.Error())
	errors.As(err, &e)
	b, _ := json.Marshal(e)
	return b
}

func decodeError(b []byte) error {
	e := new(Error)
	if json.Unmarshal(b, e) != nil || e.Code == "" {
		return fail(CodeInternal, "the member answered an error that cannot be read")
	}
	return e
}

// frameWriter lets several goroutines write frames.
type frameWriter struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (w *frameWriter) write(kind frameKind, id uint64, parts ...[]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := writeFrame(w.w, kind, id, parts...); err != nil {
		return err
	}
	return w.w.Flush()
}

// callClient asks other members. It keeps one connection a member and dials
// when there is something to ask.
type callClient struct {
	guard *guard
	book  *addressBook
	mu    sync.Mutex
	conns map[string]*callConn
	shut  bool
}

func newCallClient(g *guard, book *addressBook) *callClient {
	return &callClient{guard: g, book: book, conns: map[string]*callConn{}}
}

// call asks a member and decodes its answer into out. An *Error is the
// member's own; any other error says that it was not reached, or did not
// answer in time.
func (c *callClient) call(ctx context.Context, id, method string, args, out any) error {
	addr := c.book.find(id)
	if addr == "" {
		return fail(CodeUnreachable, "the address of member "+id+" is not known")
	}
	return c.callAt(ctx, id, addr, method, args, out)
}

// callAt asks whoever is at addr; id may be empty.
func (c *callClient) callAt(ctx context.Context, id, addr, method string, args, out any) error {
	body, err := json.Marshal(args)
	if err != nil {
		return err
	}
	for {
		conn, err := c.connect(ctx, id, addr)
		if err != nil {
			return err
		}
		answer, err := conn.ask(ctx, method, body)
		if errors.Is(err, errConnectionOld) {
			continue // it was replaced since we have it: nothing was asked
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(answer, out)
	}
}

func (c *callClient) connect(ctx context.Context, id, addr string) (*callConn, error) {
	key := id + "@" + addr
	c.mu.Lock()
	conn := c.conns[key]
	c.mu.Unlock()
	if conn != nil && conn.usable() {
		return conn, nil
	}
	life := c.guard.ring.lifespan(c.guard.longest)
	raw, err := dialMember(ctx, c.guard, protoCalls, id, addr)
	if err != nil {
		return nil, err
	}
	fresh := newCallConn(raw, life)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		raw.Close()
		return nil, net.ErrClosed
	}
	if other := c.conns[key]; other != nil && other != conn && other.usable() {
		raw.Close() // another caller was faster
		return other, nil
	}
	if conn != nil {
		conn.retire()
	}
	c.conns[key] = fresh
	go fresh.read()
	return fresh, nil
}

func (c *callClient) close() {
	c.mu.Lock()
	c.shut = true
	conns := c.conns
	c.conns = map[string]*callConn{}
	c.mu.Unlock()
	for _, conn := range conns {
		conn.conn.Close()
		<-conn.done
	}
}

// callConn is a connection with questions under way.
type callConn struct {
	conn net.Conn
	w    *frameWriter
	done chan struct{} // closed when nothing more is read
	life lifespan

	mu      sync.Mutex
	err     error // why it is broken
	retired bool  // closed as soon as nothing waits
	last    uint64
	waiting map[uint64]chan frame
}

func newCallConn(conn net.Conn, life lifespan) *callConn {
	return &callConn{
		conn:    conn,
		life:    life,
		w:       &frameWriter{w: bufio.NewWriter(conn)},
		done:    make(chan struct{}),
		waiting: map[uint64]chan frame{},
	}
}

// usable says whether a call may use it: it works, and is not too old.
func (c *callConn) usable() bool {
	if c.life.over() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil
}

// retire lets those who wait have their answers, and closes it then.
func (c *callConn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = true
	if len(c.waiting) == 0 {
		c.conn.Close()
	}
}

func (c *callConn) ask(ctx context.Context, method string, args []byte) ([]byte, error) {
	ch := make(chan frame, 1)
	c.mu.Lock()
	if c.retired {
		c.mu.Unlock()
		return nil, errConnectionOld
	}
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.last++
	id := c.last
	c.waiting[id] = ch
	c.mu.Unlock()
	if err := c.w.write(frameCall, id, []byte(method), []byte{0}, args); err != nil {
		c.conn.Close()
		c.forget(id)
		return nil, err
	}
	select {
	case f, ok := <-ch:
		switch {
		case !ok:
			return nil, c.err
		case f.kind == frameError:
			return nil, decodeError(f.body)
		}
		return f.body, nil
	case <-ctx.Done():
		c.forget(id)
		return nil, ctx.Err()
	}
}

func (c *callConn) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
	if c.retired && len(c.waiting) == 0 {
		c.conn.Close()
	}
}

// read hands out answers until the connection ends.
func (c *callConn) read() {
	defer close(c.done)
	r := bufio.NewReader(c.conn)
	for {
		f, err := readFrame(r, callLimit)
		if err != nil {
			c.end(err)
			return
		}
		c.mu.Lock()
		ch := c.waiting[f.id]
		delete(c.waiting, f.id)
		if c.retired && len(c.waiting) == 0 {
			c.conn.Close()
		}
		c.mu.Unlock()
		if ch != nil {
			ch <- f
		}
	}
}

func (c *callConn) end(err error) {
	c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	for id, ch := range c.waiting {
		close(ch)
		delete(c.waiting, id)
	}
}

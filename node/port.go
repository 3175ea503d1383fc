package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	handshakeTimeout = 10 * time.Second
	dialTimeout      = 5 * time.Second
	// mostComing is how many connections may be before their handshake. If there
	// are more, the oldest go: a member's is the matter of a moment, and strangers who
	// say nothing must not take its place, nor the descriptors that all is done with.
	mostComing = 32
)

// port is the cluster port: one listener that hands each connection, once its
// peer is known, to whoever serves that protocol.
type port struct {
	ln     net.Listener
	tls    *tls.Config
	log    *slog.Logger
	serve  map[string]func(*tls.Conn)      // by ALPN protocol; returns when the connection is done with
	still  func(tls.ConnectionState) error // would the peer be let in now?
	mu     sync.Mutex
	conns  map[net.Conn]*tls.Conn // open connections; nil before the handshake
	coming []net.Conn             // those before the handshake, the oldest first
	closed bool
	wg     sync.WaitGroup
}

// listen opens the port without accepting yet.
func listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on the cluster port: %w", err)
	}
	return ln, nil
}

func newPort(ln net.Listener, cfg *tls.Config, still func(tls.ConnectionState) error, log *slog.Logger) *port {
	return &port{ln: ln, tls: cfg, still: still, log: log, serve: map[string]func(*tls.Conn){}, conns: map[net.Conn]*tls.Conn{}}
}

// run accepts until close.
func (p *port) run() {
	defer p.wg.Done()
	for {
		conn, err := p.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, most likely: some will come free
			p.log.Error("accepting on the cluster port", "err", err)
			if p.isClosed() {
				return
			}
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if !p.add(conn) {
			conn.Close()
			return
		}
		go p.handle(conn)
	}
}

// start accepts in the background.
func (p *port) start() {
	p.wg.Add(1)
	go p.run()
}

func (p *port) handle(raw net.Conn) {
	defer p.wg.Done()
	defer p.drop(raw)
	conn := tls.Server(raw, p.tls)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	err := conn.HandshakeContext(ctx)
	cancel()
	if err != nil {
		level := slog.LevelWarn
		if errors.Is(err, io.EOF) { // said nothing: a health check, or a peer that gave up
			level = slog.LevelDebug
		}
		p.log.Log(context.Background(), level, "refused a connection to the cluster port", "from", raw.RemoteAddr().String(), "err", err)
		return
	}
	proto := conn.ConnectionState().NegotiatedProtocol
	serve := p.serve[proto]
	if serve == nil {
		return
	}
	p.mark(raw, conn)
	if p.still(conn.ConnectionState()) != nil { // changed during the handshake
		return
	}
	serve(conn)
}

func (p *port) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.conns[c] = nil
	p.wg.Add(1)
	if p.coming = append(p.coming, c); len(p.coming) > mostComing {
		p.coming[0].Close()
		p.coming = slices.Delete(p.coming, 0, 1)
	}
	return true
}

// came is called after the handshake, with mu held.
func (p *port) came(c net.Conn) {
	if i := slices.Index(p.coming, c); i >= 0 {
		p.coming = slices.Delete(p.coming, i, i+1)
	}
}

func (p *port) mark(c net.Conn, secure *tls.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = secure
	p.came(c)
}

func (p *port) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.came(c)
	p.mu.Unlock()
	c.Close()
}

func (p *port) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// hangUp closes all connections of a protocol; their peers come again.
func (p *port) hangUp(proto string) {
	p.hangUpIf(func(cs tls.ConnectionState) bool { return cs.NegotiatedProtocol == proto })
}

// hangUpIf closes the connections of whose peers bad says so.
func (p *port) hangUpIf(bad func(cs tls.ConnectionState) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, secure := range p.conns {
		if secure != nil && bad(secure.ConnectionState()) {
			c.Close()
		}
	}
}

// close stops accepting, hangs up everywhere and waits until nobody serves.
func (p *port) close() {
	p.mu.Lock()
	p.closed = true
	p.ln.Close()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// dialMember connects to a member for one protocol; an empty id accepts any.
func dialMember(ctx context.Context, g *guard, proto, nodeID, addr string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := tls.Dialer{Config: g.client(proto, nodeID)}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", addr, err)
	}
	return conn.(*tls.Conn), nil
}

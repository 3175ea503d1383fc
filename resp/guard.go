package resp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/resp/eventloop"
)

// ticket is what redcon reads: one canonical command that stands for the
// batch which the guard holds. See DESIGN.md.
const ticket = "*1\r\n$1\r\n.\r\n"

const (
	minReadBuffer = 4 << 10
	maxReadBuffer = 64 << 10
	// maxBatch is how many commands are handed over at once: as many as one
	// log entry may hold.
	maxBatch = 512
)

// longAgo is a deadline that interrupts a read.
var longAgo = time.Unix(1, 0)

// guardConn stands between a socket and redcon. Its Read takes commands off
// the socket within limits and hands redcon a ticket for each batch; the
// handler gets the batch with take. Replies go out through the outbox.
//
// Its methods belong to who serves the connection, which is its goroutine unless
// that has let it rest, except stopReading, kill and Close, which any may call.
type guardConn struct {
	net.Conn
	config *Config
	live   *settings
	stats  *Stats
	socket *eventloop.Conn // nil: Conn is not one, and so never rests
	handed chan struct{}   // capacity 1: the goroutine is to serve the connection again
	out    *outbox
	opened time.Time
	ended  chan struct{} // closed when the socket is

	parser   frameParser
	buf      []byte
	r, w     int       // buf[r:w] has been read and not been parsed
	started  time.Time // when the first byte of the command under way came
	deadline time.Time // set on the socket; zero: none
	batch    [][][]byte
	spare    [][][]byte // memory of an earlier one
	rest     string     // what redcon has not read of its ticket
	failure  error      // protocol error that comes after batch
	lastRead int        // bytes of the last read into buf
	readErr  error      // end of the input, found while nobody read

	held atomic.Int64 // bytes of commands that are coming in, roughly

	authenticated bool
	patient       bool        // idleness is no reason to end: the client listens
	hurried       bool        // who serves must not wait: the event loop does
	begun         bool        // the batch is collected in the session, to be carried out
	ending        atomic.Bool // no more input is wanted
	lingers       atomic.Bool // wait, at the end, until the client has read what it was sent
	closeOnce     sync.Once
}

func newGuardConn(conn net.Conn, config *Config, live *settings, stats *Stats, waiting *backlog) *guardConn {
	g := &guardConn{
		Conn:   conn,
		config: config,
		live:   live,
		stats:  stats,
		out:    newOutbox(conn, config.WriteTimeout, &stats.BytesOut, waiting),
		opened: time.Now(),
		ended:  make(chan struct{}),
		buf:    make([]byte, minReadBuffer),
	}
	if socket, ok := conn.(*eventloop.Conn); ok {
		g.socket, g.handed = socket, make(chan struct{}, 1)
	}
	g.setAuthenticated(false) // until the session knows better
	return g
}

// setAuthenticated chooses the limits.
func (g *guardConn) setAuthenticated(yes bool) {
	g.authenticated = yes
	g.parser.strict = !yes
	if yes {
		g.parser.limits = g.config.frameLimits()
	} else {
		g.parser.limits = preAuthLimits
	}
}

// Read hands redcon its ticket when a batch is complete. redcon calls it when
// it has answered the batch before.
func (g *guardConn) Read(p []byte) (int, error) {
	if g.rest == "" {
		if err := g.nextBatch(); err != nil {
			return 0, err
		}
		g.rest = ticket
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// take gives the batch that a ticket stands for.
func (g *guardConn) take() [][][]byte {
	batch := g.batch
	g.batch = nil
	return batch
}

// reuse takes a batch back that was served, for the memory of its list.
func (g *guardConn) reuse(batch [][][]byte) {
	if cap(batch) <= viewReads {
		clear(batch)
		g.spare = batch[:0]
	}
}

// nextBatch reads at least one command, and with it all that have arrived
// completely. While there is none, the connection rests, and what comes is
// served elsewhere as long as that need not wait.
func (g *guardConn) nextBatch() error {
	for {
		if g.ending.Load() { // the client has still to read the last replies
			g.lingers.Store(true)
			return io.EOF
		}
		if len(g.batch) > 0 || g.begun {
			return nil
		}
		if g.failure != nil {
			return g.refuse()
		}
		if err := g.out.awaitRoom(g.config.OutputLimit); err != nil {
			return err
		}
		g.parseBuffered()
		switch {
		case len(g.batch) > 0:
			return nil
		case g.failure != nil:
		case g.rests():
			<-g.handed
		default:
			if err := g.fill(true); err != nil {
				return g.readError(err)
			}
		}
	}
}

// rests gives the connection up until it is handed back, if there is no reason
// to wait for its next bytes only for some time.
func (g *guardConn) rests() bool {
	return g.socket != nil && g.authenticated && g.readErr == nil && !g.midway() && g.socket.Rest()
}

// hand has the goroutine of the connection serve it. The caller must serve it
// no more.
func (g *guardConn) hand() { g.handed <- struct{}{} }

// midway says whether a command has begun and is not complete.
func (g *guardConn) midway() bool { return g.parser.midway(g.buf[g.r:g.w]) }

// refuse tells the client of its protocol error, after the replies to the
// commands before it, and ends the input.
func (g *guardConn) refuse() error {
	g.stats.ProtocolErrors.Add(1)
	g.lingers.Store(true)
	_ = g.push(appendLine(nil, '-', []byte("ERR "+g.failure.Error())))
	return io.EOF
}

// parseBuffered moves complete commands from the buffer to the batch. Before
// authentication it moves one at a time: the next may be subject to other
// limits.
func (g *guardConn) parseBuffered() {
	limit := maxBatch
	if !g.authenticated {
		limit = 1
	}
	for len(g.batch) < limit {
		args, n, err := g.parser.parse(g.buf[g.r:g.w])
		g.r += n
		if err != nil {
			g.failure = err
			return
		}
		if args == nil {
			break
		}
		g.started = time.Time{}
		if g.batch == nil {
			g.batch, g.spare = g.spare, nil
		}
		g.batch = append(g.batch, args)
	}
	if g.r == g.w {
		g.r, g.w = 0, 0
	}
}

// fill reads from the socket, once: waits until there is something, or fails
// with eventloop.ErrAgain if there is nothing.
func (g *guardConn) fill(wait bool) error {
	if g.readErr != nil {
		return g.readErr
	}
	if wait {
		if err := g.setReadDeadline(); err != nil {
			return err
		}
	}
	if size := g.parser.size(); size > 0 || g.held.Load() > 0 {
		g.held.Store(int64(size))
	}
	if g.r == g.w && g.parser.missing() > 0 {
		n, err := g.readSocket(g.parser.spare(), wait)
		g.stats.BytesIn.Add(int64(n))
		g.parser.filled(n)
		return readResult(n, err)
	}
	return g.fillBuffer(wait)
}

// fillBuffer reads into the buffer, which grows up to the longest line that
// is allowed and shrinks when it is empty.
func (g *guardConn) fillBuffer(wait bool) error {
	if g.r > 0 {
		copy(g.buf, g.buf[g.r:g.w])
		g.r, g.w = 0, g.w-g.r
	}
	switch {
	case g.w == len(g.buf):
		g.buf = append(g.buf, make([]byte, len(g.buf))...)
	case g.w == 0 && len(g.buf) > minReadBuffer && g.lastRead < minReadBuffer:
		g.buf = make([]byte, minReadBuffer)
	}
	n, err := g.readSocket(g.buf[g.w:], wait)
	g.stats.BytesIn.Add(int64(n))
	g.w += n
	g.lastRead = n
	if g.w == len(g.buf) && len(g.buf) < maxReadBuffer {
		g.buf = append(g.buf, make([]byte, len(g.buf))...)
	}
	return readResult(n, err)
}

func (g *guardConn) readSocket(b []byte, wait bool) (int, error) {
	if wait {
		return g.Conn.Read(b)
	}
	return g.socket.TryRead(b)
}

// readResult passes an error on only when there are no bytes to look at first.
func readResult(n int, err error) error {
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// setReadDeadline bounds the next read: by the command under way, by the time
// to authenticate, by idleness.
func (g *guardConn) setReadDeadline() error {
	var at time.Time
	if g.midway() {
		if g.started.IsZero() {
			g.started = time.Now()
		}
		at = g.started.Add(g.config.CommandTimeout)
	} else if idle := time.Duration(g.live.idleTimeout.Load()); idle > 0 && !g.patient {
		at = time.Now().Add(idle)
	}
	if !g.authenticated {
		at = earlier(at, g.opened.Add(g.config.AuthTimeout))
	}
	if at.Equal(g.deadline) {
		return nil
	}
	g.deadline = at
	if err := g.Conn.SetReadDeadline(at); err != nil {
		return err
	}
	if g.ending.Load() { // stopReading may have set its deadline just before
		return io.EOF
	}
	return nil
}

// earlier gives the earlier of two times, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// readError takes note of why reading ended.
func (g *guardConn) readError(err error) error {
	switch {
	case g.ending.Load():
		return io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		g.stats.TimedOut.Add(1)
	}
	return err
}

// watchHangup looks out for the end of the input while a command waits. stop
// must be called before the next Read. What the client sends meanwhile is
// kept, as much as fits the buffer.
func (g *guardConn) watchHangup() (hangup <-chan struct{}, stop func()) {
	gone, done := make(chan struct{}), make(chan struct{})
	_ = g.Conn.SetReadDeadline(time.Time{})
	go func() {
		defer close(done)
		for g.w < maxReadBuffer {
			if err := g.fillBuffer(true); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					g.readErr = err
					close(gone)
				}
				return
			}
		}
	}()
	return gone, func() {
		_ = g.Conn.SetReadDeadline(longAgo)
		<-done
		g.deadline = time.Time{}
		_ = g.Conn.SetReadDeadline(time.Time{})
	}
}

// stopReading lets the connection end after the batch under way.
func (g *guardConn) stopReading() {
	g.ending.Store(true)
	_ = g.Conn.SetReadDeadline(longAgo)
	if g.socket != nil {
		g.socket.Wake()
	}
}

// push queues whole frames for the client and takes over b. It waits while
// too much waits for the client already; a client that has not authenticated
// is not waited for, and one that the event loop serves is no longer served
// there when anything waits for it.
func (g *guardConn) push(b []byte) error {
	if !g.authenticated {
		return g.out.push(b, preAuthOutput)
	}
	if !g.hurried {
		if err := g.out.awaitRoom(g.config.OutputLimit); err != nil {
			return err
		}
	}
	return g.out.push(b, g.live.hardLimit(classNormal))
}

// Write takes what redcon itself writes, in order with all else.
func (g *guardConn) Write(p []byte) (int, error) {
	if len(p) == 0 { // redcon flushes after each ticket; replies went ahead
		return 0, nil
	}
	if err := g.push(append(getBuffer(), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close ends the connection when the client has got what is queued for it.
func (g *guardConn) Close() error {
	g.closeOnce.Do(g.out.finish)
	return nil
}

// kill ends the connection at once.
func (g *guardConn) kill() {
	g.out.fail(errConnClosed)
	_ = g.Conn.Close()
}

// broken says whether the client will get nothing any more, whatever is pushed.
func (g *guardConn) broken() bool { return g.out.failed() != nil }

// serveOutbox writes replies until the connection ends, and ends it.
func (g *guardConn) serveOutbox() {
	defer close(g.ended)
	if err := g.out.run(); err == nil && g.lingers.Load() {
		linger(g.Conn)
	}
	_ = g.Conn.Close()
}

// linger lets the client read its last reply: a socket that is closed while it
// holds unread input is reset, and the client would lose the reply.
func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, conn)
}

package eventloop

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a TCP connection of a loop. It is a net.Conn: one goroutine may read
// and another write at a time, any may close it or set deadlines. Serve, Rest,
// TryRead and Read are for its owner.
type Conn struct {
	fd            int
	generation    int32
	loop          *loop
	local, remote net.Addr
	ready         func(loop int)

	resting atomic.Bool // it has no owner
	input   atomic.Bool // there may be something to read
	output  atomic.Bool // there may be room to write
	hungUp  atomic.Bool // nothing will come after what is there
	waiters atomic.Int32

	open sync.RWMutex // held for reading while the descriptor is used

	closed atomic.Bool // set under mu

	mu      sync.Mutex
	changed sync.Cond // input, output, closed or a deadline
	readBy  deadline
	writeBy deadline
}

// Serve says what is called when there is input while the connection rests, with
// the number of the loop that calls, or -1 if another goroutine does. It must be
// called before the first Rest.
func (c *Conn) Serve(ready func(loop int)) { c.ready = ready }

// Rest gives the connection up. It says false, and the caller remains its
// owner, if there may be input already, if it is closed, or if Wake was called.
func (c *Conn) Rest() bool {
	if c.input.Load() || c.closed.Load() {
		return false
	}
	c.resting.Store(true)
	if (c.input.Load() || c.closed.Load()) && c.resting.CompareAndSwap(true, false) {
		return false
	}
	return true
}

// Pending says whether there may be something to read.
func (c *Conn) Pending() bool { return c.input.Load() }

// Resting says whether the connection rests just now.
func (c *Conn) Resting() bool { return c.resting.Load() }

// Wake makes a connection that rests, or is about to, have an owner, as if
// there were input. Any goroutine may call it.
func (c *Conn) Wake() {
	c.input.Store(true)
	if c.resting.CompareAndSwap(true, false) {
		go c.ready(-1)
	}
}

// tell is called by the loop when something has happened.
func (c *Conn) tell(events uint32) {
	if events&(syscall.EPOLLOUT|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		c.output.Store(true)
	}
	in := events&(syscall.EPOLLIN|syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0
	if events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP) != 0 {
		c.hungUp.Store(true)
	}
	if in {
		c.input.Store(true)
	}
	if c.waiters.Load() > 0 {
		c.mu.Lock()
		c.changed.Broadcast()
		c.mu.Unlock()
	}
	if in && c.resting.CompareAndSwap(true, false) {
		c.ready(c.loop.number)
	}
}

// TryRead reads what is there. It fails with ErrAgain if that is nothing, and
// with io.EOF at the end. A read that does not fill b has emptied the socket:
// there is no need to try again before Pending says so.
func (c *Conn) TryRead(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.open.RLock()
	defer c.open.RUnlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	c.input.Store(false)
	n, err := read(c.fd, b)
	if n == len(b) || c.hungUp.Load() {
		c.input.Store(true) // nobody tells again of what was there before
	}
	switch {
	case err == syscall.EAGAIN:
		return 0, ErrAgain
	case err != nil:
		c.input.Store(true)
		return 0, c.failed("read", os.NewSyscallError("read", err))
	case n == 0:
		c.input.Store(true)
		return 0, io.EOF
	}
	return n, nil
}

// TryWrite writes what the socket takes at once. Errors are left to the next
// Write to find. It must not run beside Write.
func (c *Conn) TryWrite(b []byte) int {
	c.open.RLock()
	defer c.open.RUnlock()
	if c.closed.Load() || len(b) == 0 {
		return 0
	}
	n, err := write(c.fd, b)
	if err != nil {
		return 0
	}
	return n
}

// Read waits for input, until its deadline.
func (c *Conn) Read(b []byte) (int, error) {
	for {
		if err := c.inTime(&c.readBy, "read"); err != nil {
			return 0, err
		}
		n, err := c.TryRead(b)
		if err != ErrAgain {
			return n, err
		}
		c.await(&c.input, &c.readBy)
	}
}

// Write writes all of b, or as much as the socket takes until its deadline.
func (c *Conn) Write(b []byte) (written int, err error) {
	for written < len(b) {
		if err := c.inTime(&c.writeBy, "write"); err != nil {
			return written, err
		}
		n, err := c.writeSome(b[written:])
		written += n
		if err == syscall.EAGAIN {
			c.await(&c.output, &c.writeBy)
		} else if err != nil {
			return written, c.failed("write", err)
		}
	}
	return written, nil
}

func (c *Conn) writeSome(b []byte) (int, error) {
	c.open.RLock()
	defer c.open.RUnlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	c.output.Store(false)
	n, err := write(c.fd, b)
	if err != nil && err != syscall.EAGAIN {
		err = os.NewSyscallError("write", err)
	}
	return max(n, 0), err
}

// await waits until there is a point in trying again.
func (c *Conn) await(sign *atomic.Bool, by *deadline) {
	c.waiters.Add(1) // before the sign is looked at: who sets it looks at waiters then
	c.mu.Lock()
	for !sign.Load() && !c.closed.Load() && !by.passed {
		c.changed.Wait()
	}
	c.mu.Unlock()
	c.waiters.Add(-1)
}

// inTime says why there is no point in trying, or nil.
func (c *Conn) inTime(by *deadline, op string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed.Load():
		return c.failed(op, net.ErrClosed)
	case by.passed:
		return c.failed(op, os.ErrDeadlineExceeded)
	}
	return nil
}

func (c *Conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Close closes the connection and gives it an owner, if it has none, who finds
// that out.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed.Load() {
		c.mu.Unlock()
		return c.failed("close", net.ErrClosed)
	}
	c.closed.Store(true)
	c.readBy.stop()
	c.writeBy.stop()
	c.changed.Broadcast()
	c.mu.Unlock()

	c.open.Lock()
	c.loop.forget(c)
	err := syscall.Close(c.fd)
	c.open.Unlock()
	c.Wake()
	return os.NewSyscallError("close", err)
}

// CloseWrite tells the other side that nothing more comes.
func (c *Conn) CloseWrite() error {
	return c.use("shutdown", func() error { return syscall.Shutdown(c.fd, syscall.SHUT_WR) })
}

// SetKeepAliveConfig says how the system finds out that the other side is gone.
// All fields of config must be set.
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	return c.use("setsockopt", func() error {
		if !config.Enable {
			return syscall.SetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 0)
		}
		for _, o := range []struct{ level, name, value int }{
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(config.Idle / time.Second)},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(config.Interval / time.Second)},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, config.Count},
		} {
			if err := syscall.SetsockoptInt(c.fd, o.level, o.name, o.value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *Conn) use(call string, fn func() error) error {
	c.open.RLock()
	defer c.open.RUnlock()
	if c.closed.Load() {
		return c.failed(call, net.ErrClosed)
	}
	return os.NewSyscallError(call, fn())
}

func (c *Conn) LocalAddr() net.Addr  { return c.local }
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *Conn) SetReadDeadline(t time.Time) error  { return c.setDeadline(&c.readBy, t) }
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeBy, t) }

// deadline is a time at which Read or Write give up. It is guarded by Conn.mu.
type deadline struct {
	timer  *time.Timer
	set    uint64 // how often it was
	passed bool
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (c *Conn) setDeadline(d *deadline, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return c.failed("set", net.ErrClosed)
	}
	d.stop()
	d.set++
	d.timer, d.passed = nil, false
	if t.IsZero() {
		return nil
	}
	left := time.Until(t)
	if left <= 0 {
		d.passed = true
		c.changed.Broadcast()
		return nil
	}
	set := d.set
	d.timer = time.AfterFunc(left, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if d.set == set {
			d.passed = true
			c.changed.Broadcast()
		}
	})
	return nil
}

package eventloop

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
)

// Group is some loops, among which connections are shared out.
type Group struct {
	loops []*loop
	next  atomic.Uint32
}

// New starts n loops, which run until Close. Each calls turned, with its number
// from 0, when it has served all that came at once.
func New(n int, turned func(loop int)) (*Group, error) {
	g := &Group{}
	for i := range n {
		l, err := newLoop(i, turned)
		if err != nil {
			g.Close()
			return nil, err
		}
		g.loops = append(g.loops, l)
	}
	return g, nil
}

// Take makes a connection of its own of a TCP connection, which is closed. On
// an error it is not.
func (g *Group) Take(conn *net.TCPConn) (*Conn, error) {
	fd, err := duplicate(conn)
	if err != nil {
		return nil, err
	}
	c := &Conn{fd: fd, local: conn.LocalAddr(), remote: conn.RemoteAddr()}
	c.changed.L = &c.mu
	c.loop = g.loops[int(g.next.Add(1))%len(g.loops)]
	if err := c.loop.add(c); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	_ = conn.Close() // the runtime's poller must not be woken for it any more
	return c, nil
}

// Close ends the loops and waits for them. The connections must have been
// closed.
func (g *Group) Close() {
	for _, l := range g.loops {
		l.close()
	}
}

// duplicate gives another descriptor of the same socket, which does not block.
func duplicate(conn *net.TCPConn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var errno syscall.Errno
	if err := raw.Control(func(old uintptr) {
		r, _, e := syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		fd, errno = int(r), e
	}); err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, os.NewSyscallError("fcntl", errno)
	}
	return fd, nil
}

// loop is a goroutine that waits for what happens to its connections.
type loop struct {
	number int
	turned func(loop int)

	epoll int
	bell  int // an eventfd that ends it
	ended chan struct{}

	mu         sync.Mutex
	conns      map[int32]*Conn // by descriptor
	generation int32           // of the connection that came last: descriptors are used again
}

// everything is what a connection is watched for: each change is told once.
// syscall.EPOLLET is negative.
const everything = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | syscall.EPOLLET&0xffffffff

func newLoop(number int, turned func(int)) (*loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	bell, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		syscall.Close(epoll)
		return nil, os.NewSyscallError("eventfd2", errno)
	}
	l := &loop{number: number, turned: turned, epoll: epoll, bell: int(bell), ended: make(chan struct{}), conns: map[int32]*Conn{}}
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, l.bell, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(l.bell)}); err != nil {
		syscall.Close(epoll)
		syscall.Close(l.bell)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	go l.run()
	return l, nil
}

func (l *loop) close() {
	one := [8]byte{1}
	_, _ = syscall.Write(l.bell, one[:])
	<-l.ended
	syscall.Close(l.bell)
	syscall.Close(l.epoll)
}

func (l *loop) add(c *Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	c.generation = l.generation
	l.conns[int32(c.fd)] = c
	event := syscall.EpollEvent{Events: everything, Fd: int32(c.fd), Pad: c.generation}
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, c.fd, &event); err != nil {
		delete(l.conns, int32(c.fd))
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// forget is called before the descriptor is closed, which takes it out of the
// system's table as well.
func (l *loop) forget(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, int32(c.fd))
}

// find gives nil if the event is of a connection that is gone.
func (l *loop) find(e *syscall.EpollEvent) *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.conns[e.Fd]; c != nil && c.generation == e.Pad {
		return c
	}
	return nil
}

func (l *loop) run() {
	defer close(l.ended)
	events := make([]syscall.EpollEvent, 256)
	for {
		n := l.wait(events)
		for i := range events[:n] {
			if int(events[i].Fd) == l.bell {
				return
			}
			if c := l.find(&events[i]); c != nil {
				c.tell(events[i].Events)
			}
		}
		l.turned(l.number)
	}
}

// wait gives what has happened. While it blocks, its thread holds one of the
// runtime's processors until the runtime takes it away, for which it may take
// 10 ms, while others who were woken have none. So before it does, those who
// were woken here come first, and it does not block for long as long as there
// was something to do a moment ago.
func (l *loop) wait(events []syscall.EpollEvent) int {
	if n := poll(l.epoll, events); n > 0 {
		return n
	}
	runtime.Gosched()
	if n := poll(l.epoll, events); n > 0 {
		return n
	}
	for range shortWaits {
		if n := block(l.epoll, events, 1); n > 0 {
			return n
		}
		runtime.Gosched()
	}
	return block(l.epoll, events, -1)
}

// shortWaits is for how many milliseconds a loop counts as busy.
const shortWaits = 20

// block waits for events, for so many milliseconds; -1: for ever.
func block(epoll int, events []syscall.EpollEvent, ms int) int {
	n, err := syscall.EpollWait(epoll, events, ms)
	if err != nil && err != syscall.EINTR {
		panic(fmt.Sprintf("waiting for sockets: %v", err)) // only a descriptor that is none does that
	}
	return max(n, 0)
}

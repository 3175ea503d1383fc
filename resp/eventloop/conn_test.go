//go:build linux

package eventloop

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

func newGroup(t *testing.T) *Group {
	t.Helper()
	g, err := New(2, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// connect gives a connection of the group and its client.
func connect(t *testing.T, g *Group) (*Conn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, err := g.Take(accepted.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, client.(*net.TCPConn)
}

// Who owns a connection can use it as any other one.
func TestAConnectionIsANetConn(t *testing.T) {
	g := newGroup(t)
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c, client := connect(t, g)
		other, err := g.Take(client)
		return c, other, func() { c.Close(); other.Close() }, err
	})
}

// echo sends back what comes, now from the loop and now from a goroutine that
// takes the connection over for a while.
type echo struct {
	*Conn
	buf   []byte
	turns int
	err   chan error // why it ended
}

func (e *echo) ready() {
	for {
		e.turns++
		if e.turns%5 == 0 {
			go e.serveOnce()
			return
		}
		n, err := e.TryRead(e.buf)
		switch {
		case errors.Is(err, ErrAgain):
		case err != nil:
			e.err <- err
			return
		default:
			if e.send(e.buf[:n]) {
				return
			}
		}
		if e.Rest() {
			return
		}
	}
}

// send says whether it has given the connection to a goroutine, because the
// socket is full.
func (e *echo) send(b []byte) (handed bool) {
	n := e.TryWrite(b)
	if n == len(b) {
		return false
	}
	go func() {
		if _, err := e.Write(b[n:]); err != nil {
			e.err <- err
			return
		}
		e.ready()
	}()
	return true
}

func (e *echo) serveOnce() {
	n, err := e.Read(e.buf)
	if err == nil {
		_, err = e.Write(e.buf[:n])
	}
	if err != nil {
		e.err <- err
		return
	}
	e.ready()
}

// Whatever comes to a connection, in whatever pieces and whoever owns it then,
// is read, and the end of it is noticed; descriptors that are used again
// confuse nobody.
func TestNothingThatComesIsMissed(t *testing.T) {
	g := newGroup(t)
	var clients sync.WaitGroup
	for who := range 20 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(who), 1))
			for range 10 {
				talk(t, g, random)
			}
		})
	}
	clients.Wait()
}

func talk(t *testing.T, g *Group, random *rand.Rand) {
	c, client := connect(t, g)
	defer client.Close()
	e := &echo{Conn: c, buf: make([]byte, 1+random.IntN(3000)), err: make(chan error, 1)}
	c.Serve(func(int) { e.ready() })
	e.ready()
	for range 20 {
		message := make([]byte, 1+random.IntN(20_000))
		for i := range message {
			message[i] = byte(random.Uint32())
		}
		go func() {
			for rest := message; len(rest) > 0; {
				n := min(len(rest), 1+len(message)/3)
				_, _ = client.Write(rest[:n])
				rest = rest[n:]
			}
		}()
		back := make([]byte, len(message))
		_ = client.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadFull(client, back); err != nil {
			t.Errorf("waiting for what was sent to come back: %v", err)
			return
		}
		if !bytes.Equal(back, message) {
			t.Error("something else came back")
			return
		}
	}
	client.Close()
	if err := <-e.err; !errors.Is(err, io.EOF) {
		t.Errorf("the end was noticed as %v", err)
	}
	c.Close()
}

// A client that says something and leaves at once is heard to the end, although
// the system tells of both in one.
func TestLastWords(t *testing.T) {
	g := newGroup(t)
	for range 100 {
		c, client := connect(t, g)
		heard := make(chan string, 1)
		var words []byte
		ready := func() {
			for {
				b := make([]byte, 100)
				n, err := c.TryRead(b)
				words = append(words, b[:n]...)
				if errors.Is(err, io.EOF) {
					heard <- string(words)
					return
				}
				if c.Rest() {
					return
				}
			}
		}
		c.Serve(func(int) { ready() })
		ready()
		if _, err := client.Write([]byte("goodbye")); err != nil {
			t.Fatal(err)
		}
		client.Close()
		if got := <-heard; got != "goodbye" {
			t.Fatalf("heard %q", got)
		}
		c.Close()
	}
}

// A loop says when it has served all that came at once: after each of these.
func TestALoopTellsTheEndOfATurn(t *testing.T) {
	var served, turned atomic.Int64 // the last of the connections, and when it was the last
	g, err := New(1, func(loop int) { turned.Store(served.Load() + int64(loop)) })
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for n := int64(1); n <= 20; n++ {
		c, client := connect(t, g)
		defer c.Close()
		c.Serve(func(loop int) { served.Store(n + int64(loop)) })
		for !c.Rest() {
			_, _ = c.TryRead(make([]byte, 1))
		}
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		for turned.Load() != n {
			runtime.Gosched()
		}
	}
}

// A connection that rests has an owner again when it is closed or woken, and one
// that is about to rest does not.
func TestWhoeverRestsCanBeWoken(t *testing.T) {
	g := newGroup(t)
	for name, wake := range map[string]func(*Conn){"Wake": (*Conn).Wake, "Close": func(c *Conn) { c.Close() }} {
		t.Run(name, func(t *testing.T) {
			c, _ := connect(t, g)
			woken := make(chan bool)
			c.Serve(func(loop int) { woken <- loop == -1 })
			for !c.Rest() {
				_, _ = c.TryRead(make([]byte, 1))
			}
			wake(c)
			if !<-woken {
				t.Error("a loop is said to have woken it")
			}
			if c.Rest() {
				t.Error("it rests although it was woken")
			}
		})
	}
}

//go:build unix

package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Clients come in until only so many descriptors are left; who comes then hears
// why. When some have gone, others come in again.
func TestTheDoorKeepsDescriptorsForTheMember(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := newDoor(ln, room{}, "too many\r\n", new(metrics.Counter), slog.New(slog.DiscardHandler))
	come := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first := come()
	inside, err := d.Accept()
	if err != nil {
		t.Fatal(err)
	}
	d.room.most = lowestFree(inside) + 20 // ten more clients, both ends of whom are here

	accepted := make(chan net.Conn, 100)
	ended := make(chan error)
	go func() {
		for {
			conn, err := d.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- conn
		}
	}()
	var came []net.Conn
	refused := ""
	for refused == "" && len(came) < 100 {
		conn := come()
		select {
		case in := <-accepted:
			came = append(came, conn, in)
		case text := <-heard(conn):
			refused = text
			_ = conn.Close()
		}
	}
	if n := d.refused.Get(); n != 1 {
		t.Errorf("%d were turned away", n)
	}
	if refused != "too many\r\n" || len(came) < 10 || len(came) > 24 {
		t.Errorf("after %d descriptors a client hears %q", len(came), refused)
	}
	for _, conn := range came {
		_ = conn.Close()
	}
	conn := come()
	select {
	case in := <-accepted:
		_ = in.Close()
	case text := <-heard(conn):
		t.Errorf("when all have gone a client hears %q", text)
	}
	for _, c := range []net.Conn{conn, first, inside} {
		_ = c.Close()
	}
	_ = d.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// heard gives all that the other side says.
func heard(conn net.Conn) <-chan string {
	text := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(conn)
		if len(b) > 0 {
			text <- string(b)
		}
	}()
	return text
}

// shortListener has no descriptor left for the first who come.
type shortListener struct {
	net.Listener
	failures int
}

func (l *shortListener) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errors.New("too many open files"))}
	}
	return l.Listener.Accept()
}

// A shortage is waited out.
func TestAShortageDoesNotCloseTheDoor(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := newDoor(&shortListener{ln, 3}, room{}, "", new(metrics.Counter), slog.New(slog.DiscardHandler))
	defer d.Close()
	conn, err := net.DialTimeout("tcp", ln.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in, err := d.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
}

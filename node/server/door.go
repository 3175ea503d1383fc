package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// door is where browsers come in, as long as there is room. A shortage of the
// system, of descriptors or of memory, is waited out: it ends nobody's service.
type door struct {
	net.Listener
	room    room
	log     *slog.Logger
	refusal string           // what who is turned away is told; "": nothing
	refused *metrics.Counter // so many were
	telling chan struct{}    // a slot for each who is being told
	warned  time.Time
}

const (
	// tellingSlots is how many are told at a time why they are turned away, which
	// takes tellingTime at most.
	tellingSlots = 16
	tellingTime  = time.Second
	// shortageRest is how long a shortage is left alone, and shortageWarnings how
	// often it is logged.
	shortageRest     = 50 * time.Millisecond
	shortageWarnings = 10 * time.Second
)

func newDoor(ln net.Listener, r room, refusal string, refused *metrics.Counter, log *slog.Logger) *door {
	return &door{Listener: ln, room: r, log: log, refusal: refusal, refused: refused, telling: make(chan struct{}, tellingSlots)}
}

// Accept implements net.Listener. It fails only when the door is closed.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			d.warn("accepting an HTTP client failed, trying again", "error", err)
			time.Sleep(shortageRest)
		case d.room.crowded(conn):
			d.warn("an HTTP client was turned away: too few files and connections may be open (ulimit -n, LimitNOFILE)")
			d.refused.Inc()
			d.turnAway(conn)
		default:
			return conn, nil
		}
	}
}

func (d *door) warn(what string, args ...any) {
	if time.Since(d.warned) >= shortageWarnings {
		d.warned = time.Now()
		d.log.Warn(what, args...)
	}
}

// turnAway closes a connection, if there is time for it not before the client
// has heard why: one that is closed while something has not been read from it
// takes back what was said.
func (d *door) turnAway(conn net.Conn) {
	if d.refusal == "" {
		_ = conn.Close()
		return
	}
	select {
	case d.telling <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	go func() {
		defer func() { <-d.telling }()
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(tellingTime))
		if _, err := io.WriteString(conn, d.refusal); err != nil {
			return
		}
		if c, ok := conn.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
	}()
}

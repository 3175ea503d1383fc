package resp

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	acceptBackoffMin = 5 * time.Millisecond
	acceptBackoffMax = time.Second
	// maxRefusals is how many refused clients are told why at a time; those
	// beyond find their connection closed.
	maxRefusals = 32
)

const deniedText = "-DENIED Parlor asks for no password here, so only clients on the same machine are let in. " +
	"Set a password for RESP on the server to connect from other machines, or connect over loopback.\r\n"

// guardListener lets clients in: it counts them, refuses those that must not
// come in, and puts a guard before each.
type guardListener struct {
	net.Listener
	server   *Server
	refusals chan struct{} // a slot for each client that is being refused
	closed   sync.Once     // nobody comes in any more
}

func newGuardListener(ln net.Listener, server *Server) *guardListener {
	return &guardListener{Listener: ln, server: server, refusals: make(chan struct{}, maxRefusals)}
}

// Accept waits for a client that is let in. When the system is short of
// something it waits, ever longer. It fails only when the server closes, and
// then not before the last client is gone, because redcon closes whatever is
// connected when Accept fails.
func (l *guardListener) Accept() (net.Conn, error) {
	backoff := acceptBackoffMin
	for {
		conn, err := l.Listener.Accept()
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed) || l.server.stopping():
			l.closed.Do(l.server.conns.Done)
			<-l.server.drained
			return nil, net.ErrClosed
		default:
			l.server.log.Warn("accepting a RESP client failed", "error", err, "retry_in", backoff)
			l.server.pause(backoff)
			backoff = min(2*backoff, acceptBackoffMax)
			continue
		}
		backoff = acceptBackoffMin
		if text := l.server.refusal(conn); text != "" {
			l.refuse(conn, text)
			continue
		}
		return l.server.admit(l.server.looped(conn)), nil
	}
}

// refuse tells a client why and closes its connection.
func (l *guardListener) refuse(conn net.Conn, text string) {
	l.server.stats.Refused.Add(1)
	select {
	case l.refusals <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	l.server.conns.Go(func() {
		defer func() { <-l.refusals }()
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(lingerTime))
		if _, err := io.WriteString(conn, text); err == nil {
			linger(conn)
		}
	})
}

// refusal says why a client must not come in; empty: it may.
func (s *Server) refusal(conn net.Conn) string {
	switch {
	case !s.loopback && !isLocal(conn.RemoteAddr()) && !s.hasPasswords():
		return deniedText
	case s.stats.Clients.Load() >= s.live.maxClients.Load(), s.config.Crowded(conn):
		return "-ERR max number of clients reached\r\n"
	}
	return ""
}

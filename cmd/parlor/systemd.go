package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// serviceManager tells systemd how this process is: sd_notify(3). Without
// systemd it does nothing.
type serviceManager struct {
	socket   string        // address of the datagram socket; empty: nobody listens
	watchdog time.Duration // systemd kills the process if it does not hear of it for so long; 0: never
	log      *slog.Logger
}

// newServiceManager reads what systemd has put into the environment.
func newServiceManager(getenv func(string) string, log *slog.Logger) *serviceManager {
	m := &serviceManager{socket: getenv("NOTIFY_SOCKET"), log: log}
	if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		m.watchdog = time.Duration(usec) * time.Microsecond
	}
	return m
}

// notify sends a state, lines of the form NAME=value.
func (m *serviceManager) notify(state string) {
	if m.socket == "" {
		return
	}
	if err := m.send(state); err != nil {
		m.log.Warn("telling the service manager", "err", err)
	}
}

func (m *serviceManager) send(state string) error {
	// A name that begins with @ is an abstract socket, for Go as for systemd.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("reaching its socket: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("writing to its socket: %w", err)
	}
	return nil
}

// status is a line that systemctl status shows.
func (m *serviceManager) status(text string) { m.notify("STATUS=" + text) }

// serving says that the process serves, which it does before it knows a
// leader: of three machines that start, none can wait for the others. From then
// on it gives the signs of life that systemd wants, as long as nothing is stuck,
// and says when ctx ends that it is stopping.
func (m *serviceManager) serving(ctx context.Context, alive func() error) {
	m.notify("READY=1\nSTATUS=waiting for a leader")
	go func() {
		var beat <-chan time.Time
		if m.watchdog > 0 {
			every := time.NewTicker(m.watchdog / 3)
			defer every.Stop()
			beat = every.C
		}
		for {
			select {
			case <-beat:
				if err := alive(); err != nil {
					m.log.Error("no sign of life for the service manager: it will restart this process", "err", err)
					continue
				}
				m.notify("WATCHDOG=1")
			case <-ctx.Done():
				m.notify("STOPPING=1\nSTATUS=stopping")
				return
			}
		}
	}()
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestSystemdIsToldHowTheProcessIs: ready, alive as long as nothing is stuck,
// stopping.
func TestSystemdIsToldHowTheProcessIs(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	heard := func(want string) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		buf := make([]byte, 1000)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if strings.HasPrefix(string(buf[:n]), want) {
				return
			}
		}
	}
	env := map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "30000"}
	m := newServiceManager(func(name string) string { return env[name] }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stuck atomic.Bool
	asked := make(chan struct{}, 1000)
	m.serving(ctx, func() error {
		if stuck.Load() {
			asked <- struct{}{}
			return errors.New("stuck")
		}
		return nil
	})
	heard("READY=1\nSTATUS=")
	heard("WATCHDOG=1")
	heard("WATCHDOG=1")
	stuck.Store(true)
	<-asked // from here on no sign of life is sent
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	m.status("mark")
	heard("STATUS=mark")
	<-asked
	<-asked
	cancel()
	buf := make([]byte, 1000)
	n, err := conn.Read(buf)
	if err != nil || !strings.HasPrefix(string(buf[:n]), "STOPPING=1") {
		t.Errorf("after being stuck it said %q, %v", buf[:n], err)
	}

	// Without systemd nothing happens.
	newServiceManager(func(string) string { return "" }, slog.New(slog.DiscardHandler)).notify("READY=1")
}

package node

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestAHealthCheckIsNoNews: whoever connects to the cluster port and goes away
// is not worth a warning; whoever speaks something else is.
func TestAHealthCheckIsNoNews(t *testing.T) {
	for said, warned := range map[string]bool{"": false, "GET / HTTP/1.1\r\n\r\n": true} {
		ln, err := listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer // read only after the port is done with the connection
		p := newPort(ln, &tls.Config{}, nil, slog.New(slog.NewTextHandler(&log, nil)))
		ours, theirs := net.Pipe()
		if !p.add(theirs) {
			t.Fatal("the port is closed")
		}
		go func() {
			_, _ = ours.Write([]byte(said))
			_ = ours.Close()
		}()
		p.handle(theirs)
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "level=WARN"); got != warned {
			t.Errorf("after %q the log has: %s", said, &log)
		}
	}
}

// Strangers who connect and say nothing go when others come: they do not keep
// members out, nor take all descriptors.
func TestSilentStrangersMakeRoom(t *testing.T) {
	ln, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newPort(ln, &tls.Config{}, nil, slog.New(slog.DiscardHandler))
	p.start()
	defer p.close()
	var strangers []net.Conn
	for range 3 * mostComing {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		strangers = append(strangers, conn)
	}
	for i, conn := range strangers[:2*mostComing] {
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("stranger %d is still there: %v", i, err)
		}
	}
	for i, conn := range strangers[2*mostComing:] {
		_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one of the last, %d, is gone: %v", i, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.coming) != mostComing {
		t.Errorf("%d are coming", len(p.coming))
	}
}

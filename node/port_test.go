package node

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"testing"
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

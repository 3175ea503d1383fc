package node

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
)

// TestWhatRaftComplainsOf: a connection that this member closed is no news,
// any other failure is, once.
func TestWhatRaftComplainsOf(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, listener.Close())
	_, closed := listener.Accept()
	for _, c := range []struct {
		err  error
		want string
	}{
		{closed, "level=DEBUG"},
		{fmt.Errorf("reading: %w", closed), "level=DEBUG"},
		{errors.New("unexpected message"), "level=WARN"},
	} {
		var out bytes.Buffer
		l := newRaftLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), "raft-net")
		for range 3 {
			l.Error("failed to decode incoming command", "error", c.err)
		}
		if first, _, _ := strings.Cut(out.String(), "\n"); !strings.Contains(first, c.want) {
			t.Errorf("%v is written as %s", c.err, first)
		}
		if c.want == "level=WARN" && strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%v is written again and again", c.err)
		}
	}
}

package resp

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// BenchmarkPipeline measures the way of a command from the socket through
// guard, dispatch and a store in memory, and its reply back.
func BenchmarkPipeline(b *testing.B) {
	for _, bc := range []struct {
		name, command, reply string
		depth                int
	}{
		{"GET/1", frame("GET", "key"), "$5\r\nvalue\r\n", 1},
		{"GET/16", frame("GET", "key"), "$5\r\nvalue\r\n", 16},
		{"GET/512", frame("GET", "key"), "$5\r\nvalue\r\n", 512},
		{"SET/16", frame("SET", "key", "value"), "+OK\r\n", 16},
		{"PING/16", frame("PING"), "+PONG\r\n", 16},
	} {
		b.Run(bc.name, func(b *testing.B) {
			store := newFakeStore()
			srv := startServer(b, Config{}, store)
			conn, err := net.Dial("tcp", srv.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			pipeline := strings.Repeat(bc.command, bc.depth)
			replies := make([]byte, len(bc.reply)*bc.depth)
			roundTrip(b, conn, frame("SET", "key", "value"), make([]byte, 5))
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += bc.depth {
				roundTrip(b, conn, pipeline, replies)
			}
			b.StopTimer()
			if got := string(replies[:len(bc.reply)]); got != bc.reply {
				b.Fatalf("the reply is %q", got)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
		})
	}
}

func roundTrip(b *testing.B, conn net.Conn, send string, into []byte) {
	if _, err := io.WriteString(conn, send); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(conn, into); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFrames measures the parser alone.
func BenchmarkFrames(b *testing.B) {
	for _, size := range []int{5, 1024} {
		b.Run(fmt.Sprintf("SET/%d", size), func(b *testing.B) {
			input := []byte(frame("SET", "key", strings.Repeat("v", size)))
			p := frameParser{limits: Config{}.withDefaults().frameLimits()}
			b.SetBytes(int64(len(input)))
			b.ReportAllocs()
			for b.Loop() {
				if args, _, err := p.parse(input); err != nil || len(args) != 3 {
					b.Fatal(args, err)
				}
			}
		})
	}
}

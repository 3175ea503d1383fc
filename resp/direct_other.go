//go:build !unix

package resp

import "net"

// directWriter is known on Unix only; elsewhere the outbox writes everything.
type directWriter struct{}

func newDirectWriter(net.Conn) *directWriter { return nil }

func (*directWriter) write([]byte) int { return 0 }

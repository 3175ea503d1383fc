//go:build !unix

package resp

import "net"

// directWriter is known on Unix only; elsewhere the outbox writes everything.
type directWriter struct{}

func newDirectWriter(net.Conn) *directWriter { return nil }

func (*directWriter) write([]byte) int { return 0 }

// directReader is known on Unix only.
type directReader struct{}

func newDirectReader(net.Conn) *directReader { return nil }

func (*directReader) read([]byte) (int, error) { return 0, nil }

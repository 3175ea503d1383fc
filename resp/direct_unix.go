//go:build unix

package resp

import (
	"net"
	"syscall"
)

// directWriter writes to a socket what the socket takes at once.
type directWriter struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool // try, made once
	b    []byte
	n    int
}

// newDirectWriter gives nil for a connection that is not a bare socket.
func newDirectWriter(conn net.Conn) *directWriter {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	d := &directWriter{raw: raw}
	d.call = d.try
	return d
}

// write never waits; it must not run twice at a time, nor beside the
// connection's Write. It gives the number of bytes that were taken. Errors
// are left to the next Write to find.
func (d *directWriter) write(b []byte) int {
	if d == nil {
		return 0
	}
	d.b, d.n = b, 0
	_ = d.raw.Write(d.call)
	d.b = nil
	return d.n
}

func (d *directWriter) try(fd uintptr) bool {
	if n, err := syscall.Write(int(fd), d.b); err == nil {
		d.n = n
	}
	return true // whatever came of it, do not wait for the socket
}

//go:build unix

package resp

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Most of what a short command costs is the way in and out of the system. Go's
// own way is made for calls that may block: the scheduler is told before and
// after each. A socket's read or write never blocks here, so it goes without
// (socketRead, socketWrite), where the system has such a way.

// rawSocket gives nil for a connection that is not a bare socket.
func rawSocket(conn net.Conn) syscall.RawConn {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// directWriter writes to a socket what the socket takes at once.
type directWriter struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool // try, made once
	b    []byte
	n    int
}

// newDirectWriter gives nil for a connection that is not a bare socket.
func newDirectWriter(conn net.Conn) *directWriter {
	raw := rawSocket(conn)
	if raw == nil {
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
	if n, err := socketWrite(fd, d.b); err == nil {
		d.n = n
	}
	return true // whatever came of it, do not wait for the socket
}

// directReader reads from a socket.
type directReader struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool // try, made once
	b    []byte
	n    int
	err  error
}

// newDirectReader gives nil for a connection that is not a bare socket.
func newDirectReader(conn net.Conn) *directReader {
	raw := rawSocket(conn)
	if raw == nil {
		return nil
	}
	d := &directReader{raw: raw}
	d.call = d.try
	return d
}

// read is the connection's Read, with its deadline. It must not run twice at a
// time.
func (d *directReader) read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	d.b = b
	err := d.raw.Read(d.call)
	d.b = nil
	switch {
	case err != nil:
		return 0, err
	case d.err != nil:
		return 0, os.NewSyscallError("read", d.err)
	case d.n == 0:
		return 0, io.EOF
	}
	return d.n, nil
}

// try says false to be called again when there is something to read.
func (d *directReader) try(fd uintptr) bool {
	for {
		d.n, d.err = socketRead(fd, d.b)
		if !errors.Is(d.err, syscall.EINTR) {
			return !errors.Is(d.err, syscall.EAGAIN)
		}
	}
}

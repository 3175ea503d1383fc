//go:build !linux

package eventloop

import (
	"errors"
	"net"
)

// Group is what there is none of here.
type Group struct{}

// New fails.
func New(int, func(int)) (*Group, error) { return nil, errors.ErrUnsupported }

// Take fails.
func (*Group) Take(*net.TCPConn) (*Conn, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Group) Close() {}

// Conn is what there is none of here.
type Conn struct{ net.Conn }

// Serve, Rest, Resting, Pending, Wake, TryRead and TryWrite are never called.
func (*Conn) Serve(func(int))             {}
func (*Conn) Rest() bool                  { return false }
func (*Conn) Resting() bool               { return false }
func (*Conn) Pending() bool               { return false }
func (*Conn) Wake()                       {}
func (*Conn) TryRead([]byte) (int, error) { return 0, errors.ErrUnsupported }
func (*Conn) TryWrite([]byte) int         { return 0 }

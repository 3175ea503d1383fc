//go:build unix

package server

import (
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostFiles is how many descriptors this process may have; 0: any number. Go's
// runtime has raised the limit as far as it may.
func mostFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > math.MaxInt32 {
		return 0
	}
	return int(l.Cur)
}

// lowestFree gives the lowest number that no descriptor has, now that conn has
// one: the system gives it to who asks for another. All below are taken.
func lowestFree(conn net.Conn) int {
	n := 0
	c, ok := conn.(syscall.Conn)
	if !ok {
		return n
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return n
	}
	_ = raw.Control(func(fd uintptr) {
		if n, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			_ = unix.Close(n)
		}
	})
	if err != nil { // there is none
		return math.MaxInt
	}
	return n
}

//go:build linux && !race

package resp

import (
	"syscall"
	"unsafe"
)

// socketRead is read(2) on a socket that does not block; b must not be empty.
func socketRead(fd uintptr, b []byte) (int, error) { return socketCall(syscall.SYS_READ, fd, b) }

// socketWrite is write(2) on a socket that does not block; b must not be empty.
func socketWrite(fd uintptr, b []byte) (int, error) { return socketCall(syscall.SYS_WRITE, fd, b) }

func socketCall(call, fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

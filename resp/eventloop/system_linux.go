//go:build !race

package eventloop

import (
	"syscall"
	"unsafe"
)

// Go's own way into the system is made for calls that may block: the scheduler
// is told before and after each. These never do, so they go without.

// read is read(2) on a socket that does not block; b must not be empty.
func read(fd int, b []byte) (int, error) { return transfer(syscall.SYS_READ, fd, b) }

// write is write(2) on a socket that does not block; b must not be empty.
func write(fd int, b []byte) (int, error) { return transfer(syscall.SYS_WRITE, fd, b) }

func transfer(call uintptr, fd int, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// poll gives the events that are there.
func poll(epoll int, events []syscall.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

//go:build race

package eventloop

import "syscall"

// The race detector learns from package syscall what a byte that was read says
// of who wrote it.

func read(fd int, b []byte) (int, error) {
	for {
		if n, err := syscall.Read(fd, b); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

func write(fd int, b []byte) (int, error) {
	for {
		if n, err := syscall.Write(fd, b); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

func poll(epoll int, events []syscall.EpollEvent) int {
	n, _ := syscall.EpollWait(epoll, events, 0)
	return max(n, 0)
}

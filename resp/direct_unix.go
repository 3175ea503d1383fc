//go:build unix && (!linux || race)

package resp

import "syscall"

// The race detector learns from package syscall what a byte that was read says of
// who wrote it.

// socketRead is read(2) on a socket that does not block.
func socketRead(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }

// socketWrite is write(2) on a socket that does not block.
func socketWrite(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }

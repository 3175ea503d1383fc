package raftfsm

import (
	"errors"
	"os"
	"syscall"
)

// syncData puts what was written to a file on disk, and of what the file system
// knows of it only what is needed to read it again.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

package raftfsm

import (
	"os"
	"syscall"
)

// openDirect opens a file for writes past the page cache. Some file systems
// refuse it here, some at the first write.
func openDirect(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|syscall.O_DIRECT, 0)
}

package storage

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Flags of sync_file_range(2).
const (
	waitBefore = 1
	startWrite = 2
)

// flushRange has the system begin to write a part of a file to the disk, after
// what it began before is there; a part that ends at 0 goes on to the end. It
// is no sync: nothing is safe after it. A file system that knows nothing of it
// is left alone.
func flushRange(f *os.File, from, to int64) error {
	err := syscall.SyncFileRange(int(f.Fd()), 0, from, waitBefore)
	if err == nil {
		err = syscall.SyncFileRange(int(f.Fd()), from, max(to-from, 0), startWrite)
	}
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ESPIPE) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing %s to the disk: %w", f.Name(), err)
	}
	return nil
}

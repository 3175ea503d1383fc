package storage

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes an exclusive lock on an open file or fails at once.
func lockFile(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{})
}

// SyncDir does nothing: the system keeps folders in its own journal.
func SyncDir(string) error { return nil }

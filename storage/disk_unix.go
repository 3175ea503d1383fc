//go:build linux || darwin || freebsd

package storage

import "syscall"

// diskRoom is how many bytes the disk of a folder has left for us.
func diskRoom(dir string) (free int64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}

//go:build linux || darwin || freebsd

package node

import "syscall"

// diskOf gives the size of the file system that a folder is on; zero if it
// cannot be told.
func diskOf(dir string) Disk {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return Disk{}
	}
	var file syscall.Stat_t
	if err := syscall.Stat(dir, &file); err != nil {
		return Disk{}
	}
	block := uint64(st.Bsize)
	return Disk{Total: st.Blocks * block, Free: uint64(st.Bavail) * block, device: uint64(file.Dev)}
}

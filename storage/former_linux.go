package storage

import (
	"os"
	"syscall"

	"go.etcd.io/bbolt"
)

const goesInPieces = true

// hasName says whether a file can be opened by anybody else.
func hasName(f *os.File) bool {
	var s syscall.Stat_t
	return syscall.Fstat(int(f.Fd()), &s) != nil || s.Nlink > 0
}

// forgetPages takes part of a data file out of the address space: its pages
// come back when they are looked at.
func forgetPages(b *bbolt.DB, at, size int64) {
	const dontNeed = 4 // MADV_DONTNEED
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, b.Info().Data+uintptr(at), uintptr(size), dontNeed)
}

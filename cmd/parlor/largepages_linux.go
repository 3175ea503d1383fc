package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A node's rows lie all over some hundred megabytes of memory, and a processor
// remembers where but a few thousand pages are: with pages of 4 KB, most looks
// at a row begin with finding its page. Linux gives pages of 2 MB to who asks.
// Go's runtime does not, and asking for all of its memory would let the kernel
// fill in behind its back what it has given back. So this asks for those 2 MB
// of which each page is in use, which take no more room than before.
const (
	smallPage     = 4 << 10
	largePage     = 2 << 20
	largeEvery    = 5 * time.Second
	largeRests    = 8 // times as long as the kernel copied: who needs a page waits meanwhile
	largeSettings = "/sys/kernel/mm/transparent_hugepage/enabled"
)

// useLargePages has the memory of the process put into large pages, as it comes
// into use, until ctx ends. It does nothing where the system's settings say
// never, or the kernel is not asked like this (before 6.1).
func useLargePages(ctx context.Context) {
	if !largePagesAllowed() {
		return
	}
	every := time.NewTicker(largeEvery)
	defer every.Stop()
	for l := make(largePages); ; {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		if err := l.pass(ctx); err != nil {
			return
		}
	}
}

// largePagesAllowed says whether the system gives large pages of 2 MB to who asks.
func largePagesAllowed() bool {
	s, err := os.ReadFile(largeSettings)
	if err != nil || bytes.Contains(s, []byte("[never]")) || os.Getpagesize() != smallPage {
		return false
	}
	_, _, unknown := unix.Syscall(unix.SYS_MADVISE, 0, 0, unix.MADV_COLLAPSE) // of no memory
	return unknown == 0
}

// largePages are the addresses, by 2 MB, of memory that was tried to be put into
// a large page and has been in use as a whole since, with whether it is in one.
type largePages map[uintptr]bool

// pass looks at all of the memory that the process has to itself.
func (l largePages) pass(ctx context.Context) error {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	for line := range bytes.Lines(maps) {
		var start, end uintptr
		var rights string
		var offset, major, minor, inode uint64
		if _, err := fmt.Sscanf(string(line), "%x-%x %s %x %x:%x %d", &start, &end, &rights, &offset, &major, &minor, &inode); err != nil || rights != "rw-p" || inode != 0 {
			continue
		}
		start = (start + largePage - 1) &^ (largePage - 1)
		for at := start; at+largePage <= end && ctx.Err() == nil; at += largePage {
			l.look(at)
		}
	}
	return ctx.Err()
}

// look puts the 2 MB at an address into one page, if each page of them is in
// use and that was not tried before. It fails where no large page is free, or
// something forbids it here.
func (l largePages) look(at uintptr) {
	if !inUse(at) {
		delete(l, at)
		return
	}
	if _, tried := l[at]; tried {
		return
	}
	began := time.Now()
	_, _, failed := unix.Syscall(unix.SYS_MADVISE, at, largePage, unix.MADV_COLLAPSE)
	l[at] = failed == 0
	time.Sleep(largeRests * time.Since(began))
}

// inUse says whether each page of the 2 MB at an address is in memory, and the
// address still the process' own.
func inUse(at uintptr) bool {
	var pages [largePage / smallPage]byte
	// The address is no pointer to Go: the runtime would look at what it points to.
	_, _, failed := unix.Syscall(unix.SYS_MINCORE, at, largePage, uintptr(unsafe.Pointer(&pages)))
	if failed != 0 {
		return false
	}
	for _, p := range pages {
		if p&1 == 0 {
			return false
		}
	}
	return true
}

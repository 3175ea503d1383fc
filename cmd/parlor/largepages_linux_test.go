package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is in use as a whole becomes a large page while it is written to, keeps
// what is in it, and comes again after some of it was given back; 2 MB with room
// in them are left alone, so that memory never grows by this.
func TestLargePages(t *testing.T) {
	if !largePagesAllowed() {
		t.Skip("the system has no large pages for programs that ask")
	}
	memory, at := lonelyMemory(t, 3*largePage)
	for i := range memory[:3*largePage-smallPage] {
		memory[i] = byte(i * 7 >> 3)
	}
	l := make(largePages)
	pass := func() {
		t.Helper()
		done, stopped := make(chan bool), make(chan bool)
		go func() {
			defer close(stopped)
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
					memory[n*8%(2*largePage)]++
					memory[n*8%(2*largePage)]--
				}
			}
		}()
		err := l.pass(t.Context())
		close(done)
		<-stopped
		switch {
		case err != nil:
			t.Fatal(err)
		case !l[at] || !l[at+largePage]:
			t.Skip("the system has no large page free now")
		}
	}
	expect := func(after string, large, resident int) {
		t.Helper()
		if l, r := memoryAt(t, at); l != large || r != resident {
			t.Errorf("%s %d kB are in large pages and %d kB in memory, want %d and %d", after, l>>10, r>>10, large>>10, resident>>10)
		}
		for i := range memory[largePage : 3*largePage-smallPage] {
			if i += largePage; memory[i] != byte(i*7>>3) {
				t.Fatalf("%s byte %d is %d", after, i, memory[i])
			}
		}
	}

	pass()
	expect("at first", 2*largePage, 3*largePage-smallPage)
	if err := unix.Madvise(memory[:smallPage], unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	expect("after a page was given back", largePage, 3*largePage-2*smallPage)
	if l.look(at); l[at] {
		t.Error("memory with room still counts as a large page")
	}
	memory[0] = 1
	pass()
	expect("when it is in use again", 2*largePage, 3*largePage-smallPage)
}

// lonelyMemory gives so many bytes, at an address that a large page may have and
// with nothing beside it.
func lonelyMemory(t *testing.T, size int) (memory []byte, at uintptr) {
	t.Helper()
	all, err := unix.Mmap(-1, 0, size+2*largePage, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(all) })
	start := uintptr(unsafe.Pointer(&all[0]))
	at = (start + largePage) &^ (largePage - 1)
	memory = all[at-start : int(at-start)+size : int(at-start)+size]
	if err := unix.Mprotect(memory, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	return memory, at
}

// memoryAt is how many bytes of the mapping that begins at an address are in
// large pages, and in memory.
func memoryAt(t *testing.T, at uintptr) (large, resident int) {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	_, mapping, ok := bytes.Cut(smaps, fmt.Appendf(nil, "\n%x-", at))
	if !ok {
		t.Fatalf("nothing begins at %x", at)
	}
	for line := range bytes.Lines(mapping) {
		if n, _ := fmt.Sscanf(string(line), "Rss: %d", &resident); n == 1 {
			continue
		}
		if n, _ := fmt.Sscanf(string(line), "AnonHugePages: %d", &large); n == 1 {
			return large << 10, resident << 10
		}
	}
	t.Fatal("the kernel does not tell what is in large pages")
	return 0, 0
}

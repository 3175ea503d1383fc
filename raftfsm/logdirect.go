package raftfsm

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// appender writes to a file of the log past the kernel's page cache: a sync has
// then no pages to look for and to write first, which is half of what the
// processor does for a small append, and what was appended goes to the disk as one
// request.
//
// Such writes are of whole blocks, from memory that begins at one. So the block
// that the log ends in is kept, and written again with what comes after it: the
// same bytes over those that are there, which a write that a power cut tears
// leaves as they were, whichever sectors it has done.
//
// Where a file system or a disk does not take such writes, they go through the
// page cache. Who reads the file always does so: the kernel drops from there what is
// written past it.
type appender struct {
	direct *os.File // the file once more; nil: not opened yet, or refused
	cached bool     // it was refused

	blocks []byte // begins at a block; its first used bytes are those of the file from at on
	at     int64
	used   int
}

const (
	// directBlock is at least as much as usual disks take at a time.
	directBlock = 4 << 10
	// directStep is how much is written at a time.
	directStep = 1 << 20
)

// append writes p into a file, always the same one, which must be readable unless
// all appends begin at a block. What is behind p in its last block may be zeros
// afterwards: a log has nothing behind its end.
func (a *appender) append(f *os.File, p []byte, at int64) error {
	if !a.cached {
		err := a.appendDirect(f, p, at)
		if err == nil || !refusal(err) {
			return err
		}
		a.cached = true // and all of p is written again
		if err := a.close(); err != nil {
			return err
		}
	}
	_, err := f.WriteAt(p, at)
	return err
}

// refusal: a file system says so when the file is opened or first written to.
func refusal(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}

func (a *appender) appendDirect(f *os.File, p []byte, at int64) (err error) {
	if a.direct == nil {
		if a.direct, err = openDirect(f.Name()); err != nil {
			return err
		}
	}
	if at != a.at+int64(a.used) || a.blocks == nil {
		if err := a.begin(f, at); err != nil {
			return err
		}
	}
	for len(p) > 0 {
		piece := p[:min(len(p), directStep)]
		p = p[len(piece):]
		if err := a.write(piece); err != nil {
			return err
		}
	}
	return nil
}

// begin reads what there is before at in the same block.
func (a *appender) begin(f *os.File, at int64) error {
	a.grow(directBlock)
	a.used = int(at % directBlock)
	a.at = at - int64(a.used)
	_, err := f.ReadAt(a.blocks[:a.used], a.at)
	return err
}

func (a *appender) write(p []byte) error {
	end := a.used + len(p)
	whole := (end + directBlock - 1) / directBlock * directBlock
	a.grow(whole)
	copy(a.blocks[a.used:], p)
	clear(a.blocks[end:whole])
	if _, err := a.direct.WriteAt(a.blocks[:whole], a.at); err != nil {
		return err
	}
	full := end / directBlock * directBlock
	copy(a.blocks, a.blocks[full:end])
	a.at, a.used = a.at+int64(full), end-full
	return nil
}

// grow makes room for n bytes, a number of blocks.
func (a *appender) grow(n int) {
	if n <= len(a.blocks) {
		return
	}
	b := make([]byte, 2*n+directBlock)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % directBlock)
	copy(b[skip:], a.blocks[:a.used])
	a.blocks = b[skip : skip+2*n]
}

// close leaves the file open that was appended to.
func (a *appender) close() error {
	if a.direct == nil {
		return nil
	}
	err := a.direct.Close()
	a.direct = nil
	return err
}

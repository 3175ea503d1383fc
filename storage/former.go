package storage

import (
	"context"
	"os"
	"time"
)

// A data file whose name another one has got goes when its last reader has
// left. To unmap and close it at once would take the system some 50 ms for each
// gigabyte that it keeps of it, in which it does nothing else on that processor,
// and where several nodes are on one machine all their files tend to go at the
// same time. So it goes in pieces, with rests: some seconds for each gigabyte.

const (
	formerPiece = 4 << 20               // that is taken out of the address space at a time
	formerRest  = 10 * time.Millisecond // at least; and restFactor times as long as the piece took
	shedPiece   = 1 << 20
)

// former is what is known of a file whose name another one has got.
type former struct {
	file *os.File        // another descriptor of it
	hold context.Context // there is no time to rest any more when it ends
}

// keepFormer prepares for a file to be replaced. Nil: it goes at once, where
// the system does not let a file that is open be replaced, or has no more
// descriptors.
func keepFormer(ctx context.Context, path string) *former {
	if !goesInPieces {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	return &former{f, ctx}
}

// giveUp closes the file, and takes from it what it has. Nobody reads it.
func (f *file) giveUp() {
	defer close(f.done)
	defer f.former.file.Close()
	info, err := f.former.file.Stat()
	if err != nil {
		f.err = f.bolt.Close()
		return
	}
	rests := true
	for at := int64(0); rests && at < info.Size(); at += formerPiece {
		begun := time.Now()
		forgetPages(f.bolt, at, min(formerPiece, info.Size()-at))
		rests = f.former.rest(time.Since(begun))
	}
	f.err = f.bolt.Close()
	if hasName(f.former.file) {
		return // somebody has linked to it, and wants it as it is
	}
	if rests {
		_ = Shed(f.former.file, 0, f.former.rest) // if it does not, it goes at once
	}
}

// Shed shortens a file to size, piece by piece from its end. rest is called
// after each piece with how long it took, and says whether there is time for
// another; if not, the file stays longer. A file system that tells the disk what
// is free now (mount option discard) has everybody who syncs wait while it does:
// a millisecond for each megabyte that goes at once, and more.
func Shed(f *os.File, size int64, rest func(took time.Duration) bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for at := info.Size(); at > size; {
		at = max(at-shedPiece, size)
		begun := time.Now()
		if err := f.Truncate(at); err != nil {
			return err
		}
		if !rest(time.Since(begun)) {
			break
		}
	}
	return nil
}

// rest says false when there is no time for it.
func (f *former) rest(worked time.Duration) bool {
	return rest(f.hold, max(formerRest, restFactor*worked))
}

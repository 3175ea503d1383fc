package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The ballast is a file that does nothing but take room. On a disk that is
// really full, nothing works any more, not even what would make room: deleting
// the ballast gives the operator some at once.

// BallastFile is its name in the data folder.
const BallastFile = "ballast"

const (
	ballastShare = 100 // of the disk is the ballast one part
	ballastMost  = 256 << 20
)

// ballastSize is how large the ballast is to be on a disk; 0: none.
func (l Limits) ballastSize(total uint64) uint64 {
	if l.Ballast >= 0 {
		return uint64(l.Ballast)
	}
	return min(total/ballastShare, ballastMost)
}

// keepBallast makes the ballast if there is none and the disk has plenty of
// room for it.
func (n *Node) keepBallast(d Disk) {
	size := n.opt.Limits.ballastSize(d.Total)
	path := filepath.Join(n.opt.Dir, BallastFile)
	if size == 0 || d.Free < size+2*n.opt.Limits.need(d.Total) {
		return
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err := makeBallast(path, size); err != nil {
		n.complaining("making the ballast file: without it a full disk is harder to get out of", err)
		return
	}
	n.log.Info("made a file that only takes room, to be deleted when the disk is full", "file", path, "bytes", size)
}

func makeBallast(path string, size uint64) error {
	tmp := path + ".new" // a crash leaves it; the next attempt begins anew
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(occupy(f, int64(size)), f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("taking %d bytes: %w", size, err), os.Remove(tmp))
	}
	return nil
}

// fill takes room by writing zeros, where the file system cannot do it at
// once.
func fill(f *os.File, size int64) error {
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// ballast is how large the file is now.
func (n *Node) ballast() uint64 {
	info, err := os.Lstat(filepath.Join(n.opt.Dir, BallastFile))
	if err != nil {
		return 0
	}
	return uint64(info.Size())
}

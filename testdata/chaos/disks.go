package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/parlorchat/parlor/testdata/powercut/disk"
)

// drive is a disk of one machine: an ext4 file system in a file, and over it
// one that forgets, hangs and is slow.
type drive struct {
	*disk.Disk
	base string
}

// driveSize is what the drive pretends to have; the file takes what is written.
const driveSize = 16 << 30

// newDrive makes and mounts the drive in the folder base. It must be called
// inside.
func newDrive(base string, seed uint64) (*drive, error) {
	image := base + ".img"
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := errors.Join(os.Truncate(image, driveSize), os.MkdirAll(base, 0o700)); err != nil {
		return nil, err
	}
	if err := sh("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image); err != nil {
		return nil, err
	}
	if err := sh("mount", "-o", "loop", image, base); err != nil {
		return nil, err
	}
	d, err := disk.New(base, seed)
	if err != nil {
		return nil, errors.Join(err, sh("umount", base))
	}
	return &drive{d, base}, nil
}

func (d *drive) filler() string { return filepath.Join(d.base, "filler") }

// fill takes all room but so many bytes.
func (d *drive) fill(leave int64) error {
	f, err := os.OpenFile(d.filler(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		st, free, err := stat(f)
		if err != nil {
			return err
		}
		take := free - leave
		if take <= 0 {
			return nil
		}
		// Near the end the file system itself needs some: halve until it fits.
		for ; take >= 4096; take /= 2 {
			if err = syscall.Fallocate(int(f.Fd()), 0, st.Size, take); !errors.Is(err, syscall.ENOSPC) {
				break
			}
		}
		if errors.Is(err, syscall.ENOSPC) || take < 4096 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("filling the disk: %w", err)
		}
	}
}

func stat(f *os.File) (st syscall.Stat_t, free int64, err error) {
	var fs syscall.Statfs_t
	err = errors.Join(syscall.Fstat(int(f.Fd()), &st), syscall.Fstatfs(int(f.Fd()), &fs))
	return st, int64(fs.Bavail) * fs.Bsize, err
}

// room gives back what fill has taken.
func (d *drive) room() error {
	if err := os.Remove(d.filler()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// powerOn begins anew after a cut, when nobody uses the disk any more.
func (d *drive) powerOn() error { return errors.Join(d.Off(), d.On()) }

// remove unmounts all.
func (d *drive) remove() error {
	d.Cut()
	return errors.Join(d.Off(), sh("umount", d.base))
}

// drivesWork says whether drives can be made here, and why not.
func drivesWork() bool {
	for _, name := range []string{"mkfs.ext4", "mount"} {
		if _, err := exec.LookPath(name); err != nil {
			fmt.Println("the nodes have no disks of their own:", err)
			return false
		}
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		fmt.Println("the nodes have no disks of their own:", err)
		return false
	}
	return true
}

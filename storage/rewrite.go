package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Rewrite writes a part of a file over itself, as it is read, and syncs; of a
// file that is shorter, as much as there is. It is for what a process has left
// that ended at any point, before it counts.
//
// What can be read then need not be on disk. A process that was killed between a
// write and its sync leaves what a power cut would take. And after a sync that
// failed, the system takes what it could not write for written: it shows it, and
// no later sync writes it. Who believed that would stand for entries and votes that
// are lost with the power. After Rewrite they are on disk, whatever they are.
func Rewrite(path string, from, to int64) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, to-from)
	n, err := f.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if _, err := f.WriteAt(b[:n], from); err != nil {
		return fmt.Errorf("writing again what was left: %w", err)
	}
	return f.Sync()
}

// RewriteHead is Rewrite for the pages of a bbolt file that say where all else is,
// which was on disk before they were written.
func RewriteHead(path string) error { return Rewrite(path, 0, boltHead) }

// boltHead is the size of two pages on machines whose pages are the largest.
const boltHead = 2 * 64 << 10

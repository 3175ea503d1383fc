package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// RewriteHead writes the pages of a bbolt file that say where all else is over
// themselves, and syncs. All else was on disk before they were written. It is for
// what a process has left that ended at any point, before it counts.
//
// What can be read then need not be on disk. A process that was killed between a
// write and its sync leaves what a power cut would take. And after a sync that
// failed, the system takes what it could not write for written: it shows it, and
// no later sync writes it. Who believed that would stand for rows and votes that are
// lost with the power. After RewriteHead they are on disk, whatever they are.
func RewriteHead(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head := make([]byte, boltHead)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if _, err := f.WriteAt(head[:n], 0); err != nil {
		return fmt.Errorf("writing again what was left: %w", err)
	}
	return f.Sync()
}

// boltHead is the size of two pages on machines whose pages are the largest.
const boltHead = 2 * 64 << 10

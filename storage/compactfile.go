package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// CompactOptions say how a table that nobody uses is compacted.
type CompactOptions struct {
	// Progress hears from time to time how many rows were copied. nil: nobody.
	Progress func(rows int64)
}

// CompactReport is what became of a data file.
type CompactReport struct {
	Before, After int64 // length of the file, bytes
	Rows          int64 // copied
	Took          time.Duration
}

// copySteps gives the size of the transactions of a copy that nobody waits for.
func copySteps() steps { return steps{rows: 8192, bytes: 4 << 20} }

// Compact writes the data file of a table that nobody uses anew, without its
// free pages. The new file takes the place of the old one at the end, in one
// step: whatever ends the process before leaves the table as it was. It needs
// room on disk for the new file beside the old one.
func Compact(dir string, opt CompactOptions) (*CompactReport, error) {
	release, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	started := time.Now()
	r := &CompactReport{}
	tmp := filepath.Join(dir, compactingName)
	path := filepath.Join(dir, dataName)
	if r.Before, err = sizeOf(path); err != nil {
		return nil, fmt.Errorf("compacting: %w", err)
	}
	err = readFolder(dir, func(o *offlineFile) error {
		c, err := newCopy(tmp, o.base)
		if err != nil {
			return err
		}
		if err := o.copyTo(c, opt.Progress); err != nil {
			return errors.Join(err, c.close())
		}
		r.Rows = c.rows
		s := o.saved()
		return c.seal(s.state, s.meta)
	})
	if err == nil {
		err = replaceFile(tmp, path)
	}
	if err != nil {
		return nil, fmt.Errorf("compacting: %w", errors.Join(err, removeIfThere(tmp)))
	}
	// What it had, if anything, is in the new file.
	if err := removeIfThere(filepath.Join(dir, journalName)); err != nil {
		return nil, fmt.Errorf("compacting: %w", err)
	}
	if r.After, err = sizeOf(path); err != nil {
		return nil, fmt.Errorf("compacting: %w", err)
	}
	r.Took = time.Since(started)
	return r, nil
}

// copyTo copies all rows, those of an unfinished checkpoint on top.
func (o *offlineFile) copyTo(c *rowCopy, progress func(rows int64)) error {
	for !c.done {
		if _, err := c.step(o.base, copySteps()); err != nil {
			return err
		}
		if progress != nil {
			progress(c.rows)
		}
	}
	if o.journal == nil {
		return nil
	}
	_, err := inSteps(o.journal.rows, copySteps, nil, c.mirror)
	return err
}

func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

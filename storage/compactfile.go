package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
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
	err = readFolder(dir, func(o *offlineFile) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		r.Before = info.Size()
		c, err := newCopy(tmp, o.base)
		if err != nil {
			return err
		}
		for done := false; !done && err == nil; {
			done, err = c.step(o.base, copyStepRows, copyStepBytes)
			if opt.Progress != nil {
				opt.Progress(c.rows)
			}
		}
		r.Rows = c.rows
		if err == nil {
			err = c.seal(o.base.state, o.base.meta)
		}
		return errors.Join(err, c.close())
	})
	if err == nil {
		err = replaceFile(tmp, path)
	}
	if err != nil {
		return nil, fmt.Errorf("compacting: %w", errors.Join(err, removeIfThere(tmp)))
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("compacting: %w", err)
	}
	r.After, r.Took = info.Size(), time.Since(started)
	return r, nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// What a step of a copy writes, about.
const (
	copyStepRows  = 4096
	copyStepBytes = 1 << 20
	// copySyncBytes is after how much the copy is brought to disk, so that it
	// is not all left to the end.
	copySyncBytes = 32 << 20
)

// rowCopy is a data file in the making: the rows of another one, in order,
// step by step. Nothing of it counts before seal.
type rowCopy struct {
	bolt     *bbolt.DB
	next     []byte // the first key not yet copied; nil: none was
	done     bool   // every row was
	rows     int64
	unsynced int64 // bytes written since the last sync
}

// newCopy makes a data file like the one of b, without its rows.
func newCopy(path string, b *base) (*rowCopy, error) {
	if err := removeIfThere(path); err != nil {
		return nil, fmt.Errorf("making the copy: %w", err)
	}
	opt := boltOptions(0)
	opt.NoSync = true // until seal
	bolt, err := bbolt.Open(path, 0o600, opt)
	if err != nil {
		return nil, fmt.Errorf("making the copy: %w", err)
	}
	err = bolt.Update(func(tx *bbolt.Tx) error { return initFile(tx, b.cluster()) })
	if err != nil {
		return nil, fmt.Errorf("making the copy: %w", errors.Join(err, bolt.Close()))
	}
	return &rowCopy{bolt: bolt}, nil
}

// step copies the next rows of b, about as many as the limits say, in one
// transaction.
func (c *rowCopy) step(b *base, maxRows int, maxBytes int64) (done bool, err error) {
	if c.done {
		return true, nil
	}
	var next []byte
	rows, size := 0, int64(0)
	err = c.bolt.Update(func(tx *bbolt.Tx) error {
		into := tx.Bucket(bucketRows)
		into.FillPercent = fillPercent
		from := b.rows.Cursor()
		k, v := from.Seek(c.next)
		for ; k != nil; k, v = from.Next() {
			if rows >= maxRows || size >= maxBytes {
				next = bytes.Clone(k)
				return nil
			}
			if err := into.Put(k, v); err != nil {
				return err
			}
			rows++
			size += int64(len(k) + len(v))
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("copying rows: %w", err)
	}
	c.next, c.done = next, next == nil
	c.rows += int64(rows)
	c.unsynced += size
	if c.unsynced >= copySyncBytes {
		c.unsynced = 0
		if err := c.bolt.Sync(); err != nil {
			return false, fmt.Errorf("copying rows: %w", err)
		}
	}
	return c.done, nil
}

// seal says what the copy holds and brings it to disk.
func (c *rowCopy) seal(s State, m Meta) error {
	if err := c.bolt.Update(func(tx *bbolt.Tx) error { return putMeta(tx, s, m) }); err != nil {
		return fmt.Errorf("finishing the copy: %w", err)
	}
	if err := c.bolt.Sync(); err != nil {
		return fmt.Errorf("finishing the copy: %w", err)
	}
	return nil
}

func (c *rowCopy) close() error { return c.bolt.Close() }

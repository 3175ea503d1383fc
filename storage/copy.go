package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// rowCopy is a data file in the making: the rows of another one, in order,
// step by step. Nothing of it counts before seal.
type rowCopy struct {
	path     string
	bolt     *bbolt.DB
	file     *os.File // the same file, to have it written to the disk
	next     []byte   // the first key not yet copied; nil: none was
	done     bool     // every row was
	rows     int64
	unsynced int64 // bytes written since the system was asked to bring them to the disk
	memory   []byte
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
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("making the copy: %w", errors.Join(err, bolt.Close()))
	}
	return &rowCopy{path: path, bolt: bolt, file: f}, nil
}

// step copies the next rows of b, in one transaction.
func (c *rowCopy) step(b *base, most steps) (size int64, err error) {
	if c.done {
		return 0, nil
	}
	var next []byte
	rows := 0
	err = c.update(func(into *rowWriter) error {
		from := b.rows.Cursor()
		k, v := from.Seek(c.next)
		for ; k != nil; k, v = from.Next() {
			if rows >= most.rows || size >= most.bytes {
				next = bytes.Clone(k)
				return nil
			}
			if err := into.put(k, v); err != nil {
				return err
			}
			rows++
			size += int64(len(k) + len(v))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	c.next, c.done = next, next == nil
	c.rows += int64(rows)
	return size, c.written(size)
}

// mirror brings rows that are written to the copied file into the part of the
// copy that is done. The rest will be copied as it is then.
func (c *rowCopy) mirror(rows []row) error {
	size := int64(0)
	err := c.update(func(into *rowWriter) error {
		for _, r := range rows {
			if !c.done && bytes.Compare(r.key, c.next) >= 0 {
				break // rows come in order
			}
			if err := into.put(r.key, r.value); err != nil {
				return err
			}
			size += int64(len(r.key) + len(r.value))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.written(size)
}

func (c *rowCopy) update(fn func(into *rowWriter) error) (err error) {
	defer turnFault(&err)()
	err = c.bolt.Update(func(tx *bbolt.Tx) error {
		rows := tx.Bucket(bucketRows)
		rows.FillPercent = fillPercent
		into := &rowWriter{bucket: rows, memory: c.memory[:0]}
		err := fn(into)
		c.memory = into.memory
		return err
	})
	if err != nil {
		return fmt.Errorf("copying rows: %w", err)
	}
	return nil
}

func (c *rowCopy) written(size int64) error {
	if c.unsynced += size; c.unsynced < steadyBytes {
		return nil
	}
	c.unsynced = 0
	return flushRange(c.file, 0, 0)
}

// seal says what the copy holds, brings it to disk and closes it.
func (c *rowCopy) seal(s State, m Meta) error {
	err := c.bolt.Update(func(tx *bbolt.Tx) error { return putMeta(tx, s, m) })
	if err == nil {
		err = c.bolt.Sync()
	}
	if err = errors.Join(err, c.close()); err != nil {
		return fmt.Errorf("finishing the copy: %w", err)
	}
	return nil
}

func (c *rowCopy) close() error { return errors.Join(c.bolt.Close(), c.file.Close()) }

// discard removes the copy.
func (c *rowCopy) discard() error { return errors.Join(c.close(), removeIfThere(c.path)) }

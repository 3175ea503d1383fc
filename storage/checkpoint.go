package storage

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Errors of checkpoints. Neither is fatal: the table is as it was.
var (
	// ErrStale: the table was replaced by a snapshot after the freeze. What
	// was frozen belongs to a table that no longer exists.
	ErrStale = errors.New("the checkpoint is of a table that was replaced meanwhile")
	// ErrCheckpointOpen: the checkpoint before was not released yet.
	ErrCheckpointOpen = errors.New("a checkpoint is being written")
)

// fillPercent of pages: rows come sorted, and most are appended.
const fillPercent = 0.9

// Checkpoint is the table as it was at a Freeze, to be written to the data
// file.
type Checkpoint struct {
	db      *DB
	epoch   uint64
	state   State
	rows    *overlay
	written bool
}

// Freeze makes a checkpoint of the table as it is now, in constant time. Only
// the apply goroutine calls it, between batches. The caller must Release it.
func (db *DB) Freeze() (*Checkpoint, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	switch {
	case db.closed:
		return nil, ErrClosed
	case db.failed != nil:
		return nil, db.failed
	case db.frozen != nil:
		return nil, ErrCheckpointOpen
	}
	db.frozen, db.active, db.copied = db.active, db.active.next(), nil
	return &Checkpoint{db: db, epoch: db.epoch, state: db.state, rows: db.frozen}, nil
}

// State is the state at the freeze.
func (c *Checkpoint) State() State { return c.state }

// Stale says whether the table was replaced since the freeze.
func (c *Checkpoint) Stale() bool {
	c.db.mu.RLock()
	defer c.db.mu.RUnlock()
	return c.epoch != c.db.epoch
}

// Write writes the checkpoint, under m, to the data file: all of it, or
// nothing, durable when Write returns. It may run while batches are applied
// to the table.
func (c *Checkpoint) Write(m Meta) error {
	db := c.db
	db.disk.Lock()
	defer db.disk.Unlock()
	if err := c.writable(m); err != nil {
		return err
	}
	started := time.Now()
	done := db.watch("writing a checkpoint", db.opt.CommitTimeout)
	err := db.file.bolt.Update(func(tx *bbolt.Tx) error { return c.writeRows(tx, m) })
	done()
	if err != nil {
		return db.fatal(fmt.Errorf("writing checkpoint %d to %s: %w", m.Index, db.file.path, err))
	}
	fresh, err := db.file.begin()
	if err != nil {
		return db.fatal(err)
	}
	c.publish(fresh)
	db.lastWrite.Store(int64(time.Since(started)))
	db.checkpoints.Add(1)
	return nil
}

// writable guards the order of checkpoints; the caller holds disk.
func (c *Checkpoint) writable(m Meta) error {
	db := c.db
	db.mu.RLock()
	defer db.mu.RUnlock()
	switch {
	case db.closed:
		return ErrClosed
	case db.failed != nil:
		return db.failed
	case c.epoch != db.epoch:
		return ErrStale
	case c.written || db.frozen != c.rows:
		return errors.New("the checkpoint was written or released before")
	case m.Index < c.state.Index:
		return fmt.Errorf("a checkpoint of index %d cannot be filed under %d", c.state.Index, m.Index)
	case m.Index < db.base.meta.Index:
		return fmt.Errorf("checkpoint %d is older than checkpoint %d in the data file", m.Index, db.base.meta.Index)
	}
	return nil
}

func (c *Checkpoint) writeRows(tx *bbolt.Tx, m Meta) error {
	rows := tx.Bucket(bucketRows)
	rows.FillPercent = fillPercent
	var err error
	c.rows.each(func(r row) bool {
		if r.value == nil {
			err = rows.Delete(r.key)
		} else {
			err = rows.Put(r.key, r.value)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	removed, left, err := collectGarbage(rows, c.db.opt.GarbageBudget)
	if err != nil {
		return err
	}
	c.db.garbage.Add(uint64(removed))
	c.db.garbageLeft.Store(left)
	return putMeta(tx, c.state, m)
}

// publish lets readers see the rows in the data file instead of those frozen.
func (c *Checkpoint) publish(fresh *base) {
	db := c.db
	db.mu.Lock()
	old := db.base
	db.base, db.frozen = fresh, nil
	c.written = true
	db.account()
	db.mu.Unlock()
	old.release()
}

// Release ends the checkpoint. If it was not written, its rows go back to
// where the next Freeze finds them.
func (c *Checkpoint) Release() {
	db := c.db
	db.mu.Lock()
	defer db.mu.Unlock()
	if c.written || c.epoch != db.epoch || db.frozen != c.rows {
		return
	}
	// Long readers may hold the frozen layer: change a copy. What was written
	// since the freeze is little, as a checkpoint is given up soon or never.
	// Until the next one, rows are looked up in their shelves.
	whole := db.frozen.copy()
	db.active.each(func(r row) bool {
		whole.set(r)
		return true
	})
	whole.log += db.active.log
	db.active, db.frozen, db.copied = whole, nil, nil
	db.account()
}

package storage

import (
	"errors"
	"fmt"
	"math"
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
	if err := db.unusable(); err != nil {
		return nil, err
	}
	if db.frozen != nil {
		return nil, ErrCheckpointOpen
	}
	db.frozen, db.active, db.copied = db.active, db.active.next(), nil
	db.account()
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
// to the table, and takes its time: see Options.OverlayBudget.
func (c *Checkpoint) Write(m Meta) error {
	db := c.db
	db.disk.Lock()
	defer db.disk.Unlock()
	if err := c.writable(m); err != nil {
		return err
	}
	started := time.Now()
	db.writing.Store(true)
	defer db.writing.Store(false)
	db.pace.begin(c.rows.rows)
	defer db.pace.end()
	db.crash("checkpoint-begins")
	db.orderFrozen(c.rows)
	w := &writing{db: db, file: db.file, rows: c.rows, state: c.state, meta: m}
	if err := w.write(); errors.Is(err, ErrStale) {
		return err
	} else if err != nil {
		return db.fatal(fmt.Errorf("writing checkpoint %d to %s: %w", m.Index, db.file.path, err))
	}
	if err := c.publish(m); err != nil {
		return db.fatal(err)
	}
	db.crash("checkpoint-published")
	db.lastWrite.Store(int64(time.Since(started)))
	db.checkpoints.Add(1)
	db.considerGarbage()
	db.considerCompaction()
	return nil
}

// writable guards the order of checkpoints; the caller holds disk.
func (c *Checkpoint) writable(m Meta) error {
	db := c.db
	db.mu.RLock()
	defer db.mu.RUnlock()
	if err := db.unusable(); err != nil {
		return err
	}
	switch {
	case c.epoch != db.epoch:
		return ErrStale
	case c.written || db.frozen != c.rows:
		return errors.New("the checkpoint was written or released before")
	case m.Index < c.state.Index:
		return fmt.Errorf("a checkpoint of index %d cannot be filed under %d", c.state.Index, m.Index)
	case m.Index < db.saved.meta.Index:
		return fmt.Errorf("checkpoint %d is older than checkpoint %d in the data file", m.Index, db.saved.meta.Index)
	}
	return nil
}

// publish lets readers see the rows in the data file instead of those frozen.
func (c *Checkpoint) publish(m Meta) error {
	db := c.db
	fresh, err := db.file.begin()
	if err != nil {
		return err
	}
	db.mu.Lock()
	old := db.base
	db.base, db.frozen, db.saved = fresh, nil, saved{c.state, m}
	c.written = true
	db.account()
	db.mu.Unlock()
	old.release()
	return nil
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
	for _, r := range db.active.runs {
		whole.addRun(r)
	}
	db.active.eachAbove(func(r row) bool {
		whole.set(r)
		return true
	})
	whole.log += db.active.log
	db.active, db.frozen, db.copied = whole, nil, nil
	db.account()
}

// writing is a checkpoint on its way into the data file. Whoever uses it holds
// disk.
type writing struct {
	db    *DB
	file  *file
	rows  *overlay
	state State
	meta  Meta

	batch  []row // the rows of one transaction
	memory []byte
}

// steps is what one transaction of a checkpoint or of a copy writes, about,
// and one row at least. Of a checkpoint it is the pages that count: rows that
// lie far apart take one each, a hundred that follow each other share one.
type steps struct {
	pages int
	rows  int
	bytes int64
}

const (
	stepPages = 512
	stepRows  = 8192
	stepBytes = 1 << 20
)

// freeShare is how many free pages call for one more page in a transaction:
// each transaction sorts and writes the list of them anew, which must not
// become most of the work.
const freeShare = 128

// grown gives steps that fit a file with so many free pages.
func (s steps) grown(free int) steps {
	if n := free / freeShare; n > s.pages {
		s.bytes *= int64(n) / int64(s.pages)
		s.pages, s.rows = n, max(s.rows, n)
	}
	return s
}

// hasteFactor is how many times the bytes of a step go into a transaction when
// writers are about to wait for the end of the checkpoint. Up to four large rows
// share a leaf of the data file, however large they are: one row a transaction,
// each of them would be written two or three times.
const hasteFactor = 16

// most is what the next transaction writes at most.
func (w *writing) most() steps {
	s := w.file.bolt.Stats()
	most := w.db.opt.steps.grown(s.FreePageN + s.PendingPageN)
	if w.db.pressed() {
		most.bytes = max(most.bytes, hasteFactor*w.db.opt.steps.bytes)
	}
	return most
}

// write brings the checkpoint into the data file: in one transaction if it is
// small, in many that a journal makes one act if not. ErrStale: a snapshot
// that is to be installed does not want to wait.
func (w *writing) write() error {
	if most := w.most(); w.rows.rows <= min(most.pages, most.rows) && w.rows.bytes <= most.bytes {
		return w.writeAtOnce()
	}
	j := &journal{incarnation: w.db.base.incarnation, state: w.state, meta: w.meta, rows: w.rows}
	if err := w.db.writeJournal(j); err != nil {
		return err
	}
	return w.writeInSteps()
}

func (w *writing) writeAtOnce() error {
	_ = w.collect(func([]row) error { return nil }) // in one piece
	w.db.mirror(w.batch)
	err := w.update(func(tx *bbolt.Tx) error {
		if _, err := w.put(tx, w.batch, noLimit); err != nil {
			return err
		}
		return putMeta(tx, w.state, w.meta)
	})
	if err != nil {
		return err
	}
	w.db.remember(w.batch)
	return w.stepGarbage()
}

// writeInSteps needs a journal on disk. It may be done again after a crash.
func (w *writing) writeInSteps() error {
	db := w.db
	db.partial = true
	err := w.collect(func(rows []row) error {
		for len(rows) > 0 {
			n, err := w.step(rows)
			if err != nil {
				return err
			}
			rows = rows[n:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.stepGarbage(); err != nil {
		return err
	}
	db.crash("checkpoint-rows-written")
	err = w.update(func(tx *bbolt.Tx) error {
		if err := markWriting(tx, 0); err != nil {
			return err
		}
		return putMeta(tx, w.state, w.meta)
	})
	if err != nil {
		return err
	}
	db.partial = false
	db.crash("checkpoint-committed")
	return db.removeJournal()
}

// step writes the first of rows in a transaction, and tells how many.
func (w *writing) step(rows []row) (n int, err error) {
	started := time.Now()
	if w.db.installing.Load() > 0 {
		return 0, ErrStale
	}
	err = w.update(func(tx *bbolt.Tx) error {
		if n, err = w.put(tx, rows, w.most().pages); err != nil {
			return err
		}
		return markWriting(tx, w.meta.Index)
	})
	if err != nil {
		return 0, err
	}
	w.db.mirror(rows[:n])
	w.db.remember(rows[:n])
	w.db.pace.filed(n)
	w.db.crash("checkpoint-step")
	w.db.pause(time.Since(started))
	return n, nil
}

// collect calls fn with the rows in pieces that fit into one transaction if
// they share pages; w.batch is the last of them.
func (w *writing) collect(fn func(rows []row) error) error {
	var err error
	w.batch, err = inSteps(w.rows, w.most, w.batch, fn)
	return err
}

// inSteps calls fn with the rows of an overlay, in order, so many at a time.
// It gives the last of them, and keeps them in memory.
func inSteps(rows *overlay, limit func() steps, memory []row, fn func(rows []row) error) (last []row, err error) {
	batch, size, most := memory[:0], int64(0), limit()
	rows.each(func(r row) bool {
		if len(batch) > 0 && (len(batch) == most.rows || size+r.size() > most.bytes) {
			err = fn(batch)
			clear(batch)
			batch, size, most = batch[:0], 0, limit()
		}
		batch = append(batch, r)
		size += r.size()
		return err == nil
	})
	if err == nil && len(batch) > 0 {
		err = fn(batch)
	}
	return batch, err
}

const noLimit = math.MaxInt

// put writes rows until the transaction changes about so many pages, and tells
// how many it wrote. It looks at the pages after some rows only.
func (w *writing) put(tx *bbolt.Tx, rows []row, pages int) (n int, err error) {
	const some = 16
	into := w.file.writer(tx, w.memory[:0])
	for n < len(rows) {
		if err := into.put(rows[n].key, rows[n].value); err != nil {
			return n, err
		}
		if n++; n%some == 0 {
			stats := tx.Stats()
			if stats.GetNodeCount() >= int64(pages) {
				break
			}
		}
	}
	w.memory = into.memory
	return n, nil
}

// update runs one transaction of the data file.
func (w *writing) update(fn func(tx *bbolt.Tx) error) error {
	return w.db.update("writing a checkpoint", fn)
}

// stepGarbage removes rows of deleted objects in transactions of their own:
// nobody sees these rows, so that a crash in between does no harm. As many go
// as were written: however busy a node is, there is never more garbage than
// there was data.
func (w *writing) stepGarbage() error {
	budget := w.db.opt.GarbageBudget
	if budget <= 0 {
		budget = w.rows.rows
	}
	for left := budget; left > 0; {
		started, some := time.Now(), min(left, w.db.garbageMost())
		left -= some
		if err := w.db.removeGarbage(some); err != nil || !w.db.garbageLeft.Load() {
			return err
		}
		w.db.pause(time.Since(started))
	}
	return nil
}

package storage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Errors of compactions. The table is as it was.
var (
	// ErrCompacting: one is under way.
	ErrCompacting = errors.New("the table is being compacted already")
	// ErrNoRoom: the disk has no room for a second file.
	ErrNoRoom = errors.New("the disk has no room to compact the table")
)

const (
	// compactShare of the data file must be free pages before it is compacted.
	compactShare = 0.5
	// compactAtOnce is the same while garbage is being removed: if possible it
	// is not copied first.
	compactAtOnce = 0.8
	// compactRetry is how long one that failed is not tried again by itself.
	compactRetry = 10 * time.Minute
	// compactReserve is what a compaction leaves free on the disk.
	compactReserve = 256 << 20
)

// fileUse says how many bytes of the data file are in use and how many are
// free pages.
func (db *DB) fileUse() (used, free int64) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return 0, 0
	}
	s := db.file.bolt.Stats()
	free = int64(s.FreePageN+s.PendingPageN) * int64(db.file.bolt.Info().PageSize)
	return max(db.base.tx.Size()-free, 0), free
}

// considerCompaction starts a compaction if it is worth it. The caller holds
// disk.
func (db *DB) considerCompaction() {
	if db.opt.CompactBytes < 0 || db.closing || db.pressed() || time.Now().Before(db.compactAfter) {
		return
	}
	used, free := db.fileUse()
	share := compactShare
	if db.collecting && db.garbageLeft.Load() {
		share = compactAtOnce
	}
	if free < db.opt.CompactBytes || float64(free) < share*float64(used+free) {
		return
	}
	if !db.compaction.CompareAndSwap(false, true) {
		return
	}
	db.work.Go(func() {
		defer db.compaction.Store(false)
		r, err := db.compact(db.ctx)
		switch {
		case err == nil:
			db.opt.Logger.Info("compacted the data file", "before", r.Before, "after", r.After, "rows", r.Rows, "took", r.Took)
		case db.ctx.Err() == nil:
			db.opt.Logger.Warn("the data file was not compacted", "err", err, "again_after", compactRetry)
			db.disk.Lock()
			db.compactAfter = time.Now().Add(compactRetry)
			db.disk.Unlock()
		}
	})
}

// Compact writes the data file anew, without its free pages, while the table
// is used: the rows are copied step by step, checkpoints written meanwhile go
// to both files, and at the end the copy takes the place of the file in one
// step. A crash before leaves the table as it was. Readers that are under way
// keep the file before on the disk until they end. It happens by itself when
// Options.CompactBytes are free.
func (db *DB) Compact(ctx context.Context) (*CompactReport, error) {
	db.disk.Lock()
	if db.closing {
		db.disk.Unlock()
		return nil, ErrClosed
	}
	if !db.compaction.CompareAndSwap(false, true) {
		db.disk.Unlock()
		return nil, ErrCompacting
	}
	db.work.Add(1)
	db.disk.Unlock()
	defer db.work.Done()
	defer db.compaction.Store(false)
	return db.compact(ctx)
}

// compact is for the one who set compaction.
func (db *DB) compact(ctx context.Context) (*CompactReport, error) {
	if err := db.waitSettled(); err != nil {
		return nil, err
	}
	used, free := db.fileUse()
	if room, known := diskRoom(db.dir); known && room < used+used/8+compactReserve {
		return nil, fmt.Errorf("%w: it takes %d bytes, and %d are free", ErrNoRoom, used, room)
	}
	started := time.Now()
	r := &CompactReport{Before: used + free}
	c, err := db.beginCopy()
	if err != nil {
		return nil, err
	}
	for done := false; !done; {
		if err := errors.Join(ctx.Err(), db.ctx.Err()); err != nil {
			db.giveUpCopy(c)
			return nil, err
		}
		stepped := time.Now()
		size, err := int64(0), error(nil)
		if size, done, err = db.copyOn(c); err != nil {
			db.giveUpCopy(c)
			return nil, err
		}
		if !done {
			atRate := time.Duration(float64(size) / float64(db.opt.CompactRate) * float64(time.Second))
			db.rest(max(restFactor*time.Since(stepped), atRate-time.Since(stepped)))
		}
	}
	used, free = db.fileUse()
	r.After, r.Rows, r.Took = used+free, c.rows, time.Since(started)
	db.compactions.Add(1)
	db.compacted.Add(max(r.Before-r.After, 0))
	return r, nil
}

func (db *DB) beginCopy() (*rowCopy, error) {
	db.disk.Lock()
	defer db.disk.Unlock()
	if err := db.usable(); err != nil {
		return nil, err
	}
	c, err := newCopy(filepath.Join(db.dir, compactingName), db.base)
	if err != nil {
		return nil, err
	}
	db.copying = c
	db.crash("compaction-begins")
	return c, nil
}

// copyOn makes a step, and puts the copy in its place if that was the last.
func (db *DB) copyOn(c *rowCopy) (size int64, done bool, err error) {
	db.disk.Lock()
	defer db.disk.Unlock()
	if db.copying != c {
		return 0, false, errors.New("the table was replaced, or rows could not be copied")
	}
	if size, err = c.step(db.base, db.opt.steps); err != nil {
		return 0, false, err
	}
	db.crash("compaction-step")
	if !c.done {
		return size, false, nil
	}
	return size, true, db.takeCopy(c)
}

// takeCopy makes the copy the data file. The caller holds disk.
func (db *DB) takeCopy(c *rowCopy) error {
	db.copying = nil
	if err := c.seal(db.saved.state, db.saved.meta); err != nil {
		return errors.Join(err, removeIfThere(c.path))
	}
	db.crash("compaction-sealed")
	f, b, err := db.swapFile(c.path)
	if err != nil {
		return db.fatal(fmt.Errorf("putting the compacted file in its place: %w", err))
	}
	db.mu.Lock()
	oldFile, oldBase := db.file, db.base
	db.file, db.base = f, b
	db.former = append(stillOpen(db.former), oldFile)
	db.mu.Unlock()
	db.crash("compaction-published")
	oldBase.release()
	oldFile.release()
	return nil
}

func (db *DB) giveUpCopy(c *rowCopy) {
	db.disk.Lock()
	defer db.disk.Unlock()
	if db.copying == c {
		db.stopCopying()
	}
}

// stopCopying gives a compaction up that is under way. The caller holds disk.
func (db *DB) stopCopying() {
	if db.copying == nil {
		return
	}
	if err := db.copying.discard(); err != nil {
		db.opt.Logger.Warn("removing a copy of the data file that is not needed", "err", err)
	}
	db.copying = nil
}

// mirror writes rows, in order, to the copy that a compaction makes as well as
// to the data file. If that fails there will be no copy; what goes on goes on.
// The caller holds disk.
func (db *DB) mirror(rows []row) {
	if db.copying == nil {
		return
	}
	if err := db.copying.mirror(rows); err != nil {
		db.opt.Logger.Warn("giving up to compact the data file", "err", err)
		db.stopCopying()
	}
}

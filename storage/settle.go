package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// finish writes the rest of a checkpoint that the process before did not get
// to write. The table is used meanwhile.
func (db *DB) finish(j *journal) {
	db.disk.Lock()
	defer db.disk.Unlock()
	started := time.Now()
	db.mu.RLock()
	c := &Checkpoint{db: db, epoch: db.epoch, state: j.state, rows: j.rows}
	gone := db.frozen != j.rows // a snapshot was installed
	db.mu.RUnlock()
	if gone {
		return
	}
	w := &writing{db: db, file: db.file, rows: j.rows, state: j.state, meta: j.meta}
	err := w.writeInSteps()
	if errors.Is(err, ErrStale) {
		return // Install has the floor
	}
	if err == nil {
		err = c.publish(j.meta)
	}
	if err != nil {
		_ = db.fatal(fmt.Errorf("finishing checkpoint %d in %s: %w", j.meta.Index, db.file.path, err))
		return
	}
	db.opt.Logger.Info("finished the checkpoint that was under way when the process ended",
		"index", j.meta.Index, "rows", j.rows.rows, "took", time.Since(started))
	db.settle()
	db.considerGarbage()
}

// settle says that the data file holds a whole checkpoint.
func (db *DB) settle() { db.settleOnce.Do(func() { close(db.settled) }) }

// ErrUnsettled: a checkpoint that the process before did not get to write is
// not written yet. It will be.
var ErrUnsettled = errors.New("the last checkpoint is still being written since the start; try again soon")

// waitSettled waits until the data file holds a whole checkpoint.
func (db *DB) waitSettled() error {
	select {
	case <-db.settled:
		return nil
	default:
	}
	db.hasty.Add(1)
	defer db.hasty.Add(-1)
	patience := time.NewTimer(db.opt.StreamStall)
	defer patience.Stop()
	select {
	case <-db.settled:
		return nil
	case <-db.ctx.Done():
		return ErrClosed
	case <-patience.C:
		return ErrUnsettled
	}
}

// removeJournal takes its name from a journal that has served, if there is
// one: the next is written over it. If the name comes back with a crash, it is
// known for what it is.
func (db *DB) removeJournal() error {
	err := os.Rename(filepath.Join(db.dir, journalName), filepath.Join(db.dir, journalTempName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing a journal: %w", err)
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Pauses of what writes the data file beside the apply goroutine.
const (
	restFactor = 8                      // how long it rests for the time that it worked
	maxRest    = 100 * time.Millisecond // at a time
)

// pause rests after a step of a checkpoint that took as long as worked: eight
// times as long while there is time, and not at all under pressure, or when
// somebody waits for the end of it.
func (db *DB) pause(worked time.Duration) {
	if room := db.room(); room > 0 {
		db.rest(time.Duration(float64(worked) * restFactor * room))
	}
}

// room is how much of half of what may be written since the freeze is left, as a
// part of it; below 0 it is more.
func (db *DB) room() float64 {
	active, may, _ := db.used()
	return 1 - 2*float64(active)/float64(may)
}

// used is how many bytes were written since the freeze, how many may be before
// checkpoints take no rests, times two, and at how many writers wait.
func (db *DB) used() (active, may, most int64) {
	active = db.activeBytes.Load()
	frozen := db.overlayBytes.Load() - active
	most = max(db.opt.OverlayHard-frozen, 1)
	return active, max(min(db.opt.OverlayBudget, most), 1), most
}

// pressed says whether writers soon wait for the end of a checkpoint.
func (db *DB) pressed() bool { return db.room() <= 0 }

// rest waits unless somebody waits for the caller.
func (db *DB) rest(d time.Duration) {
	if db.hasty.Load() > 0 || db.installing.Load() > 0 {
		return
	}
	rest(db.ctx, min(d, maxRest))
}

// rest says whether ctx has not ended meanwhile.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

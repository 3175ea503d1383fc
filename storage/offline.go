package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// FileStats describe a data file that nobody uses at the moment.
type FileStats struct {
	Path      string
	Format    int    // version of the layout
	ClusterID string // group that the file was made for
	State     State  // of the state machine, at the last checkpoint
	Meta      Meta   // what that checkpoint is filed under in the log
	PageSize  int    // bytes
	FileBytes int64  // length of the file
	FreeBytes int64  // of it in free pages, to be used again
	// Unfinished is the index of a checkpoint whose rows are not all in the
	// data file yet: the process was ended while it wrote. They are in a file
	// beside it, of UnfinishedBytes, and the next start finishes it. 0: none.
	Unfinished      uint64
	UnfinishedBytes int64
}

// Inspect reads what a table's folder says of itself, without its rows. The
// folder is locked meanwhile: while a process uses it, that is the error. It
// changes nothing.
func Inspect(dir string) (*FileStats, error) {
	var s *FileStats
	err := offline(dir, func(o *offlineFile) (err error) {
		s, err = o.stats()
		return err
	})
	return s, err
}

// offlineFile is the data file of a folder that nobody else uses.
type offlineFile struct {
	dir  string
	path string
	bolt *bbolt.DB
	base *base
	// journal is a checkpoint that is in the file in part; nil: none.
	journal      *journal
	journalBytes int64
}

// saved is what a start would find.
func (o *offlineFile) saved() saved {
	if o.journal != nil {
		return saved{o.journal.state, o.journal.meta}
	}
	return saved{o.base.state, o.base.meta}
}

// offline calls fn with the data file of a folder, for reading.
func offline(dir string, fn func(*offlineFile) error) (err error) {
	release, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer release()
	return readFolder(dir, fn)
}

// lockFolder keeps processes away from a table's folder, which must have a
// data file.
func lockFolder(dir string) (release func(), err error) {
	path := filepath.Join(dir, dataName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no table in %s: it has no file %s: %w", dir, dataName, err)
	} else if err != nil {
		return nil, fmt.Errorf("looking at the table: %w", err)
	}
	db := &DB{dir: dir}
	if err := db.takeLock(); err != nil {
		return nil, err
	}
	return func() { _ = db.lock.Close() }, nil
}

// readFolder is offline for those who hold the folder's lock.
func readFolder(dir string, fn func(*offlineFile) error) (err error) {
	defer turnFault(&err)()
	path := filepath.Join(dir, dataName)
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType,
	})
	if err != nil {
		return fmt.Errorf("opening data file %s: %w", path, err)
	}
	f := newFile(b, path, 0)
	defer func() {
		f.release()
		err = errors.Join(err, f.err)
	}()
	o := &offlineFile{dir: dir, path: path, bolt: b}
	if o.base, err = f.begin(); err != nil {
		return err
	}
	defer o.base.release()
	if o.journal, err = findJournal(dir, o.base); err != nil {
		return err
	}
	if o.journal != nil {
		if o.journalBytes, err = sizeOf(filepath.Join(dir, journalName)); err != nil {
			return err
		}
	}
	return fn(o)
}

func (o *offlineFile) stats() (*FileStats, error) {
	info, err := os.Stat(o.path)
	if err != nil {
		return nil, fmt.Errorf("looking at the data file: %w", err)
	}
	last := o.saved()
	s := &FileStats{
		Path: o.path, Format: formatVersion, ClusterID: o.base.cluster(),
		State: last.state, Meta: last.meta,
		PageSize: o.bolt.Info().PageSize, FileBytes: info.Size(), UnfinishedBytes: o.journalBytes,
	}
	if o.journal != nil {
		s.Unfinished = last.meta.Index
	}
	if s.FreeBytes, err = freeBytes(o.bolt); err != nil {
		return nil, fmt.Errorf("counting free pages: %w", err)
	}
	return s, nil
}

// freeBytes is what the free pages of a file take, of which nobody writes.
func freeBytes(b *bbolt.DB) (int64, error) {
	// bbolt counts them when a transaction ends that could have written.
	tx, err := b.Begin(true)
	if err != nil {
		return 0, err
	}
	if err := tx.Rollback(); err != nil {
		return 0, err
	}
	s := b.Stats()
	return int64(s.FreePageN+s.PendingPageN) * int64(b.Info().PageSize), nil
}

// CheckOptions say how thorough a Check is.
type CheckOptions struct {
	// Verify looks at the rows as a whole, as the layer above understands
	// them. nil: rows are rows.
	Verify func(Reader, State) error
	// Progress hears from time to time how many rows were read. nil: nobody.
	Progress func(rows int64)
}

// CheckReport is what a Check found.
type CheckReport struct {
	FileStats
	Rows     int64         // in the data file
	RowBytes int64         // of their keys and values
	Kinds    map[byte]Kind // the same by the first byte of the key
	// Damage is what is wrong, at most maxDamage findings; empty: nothing.
	Damage []error
	Took   time.Duration
}

// Kind counts rows whose keys begin with the same byte.
type Kind struct{ Rows, Bytes int64 }

// maxDamage is how many findings a Check collects before it gives up.
const maxDamage = 20

// Check reads all of a table that nobody uses and looks for damage: the
// structure of the file, the order and the sums of the rows, and whatever
// opt.Verify looks for. It changes nothing. What is wrong with the table is in
// the report; the error says why it could not be read at all.
//
// It takes memory of about 1 % of the size of the file.
func Check(dir string, opt CheckOptions) (*CheckReport, error) {
	started := time.Now()
	r := &CheckReport{Kinds: map[byte]Kind{}}
	err := offline(dir, func(o *offlineFile) error {
		s, err := o.stats()
		if err != nil {
			return err
		}
		r.FileStats = *s
		o.check(r, opt)
		return nil
	})
	r.Took = time.Since(started)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *CheckReport) found(err error) bool {
	if len(r.Damage) < maxDamage {
		r.Damage = append(r.Damage, err)
	}
	return len(r.Damage) < maxDamage
}

// check fills in a report. A fault on the way is a finding.
func (o *offlineFile) check(r *CheckReport, opt CheckOptions) {
	for _, step := range []func() error{
		func() error { return o.checkPages(r) },
		func() error { return o.checkRows(r, opt.Progress) },
		func() error {
			if opt.Verify == nil || len(r.Damage) > 0 {
				return nil // the layer above cannot make sense of damaged rows
			}
			return opt.Verify(o, o.saved().state)
		},
	} {
		if err := guarded(step); err != nil && !r.found(err) {
			return
		}
	}
}

// guarded makes an error of a fault while fn reads.
func guarded(fn func() error) (err error) {
	defer turnFault(&err)()
	return fn()
}

func (o *offlineFile) checkPages(r *CheckReport) error {
	for err := range o.base.tx.Check() { // to the end: a goroutine sends
		r.found(fmt.Errorf("the structure of the file is damaged: %w", err))
	}
	return nil
}

func (o *offlineFile) checkRows(r *CheckReport, progress func(int64)) error {
	return walkRows(o.base, func(key, value []byte, damage error) bool {
		if damage != nil && !r.found(damage) {
			return false
		}
		r.Rows++
		n := int64(len(key) + len(value))
		r.RowBytes += n
		if len(key) > 0 {
			k := r.Kinds[key[0]]
			r.Kinds[key[0]] = Kind{Rows: k.Rows + 1, Bytes: k.Bytes + n}
		}
		if progress != nil && r.Rows%100_000 == 0 {
			progress(r.Rows)
		}
		return true
	})
}

// Get implements Reader.
func (o *offlineFile) Get(key []byte) ([]byte, bool) {
	v := o.view()
	return v.get(key)
}

// Ascend implements Reader.
func (o *offlineFile) Ascend(from, to []byte, fn func(key, value []byte) bool) {
	v := o.view()
	v.ascend(from, to, walk{}, fn)
}

// Descend implements Reader.
func (o *offlineFile) Descend(from, to []byte, fn func(key, value []byte) bool) {
	v := o.view()
	v.descend(from, to, walk{}, fn)
}

// Room implements Reader.
func (o *offlineFile) Room(slot int) Room { return o.saved().state.Rooms[slot] }

func (o *offlineFile) view() view {
	v := view{active: newOverlay(), base: o.base}
	if o.journal != nil {
		v.frozen = o.journal.rows
	}
	return v
}

// walkRows calls fn for each row of a data file, in order, with what is wrong
// with the row, until fn returns false.
func walkRows(b *base, fn func(key, value []byte, damage error) bool) error {
	var last []byte
	c := b.rows.bucket.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		v, damage := unsealed(k, v)
		switch {
		case len(k) == 0 || len(k) > MaxKey:
			damage = fmt.Errorf("a row after %q has a key of %d bytes", last, len(k))
		case bytes.Compare(k, last) <= 0:
			damage = fmt.Errorf("row %q comes after row %q", k, last)
		}
		if !fn(k, v, damage) {
			return nil
		}
		last = append(last[:0], k...)
	}
	return nil
}

package storage

import (
	"bytes"
	"errors"
	"sync/atomic"
	"time"
)

// view is the table at one instant: two layers in memory over the data file.
type view struct {
	active *overlay
	frozen *overlay // nil unless a checkpoint is being written
	base   *base
	gaps   *gaps // nil: none are known of this state
	state  State
}

// inMemory looks for a row in the overlays; a nil value is a tombstone.
func (v *view) inMemory(key []byte) (value []byte, ok bool) {
	if value, ok := v.active.get(key); ok {
		return value, true
	}
	if v.frozen != nil {
		return v.frozen.get(key)
	}
	return nil, false
}

func (v *view) get(key []byte) (value []byte, ok bool) {
	if value, ok := v.inMemory(key); ok {
		return value, value != nil
	}
	value = v.base.rows.Get(key)
	return value, value != nil
}

// walk is how rows are walked.
type walk struct {
	lasting bool // rows of the data file are copied before fn sees them
	most    int  // deleted rows that may be passed; 0: any number
}

// ascend merges the layers. It says whether it has not passed too many deleted
// rows.
func (v *view) ascend(from, to []byte, w walk, fn func(key, value []byte) bool) (done bool) {
	m := newMerge(v, from, to)
	defer m.release()
	var ok bool
	enough := v.gaps.enough()
	passed := 0
	dead, since := 0, from // deleted rows just now, and where they begin:
	var last []byte        // behind this row, if it is not nil
	if gap, known := v.gaps.at(from); known {
		dead, since, ok = enough, gap.from, m.first(gap.to)
	} else {
		ok = m.first(from)
	}
	found := func(to []byte) {
		if dead < enough {
			return
		}
		if last != nil {
			since = append(bytes.Clone(last), 0)
		}
		v.gaps.add(since, to)
	}
	for ok {
		if m.value == nil {
			if dead++; dead == 1 {
				if gap, known := v.gaps.at(m.key); known {
					dead, ok = enough, m.first(gap.to)
					continue
				}
			}
			if passed++; passed == w.most {
				found(append(bytes.Clone(m.key), 0))
				return false
			}
			ok = m.next()
			continue
		}
		if dead > 0 {
			found(m.key)
			dead = 0
		}
		if !m.emit(w.lasting, fn) {
			return true
		}
		last = m.key
		ok = m.next()
	}
	found(to)
	return true
}

// descend is ascend in the other direction.
func (v *view) descend(from, to []byte, w walk, fn func(key, value []byte) bool) (done bool) {
	m := newMerge(v, from, to)
	defer m.release()
	var ok bool
	enough := v.gaps.enough()
	passed := 0
	dead, until := 0, to // deleted rows just now, and what they end before
	found := func(from []byte) {
		if dead >= enough {
			v.gaps.add(from, until)
		}
	}
	if gap, known := v.gaps.below(to); known {
		dead, until, ok = enough, gap.to, m.last(gap.from)
	} else {
		ok = m.last(to)
	}
	for ok {
		if m.value == nil {
			if dead++; dead == 1 {
				if gap, known := v.gaps.at(m.key); known {
					dead, ok = enough, m.last(gap.from)
					continue
				}
			}
			if passed++; passed == w.most {
				found(m.key)
				return false
			}
			ok = m.prev()
			continue
		}
		if dead > 0 {
			found(append(bytes.Clone(m.key), 0))
			dead = 0
		}
		if !m.emit(w.lasting, fn) {
			return true
		}
		until = m.key
		ok = m.prev()
	}
	found(from)
	return true
}

// live is a DB as a Reader for those who hold its lock.
type live DB

func (l *live) Get(key []byte) ([]byte, bool) {
	if value, ok := l.inMemory(key); ok {
		return value, value != nil
	}
	value := (*DB)(l).written(key)
	return value, value != nil
}

func (l *live) Ascend(from, to []byte, fn func(key, value []byte) bool) {
	l.view.ascend(from, to, walk{}, fn)
}

func (l *live) Descend(from, to []byte, fn func(key, value []byte) bool) {
	l.view.descend(from, to, walk{}, fn)
}

func (l *live) Room(slot int) Room { return l.state.Rooms[slot] }

// mostPassed is how many deleted rows who is in a hurry passes.
const mostPassed = 4096

// AscendSoon implements Hurried.
func (l *live) AscendSoon(from, to []byte, fn func(key, value []byte) bool) (done bool) {
	return l.ready(from, to) && l.view.ascend(from, to, walk{most: mostPassed}, fn)
}

// DescendSoon implements Hurried.
func (l *live) DescendSoon(from, to []byte, fn func(key, value []byte) bool) (done bool) {
	return l.ready(from, to) && l.view.descend(from, to, walk{most: mostPassed}, fn)
}

// ready says whether the rows of a range are in order. If not, the next Walk sees to
// that first.
func (l *live) ready(from, to []byte) bool {
	low, high := shelvesOf(from, to)
	for i := low; i <= high; i++ {
		if s := l.active.shelves[i]; s != nil && !s.ready() {
			l.disordered.Store(int32(i) + 1)
			return false
		}
		if l.frozen != nil && l.frozen.shelves[i] != nil && !l.frozen.shelves[i].ready() {
			return false // who writes it brings it into order
		}
	}
	return true
}

// written gives the value of a row as it is in the data file below the
// overlays. The caller holds mu, and has looked for the row in these.
func (db *DB) written(key []byte) []byte {
	if value, ok := db.recent.get(key); ok {
		return value
	}
	return db.base.rows.Get(key)
}

// View calls fn with the table at one instant. Writers wait for fn, so it must
// be short, do no I/O and not call the DB again. What the Reader returns dies
// with fn.
func (db *DB) View(fn func(Reader, State) error) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return ErrClosed
	}
	return fn((*live)(db), db.state)
}

// Errors of readers.
var (
	// ErrClosed: the table was closed.
	ErrClosed = errors.New("the table is closed")
	// ErrExpired: a Snapshot was used for longer than Options.ReaderLifetime.
	// Whatever was read from it may be incomplete.
	ErrExpired = errors.New("a long read exceeded its time")
)

// Snapshot is the table at one instant, for long reads: it does not keep
// writers waiting, but it keeps pages of the data file from being used again
// and so has a limited lifetime. After that it reads nothing and Err says so.
type Snapshot struct {
	view
	db       *DB
	deadline time.Time
	expired  atomic.Bool
	closed   bool
	counts   *counts   // of the table that this was taken of
	counting *counting // a range that this one is to count; nil: none
	counted  *counted  // it has; nil: none
}

// Snapshot gives the table as it is now. The caller must Close it.
func (db *DB) Snapshot() (*Snapshot, error) { return db.snapshot(false) }

// snapshot is Snapshot. One that counts is to count the range that somebody has
// asked for in vain, if there is one.
func (db *DB) snapshot(counts bool) (*Snapshot, error) {
	s := &Snapshot{db: db, deadline: time.Now().Add(db.opt.ReaderLifetime)}
	if db.shareCopy(s, counts) {
		return s, nil
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, ErrClosed
	}
	if db.copied == nil {
		db.copied = db.active.copy()
		db.copied.still = true
	}
	db.fill(s, counts)
	return s, nil
}

// shareCopy uses the copy that an earlier reader made, if nothing was written
// since: a copy makes the following writes dearer.
func (db *DB) shareCopy(s *Snapshot, counts bool) bool {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed || db.copied == nil {
		return false
	}
	db.fill(s, counts)
	return true
}

func (db *DB) fill(s *Snapshot, counts bool) {
	s.view = db.view
	s.active, s.gaps = db.copied, nil
	s.base.retain()
	if counts {
		s.counts, s.counting = db.counts, db.counts.begin()
	}
}

// Walk calls fn with a Snapshot and closes it. It fails with ErrExpired if fn
// took longer than Options.ReaderLifetime, whatever fn returned. It does before
// what those in a hurry found to take too long.
func (db *DB) Walk(fn func(Reader, State) error) error {
	db.tidy()
	s, err := db.snapshot(true)
	if err != nil {
		return err
	}
	defer s.Close()
	err = fn(s, s.state)
	if expired := s.Err(); expired != nil {
		return expired
	}
	return err
}

// State gives the state that belongs to the rows.
func (s *Snapshot) State() State { return s.state }

// Err is ErrExpired if a read was refused.
func (s *Snapshot) Err() error {
	if s.expired.Load() {
		return ErrExpired
	}
	return nil
}

// Close frees the pages of the data file. What was read dies with it.
func (s *Snapshot) Close() {
	if !s.closed {
		s.closed = true
		s.endCounting(nil)
		s.base.release()
	}
}

func (s *Snapshot) alive() bool {
	if s.expired.Load() {
		return false
	}
	if time.Now().After(s.deadline) {
		s.expired.Store(true)
		return false
	}
	return true
}

// Get implements Reader.
func (s *Snapshot) Get(key []byte) ([]byte, bool) {
	if !s.alive() {
		return nil, false
	}
	value, ok := s.view.get(key)
	if shelf := s.active.shelves[key[0]]; shelf != nil && !shelf.ready() {
		s.db.disordered.Store(int32(key[0]) + 1) // it was a long search
	}
	return value, ok
}

// Room implements Reader.
func (s *Snapshot) Room(slot int) Room { return s.state.Rooms[slot] }

// Ascend implements Reader.
func (s *Snapshot) Ascend(from, to []byte, fn func(key, value []byte) bool) {
	s.view.ascend(from, to, walk{}, s.whileAlive(fn))
}

// Descend implements Reader.
func (s *Snapshot) Descend(from, to []byte, fn func(key, value []byte) bool) {
	s.view.descend(from, to, walk{}, s.whileAlive(fn))
}

// whileAlive asks for the time every few rows.
func (s *Snapshot) whileAlive(fn func(key, value []byte) bool) func(key, value []byte) bool {
	n := 0
	return func(key, value []byte) bool {
		if n%64 == 0 && !s.alive() {
			return false
		}
		n++
		return fn(key, value)
	}
}

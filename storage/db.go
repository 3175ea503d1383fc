package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// Names in the data folder.
const (
	dataName       = "data.db"
	lockName       = "LOCK"
	creatingName   = "creating.tmp"
	compactingName = "compacting.tmp"

	journalName     = "checkpoint.journal"
	journalTempName = "checkpoint.journal.tmp" // the next one is written over it
	incomingPrefix  = "incoming-"
	incomingSuffix  = ".tmp"
)

// Options of a DB. The zero value of each is a good choice.
type Options struct {
	// ClusterID is the group's id. A new data file is made for it, a data file
	// or a snapshot of another group is refused. "": not checked.
	ClusterID string
	// MapSize is how much address space the data file is given, in bytes; it
	// cannot grow beyond. 0: 256 GB.
	MapSize int64
	// ReaderLifetime is the longest time that a Snapshot can be used. 0: 30 s.
	ReaderLifetime time.Duration
	// StreamRate limits outgoing snapshots, in bytes per second. 0: unlimited.
	StreamRate int
	// StreamStall ends an outgoing snapshot that nobody reads from. 0: 30 s.
	StreamStall time.Duration
	// GarbageBudget is how many rows of deleted objects one checkpoint
	// removes; what is left waits for the next. 0: as many as it writes, and a
	// goroutine of the table removes the rest.
	GarbageBudget int
	// CommitTimeout is how long the disk may take for a checkpoint before
	// that counts as a storage error. 0: 60 s.
	CommitTimeout time.Duration
	// OverlayBudget is how many bytes of rows in memory the caller lets come
	// together before it asks for a checkpoint. A checkpoint takes breaks, so
	// that writes go on beside it: the fewer the nearer the rows written since
	// come to half of the budget, or of what is left of OverlayHard. 0: 64 MB.
	OverlayBudget int64
	// OverlayHard is with how many bytes of rows in memory the caller has writers
	// wait until a checkpoint is done. 0: twice the budget.
	OverlayHard int64
	// LookedUp are the first bytes of the keys of rows that are read one by one
	// more than in order: of these, half as many bytes as OverlayBudget stay in
	// memory after they were written to the data file.
	LookedUp string
	// InOrder are the first bytes of the keys of rows that writers walk over. A
	// goroutine of the table's keeps these in order, so that no writer has to sort
	// what others left.
	InOrder string
	// CompactBytes is how many bytes of free pages make the table compact its
	// file while it is used, if they are more than half of it as well. 0:
	// 256 MB; negative: never.
	CompactBytes int64
	// CompactRate limits how fast a compaction copies, in bytes per second.
	// 0: 32 MB.
	CompactRate int64
	// Fatal is called with a storage error: what is in memory and what is on
	// disk may no longer agree, so the process must end. It may return in
	// tests; the DB then refuses to go on. nil: log it and exit with code 1.
	Fatal func(error)
	// Crash is for tests: it is called at each named point of whatever changes
	// the files, and may copy them, or end the process. nil: nothing.
	Crash func(point string)
	// Logger; nil: slog.Default.
	Logger *slog.Logger

	// steps bounds transactions. Tests make them small.
	steps steps
	// leastRun is how many rows make a run; fewer are set one by one. So an
	// overlay does not get many runs. Tests make small ones.
	leastRun int
	// manyRows is for how many changes at a time a list of rows is made where
	// fewer go into a tree. Tests make short ones.
	manyRows int
	// leastGap is how many deleted rows next to each other are remembered as a
	// gap. Tests make it small.
	leastGap int
	// light leaves it to the system when to write the data file to disk, and
	// lets it grow a little at a time. Tests use it that make many tables and
	// end no machine.
	light bool
}

func (o Options) withDefaults() Options {
	o.MapSize = max(mapSizeOr(o.MapSize), minMapSize)
	o.ReaderLifetime = orDefault(o.ReaderLifetime, 30*time.Second)
	o.StreamStall = orDefault(o.StreamStall, 30*time.Second)
	o.CommitTimeout = orDefault(o.CommitTimeout, 60*time.Second)
	o.steps.pages = orDefault(o.steps.pages, stepPages)
	o.steps.rows = orDefault(o.steps.rows, stepRows)
	o.steps.bytes = orDefault(o.steps.bytes, stepBytes)
	o.leastRun = orDefault(o.leastRun, leastRun)
	o.manyRows = orDefault(o.manyRows, manyRows)
	o.leastGap = orDefault(o.leastGap, leastGap)
	o.OverlayBudget = orDefault(o.OverlayBudget, 64<<20)
	o.OverlayHard = orDefault(o.OverlayHard, 2*o.OverlayBudget)
	o.CompactRate = orDefault(o.CompactRate, 32<<20)
	if o.CompactBytes == 0 {
		o.CompactBytes = 256 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Fatal == nil {
		log := o.Logger
		o.Fatal = func(err error) {
			log.Error("storage failed, stopping", "error", err)
			os.Exit(1)
		}
	}
	return o
}

func (o Options) newRecent() *recent { return newRecent(o.LookedUp, o.OverlayBudget/2) }

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

// DB is the ordered table. Changes come from one goroutine, the apply
// goroutine (Begin, Freeze, Install); everything else may be called from any.
type DB struct {
	dir  string
	opt  Options
	lock *os.File

	// mu guards the view and what follows it. The apply goroutine holds it for
	// a batch, readers for a short read. Nothing slow is done under it.
	mu tableLock
	view
	recent *recent // of what is in the data file below view
	file   *file
	copied *overlay // copy of active that long readers share; nil after a change
	counts *counts  // of ranges of view

	disorder   chan struct{} // capacity 1: writers may have left much to keepOrder
	disordered atomic.Int32  // number, from 1, of a shelf of active that is to be sorted; 0: none
	epoch      uint64        // raised when the table is replaced by a snapshot
	closed     bool
	failed     atomic.Pointer[error]
	batch      Batch
	former     []*file // replaced, perhaps still read
	saved      saved

	// disk serialises what writes the data file. It is taken before mu, and
	// held for as long as a checkpoint takes.
	disk         sync.Mutex
	copying      *rowCopy     // by a compaction; nil: none. This and the next four are guarded by disk
	collecting   bool         // a goroutine removes garbage
	partial      bool         // the data file holds part of a checkpoint
	closing      bool         // nothing of this begins any more
	compactAfter time.Time    // … by itself before that
	hasty        atomic.Int32 // how many wait for disk who should not wait long
	installing   atomic.Int32 // … to install a snapshot

	settled    chan struct{} // closed when what Open found unfinished is done
	settleOnce sync.Once
	work       sync.WaitGroup // goroutines of the table's own
	compaction atomic.Bool    // one is under way
	writing    atomic.Bool    // a checkpoint is being written
	pace       pace           // of it

	overlayBytes atomic.Int64
	activeBytes  atomic.Int64 // of it, written since the last freeze
	compactions  atomic.Uint64
	compacted    atomic.Int64 // bytes freed by compactions
	checkpoints  atomic.Uint64
	garbage      atomic.Uint64
	garbageLeft  atomic.Bool
	lastWrite    atomic.Int64 // ns

	// ctx ends with the DB, and the outgoing streams with it.
	ctx    context.Context
	cancel context.CancelFunc
}

// update runs one transaction of the data file, which the caller says the
// purpose of.
func (db *DB) update(what string, fn func(tx *bbolt.Tx) error) (err error) {
	done := db.watch(what, db.opt.CommitTimeout)
	defer done()
	defer turnFault(&err)()
	return db.file.bolt.Update(fn)
}

// saved is what a restart would find.
type saved struct {
	state State
	meta  Meta
}

// Open opens the table in a folder, which it locks and creates if need be.
func Open(dir string, opt Options) (*DB, error) {
	db := &DB{dir: dir, opt: opt.withDefaults(), settled: make(chan struct{}), disorder: make(chan struct{}, 1)}
	db.batch.db = db
	db.ctx, db.cancel = context.WithCancel(context.Background())
	if err := db.open(); err != nil {
		if db.lock != nil {
			_ = db.lock.Close()
		}
		db.cancel()
		return nil, err
	}
	return db, nil
}

func (db *DB) open() error {
	if err := os.MkdirAll(db.dir, 0o700); err != nil {
		return fmt.Errorf("opening data folder: %w", err)
	}
	if err := db.takeLock(); err != nil {
		return err
	}
	if err := db.reap(); err != nil {
		return err
	}
	path := filepath.Join(db.dir, dataName)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := createFile(db.dir, path, db.opt.ClusterID); err != nil {
			return err
		}
	}
	if err := errors.Join(SyncDir(db.dir), RewriteHead(path)); err != nil {
		return fmt.Errorf("opening data file %s: %w", path, err)
	}
	f, err := db.openFile(path)
	if err != nil {
		return err
	}
	b, err := f.begin()
	if err != nil {
		f.release()
		return err
	}
	err = db.checkCluster(b)
	var j *journal
	if err == nil {
		j, err = findJournal(db.dir, b)
	}
	if err == nil && j == nil {
		err = db.removeJournal()
	}
	if err != nil {
		b.release()
		f.release()
		return err
	}
	db.file = f
	db.start(b, j)
	if db.opt.InOrder != "" {
		db.work.Go(db.keepOrder)
	}
	return nil
}

// start makes the first view.
func (db *DB) start(b *base, j *journal) {
	db.view = view{active: db.opt.newOverlay(), base: b, gaps: db.opt.newGaps(), state: b.state}
	db.saved = saved{b.state, b.meta}
	db.recent, db.counts = db.opt.newRecent(), new(counts)
	if j == nil {
		db.settle()
		db.disk.Lock()
		defer db.disk.Unlock()
		db.considerGarbage()
		return
	}
	// A checkpoint was being written when the process ended. It is complete:
	// its rows are in memory until they are all in the file.
	db.frozen, db.state, db.saved = j.rows, j.state, saved{j.state, j.meta}
	db.account()
	db.work.Go(func() { db.finish(j) })
}

// openFile opens the data file, whose damage is the table's.
func (db *DB) openFile(path string) (*file, error) {
	f, err := openFile(path, db.opt.MapSize)
	if err != nil {
		return nil, err
	}
	f.damaged = db.damaged
	if db.opt.light {
		f.bolt.NoSync, f.bolt.AllocSize = true, 1<<15
	}
	return f, nil
}

func (db *DB) checkCluster(b *base) error {
	if have, want := b.cluster(), db.opt.ClusterID; want != "" && have != want {
		return fmt.Errorf("data file %s belongs to group %q, not to %q", b.file.path, have, want)
	}
	return nil
}

func (db *DB) takeLock() error {
	f, err := os.OpenFile(filepath.Join(db.dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("locking data folder: %w", err)
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		return fmt.Errorf("data folder %s is in use by another process: %w", db.dir, err)
	}
	db.lock = f
	return nil
}

// reap removes what an interrupted installation or creation left behind.
func (db *DB) reap() error {
	entries, err := os.ReadDir(db.dir)
	if err != nil {
		return fmt.Errorf("cleaning data folder: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		left := name == creatingName || name == compactingName ||
			strings.HasPrefix(name, incomingPrefix) && strings.HasSuffix(name, incomingSuffix)
		if !left {
			continue
		}
		if err := os.Remove(filepath.Join(db.dir, name)); err != nil {
			return fmt.Errorf("cleaning data folder: %w", err)
		}
	}
	return nil
}

// Close closes the table after the last reader has gone; streams it breaks
// off. What was not written by a checkpoint is lost, and is in the log.
func (db *DB) Close() error {
	db.hasty.Add(1) // and it stays
	db.cancel()
	db.disk.Lock()
	db.closing = true
	db.disk.Unlock()
	db.work.Wait()
	db.disk.Lock()
	defer db.disk.Unlock()
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.closed = true
	files, b := append(db.former, db.file), db.base
	db.mu.Unlock()

	b.release()
	db.file.release()
	var err error
	for _, f := range files {
		<-f.done
		err = errors.Join(err, f.err)
	}
	return errors.Join(err, db.lock.Close())
}

// State is the state machine's state after the last committed batch.
func (db *DB) State() State {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.state
}

// Checkpointed says what the data file holds: what the table would be after a
// restart. The Meta is zero before the first checkpoint.
func (db *DB) Checkpointed() (State, Meta) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.saved.state, db.saved.meta
}

// ClusterID is the group's id that the data file was made for.
func (db *DB) ClusterID() string {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.base.cluster()
}

// OverlayBytes is the memory that a checkpoint would free, in bytes: rows not
// yet in the data file and the log entries they refer to.
func (db *DB) OverlayBytes() int64 { return db.overlayBytes.Load() }

// account publishes OverlayBytes; the caller holds mu.
func (db *DB) account() {
	n := db.active.bytes + db.active.log
	db.activeBytes.Store(n)
	if db.frozen != nil {
		n += db.frozen.bytes + db.frozen.log
	}
	db.overlayBytes.Store(n)
}

// Stats are figures for operators.
type Stats struct {
	OverlayRows      int           // rows and tombstones in memory
	OverlayBytes     int64         // see DB.OverlayBytes
	RecentBytes      int64         // memory of copies of rows of the data file, see Options.LookedUp
	FileBytes        int64         // used part of the data file
	MapBytes         int64         // what the data file can grow to
	FreePages        int           // of the data file, to be used again
	PendingPages     int           // free, but perhaps still read
	PageSize         int           // bytes
	Readers          int           // transactions of long reads and streams, and one for short reads
	Checkpoints      uint64        // written since the start
	LastCheckpoint   time.Duration // time that the last one took
	GarbageCollected uint64        // rows of deleted objects removed since the start
	GarbageLeft      bool          // there are more of them
	Epoch            uint64        // snapshots installed since the start
	Checkpointing    bool          // a checkpoint is being written
	Compacting       bool          // the data file is being compacted
	Compactions      uint64        // since the start
	CompactedBytes   int64         // that they gave back to the file system
}

// Stats gives the figures of now.
func (db *DB) Stats() Stats {
	db.mu.RLock()
	defer db.mu.RUnlock()
	s := Stats{
		OverlayRows:      db.active.rows,
		OverlayBytes:     db.OverlayBytes(),
		RecentBytes:      db.recent.bytes(),
		Checkpoints:      db.checkpoints.Load(),
		LastCheckpoint:   time.Duration(db.lastWrite.Load()),
		GarbageCollected: db.garbage.Load(),
		GarbageLeft:      db.garbageLeft.Load(),
		Epoch:            db.epoch,
		Checkpointing:    db.writing.Load(),
		Compacting:       db.compaction.Load(),
		Compactions:      db.compactions.Load(),
		CompactedBytes:   db.compacted.Load(),
	}
	if db.frozen != nil {
		s.OverlayRows += db.frozen.rows
	}
	if db.closed {
		return s
	}
	bolt := db.file.bolt.Stats()
	s.FileBytes, s.MapBytes = db.base.tx.Size(), db.file.size
	s.FreePages, s.PendingPages = bolt.FreePageN, bolt.PendingPageN
	s.PageSize, s.Readers = db.file.bolt.Info().PageSize, bolt.OpenTxN
	return s
}

// fatal reports a storage error and makes the DB refuse further changes.
func (db *DB) fatal(err error) error {
	db.failed.CompareAndSwap(nil, &err)
	db.opt.Fatal(err)
	return err
}

// damaged reports a row that is not what was written. It does not return: who
// asked for the row has no use for another.
func (db *DB) damaged(err error) {
	err = fmt.Errorf("%w: data file %s is damaged: %w; restore a backup, or remove this member and let it join anew",
		ErrDamaged, filepath.Join(db.dir, dataName), err)
	panic(db.fatal(err))
}

// crash names a point at which tests end the process.
func (db *DB) crash(point string) {
	if db.opt.Crash != nil {
		db.opt.Crash(point)
	}
}

// watch ends the process if what it watches takes too long: a disk that hangs
// fails no call, and a leader that waits for one goes on leading. It counts
// its own looks rather than time, so that a process that was stopped and goes
// on is not mistaken for a hanging disk. Call the result when it is done.
func (db *DB) watch(what string, limit time.Duration) (done func()) {
	const looks = 10
	stop := make(chan struct{})
	go func() {
		every := time.NewTicker(limit / looks)
		defer every.Stop()
		for range looks {
			select {
			case <-every.C:
			case <-stop:
				return
			}
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		db.opt.Fatal(fmt.Errorf("%s takes more than %v, the disk hangs; goroutines:\n%s", what, limit, stacks))
	}()
	return func() { close(stop) }
}

package raftfsm

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Waiter is told what became of the requests that this node received.
type Waiter interface {
	// Done is called once for each request of this node that ran, after
	// readers can see its effects; not for one that is skipped because it ran
	// before. It must not block.
	Done(origin [16]byte, boot, seq uint64, res command.Result)
}

// Observer is told that the table is now at a log index, and which keys were
// touched on the way: see keyspace.Tx.Touched. touched is never nil then. It
// is nil if the table was replaced by a snapshot: anything may have changed.
// It is called in order and must not block.
type Observer func(index uint64, touched []string)

// Effects is told what the commands of an entry did to keys, when readers can
// see it, while Record says so. effects is nil if that is not known: the table
// was replaced, or the entry began before Record was called. It is called in
// order and must not block.
type Effects func(index uint64, effects []command.Effect)

// Config of an FSM.
type Config struct {
	DB    *storage.DB
	Table *command.Table
	// Node is the id of this node: requests with this origin are answered.
	Node     [16]byte
	Waiter   Waiter   // may be nil
	Observer Observer // may be nil
	Effects  Effects  // may be nil; see Record
	// Stopwatch tells a time that only grows, from any beginning. It is looked
	// at around requests of this node, for Result.Took and nothing else: no
	// command knows of it. nil: Took is 0.
	Stopwatch func() time.Duration
	// Fatal is called if the node must not go on: it would differ from the
	// others. It may return in tests; the FSM then does nothing more. nil:
	// log it and exit with code 1.
	Fatal  func(error)
	Logger *slog.Logger // nil: slog.Default
}

// FSM is the replicated state machine.
type FSM struct {
	cfg   Config
	state storage.State // after the last entry
	// opened is the index found at the start. Entries up to it are in the
	// table; raft does not send them again, but if it did, skipping is right.
	opened    uint64
	histories map[[16]byte]*history
	broken    error // why the FSM does nothing more
	replaying bool  // entries whose requests were answered before

	applied atomic.Uint64
	level   atomic.Int64 // as readers see it; the state machine's own is in call
	skipped atomic.Uint64
	expired atomic.Int64
	trail   trail
	record  atomic.Bool
	reseed  atomic.Pointer[reseed] // waits for Snapshot

	// Kept from entry to entry to save allocations.
	call    command.Call
	tx      keyspace.Tx
	item    Item
	source  rand.PCG
	dirty   []*history
	done    []outcome
	touched []string
	answers []any
	effects []command.Effect
}

// outcome is a result to be announced after the commit.
type outcome struct {
	boot, seq uint64
	result    command.Result
}

var (
	_ raft.FSM         = (*FSM)(nil)
	_ raft.BatchingFSM = (*FSM)(nil)
)

// New makes the state machine over a table, which from now on only it
// changes.
func New(cfg Config) *FSM {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Fatal == nil {
		log := cfg.Logger
		cfg.Fatal = func(err error) {
			log.Error("the state machine cannot go on, stopping", "error", err)
			os.Exit(1)
		}
	}
	f := &FSM{cfg: cfg, histories: map[[16]byte]*history{}}
	f.call.Rand = rand.New(&f.source)
	if err := f.load(); err != nil {
		f.halt(err)
	}
	return f
}

// load takes over the state of the table.
func (f *FSM) load() error {
	f.state = f.cfg.DB.State()
	f.opened = f.state.Index
	f.applied.Store(f.state.Index)
	clear(f.histories)
	f.trail.begin(f.state)
	return f.loadLevel()
}

// Applied is the index of the last entry whose effects readers see.
func (f *FSM) Applied() uint64 { return f.applied.Load() }

// Skipped counts the entries that raft sent although they were in the table
// at the start. It should stay 0.
func (f *FSM) Skipped() uint64 { return f.skipped.Load() }

// Expired counts the keys that were removed since the start because their time
// had come.
func (f *FSM) Expired() int64 { return f.expired.Load() }

// Record turns on or off that Effects is told. What is committed after Record
// has returned is told.
func (f *FSM) Record(on bool) { f.record.Store(on) }

// Apply implements raft.FSM.
func (f *FSM) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM. The answers are nil: results go to
// the Waiter, on the node that waits.
func (f *FSM) ApplyBatch(logs []*raft.Log) []any {
	for _, l := range logs {
		if f.broken != nil {
			break
		}
		if err := f.applyLog(l); err != nil {
			f.halt(err)
		}
	}
	if f.broken == nil {
		f.announce()
	}
	for len(f.answers) < len(logs) {
		f.answers = append(f.answers, nil)
	}
	return f.answers[:len(logs)]
}

// announce tells the observer about a batch.
func (f *FSM) announce() {
	touched := f.touched
	f.touched = nil
	if touched == nil {
		touched = []string{}
	}
	if f.cfg.Observer != nil {
		f.cfg.Observer(f.state.Index, touched)
	}
}

// halt stops the state machine for good.
func (f *FSM) halt(err error) {
	f.broken = err
	f.cfg.Fatal(err)
}

// Snapshot implements raft.FSM: it freezes the table, in constant time.
func (f *FSM) Snapshot() (raft.FSMSnapshot, error) {
	if f.broken != nil {
		return nil, f.broken
	}
	if r := f.reseed.Swap(nil); r != nil {
		err := f.replaceTable(r)
		r.done <- err
		if err != nil {
			return nil, err
		}
	}
	c, err := f.cfg.DB.Freeze()
	if err != nil {
		return nil, fmt.Errorf("freezing the table: %w", err)
	}
	return &snapshot{checkpoint: c}, nil
}

// Restore implements raft.FSM: it replaces the table. If it fails, the table
// is as it was or the process ends.
func (f *FSM) Restore(r io.ReadCloser) error {
	if f.broken != nil {
		return f.broken
	}
	in, err := f.incoming(r)
	if err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	if err := f.cfg.DB.Install(in); err != nil {
		return errors.Join(err, in.Discard())
	}
	if err := f.takeOver(); err != nil {
		f.halt(err)
		return err
	}
	f.touched = nil
	f.tellReplaced()
	return nil
}

// tellReplaced tells that anything may have changed.
func (f *FSM) tellReplaced() {
	if f.cfg.Observer != nil {
		f.cfg.Observer(f.state.Index, nil)
	}
	f.tellEffects(false)
}

// tellEffects tells what an entry did, if that was recorded, or that it is not
// known, if it should have been.
func (f *FSM) tellEffects(recorded bool) {
	switch effects := f.effects; {
	case f.cfg.Effects == nil || f.replaying: // what is carried out again was told
	case !recorded && f.record.Load():
		f.cfg.Effects(f.state.Index, nil)
	case recorded:
		f.effects = nil
		if effects == nil {
			effects = []command.Effect{}
		}
		f.cfg.Effects(f.state.Index, effects)
	}
}

// takeOver is load for a table that has come from another member.
func (f *FSM) takeOver() error {
	if err := f.load(); err != nil {
		return err
	}
	return f.checkLevel()
}

// incoming gives the snapshot that raft opened in the SnapshotStore, which
// has it on disk already. Any other stream is received here.
func (f *FSM) incoming(r io.ReadCloser) (*storage.Incoming, error) {
	inner := r
	for {
		w, ok := inner.(raft.ReadCloserWrapper)
		if !ok {
			break
		}
		inner = w.WrappedReadCloser()
	}
	if s, ok := inner.(*received); ok {
		return s.in, nil
	}
	in, err := f.cfg.DB.Receive()
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(in, r)
	if err == nil {
		err = in.Finish(nil)
	}
	if err != nil {
		return nil, errors.Join(err, in.Discard())
	}
	return in, nil
}

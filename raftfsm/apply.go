package raftfsm

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hashicorp/raft"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// applyLog carries one raft entry out. An error is one that the node cannot
// go on after.
func (f *FSM) applyLog(l *raft.Log) error {
	if l.Index <= f.state.Index {
		if f.state.Index == f.opened {
			f.skipped.Add(1)
			return nil
		}
		return fmt.Errorf("raft sent entry %d after entry %d: indexes must not go back", l.Index, f.state.Index)
	}
	if l.Type != raft.LogCommand {
		// A change of membership: nothing of it is ours but its index.
		batch := f.cfg.DB.Begin()
		f.commit(batch, l)
		f.tellEffects(f.record.Load())
		return nil
	}
	e, err := openEntry(l.Data)
	if err != nil {
		return fmt.Errorf("entry %d: %w", l.Index, err)
	}
	if err := f.applyEntry(l, &e); err != nil {
		return fmt.Errorf("entry %d: %w", l.Index, err)
	}
	f.report(l.Index)
	return nil
}

// commit makes the effects of an entry visible.
func (f *FSM) commit(batch *storage.Batch, l *raft.Log) {
	f.state.Index, f.state.Term = l.Index, l.Term
	batch.Commit(f.state)
	f.applied.Store(l.Index)
	f.level.Store(int64(f.call.Level))
	f.trail.add(f.state)
}

// report tells the waiter what became of the requests of an entry.
func (f *FSM) report(index uint64) {
	for i := range f.done {
		o := &f.done[i]
		o.result.Index = index
		f.cfg.Waiter.Done(f.cfg.Node, o.boot, o.seq, o.result)
	}
	clear(f.done)
	f.done = f.done[:0]
}

// run is the entry being carried out.
type run struct {
	fsm   *FSM
	batch *storage.Batch
	tx    *keyspace.Tx
	seed  uint64
	db    uint8  // database that commands run in
	next  int    // number, in the entry, of the next item's first command
	op    int    // number of the command that runs
	name  []byte // and its name

	lap       time.Duration // when the request of this node before this one was done; 0: there is none
	recording bool          // what commands do is told
	request   uint64        // number of the item's request, if it is this node's
}

// applyEntry carries an entry out as one batch.
func (f *FSM) applyEntry(l *raft.Log, e *reader) (err error) {
	f.state.Clock = max(f.state.Clock, e.time)
	batch := f.cfg.DB.Begin()
	x := run{fsm: f, batch: batch, seed: e.seed}
	defer func() {
		// A command that panics does so on every node: better they all stop
		// than that one of them leaves its effects out.
		if p := recover(); p != nil {
			batch.Abort()
			err = fmt.Errorf("command %d (%.64q) panicked: %v; the entry can be looked at in the log under its index\n%s",
				x.op, x.name, p, debug.Stack())
		} else if err != nil {
			batch.Abort()
		}
	}()
	batch.Retain(len(l.Data))
	f.tx.Renew(batch, f.state.Clock, l.Index, &f.state.Hash)
	x.tx = &f.tx
	if x.recording = f.record.Load() && !f.replaying; x.recording {
		x.tx.Record()
	}
	f.call.Tx, f.call.Now, f.call.Index = x.tx, f.state.Clock, l.Index
	for {
		more, err := e.next(&f.item)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := x.item(&f.item); err != nil {
			return err
		}
	}
	f.saveHistories(batch)
	f.touched = append(f.touched, x.tx.Touched()...)
	f.expired.Add(x.tx.Lapsed())
	f.call.Tx = nil
	f.commit(batch, l)
	f.tellEffects(x.recording)
	return nil
}

// item runs a request unless it ran before.
func (x *run) item(it *Item) error {
	f := x.fsm
	first := x.next
	x.next += len(it.Request.Commands) // whether it runs or not
	fresh, err := f.admit(x.batch, it)
	if err != nil || !fresh {
		return err
	}
	x.db = it.Request.DB
	selects := it.Request.Selects
	mine := it.Origin == f.cfg.Node && f.cfg.Waiter != nil && !f.replaying
	x.request = 0
	if mine {
		x.request = it.Seq
		x.start()
	} else {
		x.lap = 0
	}
	var replies []command.Reply
	before := x.batch.Mark()
	if x.watchesHold(it.Request.Watches) {
		if mine {
			replies = make([]command.Reply, len(it.Request.Commands))
		}
		for i, args := range it.Request.Commands {
			for len(selects) > 0 && selects[0].Before <= i {
				x.db, selects = selects[0].DB, selects[1:]
			}
			reply, err := x.command(first+i, args)
			if err != nil {
				return err
			}
			if mine {
				replies[i] = reply
			}
		}
	}
	if mine {
		f.done = append(f.done, outcome{it.Boot, it.Seq, command.Result{Replies: replies, Request: it.Seq, Changed: x.batch.Mark() != before, Took: x.stop()}})
	}
	return nil
}

// start and stop measure a request; of two in a row the second begins when the
// first is done, to look at the watch but once.
func (x *run) start() {
	if x.lap == 0 && x.fsm.cfg.Stopwatch != nil {
		x.lap = x.fsm.cfg.Stopwatch()
	}
}

func (x *run) stop() (took time.Duration) {
	if x.fsm.cfg.Stopwatch == nil {
		return 0
	}
	now := x.fsm.cfg.Stopwatch()
	took, x.lap = now-x.lap, now
	return took
}

func (x *run) watchesHold(watches []command.Watch) bool {
	for i := range watches {
		x.tx.Select(watches[i].DB)
		if x.tx.Revision(watches[i].Key) != watches[i].Revision {
			return false
		}
	}
	return true
}

// command runs one command. Its own error is its reply; the error returned is
// one for the whole node.
func (x *run) command(op int, args [][]byte) (command.Reply, error) {
	f := x.fsm
	x.op, x.name = op, args[0]
	spec := f.cfg.Table.Find(args[0])
	if spec == nil {
		return command.Reply{}, fmt.Errorf("command %d is %.64q, which this program does not know: it is older than the one that proposed it", op, args[0])
	}
	if !spec.ArityOK(len(args)) {
		return command.Fail(command.ErrArity(spec.Name)), nil
	}
	mark, hash := x.batch.Mark(), f.state.Hash
	f.call.Op = op
	x.tx.Select(spec.Database(x.db))
	// Each command has its own sequence: what one draws does not depend on
	// whether those before it ran.
	f.source.Seed(x.seed, uint64(op)*0x9e3779b97f4a7c15)
	reply, err := spec.Run(&f.call, args)
	if err != nil {
		x.batch.RollbackTo(mark)
		f.state.Hash = hash
		x.tx.Reset()
		x.tx.Changes()
		return command.Fail(err), nil
	}
	if x.recording {
		if changes := x.tx.Changes(); len(changes) > 0 {
			f.effects = append(f.effects, command.Effect{Args: args, Reply: reply, Changes: changes, Request: x.request})
		}
	}
	return reply, f.checkLevel()
}

// admit says whether a request runs.
func (f *FSM) admit(r storage.Reader, it *Item) (bool, error) {
	h := f.histories[it.Origin]
	if h == nil {
		var err error
		if h, err = loadHistory(r, it.Origin); err != nil {
			return false, err
		}
		f.histories[it.Origin] = h
	}
	before := h.dirty
	fresh := h.admit(it.Boot, it.Seq, it.DoneBelow)
	if h.dirty && !before {
		f.dirty = append(f.dirty, h)
	}
	return fresh, nil
}

// saveHistories writes the rows that the entry's requests changed, one write
// an origin.
func (f *FSM) saveHistories(w storage.Writer) {
	for _, h := range f.dirty {
		h.save(w, &f.state.Hash)
	}
	clear(f.dirty)
	f.dirty = f.dirty[:0]
}

package raftfsm

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/parlorchat/parlor/storage"
)

// ErrSeedOld: the table that was received is older than this member's own
// checkpoint, which it has written meanwhile. A newer one may be received.
var ErrSeedOld = errors.New("the table that was sent is too old")

// reseed is a table from another member that is to replace this one's.
type reseed struct {
	in   *storage.Incoming
	logs raft.LogStore
	done chan error // capacity 1
}

// Reseed replaces the table by a checkpoint from another member of the group,
// received and finished, and carries the entries of this member's own log out
// on it that this member had carried out before. The log, the term and the
// vote stay as they are: what this member has promised to the others holds.
//
// The checkpoint must not be below this member's own, or the log might lack
// entries in between. trigger must make raft call Snapshot: that is how a
// function gets between two entries. The checkpoint that raft then takes makes
// the new table last. After an error that is not of the checkpoint itself the
// member halts.
func (f *FSM) Reseed(in *storage.Incoming, logs raft.LogStore, trigger func() error) error {
	r := &reseed{in: in, logs: logs, done: make(chan error, 1)}
	if !f.reseed.CompareAndSwap(nil, r) {
		return errors.Join(errors.New("the table is being replaced already"), in.Discard())
	}
	err := trigger()
	if f.reseed.CompareAndSwap(r, nil) { // raft did not call
		return errors.Join(fmt.Errorf("replacing the table: %w", err), in.Discard())
	}
	return <-r.done
}

// replaceTable does what Reseed asks for, on the apply goroutine.
func (f *FSM) replaceTable(r *reseed) error {
	own, at := f.cfg.DB.Checkpointed()
	until := f.state.Index
	first, err := r.logs.FirstIndex()
	if err != nil {
		return errors.Join(err, r.in.Discard())
	}
	state, meta := r.in.State(), r.in.Meta()
	switch {
	case meta.Index < at.Index || state.Index < own.Index:
		err = fmt.Errorf("%w: it is of entry %d, this member has a checkpoint of entry %d", ErrSeedOld, meta.Index, at.Index)
	case state.Index > until:
		err = fmt.Errorf("the table that was sent is of entry %d, this member is at entry %d only", state.Index, until)
	case first > meta.Index+1:
		err = fmt.Errorf("the table that was sent is of entry %d, this member's log begins at %d", meta.Index, first)
	}
	if err != nil {
		return errors.Join(err, r.in.Discard())
	}
	if err := f.cfg.DB.Install(r.in); err != nil {
		return errors.Join(err, r.in.Discard())
	}
	err = f.takeOver()
	if err == nil {
		err = f.replay(r.logs, meta.Index+1, until)
	}
	if err != nil {
		f.halt(err)
		return err
	}
	f.touched = nil
	f.tellReplaced()
	return nil
}

// replay carries entries of the log out that raft has handed out before.
func (f *FSM) replay(logs raft.LogStore, from, to uint64) error {
	f.replaying = true
	defer func() { f.replaying = false }()
	for i := from; i <= to; i++ {
		var l raft.Log
		if err := logs.GetLog(i, &l); err != nil {
			return fmt.Errorf("carrying entry %d out again: %w", i, err)
		}
		if l.Type != raft.LogCommand && l.Type != raft.LogConfiguration {
			continue // raft keeps these to itself
		}
		if err := f.applyLog(&l); err != nil {
			return fmt.Errorf("carrying entries out again: %w", err)
		}
	}
	return nil
}

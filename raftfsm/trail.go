package raftfsm

import (
	"errors"
	"fmt"
	"sync"

	"github.com/parlorchat/parlor/storage"
)

// trailLength is how many entries back the state hash is known: seconds under
// the heaviest load, so that members who are a little apart can be compared.
const trailLength = 4096

// trail remembers the state hash after each of the last entries, and whom to
// call at an entry to come. It costs an entry a few stores; entries hold
// hundreds of commands.
type trail struct {
	mu    sync.Mutex
	steps [trailLength]step
	count uint64 // steps ever taken; the last is at (count-1) % trailLength
	armed *capture
}

// step is the state hash after an entry.
type step struct {
	index uint64
	hash  storage.Hash
}

// capture waits for the first entry at or above index.
type capture struct {
	index uint64
	fn    func()
}

// begin forgets everything: the table was replaced.
func (t *trail) begin(s storage.State) { t.note(s, true) }

// add notes the state after an entry, and calls who waits for it. The apply
// goroutine calls it, between entries.
func (t *trail) add(s storage.State) { t.note(s, false) }

func (t *trail) note(s storage.State, afresh bool) {
	t.mu.Lock()
	if afresh {
		t.count = 0
	}
	t.steps[t.count%trailLength] = step{s.Index, s.Hash}
	t.count++
	due := t.armed
	if due != nil && s.Index >= due.index {
		t.armed = nil
	} else {
		due = nil
	}
	t.mu.Unlock()
	if due != nil {
		due.fn()
	}
}

// Errors of HashAt and CaptureAt.
var (
	// ErrTooEarly: the state has not come to the index yet.
	ErrTooEarly = errors.New("the state is not at this index yet")
	// ErrTooLate: the state has passed the index too long ago.
	ErrTooLate = errors.New("the state has passed this index")
)

// HashAt gives the state hash after the entry at index, which must be one that
// the state machine is given (State.Index of some member is).
func (f *FSM) HashAt(index uint64) (storage.Hash, error) {
	t := &f.trail
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := range min(t.count, trailLength) {
		s := &t.steps[(t.count-1-n)%trailLength]
		switch {
		case s.index == index:
			return s.hash, nil
		case s.index < index && n == 0:
			return storage.Hash{}, ErrTooEarly
		case s.index < index:
			return storage.Hash{}, fmt.Errorf("entry %d did not come to the state machine", index)
		}
	}
	return storage.Hash{}, ErrTooLate
}

// CaptureAt has fn called with the table as of the first entry at or above
// index, and an open Snapshot must be closed by fn. Members that are asked for
// the same index get the same table. fn is called at once if the state is at
// index now; otherwise it is called on the apply goroutine and must return at
// once. The error is ErrTooLate if the state is above index already. One
// capture waits at a time: another takes its place.
func (f *FSM) CaptureAt(index uint64, fn func(*storage.Snapshot, error)) error {
	t := &f.trail
	t.mu.Lock()
	last := t.steps[(t.count-1)%trailLength].index
	if last < index {
		t.armed = &capture{index: index, fn: func() { fn(f.cfg.DB.Snapshot()) }}
	}
	t.mu.Unlock()
	if last < index {
		return nil
	}
	if last > index {
		return ErrTooLate
	}
	s, err := f.cfg.DB.Snapshot()
	if err == nil && s.State().Index != index {
		s.Close()
		return ErrTooLate
	}
	fn(s, err)
	return nil
}

// Disarm forgets a capture that has not come, and says whether there was one.
// If there was none, fn was or is being called.
func (f *FSM) Disarm() bool {
	f.trail.mu.Lock()
	defer f.trail.mu.Unlock()
	waited := f.trail.armed != nil
	f.trail.armed = nil
	return waited
}

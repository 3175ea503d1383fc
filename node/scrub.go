package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// What rots is found by reading it. The leader has every member sum up the
// same piece of the table as of the same entry and compares the sums; the
// piece moves through all rows, round and round. Each member takes a
// copy-on-write view when its state machine is at the entry and reads it in
// the background. No entry is written for this: an idle group stays idle.

// scrubNotice is how long before the entry the members are told, scrubWait how
// long they wait for it: entries may have stopped coming.
const (
	scrubNotice = 200 * time.Millisecond
	scrubWait   = 3 * scrubNotice
)

// scrubArgs names a piece: rows from a key on, so many bytes, as of the first
// entry at or above an index.
type scrubArgs struct {
	Index uint64 `json:"index"`
	From  []byte `json:"from"`
	Bytes int64  `json:"bytes"`
}

// scrubAnswer is what a member has in the piece.
type scrubAnswer struct {
	Index  uint64 `json:"index"` // the entry that it is as of
	Next   []byte `json:"next"`  // nil: the piece was the last
	Rows   int    `json:"rows"`
	Size   int64  `json:"size"`
	Hash   string `json:"hash"`
	Damage string `json:"damage,omitempty"` // why it could not be read
}

// fingerprint is what members must agree on.
func (a scrubAnswer) fingerprint() string {
	if a.Damage != "" {
		return damaged + a.Damage
	}
	return fmt.Sprintf("%s over %d rows as of entry %d up to %q", a.Hash, a.Rows, a.Index, a.Next)
}

// scrubber is how far the pieces have come. Every member keeps it, so that the
// next leader goes on from there.
type scrubber struct {
	mu    sync.Mutex
	from  []byte
	index uint64 // applied when the leader looked last
	at    time.Time
	last  string     // fingerprint of the last answer
	busy  sync.Mutex // one piece at a time
}

// answer keeps what this member says of a piece.
func (s *scrubber) answer(a scrubAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = a.fingerprint()
}

func (s *scrubber) said(fingerprint string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last == fingerprint
}

func (s *scrubber) position() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.from
}

func (s *scrubber) move(to []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = to
}

// ahead is how many entries may come until all members have heard of an
// index: none in a group that is idle.
func (s *scrubber) ahead(applied uint64, now time.Time) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	passed, entries := now.Sub(s.at), applied-s.index
	s.index, s.at = applied, now
	if entries == 0 || passed <= 0 {
		return 0
	}
	return 1 + uint64(float64(entries)*scrubNotice.Seconds()/passed.Seconds())
}

// compareRows compares the next piece.
func (n *Node) compareRows(reign context.Context) {
	if n.onlyVoter() {
		return // nobody to compare with: storage check reads everything
	}
	ctx, cancel := context.WithTimeout(reign, compareTimeout)
	defer cancel()
	applied := n.db.State().Index
	args := scrubArgs{
		Index: applied + n.scrub.ahead(applied, time.Now()), From: n.scrub.position(),
		Bytes: max(1, int64(float64(n.opt.Limits.ScrubBytes)*n.opt.Timing.Scrub.Seconds())),
	}
	var mu sync.Mutex
	answers := map[string]scrubAnswer{}
	f := n.survey(ctx, fmt.Sprintf("the piece of the table from %q on", args.From), args.Index, func(ctx context.Context, id string) (string, error) {
		var a scrubAnswer
		var err error
		if id == n.id.NodeID {
			a, err = n.sumUp(ctx, args)
		} else {
			err = n.calls.call(ctx, id, callScrub, args, &a)
		}
		if err == nil {
			mu.Lock()
			answers[id] = a
			mu.Unlock()
		}
		return a.fingerprint(), err
	})
	own, ok := answers[n.id.NodeID]
	if !ok {
		return // entries stopped coming, or came too fast: the next round finds it so
	}
	f.Index = own.Index
	for id, a := range answers {
		if a.Index != own.Index { // it was given a snapshot meanwhile
			delete(f.Answers, id)
		}
	}
	if n.settle(reign, f) && len(f.Answers) > 1 {
		n.scrub.move(own.Next)
	}
}

func (n *Node) answerScrub(ctx context.Context, _ string, body []byte) (any, error) {
	var args scrubArgs
	if err := json.Unmarshal(body, &args); err != nil || args.Bytes <= 0 {
		return nil, fail(CodeInvalid, "the call cannot be read")
	}
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	a, err := n.sumUp(ctx, args)
	if err == nil {
		n.scrub.move(a.Next)
	}
	return a, err
}

// sumUp waits for the entry and reads the piece. A piece that cannot be read
// is an answer too.
func (n *Node) sumUp(ctx context.Context, args scrubArgs) (scrubAnswer, error) {
	if err := n.serves(); err != nil {
		return scrubAnswer{}, err // damage is known, and ends the process wherever it is read
	}
	if !n.scrub.busy.TryLock() {
		return scrubAnswer{}, errors.New("a piece is being read already")
	}
	defer n.scrub.busy.Unlock()
	type taken struct {
		view *storage.Snapshot
		err  error
	}
	views := make(chan taken, 1)
	if err := n.fsm.CaptureAt(args.Index, func(s *storage.Snapshot, err error) { views <- taken{s, err} }); err != nil {
		return scrubAnswer{}, err
	}
	var t taken
	wait := time.NewTimer(scrubWait)
	defer wait.Stop()
	select {
	case t = <-views:
	case <-wait.C:
		if n.fsm.Disarm() {
			return scrubAnswer{}, raftfsm.ErrTooEarly
		}
		t = <-views
	case <-ctx.Done():
		if n.fsm.Disarm() {
			return scrubAnswer{}, ctx.Err()
		}
		t = <-views
	}
	if t.err != nil {
		return scrubAnswer{}, t.err
	}
	defer t.view.Close()
	started := time.Now()
	a, err := digest(ctx, t.view, args)
	if err == nil {
		n.scrub.answer(a)
		n.metrics.scrubbedRows.Add(a.Rows)
		n.metrics.scrubbedBytes.AddInt64(a.Size)
		n.metrics.scrub.UpdateDuration(started)
		if a.Next == nil {
			n.metrics.scrubPasses.Inc()
		}
	}
	return a, err
}

// digest sums the piece up. Bad pages of the data file show as a panic or a
// fault in the code that follows their pointers.
func digest(ctx context.Context, view *storage.Snapshot, args scrubArgs) (a scrubAnswer, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	a.Index = view.State().Index
	defer func() {
		if p := recover(); p != nil {
			a.Damage = fmt.Sprint(p)
		}
	}()
	e, err := keyspace.Digest(view, args.From, args.Bytes, func() error {
		return errors.Join(view.Err(), ctx.Err())
	})
	if err != nil {
		return scrubAnswer{}, err
	}
	a.Next, a.Rows, a.Size = bytes.Clone(e.Next), e.Rows, e.Bytes
	a.Hash = hashText(e.Hash)
	return a, nil
}

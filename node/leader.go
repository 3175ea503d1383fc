package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// leadership is what this member is as a leader. It counts as one only after
// an entry of its own term was applied: by then it knows everything that
// earlier leaders had committed.
type leadership struct {
	term    atomic.Uint64 // that it leads in, 0 if it does not
	barrier atomic.Uint64 // index of its own first entry in that term

	mu     sync.Mutex
	reign  *reign
	duties []*duty
	wg     sync.WaitGroup
	closed bool
}

// reign is one uninterrupted time of leading.
type reign struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// duty is something that only the leader does.
type duty struct {
	fn    func(ctx context.Context)
	start chan context.Context // capacity 1
}

// add registers a duty; it begins at once if this member leads.
func (l *leadership) add(fn func(ctx context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	d := &duty{fn: fn, start: make(chan context.Context, 1)}
	l.duties = append(l.duties, d)
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		for ctx := range d.start {
			if ctx.Err() == nil {
				d.fn(ctx)
			}
		}
	}()
	if l.reign != nil {
		d.start <- l.reign.ctx
	}
}

// begin starts the duties.
func (l *leadership) begin(term, barrier uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.reign != nil {
		return
	}
	l.barrier.Store(barrier)
	l.term.Store(term)
	ctx, cancel := context.WithCancel(context.Background())
	l.reign = &reign{ctx: ctx, cancel: cancel}
	for _, d := range l.duties {
		select {
		case <-d.start: // of a reign that was over before the duty began
		default:
		}
		d.start <- ctx
	}
}

// end stops the duties; it does not wait for them.
func (l *leadership) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.term.Store(0)
	if l.reign != nil {
		l.reign.cancel()
		l.reign = nil
	}
}

// close stops the duties for good and waits for them.
func (l *leadership) close() {
	l.end()
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		for _, d := range l.duties {
			close(d.start)
		}
	}
	l.mu.Unlock()
	l.wg.Wait()
}

// followLeadership turns raft's word into ours, until stop. raft waits for
// its word to be taken, so nothing here may wait for raft.
func (n *Node) followLeadership(stop <-chan struct{}) {
	for {
		select {
		case leads := <-n.notify:
			n.lead.end()
			if leads {
				n.background(func() { n.takeOffice(n.raft.CurrentTerm()) })
			}
		case <-stop:
			n.lead.end()
			return
		}
	}
}

// takeOffice applies this leader's own first entry and begins its duties. The
// entry also sets the group's clock.
func (n *Node) takeOffice(term uint64) {
	n.takeUpTime(term)
	entry := raftfsm.EncodeParts(n.clock.now(), newSeed(), 0, nil)
	future := n.raft.ApplyLog(raft.Log{Data: entry}, 0)
	if err := n.await(future); err != nil {
		n.log.Info("lost the leadership before it began", "term", term, "err", err)
		return
	}
	if n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		return
	}
	n.log.Info("leading the group", "term", term, "index", future.Index())
	n.metrics.elected.Inc()
	n.settled()
	n.lead.begin(term, future.Index())
	n.trans.commit(future.Index(), term)
	if n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		n.lead.end() // it was lost between the look and the beginning
	}
}

// tick proposes the passing of time, while something waits for it.
func (n *Node) tick(ctx context.Context) {
	if len(n.opt.Tick) == 0 || !n.resume(ctx) {
		return
	}
	every := time.NewTicker(n.opt.Timing.Tick)
	defer every.Stop()
	for {
		for range ticksAtOnce {
			if !n.due() || !n.tickOnce(ctx) || n.opt.Due == nil {
				break // nothing is left, or nobody knows
			}
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// ticksAtOnce is how many ticks one look at what is due may lead to. A tick does
// a bounded part of it, and what expires is written faster than one part a
// second.
const ticksAtOnce = 50

// tickOnce proposes a tick and says whether it did something.
func (n *Node) tickOnce(ctx context.Context) bool {
	r := n.Propose(ctx, []command.Request{{Commands: []command.Args{n.opt.Tick}}})[0]
	return r.Err == nil && len(r.Replies) == 1 && r.Replies[0].Int > 0
}

// resume proposes Options.Resume until it is done or the leadership lost.
func (n *Node) resume(ctx context.Context) bool {
	for len(n.opt.Resume) > 0 {
		r := n.Propose(ctx, []command.Request{{Commands: []command.Args{n.opt.Resume}}})[0]
		switch {
		case ctx.Err() != nil || errors.Is(r.Err, command.ErrClosing):
			return false
		case r.Err != nil:
			n.log.Warn("a new leader could not take up the time", "err", r.Err)
			continue
		}
		if err := r.Replies[0].Err(); err != nil {
			n.log.Error("a new leader could not take up the time", "err", err)
		}
		return true
	}
	return true
}

func (n *Node) due() bool {
	if n.opt.Due == nil {
		return true
	}
	due := false
	err := n.look(func(tx *keyspace.Tx) error {
		due = n.opt.Due(tx)
		return nil
	})
	return err == nil && due
}

package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// readIndexer finds the index that a read must wait for to miss nothing that
// was committed before it was asked. One round is under way at a time; all
// who ask meanwhile share the next one.
type readIndexer struct {
	round func() (uint64, error)
	wake  chan struct{} // capacity 1
	// answered passes rounds with readers on to tellReaders. It has room: a round
	// must not wait until those of the one before have been told.
	answered chan *readRound

	mu     sync.Mutex
	next   *readRound
	closed bool
}

type readRound struct {
	done    chan struct{}
	index   uint64
	err     error
	readers []*reader // who do not wait for done
}

// reader is to be told when this member has caught up.
type reader struct {
	done  func(error)
	told  atomic.Bool
	limit atomic.Pointer[time.Timer]
}

// tell may be called any number of times.
func (r *reader) tell(err error) {
	if r.told.CompareAndSwap(false, true) {
		if limit := r.limit.Load(); limit != nil {
			limit.Stop()
		}
		r.done(err)
	}
}

func (r *reader) giveUp() { r.tell(errUnconfirmed) }

func newReadIndexer(round func() (uint64, error)) *readIndexer {
	return &readIndexer{round: round, wake: make(chan struct{}, 1), answered: make(chan *readRound, 64)}
}

// join gives the round that comes next, with a reader in it if there is one;
// nil: there will be none.
func (ri *readIndexer) join(reader *reader) *readRound {
	ri.mu.Lock()
	defer ri.mu.Unlock()
	if ri.closed {
		return nil
	}
	if ri.next == nil {
		ri.next = &readRound{done: make(chan struct{})}
		select {
		case ri.wake <- struct{}{}:
		default:
		}
	}
	if reader != nil {
		ri.next.readers = append(ri.next.readers, reader)
	}
	return ri.next
}

func (ri *readIndexer) index(ctx context.Context) (uint64, error) {
	r := ri.join(nil)
	if r == nil {
		return 0, errUnconfirmed
	}
	select {
	case <-r.done:
		return r.index, r.err
	case <-ctx.Done():
		return 0, errUnconfirmed
	}
}

// serve makes rounds while somebody asks, until ctx ends. One goroutine does it
// all: the stack that a round needs would have to grow in each new one.
func (ri *readIndexer) serve(ctx context.Context) {
	for {
		select {
		case <-ri.wake:
		case <-ctx.Done():
			ri.close()
			return
		}
		if r := ri.take(false); r != nil {
			r.index, r.err = ri.round()
			close(r.done)
			if len(r.readers) > 0 {
				ri.answered <- r
			}
		}
	}
}

// take begins the next round; nil: nobody asks.
func (ri *readIndexer) take(last bool) *readRound {
	ri.mu.Lock()
	defer ri.mu.Unlock()
	r := ri.next
	ri.next, ri.closed = nil, last
	return r
}

func (ri *readIndexer) close() {
	if r := ri.take(true); r != nil {
		r.err = errUnconfirmed
		close(r.done)
		if len(r.readers) > 0 {
			ri.answered <- r
		}
	}
	close(ri.answered)
}

// tellReaders tells those who do not wait that this member has caught up, until
// no more rounds are made.
func (n *Node) tellReaders() {
	for r := range n.reads.answered {
		err := r.err
		if err == nil {
			ctx, cancel := context.WithTimeout(n.ctx, n.opt.Timing.Propose)
			err = n.WaitApplied(ctx, r.index)
			cancel()
		}
		for _, reader := range r.readers {
			reader.tell(err)
		}
	}
}

// readRound asks until there is an answer or time is up.
func (n *Node) readRound() (uint64, error) {
	ctx, cancel := context.WithTimeout(n.ctx, n.opt.Timing.Propose)
	defer cancel()
	n.metrics.readRounds.Inc()
	for {
		r := n.routes.get()
		index, err := n.readRoundBy(ctx, r)
		if err == nil {
			return index, nil
		}
		select {
		case <-r.changed:
		case <-time.After(routeBackoff):
		case <-ctx.Done():
			return 0, errUnconfirmed
		}
	}
}

func (n *Node) readRoundBy(ctx context.Context, r route) (uint64, error) {
	switch r.leader {
	case "":
		return 0, errUnconfirmed
	case n.id.NodeID:
		index, err := n.leaderReadIndex()
		if err == nil {
			n.readTime.hear(n.clock.now(), 0)
		}
		return index, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*n.opt.Timing.Election)
	defer cancel()
	go func() {
		select {
		case <-r.changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	var point readPoint
	asked := time.Now()
	err := n.calls.call(ctx, r.leader, callReadPoint, nil, &point)
	if e := (*Error)(nil); errors.As(err, &e) && e.Code == CodeInvalid { // an older version
		var index uint64
		err = n.calls.call(ctx, r.leader, callReadIndex, nil, &index)
		return index, err
	}
	if err == nil {
		n.readTime.hear(point.Clock, time.Since(asked))
	}
	return point.Index, err
}

// readPoint is what a read must not be before: a log index, and a time, in ms
// since 1970: what has expired for one reader is not there for the next one on
// another member.
type readPoint struct {
	Index uint64 `json:"index"`
	Clock int64  `json:"clock"`
}

// soleReadIndex is the index as of now if this member is the only one: no
// other can have committed anything, so nobody is asked. All readers are here
// then, and one time is enough for those of a millisecond.
func (n *Node) soleReadIndex() (index uint64, ok bool) {
	term := n.lead.term.Load()
	if term == 0 {
		return 0, false
	}
	index = max(n.raft.CommitIndex(), n.lead.barrier.Load())
	if !n.alone(term, index) || n.lead.term.Load() != term || n.raft.CurrentTerm() != term {
		return 0, false
	}
	n.readTime.keepUp(n.clock.now)
	return index, true
}

// solitude remembers whether this member is the only one, for who asks before
// every read.
type solitude struct {
	changes atomic.Uint64 // entries about the membership that the state machine was given
	known   atomic.Pointer[soleness]
}

// soleness is what was found in a term, after so many changes.
type soleness struct {
	term, changes uint64
	sole          bool
}

// alone says whether this member, which leads in a term, is the only one by all
// that is committed up to an index. That is enough for who has the commit index:
// while a membership of more is not committed, nobody else can lead without this
// member's vote, and it does not give that in its own term.
func (n *Node) alone(term, index uint64) bool {
	seen := n.Applied() >= index // before changes is looked at: they are counted before they are applied
	changes := n.solitude.changes.Load()
	if k := n.solitude.known.Load(); seen && k != nil && k.term == term && k.changes == changes {
		return k.sole
	}
	sole := len(n.servers()) == 1
	n.solitude.known.Store(&soleness{term, changes, sole})
	return sole
}

// leaderReadIndex is the index as of now, if this member still leads after a
// majority has said so. The index is taken first: whatever is committed later
// the read need not see.
func (n *Node) leaderReadIndex() (uint64, error) {
	term := n.lead.term.Load()
	if term == 0 {
		return 0, errNotLeader
	}
	asked := n.trans.standing.now()
	index := max(n.raft.CommitIndex(), n.lead.barrier.Load())
	if err := n.confirmLead(term, asked); err != nil {
		return 0, err
	}
	if n.lead.term.Load() != term || n.raft.CurrentTerm() != term {
		return 0, errNotLeader
	}
	return index, nil
}

var errNotLeader = fail(CodeNotLeader, "this member does not lead the group")

// answerReadIndex serves a follower; many of its reads share one call.
func (n *Node) answerReadIndex(_ context.Context, _ string, _ []byte) (any, error) {
	if n.lead.term.Load() == 0 {
		return nil, errNotLeader
	}
	return n.leaderRound.index(n.ctx)
}

// answerReadPoint is answerReadIndex with the time.
func (n *Node) answerReadPoint(ctx context.Context, id string, args []byte) (any, error) {
	index, err := n.answerReadIndex(ctx, id, args)
	if err != nil {
		return nil, err
	}
	return readPoint{index.(uint64), n.clock.now()}, nil
}

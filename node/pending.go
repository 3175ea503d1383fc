package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// pending holds the requests of this member that have no outcome yet, in the
// order of their sequence numbers.
//
// Requests are taken by whoever carries them to the log: the batcher if this
// member leads, the stream to the leader if not. Nobody reports back what
// became of a request: it is done when this member's own state machine has
// applied it. When the way to the log breaks, rewind makes everything without
// an outcome ready to be taken again, under the same numbers; the state
// machine carries out each request once, however often it comes.
type pending struct {
	origin [16]byte
	boot   uint64
	limits Limits
	table  *command.Table
	level  func() int // the group's feature level

	mu      sync.Mutex
	ring    []slot // of sequence number s: ring[s & (len-1)]
	first   uint64 // lowest number without an outcome
	next    uint64 // lowest number not taken since the last rewind
	end     uint64 // number of the request that comes next
	bytes   int    // of requests without an outcome
	count   int    // of requests without an outcome
	closed  bool
	few     int           // less than so many are not worth taking: see enough
	arrived chan struct{} // capacity 1: there is something to take

	finished []*call       // whose results are still to be told
	telling  chan struct{} // capacity 1: there are some
	ended    chan struct{} // closed when no more results will come
}

// slot is one request. Without a call it has its outcome or was given up.
type slot struct {
	call     *call
	pos      int // in the call
	req      command.Request
	size     int   // encoded, at most
	deadline int64 // Unix nanoseconds
	sent     bool  // taken at least once: it may be in a log somewhere
}

// call is one Propose or Submit. All but done is guarded by pending.mu until it
// has its results.
type call struct {
	results []command.Result
	first   uint64 // number of its first request that was taken in
	last    uint64
	left    int                    // without an outcome
	done    chan struct{}          // closed when it has its results; nil if they are told
	tell    func([]command.Result) // nil if somebody waits for done
}

func newPending(origin [16]byte, boot uint64, table *command.Table, limits Limits) *pending {
	return &pending{
		origin: origin, boot: boot, table: table, limits: limits, level: func() int { return command.FirstLevel },
		ring: make([]slot, 1024), first: 1, next: 1, end: 1,
		arrived: make(chan struct{}, 1), telling: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

func (p *pending) slot(seq uint64) *slot { return &p.ring[seq&uint64(len(p.ring)-1)] }

// add takes requests in. Those that are refused have their reason in the
// results; a call with nothing left is done at once.
func (p *pending) add(reqs []command.Request, deadline time.Time) *call {
	c := &call{results: make([]command.Result, len(reqs)), done: make(chan struct{})}
	p.takeIn(c, reqs, deadline)
	return c
}

// start is add for one who does not wait: tell is called with the results, by
// tellAll. It gives nil if nothing was taken in.
func (p *pending) start(reqs []command.Request, deadline time.Time, tell func([]command.Result)) *call {
	c := &call{results: make([]command.Result, len(reqs)), tell: tell}
	if p.takeIn(c, reqs, deadline) {
		return c
	}
	return nil
}

// takeIn says whether any of the requests was taken in. A call of which none
// was is done.
func (p *pending) takeIn(c *call, reqs []command.Request, deadline time.Time) bool {
	total := 0
	for i := range reqs {
		size := itemSize(&reqs[i])
		if c.results[i].Err = p.check(&reqs[i], size); c.results[i].Err != nil {
			continue
		}
		total += size
		c.left++
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admit(c.left, total); err != nil {
		for i := range c.results {
			if c.results[i].Err == nil {
				c.results[i].Err = err
			}
		}
		c.left = 0
	}
	if c.left == 0 {
		if c.done != nil {
			close(c.done)
		}
		return false
	}
	p.grow(c.left)
	c.first = p.end
	for i := range reqs {
		if c.results[i].Err != nil {
			continue
		}
		*p.slot(p.end) = slot{call: c, pos: i, req: reqs[i], size: itemSize(&reqs[i]), deadline: deadline.UnixNano()}
		p.end++
	}
	c.last = p.end - 1
	p.bytes += total
	p.count += c.left
	if p.untaken() >= p.few {
		p.signal()
	}
	return true
}

// check refuses what must not get into the log: a command that a state machine
// does not know stops it, and with it the whole group.
func (p *pending) check(r *command.Request, size int) error {
	if size > p.limits.RequestBytes {
		return command.ErrTooLarge
	}
	if len(r.Commands) == 0 {
		return errNoCommand
	}
	if !databasesExist(r) {
		return errNoDatabase
	}
	for _, c := range r.Commands {
		if len(c) == 0 {
			return errNoCommand
		}
		spec := p.table.Find(c[0])
		if spec == nil {
			return fail("ERR", fmt.Sprintf("unknown command '%.64s'", c[0]))
		}
		if spec.Level > command.FirstLevel && spec.Level > p.level() {
			return command.ErrLevel(spec, p.level())
		}
	}
	return nil
}

// databasesExist says whether all databases that a request names exist, and
// whether it changes them before commands that it has.
func databasesExist(r *command.Request) bool {
	ok := r.DB < keyspace.Databases
	for _, w := range r.Watches {
		ok = ok && w.DB < keyspace.Databases
	}
	for _, s := range r.Selects {
		ok = ok && s.DB < keyspace.Databases && s.Before >= 0 && s.Before < len(r.Commands)
	}
	return ok
}

var errNoDatabase = fail("ERR", "DB index is out of range")

var errNoCommand = fail("ERR", "a request without a command, nothing was changed")

// admit refuses what would be too much. One call alone is never too much, it
// could not be split.
func (p *pending) admit(count, bytes int) error {
	switch {
	case p.closed:
		return command.ErrClosing
	case p.count == 0:
		return nil
	case p.count+count > p.limits.WaitingRequests, p.bytes+bytes > p.limits.WaitingBytes:
		return command.ErrBusy
	case p.end-p.first > 4*uint64(p.limits.WaitingRequests):
		// One request is stuck while many pass it: bound the ring as well.
		return command.ErrBusy
	}
	return nil
}

// grow makes room for n more slots.
func (p *pending) grow(n int) {
	size := len(p.ring)
	for int(p.end-p.first)+n > size {
		size *= 2
	}
	if size == len(p.ring) {
		return
	}
	ring := make([]slot, size)
	for s := p.first; s < p.end; s++ {
		ring[s&uint64(size-1)] = *p.slot(s)
	}
	p.ring = ring
}

func (p *pending) signal() {
	select {
	case p.arrived <- struct{}{}:
	default:
	}
}

// take appends encoded requests to dst, up to about maxBytes and maxCommands
// but at least one if there is any, and says how many and with how many
// commands.
func (p *pending) take(dst []byte, maxBytes, maxCommands int) (out []byte, items, commands int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes := 0
	for ; p.next < p.end; p.next++ {
		s := p.slot(p.next)
		if s.call == nil {
			continue
		}
		n := len(s.req.Commands)
		if items > 0 && (bytes+s.size > maxBytes || commands+n > maxCommands) {
			p.signal() // whoever takes next finds more
			break
		}
		dst = raftfsm.AppendItem(dst, &raftfsm.Item{
			Origin: p.origin, Boot: p.boot, Seq: p.next, DoneBelow: p.first, Request: s.req,
		})
		s.sent = true
		items++
		commands += n
		bytes += s.size
	}
	return dst, items, commands
}

// enough tells whether at least few requests wait to be taken. If not, arrived
// says so once they do, or once nothing that was taken is without an outcome.
func (p *pending) enough(few int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.few = few
	return p.untaken() >= few
}

// enoughBeside is enough for one in so many of those that were taken and have
// no outcome.
func (p *pending) enoughBeside(part int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.few = p.underWay() / part
	return p.untaken() >= p.few
}

// untaken is how many requests wait to be taken, some of which may have been
// given up since; underWay is how many were taken and have no outcome.
func (p *pending) untaken() int  { return int(p.end - p.next) }
func (p *pending) underWay() int { return max(p.count-p.untaken(), 0) }

// waiting tells whether there is something to take.
func (p *pending) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := p.next; s < p.end; s++ {
		if p.slot(s).call != nil {
			return true
		}
	}
	return false
}

// rewind makes everything without an outcome ready to be taken again.
func (p *pending) rewind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = p.first
	if p.count > 0 {
		p.signal()
	}
}

// Done is called by the state machine, in the order of the log, when it has
// carried out a request of any member.
func (p *pending) Done(origin [16]byte, boot, seq uint64, r command.Result) {
	if boot != p.boot || origin != p.origin {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if seq < p.first || seq >= p.end {
		return
	}
	if s := p.slot(seq); s.call != nil {
		p.finish(s, r)
		p.advance()
	}
}

// finish gives a request its outcome.
func (p *pending) finish(s *slot, r command.Result) {
	c := s.call
	c.results[s.pos] = r
	p.bytes -= s.size
	p.count--
	*s = slot{}
	if c.left--; c.left > 0 {
		return
	}
	if c.tell == nil {
		close(c.done)
		return
	}
	p.finished = append(p.finished, c)
	select {
	case p.telling <- struct{}{}:
	default:
	}
}

// tellAll tells those who do not wait their results, until abandon has made the
// last ones.
func (p *pending) tellAll() {
	var calls []*call
	for on := true; on; {
		select {
		case <-p.telling:
		case <-p.ended:
			on = false
		}
		p.mu.Lock()
		calls, p.finished = p.finished, calls[:0]
		p.mu.Unlock()
		for i, c := range calls {
			calls[i] = nil
			c.tell(c.results)
		}
	}
}

// advance moves first past what has its outcome. When nothing is under way any
// more, nobody waits for more to come.
func (p *pending) advance() {
	for p.first < p.end && p.slot(p.first).call == nil {
		p.first++
	}
	p.next = max(p.next, p.first)
	if p.few > 0 && p.underWay() == 0 {
		p.few = 0
		if p.count > 0 {
			p.signal()
		}
	}
}

// giveUp ends the requests of a call whose caller does not wait any longer.
func (p *pending) giveUp(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := max(c.first, p.first); s <= c.last && s < p.end; s++ {
		if slot := p.slot(s); slot.call == c {
			p.finish(slot, command.Result{Err: outcomeOf(slot)})
		}
	}
	p.advance()
}

// outcomeOf is the reason why a request ended without an outcome.
func outcomeOf(s *slot) error {
	if s.sent {
		return command.ErrUnknownOutcome
	}
	return command.ErrNoLeader
}

// expire ends the requests whose deadline has passed.
func (p *pending) expire(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := now.UnixNano()
	for s := p.first; s < p.end; s++ {
		if slot := p.slot(s); slot.call != nil && slot.deadline <= t {
			p.finish(slot, command.Result{Err: outcomeOf(slot)})
		}
	}
	p.advance()
}

// afterSnapshot is how long requests wait once the state has jumped ahead.
const afterSnapshot = time.Second

// skipped is called when a snapshot has taken the place of part of the log.
// What it holds of our requests was carried out without our hearing of it, and
// is not carried out again. The rest will be done soon: nobody needs to wait
// for the deadline.
func (p *pending) skipped() {
	p.mu.Lock()
	defer p.mu.Unlock()
	soon := time.Now().Add(afterSnapshot).UnixNano()
	for s := p.first; s < p.end; s++ {
		if slot := p.slot(s); slot.call != nil && slot.sent {
			slot.deadline = min(slot.deadline, soon)
		}
	}
	p.next = p.first
	p.signal()
}

// shut refuses new requests from now on.
func (p *pending) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// abandon ends everything: nobody will carry it to the log any more.
func (p *pending) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := p.first; s < p.end; s++ {
		if slot := p.slot(s); slot.call != nil {
			p.finish(slot, command.Result{Err: outcomeOf(slot)})
		}
	}
	p.advance()
	select {
	case <-p.ended: // it was abandoned before
	default:
		close(p.ended)
	}
}

// load says how much waits.
func (p *pending) load() (count, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count, p.bytes
}

// wait returns the results of a call, or what is known of it when ctx ends.
func (p *pending) wait(ctx context.Context, c *call) []command.Result {
	select {
	case <-c.done:
	case <-ctx.Done():
		p.giveUp(c)
		<-c.done
	}
	return c.results
}

// itemSize is about what a request takes in the log, rather more.
func itemSize(r *command.Request) int {
	n := 64
	for _, c := range r.Commands {
		n += 4
		for _, a := range c {
			n += 4 + len(a)
		}
	}
	for _, w := range r.Watches {
		n += 20 + len(w.Key)
	}
	n += 8 * len(r.Selects)
	return n
}

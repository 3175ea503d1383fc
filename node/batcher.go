package node

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/raftfsm"
)

// The leader puts everything that waits into one log entry at once, with no
// delay of its own: while entries are under way, more requests come together,
// so that batches grow with the load and an idle group answers fast. A second
// entry goes on its way beside the first when it carries as much: an entry
// costs each member a sync, whatever is in it, and a small one that only just
// missed the one before would make the next one small as well.

// chunk is encoded requests of one follower that stay together.
type chunk struct {
	data     []byte
	items    int
	commands int
}

// inbox is what followers sent and the batcher has not yet taken. It holds a
// limited amount: a stream that finds it full stops reading, which holds up
// its follower and nobody else.
type inbox struct {
	mu      sync.Mutex
	chunks  []chunk
	bytes   int
	arrived chan struct{} // capacity 1
	space   chan struct{} // closed and made anew when there is room again
}

const inboxBytes = 8 << 20

func newInbox() *inbox {
	return &inbox{arrived: make(chan struct{}, 1), space: make(chan struct{})}
}

// put waits for room.
func (b *inbox) put(ctx context.Context, c chunk) error {
	for {
		b.mu.Lock()
		if b.bytes == 0 || b.bytes+len(c.data) <= inboxBytes {
			b.chunks = append(b.chunks, c)
			b.bytes += len(c.data)
			b.mu.Unlock()
			select {
			case b.arrived <- struct{}{}:
			default:
			}
			return nil
		}
		space := b.space
		b.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take moves chunks to out, up to the limits but at least one if there is any.
func (b *inbox) take(out []chunk, maxBytes, maxCommands int) []chunk {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, bytes, commands := 0, 0, 0
	for n < len(b.chunks) {
		c := &b.chunks[n]
		if n > 0 && (bytes+len(c.data) > maxBytes || commands+c.commands > maxCommands) {
			break
		}
		bytes += len(c.data)
		commands += c.commands
		n++
	}
	if n == 0 {
		return out
	}
	out = append(out, b.chunks[:n]...)
	rest := copy(b.chunks, b.chunks[n:])
	clear(b.chunks[rest:])
	b.chunks = b.chunks[:rest]
	b.bytes -= bytes
	close(b.space)
	b.space = make(chan struct{})
	if rest > 0 {
		select {
		case b.arrived <- struct{}{}:
		default:
		}
	}
	return out
}

// commands is how many wait.
func (b *inbox) commands() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for i := range b.chunks {
		n += b.chunks[i].commands
	}
	return n
}

// clear forgets everything: the senders will send it again, to whoever leads.
func (b *inbox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chunks, b.bytes = nil, 0
	close(b.space)
	b.space = make(chan struct{})
}

// batcher makes log entries while this member leads.
type batcher struct {
	raft    *raft.Raft
	pending *pending
	inbox   *inbox
	clock   *leaderClock
	limits  Limits
	metrics *nodeMetrics

	outrun func() bool // writers should wait a moment for the checkpoint

	underWay atomic.Int64  // commands in entries that are under way
	landed   chan struct{} // capacity 1: an entry is not any more
}

// run makes entries until ctx ends or raft refuses one. On return nothing of
// what it took can be relied on: the caller rewinds and hangs up the streams.
func (b *batcher) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer b.pending.enough(0) // for who takes them then
	slots := make(chan struct{}, b.limits.EntriesInFlight)
	scratch := batch{}
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		entry, err := b.next(ctx, &scratch)
		if err != nil {
			return err
		}
		commands := scratch.commands
		b.underWay.Add(int64(commands))
		started := time.Now()
		future := b.raft.ApplyLog(raft.Log{Data: entry}, 0)
		go func() {
			if err := future.Error(); err != nil {
				cancel(err)
			}
			b.metrics.entryLatency.UpdateDuration(started)
			b.underWay.Add(-int64(commands))
			<-slots
			select {
			case b.landed <- struct{}{}:
			default:
			}
		}()
	}
}

// batch is what goes into one entry, kept to use its memory again.
type batch struct {
	own      []byte
	chunks   []chunk
	commands int
}

// next waits until there is something and makes an entry of it.
func (b *batcher) next(ctx context.Context, s *batch) ([]byte, error) {
	for {
		if b.worthwhile() {
			if entry := b.fill(ctx, s); entry != nil {
				return entry, nil
			}
		}
		select {
		case <-b.pending.arrived:
			runtime.Gosched() // clients that are ready come along
		case <-b.inbox.arrived:
		case <-b.landed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

const (
	// longestBrake is for how long an entry waits at most while the table's writers
	// outrun its checkpoint. They are slowed down before they would all have to
	// stand still.
	longestBrake = 100 * time.Millisecond
	// lightEntry is how many bytes outrun nothing: who writes a little beside or after
	// those that do need not wait.
	lightEntry = 2 << 10
)

// brake is called when size bytes have been taken for an entry.
func (b *batcher) brake(ctx context.Context, size int) {
	if size < lightEntry || !b.outrun() {
		return
	}
	began := time.Now()
	defer func() { b.metrics.braked.Add(time.Since(began).Seconds()) }()
	for on := true; on; on = b.outrun() && time.Since(began) < longestBrake {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// worthwhile says whether what waits is to have an entry now: it fills one, or
// is as much as what is under way.
func (b *batcher) worthwhile() bool {
	few := min(int(b.underWay.Load()), b.limits.EntryCommands)
	return b.pending.enough(max(few-b.inbox.commands(), 0))
}

// fill takes from the followers first, but at most half an entry of it while
// this member's own requests wait too; then of its own; nil if nothing waits.
func (b *batcher) fill(ctx context.Context, s *batch) []byte {
	share := 1
	if b.pending.waiting() {
		share = 2
	}
	s.chunks = b.inbox.take(s.chunks[:0], b.limits.EntryBytes/share, b.limits.EntryCommands/share)
	items, commands, size := 0, 0, 0
	for _, c := range s.chunks {
		items += c.items
		commands += c.commands
		size += len(c.data)
	}
	s.own = s.own[:0]
	if room := b.limits.EntryBytes - size; items == 0 || room > 0 && commands < b.limits.EntryCommands {
		own, n, cmds := b.pending.take(s.own, room, b.limits.EntryCommands-commands)
		s.own, items, commands = own, items+n, commands+cmds
	}
	if items == 0 {
		return nil
	}
	b.brake(ctx, size+len(s.own))
	parts := make([][]byte, 0, len(s.chunks)+1)
	for _, c := range s.chunks {
		parts = append(parts, c.data)
	}
	parts = append(parts, s.own)
	entry := raftfsm.EncodeParts(b.clock.now(), newSeed(), items, parts)
	s.commands = commands
	b.metrics.entryCommands.Update(float64(commands))
	b.metrics.entryBytes.Update(float64(len(entry)))
	if cap(s.own) > 4*b.limits.EntryBytes {
		s.own = nil // one large request must not be remembered for ever
	}
	clear(s.chunks)
	return entry
}

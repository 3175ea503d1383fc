package node

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"runtime"
	"syscall"
	"time"

	"github.com/parlorchat/parlor/raftfsm"
)

const (
	chunkBytes    = 64 << 10 // requests that a follower sends together
	chunkCommands = 128
	chunkShare    = 4                     // what waits goes when it is one in so many of what is on its way
	routeBackoff  = 20 * time.Millisecond // before trying the same leader again
)

var errRouteChanged = errors.New("another member leads")

// carry brings this member's requests to the log, wherever the leader is,
// until ctx ends. Whenever the way breaks, everything without an outcome goes
// the new way once more.
func (n *Node) carry(ctx context.Context) {
	for ctx.Err() == nil {
		r := n.routes.get()
		n.pending.rewind()
		err := n.carryBy(ctx, r)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errConnectionOld) {
			continue // at once: nothing is wrong
		}
		if r.leader != "" && !errors.Is(err, errRouteChanged) {
			n.complain("the way to the leader broke", r.leader, err)
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			n.leaderRefused(ctx, r.leader)
		}
		select {
		case <-r.changed:
		case <-time.After(routeBackoff):
		case <-ctx.Done():
		}
	}
}

// complain writes what may be true many times a second, but not as often.
func (n *Node) complain(what, member string, err error) {
	if n.complaints.isNew(what + member) {
		n.log.Info(what, "peer", member, "err", err)
	}
}

// carryBy uses one route until it changes or fails.
func (n *Node) carryBy(ctx context.Context, r route) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-r.changed:
			cancel(errRouteChanged)
		case <-ctx.Done():
		}
	}()
	switch r.leader {
	case "":
		<-ctx.Done()
		return context.Cause(ctx)
	case n.id.NodeID:
		return n.carryHere(ctx)
	default:
		return n.carryTo(ctx, r)
	}
}

// carryHere makes log entries of everybody's requests: this member leads.
func (n *Node) carryHere(ctx context.Context) error {
	if err := n.clock.await(ctx, n.raft.CurrentTerm()); err != nil {
		return err
	}
	n.inbox.clear()
	n.accepting.Store(true)
	err := n.batcher.run(ctx)
	n.accepting.Store(false)
	// Some of what followers sent may be lost now. They learn it by losing the
	// connection, and send everything again, to whoever leads then.
	n.port.hangUp(protoWrites)
	n.inbox.clear()
	return err
}

// carryTo sends this member's requests to the leader.
func (n *Node) carryTo(ctx context.Context, r route) (err error) {
	life := n.guard.ring.lifespan(n.guard.longest)
	addr := n.book.find(r.leader)
	if addr == "" {
		addr = r.addr
	}
	conn, err := dialMember(ctx, n.guard, protoWrites, r.leader, addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer life.whenOver(ctx, cancel)()
	defer func() {
		if cause := context.Cause(ctx); errors.Is(cause, errConnectionOld) {
			err = cause
		}
	}()
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	go func() {
		// The leader never writes: this returns when it hangs up.
		_, err := io.Copy(io.Discard, conn)
		cancel(errors.Join(errors.New("the leader hung up"), err))
	}()
	defer n.pending.enough(0) // for who takes them then
	w := bufio.NewWriterSize(conn, 2*chunkBytes)
	var buf []byte
	for {
		var data []byte
		items, commands := 0, 0
		if n.pending.enoughBeside(chunkShare) {
			data, items, commands = n.pending.take(buf[:0], chunkBytes, chunkCommands)
		}
		if items > 0 {
			if err := writeFrame(w, frameWrites, uint64(items)<<32|uint64(commands), data); err != nil {
				return err
			}
			if buf = data; cap(buf) > 16*chunkBytes {
				buf = nil
			}
			continue
		}
		if err := w.Flush(); err != nil {
			return err
		}
		select {
		case <-n.pending.arrived:
			runtime.Gosched() // clients that are ready come along
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// serveWrites takes in what a follower sends. A full inbox, or a table that
// cannot be checkpointed fast enough, makes it stop reading: the follower then
// refuses new requests when too many wait there.
func (n *Node) serveWrites(conn *tls.Conn) {
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	r := bufio.NewReaderSize(conn, 2*chunkBytes)
	for n.accepting.Load() {
		f, err := readFrame(r, n.opt.Limits.RequestBytes+chunkBytes)
		if err != nil || f.kind != frameWrites {
			return
		}
		c := chunk{data: f.body, items: int(f.id >> 32), commands: int(uint32(f.id))}
		if err := raftfsm.CheckItems(c.data, c.items); err != nil {
			n.log.Error("a member sent requests that cannot be read", "from", peerID(conn.ConnectionState()), "err", err)
			return
		}
		if n.waitRoom(ctx) != nil || n.inbox.put(ctx, c) != nil {
			return
		}
	}
}

// waitRoom returns when the table can take more rows in memory.
func (n *Node) waitRoom(ctx context.Context) error {
	for n.overloaded() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		if !n.accepting.Load() {
			return errRouteChanged
		}
	}
	return ctx.Err()
}

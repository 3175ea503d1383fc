package node

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
)

// A member whose table is no good gets the leader's. It keeps its log, its
// term and its vote: what it has promised to the others holds, so it never
// stops counting for the majority. The leader writes a checkpoint and sends
// it; the member puts it in the place of its own and carries the entries of
// its own log out on it.

// Reseeded says what Reseed did.
type Reseeded struct {
	From  string `json:"from"`  // node id
	Index uint64 `json:"index"` // log index of the table that was sent
	Bytes int64  `json:"bytes"`
}

// seedRequest asks for a checkpoint at or above an index. On the wire: the
// request, the answer, then the snapshot, each of the first two a line of JSON.
type seedRequest struct {
	Least uint64 `json:"least"`
}

type seedAnswer struct {
	Size  int64  `json:"size"`
	Error *Error `json:"error,omitempty"`
}

const seedLine = 4096 // bytes that a line may have

// Reseed replaces this member's table by the leader's and ends its quarantine,
// if the states are equal then. The leader itself is refused.
func (n *Node) Reseed(ctx context.Context) (Reseeded, error) {
	if !n.reseeding.TryLock() {
		return Reseeded{}, fail(CodeInvalid, "this node is being given the group's state already")
	}
	defer n.reseeding.Unlock()
	leader := n.routes.get().leader
	switch leader {
	case "":
		return Reseeded{}, fail(CodeUnreachable, "no leader is known: there is nobody to take the state from")
	case n.id.NodeID:
		return Reseeded{}, fail(CodeInvalid, "this node leads the group, so its state is the one that the others get: hand the leadership over first, with `parlor cluster transfer-leader`")
	}
	n.receiving.Store(true)
	defer n.receiving.Store(false)
	done, err := n.takeTable(ctx, leader)
	for errors.Is(err, raftfsm.ErrSeedOld) && ctx.Err() == nil {
		done, err = n.takeTable(ctx, leader)
	}
	if err != nil {
		return Reseeded{}, err
	}
	n.log.Info("this node has been given the group's state", "from", leader, "index", done.Index, "bytes", done.Bytes)
	if err := n.checkAgainst(ctx, leader); err != nil {
		return Reseeded{}, err
	}
	return done, n.release()
}

// takeTable puts the leader's table in the place of this member's.
func (n *Node) takeTable(ctx context.Context, leader string) (Reseeded, error) {
	in, err := n.fetchTable(ctx, leader, n.book.find(leader))
	if err != nil {
		return Reseeded{}, err
	}
	if err := n.WaitApplied(ctx, in.State().Index); err != nil {
		return Reseeded{}, errors.Join(fmt.Errorf("waiting for this node's log to come to entry %d: %w", in.State().Index, err), in.Discard())
	}
	done := Reseeded{From: leader, Index: in.State().Index, Bytes: in.Size()}
	return done, n.fsm.Reseed(in, n.logs, func() error { return n.snapshot(ctx) })
}

// snapshot has raft take one. raft does so only after it has handed an entry
// out since its start; the leader has written one for that.
func (n *Node) snapshot(ctx context.Context) error {
	for {
		err := n.raft.Snapshot().Error()
		if !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			return err
		}
		select {
		case <-time.After(routeBackoff):
		case <-ctx.Done():
			return err
		}
	}
}

// fetchTable receives a checkpoint of another member, and checks it.
func (n *Node) fetchTable(ctx context.Context, id, addr string) (in *storage.Incoming, err error) {
	first, err := n.files.FirstIndex()
	if err != nil {
		return nil, err
	}
	_, own := n.db.Checkpointed()
	least := own.Index
	if first > 0 {
		least = max(least, first-1)
	}
	if q := n.Quarantined(); q != nil {
		// What went wrong up to there might go wrong again.
		least = max(least, q.Index)
	}
	conn, err := dialMember(ctx, n.guard, protoSeed, id, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(seedRequest{Least: least}); err != nil {
		return nil, fmt.Errorf("asking %s for its state: %w", id, err)
	}
	r := bufio.NewReaderSize(conn, 256<<10)
	var answer seedAnswer
	if err := readLine(r, &answer); err != nil {
		return nil, fmt.Errorf("asking %s for its state: %w", id, err)
	}
	if answer.Error != nil {
		return nil, answer.Error
	}
	if in, err = n.db.Receive(); err != nil {
		return nil, err
	}
	if _, err = io.CopyN(in, r, answer.Size); err == nil {
		err = in.Finish(nil)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("receiving the state of %s: %w", id, err), in.Discard())
	}
	return in, nil
}

func readLine(r *bufio.Reader, v any) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) > seedLine {
		return errors.New("the line is too long")
	}
	return json.Unmarshal(line, v)
}

// checkAgainst compares this member's state with another's.
func (n *Node) checkAgainst(ctx context.Context, id string) error {
	args := hashArgs{Index: n.db.State().Index}
	own, err := n.hashAt(ctx, args.Index)
	if err != nil {
		return err
	}
	var theirs hashAnswer
	if err := n.calls.call(ctx, id, callHash, args, &theirs); err != nil {
		return fmt.Errorf("comparing the new state with that of %s: %w", id, err)
	}
	if own.Hash != theirs.Hash {
		return fail(CodeQuarantined, fmt.Sprintf("the state still differs from that of %s at log index %d: %s and %s; this node stays in quarantine", id, args.Index, own.Hash, theirs.Hash))
	}
	return nil
}

// serveSeed sends this member's table to another one.
func (n *Node) serveSeed(conn *tls.Conn) {
	peer := peerID(conn.ConnectionState())
	var req seedRequest
	if err := readLine(bufio.NewReaderSize(conn, seedLine), &req); err != nil {
		return
	}
	stream, err := n.freshTable(req.Least)
	if err == nil {
		empty := raftfsm.EncodeParts(n.clock.now(), newSeed(), 0, nil) // see snapshot
		if err = n.await(n.raft.ApplyLog(raft.Log{Data: empty}, 0)); err != nil {
			stream.Close()
		}
	}
	if err != nil {
		e := fail(CodeInternal, err.Error())
		if leadershipMoved(err) {
			e = errNotLeader
		}
		errors.As(err, &e)
		_ = json.NewEncoder(conn).Encode(seedAnswer{Error: e}) // who has gone does not need it
		return
	}
	defer stream.Close()
	n.log.Info("sending this node's state to another member", "member", peer, "index", stream.State().Index, "bytes", stream.Size())
	if err = json.NewEncoder(conn).Encode(seedAnswer{Size: stream.Size()}); err == nil {
		_, err = io.Copy(conn, stream)
	}
	if err != nil {
		n.log.Warn("sending this node's state to another member", "member", peer, "err", err)
	}
}

// freshTable gives this member's last checkpoint, and writes one if that is
// below an index.
func (n *Node) freshTable(least uint64) (*storage.Stream, error) {
	ctx, cancel := context.WithTimeout(n.ctx, changeTimeout)
	defer cancel()
	for {
		if err := n.serves(); err != nil {
			return nil, err
		}
		if n.lead.term.Load() == 0 {
			return nil, errNotLeader
		}
		stream, err := n.db.OpenStream()
		if err != nil {
			return nil, err
		}
		if stream.Meta().Index >= max(least, 1) {
			return stream, nil
		}
		stream.Close()
		n.checkpoint()
		select {
		case <-time.After(routeBackoff):
		case <-ctx.Done():
			return nil, command.ErrBusy
		}
	}
}

package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
)

// A member whose state differs from the group's must not show it to anybody:
// it answers no client, stands for no election, and gives its table to no
// other member. Its log is as good as before, so it goes on storing entries
// and voting for others: the group may need it for a majority. It stays so
// over restarts, until Reseed has given it the group's state.

// Quarantine says why a member is kept from clients.
type Quarantine struct {
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason"`
	Index    uint64    `json:"index"`    // log index at which it differed
	Majority bool      `json:"majority"` // a majority of the voters agrees on something else
}

// CodeQuarantined is the code of what clients of such a member are told.
const CodeQuarantined = "QUARANTINED"

// refused is what clients of a member in quarantine are told, and of one that
// is being given the group's state. To those who do
// not care why, it is command.ErrNoLeader: another member may do it.
type refused struct{ said *Error }

func (r refused) Error() string { return r.said.Error() }

// Unwrap gives what a client is told.
func (r refused) Unwrap() error { return r.said }

// Is makes it known for what it is.
func (r refused) Is(target error) bool { return target == error(command.ErrNoLeader) }

func (q *Quarantine) refusal() error {
	return refused{fail(CodeQuarantined, "this node's state differs from the group's, so it serves nobody until it was given the group's state: "+
		"run `parlor cluster reseed` on it; meanwhile use another node. "+q.Reason)}
}

const quarantineFile = "quarantine.json"

// loadQuarantine finds what an earlier start of this member has found.
func (n *Node) loadQuarantine() error {
	b, err := os.ReadFile(filepath.Join(n.opt.Dir, quarantineFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	q := new(Quarantine)
	if err == nil {
		if json.Unmarshal(b, q) != nil {
			q.Reason = "the record of why this node is in quarantine cannot be read"
		}
		n.quarantined.set(q)
		n.metrics.mismatches.Inc()
		n.log.Error("this node is in quarantine and serves nobody: run `parlor cluster reseed` on it", "since", q.Since, "reason", q.Reason)
		return nil
	}
	return fmt.Errorf("reading whether this node is in quarantine: %w", err)
}

// quarantine begins one. What cannot be written down must not go on: the next
// start would serve.
func (n *Node) quarantine(q Quarantine) {
	if n.onlyVoter() {
		n.log.Error("this node's data is damaged, and there is no other node to take it from: restore a backup", "reason", q.Reason)
		return
	}
	if !n.quarantined.begin(&q) {
		return
	}
	b, err := json.Marshal(q)
	if err == nil {
		err = writeFile(filepath.Join(n.opt.Dir, quarantineFile), b, 0o600)
	}
	if err != nil {
		n.opt.Fatal(fmt.Errorf("this node's state differs from the group's (%s), and that cannot be written down: %w", q.Reason, err))
		return
	}
	n.log.Error("this node's state differs from the group's; it serves nobody from now on: run `parlor cluster reseed` on it", "index", q.Index, "reason", q.Reason, "majority", q.Majority)
	n.lead.end() // what only the leader does is done from its state
	n.background(n.resign)
}

// tableFailed ends the process. If the table has given back something else
// than was written, the next start is to serve nobody: that row is not the
// only one, perhaps.
func (n *Node) tableFailed(reason error) {
	alone := len(n.id.Peers) == 0
	if n.raft != nil {
		alone = n.onlyVoter()
	}
	if errors.Is(reason, storage.ErrDamaged) && !alone {
		q := Quarantine{Since: time.Now().UTC(), Index: n.applied.index.Load(), Majority: true, Reason: reason.Error()}
		b, err := json.Marshal(q)
		if err == nil {
			err = writeFile(filepath.Join(n.opt.Dir, quarantineFile), b, 0o600)
		}
		reason = errors.Join(fmt.Errorf("run `parlor cluster reseed` on this node: it is in quarantine from its next start on: %w", reason), err)
	}
	n.opt.Fatal(reason)
}

// resign hands the leadership over for as long as this member has it. It does
// not come back: a member in quarantine stands for no election.
func (n *Node) resign() {
	for n.quarantined.get() != nil && n.ctx.Err() == nil {
		if n.raft.State() != raft.Leader {
			return
		}
		if err := n.stepAside(n.ctx); err != nil {
			n.log.Error("this node's state differs, and it cannot hand the leadership over", "err", err)
		}
		select {
		case <-time.After(n.opt.Timing.Housekeep):
		case <-n.ctx.Done():
		}
	}
}

// release ends the quarantine: the state is the group's again.
func (n *Node) release() error {
	err := os.Remove(filepath.Join(n.opt.Dir, quarantineFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ending the quarantine: %w", err)
	}
	if err := storage.SyncDir(n.opt.Dir); err != nil {
		return fmt.Errorf("ending the quarantine: %w", err)
	}
	if n.quarantined.get() != nil {
		n.log.Info("this node has the group's state again and serves")
	}
	n.quarantined.set(nil)
	return nil
}

// Quarantined says why this member serves nobody; nil if it serves.
func (n *Node) Quarantined() *Quarantine { return n.quarantined.get() }

// serves refuses clients while the member is in quarantine.
func (n *Node) serves() error {
	if q := n.quarantined.get(); q != nil {
		return q.refusal()
	}
	return nil
}

// ward is whether a member is in quarantine.
type ward struct {
	mu      sync.Mutex
	q       *Quarantine
	changed chan struct{} // closed when q changes
}

func (w *ward) get() *Quarantine {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.q
}

func (w *ward) set(q *Quarantine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.q = q
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// begin is set, unless there is a quarantine.
func (w *ward) begin(q *Quarantine) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.q != nil {
		return false
	}
	w.q = q
	return true
}

// change gives what closes when the quarantine ends.
func (w *ward) change() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

// wards is which members are in quarantine, as far as the leader knows.
type wards struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (w *wards) note(id string, in bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ids == nil {
		w.ids = map[string]bool{}
	}
	w.ids[id] = in
}

func (w *wards) has(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ids[id]
}

// RequestVote is part of raft.Transport. A member in quarantine asks nobody
// for a vote: whoever leads must have the group's state.
func (t *raftTransport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := t.serves(); err != nil {
		return err
	}
	if err := t.meet(id); err != nil {
		return err
	}
	return t.transport.RequestVote(id, target, args, resp)
}

// RequestPreVote is part of raft.WithPreVote.
func (t *raftTransport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := t.serves(); err != nil {
		return err
	}
	if err := t.meet(id); err != nil {
		return err
	}
	return t.transport.RequestPreVote(id, target, args, resp)
}

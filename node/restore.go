package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/backup"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Restoring is done by the leader. The backup becomes a table of its own
// beside the member's (staging): there it is checked, row by row, and made
// part of this group: what a group is by itself (its members, its certificate
// authority) stays as it is, and a new epoch begins. Only then is anything
// changed: raft puts the table in the place of the old one, on this member
// first and, as a snapshot, on all others.

// RestoreOptions say what may be restored.
type RestoreOptions struct {
	Foreign bool // a backup of another group too
}

// Restored tells what a restore has done.
type Restored struct {
	From  Manifest `json:"from"`  // what was in the backup
	Index uint64   `json:"index"` // log index that the group's state is as of now
	Epoch string   `json:"epoch"` // of the new history
}

const (
	stagingPrefix = "restore-"
	restoreTries  = 5                // if the leadership moves meanwhile
	leadPatience  = 20 * time.Second // to become the leader
)

// What a group is by itself is not restored: who belongs to it, who was taken
// out, the authorities' keys, the join tokens. docs/keyspace.md has them.
var (
	groupKeys     = []string{authoritiesKey, firstCAKey, membersKey, removedKey, learnersKey, drainingKey, alarmsKey, command.LevelKey}
	groupPrefixes = []string{tokenKey}
)

// Restore replaces the group's state by that of a backup. If it fails before
// the leader has taken it over, nothing has changed; if the leader dies after
// that, the group may have either state, and Restore can be called again.
// Requests that are under way are carried out after it, or fail with UNKNOWN.
func (n *Node) Restore(ctx context.Context, r io.Reader, o RestoreOptions) (Restored, error) {
	if !n.restoring.TryLock() {
		return Restored{}, fail(CodeBusy, "another restore is under way on this member")
	}
	defer n.restoring.Unlock()
	if err := n.leadHere(ctx); err != nil {
		return Restored{}, err
	}
	s, err := n.stage(r, o)
	if err != nil {
		return Restored{}, err
	}
	defer s.remove()
	out := Restored{From: s.manifest}
	for tries := 1; ; tries++ {
		out.Epoch, err = n.replaceBy(s)
		if err == nil {
			break
		}
		if tries == restoreTries || !leadershipMoved(err) {
			return Restored{}, restoreError(err)
		}
		if err := n.leadHere(ctx); err != nil {
			return Restored{}, err
		}
	}
	out.Index = n.Applied()
	n.log.Warn("the group's state was replaced by a backup",
		"taken_at", time.UnixMilli(out.From.CreatedAt).UTC().Format(time.RFC3339), "of_group", out.From.ClusterID, "of_index", out.From.Index, "epoch", out.Epoch)
	return out, nil
}

// replaceBy makes the staged table this group's own and puts it in the place
// of the group's.
func (n *Node) replaceBy(s *staged) (epoch string, err error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	if epoch, err = n.naturalize(s); err != nil {
		return "", err
	}
	return epoch, n.replaceState(s, epoch)
}

// leadershipMoved says whether something failed because another member leads or
// might. It may have been done all the same: to do it once more makes it sure.
func leadershipMoved(err error) bool {
	return errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) || errors.Is(err, raft.ErrLeadershipTransferInProgress)
}

func restoreError(err error) error {
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		return fail(CodeNotLeader, "this member does not lead any more; nothing was changed: try again")
	}
	return err
}

// leadHere makes this member the leader: only the leader can restore.
func (n *Node) leadHere(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leadPatience)
	defer cancel()
	for !n.IsLeader() {
		if _, votes := n.voters(); !votes {
			return fail(CodeNotLeader, "this member has no vote in its group: restore on one that has")
		}
		r := n.routes.get()
		if r.leader != "" && r.leader != n.id.NodeID {
			if err := n.TransferLeader(ctx, n.id.NodeID); err != nil {
				return fmt.Errorf("making this member the leader: %w", err)
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fail(CodeNotLeader, "this member could not become the leader, which it must be to restore")
		}
	}
	return nil
}

// staged is a backup on its way to become the group's state.
type staged struct {
	dir      string
	db       *storage.DB
	manifest Manifest
}

// stage reads a backup into a table of its own and checks it.
func (n *Node) stage(r io.Reader, o RestoreOptions) (*staged, error) {
	b, err := backup.Open(r)
	if err != nil {
		return nil, backupError(err)
	}
	m := b.Manifest()
	if !o.Foreign && m.ClusterID != n.id.ClusterID {
		return nil, fail(CodeWrongCluster, fmt.Sprintf("the backup is of group %s, this is group %s: if that is meant, say --foreign", m.ClusterID, n.id.ClusterID))
	}
	if err := n.checkBackupLevel(m.Level); err != nil {
		return nil, err
	}
	// The copy, and the one that the member then gets for itself.
	if free := n.opt.disk(n.opt.Dir).Free; free > 0 && uint64(m.Size) > free/2 {
		return nil, fail(CodeNoSpace, fmt.Sprintf("restoring %d bytes takes twice as many on the disk of %s, which has %d left", m.Size, n.opt.Dir, free))
	}
	s, err := openStaging(n.opt.Dir, n.id.ClusterID)
	if err != nil {
		return nil, fmt.Errorf("making room for the backup: %w", err)
	}
	s.manifest = m
	if _, err = s.receive(b); err == nil {
		err = s.check()
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// openStaging makes an empty table of a group in a folder beside a member's.
func openStaging(parent, clusterID string) (*staged, error) {
	dir, err := os.MkdirTemp(parent, stagingPrefix)
	if err != nil {
		return nil, err
	}
	s := &staged{dir: dir}
	// A failure here is no failure of the member: it is only told.
	s.db, err = storage.Open(dir, storage.Options{ClusterID: clusterID, Fatal: func(error) {}})
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// receive puts the backup's snapshot in the place of the empty table. It gives
// the file's checksum, in hex.
func (s *staged) receive(b *backup.Reader) (sum string, err error) {
	in, err := s.db.Receive()
	if err != nil {
		return "", fmt.Errorf("storing the backup: %w", err)
	}
	in.Adopt()
	if sum, err = b.Copy(in); err != nil {
		return "", errors.Join(backupError(err), in.Discard())
	}
	if err := in.Finish(nil); errors.Is(err, storage.ErrNewer) {
		return "", errors.Join(fail(CodeNewer, err.Error()+": use a newer program"), in.Discard())
	} else if err != nil {
		return "", errors.Join(fail(CodeDamaged, "the backup is damaged: "+err.Error()), in.Discard())
	}
	if err := s.db.Install(in); err != nil {
		return "", errors.Join(err, in.Discard())
	}
	return sum, nil
}

// check says whether the rows are those that the backup speaks of.
func (s *staged) check() error {
	st := s.db.State()
	if st.Index != s.manifest.Index || st.Term != s.manifest.Term || hashText(st.Hash) != s.manifest.StateHash {
		return fail(CodeDamaged, "the backup is damaged: its table is not the one that its manifest speaks of")
	}
	level := 0
	err := s.db.View(func(rows storage.Reader, st storage.State) (err error) {
		if err = raftfsm.Verify(rows, st); err == nil {
			level, err = command.LevelOf(keyspace.NewReader(rows, st.Clock))
		}
		return err
	})
	if err == nil && level > max(s.manifest.Level, command.FirstLevel) {
		err = fmt.Errorf("its state is of feature level %d, its manifest says %d", level, s.manifest.Level)
	}
	if err != nil {
		return fail(CodeDamaged, "the backup is damaged: "+err.Error())
	}
	return nil
}

// checkBackupLevel refuses a state that a program may find later in this group
// and not understand. The state of a lower level is the state of this one, too:
// the group keeps its level.
func (n *Node) checkBackupLevel(level int) error {
	switch own := n.Level(); {
	case level > n.levels().Newest:
		return fail(CodeNewer, fmt.Sprintf("the backup is of feature level %d, this program%s supports %s: use a newer program", level, versionText(n.opt.Version), n.levels()))
	case level > own:
		return fail(CodeNewer, fmt.Sprintf("the backup is of feature level %d, the group is at %d: run parlor cluster upgrade finalize first. Nothing was changed", level, own))
	}
	return nil
}

// naturalize makes the staged table this group's own, with an epoch of its own.
func (n *Node) naturalize(s *staged) (epoch string, err error) {
	epoch = randomText(8)
	err = s.edit(n.readClock(), func(tx *keyspace.Tx) error {
		err := n.look(func(own *keyspace.Tx) error { return bringGroup(own, tx) })
		if err != nil || n.opt.Renew == nil {
			return err
		}
		return n.opt.Renew(tx, epoch)
	})
	if err != nil {
		return "", fmt.Errorf("preparing the backup: %w", err)
	}
	return epoch, s.write()
}

// edit changes rows of the staged table as one log entry would.
func (s *staged) edit(clock int64, fn func(tx *keyspace.Tx) error) error {
	st := s.db.State()
	st.Index++
	st.Clock = max(st.Clock, clock)
	batch := s.db.Begin()
	if err := fn(keyspace.NewWriter(batch, st.Clock, st.Index, &st.Hash)); err != nil {
		batch.Abort()
		return err
	}
	batch.Commit(st)
	return nil
}

// write puts what was edited on disk.
func (s *staged) write() error {
	_, m := s.db.Checkpointed()
	c, err := s.db.Freeze()
	if err != nil {
		return fmt.Errorf("preparing the backup: %w", err)
	}
	defer c.Release()
	m.Index = max(m.Index, c.State().Index)
	if err := c.Write(m); err != nil {
		return fmt.Errorf("preparing the backup: %w", err)
	}
	return nil
}

// remove takes the staging folder away.
func (s *staged) remove() {
	if s.db != nil {
		_ = s.db.Close()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // if it stays, the next start removes it
	}
}

// bringGroup replaces what a group is by itself in one table by what it is in
// another.
func bringGroup(from, to *keyspace.Tx) error {
	keys := append([]string{}, groupKeys...)
	for _, tx := range []*keyspace.Tx{from, to} {
		for _, prefix := range groupPrefixes {
			tx.EachKey([]byte(prefix), func(key []byte, _ keyspace.Type) bool {
				if !strings.HasPrefix(string(key), prefix) {
					return false
				}
				keys = append(keys, string(key))
				return true
			})
		}
	}
	for _, key := range keys {
		to.Delete([]byte(key))
		if err := copyKey(from, to, []byte(key)); err != nil {
			return fmt.Errorf("keeping %s: %w", key, err)
		}
	}
	return nil
}

// copyKey copies a string or a hash from one table to another.
func copyKey(from, to *keyspace.Tx, key []byte) error {
	switch t := from.Type(key); t {
	case keyspace.None:
		return nil
	case keyspace.String:
		v, _, err := from.Get(key)
		if err != nil {
			return err
		}
		if err := to.Set(key, append([]byte{}, v...)); err != nil {
			return err
		}
	case keyspace.Hash:
		var failed error
		err := from.HEach(key, func(field, value []byte) bool {
			_, failed = to.HSet(key, append([]byte{}, field...), append([]byte{}, value...))
			return failed == nil
		})
		if err := errors.Join(err, failed); err != nil {
			return err
		}
	default:
		return fmt.Errorf("it is a %v", t)
	}
	if at, ok := from.ExpireAt(key); ok {
		to.SetExpire(key, at)
	}
	return nil
}

// replaceState has raft put the staged table in the place of the group's.
func (n *Node) replaceState(s *staged, epoch string) error {
	stream, err := s.db.OpenStream()
	if err != nil {
		return fmt.Errorf("reading the prepared backup: %w", err)
	}
	defer stream.Close()
	meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: stream.Meta().Index, Term: stream.Meta().Term, Size: stream.Size()}
	if err := n.markRestoring(epoch); err != nil {
		return err
	}
	// Whoever works as the leader stops, and begins anew with what is there
	// then. The entry with which the leader takes office also lets readers
	// know how far the new state reaches.
	term, before := n.raft.CurrentTerm(), n.db.Stats().Epoch
	n.lead.end()
	n.replacing.Store(true)
	err = n.awaitCall(func() error { return n.raft.Restore(meta, stream, 0) })
	n.replacing.Store(false)
	if n.db.Stats().Epoch == before {
		n.settled() // nothing was replaced
	}
	if n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term {
		n.takeOffice(term)
	}
	if err != nil {
		return fmt.Errorf("replacing the group's state (parlor status tells how the group is; it can be tried again): %w", err)
	}
	return nil
}

// awaitCall waits for fn, but not beyond the life of this member. Who asked
// may have gone: what was begun is brought to its end.
func (n *Node) awaitCall(fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-n.ctx.Done():
		return raft.ErrRaftShutdown
	}
}

// reapStaging removes what an interrupted restore has left in a data folder.
func reapStaging(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, stagingPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("clearing the remains of an interrupted restore: %w", err)
		}
	}
	return nil
}

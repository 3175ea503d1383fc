package raftfsm

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/parlorchat/parlor/storage"
)

// SnapshotStore shows raft the checkpoint in the data file as its one
// snapshot. Where raft starts from is thus read from the same transaction as
// the rows, and cannot differ from what the rows hold. Snapshots from other
// nodes pass through it on their way to FSM.Restore.
type SnapshotStore struct {
	db *storage.DB

	mu      sync.Mutex
	arrived map[string]*received // closed by raft, not yet opened
	count   int
}

var (
	_ raft.SnapshotStore = (*SnapshotStore)(nil)
	_ raft.SnapshotSink  = (*sink)(nil)
)

// NewSnapshotStore makes the snapshot store of a table.
func NewSnapshotStore(db *storage.DB) *SnapshotStore {
	return &SnapshotStore{db: db, arrived: map[string]*received{}}
}

// List implements raft.SnapshotStore.
func (s *SnapshotStore) List() ([]*raft.SnapshotMeta, error) {
	_, m := s.db.Checkpointed()
	if m.Index == 0 {
		return nil, nil
	}
	meta, err := raftMeta(m, s.db.SnapshotSize())
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{meta}, nil
}

func raftMeta(m storage.Meta, size int64) (*raft.SnapshotMeta, error) {
	c, err := decodeConfiguration(m.Config)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %d: %w", m.Index, err)
	}
	return &raft.SnapshotMeta{
		Version:            raft.SnapshotVersionMax,
		ID:                 fmt.Sprintf("checkpoint-%d-%d", m.Term, m.Index),
		Index:              m.Index,
		Term:               m.Term,
		Configuration:      c,
		ConfigurationIndex: m.ConfigIndex,
		Size:               size,
	}, nil
}

// decodeConfiguration: raft's own function panics.
func decodeConfiguration(b []byte) (c raft.Configuration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("membership is corrupt: %v", p)
		}
	}()
	return raft.DecodeConfiguration(b), nil
}

// Open implements raft.SnapshotStore: the checkpoint as a stream for another
// node, or a snapshot that has arrived, for Restore.
func (s *SnapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	r := s.arrived[id]
	delete(s.arrived, id)
	s.mu.Unlock()
	if r != nil {
		return r.meta, r, nil
	}
	stream, err := s.db.OpenStream()
	if err != nil {
		return nil, nil, err
	}
	meta, err := raftMeta(stream.Meta(), stream.Size())
	if err == nil && meta.Index == 0 {
		err = errors.New("there is no checkpoint yet")
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("opening snapshot %s: %w", id, err), stream.Close())
	}
	return meta, stream, nil
}

// Arrived says whether id is of a snapshot from another node that waits to be
// installed.
func (s *SnapshotStore) Arrived(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived[id] != nil
}

// Create implements raft.SnapshotStore. What it is for shows later: a
// snapshot from elsewhere is written to the sink, a checkpoint of this table
// never is.
func (s *SnapshotStore) Create(version raft.SnapshotVersion, index, term uint64,
	configuration raft.Configuration, configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("snapshot version %d is not supported", version)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	return &sink{
		store: s,
		meta: raft.SnapshotMeta{
			Version: version, ID: fmt.Sprintf("incoming-%d-%d-%d", term, index, s.count),
			Index: index, Term: term,
			Configuration: configuration, ConfigurationIndex: configurationIndex,
		},
	}, nil
}

// sink takes a snapshot: one from another node through Write, or one of this
// table through snapshot.Persist.
type sink struct {
	store   *SnapshotStore
	meta    raft.SnapshotMeta
	in      *storage.Incoming   // from the first Write on
	written *storage.Checkpoint // by Persist
	ended   bool
}

// ID implements raft.SnapshotSink.
func (k *sink) ID() string { return k.meta.ID }

// Write implements io.Writer for a snapshot from another node.
func (k *sink) Write(p []byte) (int, error) {
	if k.ended {
		return 0, errors.New("writing to a closed snapshot")
	}
	if k.in == nil {
		in, err := k.store.db.Receive()
		if err != nil {
			return 0, err
		}
		k.in = in
	}
	n, err := k.in.Write(p)
	k.meta.Size += int64(n)
	return n, err
}

// position is what the snapshot is filed under.
func (k *sink) position() storage.Meta {
	return storage.Meta{
		Index: k.meta.Index, Term: k.meta.Term,
		Config: raft.EncodeConfiguration(k.meta.Configuration), ConfigIndex: k.meta.ConfigurationIndex,
	}
}

// Close implements raft.SnapshotSink. A snapshot from another node is checked
// and put on disk. For a checkpoint everything was done by Persist; if the
// table was replaced since, raft must not believe in the checkpoint.
func (k *sink) Close() error {
	if k.ended {
		return nil
	}
	k.ended = true
	switch {
	case k.in != nil:
		m := k.position()
		if err := k.in.Finish(&m); err != nil {
			return errors.Join(err, k.in.Discard())
		}
		meta := k.meta
		k.store.mu.Lock()
		k.store.arrived[meta.ID] = &received{in: k.in, meta: &meta}
		k.store.mu.Unlock()
		return nil
	case k.written == nil:
		return errors.New("closing a snapshot that nothing was written to")
	case k.written.Stale():
		return storage.ErrStale
	}
	return nil
}

// Cancel implements raft.SnapshotSink.
func (k *sink) Cancel() error {
	if k.ended {
		return nil
	}
	k.ended = true
	if k.in == nil {
		return nil
	}
	return k.in.Discard()
}

// received is a snapshot from another node on its way to FSM.Restore, which
// knows it and does not read it.
type received struct {
	in   *storage.Incoming
	meta *raft.SnapshotMeta
}

// Read implements io.Reader.
func (r *received) Read([]byte) (int, error) {
	return 0, errors.New("an arrived snapshot is installed, not read")
}

// Close drops the snapshot unless it was installed.
func (r *received) Close() error { return r.in.Discard() }

// snapshot is a frozen table.
type snapshot struct{ checkpoint *storage.Checkpoint }

// Persist implements raft.FSMSnapshot: it writes the frozen rows to the data
// file, together with what raft files them under. raft shortens its log only
// after that.
func (s *snapshot) Persist(to raft.SnapshotSink) error {
	k, ok := to.(*sink)
	if !ok {
		return fmt.Errorf("a checkpoint goes to the table's own snapshot store, not to a %T", to)
	}
	if err := s.checkpoint.Write(k.position()); err != nil {
		return err
	}
	k.written = s.checkpoint
	return nil
}

// Release implements raft.FSMSnapshot.
func (s *snapshot) Release() { s.checkpoint.Release() }

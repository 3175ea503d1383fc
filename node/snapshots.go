package node

import (
	"io"

	"github.com/hashicorp/raft"
)

// sentSnapshots is the snapshot store of a member that may be in quarantine:
// then no other member gets its table. It counts what comes and goes.
type sentSnapshots struct {
	raft.SnapshotStore
	serves  func() error
	arrived func(id string) bool
	metrics *nodeMetrics
}

// Open is part of raft.SnapshotStore.
func (s sentSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	arrived := s.arrived(id)
	if err := s.serves(); err != nil && !arrived {
		return nil, nil, err
	}
	meta, r, err := s.SnapshotStore.Open(id)
	if err != nil {
		return nil, nil, err
	}
	if arrived {
		s.metrics.snapshotsIn.Inc()
		s.metrics.bytesIn.AddInt64(meta.Size)
		return meta, r, nil
	}
	s.metrics.snapshotsSent.Inc()
	return meta, sentStream{r, s.metrics}, nil
}

// sentStream is a table on its way to another member.
type sentStream struct {
	io.ReadCloser
	metrics *nodeMetrics
}

// Read implements io.Reader.
func (s sentStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.metrics.bytesSent.Add(n)
	return n, err
}

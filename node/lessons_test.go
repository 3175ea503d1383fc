package node

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"
)

// Settings that other systems have paid for: DESIGN.md says who.

func TestAppendsAreNotPipelined(t *testing.T) {
	g := form(t, 1, nil)
	m := g.members[0]
	_, err := m.trans.AppendEntriesPipeline(raft.ServerID(m.NodeID()), raft.ServerAddress(m.Cluster()))
	if !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
		t.Errorf("asked for a pipeline, the transport says %v", err)
	}
}

// A log that is too short for the time that a snapshot takes means that a
// member is sent one after the other, and never catches up. Entries are
// batches: a number of them says nothing.
func TestTheLogIsKeptBySize(t *testing.T) {
	for _, c := range []struct {
		size int // of an entry, average
		want uint64
	}{
		{100, 200_000},
		{64 << 10, 8_192},
		{32 << 20, 1_000}, // a few at least, however large
	} {
		m := &Node{opt: Options{Limits: Limits{}.withDefaults()}}
		m.wal = &watchedLog{}
		m.wal.entries.Store(10)
		m.wal.bytes.Store(uint64(10 * c.size))
		if got := m.trailingLogs(); got > c.want*11/10 || got < c.want*9/10 {
			t.Errorf("of entries of %d bytes %d are kept, about %d would be right", c.size, got, c.want)
		}
	}
}

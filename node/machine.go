package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// machine is what a member has on disk: the ordered table with the state
// machine that fills it, and the raft log.
type machine struct {
	db        *storage.DB
	fsm       *raftfsm.FSM
	snapshots raft.SnapshotStore
	files     *wal.WAL
	logFiles  *raftfsm.LogFiles // that it is in
	wal       *watchedLog
	logs      raft.LogStore
	stable    raft.StableStore
}

// logCache is how many entries are kept in memory for followers: entries are
// up to 256 KiB.
const logCache = 64

var clusterName = []byte("parlor-cluster")

// streamRate is how fast a snapshot is sent to another member, in bytes per
// second: the sender has writes to carry, and must be done before the log that
// it keeps for the other one has passed (Limits.LogBytes).
const streamRate = 128 << 20

func (m *machine) open(n *Node) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	if err = n.openTable(); err != nil {
		return err
	}
	if err = m.openLog(n); err != nil {
		return err
	}
	return m.openState(n)
}

func (n *Node) openTable() (err error) {
	n.db, err = storage.Open(filepath.Join(n.opt.Dir, tableFolder), storage.Options{
		ClusterID: n.id.ClusterID, Fatal: n.tableFailed, Logger: n.log,
		OverlayBudget: n.opt.Limits.OverlayBytes, OverlayHard: n.opt.Limits.OverlayHard,
		LookedUp: keyspace.LookedUp, InOrder: keyspace.InOrder, StreamRate: streamRate,
	})
	if err != nil {
		return fmt.Errorf("opening the table: %w", err)
	}
	return nil
}

func (m *machine) openLog(n *Node) error {
	dir := filepath.Join(n.opt.Dir, logFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the log: %w", err)
	}
	var err error
	if err = raftfsm.CheckLog(dir); err != nil {
		return fail(CodeDamaged, err.Error())
	}
	if err = raftfsm.MendLog(dir); err != nil {
		return err
	}
	if m.logFiles, err = raftfsm.NewLogFiles(dir, n.opt.Limits.segmentBytes); err != nil {
		return err
	}
	m.files, err = wal.Open(dir, wal.WithLogger(newRaftLog(n.log, "raft-log")),
		wal.WithSegmentSize(n.opt.Limits.segmentBytes), wal.WithSegmentFiler(m.logFiles.Segments()))
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	m.stable = m.files
	of, err := m.stable.Get(clusterName)
	if err != nil && !errors.Is(err, wal.ErrNotFound) {
		return fmt.Errorf("reading whose log it is: %w", err)
	}
	if len(of) == 0 {
		if err := m.stable.Set(clusterName, []byte(n.id.ClusterID)); err != nil {
			return fmt.Errorf("marking the log: %w", err)
		}
	} else if string(of) != n.id.ClusterID {
		return fail(CodeWrongCluster, fmt.Sprintf("the log in %s is of group %s, the member is of group %s", dir, of, n.id.ClusterID))
	}
	return nil
}

// close closes what is open.
func (m *machine) close() error {
	var errs []error
	if m.files != nil {
		errs = append(errs, m.files.Close())
	}
	if m.logFiles != nil {
		errs = append(errs, m.logFiles.Close())
	}
	if m.db != nil {
		errs = append(errs, m.db.Close())
	}
	return errors.Join(errs...)
}

// raftConfig follows what was learnt from other systems on raft: see DESIGN.md.
func (n *Node) raftConfig() *raft.Config {
	t := n.opt.Timing
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.id.NodeID)
	c.HeartbeatTimeout = t.Heartbeat
	c.ElectionTimeout = t.Election
	c.LeaderLeaseTimeout = t.LeaderLease
	c.CommitTimeout = t.Commit
	c.MaxAppendEntries = 64
	c.BatchApplyCh = true
	c.TrailingLogs = n.trailingLogs()
	c.SnapshotInterval = time.Hour // checkpoints are taken by bytes and time: checkpoint.go
	c.SnapshotThreshold = 1 << 40
	c.NoSnapshotRestoreOnStart = true // the table on disk is the snapshot
	c.ShutdownOnRemove = false
	c.NoLegacyTelemetry = true
	c.NotifyCh = n.notify
	c.Logger = newRaftLog(n.log, "raft")
	return c
}

// openState makes the state machine and brings log and table in line.
func (m *machine) openState(n *Node) error {
	opened := time.Now()
	m.fsm = raftfsm.New(raftfsm.Config{
		DB: m.db, Table: n.opt.Table, Node: n.id.origin(),
		Waiter: n.pending, Observer: n.observe, Effects: n.effects.tell, Fatal: n.opt.Fatal, Logger: n.log,
		Stopwatch: func() time.Duration { return time.Since(opened) },
	})
	if err := n.checkOwnLevel(m.fsm.Level()); err != nil {
		return err
	}
	n.levelSeen.Store(int64(n.id.level()))
	n.pending.level = m.fsm.Level
	store := raftfsm.NewSnapshotStore(m.db)
	m.snapshots = sentSnapshots{SnapshotStore: store, serves: n.serves, arrived: store.Arrived, metrics: n.metrics}
	var files raft.LogStore = m.files
	if n.opt.store != nil {
		files = n.opt.store(files)
	}
	m.wal = &watchedLog{LogStore: files, observed: n.metrics.append.Update, grown: make(chan struct{}, 1)}
	m.wal.step = n.opt.Limits.need(n.opt.disk(n.opt.Dir).Total) / 16
	guarded := raftfsm.NewLogStore(m.wal, n.opt.Fatal)
	if err := raftfsm.Reconcile(m.db, guarded); err != nil {
		return fmt.Errorf("bringing log and table in line: %w", err)
	}
	logs, err := raft.NewLogCache(logCache, guarded)
	if err != nil {
		return err
	}
	m.logs = logs
	m.stable = raftfsm.NewStableStore(m.stable, n.opt.Fatal)
	st := m.db.State()
	n.applied.reach(st.Index)
	n.readTime.advance(st.Clock)
	return nil
}

// observe hears from the state machine, on the apply goroutine, when readers
// can see the effects of the log up to index.
func (n *Node) observe(index uint64, touched []string) {
	st := n.db.State()
	n.readTime.advance(st.Clock)
	n.applied.reach(index)
	n.followLevel()
	if n.IsLeader() && n.raft.LastIndex() == st.Index {
		n.trans.commit(st.Index, st.Term) // no later entry is going to say it
	}
	n.watchers.tell(touched)
	if touched == nil {
		n.pending.skipped()
		if !n.replacing.Load() {
			n.settled() // this is what the others have
		}
	}
}

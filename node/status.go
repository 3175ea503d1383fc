package node

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/storage/command"
)

// Status is what a member knows of itself and the group.
type Status struct {
	ClusterID string `json:"cluster_id"`
	NodeID    string `json:"node_id"`
	Name      string `json:"name"`
	Version   string `json:"version,omitempty"`
	Level     int    `json:"level"`            // the group's feature level
	Role      string `json:"role"`             // leader, follower, candidate, learner (no vote yet), removed
	Leader    string `json:"leader,omitempty"` // node id
	Ready     bool   `json:"ready"`            // knows a leader and has applied something
	Term      uint64 `json:"term"`
	Last      uint64 `json:"last"`   // index of the last entry in the log
	Commit    uint64 `json:"commit"` // … that a majority has
	// Applied is the index that the state is as of, StateHash a hash of all
	// the state then: members with the same index have the same hash.
	Applied   uint64 `json:"applied"`
	StateHash string `json:"state_hash"`
	Clock     int64  `json:"clock"` // the group's time, ms since 1970

	Voters           int      `json:"voters"`
	FailureTolerance int      `json:"failure_tolerance"` // members that may fail now without harm
	Members          []Member `json:"members"`
	Disk             Disk     `json:"disk"`
	DataBytes        int64    `json:"data_bytes"` // used part of the table's file
	OverlayBytes     int64    `json:"overlay_bytes"`
	Checkpoint       uint64   `json:"checkpoint"` // index of the last one on disk
	// Quarantine says why this member serves nobody: its state differs from
	// the group's.
	Quarantine *Quarantine `json:"quarantine,omitempty"`
	// Alarms are of members that have too little room: while there is one,
	// the group takes only what makes room.
	Alarms []Alarm `json:"alarms,omitempty"`
}

// Member is one member as seen from here. What is asked of the member itself
// is zero if it is not reachable.
type Member struct {
	ID        string `json:"id"`
	Name      string `json:"name,omitempty"`
	Cluster   string `json:"cluster"` // addresses
	HTTP      string `json:"http,omitempty"`
	RESP      string `json:"resp,omitempty"`
	Version   string `json:"version,omitempty"`
	Voter     bool   `json:"voter"`
	Leader    bool   `json:"leader"`
	Reachable bool   `json:"reachable"`
	Applied   uint64 `json:"applied"`
	Lag       uint64 `json:"lag"` // entries behind the furthest member
	StateHash string `json:"state_hash,omitempty"`
	// Quarantine is why this member serves nobody, "" if it serves.
	Quarantine string `json:"quarantine,omitempty"`
	Alarm      string `json:"alarm,omitempty"`    // what it has too little of, "" if nothing
	Draining   bool   `json:"draining,omitempty"` // an operator wants nobody to use it
	// HashAgrees says whether the member's state is that of the leader after
	// the same entry; nil: it could not be compared.
	HashAgrees  *bool    `json:"hash_agrees,omitempty"`
	Term        uint64   `json:"term"`
	Last        uint64   `json:"last"`                           // index of the last entry in its log
	Commit      uint64   `json:"commit"`                         // … that it knows a majority to have
	LastContact *float64 `json:"last_contact_seconds,omitempty"` // since it heard from the leader; nil: it leads, or never
	Disk        Disk     `json:"disk"`
	FsyncP99    float64  `json:"fsync_p99_seconds"` // of the last appends to its log; 0: none yet

	levels command.LevelRange // that its program supports
}

// Disk is the file system of the data folder, in bytes.
type Disk struct {
	Total uint64 `json:"total"`
	Free  uint64 `json:"free"`

	device uint64 // tells file systems apart on this machine
}

// memberState is what a member answers about itself.
type memberState struct {
	Term      uint64 `json:"term"`
	LastIndex uint64 `json:"last_index"`
	Commit    uint64 `json:"commit"`
	Applied   uint64 `json:"applied"`
	StateHash string `json:"state_hash"`
	// Quarantine is why this member serves nobody, "" if it serves.
	Quarantine  string   `json:"quarantine,omitempty"`
	LastContact *float64 `json:"last_contact_seconds,omitempty"`
	Disk        Disk     `json:"disk"`
	FsyncP99    float64  `json:"fsync_p99_seconds"`
	Wall        int64    `json:"wall,omitempty"` // its machine's clock, ms since 1970
	// Version and Levels are of the program that it runs.
	Version string             `json:"version,omitempty"`
	Levels  command.LevelRange `json:"levels,omitzero"`
	Boot    uint64             `json:"boot,omitempty"` // number of this start
}

func (n *Node) state() memberState {
	st := n.db.State()
	quarantine := ""
	if q := n.Quarantined(); q != nil {
		quarantine = q.Reason
	}
	return memberState{
		Term: n.raft.CurrentTerm(), LastIndex: n.raft.LastIndex(), Commit: n.raft.CommitIndex(),
		Applied: st.Index, StateHash: hashText(st.Hash), Quarantine: quarantine,
		Version: n.opt.Version, Levels: n.levels(), Boot: n.pending.boot,
		LastContact: n.lastContact(), Disk: n.opt.disk(n.opt.Dir), FsyncP99: n.wal.recent.quantile(0.99), Wall: n.opt.wall().UnixMilli(),
	}
}

func (n *Node) answerState(context.Context, string, []byte) (any, error) { return n.state(), nil }

// stateOf asks a member; nil if it does not answer.
func (n *Node) stateOf(ctx context.Context, id string) *memberState {
	st := new(memberState)
	if id == n.id.NodeID {
		*st = n.state()
		return st
	}
	if err := n.calls.call(ctx, id, callState, nil, st); err != nil {
		return nil
	}
	return st
}

// Local tells how the member is, and what it knows of the group by itself: it
// asks nobody. Of the members it has no more than ids and addresses.
func (n *Node) Local() Status {
	me := n.state()
	checkpoint, _ := n.db.Checkpointed()
	s := Status{
		ClusterID: n.id.ClusterID, NodeID: n.id.NodeID, Name: n.opt.Name, Version: n.opt.Version, Level: n.Level(),
		Role: n.role(), Leader: n.routes.get().leader,
		Term: me.Term, Last: me.LastIndex, Commit: me.Commit, Applied: me.Applied, StateHash: me.StateHash,
		Clock: n.readClock(), Disk: n.opt.disk(n.opt.Dir), DataBytes: n.db.Stats().FileBytes,
		OverlayBytes: n.db.OverlayBytes(), Checkpoint: checkpoint.Index,
	}
	s.Quarantine, s.Alarms = n.Quarantined(), n.Alarms()
	s.Ready = s.Leader != "" && s.Applied > 0 && s.Quarantine == nil
	for _, srv := range n.servers() {
		m := Member{ID: string(srv.ID), Cluster: string(srv.Address), Voter: srv.Suffrage == raft.Voter, Leader: string(srv.ID) == s.Leader}
		m.Alarm, m.Draining = n.alarmOf(m.ID), n.isMarked(drainingKey, m.ID)
		if m.Voter {
			s.Voters++
		}
		s.Members = append(s.Members, m)
	}
	return s
}

// Status tells how the member and the group are. It asks the other members and
// waits a second for them at most.
func (n *Node) Status(ctx context.Context) Status {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	s := n.Local()
	n.ask(ctx, s.Members)
	n.compareMembers(ctx, s.Members)
	reachable := 0
	for _, m := range s.Members {
		if m.Voter && m.Reachable {
			reachable++
		}
	}
	s.FailureTolerance = max(0, reachable-(s.Voters/2+1))
	return s
}

func (n *Node) role() string {
	if n.expelled.Load() || n.isRemoved(n.id.NodeID) {
		return "removed"
	}
	if n.lead.term.Load() != 0 {
		return "leader"
	}
	if n.raft.State() == raft.Candidate {
		return "candidate"
	}
	if _, votes := n.voters(); !votes {
		return "learner"
	}
	return "follower"
}

// ask fills in what the group has written down of its members, and what each
// says of itself.
func (n *Node) ask(ctx context.Context, members []Member) {
	var asking sync.WaitGroup
	for i := range members {
		m := &members[i]
		info := n.infoOf(m.ID)
		m.Name, m.HTTP, m.RESP, m.Version, m.levels = info.Name, info.HTTP, info.RESP, info.Version, info.Levels
		asking.Go(func() {
			if st := n.stateOf(ctx, m.ID); st != nil {
				m.Reachable, m.Applied, m.StateHash, m.Quarantine = true, st.Applied, st.StateHash, st.Quarantine
				m.Version, m.levels = cmp.Or(st.Version, m.Version), st.Levels
				m.Term, m.Last, m.Commit = st.Term, st.LastIndex, st.Commit
				m.LastContact, m.Disk, m.FsyncP99 = st.LastContact, st.Disk, st.FsyncP99
			}
		})
	}
	asking.Wait()
	furthest := uint64(0)
	for _, m := range members {
		furthest = max(furthest, m.Applied)
	}
	for i := range members {
		if members[i].Reachable {
			members[i].Lag = furthest - members[i].Applied
		}
	}
}

// lastContact is how many seconds ago this member heard from the leader; nil
// if it leads itself, or has heard of none since its start.
func (n *Node) lastContact() *float64 {
	at := n.raft.LastContact()
	if n.raft.State() == raft.Leader || at.IsZero() {
		return nil
	}
	since := time.Since(at).Seconds()
	return &since
}

// compareLag is how far behind a member may be to be compared: hashes are kept
// for a while only.
const compareLag = 1000

// compareMembers says whether the members have the same state after the same
// entry: the last one that all who answer and keep up have applied. Right is the leader's
// or, if it does not answer, this member's own.
func (n *Node) compareMembers(ctx context.Context, members []Member) {
	index, right := n.Applied(), -1
	for i, m := range members {
		if !m.Reachable {
			continue
		}
		if m.Lag < compareLag {
			index = min(index, m.Applied)
		}
		if m.Leader || right < 0 && m.ID == n.id.NodeID {
			right = i
		}
	}
	if right < 0 {
		return
	}
	hashes := make([]string, len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		if m.Reachable && m.Applied >= index {
			asking.Go(func() { hashes[i] = n.hashOf(ctx, m.ID, index) })
		}
	}
	asking.Wait()
	for i := range members {
		if hashes[i] != "" && hashes[right] != "" {
			agrees := hashes[i] == hashes[right]
			members[i].HashAgrees = &agrees
		}
	}
}

// hashOf asks a member for its state's hash after an entry; "" if it does not
// know it.
func (n *Node) hashOf(ctx context.Context, id string, index uint64) string {
	var a hashAnswer
	var err error
	if id == n.id.NodeID {
		a, err = n.hashAt(ctx, index)
	} else {
		err = n.calls.call(ctx, id, callHash, hashArgs{Index: index}, &a)
	}
	if err != nil {
		return ""
	}
	return a.Hash
}

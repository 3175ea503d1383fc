package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Who belongs to the group is the raft configuration. What people want to know
// of members is beside it in the keyspace: system:members, hash, node id to a
// JSON document; and three hashes of marks, node id to the time:
// system:removed (an id that was taken out never comes back), system:learners
// (has no vote because an operator said so), system:draining (an operator
// wants nobody to use it).
const (
	membersKey  = "system:members"
	removedKey  = "system:removed"
	learnersKey = "system:learners"
	drainingKey = "system:draining"
	alarmsKey   = "system:alarms"

	promoteLag    = 250 // entries that a new member may be behind to get a vote
	changeTimeout = 10 * time.Second
	askTimeout    = time.Second
)

// Calls between members.
const (
	callReadIndex = "read-index" // of versions that do not know the next one
	callReadPoint = "read-point"
	callTime      = "time"
	callAnnounce  = "announce"
	callState     = "state"
	callOperate   = "operate"
	callBroadcast = "broadcast"
	callCert      = "cert"
	callRenew     = "cert-renew"
	callRotate    = "ca-rotate"
)

// memberInfo is a member's document in system:members.
type memberInfo struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Cluster string `json:"cluster"` // address of the cluster port
	HTTP    string `json:"http,omitempty"`
	RESP    string `json:"resp,omitempty"`
	Version string `json:"version,omitempty"`
	// Levels is the feature levels that its program supports; zero: one from
	// before there were any.
	Levels command.LevelRange `json:"levels,omitzero"`
	Boot   uint64             `json:"boot,omitempty"` // number of its start; 0: its program does not tell
}

// announcement is what a member says of itself.
type announcement struct {
	memberInfo
	Starts []uint64 `json:"starts,omitempty"` // see starts.go
	Index  uint64   `json:"index,omitempty"`  // log index that its state is as of
}

func (n *Node) self() memberInfo {
	n.selfMu.Lock()
	defer n.selfMu.Unlock()
	return memberInfo{ID: n.id.NodeID, Name: n.opt.Name, Cluster: n.id.Cluster, HTTP: n.opt.HTTP, RESP: n.opt.RESP, Version: n.opt.Version, Levels: n.levels(), Boot: n.pending.boot}
}

// Announce tells the group at which addresses this member serves HTTP and
// RESP clients; empty ones stay as they are. It returns at once.
func (n *Node) Announce(http, resp string) {
	n.selfMu.Lock()
	if http != "" {
		n.opt.HTTP = http
	}
	if resp != "" {
		n.opt.RESP = resp
	}
	n.selfMu.Unlock()
	n.announceAgain()
}

func (n *Node) announceAgain() {
	select {
	case n.announce <- struct{}{}:
	default:
	}
}

func errRemoved(id string) error {
	return fail(CodeRemoved, "member "+id+" was removed from the group; use an empty data folder to join again")
}

type announceAnswer struct {
	Recorded bool `json:"recorded"` // the one who answers leads, and the group knows us now
}

// announcing makes the group know this member and its addresses: at the start
// and whenever one changes. Everybody is told, so that members find each other
// at new addresses even while there is no leader; the leader writes it down.
func (n *Node) announcing(ctx context.Context) {
	if n.waitIntroduced(ctx) != nil {
		return
	}
	pause := 50 * time.Millisecond
	for {
		recorded, err := n.announceOnce(ctx)
		switch e := (*Error)(nil); {
		case !errors.As(err, &e):
		case e.Code == CodeRemoved:
			n.log.Error("this member was removed from the group; its data folder can be deleted", "member", n.id.NodeID)
			n.expelled.Store(true)
			return
		case e.Code == CodeCopied:
			n.deny(e)
			return
		case e.Code == CodeNewer || e.Code == CodeOlder:
			n.opt.Fatal(e)
			return
		}
		if recorded {
			pause = 50 * time.Millisecond
			n.rememberPeers()
			if n.waitForsaken(ctx) != nil {
				return
			}
			continue
		}
		retry := time.After(pause)
		pause = min(2*pause, 2*time.Second)
		select {
		case <-n.announce:
		case <-retry:
		case <-n.routes.get().changed:
		case <-ctx.Done():
			return
		}
	}
}

// waitForsaken waits until there is something to announce again. A new leader
// has what was announced from the log. But who has heard of no leader for a
// while may have been removed when nothing reached it, and a member without a
// vote would never ask the others for anything.
func (n *Node) waitForsaken(ctx context.Context) error {
	patience := 4 * (n.opt.Timing.Heartbeat + n.opt.Timing.Election)
	for {
		known := n.routes.get()
		var enough <-chan time.Time
		if known.leader == "" {
			enough = time.After(patience)
		}
		select {
		case <-n.announce:
			return nil
		case <-enough:
			return nil
		case <-known.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *Node) announceOnce(ctx context.Context) (recorded bool, err error) {
	me := n.self()
	n.askAround(ctx)
	if n.lead.term.Load() != 0 {
		if err := n.admit(ctx, me); err != nil {
			return false, err
		}
		recorded = true
	}
	type result struct {
		answer announceAnswer
		err    error
	}
	peers := n.addresses()
	delete(peers, me.ID)
	results := make(chan result, len(peers))
	said := announcement{memberInfo: me, Starts: n.starts, Index: n.Applied()}
	for id, addr := range peers {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, changeTimeout)
			defer cancel()
			var r result
			r.err = n.calls.callAt(ctx, id, addr, callAnnounce, said, &r.answer)
			results <- r
		}()
	}
	for range peers {
		r := <-results
		recorded = recorded || r.err == nil && r.answer.Recorded
		if e := (*Error)(nil); errors.As(r.err, &e) && slices.Contains(final, e.Code) {
			err = r.err
		}
	}
	return recorded, err
}

// final are the answers after which nobody need be asked again.
var final = []string{CodeRemoved, CodeCopied, CodeNewer, CodeOlder}

// answerAnnounce hears where a member is.
func (n *Node) answerAnnounce(ctx context.Context, peer string, body []byte) (any, error) {
	var said announcement
	if err := json.Unmarshal(body, &said); err != nil || said.ID != peer {
		return nil, fail(CodeInvalid, "a member can announce itself only")
	}
	info := said.memberInfo
	if err := checkAdvertised(info.Cluster); err != nil {
		return nil, err
	}
	if err := n.checkStart(ctx, peer, said.Starts, said.Index); err != nil {
		return nil, err
	}
	n.book.announce(peer, info.Cluster)
	if n.lead.term.Load() == 0 {
		return announceAnswer{}, nil
	}
	return announceAnswer{Recorded: true}, n.admit(ctx, info)
}

// admit brings the raft configuration and the member list up to date with
// what a member says of itself. The leader does it, one change at a time.
func (n *Node) admit(ctx context.Context, info memberInfo) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	if n.isRemoved(info.ID) {
		return errRemoved(info.ID)
	}
	if err := n.supportsLevel(info); err != nil {
		return err
	}
	known := false
	for _, s := range n.servers() {
		if string(s.ID) == info.ID {
			known = string(s.Address) == info.Cluster
		} else if string(s.Address) == info.Cluster {
			return fail(CodeInvalid, fmt.Sprintf("member %s has the cluster address %s already; remove it first if it is gone", s.ID, s.Address))
		}
	}
	if !known {
		// For a member that has a vote this changes the address only.
		f := n.raft.AddNonvoter(raft.ServerID(info.ID), raft.ServerAddress(info.Cluster), 0, changeTimeout)
		if err := n.await(f); err != nil {
			return fmt.Errorf("adding the member to the group: %w", err)
		}
		n.log.Info("the group has a new member or a new address", "member", info.ID, "address", info.Cluster)
	}
	doc, err := json.Marshal(info)
	if err != nil {
		return err
	}
	if string(n.field(membersKey, info.ID)) == string(doc) {
		return nil
	}
	return n.write(ctx, command.Args{[]byte("HSET"), []byte(membersKey), []byte(info.ID), doc})
}

// governing is the leader's duty to give a vote to new members that have
// caught up, and to finish removals that were interrupted.
func (n *Node) governing(ctx context.Context) {
	every := time.NewTicker(n.opt.Timing.Housekeep)
	defer every.Stop()
	caughtUp := map[raft.ServerID]time.Time{} // since when
	for {
		for _, s := range n.servers() {
			switch {
			case n.isRemoved(string(s.ID)) && string(s.ID) != n.id.NodeID:
				n.dropServer(s.ID)
			case s.Suffrage != raft.Voter && !n.isMarked(learnersKey, string(s.ID)):
				n.considerVote(ctx, s, caughtUp)
			}
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) considerVote(ctx context.Context, s raft.Server, caughtUp map[raft.ServerID]time.Time) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var st memberState
	last := n.raft.LastIndex() // before asking: it must be up to this
	err := n.calls.call(ctx, string(s.ID), callState, nil, &st)
	if err != nil || st.LastIndex+promoteLag < last || st.Applied+promoteLag < last {
		delete(caughtUp, s.ID)
		return
	}
	since, ok := caughtUp[s.ID]
	if !ok {
		caughtUp[s.ID] = time.Now()
		return
	}
	if time.Since(since) < n.opt.Timing.Stable {
		return
	}
	n.changing.Lock()
	defer n.changing.Unlock()
	if err := n.await(n.raft.AddVoter(s.ID, s.Address, 0, changeTimeout)); err != nil {
		n.log.Warn("giving a new member its vote", "member", s.ID, "err", err)
		return
	}
	delete(caughtUp, s.ID)
	n.log.Info("a new member has caught up and votes now", "member", s.ID)
}

func (n *Node) dropServer(id raft.ServerID) {
	n.changing.Lock()
	defer n.changing.Unlock()
	if err := n.await(n.raft.RemoveServer(id, 0, changeTimeout)); err != nil {
		n.log.Warn("taking a removed member out of the group", "member", id, "err", err)
	}
}

// servers is the raft configuration.
func (n *Node) servers() []raft.Server {
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

func (n *Node) voters() (count int, self bool) {
	for _, s := range n.servers() {
		if s.Suffrage == raft.Voter {
			count++
			self = self || string(s.ID) == n.id.NodeID
		}
	}
	return count, self
}

func (n *Node) onlyVoter() bool {
	count, self := n.voters()
	return count == 1 && self
}

func (n *Node) isMember(id string) bool {
	return slices.ContainsFunc(n.servers(), func(s raft.Server) bool { return string(s.ID) == id })
}

func (n *Node) isRemoved(id string) bool { return n.isMarked(removedKey, id) }

// isMarked says whether a hash of marks names a member.
func (n *Node) isMarked(key, id string) bool { return n.field(key, id) != nil }

// field reads a field of a hash as this member knows it; nil if there is none.
func (n *Node) field(key, field string) (value []byte) {
	_ = n.look(func(tx *keyspace.Tx) error { // an error is none
		v, ok, err := tx.HGet([]byte(key), []byte(field))
		if err == nil && ok {
			value = append([]byte{}, v...)
		}
		return nil
	})
	return value
}

// addresses is where the members are, as far as this one knows.
func (n *Node) addresses() map[string]string {
	out := map[string]string{}
	servers := n.servers()
	if len(servers) == 0 {
		out = maps.Clone(n.id.Peers)
		if out == nil {
			out = map[string]string{}
		}
	}
	for _, s := range servers {
		out[string(s.ID)] = string(s.Address)
	}
	for id := range out {
		if addr := n.book.find(id); addr != "" {
			out[id] = addr
		}
	}
	return out
}

// configured is where members are by the raft configuration or, before there
// is one, by what was last known.
func (n *Node) configured() map[string]string {
	servers := n.servers()
	if len(servers) == 0 {
		return n.id.Peers
	}
	out := make(map[string]string, len(servers))
	for _, s := range servers {
		out[string(s.ID)] = string(s.Address)
	}
	return out
}

// rememberPeers keeps the members' addresses in the data folder, for a member
// whose log has not told it yet.
func (n *Node) rememberPeers() {
	peers := n.addresses()
	delete(peers, n.id.NodeID)
	if err := n.keep(func(id *Identity) { id.Peers = peers }); err != nil {
		n.log.Warn("remembering the members' addresses", "err", err)
	}
}

// keep changes what the data folder says of the member.
func (n *Node) keep(change func(id *Identity)) error {
	n.keeping.Lock()
	defer n.keeping.Unlock()
	id := n.kept
	change(&id)
	if id.State != stateMember || reflect.DeepEqual(id, n.kept) {
		return nil
	}
	if err := id.write(n.opt.Dir); err != nil {
		return err
	}
	n.kept = id
	return nil
}

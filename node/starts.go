package node

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A member is one process with one folder. Two processes on two copies of a
// folder would vote twice, and an older copy has forgotten what the member has
// promised. Neither can be seen from inside the folder, so the members look
// after each other:
//
//   - Every start of a member has a number, above all before it, that is on disk
//     before anybody hears of it. The folder knows the numbers of its last
//     starts; the others know, from system:members, that of the start that was last
//     announced. A folder that does not know that start is an older copy. Whose
//     state is further than that of the one who is asked knows better himself: so
//     a group that was recovered from an older folder is not stopped by those who
//     are to follow it.
//   - Who announces another start than the group knows is asked for at the
//     address that the group knows. If another start answers there, both run.
//   - A leader knows how much of its log the member has acknowledged to it in
//     this term. A folder whose log is shorter has lost some of that.
//
// A start talks to the others about this (callMeet) before it takes part in
// raft, but waits no longer for them than an election takes: members of a group
// that was switched off find each other without a leader. Besides, no member asks
// another for its vote, or is asked, without having met it.
//
// What nobody can see is said in DESIGN.md.

const (
	bootsFile  = "boots"  // the numbers of the last starts, 8 bytes each
	copiedFile = "copied" // why this folder must not be used any more
	bootsKept  = 128
	pingTime   = 500 * time.Millisecond // for the one who runs at the known address
	meetTime   = 2 * time.Second        // for asking before a vote

	callMeet = "meet"
)

// beginStart numbers this start of the process, above every earlier one, and
// keeps the number before it is used: request ids must never come twice. It
// gives the numbers of the folder's last starts, this one at the end.
func beginStart(dir string) ([]uint64, error) {
	last, err := readNumbers(filepath.Join(dir, bootFile), 1)
	if err != nil {
		return nil, err
	}
	starts, err := readNumbers(filepath.Join(dir, bootsFile), bootsKept)
	if err != nil {
		return nil, err
	}
	// Programs of the first versions keep the last number only.
	for _, n := range last {
		if len(starts) == 0 || n > starts[len(starts)-1] {
			starts = append(starts, n)
		}
	}
	boot := uint64(time.Now().UnixNano())
	if len(starts) > 0 {
		boot = max(boot, starts[len(starts)-1]+1)
	}
	starts = append(starts, boot)
	starts = starts[max(0, len(starts)-bootsKept):]
	err = writeFile(filepath.Join(dir, bootsFile), encodeNumbers(starts), 0o600)
	if err == nil {
		err = writeFile(filepath.Join(dir, bootFile), encodeNumbers([]uint64{boot}), 0o600)
	}
	return starts, err
}

func readNumbers(path string, most int) ([]uint64, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the numbers of the last starts: %w", err)
	case len(b)%8 != 0 || len(b) == 0 || len(b) > 8*most:
		return nil, fail(CodeDamaged, path+" is damaged")
	}
	var out []uint64
	for ; len(b) > 0; b = b[8:] {
		out = append(out, binary.BigEndian.Uint64(b))
	}
	return out, nil
}

func encodeNumbers(numbers []uint64) (b []byte) {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// knowsStart says whether a folder with these last starts knows of one that
// the group knows. Nobody can tell of one that is longer ago.
func knowsStart(starts []uint64, known uint64) bool {
	return known < starts[0] || slices.Contains(starts, known)
}

func errCopied(what string) *Error {
	return fail(CodeCopied, what+". This folder must not be used any more: parlor reset it, take the member out with parlor cluster remove if nothing else runs under its id, and join anew")
}

// meeting is what one member tells another of itself, to take part in raft.
type meeting struct {
	Starts []uint64 `json:"starts"` // the last ones of the caller's folder; the last of them is running
	Index  uint64   `json:"index"`  // log index that the caller's state is as of
	Known  uint64   `json:"known"`  // start of the called member that the caller knows; 0: none
	AsOf   uint64   `json:"as_of"`  // log index that Known is as of
	Vote   bool     `json:"vote"`   // the caller is about to ask for a vote
}

type metAnswer struct {
	ID    string `json:"id"`
	Leads bool   `json:"leads"`
	// Acked is the last log entry that the caller has acknowledged to the one
	// who answers, in the term that it leads in; 0: none.
	Acked uint64 `json:"acked"`
	// Addresses is where members say that they are, who have announced
	// themselves to the one who answers, and that one itself.
	Addresses map[string]string `json:"addresses"`
}

// answerMeet hears what another start of a member has to say.
func (n *Node) answerMeet(ctx context.Context, peer string, body []byte) (any, error) {
	var m meeting
	if err := json.Unmarshal(body, &m); err != nil || len(m.Starts) == 0 {
		return nil, fail(CodeInvalid, "the call cannot be read")
	}
	if m.Vote { // is about us as well
		if err := n.waitIntroduced(ctx); err != nil {
			return nil, err
		}
		if m.AsOf > n.Applied() && !knowsStart(n.starts, m.Known) || !n.isItself() {
			n.deny(errUnknownStart(n.id.NodeID))
			return nil, fail(CodeUnreachable, "this member is not the one that the group knows")
		}
	}
	// Before anything else: it may acknowledge more when it has its answer.
	a := metAnswer{ID: n.id.NodeID, Leads: n.IsLeader(), Addresses: n.book.heard()}
	if a.Leads {
		a.Acked = n.trans.acked(raft.ServerID(peer), n.lead.term.Load())
	}
	a.Addresses[n.id.NodeID] = n.id.Cluster
	return a, n.checkStart(ctx, peer, m.Starts, m.Index)
}

func errUnknownStart(id string) *Error {
	return errCopied("the group knows of a later start of member " + id + ", which this folder knows nothing of: it is an older copy")
}

// isItself says whether this folder is the one that its own state speaks of.
func (n *Node) isItself() bool {
	known, _ := n.lastStart(n.id.NodeID)
	return knowsStart(n.starts, known)
}

// checkStart says whether a start of a member may take part. starts is the
// last ones of its folder, index what its state is as of.
func (n *Node) checkStart(ctx context.Context, id string, starts []uint64, index uint64) error {
	if len(starts) == 0 {
		return nil // a program that does not tell
	}
	known, asOf := n.lastStart(id)
	boot := starts[len(starts)-1]
	switch {
	case asOf > index && !knowsStart(starts, known):
		return errUnknownStart(id)
	case boot == known:
		return nil
	}
	// A start that is new to the group: it takes the place of the one before,
	// unless that one lives.
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	addr, st := n.book.find(id), memberState{}
	if addr == "" || n.calls.callAt(ctx, id, addr, callState, nil, &st) != nil || st.Boot == boot {
		return nil
	}
	return errCopied(fmt.Sprintf("another process runs as member %s, at %s, on another copy of this data folder", id, addr))
}

// lastStart is the number of a member's last start that the group knows of; 0:
// of none; and the log index that this is as of. When this member has just
// started, its state may be of before that: then the data folder tells.
func (n *Node) lastStart(id string) (start, asOf uint64) {
	n.keeping.Lock()
	defer n.keeping.Unlock()
	if n.db.State().Index < n.kept.StartsAt {
		return n.kept.Starts[id], n.kept.StartsAt
	}
	start = n.infoOf(id).Boot
	return start, n.db.State().Index
}

// rememberStarts keeps the members' last starts in the data folder.
func (n *Node) rememberStarts() {
	if !n.isItself() {
		n.deny(errUnknownStart(n.id.NodeID))
	}
	starts := map[string]uint64{}
	for _, s := range n.servers() {
		if start := n.infoOf(string(s.ID)).Boot; start > 0 {
			starts[string(s.ID)] = start
		}
	}
	index := n.db.State().Index // afterwards: the state as of then has them all
	err := n.keep(func(id *Identity) {
		if index >= id.StartsAt && !maps.Equal(starts, id.Starts) {
			id.Starts, id.StartsAt = starts, index
		}
	})
	if err != nil {
		n.log.Warn("keeping the members' starts in the data folder", "err", err)
	}
}

// deny ends the process for good: this folder is not the member's any more.
func (n *Node) deny(why *Error) {
	if n.denied.Swap(true) {
		return
	}
	err := writeFile(filepath.Join(n.opt.Dir, copiedFile), []byte(why.Message+"\n"), 0o600)
	n.opt.Fatal(errors.Join(why, err))
}

// checkDenied refuses to start on a folder that is not the member's any more.
func checkDenied(dir string) error {
	why, err := os.ReadFile(filepath.Join(dir, copiedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking whether the folder was copied: %w", err)
	}
	return fail(CodeCopied, string(trimNewline(why)))
}

func trimNewline(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	return b
}

// introduce meets the others, before this start takes part in raft. It does
// not wait for those who do not answer for longer than an election takes, nor for
// anybody once the leader has answered.
func (n *Node) introduce(ctx context.Context) {
	if n.onlyVoter() {
		close(n.introduced)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, n.opt.Timing.Heartbeat)
	defer cancel()
	last := n.raft.LastIndex() // nobody has added to it yet
	whom := n.toBeMet()
	answers := make(chan metAnswer, len(whom))
	for _, w := range whom {
		go func() {
			a, err := n.meet(ctx, w, false)
			if err == nil && a.Acked > last {
				n.deny(errCopied(fmt.Sprintf("this member has acknowledged log entry %d, and its log ends at %d: the folder is an older copy, or its disk has lost what it had kept", a.Acked, last)))
			}
			answers <- a
		}()
	}
	for range whom {
		if a := <-answers; a.Leads {
			break
		}
	}
	if !n.denied.Load() {
		close(n.introduced)
	}
}

// contact is somebody to be met.
type contact struct{ id, addr string } // id may be empty: whoever is there

// toBeMet is all other members that this one knows of, and who the operator
// has named.
func (n *Node) toBeMet() (out []contact) {
	peers := n.addresses()
	delete(peers, n.id.NodeID)
	for id, addr := range peers {
		out = append(out, contact{id, addr})
	}
	return append(out, n.named()...)
}

// named is whom the operator has named.
func (n *Node) named() (out []contact) {
	for _, addr := range n.opt.Peers {
		if addr != n.id.Cluster {
			out = append(out, contact{"", addr})
		}
	}
	return out
}

// askAround asks those whom the operator has named where everybody is.
func (n *Node) askAround(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	var asking sync.WaitGroup
	for _, w := range n.named() {
		asking.Go(func() { _, _ = n.meet(ctx, w, false) }) // or it is asked again
	}
	asking.Wait()
}

// meet tells another member of this start. The error is nil if the other one
// runs a program that knows nothing of this.
func (n *Node) meet(ctx context.Context, w contact, vote bool) (a metAnswer, err error) {
	m := meeting{Starts: n.starts, Index: n.Applied(), Vote: vote}
	m.Known, m.AsOf = n.lastStart(w.id)
	err = n.calls.callAt(ctx, w.id, w.addr, callMeet, m, &a)
	e := (*Error)(nil)
	switch {
	case err == nil && w.id == "":
		for id, addr := range a.Addresses {
			if id != n.id.NodeID {
				n.book.tell(id, addr)
			}
		}
	case errors.As(err, &e) && e.Code == CodeCopied:
		n.deny(e)
	case errors.As(err, &e) && e.Code == CodeInvalid:
		return a, nil
	}
	return a, err
}

// waitIntroduced returns when this start may take part in raft.
func (n *Node) waitIntroduced(ctx context.Context) error {
	select {
	case <-n.introduced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-n.ctx.Done():
		return errClosed
	}
}

// meetForVote lets this member and another one look at each other before one
// asks the other for its vote.
func (n *Node) meetForVote(id raft.ServerID) error {
	ctx, cancel := context.WithTimeout(n.ctx, meetTime)
	defer cancel()
	if err := n.waitIntroduced(ctx); err != nil {
		return err
	}
	if !n.isItself() {
		n.deny(errUnknownStart(n.id.NodeID))
	}
	if n.denied.Load() {
		return fail(CodeCopied, "this folder must not vote")
	}
	addr := n.book.find(string(id))
	_, err := n.meet(ctx, contact{string(id), addr}, true)
	if e := (*Error)(nil); errors.As(err, &e) && e.Code == CodeRemoved {
		n.announceAgain() // nobody has written the removal into this member's log: it is to be told
	}
	return err
}

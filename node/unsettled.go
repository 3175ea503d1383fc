package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/storage"
)

// While a restore goes from the leader to the others, the leader alone has the
// new state, under an index that the others may yet give to something else. If
// it dies then, they go on with the old state; and if it came back, raft would
// take its state for a beginning of theirs and add their entries to it. So it
// leaves a mark, and does not start with one unless it is alone. The mark goes
// when this member's state is the group's again for sure: when an entry of its own
// as a leader was applied, or when it was sent a snapshot.
const restoringFile = "restoring"

// markRestoring leaves the mark: the epoch that the new state has.
func (n *Node) markRestoring(epoch string) error {
	n.unsettled.Store(true)
	return writeFile(filepath.Join(n.opt.Dir, restoringFile), []byte(epoch+"\n"), 0o600)
}

// settled takes the mark away, if there is one.
func (n *Node) settled() {
	if !n.unsettled.Load() {
		return
	}
	if err := removeMark(n.opt.Dir, restoringFile); err != nil {
		n.log.Error("forgetting a restore that is over", "err", err)
		return
	}
	n.unsettled.Store(false)
}

func removeMark(dir, name string) error {
	err := os.Remove(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = storage.SyncDir(dir)
	}
	return err
}

// checkSettled refuses to start a member that died in the middle of a restore.
func (n *Node) checkSettled() error {
	mark, err := os.ReadFile(filepath.Join(n.opt.Dir, restoringFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for an interrupted restore: %w", err)
	}
	_, m := n.db.Checkpointed()
	voters := 0
	for _, s := range configurationOf(m.Config).Servers {
		if s.Suffrage == raft.Voter {
			voters++
		}
	}
	replaced := strings.TrimSpace(string(mark)) == string(n.field(groupKey, epochField))
	if replaced && voters > 1 {
		return fail(CodeUnsettled, "this member died while it restored a backup; the others have gone on, with the old state or with the new one. "+
			"Let it take theirs: reset this folder, remove member "+n.id.NodeID+" from the group, and join again. If there are no others any more: recover")
	}
	// It died before anything was replaced, or nobody else could have gone on.
	return removeMark(n.opt.Dir, restoringFile)
}

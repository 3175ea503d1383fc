package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage"
)

// ReseedStopped is Reseed for a member that does not run, perhaps because its
// table is so damaged that it cannot. Its log, its term and its vote stay. A
// table that cannot be opened is put aside under another name.
func ReseedStopped(ctx context.Context, opts Options) (Reseeded, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return Reseeded{}, err
	}
	id, err := Inspect(opts.Dir)
	if err != nil {
		return Reseeded{}, err
	}
	lock, err := lockFolder(opts.Dir)
	if err != nil {
		return Reseeded{}, err
	}
	defer lock.Close()
	if len(id.Peers) == 0 {
		return Reseeded{}, fail(CodeUnreachable, "this node knows of no other one in its group: there is nobody to take the state from; restore a backup")
	}
	opts.Fatal = func(error) {} // an error is enough here
	n, err := prepare(opts, id)
	if err != nil {
		return Reseeded{}, err
	}
	defer n.cancel()
	n.guard.removed = func(string) bool { return false } // the table is not asked: it may be damaged
	done, err := n.reseedStopped(ctx)
	return done, errors.Join(err, n.machine.close())
}

func (n *Node) reseedStopped(ctx context.Context) (Reseeded, error) {
	if err := n.tryTable(); err != nil {
		table := filepath.Join(n.opt.Dir, tableFolder)
		aside := fmt.Sprintf("%s.damaged-%d", table, time.Now().Unix())
		n.log.Warn("the table cannot be opened and is put aside", "as", aside, "err", err)
		if err := os.Rename(table, aside); err != nil {
			return Reseeded{}, fmt.Errorf("putting the damaged table aside: %w", err)
		}
		if err := n.openTable(); err != nil {
			return Reseeded{}, err
		}
	}
	if err := n.openLog(n); err != nil {
		return Reseeded{}, err
	}
	peer, in, err := n.fetchFromLeader(ctx)
	if err != nil {
		return Reseeded{}, fmt.Errorf("no leader of the group was found: %w", err)
	}
	done := Reseeded{From: peer, Index: in.State().Index, Bytes: in.Size()}
	if err := n.db.Install(in); err != nil {
		return Reseeded{}, errors.Join(err, in.Discard())
	}
	var failed error
	logs := raftfsm.NewLogStore(n.files, func(err error) { failed = err })
	if err := errors.Join(raftfsm.Reconcile(n.db, logs), failed); err != nil {
		return Reseeded{}, err
	}
	return done, n.release()
}

// fetchFromLeader asks all others for the table, and gives them some time to
// elect a leader if they have none.
func (n *Node) fetchFromLeader(ctx context.Context) (peer string, in *storage.Incoming, err error) {
	for end := time.Now().Add(n.opt.Timing.Propose); ; {
		var why error
		electing := false
		for peer, addr := range n.id.Peers {
			in, err := n.fetchTable(ctx, peer, addr)
			if err == nil {
				return peer, in, nil
			}
			if e := (*Error)(nil); errors.As(err, &e) && e.Code == CodeNotLeader {
				electing = true
			}
			why = errors.Join(why, err)
		}
		if !electing || time.Now().After(end) {
			return "", nil, why
		}
		select {
		case <-time.After(routeBackoff):
		case <-ctx.Done():
			return "", nil, why
		}
	}
}

// tryTable opens the table. What opens it trusts the pages that it reads.
func (n *Node) tryTable() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("opening the table: %v", p)
		}
	}()
	return n.openTable()
}

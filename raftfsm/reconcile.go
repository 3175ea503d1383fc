package raftfsm

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/parlorchat/parlor/storage"
)

// Reconcile makes the log fit the table. It must be called before raft is
// started.
//
// A node that crashes after a snapshot was installed and before raft reset
// its log has a log that ends below the table, or one that contradicts it;
// raft would never get another entry into such a log. The table is right:
// what it holds is committed. Nothing committed can be in a log that ends
// below it, or in one that has an entry of another term where the table ends.
//
// A log that begins above the table's end lacks entries that the table needs:
// that is an error, the node must be set up anew from the others.
func Reconcile(db *storage.DB, logs raft.LogStore) error {
	_, at := db.Checkpointed()
	first, err := logs.FirstIndex()
	if err != nil {
		return fmt.Errorf("comparing log and table: %w", err)
	}
	last, err := logs.LastIndex()
	if err != nil {
		return fmt.Errorf("comparing log and table: %w", err)
	}
	if last == 0 {
		return nil
	}
	if first > at.Index+1 {
		return fmt.Errorf("the log begins at entry %d but the table in the data folder ends at %d: "+
			"the entries between are missing; remove this node's data and let it join again", first, at.Index)
	}
	useless := last < at.Index
	if !useless {
		useless, err = contradicts(logs, at)
		if err != nil {
			return fmt.Errorf("comparing log and table: %w", err)
		}
	}
	if !useless {
		return nil
	}
	if err := logs.DeleteRange(first, last); err != nil {
		return fmt.Errorf("removing log entries %d to %d, which the table at %d has overtaken: %w", first, last, at.Index, err)
	}
	return nil
}

// contradicts says whether the log has an entry of another term where the
// table ends.
func contradicts(logs raft.LogStore, at storage.Meta) (bool, error) {
	if at.Index == 0 {
		return false, nil
	}
	var l raft.Log
	err := logs.GetLog(at.Index, &l)
	if errors.Is(err, raft.ErrLogNotFound) {
		return false, nil // the log begins right above the table
	}
	return err == nil && l.Term != at.Term, err
}

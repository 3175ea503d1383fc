package raftfsm

import (
	"fmt"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Verify reads all rows of a table and checks that they agree with each other
// and with the hash in the state: that of the keys and of the requests that
// were carried out. It takes time and memory in proportion to the table.
func Verify(rows storage.Reader, state storage.State) error {
	keys, err := state.Hash, error(nil)
	rows.Ascend([]byte{systemRow}, []byte{systemRow + 1}, func(key, value []byte) bool {
		if len(key) != len(historyRow([16]byte{})) || key[1] != repeatRow {
			err = fmt.Errorf("row %q is none of the state machine's", key)
			return false
		}
		if err = new(history).decode(value); err != nil {
			err = fmt.Errorf("row %q: %w", key, err)
			return false
		}
		keys = keys.Sub(storage.RowHash(key, value))
		return true
	})
	if err != nil {
		return err
	}
	return keyspace.Verify(rows, keys)
}

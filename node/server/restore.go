package server

import (
	"context"
	"io"

	"github.com/parlorchat/parlor/node"
)

// RestoreNew makes the data folder that of the first member of a new group
// with the state of a backup, and keeps the addresses for Run. open is called
// twice.
func RestoreNew(ctx context.Context, o Options, open func() (io.ReadCloser, error)) (node.Formed, node.Restored, error) {
	if err := o.checkListening(); err != nil {
		return node.Formed{}, node.Restored{}, err
	}
	formed, restored, err := node.RestoreNew(ctx, o.memberOptions(Table()), open)
	if err != nil {
		return node.Formed{}, node.Restored{}, err
	}
	return formed, restored, keepAddresses(o.Dir, addresses{HTTP: o.HTTP, RESP: o.RESP})
}

// Recover goes on with the member of a data folder after the majority of its
// group was lost: see node.Recover.
func Recover(o Options, keep []string, save string) (node.Recovered, error) {
	return node.Recover(o.memberOptions(Table()), keep, save)
}

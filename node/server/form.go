package server

import (
	"context"

	"github.com/parlorchat/parlor/node"
)

// Form makes the data folder that of the first member of a new group, and
// keeps the addresses for Run.
func Form(ctx context.Context, o Options) (node.Formed, error) {
	if err := o.checkListening(); err != nil {
		return node.Formed{}, err
	}
	formed, err := node.Init(ctx, o.memberOptions(Table()))
	if err != nil {
		return node.Formed{}, err
	}
	return formed, keepAddresses(o.Dir, addresses{HTTP: o.HTTP, RESP: o.RESP})
}

// Join makes the data folder that of a new member of the group that the token
// was made in; server is the cluster address of any member.
func Join(ctx context.Context, o Options, server, token string) (node.Joined, error) {
	if err := o.checkListening(); err != nil {
		return node.Joined{}, err
	}
	joined, err := node.Join(ctx, o.memberOptions(Table()), server, token)
	if err != nil {
		return node.Joined{}, err
	}
	return joined, keepAddresses(o.Dir, addresses{HTTP: o.HTTP, RESP: o.RESP})
}

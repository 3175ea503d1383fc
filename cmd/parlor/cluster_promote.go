package main

import (
	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func clusterPromoteCommand() *cobra.Command {
	o := &operator{cmd: &cobra.Command{
		Use:   "promote MEMBER",
		Short: "Give a member a vote",
		Long: `Gives a member a vote. A new member gets it by itself once it has kept up for
some seconds; this is for one that was demoted, or if that is too slow.

It is refused if the member does not answer (UNREACHABLE) or is too far behind
(BEHIND): the group would have to wait for it.`,
		Example: "  parlor cluster promote 1b9d6bcd",
	}, asks: "member", needs: true, said: "%s votes"}
	o.op.Do = node.DoPromote
	return o.build()
}

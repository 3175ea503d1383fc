package main

import (
	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func clusterRemoveCommand() *cobra.Command {
	o := &operator{cmd: &cobra.Command{
		Use:   "remove MEMBER",
		Short: "Take a member out of the group for good",
		Long: `Takes a member out of the group for good: its id never comes back, and its data
folder is of no more use. To replace a machine that works, join the new one first
and remove the old one when the new one has its vote. To replace one that is
dead, remove it first: of three nodes of which one is dead, four would need three
for a majority.

It is refused (QUORUM) if those who remain and answer would be no majority: then
the group would stand still, and --force does not help. It is also refused if a
member that works is removed while another one does not answer, so that no
further one could fail: remove that one first, or use --force. A member that
leads hands over first.`,
		Example: "  parlor cluster remove 1b9d6bcd --data-dir /var/lib/parlor",
	}, asks: "member", needs: true, said: "removed %s"}
	o.op.Do = node.DoRemove
	cmd := o.build()
	cmd.Flags().BoolVar(&o.op.Force, "force", false, "also if no further member could fail then")
	return cmd
}

package main

import (
	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func clusterDemoteCommand() *cobra.Command {
	o := &operator{cmd: &cobra.Command{
		Use:   "demote MEMBER",
		Short: "Take a member's vote away",
		Long: `Takes a member's vote away. It goes on receiving everything and serving clients,
but neither counts for the majority nor leads, until it is promoted again. It is
refused under the same conditions as remove.`,
		Example: "  parlor cluster demote 1b9d6bcd",
	}, asks: "member", needs: true, said: "%s has no vote"}
	o.op.Do = node.DoDemote
	cmd := o.build()
	cmd.Flags().BoolVar(&o.op.Force, "force", false, "also if no further member could fail then")
	return cmd
}

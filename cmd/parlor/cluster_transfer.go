package main

import (
	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func clusterTransferCommand() *cobra.Command {
	o := &operator{cmd: &cobra.Command{
		Use:   "transfer-leader",
		Short: "Let another member lead",
		Long: `Hands the leadership over, to the member that is named with --to or to the one
that has most of the log. Clients notice a pause of a fraction of a second.`,
		Example: "  parlor cluster transfer-leader --to 1b9d6bcd",
	}, said: "the leadership was handed over"}
	o.op.Do = node.DoTransfer
	cmd := o.build()
	cmd.Flags().StringVar(&o.op.Member, "to", "", "member that shall lead (default the best)")
	return cmd
}

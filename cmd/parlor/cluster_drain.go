package main

import (
	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func clusterDrainCommand() *cobra.Command {
	o := &operator{cmd: &cobra.Command{
		Use:   "drain [MEMBER]",
		Short: "Let nobody use a member, for maintenance",
		Long: `Makes a member unused, this machine's unless another one is named: visitors and
agents that are connected to it are told to go to another one, /readyz says no
so that load balancers leave it alone, and it hands over the leadership. It
remains part of the group and votes. This outlives restarts, until

  parlor cluster resume [MEMBER]`,
		Example: "  parlor cluster drain && systemctl restart parlor && parlor cluster resume",
	}, asks: "member", said: "%s is drained"}
	o.op.Do = node.DoDrain
	return o.build()
}

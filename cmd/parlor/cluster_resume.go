package main

import (
	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func clusterResumeCommand() *cobra.Command {
	o := &operator{cmd: &cobra.Command{
		Use:     "resume [MEMBER]",
		Short:   "Let a drained member be used again",
		Long:    "Ends what parlor cluster drain began, for this machine's member unless another one is named.",
		Example: "  parlor cluster resume",
	}, asks: "member", said: "%s is used again"}
	o.op.Do = node.DoResume
	return o.build()
}

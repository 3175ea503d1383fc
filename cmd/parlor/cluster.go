package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func clusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Who belongs to the group, who votes, who leads",
		Long: `Changes the group. Every command asks the running node of a data folder on this
machine; the node that leads carries it out. What is refused changes nothing.

A member is named by its node id, the beginning of it (four characters or more),
or its name: parlor status lists them.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		clusterRemoveCommand(),
		clusterPromoteCommand(),
		clusterDemoteCommand(),
		clusterTransferCommand(),
		clusterDrainCommand(),
		clusterResumeCommand(),
		clusterReseedCommand(),
		clusterUpgradeCommand(),
	)
	return cmd
}

// operator is a command that has the group do something.
type operator struct {
	cmd   *cobra.Command
	dir   string
	op    node.Operation
	asks  string // what the argument is; empty: there is none
	needs bool   // it must be given
	said  string // what to print when it is done; %s is the member that the argument names
}

// build makes the cobra command.
func (o *operator) build() *cobra.Command {
	o.cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.asks == "":
			return noArguments(cmd, args)
		case len(args) > 1 || o.needs && len(args) == 0:
			return wrongUsef("%s needs one %s; parlor status lists the members", cmd.CommandPath(), o.asks)
		}
		return nil
	}
	o.cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			o.op.Member = args[0]
		}
		if err := node.NewAdmin(o.dir).Operate(cmd.Context(), o.op); err != nil {
			return err
		}
		said := o.said
		if o.asks != "" {
			said = fmt.Sprintf(said, cmp.Or(o.op.Member, "this node"))
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), said)
		return err
	}
	addDataDir(o.cmd, &o.dir)
	return o.cmd
}

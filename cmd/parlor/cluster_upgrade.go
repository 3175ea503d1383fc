package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func clusterUpgradeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Make an upgrade of all nodes final: status, finalize",
		Long: `After an upgrade the group goes on as the older program did, so that any node can
be given that one again. What the newer program brings into the data is there
after parlor cluster upgrade finalize, which raises the group's feature level
once all nodes run the newer program. There is no way back from it.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(clusterUpgradeStatusCommand(), clusterUpgradeFinalizeCommand())
	return cmd
}

func clusterUpgradeStatusCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Which program each node runs, and whether the upgrade can be made final",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			u, err := node.NewAdmin(dir).Upgrade(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), u)
			}
			return printUpgrade(cmd.OutOrStdout(), u)
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func clusterUpgradeFinalizeCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "finalize",
		Short: "Raise the group to the feature level of the program that all nodes run",
		Long: `Raises the group's feature level to the highest that its nodes' programs support.
It is refused while any node, with or without a vote, does not support that or
does not answer. Older programs cannot take part any more then, and a backup that
was taken before still restores. In a group that is up to date it does nothing.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			admin := node.NewAdmin(dir)
			if err := admin.Operate(cmd.Context(), node.Operation{Do: node.DoFinalize}); err != nil {
				return err
			}
			u, err := admin.Upgrade(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "the group is at feature level %d\n", u.Level)
			return err
		},
	}
	addDataDir(cmd, &dir)
	return cmd
}

func printUpgrade(out io.Writer, u node.Upgrade) error {
	_, _ = fmt.Fprintf(out, "feature level %d\n\n", u.Level)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "NODE\tNAME\tROLE\tVERSION\tSUPPORTS")
	for _, m := range u.Members {
		role := memberRole(node.Member{Leader: m.Leader, Voter: m.Voter})
		if !m.Reachable {
			role = "unreachable"
		}
		_, _ = fmt.Fprintf(w, "%.8s\t%s\t%s\t%s\t%s\n", m.ID, m.Name, role, m.Version, m.Levels)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out)
	var err error
	switch {
	case u.Ready:
		_, err = fmt.Fprintf(out, "parlor cluster upgrade finalize would raise the group to level %d, for good\n", u.Newest)
	case u.Newest == u.Level:
		_, err = fmt.Fprintln(out, "there is nothing to finalize")
	default:
		_, err = fmt.Fprintf(out, "level %d has to wait:\n", u.Newest)
		for _, h := range u.Hinders {
			_, err = fmt.Fprintln(out, "  "+h)
		}
	}
	return err
}

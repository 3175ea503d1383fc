package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func resetCommand() *cobra.Command {
	var dir string
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Remove a stopped node's data, so that its machine can join again as a new node",
		Long: `Removes the identity, the certificate, the log and the table in a data folder. What the
other nodes have is not touched; the data of a group of one is gone for good. The
group still counts the old node until parlor cluster remove is run on one of the
others.`,
		Example: "  parlor reset --data-dir /var/lib/parlor --yes\n  parlor join  --data-dir /var/lib/parlor --cluster 10.0.0.2:7400 --server 10.0.0.1:7400 --token K10…",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return &wrongUse{&node.Error{Code: node.CodeConfirm, Message: "everything that the node in " + dir + " knows would be removed; nothing was changed: add --yes to do it"}}
			}
			id, err := node.Reset(dir)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{"node_id": id.NodeID, "cluster_id": id.ClusterID})
			}
			if id.NodeID == "" {
				_, _ = fmt.Fprintln(cmd.OutOrStdout(), "reset; who the node was cannot be read any more")
				return nil
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "node     %s of group %s is no more\n\nNext, on another node of the group, if it has not been done: parlor cluster remove %s\n", id.NodeID, id.ClusterID, id.NodeID)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", defaultDataDir, "data folder of the stopped node")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node/server"
)

func joinCommand() *cobra.Command {
	o := server.Options{Version: version}
	var peer, token string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "join",
		Short: "Make another node of an existing group",
		Long: `Makes a data folder for a new node of an existing group. The token, made by parlor
init or parlor token create, pins the group's certificate authority: nothing is
sent to anybody else. Run parlor serve afterwards: the node catches up and then
gets its vote by itself.`,
		Example: "  parlor join --data-dir /var/lib/parlor --cluster 10.0.0.2:7400 --server 10.0.0.1:7400 --token K10…",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if peer == "" || token == "" {
				return wrongUsef("join needs --server, the cluster address of any node, and --token, from parlor token create")
			}
			joined, err := server.Join(cmd.Context(), o, peer, token)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), joined)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "group    %s\nnode     %s\ncluster  %s\n\nNext: parlor serve --data-dir %s\n",
				joined.ClusterID, joined.NodeID, joined.Cluster, o.Dir)
			return nil
		},
	}
	addMemberFlags(cmd, &o)
	cmd.Flags().StringVar(&peer, "server", "", "cluster address of any node of the group")
	cmd.Flags().StringVar(&token, "token", "", "join token")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

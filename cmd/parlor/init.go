package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node/server"
)

func initCommand() *cobra.Command {
	o := server.Options{Version: version}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the first node of a new group, and a token with which others join",
		Long: `Makes a data folder for the first node of a new group: its identity, the group's
certificate authority, and the first entry of its log. It happens once, on one
machine; the others join. Run parlor serve afterwards.

--cluster is the address at which the other nodes reach this one.`,
		Example: "  parlor init --data-dir /var/lib/parlor --cluster 10.0.0.1:7400 --http 0.0.0.0:8080",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			formed, err := server.Form(cmd.Context(), o)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, formed)
			}
			base := consoleBase("", cmp.Or(o.HTTP, server.DefaultHTTP), false)
			_, _ = fmt.Fprintf(out, `group       %s
node        %s
cluster     %s
join token  %s      (for an hour; make more with parlor token create)
set up      %s/console/#setup=%s      (once)

Next, here:             parlor serve --data-dir %s
and on other machines:  parlor join --data-dir DIR --cluster HOST:PORT --server %s --token TOKEN
`, formed.ClusterID, formed.NodeID, formed.Cluster, formed.JoinToken, base, formed.SetupToken, o.Dir, formed.Cluster)
			return nil
		},
	}
	addMemberFlags(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// addMemberFlags adds what init and join have in common.
func addMemberFlags(cmd *cobra.Command, o *server.Options) {
	f := cmd.Flags()
	f.StringVar(&o.Dir, "data-dir", defaultDataDir, "data folder to make; must not belong to a node yet")
	f.StringVar(&o.Cluster, "cluster", server.DefaultCluster, "address at which other nodes reach this one")
	f.StringVar(&o.Listen, "cluster-listen", "", "listening address of the cluster port, where it differs from --cluster")
	f.StringVar(&o.HTTP, "http", "", "listening address for visitors and agents, remembered for serve (default "+server.DefaultHTTP+")")
	f.StringVar(&o.RESP, "resp", "", "listening address for the Redis protocol, remembered for serve (default "+server.DefaultRESP+")")
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("printing JSON: %w", err)
	}
	return nil
}

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
	"github.com/parlorchat/parlor/node/server"
)

// code of an error of a node, "" if it has none.
func code(err error) string {
	var told *node.Error
	if !errors.As(err, &told) {
		return ""
	}
	return told.Code
}

func clusterReseedCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reseed",
		Short: "Replace this node's state by the leader's",
		Long: `Throws the state of this machine's node away and gives it the leader's. The node's
log stays, so it counts for the majority all the while.

The nodes of a group compare their states all the time. One whose state differs,
because its disk or memory gave back something else than was written, or because
of a fault in the program, puts itself in quarantine: it serves nobody and does
not lead, also after a restart, and parlor status, /readyz and the metric
parlor_quarantined say so. This command ends that. It ends with an error if the
states differ even then. It also works for a node that does not run, because its
data is so damaged that it cannot start; start it afterwards.

Of two nodes that differ, nobody can say which one is right: then the follower
yields. If a third node is only away, let it come back before you reseed.`,
		Example: "  parlor cluster reseed",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := node.NewAdmin(dir).Reseed(cmd.Context())
			if code(err) == node.CodeUnreachable {
				stopped, failed := server.ReseedStopped(cmd.Context(), dir)
				if code(failed) != node.CodeLocked { // else it runs, and meant what it said
					done, err = stopped, failed
				}
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), done)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "this node has the state of %.8s as of log index %d (%d bytes) and serves\n", done.From, done.Index, done.Bytes)
			return err
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

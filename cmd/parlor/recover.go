package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
	"github.com/parlorchat/parlor/node/server"
)

func recoverCommand() *cobra.Command {
	var dir, save string
	var keep []string
	var accept, asJSON bool
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Go on with what this machine has, when more than half of the nodes are lost for good",
		Long: `A group whose majority is gone answers no more, rather than give wrong answers. If the
lost machines come back, start them, and nothing else is needed. If they do not,
recover makes the stopped node of this data folder the only one with a vote. What only
the lost machines had is lost: best do this on the one whose log ends at the highest
index (parlor storage stats).

The folder is copied first. All other nodes are taken out of the group for good, so that
they cannot come back with what they have; those named with --keep stay, are sent this
one's state when they start, and vote again when they have it. Afterwards: parlor serve
here, and parlor reset and parlor join on the machines that were taken out.`,
		Example: "  parlor recover --data-dir /var/lib/parlor --yes-i-accept-data-loss",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			folder, err := node.InspectFolder(dir, false)
			if err != nil {
				return err
			}
			if !accept {
				return &wrongUse{confirmRecovery(dir, folder, keep)}
			}
			if save == "" {
				save = filepath.Clean(dir) + ".before-recover-" + time.Now().UTC().Format("20060102T150405.000Z")
			}
			done, err := server.Recover(server.Options{Dir: dir, Version: version}, keep, save)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), done)
			}
			out := cmd.OutOrStdout()
			_, _ = fmt.Fprintf(out, "group    %s\nnode     %s   (votes alone now)\nindex    %d   epoch %s   (%d log entries carried out)\n",
				done.ClusterID, done.NodeID, done.Index, done.Epoch, done.Replayed)
			for _, m := range done.Kept {
				if m.ID != done.NodeID {
					_, _ = fmt.Fprintf(out, "kept     %s   %s   (start it: it takes over this node's state)\n", m.ID, m.Cluster)
				}
			}
			for _, m := range done.Dropped {
				_, _ = fmt.Fprintf(out, "out      %s   %s   (never start it again; parlor reset, then parlor join)\n", m.ID, m.Cluster)
			}
			_, _ = fmt.Fprintf(out, "before   %s\n\nNext: parlor serve --data-dir %s\n", done.Saved, dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", defaultDataDir, "data folder of the stopped node to go on with")
	cmd.Flags().StringSliceVar(&keep, "keep", nil, "ids of other nodes that stay in the group, or their beginnings")
	cmd.Flags().StringVar(&save, "save", "", "where the copy of the data folder goes (default beside it)")
	cmd.Flags().BoolVar(&accept, "yes-i-accept-data-loss", false, "do it: what only the lost nodes had is lost")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// confirmRecovery says what would happen.
func confirmRecovery(dir string, f node.Folder, keep []string) error {
	var out []string
	for _, m := range f.Members {
		stays := slices.ContainsFunc(keep, func(k string) bool { return k != "" && strings.HasPrefix(m.ID, k) })
		if m.ID != f.NodeID && !stays {
			out = append(out, fmt.Sprintf("%s (%s)", m.ID, m.Cluster))
		}
	}
	without := ""
	if len(out) > 0 {
		without = ", without " + strings.Join(out, ", ")
	}
	return &node.Error{Code: node.CodeConfirm, Message: fmt.Sprintf(
		"group %s would go on with what %s has, index %d or later%s; what only other nodes have would be lost; nothing was changed: add --yes-i-accept-data-loss to do it",
		f.ClusterID, dir, f.Index, without)}
}

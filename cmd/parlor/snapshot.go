package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Look into a backup, or into the data folder of a stopped node: inspect, verify",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(snapshotInspectCommand(), snapshotVerifyCommand())
	return cmd
}

const snapshotArgument = "it needs the file of a backup, or the data folder of a node that does not run"

// look shows a data folder, of which every row is read if that is asked for, or
// what reading a backup finds.
func look(out io.Writer, path string, asJSON, everyRow bool, read func(file *os.File, seen *seenBackup) error) error {
	if isFolder(path) {
		folder, err := node.InspectFolder(path, everyRow)
		if err != nil {
			return err
		}
		return showFolder(out, path, folder, asJSON)
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the backup: %w", err)
	}
	defer func() { _ = file.Close() }()
	seen := seenBackup{File: path}
	if err := read(file, &seen); err != nil {
		return err
	}
	return showBackup(out, seen, asJSON)
}

func snapshotInspectCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect FILE|DIR",
		Short: "Say what a backup or a data folder holds; the checksum of a backup is checked",
		Args:  oneArgument(snapshotArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			return look(out, args[0], asJSON, false, func(file *os.File, seen *seenBackup) (err error) {
				seen.Manifest, seen.SHA256, err = node.CheckBackup(file)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func snapshotVerifyCommand() *cobra.Command {
	var asJSON bool
	var tmp string
	cmd := &cobra.Command{
		Use:   "verify FILE|DIR",
		Short: "Read every row of a backup or a data folder and check that all agrees",
		Long: `Puts the table of a backup together, in a folder for temporary files, and checks the
checksum, the structure, every row, and that the rows give the state hash of the
manifest. A backup that passes can be restored.`,
		Args: oneArgument(snapshotArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			return look(out, args[0], asJSON, true, func(file *os.File, seen *seenBackup) (err error) {
				seen.Contents = new(node.Contents)
				seen.Manifest, seen.SHA256, *seen.Contents, err = node.VerifyBackup(file, tmp)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&tmp, "tmp", os.TempDir(), "folder with room for the backup's table")
	return cmd
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// seenBackup is what inspect and verify print of a backup.
type seenBackup struct {
	File     string         `json:"file"`
	SHA256   string         `json:"sha256"`
	Manifest node.Manifest  `json:"manifest"`
	Contents *node.Contents `json:"contents,omitempty"` // of verify
}

func showBackup(out io.Writer, seen seenBackup, asJSON bool) error {
	if asJSON {
		return printJSON(out, seen)
	}
	printManifest(out, filepath.Base(seen.File), seen.Manifest, seen.SHA256)
	printContents(out, seen.Contents)
	return nil
}

func showFolder(out io.Writer, dir string, f node.Folder, asJSON bool) error {
	if asJSON {
		return printJSON(out, f)
	}
	_, _ = fmt.Fprintf(out, "folder   %s\nnode     %s\ngroup    %s\nindex    %d   term %d   state %s   (at the last checkpoint)\nbytes    %d\n",
		dir, f.NodeID, f.ClusterID, f.Index, f.Term, f.StateHash, f.DataBytes)
	for _, m := range f.Members {
		role := "votes"
		if !m.Voter {
			role = "does not vote"
		}
		_, _ = fmt.Fprintf(out, "member   %s   %s   %s\n", m.ID, m.Cluster, role)
	}
	printContents(out, f.Contents)
	return nil
}

func printContents(out io.Writer, c *node.Contents) {
	if c == nil {
		return
	}
	_, _ = fmt.Fprintf(out, "keys     %d, of them %d expire\n", c.Keys, c.Expiring)
	for _, counted := range []struct {
		what   string
		counts map[string]int64
	}{{"types", c.Types}, {"names", c.Prefixes}} {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(counted.counts)) {
			shown := name
			if counted.what == "names" && name != "…" {
				shown += ":"
			}
			if name == "" {
				shown = "(none)"
			}
			parts = append(parts, fmt.Sprintf("%s %d", shown, counted.counts[name]))
		}
		_, _ = fmt.Fprintf(out, "%-8s %s\n", counted.what, strings.Join(parts, "   "))
	}
	_, _ = fmt.Fprintln(out, "every row was checked")
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
	"github.com/parlorchat/parlor/node/server"
)

// restoreFlags are what restore is told.
type restoreFlags struct {
	file          string
	yes, foreign  bool
	save          string
	withoutBackup bool
	asJSON        bool
}

func restoreCommand() *cobra.Command {
	o := server.Options{Version: version}
	f := restoreFlags{}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a running group back to a backup, or make a new group of one",
		Long: `With the data folder of a running node: replaces the whole group's state, on all its
nodes, by that of the backup. What was written since the backup is lost; a backup of
it is taken first and its name printed. The group stays what it is: its nodes, its
certificates, its join tokens. Clients notice and load their state anew. Without --yes
nothing is changed: it only says what would happen.

With an empty data folder: makes the first node of a new group that begins with the
backup's state, as parlor init does with an empty one. Run parlor serve afterwards and
join the other machines.

Either way the backup is checked to its last row before anything changes.`,
		Example: `  parlor restore noon.parlor --data-dir /var/lib/parlor --yes
  parlor restore noon.parlor --data-dir /var/lib/parlor --cluster 10.0.0.1:7400 --http 0.0.0.0:8080`,
		Args: oneArgument("restore needs the file of a backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.file = args[0]
			_, err := node.Inspect(o.Dir)
			var notFormed *node.Error
			if errors.As(err, &notFormed) && notFormed.Code == node.CodeNotFormed {
				return restoreNew(cmd, o, f)
			}
			if err != nil {
				return err
			}
			return restoreRunning(cmd, o.Dir, f)
		},
	}
	addMemberFlags(cmd, &o)
	flags := cmd.Flags()
	flags.Lookup("data-dir").Usage = "data folder of a running node, or an empty one for a new group"
	for _, name := range []string{"cluster", "cluster-listen", "http", "resp"} {
		flags.Lookup(name).Usage = "for a new group: " + flags.Lookup(name).Usage
	}
	flags.BoolVar(&f.yes, "yes", false, "do it: what the running group has written since the backup is lost")
	flags.BoolVar(&f.foreign, "foreign", false, "also if the backup is of another group than the running one")
	flags.StringVar(&f.save, "save", "", "file for the backup that is taken of the running group first (default in the data folder, under backups)")
	flags.BoolVar(&f.withoutBackup, "without-backup", false, "take no backup of the running group first")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return cmd
}

// restoreNew makes the first node of a new group.
func restoreNew(cmd *cobra.Command, o server.Options, f restoreFlags) error {
	open := func() (io.ReadCloser, error) { return os.Open(f.file) }
	formed, restored, err := server.RestoreNew(cmd.Context(), o, open)
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), map[string]any{
			"cluster_id": formed.ClusterID, "node_id": formed.NodeID, "cluster": formed.Cluster,
			"join_token": formed.JoinToken, "restored": restored,
		})
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), `group       %s   (a new one, with the state of group %s at index %d, %s)
node        %s
cluster     %s
join token  %s      (for an hour; make more with parlor token create)

Next, here:             parlor serve --data-dir %s
and on other machines:  parlor join --data-dir DIR --cluster HOST:PORT --server %s --token TOKEN
`, formed.ClusterID, restored.From.ClusterID, restored.From.Index, when(restored.From.CreatedAt), formed.NodeID, formed.Cluster,
		formed.JoinToken, o.Dir, formed.Cluster)
	return nil
}

func when(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// restoreRunning puts a running group back to a backup.
func restoreRunning(cmd *cobra.Command, dir string, f restoreFlags) error {
	manifest, err := checkBackupFile(f.file)
	if err != nil {
		return err
	}
	admin := node.NewAdmin(dir)
	status, err := admin.Status(cmd.Context())
	if err != nil {
		return err
	}
	if !f.foreign && manifest.ClusterID != status.ClusterID {
		return &node.Error{Code: node.CodeWrongCluster, Message: fmt.Sprintf(
			"%s is a backup of group %s, this is group %s: if that is meant, say --foreign", f.file, manifest.ClusterID, status.ClusterID)}
	}
	if !f.yes {
		return &wrongUse{&node.Error{Code: node.CodeConfirm, Message: fmt.Sprintf(
			"the state of group %s, now at index %d, would become that of %s, taken at %s at index %d, on all %d nodes; nothing was changed: add --yes to do it",
			status.ClusterID, status.Applied, f.file, when(manifest.CreatedAt), manifest.Index, len(status.Members))}}
	}
	saved := ""
	if !f.withoutBackup {
		if saved, err = saveFirst(cmd, dir, f.save); err != nil {
			return fmt.Errorf("taking a backup of what there is now (nothing was changed): %w", err)
		}
	}
	file, err := os.Open(f.file)
	if err != nil {
		return fmt.Errorf("opening the backup: %w", err)
	}
	defer func() { _ = file.Close() }()
	restored, err := admin.Restore(cmd.Context(), file, node.RestoreOptions{Foreign: f.foreign})
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), map[string]any{"cluster_id": status.ClusterID, "restored": restored, "saved": saved})
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "group    %s\nstate    as of %s (index %d of the backup, index %d now)\nepoch    %s\n",
		status.ClusterID, when(restored.From.CreatedAt), restored.From.Index, restored.Index, restored.Epoch)
	if saved != "" {
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "before   %s\n", saved)
	}
	return nil
}

// checkBackupFile reads a backup from its beginning to its end.
func checkBackupFile(path string) (node.Manifest, error) {
	file, err := os.Open(path)
	if err != nil {
		return node.Manifest{}, fmt.Errorf("opening the backup: %w", err)
	}
	defer func() { _ = file.Close() }()
	m, _, err := node.CheckBackup(file)
	return m, err
}

// saveFirst takes a backup of what is about to be replaced.
func saveFirst(cmd *cobra.Command, dir, path string) (string, error) {
	if path == "" {
		folder := filepath.Join(dir, "backups")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return "", err
		}
		path = filepath.Join(folder, "before-restore-"+time.Now().UTC().Format("20060102T150405.000Z")+".parlor")
	}
	_, err := takeBackup(cmd, dir, path, node.BackupOptions{Rate: -1})
	return path, err
}

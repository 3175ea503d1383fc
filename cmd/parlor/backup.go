package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func backupCommand() *cobra.Command {
	var dir, rate string
	var stale, asJSON bool
	cmd := &cobra.Command{
		Use:   "backup FILE|-",
		Short: "Write a backup of the whole group to a file, while everybody works",
		Long: `Asks the running node of a data folder for a backup of the group's state: everything
that was acknowledged before, on whichever node. Any node can be asked, best one
that does not lead. Nobody waits for it; --rate bounds what it takes from the disk.

The file is checked while it is written, and appears under its name only when it is
whole. It holds everything, passwords' hashes and keys too: keep it as you keep the
data folder. With - it goes to standard output, for a pipe.`,
		Example: `  parlor backup /backup/parlor-$(date +%F).parlor --data-dir /var/lib/parlor
  parlor backup - --data-dir /var/lib/parlor | ssh vault 'cat > noon.parlor'`,
		Args: oneArgument("backup needs the file to write, or - for standard output"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := node.BackupOptions{Stale: stale}
			var err error
			if o.Rate, err = parseRate(rate); err != nil {
				return wrongUsef("--rate: %w", err)
			}
			done, err := takeBackup(cmd, dir, args[0], o)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if args[0] == "-" {
				out = cmd.ErrOrStderr()
			}
			if asJSON {
				return printJSON(out, done)
			}
			printManifest(out, done.File, done.Manifest, done.SHA256)
			return nil
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().StringVar(&rate, "rate", "32MB", "most to read per second, such as 100MB; 0 for no limit")
	cmd.Flags().BoolVar(&stale, "stale", false, "take what this node has, without asking the others: when the group has no majority")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object (with - on standard error)")
	return cmd
}

// takenBackup is what backup prints.
type takenBackup struct {
	File     string        `json:"file"`
	SHA256   string        `json:"sha256"` // of the file
	Manifest node.Manifest `json:"manifest"`
}

// takeBackup has the running node of a data folder write a backup to path.
func takeBackup(cmd *cobra.Command, dir, path string, o node.BackupOptions) (takenBackup, error) {
	done := takenBackup{File: path}
	var err error
	if path == "-" {
		if stdout, ok := cmd.OutOrStdout().(*os.File); ok && isTerminal(stdout) {
			return done, wrongUsef("standard output is a terminal: give a file, or send it through a pipe")
		}
		done.Manifest, done.SHA256, err = node.NewAdmin(dir).Backup(cmd.Context(), cmd.OutOrStdout(), o)
		return done, err
	}
	err = writeWhole(path, func(w io.Writer) error {
		done.Manifest, done.SHA256, err = node.NewAdmin(dir).Backup(cmd.Context(), w, o)
		return err
	})
	return done, err
}

// writeWhole makes a file that is there whole and on disk, or not at all. What
// exists is not overwritten.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return &node.Error{Code: node.CodeExists, Message: path + " exists already: give another name"}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = write(&steadyFile{f: f})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	defer func() { _ = folder.Close() }()
	return folder.Sync()
}

// steadyFile brings what is written to the disk bit by bit. A gigabyte that
// the system holds back and then writes at once would make others wait who
// have something to put on the same disk: with the usual file systems, even an
// fsync of another file waits for it.
type steadyFile struct {
	f       *os.File
	written int64
	behind  int64 // up to here it was asked to go to the disk
}

const steadyBytes = 512 << 10

func (s *steadyFile) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	s.written += int64(n)
	if err == nil && s.written-s.behind >= steadyBytes {
		err = flushRange(s.f, s.behind, s.written)
		s.behind = s.written
	}
	return n, err
}

func printManifest(out io.Writer, file string, m node.Manifest, sum string) {
	_, _ = fmt.Fprintf(out, "file     %s\nsha256   %s\ntaken    %s by node %.8s, parlor %s\ngroup    %s\nindex    %d   term %d   state %s\nbytes    %d\n",
		file, sum, time.UnixMilli(m.CreatedAt).UTC().Format(time.RFC3339), m.NodeID, m.Version, m.ClusterID, m.Index, m.Term, m.StateHash, m.Size)
}

// oneArgument accepts exactly one word that is no flag.
func oneArgument(otherwise string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return wrongUsef("%s; see %s --help", otherwise, cmd.CommandPath())
		}
		return nil
	}
}

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func storageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "storage",
		Short: "Look at, check and compact the data folder of a stopped node",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(storageStatsCommand(), storageCheckCommand(), storageCompactCommand())
	return cmd
}

// addStoppedDir adds the flag of commands for nodes that do not run.
func addStoppedDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "data-dir", defaultDataDir, "data folder of a stopped node")
}

func storageStatsCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "How large table and log are, and what they reach to",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := node.StatStorage(dir)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			printStorage(cmd.OutOrStdout(), s)
			return nil
		},
	}
	addStoppedDir(cmd, &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printStorage(out io.Writer, s node.StorageStats) {
	_, _ = fmt.Fprintf(out, "node     %s\ngroup    %s\ntable    index %d   state %s\nfile     %s, of them %s free, in pages of %d bytes\nlog      entries %d to %d   %s\ndisk     %s free of %s\n",
		s.NodeID, s.ClusterID, s.Index, s.StateHash, sizeText(s.TableBytes), sizeText(s.FreeBytes), s.PageSize,
		s.Log.First, s.Log.Last, sizeText(s.LogBytes), sizeText(int64(s.Disk.Free)), sizeText(int64(s.Disk.Total)))
	if s.Unfinished != 0 {
		_, _ = fmt.Fprintf(out, "         a checkpoint at index %d was not finished; the next start does it\n", s.Unfinished)
	}
}

func storageCheckCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read all of table and log and look for damage; changes nothing",
		Long: `Reads the table's pages and rows, whether they agree with each other and with the
state hash, and every entry of the log. Exits with 1 if something is damaged. A node of
a group whose data is damaged is best set up anew from the others: parlor reset, then
parlor join. A group of one needs a backup: parlor restore.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := node.CheckStorage(dir, progressTo(cmd, asJSON, "rows read"))
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				if err := printJSON(out, r); err != nil {
					return err
				}
			} else {
				printStorage(out, r.StorageStats)
				_, _ = fmt.Fprintf(out, "read     %d rows, %d log entries in %d ms\n", r.Rows, r.Entries, r.TookMS)
				printContents(out, r.Contents)
				for _, d := range r.Damage {
					_, _ = fmt.Fprintf(out, "DAMAGE   %s\n", d)
				}
			}
			if len(r.Damage) > 0 {
				return &node.Error{Code: node.CodeDamaged, Message: fmt.Sprintf(
					"%d things are wrong with the data in %s; in a group: parlor reset and parlor join take it from the others; else restore a backup", len(r.Damage), dir)}
			}
			return nil
		},
	}
	addStoppedDir(cmd, &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func storageCompactCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Write the table's file anew without its free pages",
		Long: `A running node does this by itself when much of the file is free. It takes room on the
disk for the new file beside the old one. Whatever ends it before its end leaves the
data as it was.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := node.CompactStorage(dir, progressTo(cmd, asJSON, "rows written"))
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), c)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "before   %s\nafter    %s   (%d rows in %d ms)\n", sizeText(c.Before), sizeText(c.After), c.Rows, c.TookMS)
			return nil
		},
	}
	addStoppedDir(cmd, &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// progressTo tells a person how far something is that takes long.
func progressTo(cmd *cobra.Command, quiet bool, what string) func(int64) {
	const every = 1_000_000
	if quiet {
		return nil
	}
	told := int64(0)
	return func(n int64) {
		if n-told >= every {
			told = n
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%d %s\n", n, what)
		}
	}
}

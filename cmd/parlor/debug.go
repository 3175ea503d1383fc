package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node/server"
)

func debugCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "debug",
		Short: "What helps to find out what is wrong: bundle",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(debugBundleCommand())
	return cmd
}

func debugBundleCommand() *cobra.Command {
	o := server.Options{Version: version}
	cmd := &cobra.Command{
		Use:   "bundle [FILE]",
		Short: "Collect status, metrics, profiles, settings, log and doctor's findings in a .tar.gz",
		Long: `Writes an archive for whoever is to help: the node's status, metrics, goroutines and
heap, its settings, the last lines of its log, what doctor finds, the names and sizes of
its files. There are no keys, passwords or tokens in it, and nothing that visitors or
agents wrote; there are addresses of nodes, and ids. If the node does not run, what only
a running one tells is left out.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return wrongUsef("debug bundle takes one file; see %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "parlor-debug-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
			if len(args) > 0 {
				path = args[0]
			}
			err := writeWhole(path, func(w io.Writer) error { return server.WriteBundle(cmd.Context(), w, o) })
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			return err
		},
	}
	addExaminedFlags(cmd, &o)
	return cmd
}

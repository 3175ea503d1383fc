// Parlor is an on-prem live chat server in one binary. This package is its
// command line: one file per command. It reads flags, environment and config
// file, calls package node, and prints; it decides nothing else.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the release build.
var version = "0.1.0-dev"

// Exit codes, part of the interface.
const (
	exitDone     = 0
	exitFailed   = 1
	exitWrongUse = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run carries out one command line and gives the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitDone
	}
	_, _ = fmt.Fprintln(stderr, "parlor:", err)
	var wrong *wrongUse
	if errors.As(err, &wrong) {
		return exitWrongUse
	}
	return exitFailed
}

// wrongUse is an error of who typed the command line.
type wrongUse struct{ err error }

func (w *wrongUse) Error() string { return w.err.Error() }
func (w *wrongUse) Unwrap() error { return w.err }

func wrongUsef(format string, a ...any) error { return &wrongUse{fmt.Errorf(format, a...)} }

// bareRoot is the command line without any commands.
func bareRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "parlor",
		Short: "On-prem live chat in one binary",
		Long: `Parlor is a live chat server in one binary, on one machine or on three.

  parlor demo      three nodes, a shop with a chat button and two agents, on this machine
  parlor serve     one node for real: data in ./parlor-data, a setup link is printed
  parlor init      the first of several nodes; then: parlor join on the others, parlor serve on each

Settings are flags, environment variables (--data-dir is PARLOR_DATA_DIR) or lines
of a config file: parlor config --help.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().String("config", "", "config file; without it parlor.yaml in the data folder, or "+systemConfig)
	root.SetUsageFunc(usage)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return wrongUsef("%w; see %s --help", err, cmd.CommandPath())
	})
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Parent() != nil && cmd.Parent().Name() == "config" {
			return nil // it is about the file: it reads it itself
		}
		if cmd.Name() == "serve" {
			setTimers() // before the first file is read
		}
		_, err := fillFlags(cmd, os.LookupEnv)
		return err
	}
	return root
}

func rootCommand() *cobra.Command {
	root := bareRoot()
	root.AddCommand(
		serveCommand(),
		initCommand(),
		joinCommand(),
		tokenCommand(),
		aclCommand(),
		statusCommand(),
		configCommand(),
		certCommand(),
		caCommand(),
		clusterCommand(),
		backupCommand(),
		restoreCommand(),
		snapshotCommand(),
		recoverCommand(),
		resetCommand(),
		storageCommand(),
		logCommand(),
		doctorCommand(),
		debugCommand(),
		demoCommand(),
		benchCommand(),
	)
	return root
}

// noArguments refuses words that are not flags, with a hint.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrongUsef("unknown command or argument %q for %q; see %s --help", args[0], cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

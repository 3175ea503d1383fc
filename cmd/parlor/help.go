package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// groupAnnotation is where a flag keeps the heading it is shown under.
const groupAnnotation = "parlor-group"

// groupFlags puts flags under a heading in the help.
func groupFlags(flags *pflag.FlagSet, heading string, names ...string) {
	for _, name := range names {
		_ = flags.SetAnnotation(name, groupAnnotation, []string{heading})
	}
}

// usage prints how a command is used: examples first, flags under headings.
func usage(cmd *cobra.Command) error {
	w := cmd.OutOrStderr()
	line := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		line = cmd.CommandPath() + " COMMAND"
	}
	_, _ = fmt.Fprintf(w, "Usage:\n  %s\n", line)
	if cmd.HasExample() {
		_, _ = fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		_, _ = fmt.Fprintln(w, "\nCommands:")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				_, _ = fmt.Fprintf(w, "  %-*s  %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
		_, _ = fmt.Fprintf(w, "\n%s COMMAND --help tells more about one.\n", cmd.CommandPath())
	}
	printFlags(w, cmd.LocalFlags(), cmd.InheritedFlags())
	if settings := settingNames(cmd.Root()); slices.ContainsFunc(flagNames(cmd.LocalFlags()), func(n string) bool { return settings[n] }) {
		_, _ = fmt.Fprintf(w, "\n--http-tls-cert is PARLOR_HTTP_TLS_CERT in the environment and http-tls-cert in the config file; other flags alike.\n")
	}
	return nil
}

func flagNames(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// printFlags prints flags under their headings, in the order in which the
// headings first come.
func printFlags(w io.Writer, sets ...*pflag.FlagSet) {
	const plain = "Flags"
	headings := []string{plain}
	grouped := map[string]*pflag.FlagSet{plain: newFlagSet()}
	for _, set := range sets {
		set.SortFlags = false
		set.VisitAll(func(f *pflag.Flag) {
			heading := plain
			if h := f.Annotations[groupAnnotation]; len(h) == 1 {
				heading = h[0]
			}
			if grouped[heading] == nil {
				grouped[heading] = newFlagSet()
				headings = append(headings, heading)
			}
			grouped[heading].AddFlag(f)
		})
	}
	// What has no heading comes last: --json, --help and the like.
	headings = append(headings[1:], plain)
	for _, heading := range headings {
		if grouped[heading].HasAvailableFlags() {
			_, _ = fmt.Fprintf(w, "\n%s:\n%s\n", heading, strings.TrimRight(grouped[heading].FlagUsagesWrapped(110), "\n"))
		}
	}
}

func newFlagSet() *pflag.FlagSet {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.SortFlags = false
	return set
}

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func logCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Look into the replicated log of a stopped node: dump",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(logDumpCommand())
	return cmd
}

func logDumpCommand() *cobra.Command {
	var dir string
	var o node.DumpOptions
	var asJSON, full bool
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Print log entries: index, term, time and the commands in them",
		Long: `Prints the entries that the log of a stopped node holds; older ones are in the table
already. It changes nothing. Passwords, keys and tokens are left out unless --secrets is
given; texts of people are in the log as they are.`,
		Example: "  parlor log dump --data-dir /var/lib/parlor --from 1000 --to 1010\n  parlor log dump --data-dir /var/lib/parlor --json | jq .",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.To != 0 && o.From > o.To {
				return wrongUsef("--from %d is above --to %d", o.From, o.To)
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			lines := json.NewEncoder(out)
			r, err := node.DumpLog(dir, o, func(e node.DumpedEntry) error {
				if asJSON {
					return lines.Encode(e)
				}
				return printEntry(out, e, full)
			})
			if err == nil && r.Last == 0 && !asJSON {
				_, err = fmt.Fprintln(out, "the log is empty: everything is in the table")
			}
			if ferr := out.Flush(); err == nil {
				err = ferr
			}
			return err
		},
	}
	addStoppedDir(cmd, &dir)
	cmd.Flags().Uint64Var(&o.From, "from", 0, "first index (default the first that the log holds)")
	cmd.Flags().Uint64Var(&o.To, "to", 0, "last index (default the last that the log holds)")
	cmd.Flags().BoolVar(&o.Secrets, "secrets", false, "print passwords, keys and tokens too")
	cmd.Flags().BoolVar(&full, "full", false, "print arguments in full length")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line and entry")
	return cmd
}

func printEntry(out io.Writer, e node.DumpedEntry, full bool) error {
	_, err := fmt.Fprintf(out, "%d   term %d   %s   %s   %d bytes\n", e.Index, e.Term, e.When(), e.Type, e.Bytes)
	if e.Damage != "" {
		_, err = fmt.Fprintf(out, "    DAMAGED: %s\n", e.Damage)
	}
	for _, m := range e.Members {
		votes := "votes"
		if !m.Voter {
			votes = "does not vote"
		}
		_, err = fmt.Fprintf(out, "    member %s   %s   %s\n", m.ID, m.Cluster, votes)
	}
	for _, r := range e.Requests {
		db := ""
		if r.DB != 0 {
			db = fmt.Sprintf("   db %d", r.DB)
		}
		if r.Watches > 0 {
			db += fmt.Sprintf("   if %d keys have not changed", r.Watches)
		}
		_, err = fmt.Fprintf(out, "    %.8s #%d%s\n", r.Member, r.Seq, db)
		for _, words := range r.Commands {
			_, err = fmt.Fprintf(out, "        %s\n", commandText(words, full))
		}
	}
	if err != nil {
		return fmt.Errorf("printing the log: %w", err)
	}
	return nil
}

const shownArgument = 80 // characters of an argument, unless all are asked for

func commandText(words []node.Word, full bool) string {
	parts := make([]string, len(words))
	for i, w := range words {
		text, rest := string(w), 0
		if !full && len(text) > shownArgument {
			text, rest = text[:shownArgument], len(text)-shownArgument
		}
		if quoted := strconv.Quote(text); len(text) == 0 || quoted != `"`+text+`"` || strings.ContainsAny(text, " '") {
			text = quoted
		}
		if rest > 0 {
			text += fmt.Sprintf("…(%d more)", rest)
		}
		parts[i] = text
	}
	return strings.Join(parts, " ")
}

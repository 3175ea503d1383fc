package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func statusCommand() *cobra.Command {
	var dir string
	var asJSON, stale bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How this node and its group are",
		Long: `Asks the running node of a data folder how it and its group are: who leads, how
far each node is, how many may fail now without harm. It asks the other nodes
and waits a second for them.

  LAST, COMMIT, APPLIED  the last entry of the node's log, the last one that it
                         knows a majority to have, the one its state is as of
  LAG                    entries behind the node that is furthest
  CONTACT                since it heard from the leader
  STATE                  hash of its state, and whether that is the leader's after
                         the same entry; one that differs puts itself in quarantine
  FSYNC P99              99 of the last 100 entries were on its disk within this

Where there is no leader, it tells what this node knows and the exit code is 1;
with --stale it is 0. On a node that was removed from the group it is 1.`,
		Example: `  parlor status --data-dir /var/lib/parlor
  parlor status --json | jq '.members[] | {name, role, lag}'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := node.NewAdmin(dir).Status(cmd.Context())
			if err != nil {
				return err
			}
			print := func() error { return printStatus(cmd.OutOrStdout(), s) }
			if asJSON {
				print = func() error { return printJSON(cmd.OutOrStdout(), s) }
			}
			if err := print(); err != nil {
				return err
			}
			if s.Role == "removed" {
				return &node.Error{Code: node.CodeRemoved, Message: "this node was removed from the group; parlor reset empties its data folder, so that it can join anew"}
			}
			if s.Leader == "" && !stale {
				return &node.Error{Code: node.CodeNoLeader, Message: "no leader is known: this is what this node knows; --stale takes that for an answer"}
			}
			return nil
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&stale, "stale", false, "do not fail where there is no leader")
	return cmd
}

func printStatus(out io.Writer, s node.Status) error {
	_, _ = fmt.Fprintf(out, "group %s   term %d   voters %d   may fail now: %d\n", s.ClusterID, s.Term, s.Voters, s.FailureTolerance)
	if s.Leader == "" {
		_, _ = fmt.Fprintln(out, "no leader: nothing can be written until more than half of the voters reach each other")
	}
	if len(s.Alarms) > 0 {
		_, _ = fmt.Fprintln(out, "short of room: until there is more, the group takes only what makes room (see below)")
	}
	_, _ = fmt.Fprintln(out)
	if err := printMembers(out, s); err != nil {
		return err
	}
	printTroubles(out, s)
	return nil
}

// printMembers prints two tables: how far the members are, and where and on
// what they run.
func printMembers(out io.Writer, s node.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "NODE\tNAME\tROLE\tVOTE\tTERM\tLAST\tCOMMIT\tAPPLIED\tLAG\tCONTACT\tSTATE")
	for _, m := range s.Members {
		if !m.Reachable {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t-\t-\t-\t-\tunreachable\t-\t-\n", memberID(m, s), m.Name, memberRole(m), yesNo(m.Voter))
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%.12s %s\n", memberID(m, s), m.Name, memberRole(m), yesNo(m.Voter),
			m.Term, m.Last, m.Commit, m.Applied, m.Lag, contact(m), m.StateHash, agreement(m))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "NODE\tVERSION\tDISK FREE\tFSYNC P99\tCLUSTER\tHTTP\tRESP")
	for _, m := range s.Members {
		disk, fsync := "-", "-"
		if m.Disk.Total > 0 {
			disk = fmt.Sprintf("%s (%d%%)", sizeText(int64(m.Disk.Free)), 100*m.Disk.Free/m.Disk.Total)
		}
		if m.FsyncP99 > 0 {
			fsync = fmt.Sprintf("%.1f ms", 1000*m.FsyncP99)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", memberID(m, s), m.Version, disk, fsync, m.Cluster, m.HTTP, m.RESP)
	}
	return w.Flush()
}

// printTroubles says what is wrong with single members, and what to do.
func printTroubles(out io.Writer, s node.Status) {
	for _, m := range s.Members {
		if m.Quarantine != "" {
			_, _ = fmt.Fprintf(out, "\n%.8s %s is in quarantine and serves nobody: run parlor cluster reseed on it\n  %s\n", m.ID, m.Name, m.Quarantine)
		}
		if m.Draining {
			_, _ = fmt.Fprintf(out, "\n%.8s %s is drained: clients are sent elsewhere until parlor cluster resume\n", m.ID, m.Name)
		}
		if m.HashAgrees != nil && !*m.HashAgrees && m.Quarantine == "" {
			_, _ = fmt.Fprintf(out, "\n%.8s %s has another state than the leader after the same entry: the group finds out who is wrong, look again\n", m.ID, m.Name)
		}
	}
	for _, a := range s.Alarms {
		_, _ = fmt.Fprintf(out, "\n%.8s is short of room since %s: %s\n  remove data (DEL, FLUSHDB, XTRIM, VISITOR.REMOVE …) or files from that disk, or make it larger; docs/operations.md\n", a.Member, a.Since.UTC().Format(time.RFC3339), a.Reason)
	}
}

func memberID(m node.Member, s node.Status) string {
	id := m.ID[:min(8, len(m.ID))]
	if m.ID == s.NodeID {
		id += " *"
	}
	return id
}

func memberRole(m node.Member) string {
	switch {
	case m.Leader:
		return "leader"
	case m.Voter:
		return "follower"
	}
	return "learner"
}

func contact(m node.Member) string {
	if m.LastContact == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f s", *m.LastContact)
}

func agreement(m node.Member) string {
	switch {
	case m.HashAgrees == nil:
		return "?"
	case *m.HashAgrees:
		return "same"
	}
	return "DIFFERS"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

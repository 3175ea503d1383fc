package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func statusCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How this node and its group are",
		Long: `Asks the running node of a data folder how it and its group are: who leads, how
far each node is behind, how many may fail now without harm. Nodes at the same
index have the same state hash.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := node.NewAdmin(dir).Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return printStatus(cmd.OutOrStdout(), s)
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printStatus(out io.Writer, s node.Status) error {
	_, _ = fmt.Fprintf(out, "group %s   term %d   voters %d   may fail now: %d\n", s.ClusterID, s.Term, s.Voters, s.FailureTolerance)
	if s.Leader == "" {
		_, _ = fmt.Fprintln(out, "no leader: nothing can be written until more than half of the voters reach each other")
	}
	_, _ = fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "NODE\tNAME\tROLE\tAPPLIED\tLAG\tSTATE HASH\tCLUSTER\tHTTP\tRESP\tVERSION")
	for _, m := range s.Members {
		lag, hash := fmt.Sprint(m.Lag), m.StateHash
		if !m.Reachable {
			lag, hash = "unreachable", "-"
		}
		id := m.ID[:min(8, len(m.ID))]
		if m.ID == s.NodeID {
			id += " *"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%.12s\t%s\t%s\t%s\t%s\n", id, m.Name, memberRole(m), m.Applied, lag, hash, m.Cluster, m.HTTP, m.RESP, m.Version)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, m := range s.Members {
		if m.Quarantine != "" {
			_, _ = fmt.Fprintf(out, "\n%.8s %s is in quarantine and serves nobody: run parlor cluster reseed on it\n  %s\n", m.ID, m.Name, m.Quarantine)
		}
	}
	return nil
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

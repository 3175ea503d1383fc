package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func certCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Certificates of the cluster port: status, renew",
		Long: `Nodes prove to each other who they are with certificates that the group makes
itself. They live 90 days; each node renews its own after 60, without a restart
and without anybody's help. parlor ca rotate replaces the authority behind them.

Certificates for browsers and Redis clients are files of yours: see --http-tls-cert
and --resp-tls-cert of parlor serve.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(certStatusCommand(), certRenewCommand())
	return cmd
}

func certStatusCommand() *cobra.Command {
	var dir string
	var asJSON, offline bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Which certificates the nodes have, until when, and by which authority",
		Long: `Asks the running node of a data folder about the certificates of all nodes, and
about a rotation of the authority if one is under way. With --offline it reads
the certificate of a node that does not run.`,
		Example: "  parlor cert status\n  parlor cert status --offline --data-dir /var/lib/parlor",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if offline {
				held, err := node.HeldCertificate(dir)
				if err != nil {
					return err
				}
				return showMemberCerts(cmd.OutOrStdout(), []node.MemberCert{held}, asJSON)
			}
			certs, err := node.NewAdmin(dir).Certificates(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), certs)
			}
			return printCertificates(cmd.OutOrStdout(), certs, time.Now())
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().BoolVar(&offline, "offline", false, "read the certificate of a node that does not run")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func certRenewCommand() *cobra.Command {
	var dir, server, token string
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "Renew a node's certificate now",
		Long: `Renews the certificate of the running node of a data folder, or of all nodes with
--all. Nodes do it by themselves in time; this is for a key that may have been
copied. Nothing is interrupted.

With --server and --token it is for a node that was away for so long that the
others do not let it in any more: because its certificate has ended, or because
the group's authority was replaced without it. Stop it first. The token is made
by parlor token create on a node that works.`,
		Example: `  parlor cert renew
  parlor cert renew --all
  parlor cert renew --data-dir /var/lib/parlor --server 10.0.0.1:7400 --token K10…`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (server == "") != (token == "") {
				return wrongUsef("--server and --token go together: the cluster address of a node that works, and a token that parlor token create made there")
			}
			if server != "" && all {
				return wrongUsef("--all is for nodes that run; --server and --token are for one that does not")
			}
			var renewed []node.MemberCert
			var err error
			if server != "" {
				var one node.MemberCert
				one, err = node.RenewBy(cmd.Context(), dir, server, token)
				renewed = []node.MemberCert{one}
			} else {
				renewed, err = node.NewAdmin(dir).RenewCertificates(cmd.Context(), all)
			}
			if err != nil {
				return err
			}
			return showMemberCerts(cmd.OutOrStdout(), renewed, asJSON)
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().BoolVar(&all, "all", false, "renew the certificates of all nodes of the group")
	cmd.Flags().StringVar(&server, "server", "", "cluster address of a node that works, for a node that is not let in any more")
	cmd.Flags().StringVar(&token, "token", "", "join token, with --server")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

func showMemberCerts(out io.Writer, certs []node.MemberCert, asJSON bool) error {
	if asJSON {
		return printJSON(out, certs)
	}
	return printMemberCerts(out, certs, time.Now())
}

func printCertificates(out io.Writer, c node.Certificates, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "AUTHORITY\tUNTIL\t")
	for _, ca := range c.Authorities {
		_, _ = fmt.Fprintf(w, "%.12s\t%s\t%s\n", ca.Fingerprint, until(ca.NotAfter, now), authorityRole(ca))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out)
	if err := printMemberCerts(out, c.Members, now); err != nil {
		return err
	}
	if c.Stage != node.StageRest {
		_, _ = fmt.Fprintf(out, "\n%s\n", rotationText(c))
	}
	return nil
}

func authorityRole(ca node.Authority) string {
	switch {
	case ca.Signs && ca.Remains:
		return "signs"
	case ca.Signs:
		return "signs, is being replaced"
	case ca.Remains:
		return "is about to sign"
	}
	return "trusted until the rotation is over"
}

func printMemberCerts(out io.Writer, certs []node.MemberCert, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "NODE\tNAME\tUNTIL\tRENEWED\tBY AUTHORITY\tTRUSTS")
	for _, m := range certs {
		if m.Serial == "" {
			_, _ = fmt.Fprintf(w, "%.8s\t%s\tdoes not answer\t\t\t\n", m.ID, m.Name)
			continue
		}
		_, _ = fmt.Fprintf(w, "%.8s\t%s\t%s\t%s\t%.12s\t%d\n", m.ID, m.Name, until(m.NotAfter, now), m.Renews.UTC().Format(time.DateOnly), m.Authority, len(m.Trusts))
	}
	return w.Flush()
}

// until is a date, and how many days are left.
func until(t, now time.Time) string {
	if left := t.Sub(now); left > 0 {
		return fmt.Sprintf("%s (%d days)", t.UTC().Format(time.DateOnly), int(left.Hours()/24))
	}
	return t.UTC().Format(time.DateOnly) + " (EXPIRED)"
}

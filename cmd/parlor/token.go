package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Join tokens: create, list, revoke",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tokenCreateCommand(), tokenListCommand(), tokenRevokeCommand())
	return cmd
}

// addDataDir adds the flag with which commands find the running node.
func addDataDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "data-dir", defaultDataDir, "data folder of a running node on this machine")
}

func tokenCreateCommand() *cobra.Command {
	var dir string
	var ttl time.Duration
	var uses int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a join token; it is printed once and kept nowhere",
		Long: `Makes a join token, with which a new node gets its certificate: parlor join.
Whoever has it can put a node into the group, which then holds all data: pass it
on as you would a password. The token names the group's certificate authority,
so that the new node talks to this group and to no other.`,
		Example: `  parlor token create --data-dir /var/lib/parlor --ttl 10m --uses 1`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ttl <= 0 {
				return wrongUsef("--ttl must be positive, not %s", ttl)
			}
			token, err := node.NewAdmin(dir).CreateToken(cmd.Context(), ttl, uses)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{"token": token})
			}
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long it may be used, at most 720h")
	cmd.Flags().IntVar(&uses, "uses", 0, "how many nodes it lets in; 0: any number")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func tokenListCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List join tokens, without their secrets",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tokens, err := node.NewAdmin(dir).Tokens(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), tokens)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
			_, _ = fmt.Fprintln(w, "ID\tEXPIRES\tUSES LEFT")
			for _, t := range tokens {
				left := "any"
				if t.UsesLeft != nil {
					left = fmt.Sprint(*t.UsesLeft)
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", t.ID, time.UnixMilli(t.ExpiresAt).UTC().Format(time.RFC3339), left)
			}
			return w.Flush()
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

func tokenRevokeCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Make a join token useless",
		Long: `Makes a join token useless, at once and on all nodes. Nodes that came by it stay:
parlor cluster remove takes them out.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongUsef("token revoke needs one token id; see parlor token list")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return node.NewAdmin(dir).RevokeToken(cmd.Context(), args[0])
		},
	}
	addDataDir(cmd, &dir)
	return cmd
}

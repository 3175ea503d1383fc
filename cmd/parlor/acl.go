package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func aclCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "acl",
		Short: "Users of the Redis port: reset-default",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(aclResetDefaultCommand())
	return cmd
}

func aclResetDefaultCommand() *cobra.Command {
	var dir string
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "reset-default",
		Short: "Let the Redis user default in again, with all rights",
		Long: `Forgets what ACL SETUSER said of the user default, on all nodes: it may do everything
again, with the password of each node's --resp-password-file, or without one for
programs on the node's own machine. This is the way back for who is locked out of
the Redis port. Other users stay as they are.`,
		Example: "  parlor acl reset-default --data-dir /var/lib/parlor --yes",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return &wrongUse{&node.Error{Code: node.CodeConfirm, Message: "the Redis user default would get all rights again on all nodes, whatever ACL SETUSER said of it; nothing was changed: add --yes to do it"}}
			}
			if err := node.NewAdmin(dir).ResetDefaultUser(cmd.Context()); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{"reset": "default"})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "the user default may do everything again; log in with the password of --resp-password-file, or from this machine if there is none")
			return err
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

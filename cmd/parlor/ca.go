package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
)

func caCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "The group's certificate authority: rotate",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(caRotateCommand())
	return cmd
}

func caRotateCommand() *cobra.Command {
	var dir string
	var o node.RotateOptions
	var noWait bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the group's certificate authority, without an interruption",
		Long: `Makes a new certificate authority for the cluster port and takes the old one out of
use, in three steps: all nodes come to trust both; all nodes get certificates by
the new one; the old one is trusted no more. In between everything works, for as
long as it takes. Do it after a machine was removed that you do not trust any
more: every node of a group can sign for its authority.

A node that is down is waited for. Start it; or take it out of the group with
parlor cluster remove; or go on without it with --force, and bring it back later
with parlor cert renew --server HOST:PORT --token TOKEN.

Join tokens that were made before work until the rotation is over.
The command only watches: it can be interrupted, the rotation goes on.`,
		Example: `  parlor ca rotate
  parlor ca rotate --force      # go on without the nodes that are down
  parlor ca rotate --back       # end with the authority that it began with`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			admin := node.NewAdmin(dir)
			if err := admin.RotateCA(cmd.Context(), o); err != nil {
				return err
			}
			if noWait {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "the rotation has begun; parlor cert status shows how far it is")
				return err
			}
			return watchRotation(cmd, admin, patience)
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().BoolVar(&o.Force, "force", false, "go on with a rotation without the nodes that do not answer now")
	cmd.Flags().BoolVar(&o.Back, "back", false, "end a rotation that is under way with the authority that it began with")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the end")
	cmd.Flags().DurationVar(&patience, "wait", 2*time.Minute, "how long to wait for the end")
	return cmd
}

// watchRotation prints what happens until the rotation is over.
func watchRotation(cmd *cobra.Command, admin *node.Admin, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	said := ""
	for {
		c, err := admin.Certificates(ctx)
		if err == nil && c.Stage == node.StageRest {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "done: the group's authority is %.12s\n", c.Authorities[0].Fingerprint)
			return err
		}
		if err == nil {
			if text := rotationText(c); text != said {
				_, _ = fmt.Fprintln(cmd.OutOrStdout(), text)
				said = text
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the rotation is not over yet, and goes on; parlor cert status shows how far it is: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// rotationText says how far a rotation is and what to do if it does not go on.
func rotationText(c node.Certificates) string {
	step := map[string]string{
		node.StageDistribute: "step 1 of 2: every node comes to trust the new authority",
		node.StageReissue:    "step 2 of 2: every node gets a certificate by the new authority",
	}[c.Stage]
	if len(c.Without) > 0 {
		step += fmt.Sprintf("; without %s", strings.Join(c.Without, ", "))
	}
	var down []string
	for _, m := range c.Members {
		for _, id := range c.Waiting {
			if m.ID == id && !m.Reachable {
				down = append(down, strings.TrimSpace(id+" "+m.Name))
			}
		}
	}
	if len(down) == 0 {
		return step
	}
	return fmt.Sprintf(`%s
waiting for what does not answer: %s
  start it; or take it out of the group: parlor cluster remove ID
  or go on without it: parlor ca rotate --force; before it can come back it then needs
  parlor cert renew --server HOST:PORT --token TOKEN, run there while it is stopped`, step, strings.Join(down, ", "))
}

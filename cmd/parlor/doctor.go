package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node/doctor"
	"github.com/parlorchat/parlor/node/server"
)

// errUnwell makes doctor exit with 1; what is wrong was printed.
var errUnwell = errors.New("something is wrong: see the lines with fail")

func doctorCommand() *cobra.Command {
	o := server.Options{Version: version}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether this machine is fit for a node: disk, clock, limits, ports, certificates, peers",
		Long: `Looks at the machine and the data folder, whether the node runs, stopped, or was never
made: how long the disk takes to keep a write, what file system it is and how it is
mounted, clock, ports, limits, memory, certificates, the other nodes. It changes
nothing. Exits with 1 if something is wrong that endangers data or service.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := server.Doctor(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), map[string]any{"healthy": doctor.Healthy(found), "findings": found})
			} else {
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
				for _, f := range found {
					_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", f.Status, f.Check, f.Found)
					if f.Advice != "" {
						_, _ = fmt.Fprintf(w, "\t\t-> %s\n", f.Advice)
					}
				}
				err = w.Flush()
			}
			if err == nil && !doctor.Healthy(found) {
				err = errUnwell
			}
			return err
		},
	}
	addExaminedFlags(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// addExaminedFlags adds what doctor and debug bundle look at.
func addExaminedFlags(cmd *cobra.Command, o *server.Options) {
	f := cmd.Flags()
	f.StringVar(&o.Dir, "data-dir", defaultDataDir, "data folder of the node, running or not")
	f.StringVar(&o.HTTP, "http", "", "listening address for visitors and agents (default as remembered, else "+server.DefaultHTTP+")")
	f.StringVar(&o.RESP, "resp", "", "listening address for the Redis protocol (default as remembered, else "+server.DefaultRESP+")")
	f.StringVar(&o.RESPCert, "resp-tls-cert", "", "PEM file with the certificate of the Redis protocol, if it has one")
}

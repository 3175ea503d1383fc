package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/parlorchat/parlor/node"
	"github.com/parlorchat/parlor/node/server"
)

const defaultDataDir = "parlor-data"

// serveFlags are what serve is told beyond server.Options.
type serveFlags struct {
	passwordFile  string
	proxies       []string
	logLevel      string
	logFormat     string
	demo          bool
	rateLimits    bool
	seedFile      string
	stopWithStdin bool
}

func serveCommand() *cobra.Command {
	o := server.Options{Version: version}
	f := serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node: everything after init or join, or a group of one in an empty folder",
		Long: `Runs a node on its data folder until it is told to stop (SIGTERM, Ctrl-C).

After parlor init or parlor join, the data folder is all it needs: addresses
given there are remembered. In an empty folder it forms a group of one by itself
and prints a link with which the first administrator sets up the site.

Without --resp-password-file, the Redis protocol is for clients on this machine
only, whatever the address.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			recent := &logRing{}
			o.RecentLog, o.Settings = recent.Bytes, settingsOf(cmd)
			if err := f.complete(&o, io.MultiWriter(cmd.ErrOrStderr(), recent)); err != nil {
				return err
			}
			return runServe(cmd, o, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Dir, "data-dir", defaultDataDir, "data folder")
	flags.StringVar(&o.Cluster, "cluster", "", "address of the cluster port, if it has changed (default "+server.DefaultCluster+" for a group of one)")
	flags.StringVar(&o.Listen, "cluster-listen", "", "listening address of the cluster port, where it differs from --cluster")
	flags.StringVar(&o.HTTP, "http", "", "listening address for visitors and agents (default as remembered, else "+server.DefaultHTTP+")")
	flags.StringVar(&o.RESP, "resp", "", "listening address for the Redis protocol (default as remembered, else "+server.DefaultRESP+")")
	flags.StringVar(&o.Name, "name", "", "what people call this node (default the host's name)")
	flags.StringVar(&o.PublicURL, "public-url", "", "base URL at which browsers reach this node, such as https://chat1.example.com")
	flags.StringVar(&f.passwordFile, "resp-password-file", "", "file with the password that Redis clients must give")
	flags.StringVar(&o.RESPCert, "resp-tls-cert", "", "PEM file with the certificate of the Redis protocol, which is then spoken over TLS only; read again when it changes")
	flags.StringVar(&o.RESPKey, "resp-tls-key", "", "PEM file with its key")
	flags.StringSliceVar(&f.proxies, "trusted-proxies", nil, "networks whose X-Forwarded-For is believed, such as 10.0.0.0/8")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
	flags.BoolVar(&f.demo, "demo", false, "show the demo shop at /demo/")
	flags.BoolVar(&f.rateLimits, "rate-limits", true, "limit calls per visitor, agent and address; off only for load tests")
	flags.StringVar(&f.seedFile, "seed", "", "file of commands to propose at the start")
	flags.BoolVar(&f.stopWithStdin, "stop-with-stdin", false, "stop when standard input ends")
	for _, hidden := range []string{"seed", "stop-with-stdin"} {
		_ = flags.MarkHidden(hidden)
	}
	return cmd
}

// complete turns what was typed into options.
func (f *serveFlags) complete(o *server.Options, logs io.Writer) error {
	var err error
	if o.Log, err = newLogger(logs, f.logLevel, f.logFormat); err != nil {
		return err
	}
	if f.passwordFile != "" {
		content, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return wrongUsef("reading --resp-password-file: %w", err)
		}
		if o.RESPPassword = strings.TrimSpace(string(content)); o.RESPPassword == "" {
			return wrongUsef("--resp-password-file %s is empty", f.passwordFile)
		}
	}
	if (o.RESPCert == "") != (o.RESPKey == "") {
		return wrongUsef("--resp-tls-cert and --resp-tls-key go together")
	}
	for _, p := range f.proxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return wrongUsef("--trusted-proxies: %q is not a network such as 10.0.0.0/8", p)
		}
		o.TrustedProxies = append(o.TrustedProxies, prefix)
	}
	if f.seedFile != "" {
		content, err := os.ReadFile(f.seedFile)
		if err != nil {
			return wrongUsef("reading --seed: %w", err)
		}
		if err := json.Unmarshal(content, &o.Seed); err != nil {
			return wrongUsef("--seed %s: %w", f.seedFile, err)
		}
	}
	if f.demo {
		o.Demo = "demo"
	}
	o.NoRateLimits = !f.rateLimits
	return nil
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, wrongUsef("--log-level must be debug, info, warn or error, not %q", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, wrongUsef("--log-format must be text or json, not %q", format)
}

// runServe forms a group of one where there is none, and serves.
func runServe(cmd *cobra.Command, o server.Options, f serveFlags) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.stopWithStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}

	setupToken := ""
	_, err := node.Inspect(o.Dir)
	var notFormed *node.Error
	if errors.As(err, &notFormed) && notFormed.Code == node.CodeNotFormed {
		alone := o
		if alone.Cluster == "" {
			alone.Cluster = server.DefaultCluster
		}
		formed, err := server.Form(ctx, alone)
		if err != nil {
			return err
		}
		setupToken = formed.SetupToken
	}
	out := cmd.OutOrStdout()
	o.Ready = func(httpAddr, respAddr string) {
		base := consoleBase(o.PublicURL, httpAddr)
		_, _ = fmt.Fprintf(out, "console   %s/console/\n", base)
		if setupToken != "" {
			_, _ = fmt.Fprintf(out, "set up    %s/console/#setup=%s      (once)\n", base, setupToken)
		}
		_, _ = fmt.Fprintf(out, "redis     redis-cli -p %s\n", port(respAddr))
	}
	return server.Run(ctx, o)
}

// consoleBase is the address to print for people: one they can open.
func consoleBase(publicURL, httpAddr string) string {
	if publicURL != "" {
		return strings.TrimSuffix(publicURL, "/")
	}
	if addr, err := netip.ParseAddrPort(httpAddr); err == nil && addr.Addr().IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", addr.Port())
	}
	return "http://" + httpAddr
}

package main

import (
	"context"
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

// timersRelaxed is a variable in the environment of a process that setTimers
// began anew.
const timersRelaxed = "PARLOR_TIMERS_RELAXED"

// serveFlags are what serve is told beyond server.Options.
type serveFlags struct {
	passwordFile  string
	proxies       []string
	respSettings  []string
	diskReserve   string
	tableQuota    string
	ballast       string
	logLevel      string
	logFormat     string
	demo          bool
	rateLimits    bool
	seedFile      string
	stopWithStdin bool
}

// serving is the serve command with what its flags fill.
type serving struct {
	cmd     *cobra.Command
	options server.Options
	flags   serveFlags
}

func serveCommand() *cobra.Command { return newServing().cmd }

// check completes the options and refuses what could not be served.
func (s *serving) check(logs io.Writer) error {
	if err := s.flags.complete(&s.options, logs); err != nil {
		return err
	}
	if err := s.options.CheckTLS(); err != nil {
		return &wrongUse{err}
	}
	if err := s.options.CheckRESP(); err != nil {
		return wrongUsef("--resp-set: %w", err)
	}
	return nil
}

func newServing() *serving {
	s := &serving{options: server.Options{Version: version}}
	o, f := &s.options, &s.flags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node: everything after init or join, or a group of one in an empty folder",
		Long: `Runs a node on its data folder until it is told to stop (SIGTERM, Ctrl-C).

After parlor init or parlor join, the data folder is all it needs: addresses
given there are remembered. In an empty folder it forms a group of one by itself
and prints a link with which the first administrator sets up the site.

Without --resp-password-file, the Redis protocol is for clients on this machine
only, whatever the address.

The files with certificates are read again when they change, and on SIGHUP;
connections that are open go on. What cannot be used is refused and logged, and
the certificate before goes on.`,
		Example: `  parlor serve                                   # try it: data in ./parlor-data, http://127.0.0.1:8080
  parlor serve --data-dir /var/lib/parlor --http 0.0.0.0:443 \
      --http-tls-cert chat.example.com.pem --http-tls-key chat.example.com.key
  parlor serve --http 127.0.0.1:8080 --public-url https://chat.example.com \
      --trusted-proxies 127.0.0.1/32             # behind a reverse proxy
  parlor serve --config /etc/parlor/parlor.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			recent := &logRing{}
			o.RecentLog, o.Settings = recent.Bytes, settingsOf(cmd)
			if err := s.check(io.MultiWriter(cmd.ErrOrStderr(), recent)); err != nil {
				return err
			}
			return runServe(cmd, *o, *f)
		},
	}
	s.cmd = cmd
	flags := cmd.Flags()
	flags.StringVar(&o.Dir, "data-dir", defaultDataDir, "data folder")
	flags.StringVar(&o.Name, "name", "", "what people call this node (default the host's name)")
	flags.StringVar(&o.HTTP, "http", "", "listening address for visitors and agents (default as remembered, else "+server.DefaultHTTP+")")
	flags.StringVar(&o.PublicURL, "public-url", "", "base URL at which browsers reach this node, such as https://chat1.example.com")
	flags.StringVar(&o.HTTPCert, "http-tls-cert", "", "PEM file with the certificate for browsers, its own first; HTTPS is spoken then, and nothing else")
	flags.StringVar(&o.HTTPKey, "http-tls-key", "", "PEM file with its key")
	flags.StringSliceVar(&f.proxies, "trusted-proxies", nil, "networks whose X-Forwarded-For is believed, such as 10.0.0.0/8")
	flags.BoolVar(&f.rateLimits, "rate-limits", true, "limit calls per visitor, agent and address; off only for load tests")
	flags.BoolVar(&f.demo, "demo", false, "show the demo shop at /demo/")
	groupFlags(flags, "Visitors and agents", "http", "public-url", "http-tls-cert", "http-tls-key", "trusted-proxies", "rate-limits", "demo")
	flags.StringVar(&o.RESP, "resp", "", "listening address for the Redis protocol (default as remembered, else "+server.DefaultRESP+")")
	flags.StringVar(&f.passwordFile, "resp-password-file", "", "file with the password that Redis clients must give")
	flags.StringVar(&o.RESPCert, "resp-tls-cert", "", "PEM file with the certificate of the Redis protocol, which is then spoken over TLS only")
	flags.StringVar(&o.RESPKey, "resp-tls-key", "", "PEM file with its key")
	flags.StringSliceVar(&f.respSettings, "resp-set", nil, "settings of the Redis protocol as CONFIG SET takes them, such as maxclients=20000,timeout=300")
	flags.BoolVar(&o.RESPDebug, "resp-debug", false, "allow the harmless subcommands of DEBUG, for test suites")
	groupFlags(flags, "Redis clients", "resp", "resp-password-file", "resp-tls-cert", "resp-tls-key", "resp-set", "resp-debug")
	flags.StringVar(&o.Cluster, "cluster", "", "address of the cluster port, if it has changed (default "+server.DefaultCluster+" for a group of one)")
	flags.StringVar(&o.Listen, "cluster-listen", "", "listening address of the cluster port, where it differs from --cluster")
	flags.StringSliceVar(&o.Peers, "peers", nil, "cluster addresses of other nodes to ask where everybody is, after all were moved while none ran")
	groupFlags(flags, "Other nodes", "cluster", "cluster-listen", "peers")
	flags.StringVar(&f.diskReserve, "disk-reserve", "auto", "room to be kept free on the disk: below it the whole group takes only what makes room; auto is a tenth, at most 2GB; 0: whatever")
	flags.StringVar(&f.tableQuota, "table-quota", "0", "room that the table may take, such as 20GB, to the same effect; 0: what fits")
	flags.StringVar(&f.ballast, "ballast", "auto", "size of a file in the data folder that only takes room, to be deleted when the disk is full; auto is a hundredth of the disk, at most 256MB; 0: none")
	groupFlags(flags, "Room on the disk", "disk-reserve", "table-quota", "ballast")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
	groupFlags(flags, "Log (on standard error)", "log-level", "log-format")
	flags.StringVar(&f.seedFile, "seed", "", "file of commands to propose at the start")
	flags.BoolVar(&f.stopWithStdin, "stop-with-stdin", false, "stop when standard input ends")
	for _, hidden := range []string{"seed", "stop-with-stdin"} {
		_ = flags.MarkHidden(hidden)
	}
	return s
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
	if err := f.completeRoom(o); err != nil {
		return err
	}
	for _, s := range f.respSettings {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return wrongUsef("--resp-set: %q is not a setting such as maxclients=20000", s)
		}
		o.RESPSettings = append(o.RESPSettings, name, value)
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

// completeRoom reads the sizes that concern the disk.
func (f *serveFlags) completeRoom(o *server.Options) error {
	for _, s := range []struct {
		flag, text string
		auto, zero int64
		to         *int64
	}{
		{"disk-reserve", f.diskReserve, 0, -1, &o.DiskReserve},
		{"table-quota", f.tableQuota, 0, 0, &o.TableQuota},
		{"ballast", f.ballast, -1, 0, &o.Ballast},
	} {
		if s.text == "auto" && s.flag != "table-quota" {
			*s.to = s.auto
			continue
		}
		n, err := parseSize(s.text)
		if err != nil {
			return wrongUsef("--%s: %w", s.flag, err)
		}
		if *s.to = n; n == 0 {
			*s.to = s.zero
		}
	}
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
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	o.Reload = reloads(ctx, hangups)
	manager := newServiceManager(os.Getenv, o.Log)
	o.Serving = func(alive func() error) { manager.serving(ctx, alive) }
	go paceGC(ctx)
	go useLargePages(ctx)
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
		manager.status("ready")
		base := consoleBase(o.PublicURL, httpAddr, o.HTTPCert != "")
		_, _ = fmt.Fprintf(out, "console   %s/console/\n", base)
		if setupToken != "" {
			_, _ = fmt.Fprintf(out, "set up    %s/console/#setup=%s      (once)\n", base, setupToken)
		}
		overTLS := ""
		if o.RESPCert != "" {
			overTLS = "--tls "
		}
		_, _ = fmt.Fprintf(out, "redis     redis-cli %s-p %s\n", overTLS, port(respAddr))
	}
	return server.Run(ctx, o)
}

// reloads passes on that the certificates are to be read again.
func reloads(ctx context.Context, hangups <-chan os.Signal) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		for {
			select {
			case <-hangups:
			case <-ctx.Done():
				return
			}
			select {
			case out <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// consoleBase is the address to print for people: one they can open.
func consoleBase(publicURL, httpAddr string, overTLS bool) string {
	if publicURL != "" {
		return strings.TrimSuffix(publicURL, "/")
	}
	scheme := "http"
	if overTLS {
		scheme = "https"
	}
	if addr, err := netip.ParseAddrPort(httpAddr); err == nil && addr.Addr().IsUnspecified() {
		return fmt.Sprintf("%s://127.0.0.1:%d", scheme, addr.Port())
	}
	return scheme + "://" + httpAddr
}

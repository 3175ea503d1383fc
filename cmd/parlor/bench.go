package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// benchPassword is for the agents of the generator's own, short-lived group.
const benchPassword = "parlor-bench"

// benchOptions is what the load generator is told.
type benchOptions struct {
	servers          []string // HTTP addresses; empty: a group of its own
	site             string
	logins           []string
	password         string
	visitors, agents int
	messages         int
	seconds          int
	nodes, portBase  int
	asJSON           bool
}

func benchCommand() *cobra.Command {
	o := benchOptions{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure: visitors and agents who chat, messages a second and latencies",
		Long: `Lets visitors and agents chat and prints throughput and latency percentiles.

Every visitor opens a page, asks for a chat and sends messages one after another;
every agent holds a WebSocket and answers each message. Two latencies are
measured: "acknowledged" is from sending to the answer that the message is
durable on a quorum, "delivered" from sending to its arrival at the other side.

Without --server it starts a group of its own on this machine in a temporary
folder and ends it afterwards. With --server it uses a running group: the site
and the agents must exist, and their max_chats must hold the visitors.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runBench(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.servers, "server", nil, "HTTP addresses host:port of a running group; clients are spread over them")
	f.StringVar(&o.site, "site", "bench", "site to chat on")
	f.StringSliceVar(&o.logins, "login", nil, "agents to be, with --server")
	f.StringVar(&o.password, "password", benchPassword, "their password, with --server")
	f.IntVar(&o.visitors, "visitors", 50, "how many visitors chat at once")
	f.IntVar(&o.agents, "agents", 5, "how many agents answer, in a group of its own")
	f.IntVar(&o.messages, "messages", 0, "stop after that many messages of visitors; 0: by time only")
	f.IntVar(&o.seconds, "seconds", 10, "stop after that many seconds")
	f.IntVar(&o.nodes, "nodes", 3, "nodes of a group of its own")
	f.IntVar(&o.portBase, "port-base", 18080, "ports of a group of its own are counted from here")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return cmd
}

func (o *benchOptions) check() error {
	switch {
	case o.visitors < 1 || o.visitors > 20000:
		return wrongUsef("--visitors must be 1 to 20000, not %d", o.visitors)
	case o.agents < 1 || o.agents > 1000:
		return wrongUsef("--agents must be 1 to 1000, not %d", o.agents)
	case o.seconds < 1:
		return wrongUsef("--seconds must be 1 or more, not %d", o.seconds)
	case o.messages < 0:
		return wrongUsef("--messages must not be negative")
	case o.nodes < 1 || o.nodes > 9:
		return wrongUsef("--nodes must be 1 to 9, not %d", o.nodes)
	case len(o.servers) > 0 && len(o.logins) == 0:
		return wrongUsef("--server needs --login: the agents who answer")
	}
	return nil
}

func runBench(ctx context.Context, out, progress io.Writer, o benchOptions) error {
	if len(o.servers) == 0 {
		dir, err := os.MkdirTemp("", "parlor-bench-")
		if err != nil {
			return fmt.Errorf("making a folder for the group: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		g := newLocalGroup(dir, o.nodes, o.portBase)
		if err := g.checkPorts(); err != nil {
			return err
		}
		g.seed = filepath.Join(dir, "bench-site.json")
		g.serveArgs = []string{"--rate-limits=false"}
		if err := writeSeed(g.seed, o.benchSite()); err != nil {
			return err
		}
		defer g.stop(15 * time.Second)
		_, _ = fmt.Fprintf(progress, "starting a group of %d …\n", o.nodes)
		if err := g.start(ctx); err != nil {
			return err
		}
		for _, m := range g.members {
			o.servers = append(o.servers, m.http)
		}
		for i := range o.agents {
			o.logins = append(o.logins, benchAgent(i))
		}
	}
	_, _ = fmt.Fprintf(progress, "%d visitors, %d agents, %d s …\n", o.visitors, len(o.logins), o.seconds)
	result, err := newLoad(o).run(ctx)
	if err != nil {
		return err
	}
	if o.asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(result)
	}
	result.print(out)
	return nil
}

func benchAgent(i int) string { return fmt.Sprintf("agent%03d", i+1) }

// benchSite is the content of the generator's own group.
func (o *benchOptions) benchSite() [][]string {
	commands := [][]string{
		{"SITE.CREATE", o.site, "NAME", "Load test"},
		{"DEPARTMENT.CREATE", "all", o.site},
	}
	room := (o.visitors+o.agents-1)/o.agents + 1
	for i := range o.agents {
		commands = append(commands, []string{"AGENT.CREATE", benchAgent(i), o.site, "PASSWORD", benchPassword,
			"MAX-CHATS", fmt.Sprint(room), "DEPARTMENTS", "all"})
	}
	return commands
}

// benchResult is what a run measured. Latencies are in milliseconds.
type benchResult struct {
	Visitors    int          `json:"visitors"`
	Agents      int          `json:"agents"`
	Seconds     float64      `json:"seconds"`
	Messages    int64        `json:"messages"` // acknowledged, both directions
	PerSecond   float64      `json:"messages_per_second"`
	Errors      int64        `json:"errors"`
	FirstError  string       `json:"first_error,omitempty"`
	Undelivered int64        `json:"undelivered"` // acknowledged but not seen by the other side when the run ended
	Page        benchLatency `json:"page_visit"`
	Ack         benchLatency `json:"acknowledged"`
	Delivered   benchLatency `json:"delivered"`
}

type benchLatency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

func (r *benchResult) print(out io.Writer) {
	_, _ = fmt.Fprintf(out, "\n%d visitors, %d agents, %.1f s\n", r.Visitors, r.Agents, r.Seconds)
	_, _ = fmt.Fprintf(out, "%-14s %10d   %10.0f a second\n", "messages", r.Messages, r.PerSecond)
	_, _ = fmt.Fprintf(out, "%-14s %10d   %s\n", "errors", r.Errors, r.FirstError)
	_, _ = fmt.Fprintf(out, "%-14s %10d\n\n", "undelivered", r.Undelivered)
	_, _ = fmt.Fprintf(out, "%-14s %9s %9s %9s %9s %9s %9s\n", "milliseconds", "count", "p50", "p90", "p99", "p99.9", "max")
	for _, row := range []struct {
		name string
		l    benchLatency
	}{{"page visit", r.Page}, {"acknowledged", r.Ack}, {"delivered", r.Delivered}} {
		_, _ = fmt.Fprintf(out, "%-14s %9d %9.2f %9.2f %9.2f %9.2f %9.2f\n", row.name, row.l.Count, row.l.P50, row.l.P90, row.l.P99, row.l.P999, row.l.Max)
	}
	if r.Errors > 0 {
		_, _ = fmt.Fprintln(out, strings.Repeat("-", 60)+"\nerrors happened: the figures above count acknowledged messages only")
	}
}

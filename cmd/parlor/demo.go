package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// restartAfter is how long the demo leaves a dead node dead: long enough to
// see the others take over.
const restartAfter = 5 * time.Second

func demoCommand() *cobra.Command {
	var dir string
	var base, nodes int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Three nodes, a shop with a chat button and two agents, on this machine",
		Long: `Starts a whole group on this machine, each node as a process of its own: a demo
shop with the chat widget, and two agents, alice and bob, who answer on the
console. Kill a node's process to see the others go on; it is started again
after five seconds. Everything listens on loopback.

Node i has HTTP on port-base+i, the Redis protocol on port-base+10+i and the
cluster port on port-base+20+i. Without --dir the data lives in a temporary
folder and is gone at the end.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if nodes < 1 || nodes > 9 {
				return wrongUsef("--nodes must be 1 to 9, not %d", nodes)
			}
			if base < 1 || base+20+nodes > 65535 {
				return wrongUsef("--port-base %d leaves no room for the ports up to port-base+%d", base, 20+nodes)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runDemo(ctx, cmd.OutOrStdout(), dir, nodes, base)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "keep the data in this folder, and go on from it next time")
	cmd.Flags().IntVar(&base, "port-base", 8080, "ports are counted from here")
	cmd.Flags().IntVar(&nodes, "nodes", 3, "how many nodes")
	return cmd
}

// runDemo starts the group, prints where everything is, and keeps it running
// until ctx ends.
func runDemo(ctx context.Context, out io.Writer, dir string, nodes, base int) error {
	if dir == "" {
		temp, err := os.MkdirTemp("", "parlor-demo-")
		if err != nil {
			return fmt.Errorf("making a folder for the demo: %w", err)
		}
		defer func() { _ = os.RemoveAll(temp) }()
		dir = temp
	}
	g := newLocalGroup(dir, nodes, base)
	if err := g.checkPorts(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the demo's folder: %w", err)
	}
	g.seed = filepath.Join(dir, "demo-site.json")
	if err := writeSeed(g.seed, demoSite()); err != nil {
		return err
	}
	g.serveArgs = []string{"--demo"}
	defer g.stop(15 * time.Second)

	_, _ = fmt.Fprintf(out, "Starting %d nodes in %s …\n", nodes, dir)
	if err := g.start(ctx); err != nil {
		return err
	}
	printDemo(out, g)
	keepAlive(ctx, out, g)
	_, _ = fmt.Fprintln(out, "\nStopping …")
	return nil
}

func printDemo(out io.Writer, g *localGroup) {
	first := g.members[0]
	_, _ = fmt.Fprintf(out, `
  shop      http://%[1]s/demo/       open it and press the chat button
  console   http://%[2]s/console/    be the agent: alice or bob, password %[3]s

`, first.http, g.members[len(g.members)-1].http, demoPassword)
	for _, m := range g.members {
		p, _ := m.process()
		_, _ = fmt.Fprintf(out, "  %s     http://%s   redis-cli -p %s   cluster %s   pid %d\n",
			m.name, m.http, port(m.resp), m.cluster, p.Pid)
	}
	_, _ = fmt.Fprintf(out, `
  redis-cli -p %[1]s VISITOR.LIST demo      then: redis-cli -p %[1]s HGETALL visitor:ID
  parlor status --data-dir %[2]s            who leads
  kill -9 PID                               the chat goes on; the node is back after %[3]s

Ctrl-C ends the demo.
`, port(first.resp), first.dataDir, restartAfter)
}

// keepAlive restarts nodes that ended, until ctx ends.
func keepAlive(ctx context.Context, out io.Writer, g *localGroup) {
	done := make(chan struct{})
	for _, m := range g.members {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				_, exited := m.process()
				select {
				case <-ctx.Done():
					return
				case <-exited:
				}
				_, _ = fmt.Fprintf(out, "%s  %s has ended; starting it again in %s\n", time.Now().Format(time.TimeOnly), m.name, restartAfter)
				select {
				case <-ctx.Done():
					return
				case <-time.After(restartAfter):
				}
				if err := g.startMember(m); err != nil {
					_, _ = fmt.Fprintf(out, "%s  %v\n", time.Now().Format(time.TimeOnly), err)
					continue
				}
				p, _ := m.process()
				_, _ = fmt.Fprintf(out, "%s  %s runs again, pid %d\n", time.Now().Format(time.TimeOnly), m.name, p.Pid)
			}
		}()
	}
	for range g.members {
		<-done
	}
}

// writeSeed stores commands for serve --seed.
func writeSeed(path string, commands [][]string) error {
	content, err := json.MarshalIndent(commands, "", " ")
	if err != nil {
		return fmt.Errorf("encoding the seed: %w", err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("writing the seed: %w", err)
	}
	return nil
}

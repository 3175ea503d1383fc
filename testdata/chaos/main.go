// Chaos runs a group of three real nodes, lets clients use it while nodes are
// killed and paused, links are cut and leaders change, and checks what the
// clients saw. README.md says what is done and what is checked.
//
//	go -C testdata/chaos run . -minutes 10
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// options are what the battery is told.
type options struct {
	binary, out string
	length      time.Duration // of everything
	round       time.Duration // of faults in one round
	seed        uint64
	clients     int // of each workload
	pace        time.Duration
	calm, steps bool
	source, net string
	disks, only string
	broken, log string
}

func main() {
	var o options
	var minutes float64
	flag.StringVar(&o.source, "source", "../..", "folder with the sources of the program to test, which is built so that its clock can be set")
	flag.StringVar(&o.binary, "parlor", "", "a program to test as it is, instead of -source; clocks are not set then")
	flag.StringVar(&o.net, "net", "auto", "hosts: each node has a network of its own (root); proxy: all are on loopback with proxies between them; auto: either by the seed, where hosts are possible")
	flag.StringVar(&o.disks, "disks", "auto", "own: each node has a disk of its own, which fails in many ways (root, FUSE); plain: none has; auto: where it is possible")
	flag.StringVar(&o.broken, "break", "", "build a program without the cure of a known fault: a violation must be found (breaks.go has the names)")
	flag.StringVar(&o.log, "log", "auto", "short: the program keeps little log and writes checkpoints all the time; whole: as it is; auto: either by the seed")
	flag.StringVar(&o.only, "only", "", "the faults to let happen, with commas between; default: all")
	flag.Float64Var(&minutes, "minutes", 5, "how long; the round that runs then is finished")
	flag.DurationVar(&o.round, "round", time.Minute, "how long faults happen before everything is mended and checked")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the faults and of what clients do; round n of a run has the seed plus n")
	flag.StringVar(&o.out, "out", "", "folder for the artefacts (default a temporary one, which is removed when all is well)")
	flag.IntVar(&o.clients, "clients", 5, "clients of each workload")
	flag.DurationVar(&o.pace, "pace", 25*time.Millisecond, "what a client waits between two calls, on average")
	flag.BoolVar(&o.steps, "steps", false, "the program that -parlor names was built by this battery: its clock can be set")
	flag.BoolVar(&o.calm, "calm", false, "no faults: shows what the clients do without")
	flag.Parse()
	o.length = time.Duration(minutes * float64(time.Minute))
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	keep := o.out != ""
	if !keep {
		if o.out, err = os.MkdirTemp("", "chaos-"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if o.binary == "" {
		fmt.Println("building the program; the first time takes minutes")
		short := o.log == "short" || o.log == "auto" && o.seed/2%2 == 0
		if o.binary, err = (recipe{o.source, o.out, short, o.broken}).build(); err != nil {
			return err
		}
		o.steps = true
	} else if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	if !inside() {
		err := goInside("-parlor", o.binary, fmt.Sprintf("-steps=%t", o.steps), "-out", o.out, "-seed", fmt.Sprint(o.seed))
		switch {
		case errors.Is(err, errNoRights):
			fmt.Println("without root: the nodes have no networks and disks of their own")
		case err == nil && !keep:
			return os.RemoveAll(o.out)
		case err != nil:
			return fmt.Errorf("artefacts: %s", o.out)
		default:
			return nil
		}
	}
	if inside() {
		keep = true // whoever is outside decides
		if err := loopback(); err != nil {
			return err
		}
	}
	defer func() {
		if err == nil && !keep {
			err = os.RemoveAll(o.out)
		} else if err != nil {
			err = fmt.Errorf("%w\nto repeat the faults: -seed %d -round %s -net %s -disks %s", err, o.seed, o.round, o.net, o.disks)
		}
	}()
	t := &timeline{}
	if t.file, err = os.Create(filepath.Join(o.out, "timeline.txt")); err != nil {
		return err
	}
	defer t.file.Close()
	t.sayf("seed %d, artefacts in %s", o.seed, o.out)
	l := layout{binary: o.binary, dir: o.out, steps: o.steps, lies: o.broken == lyingDisks, seed: o.seed}
	l.hosts = o.net == "hosts" || o.net == "auto" && inside() && o.seed%2 == 0
	l.drives = o.disks == "own" || o.disks == "auto" && inside() && drivesWork()
	t.sayf("networks of their own: %t, disks of their own: %t, clocks can be set: %t", l.hosts, l.drives, l.steps)
	g, err := newGroup(l)
	defer func() { err = errors.Join(err, g.stop()) }()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &battery{options: o, group: g, timeline: t}
	for round := uint64(0); round == 0 || time.Duration(now()) < o.length; round++ {
		if err := b.round(ctx, round); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	t.sayf("%d s of faults, %d calls (%d of unknown outcome), no violation", b.seconds, b.calls, b.unknown)
	return nil
}

// check refuses what makes no sense.
func (o *options) check() error {
	switch o.net {
	case "auto", "hosts", "proxy":
	default:
		return fmt.Errorf("-net is auto, hosts or proxy, not %q", o.net)
	}
	switch o.disks {
	case "auto", "own", "plain":
	default:
		return fmt.Errorf("-disks is auto, own or plain, not %q", o.disks)
	}
	switch o.log {
	case "auto", "short", "whole":
	default:
		return fmt.Errorf("-log is auto, short or whole, not %q", o.log)
	}
	return checkKinds(o.only)
}

type battery struct {
	options
	group    *group
	timeline *timeline

	ids            atomic.Int64
	seconds        int
	calls, unknown int
}

// player is a workload with its clients.
type player struct {
	workload
	history *history
	workers []*worker
}

// round lets faults happen under load, mends everything, and checks.
func (b *battery) round(ctx context.Context, n uint64) error {
	seed := b.seed + n
	prefix := fmt.Sprintf("chaos:%d", n)
	faults := plan(seed, b.options.round, b.only)
	if b.calm {
		faults = nil
	}
	dir := filepath.Join(b.out, fmt.Sprintf("round-%d", n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	content, _ := json.MarshalIndent(faults, "", " ")
	if err := os.WriteFile(filepath.Join(dir, "faults.json"), content, 0o644); err != nil {
		return err
	}
	players, err := b.players(seed, prefix, n)
	if err != nil {
		return err
	}
	b.timeline.sayf("round %d: seed %d, %d faults", n, seed, len(faults))

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, p := range players {
		wg.Go(func() { work(ctx, p.workload, p.workers) })
	}
	began := time.Now()
	trouble := b.group.run(faults, began, b.options.round, b.timeline)
	stop()
	wg.Wait()
	b.seconds += int(b.options.round.Seconds())
	if trouble != nil { // nobody could read what there is in the end
		for _, p := range players {
			trouble = errors.Join(trouble, p.history.write(dir, p.name()))
		}
		return trouble
	}
	b.timeline.sayf("round %d: mended; checking", n)
	trouble = b.group.whole(forWhole)
	select {
	case err := <-b.group.surprise:
		trouble = errors.Join(trouble, err)
	default:
	}
	trouble = errors.Join(trouble, b.judge(players, dir))
	if trouble == nil && n > 2 { // of rounds that were well, the last ones are enough
		_ = os.RemoveAll(filepath.Join(b.out, fmt.Sprintf("round-%d", n-2)))
	}
	return trouble
}

// players makes the workloads of a round with clients of their own.
func (b *battery) players(seed uint64, prefix string, n uint64) ([]*player, error) {
	var players []*player
	for i, l := range []workload{
		&registers{prefix: prefix + ":register"},
		&registers{prefix: prefix + ":hash", hash: true},
		&locks{prefix: prefix + ":lock"},
		&lists{prefix: prefix + ":list"},
		&streams{prefix: prefix + ":stream"},
		&transactions{prefix: prefix + ":multi"},
		newAccounts(prefix + ":watch"),
		&queues{prefix: prefix + ":pop"},
		&mortals{prefix: prefix + ":expiry"},
	} {
		p := &player{workload: l, history: &history{}}
		for k := range b.clients {
			p.workers = append(p.workers, newWorker(&b.ids, seed+uint64(1000*i+k), b.group.machines, p.history, b.pace))
		}
		players = append(players, p)
	}
	talk := &chats{site: fmt.Sprintf("shop%d", n)}
	p := &player{workload: talk, history: &history{}}
	for k := range b.clients + 6 { // three of them are agents
		p.workers = append(p.workers, newWorker(&b.ids, seed+uint64(9000+k), b.group.machines, p.history, 2*b.pace))
	}
	if err := talk.prepare(p.workers); err != nil {
		return nil, err
	}
	return append(players, p), nil
}

// judge makes the last reads, stores the histories and checks them.
func (b *battery) judge(players []*player, dir string) error {
	var all error
	for _, p := range players {
		w := newWorker(&b.ids, 1, b.group.machines, p.history, b.pace)
		err := p.settle(w)
		w.hangUp()
		if e := p.history.write(dir, p.name()); e != nil {
			return e
		}
		note := ""
		if err == nil {
			note, err = p.check(p.history.ops)
		}
		count := map[outcome]int{}
		for _, o := range p.history.ops {
			count[o.How]++
		}
		b.calls += len(p.history.ops)
		b.unknown += count[unknown]
		if err != nil {
			b.timeline.sayf("VIOLATION in %s: %v", p.name(), err)
			all = errors.Join(all, fmt.Errorf("%s: %w", p.name(), err))
			continue
		}
		b.timeline.sayf("  %-9s %5d ok, %4d refused, %4d unknown; %s", p.name(), count[done], count[refused], count[unknown], note)
	}
	return all
}

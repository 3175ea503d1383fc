package main

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fault is something that happens to the group at a time of a round, and what
// ends it. Who is hit is an index, or whoever leads at that moment.
type fault struct {
	At     time.Duration `json:"at"`
	Lasts  time.Duration `json:"lasts"`
	Kind   string        `json:"kind"`
	Target int           `json:"target"` // 0 to 2; leads: whoever leads then
	Other  int           `json:"other"`  // of pair: which of the two others
	Delay  time.Duration `json:"delay"`  // of slow and slow-disk
	Step   time.Duration `json:"step"`   // of clock
	Reset  bool          `json:"reset"`  // connections break when the link is whole again; of sick: then the power fails
}

const leads = -1

type kindOfFault struct {
	kind   string
	weight int
}

// kinds of faults, and how often each comes.
var kinds = []kindOfFault{
	{"kill", 6}, {"kill-two", 2}, {"kill-all", 1}, {"pause", 4}, {"isolate", 4}, {"deaf", 3}, {"mute", 3},
	{"pair", 3}, {"slow", 3}, {"transfer", 3}, {"reseed", 2}, {"demote", 2}, {"drain", 1},
	{"full", 3}, {"hang", 2}, {"slow-disk", 3}, {"power", 2}, {"power-all", 2}, {"clock", 4}, {"replace", 3}, {"away", 2},
	{"sick", 3}, {"sick-all", 1},
}

// steps are by how much clocks are set.
var steps = []time.Duration{time.Hour, -time.Hour, 10 * time.Second, -10 * time.Second}

// checkKinds refuses names that no fault has.
func checkKinds(only string) error {
	known := map[string]bool{}
	for _, k := range kinds {
		known[k.kind] = true
	}
	for _, kind := range strings.Split(only, ",") {
		if only != "" && !known[kind] {
			return fmt.Errorf("there is no fault %q", kind)
		}
	}
	return nil
}

// plan makes the faults of a round, of some kinds or of all. It depends on
// nothing else but the seed.
func plan(seed uint64, length time.Duration, only string) []fault {
	rng := rand.New(rand.NewPCG(seed, 0x6368616f73))
	kinds := slices.Clone(kinds)
	if only != "" {
		kinds = slices.DeleteFunc(kinds, func(k kindOfFault) bool { return !slices.Contains(strings.Split(only, ","), k.kind) })
	}
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	var faults []fault
	between := func(a, b int) time.Duration { return time.Duration(a+rng.IntN(b-a)) * time.Millisecond }
	one := func(at time.Duration) fault {
		f := fault{At: at, Lasts: between(300, 7000), Target: rng.IntN(5) - 2, Other: rng.IntN(2), Delay: between(10, 250), Reset: rng.IntN(2) == 0, Step: steps[rng.IntN(len(steps))]}
		if f.Target < 0 {
			f.Target = leads // two times in five
		}
		n := rng.IntN(total)
		for _, k := range kinds {
			if n -= k.weight; n < 0 {
				f.Kind = k.kind
				break
			}
		}
		return f
	}
	for at := between(500, 3000); at < length-time.Second; {
		f := one(at)
		faults = append(faults, f)
		end := f.At + f.Lasts
		if rng.IntN(3) == 0 { // a second one while the first lasts
			f := one(at + time.Duration(rng.Int64N(int64(f.Lasts))))
			faults = append(faults, f)
			end = max(end, f.At+f.Lasts)
		}
		at = end + between(200, 4000)
	}
	return faults
}

// timeline prints what happens, with its time, and keeps it.
type timeline struct {
	mu   sync.Mutex
	file *os.File
}

func (t *timeline) sayf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%9.3f  %s\n", time.Duration(now()).Seconds(), fmt.Sprintf(format, args...))
	fmt.Print(line)
	_, _ = t.file.WriteString(line)
}

// run lets the faults of a round happen, and mends everything at its end.
func (g *group) run(faults []fault, began time.Time, length time.Duration, t *timeline) error {
	var wg sync.WaitGroup
	for _, f := range faults {
		wg.Go(func() {
			time.Sleep(time.Until(began.Add(f.At)))
			g.happen(f, min(f.Lasts, time.Until(began.Add(length))), t)
		})
	}
	wg.Wait()
	time.Sleep(time.Until(began.Add(length)))
	if err := g.net.heal(); err != nil {
		return err
	}
	for _, m := range g.machines {
		m.signal(syscall.SIGCONT)
		if err := g.start(m); err != nil {
			return err
		}
	}
	if err := g.restoreMembers(t); err != nil {
		return err
	}
	for _, m := range g.machines {
		if err := m.ready(forWhole); err != nil {
			return err
		}
	}
	return nil
}

// forWhole is how long a group may take that has all it needs. It is no
// figure, only patience: the machine may be busy with other things.
const forWhole = 3 * time.Minute

var errNotWhole = errors.New("a node has no vote or no membership yet; the timeline says why")

// restoreMembers gives back membership, votes and duties that a fault took and
// could not give back.
func (g *group) restoreMembers(t *timeline) error {
	for end := time.Now().Add(forWhole); ; time.Sleep(500 * time.Millisecond) {
		ok, err := g.restoreMembership(t)
		if err == nil {
			for _, m := range g.machines {
				if m.isNobody() {
					ok, err = false, g.rejoin(m, t)
				}
			}
		}
		for _, m := range g.machines {
			if _, e := m.parlor("cluster", "resume", "--data-dir", m.dir); e != nil && !m.isNobody() {
				ok, err = false, e
			}
		}
		if ok && err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the members cannot be restored in %s: %w", forWhole, cmp.Or(err, errNotWhole))
		}
	}
}

// restoreMembership promotes who has lost his vote and removes whose folder is
// gone. It says whether nothing was to be done.
func (g *group) restoreMembership(t *timeline) (ok bool, err error) {
	var asked *machine
	var s status
	for _, m := range g.machines {
		own, e := m.status()
		switch {
		case e != nil:
			err = e
		case own.Role == "removed": // what it knows of the group is of before
			t.sayf("    %s was removed and is made anew", m.name)
			return false, g.renew(m, t)
		case len(own.Members) > 0 && own.Leader != "" && (asked == nil || own.Role == "leader"):
			asked, s = m, own // who has only just come knows of members that are gone
		}
	}
	if asked == nil {
		return false, err
	}
	exist := map[string]*machine{}
	for _, m := range g.machines {
		if id := m.id(); id != "" {
			exist[id] = m
		}
	}
	ok = true
	member := map[string]bool{}
	for _, m := range s.Members {
		member[m.ID] = true
		do := ""
		switch {
		case exist[m.ID] == nil:
			do = "remove"
		case !m.Voter:
			do = "promote"
		default:
			continue
		}
		ok = false
		if _, e := asked.parlor("cluster", do, m.ID, "--data-dir", asked.dir); e != nil {
			t.sayf("    %s %s: %v", do, m.Name, e)
		}
	}
	for id, m := range exist {
		if !member[id] { // it does not know yet that it was removed, or has not announced itself
			ok = false
			t.sayf("    %s is no member", m.name)
		}
	}
	return ok, nil
}

// happen does one fault and undoes it.
func (g *group) happen(f fault, lasts time.Duration, t *timeline) {
	if lasts <= 0 { // the fault before it took long
		return
	}
	target := g.machines[max(f.Target, 0)]
	who := target.name
	if f.Target == leads {
		target = g.leader()
		who = target.name + " (leads)"
	}
	others := []*machine{g.machines[(target.index+1)%3], g.machines[(target.index+2)%3]}
	said := func(err error) {
		if err != nil {
			t.sayf("    %s: %v", f.Kind, err)
		}
	}
	cut := func(cut bool, delay time.Duration, in, out bool, of ...*machine) {
		for _, o := range of {
			if in {
				said(g.net.set(link{o.index, target.index}, cut, delay))
			}
			if out {
				said(g.net.set(link{target.index, o.index}, cut, delay))
			}
		}
	}
	links := func(in, out bool, of ...*machine) {
		cut(true, 0, in, out, of...)
		time.Sleep(lasts)
		cut(false, 0, in, out, of...)
		if f.Reset {
			g.net.reset(target.index)
		}
	}
	operate := func(args ...string) {
		args = append(args, "--data-dir", target.dir)
		if _, err := target.parlor(args...); err != nil {
			t.sayf("    %s %s: %v", target.name, args[1], err)
		}
	}
	kill := func(of ...*machine) {
		for _, m := range of {
			m.kill()
		}
		time.Sleep(lasts)
		for _, m := range of {
			m.works.Lock() // a node that is reseeded while it is down has its folder in use
			err := g.start(m)
			m.works.Unlock()
			if err != nil {
				t.sayf("    starting %s: %v", m.name, err)
			}
		}
	}
	if missing := g.lacks(f.Kind, target); missing != "" {
		t.sayf("%-9s is left out: %s", f.Kind, missing)
		return
	}
	t.sayf("%-9s %s for %s%s", f.Kind, who, lasts.Round(time.Millisecond), f.details())
	switch f.Kind {
	case "kill":
		kill(target)
	case "kill-two":
		kill(target, others[f.Other])
	case "kill-all":
		g.clocks.Lock()
		defer g.clocks.Unlock()
		kill(g.machines...)
		g.elected()
	case "pause":
		target.signal(syscall.SIGSTOP)
		time.Sleep(lasts)
		target.signal(syscall.SIGCONT)
	case "isolate":
		links(true, true, others...)
	case "deaf": // it hears nobody, all hear it
		links(true, false, others...)
	case "mute": // it hears all, nobody hears it
		links(false, true, others...)
	case "pair": // two do not reach each other, the third reaches both
		links(true, true, others[f.Other])
	case "slow":
		cut(false, f.Delay, true, true, others...)
		time.Sleep(lasts)
		cut(false, 0, true, true, others...)
	case "transfer":
		operate("cluster", "transfer-leader")
	case "reseed": // the leader's state comes as a snapshot
		target.works.Lock()
		target.awaitAnswer() // one that is just starting would find its folder in use
		operate("cluster", "reseed")
		target.works.Unlock()
	case "demote":
		if s, err := target.status(); err == nil {
			operate("cluster", "demote", s.NodeID)
			time.Sleep(lasts)
			operate("cluster", "promote", s.NodeID)
		}
	case "full":
		g.full(target, lasts, t)
	case "hang":
		g.hang(target, lasts, t)
	case "sick":
		g.sick(lasts, f, t, target)
	case "sick-all":
		g.clocks.Lock()
		defer g.clocks.Unlock()
		g.sick(lasts, f, t, g.machines...)
		g.elected()
	case "slow-disk":
		target.drive.Slow(f.Delay)
		time.Sleep(lasts)
		target.drive.Slow(0)
	case "power":
		g.power(lasts, t, target)
	case "power-all":
		g.clocks.Lock()
		defer g.clocks.Unlock()
		g.power(lasts, t, g.machines...)
		g.elected()
	case "clock":
		g.clocks.Lock()
		defer g.clocks.Unlock()
		target.setClock(f.Step, t)
		time.Sleep(lasts)
		target.setClock(0, t)
	case "replace":
		g.replace(target, lasts, t)
	case "away": // so long that the log goes on without it, and it is sent a snapshot
		lasts = max(lasts, 10*time.Second)
		kill(target)
	case "drain":
		operate("cluster", "drain")
		time.Sleep(lasts)
		operate("cluster", "resume")
	}
	t.sayf("%-9s %s is over", f.Kind, who)
}

func (f fault) details() string {
	switch f.Kind {
	case "slow", "slow-disk":
		return fmt.Sprintf(", by %s", f.Delay)
	case "clock":
		return fmt.Sprintf(", by %+.0f s", f.Step.Seconds())
	}
	return ""
}

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
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
	Delay  time.Duration `json:"delay"`  // of slow
	Reset  bool          `json:"reset"`  // connections break when the link is whole again
}

const leads = -1

// kinds of faults, and how often each comes.
var kinds = []struct {
	kind   string
	weight int
}{
	{"kill", 6}, {"kill-two", 2}, {"kill-all", 1}, {"pause", 4}, {"isolate", 4}, {"deaf", 3}, {"mute", 3},
	{"pair", 3}, {"slow", 3}, {"transfer", 3}, {"reseed", 2}, {"demote", 2}, {"drain", 1},
}

// plan makes the faults of a round. It depends on the seed alone.
func plan(seed uint64, length time.Duration) []fault {
	rng := rand.New(rand.NewPCG(seed, 0x6368616f73))
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	var faults []fault
	between := func(a, b int) time.Duration { return time.Duration(a+rng.IntN(b-a)) * time.Millisecond }
	one := func(at time.Duration) fault {
		f := fault{At: at, Lasts: between(300, 7000), Target: rng.IntN(5) - 2, Other: rng.IntN(2), Delay: between(10, 250), Reset: rng.IntN(2) == 0}
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
	g.net.heal()
	for _, m := range g.machines {
		m.signal(syscall.SIGCONT)
		if err := g.start(m); err != nil {
			return err
		}
	}
	for _, m := range g.machines {
		if err := m.ready(time.Minute); err != nil {
			return err
		}
	}
	return g.restoreMembers(t)
}

// restoreMembers gives back votes and duties that a fault took and could not
// give back.
func (g *group) restoreMembers(t *timeline) error {
	var s status
	var err error
	for end := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		ok := false
		if s, err = g.machines[0].status(); err == nil {
			ok = true
			for _, m := range s.Members {
				if !m.Voter {
					ok = false
					_, err = g.machines[0].parlor("cluster", "promote", m.ID, "--data-dir", g.machines[0].dir)
				}
			}
		}
		for _, m := range g.machines {
			if _, e := m.parlor("cluster", "resume", "--data-dir", m.dir); e != nil {
				ok, err = false, e
			}
		}
		if ok {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the members cannot be restored: %w", err)
		}
	}
}

// happen does one fault and undoes it.
func (g *group) happen(f fault, lasts time.Duration, t *timeline) {
	target := g.machines[max(f.Target, 0)]
	who := target.name
	if f.Target == leads {
		target = g.leader()
		who = target.name + " (leads)"
	}
	others := []*machine{g.machines[(target.index+1)%3], g.machines[(target.index+2)%3]}
	cut := func(cut bool, delay time.Duration, in, out bool, of ...*machine) {
		for _, o := range of {
			if in {
				g.net.set(link{o.index, target.index}, cut, delay)
			}
			if out {
				g.net.set(link{target.index, o.index}, cut, delay)
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
			if err := g.start(m); err != nil {
				t.sayf("    starting %s: %v", m.name, err)
			}
		}
	}
	t.sayf("%-9s %s for %s", f.Kind, who, lasts.Round(time.Millisecond))
	switch f.Kind {
	case "kill":
		kill(target)
	case "kill-two":
		kill(target, others[f.Other])
	case "kill-all":
		kill(g.machines...)
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
		operate("cluster", "reseed")
	case "demote":
		if s, err := target.status(); err == nil {
			operate("cluster", "demote", s.NodeID)
			time.Sleep(lasts)
			operate("cluster", "promote", s.NodeID)
		}
	case "drain":
		operate("cluster", "drain")
		time.Sleep(lasts)
		operate("cluster", "resume")
	}
	t.sayf("%-9s %s is over", f.Kind, who)
}

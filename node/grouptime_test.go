package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// clocks are the clocks of a group's machines, by the name of their folder.
type clocks map[string]*machineClock

func (c clocks) tune(o *Options) {
	name := filepath.Base(o.Dir)
	if c[name] == nil {
		c[name] = &machineClock{}
	}
	o.wall = c[name].now
}

// lead has a member lead the group.
func (g *group) lead(m *Node) {
	g.t.Helper()
	g.wait(m.opt.Name+" to lead", func() bool {
		if m.IsLeader() {
			return true
		}
		_ = m.TransferLeader(g.t.Context(), m.NodeID()) // leaders come and go on a slow machine
		return m.IsLeader()
	})
}

// off is how far the group's time is from the real one, as the leader's state
// machine has it.
func (g *group) off() time.Duration {
	g.t.Helper()
	return time.Until(time.UnixMilli(g.do(g.members[g.leader()], "NOW").Int))
}

// Somebody sets a machine's clock by an hour, and later its node leads: nothing
// in the state may get an hour older by that.
func TestANewLeaderTakesUpTheGroupsTime(t *testing.T) {
	c := clocks{}
	g := form(t, 3, c.tune)
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		m := g.members[g.follower()]
		g.wait("it to know the time", func() bool { _, ok := m.readTime.known(); return ok })
		c[m.opt.Name].set(step)
		g.lead(m)
		if off := g.off(); off.Abs() > time.Minute {
			t.Errorf("with a leader whose clock is %v off the group's time is off by %v", step, off)
		}
		c[m.opt.Name].set(0)
	}
}

// The others know the time when a node that was just started comes to lead.
func TestALeaderThatWasJustStartedAsksForTheTime(t *testing.T) {
	c := clocks{}
	g := form(t, 3, c.tune)
	m := g.members[g.follower()]
	c[m.opt.Name].set(time.Hour)
	m.readTime.heard.Store(false) // as after a start
	m.takeUpTime(1 << 40)         // a term that it will never have
	if off := time.Until(time.UnixMilli(m.clock.now())); off.Abs() > time.Minute {
		t.Errorf("it takes up a time that is off by %v", off)
	}
}

// All were off, and one of three clocks is wrong since.
func TestTheMiddleClockCountsWhenAllWereOff(t *testing.T) {
	c := clocks{}
	g := form(t, 3, c.tune)
	dirs := g.dirs()
	for i := range g.members {
		g.kill(i)
	}
	c["m1"].set(time.Hour)
	for i, dir := range dirs {
		g.restart(i, dir)
	}
	g.lead(g.members[1])
	if off := g.off(); off.Abs() > time.Minute {
		t.Errorf("the group's time is off by %v", off)
	}
}

// Asking takes time where one of the others is down, and the group's time is
// not behind by that.
func TestAskingForTheTimeTakesNoTimeAway(t *testing.T) {
	g := form(t, 3, nil)
	f := g.follower()
	id := g.members[f].NodeID()
	g.kill(f)
	m := g.members[g.leader()]
	silent, err := net.Listen("tcp", "127.0.0.1:0") // a machine that takes connections and says nothing
	must(t, err)
	defer silent.Close()
	m.book.announce(id, silent.Addr().String())
	for _, o := range g.members {
		if o != nil {
			o.readTime.heard.Store(false) // as after a start
		}
	}
	began := time.Now()
	m.takeUpTime(1 << 40)
	took := time.Since(began)
	if off := time.Until(time.UnixMilli(m.clock.now())); off < -askForTime/2 {
		t.Errorf("asking took %v, and the time is off by %v", took, off)
	}
}

func TestMembersAgreeOnTheTime(t *testing.T) {
	for _, c := range []struct {
		name string
		told []toldTime
		want int64
	}{
		{"alone", []toldTime{{0, 5}}, 5},
		{"two clocks: the earlier", []toldTime{{0, 3600}, {0, 5}}, 5},
		{"three clocks: the middle one", []toldTime{{0, 3600}, {0, 5}, {0, 6}}, 6},
		{"one is behind", []toldTime{{0, -3600}, {0, 5}, {0, 6}}, 5},
		{"one knows", []toldTime{{0, 3600}, {7, 99}, {0, 6}}, 7},
		{"two know", []toldTime{{8, 3600}, {7, 99}, {0, 6}}, 8},
	} {
		if got := agreeOnTime(c.told); got != c.want {
			t.Errorf("%s: %d, not %d", c.name, got, c.want)
		}
	}
}

// A node was away while nothing was written. Whoever has read at the leader and
// then reads there is not in the past: what has expired stays so.
func TestReadersHaveTheLeadersTimeEverywhere(t *testing.T) {
	g := form(t, 3, nil)
	i := g.follower()
	dir := g.members[i].opt.Dir
	g.do(g.members[g.leader()], "SET", "k", "v")
	g.kill(i)
	time.Sleep(300 * time.Millisecond) // that the restarted one knows nothing of
	g.restart(i, dir)
	must(t, g.members[i].WaitReady(t.Context()))
	now := func(m *Node) (ms int64) {
		must(t, m.ReadIndex(t.Context()))
		must(t, m.View(func(tx *keyspace.Tx) error { ms = tx.Now(); return nil }))
		return ms
	}
	last := int64(0)
	for range 50 {
		for _, m := range g.members {
			ms := now(m)
			if ms < last {
				t.Fatalf("%s reads at %d, and somebody before read at %d", m.opt.Name, ms, last)
			}
			last = ms
		}
	}
}

// The first entries of a reign must not have the time of another one, or none.
func TestALeaderWritesNothingBeforeItKnowsTheTime(t *testing.T) {
	c := newLeaderClock(slog.New(slog.DiscardHandler), time.Now)
	c.start(4, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	lost := make(chan error, 1)
	go func() { lost <- c.await(ctx, 5) }()
	cancel()
	if err := <-lost; !errors.Is(err, context.Canceled) {
		t.Errorf("a leader of term 5 writes with the time of term 4: %v", err)
	}
	knows := make(chan error, 1)
	go func() { knows <- c.await(t.Context(), 5) }()
	c.start(5, 2000)
	if err := <-knows; err != nil {
		t.Error(err)
	}
}

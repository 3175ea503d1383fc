package node

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// shortLog keeps next to nothing of the log behind a checkpoint.
func shortLog(o *Options) { o.Limits.LogEntries = 1 }

// fill writes enough that the log is cut at the next checkpoint.
func (g *group) fill(m *Node, n int) {
	g.t.Helper()
	for range n {
		g.do(m, "INCR", "filled")
	}
}

func TestANewMemberBeginsWithASnapshot(t *testing.T) {
	t.Parallel()
	g := form(t, 1, shortLog)
	g.fill(g.members[0], 50)
	g.members[0].checkpoint()
	if first, err := g.members[0].logs.FirstIndex(); err != nil || first < 40 {
		t.Fatalf("the log still begins at %d (%v)", first, err)
	}
	fresh := g.join()
	g.waitVoters(2)
	if fresh.db.Stats().Epoch != 1 {
		t.Error("no snapshot was installed")
	}
	must(t, fresh.ReadIndex(t.Context()))
	if got := get(t, fresh, "filled"); got != "50" {
		t.Errorf("the new member reads %q", got)
	}
	g.do(fresh, "INCR", "filled")
	g.converge()
}

func TestAMemberThatWasAwayTooLongIsSentASnapshot(t *testing.T) {
	t.Parallel()
	g := form(t, 3, shortLog)
	f := g.follower()
	dir := g.members[f].opt.Dir
	g.do(g.members[f], "INCR", "filled")
	g.kill(f)
	others := []*Node{g.members[(f+1)%3], g.members[(f+2)%3]}
	g.fill(others[0], 30)
	for _, m := range others {
		m.checkpoint()
	}
	g.fill(others[1], 10)      // and some log above it
	for i := range g.members { // entries that were cut off cannot be read after that
		if m := g.members[i]; m != nil {
			g.kill(i)
			g.restart(i, m.opt.Dir)
		}
	}

	g.restart(f, dir)
	heard := make(chan []string, 1000)
	cancel := g.members[f].Watch(func(touched []string) { heard <- touched })
	defer cancel()
	must(t, g.members[f].WaitReady(t.Context()))
	g.converge()
	if epoch := g.members[f].db.Stats().Epoch; epoch != 1 {
		t.Errorf("%d snapshots were installed", epoch)
	}
	g.wait("a watcher to be told that anything may have changed", func() bool {
		select {
		case touched := <-heard:
			return touched == nil
		default:
			return false
		}
	})
	if got := get(t, g.members[f], "filled"); got != "41" {
		t.Errorf("it reads %q", got)
	}
	g.do(g.members[f], "INCR", "filled")
	g.converge()
}

func TestAGroupSurvivesARestartOfAll(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	g.fill(g.members[0], 5)
	g.members[1].checkpoint()
	g.fill(g.members[1], 5)
	dirs := make([]string, 3)
	for i, m := range g.members {
		dirs[i] = m.opt.Dir
		if i == 1 { // one in good order, the others not
			must(t, m.Close(t.Context()))
			g.members[i] = nil
			continue
		}
		g.kill(i)
	}
	for i, dir := range dirs {
		g.restart(i, dir)
	}
	for _, m := range g.members {
		must(t, m.WaitReady(t.Context()))
		if got := get(t, m, "filled"); got != "10" {
			t.Errorf("member %s reads %q", m.opt.Name, got)
		}
	}
	g.do(g.members[2], "INCR", "filled")
	g.converge()
}

func TestALeaderThatClosesHandsOverAndChecksIn(t *testing.T) {
	t.Parallel()
	// Nobody would stand for election by himself while this test waits.
	g := form(t, 3, func(o *Options) {
		o.Timing.Heartbeat, o.Timing.Election, o.Timing.LeaderLease = time.Minute, time.Minute, time.Minute
	})
	l := g.leader()
	leader, dir := g.members[l], g.members[l].opt.Dir
	g.fill(leader, 20)
	must(t, leader.Close(t.Context()))
	g.members[l] = nil
	if _, err := try(t.Context(), leader, "SET", "too", "late"); !errors.Is(err, command.ErrClosing) {
		t.Errorf("a closed member answered %v", err)
	}
	g.leader()
	o := g.options(dir)
	o.Cluster = ""
	again, err := Open(o)
	must(t, err)
	if st, _ := again.db.Checkpointed(); get(t, again, "filled") != "20" {
		t.Errorf("the checkpoint at %d does not hold what was written", st.Index)
	}
	must(t, again.Start(t.Context()))
	g.members[l] = again
	g.converge()
}

func TestABrokenWayToTheLeaderLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	l := g.leader()
	leader, follower := g.members[l], g.members[(l+1)%3]
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	counts := make([]int, 20)
	for c := range counts {
		clients.Go(func() {
			for ctx.Err() == nil {
				r, err := try(t.Context(), follower, "INCR", "c"+strconv.Itoa(c))
				if err != nil {
					t.Errorf("INCR: %v", err)
					return
				}
				if counts[c]++; r.Int != int64(counts[c]) {
					t.Errorf("increment %d was answered %d", counts[c], r.Int)
					return
				}
			}
		})
	}
	for range 15 {
		before := follower.Applied()
		g.wait("progress", func() bool { return follower.Applied() > before+3 })
		leader.port.hangUp(protoWrites)
	}
	stop()
	clients.Wait()
	for c, n := range counts {
		if got := get(t, follower, "c"+strconv.Itoa(c)); got != strconv.Itoa(n) {
			t.Errorf("counter %d is %s after %d increments", c, got, n)
		}
	}
	g.converge()
}

func TestWithoutAMajorityNothingIsAnswered(t *testing.T) {
	t.Parallel()
	g := form(t, 3, func(o *Options) { o.Timing.Propose = 0 })
	l := g.leader()
	leader := g.members[l]
	g.kill((l + 1) % 3)
	g.kill((l + 2) % 3)
	g.wait("the leader to step down", func() bool { return !leader.IsLeader() && leader.Leader() == "" })
	ctx, cancel := context.WithCancel(t.Context())
	type result struct{ write, read error }
	done := make(chan result)
	go func() {
		_, werr := try(ctx, leader, "SET", "x", "1")
		done <- result{werr, leader.ReadIndex(ctx)}
	}()
	g.wait("the write to wait", func() bool { count, _ := leader.pending.load(); return count == 1 })
	cancel()
	r := <-done
	if !errors.Is(r.write, command.ErrNoLeader) || !errors.Is(r.read, command.ErrNoLeader) {
		t.Errorf("without a majority a write got %v and a read %v", r.write, r.read)
	}
	var told *command.Error
	if !errors.As(r.read, &told) || told.Code != "CLUSTERDOWN" || !strings.Contains(told.Message, "this read cannot be confirmed") {
		t.Errorf("a reader is told %v", told)
	}
}

func TestACommandThatNobodyKnowsDoesNotReachTheLog(t *testing.T) {
	t.Parallel()
	g := form(t, 1, nil)
	m := g.members[0]
	before := m.raft.LastIndex()
	for _, req := range []command.Request{
		{}, {Commands: []command.Args{{}}}, {Commands: []command.Args{command.New("NO.SUCH", "x")}},
	} {
		r := m.Propose(t.Context(), []command.Request{req})[0]
		wantCode(t, r.Err, "ERR")
	}
	if m.raft.LastIndex() != before {
		t.Error("the log has grown")
	}
}

func TestDutiesFollowTheLeadership(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	began, ended := make(chan string, 100), make(chan string, 100)
	for _, m := range g.members {
		m.RunAsLeader(func(ctx context.Context) {
			began <- m.NodeID()
			<-ctx.Done()
			ended <- m.NodeID()
		})
	}
	first := g.members[g.leader()].NodeID()
	if got := <-began; got != first {
		t.Fatalf("it began at %s, %s leads", got, first)
	}
	heir := g.members[g.follower()].NodeID()
	must(t, g.members[0].TransferLeader(t.Context(), heir))
	if got := <-ended; got != first {
		t.Errorf("it ended at %s", got)
	}
	if got := <-began; got != heir {
		t.Errorf("it began at %s, not at the heir", got)
	}
}

// What one tick leaves is not left to the next look, which may be far away.
func TestTicksFollowEachOtherWhileMuchIsDue(t *testing.T) {
	t.Parallel()
	g := form(t, 1, func(o *Options) {
		o.Tick = command.New("INCR", "ticks")
		o.Timing.Tick = time.Hour
		o.Due = func(tx *keyspace.Tx) bool {
			v, _, _ := tx.Get([]byte("ticks"))
			return len(v) == 0 || v[0] < '5'
		}
	})
	g.wait("five ticks", func() bool { return get(t, g.members[0], "ticks") == "5" })
}

func TestTheClockTicksWhileSomethingIsDue(t *testing.T) {
	t.Parallel()
	g := form(t, 3, func(o *Options) { o.Tick = command.New("INCR", "ticks") })
	g.wait("two ticks", func() bool {
		n, _ := strconv.Atoi(get(t, g.members[0], "ticks"))
		return n >= 2
	})
}

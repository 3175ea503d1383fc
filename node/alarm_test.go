package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// fakeDisks are the members' disks, each as large and as full as a test wants.
type fakeDisks struct {
	mu   sync.Mutex
	free map[string]uint64 // by name of the data folder
}

const fakeTotal = 100 << 30

func (d *fakeDisks) set(m *Node, free uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free[filepath.Base(m.opt.Dir)] = free
}

func (d *fakeDisks) of(path string) Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, free := range d.free {
		if strings.HasSuffix(path, "/"+name) || strings.Contains(path, "/"+name+"/") {
			return Disk{Total: fakeTotal, Free: free}
		}
	}
	return Disk{Total: fakeTotal, Free: fakeTotal / 2}
}

func formOnDisks(t *testing.T) (*group, *fakeDisks) {
	d := &fakeDisks{free: map[string]uint64{}}
	g := form(t, 3, func(o *Options) {
		o.disk = d.of
		o.Limits.DiskFree = 10 << 30
		o.Timing.Forgive, o.Timing.Calm = 300*time.Millisecond, 50*time.Millisecond
	})
	return g, d
}

// alarmed waits until all members know of so many alarms.
func (g *group) alarmed(n int) {
	g.t.Helper()
	g.wait("everybody to know of the alarms", func() bool {
		for _, m := range g.members {
			if m != nil && len(m.Alarms()) != n {
				return false
			}
		}
		return true
	})
}

// The disk of one member fills up. The whole group takes nothing more, over a
// change of leader too, but lets people remove things, and it goes on by itself
// once there is room, not a moment before there is some to spare.
func TestAFullDiskMakesTheGroupTakeOnlyWhatMakesRoom(t *testing.T) {
	t.Parallel()
	g, disks := formOnDisks(t)
	full := g.members[g.follower()]
	g.do(full, "SET", "x", "1")
	disks.set(full, 9<<30)
	g.alarmed(1)
	for _, m := range g.members {
		a := m.Alarms()[0]
		if a.Member != full.NodeID() || !strings.Contains(a.Reason, "9.0 GB left") && !strings.Contains(a.Reason, "9 GB left") || a.Since.IsZero() {
			t.Errorf("the alarm is %+v", a)
		}
		if _, err := try(t.Context(), m, "SET", "y", "1"); !errors.Is(err, command.ErrNoSpace) {
			t.Errorf("a write is answered %v", err)
		}
		g.do(m, "HSET", "system:learners", "nobody", "1") // what the group writes for itself
		g.do(m, "HDEL", "system:learners", "nobody")
	}
	// Of one call, what makes room is carried out; of one request, all or nothing.
	set, del := command.New("SET", "y", "1"), command.New("DEL", "x")
	results := full.Propose(t.Context(), []command.Request{
		{Commands: []command.Args{set}}, {Commands: []command.Args{del, set}}, {Commands: []command.Args{del}},
	})
	if !errors.Is(results[0].Err, command.ErrNoSpace) || !errors.Is(results[1].Err, command.ErrNoSpace) || results[2].Err != nil || results[2].Replies[0].Int != 1 {
		t.Errorf("a write, one with a removal, and a removal are answered %+v", results)
	}
	if got := get(t, full, "x") + get(t, full, "y"); got != "" {
		t.Errorf("there is %q", got)
	}
	must(t, full.ReadIndex(t.Context()))
	if s := full.Status(t.Context()); len(s.Alarms) != 1 || memberIn(s, full.NodeID()).Alarm == "" {
		t.Errorf("status tells %+v", s.Alarms)
	}

	must(t, ask(t, full, DoTransfer, full.NodeID()))
	g.wait("the full one to lead", full.IsLeader)
	if _, err := try(t.Context(), full, "SET", "y", "1"); !errors.Is(err, command.ErrNoSpace) {
		t.Errorf("with another leader a write is answered %v", err)
	}

	disks.set(full, 14<<30) // enough, but with nothing to spare
	for range 3 {
		full.watchRoom(t.Context())
	}
	g.alarmed(1)
	disks.set(full, 20<<30)
	g.alarmed(0)
	g.do(full, "SET", "y", "1")
	g.converge()
}

// A member with a full disk dies: the group goes on without it, as it would
// without any other. When it comes back it says again that it is full.
func TestTheAlarmOfADeadMemberEnds(t *testing.T) {
	t.Parallel()
	g, disks := formOnDisks(t)
	f := g.follower()
	dir := g.members[f].opt.Dir
	disks.set(g.members[f], 1<<30)
	g.alarmed(1)
	g.kill(f)
	g.alarmed(0)
	g.do(g.members[g.leader()], "SET", "x", "1")
	g.restart(f, dir)
	g.alarmed(1)
}

// A member with a full disk is removed: that is what an operator may do who
// cannot make room there.
func TestTheAlarmOfARemovedMemberEnds(t *testing.T) {
	t.Parallel()
	g, disks := formOnDisks(t)
	f := g.follower()
	leader := g.members[g.leader()]
	disks.set(g.members[f], 1<<30)
	g.alarmed(1)
	if err := leader.Remove(t.Context(), g.members[f].NodeID(), true); err != nil {
		wantCode(t, err, CodeRemoved) // the leader changed, and the next one had finished it
	}
	g.members[f] = nil
	g.alarmed(0)
	g.do(leader, "SET", "x", "1")
}

// The table outgrows its quota; removing rows, and a checkpoint that makes
// their pages free, end it.
func TestTheQuotaOfTheTable(t *testing.T) {
	t.Parallel()
	g := form(t, 1, func(o *Options) {
		o.Limits.TableQuota, o.Limits.DiskFree = 4<<20, -1
		o.Timing.Calm = 50 * time.Millisecond
	})
	m := g.members[0]
	value := strings.Repeat("x", 1<<20)
	refused := false
	for i := 0; i < 100 && !refused; i++ {
		_, err := try(t.Context(), m, "SET", "large"+string(rune('a'+i)), value)
		refused = errors.Is(err, command.ErrNoSpace)
		m.watchRoom(t.Context())
	}
	if !refused || !strings.Contains(m.Alarms()[0].Reason, "its quota is 4 MB") {
		t.Fatalf("refused %v, alarms %v", refused, m.Alarms())
	}
	for i := range 100 {
		g.do(m, "DEL", "large"+string(rune('a'+i)))
	}
	g.wait("the pages to be free", func() bool {
		m.checkpoint()
		return len(m.Alarms()) == 0
	})
	g.do(m, "SET", "small", "x")
}

// What is too little: by hand, by share, with free pages of the table, with
// several disks.
func TestHowMuchRoomIsTooLittle(t *testing.T) {
	t.Parallel()
	const mb, gb = 1 << 20, 1 << 30
	disk := func(total, free uint64) usage {
		return usage{disks: []diskUse{{Disk: Disk{Total: total, Free: free}, path: "data", hasTable: true}}}
	}
	pages := disk(100*gb, gb)
	pages.reusable = 2 * gb
	noLog := disk(100*gb, 400*mb) // the log cannot use the table's pages
	noLog.reusable = 50 * gb
	own := disk(10*gb, gb+700*mb) // the log has still to grow to what is kept of it
	own.disks[0].coming = 768 * mb
	two := disk(100*gb, 50*gb)
	two.disks = append(two.disks, diskUse{Disk: Disk{Total: gb, Free: 50 * mb}, path: "log"})
	for _, c := range []struct {
		name   string
		limits Limits
		u      usage
		raised bool
		low    bool
	}{
		{"a large disk", Limits{}, disk(100*gb, 3*gb), false, false},
		{"a large disk, nearly full", Limits{}, disk(100*gb, 2*gb-1), false, true},
		{"a large disk with hardly more", Limits{}, disk(100*gb, 2*gb+900*mb), true, true},
		{"a large disk with more", Limits{}, disk(100*gb, 3*gb), true, false},
		{"a small disk", Limits{}, disk(256*mb, 30*mb), false, false},
		{"a small disk, nearly full", Limits{}, disk(256*mb, 20*mb), false, true},
		{"by hand", Limits{DiskFree: 10 * gb}, disk(100*gb, 9*gb), false, true},
		{"whatever", Limits{DiskFree: -1}, disk(100*gb, 0), false, false},
		{"free pages of the table", Limits{}, pages, false, false},
		{"free pages alone", Limits{}, noLog, false, true},
		{"what the member itself takes", Limits{}, own, false, true},
		{"another disk for the log", Limits{}, two, false, true},
		{"a system that does not tell", Limits{}, disk(0, 0), false, false},
		{"within the quota", Limits{TableQuota: gb}, usage{table: gb}, false, false},
		{"beyond the quota", Limits{TableQuota: gb}, usage{table: gb + 1}, false, true},
		{"hardly below the quota", Limits{TableQuota: gb}, usage{table: gb - 10*mb}, true, true},
		{"below the quota", Limits{TableQuota: gb}, usage{table: 900 * mb}, true, false},
	} {
		if reason := c.limits.judge(c.u, c.raised); (reason != "") != c.low {
			t.Errorf("%s: %q", c.name, reason)
		}
	}
}

// What a member keeps fits its disk and its memory, and what somebody has set
// stays.
func TestTheBudgetOfAMachine(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	const memory = 4 << 30
	small := Limits{}.budget(256*mb, memory).withDefaults()
	if small.LogBytes != 32*mb || small.OverlayBytes != 4*mb || small.segmentBytes != 4*mb {
		t.Errorf("on 256 MB: %+v", small)
	}
	if uint64(3*small.segmentBytes)+uint64(small.OverlayBytes) > small.need(256*mb) {
		t.Errorf("less is to be free (%d) than a checkpoint and the log may take", small.need(256*mb))
	}
	large, unknown := Limits{}.budget(1<<40, memory).withDefaults(), Limits{}.budget(0, 0).withDefaults()
	if large != unknown {
		t.Errorf("a large disk gives %+v, the defaults are %+v", large, unknown)
	}
	if set := (Limits{LogBytes: 5, OverlayBytes: 6}).budget(256*mb, memory); set.LogBytes != 5 || set.OverlayBytes != 6 {
		t.Errorf("what was set became %+v", set)
	}
	for memory, rows := range map[uint64]int64{1 << 30: 64 * mb, 8 << 30: 128 * mb, 64 << 30: 256 * mb} {
		if l := (Limits{}).budget(1<<40, memory).withDefaults(); l.OverlayBytes != rows || l.OverlayHard != min(4*rows, 512*mb) {
			t.Errorf("with %d GB of memory, %d MB of rows wait for a checkpoint, %d at most", memory>>30, l.OverlayBytes>>20, l.OverlayHard>>20)
		}
	}
}

// The ballast is made where there is room, really takes some, is not made anew
// before there is room again, and never on a disk that is short of it.
func TestTheBallast(t *testing.T) {
	t.Parallel()
	disks := &fakeDisks{free: map[string]uint64{}}
	g := form(t, 1, func(o *Options) {
		o.disk = disks.of
		o.Limits.DiskFree, o.Limits.Ballast, o.Limits.OverlayBytes = 1<<30, 3<<20, 64<<20
	})
	m := g.members[0]
	path := filepath.Join(m.opt.Dir, BallastFile)
	g.wait("the ballast", func() bool { return m.ballast() == 3<<20 })
	if blocks := blocksOf(t, path); blocks < 3<<20 {
		t.Errorf("it takes %d bytes of the disk", blocks)
	}
	disks.set(m, 2<<30) // not enough for it
	must(t, os.Remove(path))
	for range 3 {
		m.watchRoom(t.Context())
	}
	if m.ballast() != 0 {
		t.Error("it was made on a disk that is short of room")
	}
	disks.set(m, 3<<30)
	g.wait("the ballast again", func() bool { return m.ballast() == 3<<20 })
}

func memberIn(s Status, id string) Member {
	for _, m := range s.Members {
		if m.ID == id {
			return m
		}
	}
	return Member{}
}

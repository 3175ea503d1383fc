package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// copyOf copies a member's folder, as cp does while the member runs or not.
func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(dir))
	must(t, copyFolder(dir, to))
	return to
}

// denials catches what a member says that must not go on, by its folder.
type denials struct{ said chan string }

func (d *denials) tune(o *Options) { o.Fatal = func(err error) { d.said <- err.Error() } }

// startAt runs the member of a folder at an address of its own.
func (g *group) startAt(dir, cluster string) *Node {
	g.t.Helper()
	o := g.options(dir)
	o.Cluster = cluster
	n, err := Open(o)
	must(g.t, err)
	g.t.Cleanup(func() { n.stop() })
	must(g.t, n.Start(g.t.Context()))
	return n
}

// refusesCopy expects that a folder is not used any more.
func (g *group) refusesCopy(dir, says string) {
	g.t.Helper()
	o := g.options(dir)
	o.Cluster = ""
	_, err := Open(o)
	wantCode(g.t, err, CodeCopied)
	if !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "parlor reset") {
		g.t.Errorf("the folder is refused with %q, want %q", err, says)
	}
}

// Somebody clones a virtual machine: both run, with one id.
func TestTwoProcessesOnCopiesOfAFolderAreNoticed(t *testing.T) {
	t.Parallel()
	d := &denials{said: make(chan string, 10)}
	g := form(t, 3, nil)
	g.do(g.members[0], "SET", "x", "1")
	for _, i := range []int{g.follower(), g.leader()} {
		dir := copyOf(t, g.members[i].opt.Dir)
		address := g.members[i].Cluster()
		g.tune = d.tune
		twin := g.startAt(dir, "127.0.0.1:0")
		g.tune = nil
		if why := <-d.said; !strings.Contains(why, "COPIED another process runs as member "+twin.NodeID()+", at "+address) {
			t.Errorf("the copy says %q", why)
		}
		twin.stop()
		g.refusesCopy(dir, "another process runs as member")
		for _, m := range g.members {
			if got := m.addresses()[twin.NodeID()]; got != address {
				t.Errorf("member %s finds the original at %q, it is at %q", m.opt.Name, got, address)
			}
		}
	}
	g.do(g.members[g.follower()], "SET", "x", "2")
	g.converge()
}

// Somebody puts a folder back that was copied before the member's last start:
// it has forgotten what the member acknowledged since then.
func TestAnOlderCopyOfAFolderDoesNotComeBack(t *testing.T) {
	t.Parallel()
	d := &denials{said: make(chan string, 10)}
	g := form(t, 3, nil)
	l := g.leader()
	f, other := (l+1)%3, (l+2)%3
	dir := g.members[f].opt.Dir
	must(t, g.members[f].Close(t.Context()))
	older := copyOf(t, dir)
	g.restart(f, dir)
	must(t, g.members[f].WaitReady(t.Context()))
	g.wait("the third one to know of the start", func() bool {
		id, err := Inspect(g.members[other].opt.Dir)
		return err == nil && id.Starts[g.members[f].NodeID()] == g.members[f].pending.boot
	})

	// The third one is away; what is acknowledged now is on two.
	third := g.members[other].opt.Dir
	g.kill(other)
	g.do(g.members[l], "SET", "acknowledged", "yes")
	g.kill(f)
	leader := g.members[l].opt.Dir
	g.kill(l)

	// The old copy and the third one are a majority that knows nothing of it.
	g.restart(other, third)
	g.tune = d.tune
	twin := g.startAt(older, "")
	g.tune = nil
	if why := <-d.said; !strings.Contains(why, "COPIED the group knows of a later start") {
		t.Errorf("the copy says %q", why)
	}
	if twin.IsLeader() || g.members[other].IsLeader() {
		t.Error("the copy has made a majority")
	}
	twin.stop()
	g.refusesCopy(older, "it is an older copy")

	// The folder itself is welcome, without any leader.
	g.restart(f, dir)
	must(t, g.members[f].WaitReady(t.Context()))
	if got := get(t, g.members[f], "acknowledged"); got != "yes" {
		t.Errorf("what was acknowledged is %q", got)
	}
	g.restart(l, leader)
	must(t, g.members[l].WaitReady(t.Context()))
	g.converge()
}

// A copy that was made while the member ran knows of its last start; the
// leader still knows better.
func TestAFolderWhoseLogHasLostSomethingDoesNotComeBack(t *testing.T) {
	t.Parallel()
	d := &denials{said: make(chan string, 10)}
	g := form(t, 3, settledTime)
	f := g.follower()
	dir := g.members[f].opt.Dir
	g.converge()
	older := copyOf(t, dir)
	for range 20 {
		g.do(g.members[f], "INCR", "n")
	}
	g.converge()
	address := g.members[f].Cluster()
	g.kill(f)
	tune := g.tune
	g.tune = func(o *Options) { tune(o); d.tune(o) }
	twin := g.startAt(older, address)
	g.tune = tune
	if why := <-d.said; !strings.Contains(why, "COPIED this member has acknowledged log entry") {
		t.Errorf("the copy says %q", why)
	}
	twin.stop()
	g.refusesCopy(older, "has acknowledged log entry")
	g.restart(f, dir)
	must(t, g.members[f].WaitReady(t.Context()))
	g.do(g.members[f], "INCR", "n")
	g.converge()
}

// settledTime has no elections of their own accord.
func settledTime(o *Options) {
	o.Timing.Heartbeat, o.Timing.Election, o.Timing.LeaderLease = 10*time.Second, 10*time.Second, 10*time.Second
}

// Folders of the first versions know the number of their last start only.
func TestStartsAreNumbered(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, bootFile), encodeNumbers([]uint64{7}), 0o600))
	first, err := beginStart(dir)
	must(t, err)
	if len(first) != 2 || first[0] != 7 || first[1] < 1e18 {
		t.Fatalf("after a start by an older program: %v", first)
	}
	// The older program is there for a while again.
	later := first[1] + 1e12
	must(t, os.WriteFile(filepath.Join(dir, bootFile), encodeNumbers([]uint64{later}), 0o600))
	starts, err := beginStart(dir)
	must(t, err)
	if len(starts) != 4 || starts[2] != later || starts[3] != later+1 {
		t.Fatalf("after another one: %v", starts)
	}
	for range bootsKept {
		starts, err = beginStart(dir)
		must(t, err)
	}
	if len(starts) != bootsKept {
		t.Errorf("%d starts are kept", len(starts))
	}
	if now := starts[len(starts)-1]; !knowsStart(starts, now) || knowsStart(starts, now+1) || knowsStart(starts, starts[3]+1) && starts[4] != starts[3]+1 || !knowsStart(starts, 0) {
		t.Error("what a folder knows is wrong")
	}
	must(t, os.WriteFile(filepath.Join(dir, bootsFile), []byte("half"), 0o600))
	_, err = beginStart(dir)
	wantCode(t, err, CodeDamaged)
}

// What a leader knows of a follower's log ends with its term.
func TestWhatAFollowerAcknowledgedCountsForATerm(t *testing.T) {
	tr := newRaftTransport(nil, nil, nil)
	tr.peers["f"] = &follower{base: raft.AppendEntriesRequest{Term: 3}, matched: position{index: 9, term: 2}}
	if got := tr.acked("f", 3); got != 9 {
		t.Errorf("in its term it is %d", got)
	}
	if got := tr.acked("f", 4); got != 0 {
		t.Errorf("in the next one it is %d", got)
	}
	if got := tr.acked("g", 3); got != 0 {
		t.Errorf("of nobody it is %d", got)
	}
}

package node

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage/command"
)

// nextTable is the commands of a program that brings feature level 2: NEXT
// key, which writes the level that it was carried out at.
func nextTable() *command.Table {
	return command.NewTable([]command.Spec{{Name: "NEXT", Arity: 2, Flags: command.Write, Level: 2,
		Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
			return command.OK, c.Set(args[1], strconv.AppendInt(nil, int64(c.Level), 10))
		}}}, specs())
}

// programs is which members of a group run the newer program.
type programs struct {
	mu    sync.Mutex
	newer map[string]bool // by name
}

func (p *programs) install(name string, newer bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newer[name] = newer
}

func (p *programs) tune(o *Options) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o.Version = "1.0"
	if p.newer[o.Name] {
		o.Table, o.Version = nextTable(), "2.0"
	}
}

// upgrade restarts a member with the newer or the older program.
func (g *group) upgrade(p *programs, i int, newer bool) {
	g.t.Helper()
	dir := g.members[i].opt.Dir
	p.install(filepath.Base(dir), newer)
	must(g.t, g.members[i].Close(g.t.Context()))
	g.restart(i, dir)
	must(g.t, g.members[i].WaitReady(g.t.Context()))
}

func (g *group) finalize(m *Node) error {
	return m.Operate(g.t.Context(), Operation{Do: DoFinalize})
}

// wantOlder expects that a member's folder refuses the older program, and that
// nothing in the folder changes by that.
func (g *group) refusesOlder(p *programs, i int) {
	g.t.Helper()
	dir := g.members[i].opt.Dir
	g.wait("the level to be kept in the folder", func() bool {
		id, err := Inspect(dir)
		return err == nil && id.Level == 2
	})
	must(g.t, g.members[i].Close(g.t.Context()))
	g.members[i] = nil
	p.install(filepath.Base(dir), false)
	before := folderSum(g.t, dir)
	o := g.options(dir)
	o.Cluster = ""
	_, err := Open(o)
	wantCode(g.t, err, CodeNewer)
	if !strings.Contains(err.Error(), "feature level 2, this program (1.0) supports 1") {
		g.t.Errorf("it is refused with %q", err)
	}
	if folderSum(g.t, dir) != before {
		g.t.Error("the refused start has changed the folder")
	}
	p.install(filepath.Base(dir), true)
	g.restart(i, dir)
	must(g.t, g.members[i].WaitReady(g.t.Context()))
}

// folderSum tells whether a folder's files are as they were.
func folderSum(t testing.TB, dir string) string {
	t.Helper()
	var all strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		all.WriteString(path + "\x00" + string(b) + "\x00")
		return err
	}))
	return all.String()
}

func TestAnUpgradeOfThreeNodesIsFinalized(t *testing.T) {
	t.Parallel()
	p := &programs{newer: map[string]bool{}}
	g := form(t, 3, func(o *Options) { renewing(o); p.tune(o) })
	g.do(g.members[0], "SET", "x", "before")
	atLevel1, man := backupOf(t, g.members[0])
	if man.Level != 1 {
		t.Errorf("the backup says level %d", man.Level)
	}

	// One after the other, with one step back.
	g.upgrade(p, 0, true)
	g.upgrade(p, 1, true)
	_, err := try(t.Context(), g.members[0], "NEXT", "y")
	wantCode(t, err, "LEVEL")
	err = g.finalize(g.members[0])
	wantCode(t, err, CodeNotReady)
	if !strings.Contains(err.Error(), "(m2) runs program 1.0, which supports feature level 1") {
		t.Errorf("finalize is refused with %q", err)
	}
	g.upgrade(p, 1, false)
	g.do(g.members[1], "SET", "x", "rolled back")
	g.upgrade(p, 1, true)
	g.upgrade(p, 2, true)

	// Who does not answer might run anything.
	l := g.leader()
	away := (l + 1) % 3
	dir := g.members[away].opt.Dir
	g.kill(away)
	err = g.finalize(g.members[l])
	wantCode(t, err, CodeNotReady)
	if !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("finalize is refused with %q", err)
	}
	g.restart(away, dir)
	must(t, g.members[away].WaitReady(t.Context()))
	u := g.members[away].Upgrade(t.Context())
	if u.Level != 1 || u.Newest != 2 || !u.Ready || len(u.Members) != 3 || u.Members[0].Version != "2.0" {
		t.Errorf("before it is finalized: %+v", u)
	}
	_, err = try(t.Context(), g.members[2], "NEXT", "y")
	wantCode(t, err, "LEVEL")

	must(t, g.finalize(g.members[away]))
	must(t, g.finalize(g.members[l])) // once more is nothing
	for i, m := range g.members {
		must(t, m.ReadIndex(t.Context()))
		g.do(m, "NEXT", "y"+strconv.Itoa(i))
		if got := get(t, m, "y"+strconv.Itoa(i)); got != "2" {
			t.Errorf("the command was carried out at level %q", got)
		}
		if u := m.Upgrade(t.Context()); u.Level != 2 || u.Ready || len(u.Hinders) > 0 {
			t.Errorf("after it is finalized: %+v", u)
		}
	}
	g.converge()
	for i := range g.members {
		g.refusesOlder(p, i)
	}

	// A node with the older program cannot join, one with the newer can.
	fresh := filepath.Join(t.TempDir(), "m3")
	_, err = Join(t.Context(), g.options(fresh), g.members[0].Cluster(), g.token)
	wantCode(t, err, CodeNewer)
	if _, err := Inspect(fresh); err == nil {
		t.Error("the refused join has made a member")
	}
	p.install("m3", true)
	m3 := g.join()
	must(t, m3.WaitReady(t.Context()))
	if m3.Level() != 2 {
		t.Errorf("the new member is at level %d", m3.Level())
	}

	// The backup of before restores, and does not take the level back; one of
	// now is refused by the older program.
	if _, err := g.members[0].Restore(t.Context(), bytes.NewReader(atLevel1), RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, m := range g.members {
		must(t, m.ReadIndex(t.Context()))
		if got := get(t, m, "x"); got != "before" || m.Level() != 2 {
			t.Errorf("after the restore x is %q, the level %d", got, m.Level())
		}
	}
	g.do(g.members[1], "NEXT", "y")
	g.converge()
	atLevel2, man := backupOf(t, g.members[0])
	if man.Level != 2 {
		t.Errorf("the backup says level %d", man.Level)
	}
	_, _, err = restoreNew(t, g, atLevel2)
	wantCode(t, err, CodeNewer)
}

// A group that is not finalized yet refuses the backup of one that is; a new
// group has the newest level, and takes it.
func TestABackupOfAHigherLevelWaitsForFinalize(t *testing.T) {
	t.Parallel()
	p := &programs{newer: map[string]bool{"m0": true, "restored": true}}
	higher := form(t, 1, func(o *Options) { renewing(o); p.tune(o) })
	if level := higher.members[0].Level(); level != 2 {
		t.Fatalf("a new group is at level %d", level)
	}
	higher.do(higher.members[0], "NEXT", "y")
	file, _ := backupOf(t, higher.members[0])
	q := &programs{newer: map[string]bool{}}
	g := form(t, 1, func(o *Options) { renewing(o); q.tune(o) })
	g.do(g.members[0], "SET", "x", "kept")
	_, err := g.members[0].Restore(t.Context(), bytes.NewReader(file), RestoreOptions{Foreign: true})
	wantCode(t, err, CodeNewer)
	g.upgrade(q, 0, true)
	_, err = g.members[0].Restore(t.Context(), bytes.NewReader(file), RestoreOptions{Foreign: true})
	wantCode(t, err, CodeNewer)
	if !strings.Contains(err.Error(), "upgrade finalize") || get(t, g.members[0], "x") != "kept" {
		t.Errorf("it is refused with %q, x is %q", err, get(t, g.members[0], "x"))
	}
	must(t, g.finalize(g.members[0]))
	_, err = g.members[0].Restore(t.Context(), bytes.NewReader(file), RestoreOptions{Foreign: true})
	must(t, err)
	if got := get(t, g.members[0], "y"); got != "2" {
		t.Errorf("y is %q", got)
	}
	_, again, err := restoreNew(t, higher, file)
	must(t, err)
	if again.Level() != 2 {
		t.Errorf("the new group is at level %d", again.Level())
	}
}

// A member whose program is too old, whatever was asked before, meets the level
// in its log and stops there; the newer program goes on from that entry.
func TestAMemberStopsAtALevelThatItsProgramDoesNotHave(t *testing.T) {
	t.Parallel()
	p := &programs{newer: map[string]bool{}}
	said := make(chan string, 10)
	g := form(t, 3, func(o *Options) {
		p.tune(o)
		if o.Name == "m2" && o.Version == "1.0" {
			o.Fatal = func(err error) { said <- err.Error() }
		}
	})
	g.upgrade(p, 0, true)
	g.upgrade(p, 1, true)
	must(t, g.members[0].write(t.Context(), raiseLevel(2)))
	if why := <-said; !strings.Contains(why, "NEWER the group was raised to feature level 2") {
		t.Errorf("it says %q", why)
	}
	if level := g.members[2].Level(); level != 1 {
		t.Errorf("the member that stopped is at level %d", level)
	}
	dir := g.members[2].opt.Dir
	g.kill(2)
	must(t, g.members[1].ReadIndex(t.Context()))
	g.do(g.members[1], "NEXT", "y")
	p.install("m2", true)
	g.restart(2, dir)
	must(t, g.members[2].WaitReady(t.Context()))
	g.do(g.members[2], "NEXT", "z")
	if y, z := get(t, g.members[2], "y"), get(t, g.members[2], "z"); y != "2" || z != "2" {
		t.Errorf("it has carried the commands out at levels %q and %q", y, z)
	}
	g.converge()
}

// Who skips a version is told so.
func TestAProgramThatIsTooNewIsRefused(t *testing.T) {
	t.Parallel()
	var skipped atomic.Bool
	g := form(t, 1, func(o *Options) {
		if skipped.Load() {
			o.Table = o.Table.Supporting(command.LevelRange{Oldest: 2, Newest: 3})
		}
	})
	skipped.Store(true)
	_, err := Join(t.Context(), g.options(filepath.Join(t.TempDir(), "m1")), g.members[0].Cluster(), g.token)
	wantCode(t, err, CodeOlder)
	dir := g.members[0].opt.Dir
	must(t, g.members[0].Close(t.Context()))
	g.members[0] = nil
	o := g.options(dir)
	o.Cluster = ""
	_, err = Open(o)
	wantCode(t, err, CodeOlder)
	skipped.Store(false)
	g.restart(0, dir)
	must(t, g.members[0].WaitReady(t.Context()))
}

// The formats of entries follow the levels: whoever makes another one must
// tell from which level on it is written.
func TestEntriesAreOfTheFormatOfTheLevel(t *testing.T) {
	levels := command.Levels()
	for i, l := range levels {
		if l.Number != i+1 || l.Brought == "" {
			t.Errorf("level %d of the table is %+v", i+1, l)
		}
	}
	entry := raftfsm.EncodeParts(1, 1, 0, nil)
	if oldest := levels[table().Levels().Oldest-1]; entry[2] != oldest.Entries {
		t.Errorf("entries are of format %d, a group of level %d has format %d", entry[2], oldest.Number, oldest.Entries)
	}
}

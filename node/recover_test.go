package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// recoverAlone recovers the member of a folder.
func (g *group) recoverAlone(dir string, keep ...string) (Recovered, error) {
	o := g.options(dir)
	o.Cluster = ""
	return Recover(o, keep, dir+".saved")
}

func TestOneOfThreeIsLeftAndGoesOn(t *testing.T) {
	t.Parallel()
	g := form(t, 3, renewing)
	for i, m := range g.members {
		g.do(m, "SET", "by"+strconv.Itoa(i), "kept")
	}
	g.members[1].checkpoint() // so that some of it is in the table and some in the log
	g.do(g.members[1], "SET", "late", "kept")
	g.converge()
	dirs := make([]string, 3)
	ids := make([]string, 3)
	before := epochOf(g.members[1])
	for i, m := range g.members {
		dirs[i], ids[i] = m.opt.Dir, m.NodeID()
		g.kill(i)
	}

	r, err := g.recoverAlone(dirs[1])
	must(t, err)
	if len(r.Kept) != 1 || len(r.Dropped) != 2 || r.Kept[0].ID != ids[1] || r.NodeID != ids[1] {
		t.Errorf("it says %+v", r)
	}
	if _, err := Inspect(r.Saved); err != nil {
		t.Errorf("the copy of the data is none: %v", err)
	}
	g.restart(1, dirs[1])
	m := g.members[1]
	must(t, m.WaitReady(t.Context()))
	for _, key := range []string{"by0", "by1", "by2", "late"} {
		if got := get(t, m, key); got != "kept" {
			t.Errorf("%s is %q", key, got)
		}
	}
	if now := epochOf(m); now == before || now != r.Epoch {
		t.Errorf("the epoch is %q, it was %q, %q was announced", now, before, r.Epoch)
	}
	g.do(m, "SET", "new", "1")

	// The others come back after all: they are no members any more.
	o := g.options(dirs[0])
	o.Cluster = ""
	back, err := Open(o)
	must(t, err)
	must(t, back.Start(t.Context()))
	defer back.stop()
	g.wait("the lost member to learn that it is out", func() bool { return back.role() == "removed" })

	// Their machines serve again once they are reset.
	old, err := Reset(dirs[2])
	must(t, err)
	if old.NodeID != ids[2] {
		t.Errorf("reset says it was %s", old.NodeID)
	}
	token, err := m.CreateToken(t.Context(), 0, 0)
	must(t, err)
	joined, err := Join(t.Context(), g.options(dirs[2]), m.Cluster(), token)
	must(t, err)
	if joined.NodeID == ids[2] {
		t.Error("it joined under its old id")
	}
	g.restart(2, dirs[2])
	g.waitVoters(2)
	must(t, g.members[2].ReadIndex(t.Context()))
	if got := get(t, g.members[2], "new"); got != "1" {
		t.Errorf("the new member reads %q", got)
	}
	g.converge()
}

func TestAKeptMemberTakesTheRecoveredState(t *testing.T) {
	t.Parallel()
	g := form(t, 3, renewing)
	g.do(g.members[0], "SET", "x", "common")
	g.converge()
	l := g.leader()
	behind, ahead, lost := (l+1)%3, l, (l+2)%3
	dirs := map[int]string{behind: g.members[behind].opt.Dir, ahead: g.members[ahead].opt.Dir}
	aheadID := g.members[ahead].NodeID()
	g.kill(behind)
	// What follows, the member that will be recovered never hears of.
	for range 20 {
		g.do(g.members[ahead], "SET", "x", "only the others have this")
	}
	g.kill(lost)
	g.kill(ahead)

	r, err := g.recoverAlone(dirs[behind], aheadID[:8])
	must(t, err)
	if len(r.Kept) != 2 || len(r.Dropped) != 1 {
		t.Errorf("it says %+v", r)
	}
	g.restart(behind, dirs[behind])
	must(t, g.members[behind].WaitReady(t.Context()))
	g.do(g.members[behind], "SET", "y", "new")
	g.restart(ahead, dirs[ahead])
	g.waitVoters(2)
	must(t, g.members[ahead].ReadIndex(t.Context()))
	for _, m := range []*Node{g.members[ahead], g.members[behind]} {
		if x, y := get(t, m, "x"), get(t, m, "y"); x != "common" || y != "new" {
			t.Errorf("member %s reads x %q, y %q", m.opt.Name, x, y)
		}
	}
	g.converge()
	g.do(g.members[ahead], "INCR", "n")
	g.converge()
}

func TestWrongUseOfRecoverChangesNothing(t *testing.T) {
	t.Parallel()
	g := form(t, 1, renewing)
	m := g.members[0]
	dir := m.opt.Dir
	g.do(m, "SET", "x", "1")
	before := epochOf(m)

	_, err := g.recoverAlone(dir)
	wantCode(t, err, CodeLocked)
	_, err = Reset(dir)
	wantCode(t, err, CodeLocked)
	g.kill(0)
	_, err = g.recoverAlone(dir, "no-such-member")
	wantCode(t, err, CodeNotMember)
	must(t, os.Mkdir(dir+".saved", 0o700)) // as the attempt before has left no copy
	_, err = g.recoverAlone(dir)
	wantCode(t, err, CodeExists)
	_, err = g.recoverAlone(filepath.Join(t.TempDir(), "empty"))
	wantCode(t, err, CodeNotFormed)
	_, err = Reset(filepath.Join(t.TempDir(), "empty"))
	wantCode(t, err, CodeNotFormed)

	g.restart(0, dir)
	must(t, g.members[0].WaitReady(t.Context()))
	if got := get(t, g.members[0], "x"); got != "1" || epochOf(g.members[0]) != before {
		t.Errorf("x is %q, the epoch %q, it was %q", got, epochOf(g.members[0]), before)
	}
}

// TestRecoveringIsInterrupted: an attempt that was interrupted at its worst place, with
// the table written and the log still there, is no harm.
func TestRecoveringIsInterrupted(t *testing.T) {
	t.Parallel()
	g := form(t, 3, renewing)
	g.fill(g.members[0], 10)
	g.converge()
	dir, first := g.members[0].opt.Dir, ""
	for i := range g.members {
		g.kill(i)
	}
	before := filepath.Join(t.TempDir(), "before")
	must(t, copyFolder(dir, before))
	r, err := g.recoverAlone(dir)
	must(t, err)
	first = r.Epoch
	// The table of afterwards with the log of before.
	must(t, os.RemoveAll(filepath.Join(dir, logFolder)))
	must(t, copyFolder(filepath.Join(before, logFolder), filepath.Join(dir, logFolder)))
	g.restart(0, dir)
	must(t, g.members[0].WaitReady(t.Context()))
	if got := get(t, g.members[0], "filled"); got != "10" || epochOf(g.members[0]) != first {
		t.Errorf("it reads %q in epoch %q, not 10 in %q", got, epochOf(g.members[0]), first)
	}
	g.do(g.members[0], "INCR", "filled")
}

func TestAResetFolderKeepsWhatIsNotTheMembers(t *testing.T) {
	t.Parallel()
	g := form(t, 1, renewing)
	dir := g.members[0].opt.Dir
	g.kill(0)
	must(t, os.MkdirAll(filepath.Join(dir, "backups"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "backups", "b"), []byte("b"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, identityFile), []byte("{broken"), 0o600))
	_, err := Reset(dir)
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, "backups", "b")); err != nil {
		t.Errorf("a backup is gone: %v", err)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if !strings.Contains("backups "+lockFile, e.Name()) {
			t.Errorf("%s is still there", e.Name())
		}
	}
	_, err = Init(t.Context(), g.options(dir))
	must(t, err)
}

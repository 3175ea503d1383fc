package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// renewing lets a group begin a new history as the real one does.
func renewing(o *Options) {
	o.Renew = func(tx *keyspace.Tx, epoch string) error {
		_, err := tx.HSet([]byte(groupKey), []byte(epochField), []byte(epoch))
		return err
	}
}

// backupOf takes a backup at full speed.
func backupOf(t testing.TB, m *Node) ([]byte, Manifest) {
	t.Helper()
	var file bytes.Buffer
	man, err := m.Backup(t.Context(), &file, BackupOptions{Rate: -1})
	must(t, err)
	return file.Bytes(), man
}

func epochOf(m *Node) string { return string(m.field(groupKey, epochField)) }

func TestABackupFromAnyMemberHoldsWhatWasAcknowledgedAnywhere(t *testing.T) {
	t.Parallel()
	g := form(t, 3, renewing)
	for i := range g.members {
		g.do(g.members[(i+1)%3], "SET", "last", strconv.Itoa(i))
		file, man := backupOf(t, g.members[i])
		m, sum, err := CheckBackup(bytes.NewReader(file))
		must(t, err)
		if m != man || len(sum) != 64 || man.ClusterID != g.members[0].ClusterID() || man.NodeID != g.members[i].NodeID() {
			t.Errorf("the manifest is %+v, written was %+v", m, man)
		}
		_, restored, err := restoreNew(t, g, file)
		must(t, err)
		if got := get(t, restored, "last"); got != strconv.Itoa(i) {
			t.Errorf("member %d's backup has %q, acknowledged was %d", i, got, i)
		}
	}
}

// restoreNew starts a member of a new group with a backup's state.
func restoreNew(t testing.TB, g *group, file []byte) (Restored, *Node, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	_, r, err := RestoreNew(t.Context(), g.options(dir), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(file)), nil
	})
	if err != nil {
		if _, serr := os.Stat(dir); !errors.Is(serr, os.ErrNotExist) {
			t.Errorf("the refused restore has left something: %v", serr)
		}
		return r, nil, err
	}
	n := g.start(dir)
	t.Cleanup(func() { n.stop() })
	must(t, n.WaitReady(t.Context()))
	return r, n, nil
}

func TestARunningGroupGoesBackToABackup(t *testing.T) {
	t.Parallel()
	g := form(t, 3, renewing)
	g.do(g.members[0], "SET", "order", "as in the backup")
	g.do(g.members[1], "INCR", "n")
	file, man := backupOf(t, g.members[1])
	g.do(g.members[2], "SET", "order", "lost")
	g.do(g.members[2], "SET", "later", "lost too")
	for range 30 {
		g.do(g.members[2], "INCR", "n")
	}
	before, hashed := epochOf(g.members[0]), g.members[0].field(membersKey, g.members[2].NodeID())
	token, err := g.members[0].CreateToken(t.Context(), time.Hour, 0)
	must(t, err)

	// On a follower: it takes over the leadership for it.
	f := g.members[g.follower()]
	r, err := f.Restore(t.Context(), bytes.NewReader(file), RestoreOptions{})
	must(t, err)
	if r.From != man || r.Epoch == before || r.Index <= man.Index {
		t.Errorf("it says %+v", r)
	}
	for i, m := range g.members {
		must(t, m.ReadIndex(t.Context()))
		if got := get(t, m, "order"); got != "as in the backup" {
			t.Errorf("member %d reads %q", i, got)
		}
		if got := get(t, m, "later"); got != "" {
			t.Errorf("member %d still has what came after the backup", i)
		}
		if got := epochOf(m); got != r.Epoch {
			t.Errorf("member %d is in epoch %q, not %q", i, got, r.Epoch)
		}
		if got := g.do(m, "INCR", "n").Int; got != int64(i+2) {
			t.Errorf("member %d increments to %d", i, got)
		}
	}
	g.converge()

	// The group is the same one: its members, its authority, its tokens.
	if got := g.members[0].field(membersKey, g.members[2].NodeID()); !bytes.Equal(got, hashed) {
		t.Errorf("a member is now %s", got)
	}
	g.token = token
	g.join()
	g.waitVoters(4)
	g.converge()

	// Nothing stays behind, and a restart finds the restored state.
	for i := range g.members {
		dir := g.members[i].opt.Dir
		g.kill(i)
		if left, _ := filepath.Glob(filepath.Join(dir, "restor*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		g.restart(i, dir)
	}
	must(t, g.members[0].WaitReady(t.Context()))
	if got := get(t, g.members[0], "order"); got != "as in the backup" {
		t.Errorf("after a restart: %q", got)
	}
}

func TestWritesGoOnWhileAGroupIsRestored(t *testing.T) {
	t.Parallel()
	g := form(t, 3, renewing)
	g.do(g.members[0], "INCR", "n")
	file, _ := backupOf(t, g.members[0])
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var mu sync.Mutex
	answered := map[string]int64{} // the last answer, by counter
	for c := range 6 {
		clients.Go(func() {
			key := "c" + strconv.Itoa(c)
			for ctx.Err() == nil {
				r, err := try(t.Context(), g.members[c%3], "INCR", key)
				switch {
				case err == nil:
					mu.Lock()
					answered[key] = r.Int
					mu.Unlock()
				case !strings.HasPrefix(err.Error(), "UNKNOWN"):
					t.Errorf("a write during the restore: %v", err)
					return
				}
			}
		})
	}
	g.wait("writes", func() bool { mu.Lock(); defer mu.Unlock(); return len(answered) == 6 })
	for range 3 {
		_, err := g.members[g.leader()].Restore(t.Context(), bytes.NewReader(file), RestoreOptions{})
		must(t, err)
		mu.Lock()
		clear(answered)
		mu.Unlock()
		g.wait("writes after the restore", func() bool { mu.Lock(); defer mu.Unlock(); return len(answered) == 6 })
	}
	stop()
	clients.Wait()
	must(t, g.members[0].ReadIndex(t.Context()))
	for key, n := range answered {
		if got := get(t, g.members[0], key); got != strconv.FormatInt(n, 10) {
			t.Errorf("%s is %s, acknowledged was %d", key, got, n)
		}
	}
	g.converge()
}

func TestABadBackupChangesNothing(t *testing.T) {
	t.Parallel()
	g := form(t, 1, renewing)
	m := g.members[0]
	g.do(m, "SET", "x", "before")
	file, _ := backupOf(t, m)
	g.do(m, "SET", "x", "now")
	other := form(t, 1, renewing)
	foreign, _ := backupOf(t, other.members[0])

	untouched := func(what string, err error, codes ...string) {
		t.Helper()
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(strings.Join(codes, " "), e.Code) {
			t.Errorf("%s: %v, want a refusal with %v", what, err, codes)
		}
		if got := get(t, m, "x"); got != "now" {
			t.Fatalf("%s has changed the state: %q", what, got)
		}
		if left, _ := filepath.Glob(filepath.Join(m.opt.Dir, stagingPrefix+"*")); len(left) > 0 {
			t.Errorf("%s has left %v", what, left)
		}
	}
	restore := func(b []byte, o RestoreOptions) error {
		_, err := m.Restore(t.Context(), bytes.NewReader(b), o)
		return err
	}
	untouched("nothing", restore(nil, RestoreOptions{}), CodeNotBackup)
	untouched("a text", restore([]byte(strings.Repeat("hello ", 100)), RestoreOptions{}), CodeNotBackup)
	step := len(file)/40 + 1
	for at := 20; at < len(file); at += step {
		untouched("half a file", restore(file[:at], RestoreOptions{}), CodeDamaged)
		bad := bytes.Clone(file)
		bad[at] ^= 0x10
		untouched("a turned bit", restore(bad, RestoreOptions{Foreign: true}), CodeDamaged)
	}
	untouched("a foreign backup", restore(foreign, RestoreOptions{}), CodeWrongCluster)
	if err := restore(foreign, RestoreOptions{Foreign: true}); err != nil {
		t.Errorf("a foreign backup that is meant: %v", err)
	}
	if got := get(t, m, "x"); got != "" {
		t.Errorf("after the foreign backup: %q", got)
	}
	if _, _, err := restoreNew(t, g, file[:len(file)-1]); err == nil {
		t.Error("a new group was made of half a file")
	}
	if _, _, err := RestoreNew(t.Context(), g.options(m.opt.Dir), nil); err == nil {
		t.Error("a member's folder was taken for an empty one")
	} else {
		wantCode(t, err, CodeFormed)
	}
}

// TestABackupOfOtherRowsThanItSaysIsRefused: every checksum is right, the rows are
// not what the manifest speaks of.
func TestABackupOfOtherRowsThanItSaysIsRefused(t *testing.T) {
	t.Parallel()
	g := form(t, 1, renewing)
	m := g.members[0]
	g.do(m, "SET", "x", "now")
	b, err := m.startBackup(t.Context(), BackupOptions{})
	must(t, err)
	defer b.stream.Close()
	b.manifest.StateHash = strings.Repeat("1", 32)
	var file bytes.Buffer
	must(t, writeBackup(&file, b))
	_, err = m.Restore(t.Context(), &file, RestoreOptions{})
	wantCode(t, err, CodeDamaged)
}

func TestOneRestoreAtATime(t *testing.T) {
	t.Parallel()
	g := form(t, 1, renewing)
	g.members[0].restoring.Lock()
	_, err := g.members[0].Restore(t.Context(), strings.NewReader(""), RestoreOptions{})
	wantCode(t, err, CodeBusy)
}

func TestABackupWithoutAMajorityMustBeMeant(t *testing.T) {
	t.Parallel()
	g := form(t, 3, func(o *Options) { renewing(o); o.Timing.Propose = 300 * time.Millisecond })
	g.do(g.members[0], "SET", "x", "1")
	g.converge()
	l := g.leader()
	left := g.members[l]
	g.kill((l + 1) % 3)
	g.kill((l + 2) % 3)
	g.wait("the leader to step down", func() bool { return !left.IsLeader() })
	if _, err := left.Backup(t.Context(), io.Discard, BackupOptions{Rate: -1}); err == nil {
		t.Error("a backup that may lack something was taken unasked")
	}
	var file bytes.Buffer
	_, err := left.Backup(t.Context(), &file, BackupOptions{Rate: -1, Stale: true})
	must(t, err)
	_, n, err := restoreNew(t, g, file.Bytes())
	must(t, err)
	if got := get(t, n, "x"); got != "1" {
		t.Errorf("the stale backup has %q", got)
	}
}

func TestAMemberThatDiedInTheMiddleOfARestoreTakesTheOthersState(t *testing.T) {
	t.Parallel()
	g := form(t, 3, renewing)
	g.do(g.members[0], "SET", "x", "1")
	g.converge()
	dir := g.members[2].opt.Dir
	g.members[2].checkpoint()
	must(t, g.members[2].markRestoring("an epoch that its table is not of"))
	g.kill(2)
	g.restart(2, dir) // it died before anything was replaced
	must(t, g.members[2].WaitReady(t.Context()))
	must(t, g.members[2].markRestoring(epochOf(g.members[2])))
	g.kill(2)
	o := g.options(dir)
	o.Cluster = ""
	_, err := Open(o)
	wantCode(t, err, CodeUnsettled)

	// The way that it names.
	old, err := Reset(dir)
	must(t, err)
	must(t, g.members[0].Remove(t.Context(), old.NodeID, false))
	token, err := g.members[0].CreateToken(t.Context(), 0, 0)
	must(t, err)
	_, err = Join(t.Context(), g.options(dir), g.members[g.leader()].Cluster(), token)
	must(t, err)
	g.restart(2, dir)
	g.waitVoters(3)
	g.converge()

	// If there are no others any more.
	dir = g.members[1].opt.Dir
	g.members[1].checkpoint()
	must(t, g.members[1].markRestoring(epochOf(g.members[1])))
	for i := range g.members {
		g.kill(i)
	}
	_, err = g.recoverAlone(dir)
	must(t, err)
	g.restart(1, dir)
	must(t, g.members[1].WaitReady(t.Context()))
	if got := get(t, g.members[1], "x"); got != "1" {
		t.Errorf("it reads %q", got)
	}

	// Alone, it was the group all the time.
	g.members[1].checkpoint()
	must(t, g.members[1].markRestoring(epochOf(g.members[1])))
	g.kill(1)
	g.restart(1, dir)
	must(t, g.members[1].WaitReady(t.Context()))
	if _, err := os.Stat(filepath.Join(dir, restoringFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark is still there: %v", err)
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/parlorchat/parlor/node"
)

// previousFile names the commit of the program that a group may be upgraded
// from: of the release before, or while there is none, of the oldest state of
// the source that data is still kept for.
const previousFile = "testdata/previous"

// programs are three programs of three ages.
type programs struct {
	previous string // of the commit in previousFile
	now      string // of this source
	next     string // of this source, with one feature level more
}

// TestMixedVersions takes groups of three through upgrades, one node after the
// other in every order, with steps back, under load: from the program before
// to this one, and from this one to the next, which is then finalized.
func TestMixedVersions(t *testing.T) {
	if os.Getenv("PARLOR_MIXED") == "" {
		t.Skip("takes minutes: make mixed")
	}
	p := buildPrograms(t)
	t.Run("from the program before to this one", func(t *testing.T) {
		g := startPrograms(t, p.previous)
		l := newMixedLoad(t, g)
		file := filepath.Join(g.dir, "previous.parlor")
		g.upgradeInAllOrders(t, l, p.previous, p.now, func(int) {
			if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
				g.mustParlor(t, g.withProgram(p.previous), "backup", file)
			}
		})
		l.checkAll()
		backupRestores(t, p.now, file, 1)
		backupRestores(t, p.next, file, 2)
		again := filepath.Join(g.dir, "now.parlor")
		g.mustParlor(t, g.members[0], "backup", again)
		backupRestores(t, p.previous, again, 1)
	})
	t.Run("from this one to the next", func(t *testing.T) {
		g := startPrograms(t, p.now)
		l := newMixedLoad(t, g)
		file := filepath.Join(g.dir, "before.parlor")
		g.mustParlor(t, g.members[0], "backup", file)
		g.upgradeInAllOrders(t, l, p.now, p.next, func(newer int) {
			g.refusesTheNextLevel(t, p)
			if newer < len(g.members) {
				g.refused(t, g.withProgram(p.next), "NOTREADY the group stays at feature level 1", "cluster", "upgrade", "finalize")
			}
		})
		l.start()
		g.mustParlor(t, g.members[1], "cluster", "upgrade", "finalize")
		g.hasTheNextLevel(t)
		l.goOn(500)
		l.stop()
		l.checkAll()
		g.agree(t)
		for i, m := range g.members {
			g.endGently(t, m)
			for program, says := range map[string]string{p.now: "NEWER the group is at feature level 2", p.previous: "written by a newer version (format 2)"} {
				m.program = program
				g.refused(t, m, says, "serve")
			}
			m.program = p.next
			g.mustStart(t, m)
			g.set(t, m, "TEST.NEXT", fmt.Sprintf("after:%d", i), "x")
		}
		g.agree(t)
		l.checkAll()

		// The old backup is still good, and takes nobody back.
		l.alice.hangUp()
		l.ann.hangUp()
		g.mustParlor(t, g.members[0], "restore", file, "--yes")
		g.hasTheNextLevel(t)
		g.agree(t)
	})
}

// buildPrograms builds all three.
func buildPrograms(t *testing.T) programs {
	t.Helper()
	commit, err := os.ReadFile(previousFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := programs{previous: filepath.Join(dir, "previous"), now: filepath.Join(dir, "now"), next: filepath.Join(dir, "next")}
	source := filepath.Join(dir, "source")
	unpackCommit(t, strings.TrimSpace(string(commit)), source)
	goBuild(t, source, p.previous)
	goBuild(t, "../..", p.now)
	goBuild(t, "../..", p.next, "-tags", "parlornext", "-ldflags", "-X main.version=next")
	return p
}

// unpackCommit puts the source of a commit into a folder, and skips the test if
// this copy of the source has no history.
func unpackCommit(t *testing.T, commit, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("the program of before cannot be built: there is no git")
	}
	var archive, stderr bytes.Buffer
	git := exec.Command("git", "-C", "../..", "archive", "--format=tar", commit)
	git.Stdout, git.Stderr = &archive, &stderr
	if err := git.Run(); err != nil {
		t.Skipf("the program of before cannot be built, commit %s is not in this copy of the source: %v: %s", commit, err, stderr.String())
	}
	tar := exec.Command("tar", "-x", "-C", dir)
	tar.Stdin = &archive
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("unpacking commit %s: %v: %s", commit, err, out)
	}
}

func goBuild(t *testing.T, source, program string, flags ...string) {
	t.Helper()
	cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-o", program}, flags...), "./cmd/parlor")...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "PWD=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building in %s: %v: %s", source, err, out)
	}
}

// startPrograms starts a group of three that runs a program.
func startPrograms(t *testing.T, program string) *localGroup {
	t.Helper()
	g := newLocalGroup(t.TempDir(), 3, freePorts(t, 3))
	g.seed = filepath.Join(g.dir, "seed.json")
	g.serveArgs = []string{"--rate-limits=false"}
	if err := writeSeed(g.seed, demoSite()); err != nil {
		t.Fatal(err)
	}
	for _, m := range g.members {
		m.program = program
	}
	t.Cleanup(func() {
		g.stop(20 * time.Second)
		if t.Failed() {
			for _, m := range g.members {
				t.Logf("the end of the log of %s:\n%s", m.name, tail(m.logFile, 30))
			}
		}
	})
	if err := g.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g
}

// upgradeInAllOrders upgrades all nodes in each order of them and, but for the
// last time, takes them all back. In the middle the first one is taken back
// alone. mixed is called after each step with how many are newer.
func (g *localGroup) upgradeInAllOrders(t *testing.T, l *mixedLoad, old, newer string, mixed func(newer int)) {
	t.Helper()
	orders := [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {2, 0, 1}, {0, 2, 1}, {1, 2, 0}}
	step := 0
	change := func(i int, program string) {
		m := g.members[i]
		if step++; step%3 == 0 { // every third has no chance to leave in good order
			if err := m.kill(); err != nil {
				t.Fatal(err)
			}
		} else {
			g.endGently(t, m)
		}
		m.program = program
		g.mustStart(t, m)
		l.goOn(50)
	}
	for round, order := range orders {
		l.start()
		change(order[0], newer)
		mixed(1)
		change(order[1], newer)
		mixed(2)
		change(order[0], old)
		change(order[0], newer)
		change(order[2], newer)
		mixed(3)
		l.stop()
		l.checkAll()
		g.agree(t)
		t.Logf("order %v: %d values and %d messages so far", order, l.values(), l.said)
		if round < len(orders)-1 {
			l.start()
			for _, i := range order {
				change(i, old)
			}
			l.stop()
			g.agree(t)
		}
	}
}

// endGently stops a node in good order.
func (g *localGroup) endGently(t *testing.T, m *member) {
	t.Helper()
	process, exited := m.process()
	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-exited:
	case <-time.After(60 * time.Second):
		t.Fatalf("%s does not stop:\n%s", m.name, tail(m.logFile, 20))
	}
}

// withProgram is a node that runs a program now.
func (g *localGroup) withProgram(program string) *member {
	for _, m := range g.members {
		if m.program == program {
			return m
		}
	}
	return g.members[0]
}

// mustParlor runs a command on a node's data folder.
func (g *localGroup) mustParlor(t *testing.T, m *member, args ...string) {
	t.Helper()
	if _, err := m.parlor(t.Context(), append(args, "--data-dir", m.dataDir)...); err != nil {
		t.Fatal(err)
	}
}

// refused runs a command on a node's data folder that has to fail.
func (g *localGroup) refused(t *testing.T, m *member, says string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	out, err := m.parlor(ctx, append(args, "--data-dir", m.dataDir)...)
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%v on %s with %s: %v (it prints %q), want it to be refused with %q", args, m.name, filepath.Base(m.program), err, out, says)
	}
}

// refusesTheNextLevel: no node carries out what only the next program knows.
func (g *localGroup) refusesTheNextLevel(t *testing.T, p programs) {
	t.Helper()
	for _, m := range g.members {
		client := redis.NewClient(&redis.Options{Addr: m.resp})
		err := client.Do(t.Context(), "TEST.NEXT", "too-early", "x").Err()
		_ = client.Close()
		want := "ERR unknown command"
		if m.program == p.next {
			want = "LEVEL 'TEST.NEXT' came with feature level 2, the group is at 1"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("before finalize %s answers %v, want %q", m.name, err, want)
		}
	}
}

// hasTheNextLevel: every node does.
func (g *localGroup) hasTheNextLevel(t *testing.T) {
	t.Helper()
	for _, m := range g.members {
		client := redis.NewClient(&redis.Options{Addr: m.resp})
		eventually(t, m.name+" has heard of the level", func() bool {
			level, err := client.Do(t.Context(), "TEST.NEXT", "in-time", "x").Int()
			return err == nil && level == 2
		})
		_ = client.Close()
	}
}

func (g *localGroup) set(t *testing.T, m *member, args ...any) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: m.resp})
	defer func() { _ = client.Close() }()
	if err := client.Do(t.Context(), args...).Err(); err != nil {
		t.Errorf("%v on %s: %v", args, m.name, err)
	}
}

// agree waits until all nodes have the same state at the same place of the log.
func (g *localGroup) agree(t *testing.T) {
	t.Helper()
	eventually(t, "the nodes have one state", func() bool {
		out, err := g.members[0].parlor(t.Context(), "status", "--json", "--data-dir", g.members[0].dataDir)
		if err != nil {
			return false
		}
		var s node.Status
		if err := json.Unmarshal(out, &s); err != nil {
			t.Fatal(err)
		}
		for _, m := range s.Members {
			switch first := s.Members[0]; {
			case m.Quarantine != "":
				t.Fatalf("%s is in quarantine: %s", m.Name, m.Quarantine)
			case !m.Reachable || m.Applied != first.Applied:
				return false
			case m.StateHash != first.StateHash:
				t.Fatalf("the states differ at %d: %s", m.Applied, out)
			}
		}
		return len(s.Members) == len(g.members)
	})
}

// backupRestores makes a new group of a backup with a program, and expects it
// to work at a level.
func backupRestores(t *testing.T, program, file string, level int) {
	t.Helper()
	g := newLocalGroup(t.TempDir(), 1, freePorts(t, 1))
	m := g.members[0]
	m.program = program
	if _, err := m.parlor(t.Context(), "restore", file, "--data-dir", m.dataDir, "--cluster", m.cluster, "--http", m.http, "--resp", m.resp); err != nil {
		t.Fatalf("restoring %s with %s: %v", filepath.Base(file), filepath.Base(program), err)
	}
	t.Cleanup(func() { _ = m.kill() })
	g.mustStart(t, m)
	client := redis.NewClient(&redis.Options{Addr: m.resp})
	defer func() { _ = client.Close() }()
	if v, err := client.Get(t.Context(), "mixed:0:0").Result(); err != nil || v != "value 0" {
		t.Errorf("%s restored with %s has %q (%v)", filepath.Base(file), filepath.Base(program), v, err)
	}
	if level > 1 {
		g.hasTheNextLevel(t)
	}
	g.endGently(t, m)
	g.mustParlor(t, m, "storage", "check")
}

// mixedLoad is clients that write all the while: each has a node that it
// prefers, and goes to another one when that does not answer.
type mixedLoad struct {
	t          *testing.T
	g          *localGroup
	alice, ann *person
	chat       string

	mu      sync.Mutex
	written [3]int // values acknowledged, by client
	said    int    // messages acknowledged, of each of the two
	cancel  context.CancelFunc
	clients sync.WaitGroup
}

func newMixedLoad(t *testing.T, g *localGroup) *mixedLoad {
	t.Helper()
	l := &mixedLoad{t: t, g: g, cancel: func() {}}
	l.alice, l.ann, l.chat = g.inConversation(t)
	var at struct {
		Epoch string `json:"epoch"`
		Seq   uint64 `json:"seq"`
	}
	l.ann.call("GET", "/v1/visitor/sync?wait=0", nil, &at)
	l.ann.epoch, l.ann.since = at.Epoch, at.Seq
	l.ann.listen("/v1/visitor/socket")
	for _, p := range []*person{l.alice, l.ann} {
		go func() {
			for range p.inbox { // nobody reads: the messages are checked at the end
			}
		}()
	}
	l.start()
	l.goOn(100)
	l.stop()
	t.Cleanup(l.stop)
	return l
}

func (l *mixedLoad) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	for c := range l.written {
		l.clients.Go(func() { l.write(ctx, c) })
	}
	l.clients.Go(func() { l.talk(ctx) })
}

func (l *mixedLoad) stop() {
	l.cancel()
	l.clients.Wait()
}

// goOn waits until each client has got some more acknowledged.
func (l *mixedLoad) goOn(values int) {
	l.t.Helper()
	l.mu.Lock()
	written, said := l.written, l.said
	l.mu.Unlock()
	eventually(l.t, "the load goes on", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for c, before := range written {
			if l.written[c] < before+values {
				return false
			}
		}
		return l.said > said
	})
}

func (l *mixedLoad) values() (n int) {
	for _, w := range l.written {
		n += w
	}
	return n
}

// write sets one key after the other, each until it is acknowledged.
func (l *mixedLoad) write(ctx context.Context, c int) {
	var clients []*redis.Client
	for _, m := range l.g.members {
		client := redis.NewClient(&redis.Options{Addr: m.resp, MaxRetries: -1, DialTimeout: time.Second})
		defer func() { _ = client.Close() }()
		clients = append(clients, client)
	}
	for at := c; ctx.Err() == nil; {
		i := l.written[c] // only this client changes it
		err := clients[at%3].Set(context.Background(), fmt.Sprintf("mixed:%d:%d", c, i), fmt.Sprintf("value %d", i), 0).Err()
		if err != nil {
			at++
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if at != c && i%100 == 0 {
			at = c // back to its own
		}
		l.mu.Lock()
		l.written[c]++
		l.mu.Unlock()
	}
}

// talk has alice and Ann say something in turn, each until it is acknowledged.
func (l *mixedLoad) talk(ctx context.Context) {
	for ctx.Err() == nil {
		text := fmt.Sprintf("%d", l.said) // only this client changes it
		l.ann.call("POST", "/v1/visitor/messages", map[string]string{"client_id": text, "text": text}, nil)
		l.alice.call("POST", "/v1/chats/"+l.chat+"/messages", map[string]string{"client_id": text, "text": text}, nil)
		l.mu.Lock()
		l.said++
		l.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

// checkAll reads on every node all that was acknowledged. The load must stand
// still.
func (l *mixedLoad) checkAll() {
	l.t.Helper()
	for _, m := range l.g.members {
		client := redis.NewClient(&redis.Options{Addr: m.resp})
		for c, n := range l.written {
			for from := 0; from < n; from += 1000 {
				var keys []string
				for i := from; i < min(n, from+1000); i++ {
					keys = append(keys, fmt.Sprintf("mixed:%d:%d", c, i))
				}
				values, err := client.MGet(l.t.Context(), keys...).Result()
				if err != nil {
					l.t.Fatal(err)
				}
				for i, v := range values {
					if want := fmt.Sprintf("value %d", from+i); v != want {
						l.t.Fatalf("%s has %v for %s, acknowledged was %q", m.name, v, keys[i], want)
					}
				}
			}
		}
		_ = client.Close()
		l.checkChat(m)
	}
}

func (l *mixedLoad) checkChat(m *member) {
	l.t.Helper()
	seen := map[string]int{}
	for i, msg := range allMessages(l.alice, m.http, l.chat) {
		if msg.Seq != uint64(i+1) {
			l.t.Fatalf("%s has message %d after %d", m.name, msg.Seq, i)
		}
		if msg.From.Type == "agent" || msg.From.Type == "visitor" {
			seen[msg.From.Type+msg.Text]++
		}
	}
	for i := range l.said {
		for _, from := range []string{"agent", "visitor"} {
			if n := seen[fmt.Sprintf("%s%d", from, i)]; n != 1 {
				l.t.Fatalf("%s has message %d of the %s %d times", m.name, i, from, n)
			}
		}
	}
}

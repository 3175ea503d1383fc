package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// What the visitor of the story says and is called: nothing of it may be in a
// debug bundle.
const (
	visitorName  = "Zebulon Quill"
	visitorEmail = "zebulon@quill.example"
	visitorText  = "my order number is 4711-0815"
)

// TestAnOperatorsBadDay: at noon, under load, a backup is taken; the building
// burns down; on new machines a new group begins with the backup and the people
// go on talking. And then two of three machines turn out to be lost for good.
func TestAnOperatorsBadDay(t *testing.T) {
	g := startGroup(t, 3, demoSite())
	alice, ann, chat := g.inConversation(t)
	say := func(p *person, path, text string) {
		p.call("POST", path, map[string]string{"client_id": text, "text": text}, nil)
	}
	say(ann, "/v1/visitor/messages", visitorText)
	say(alice, "/v1/chats/"+chat+"/messages", "before noon")
	alice.hangUp()

	load := startLoad(t, g.members[1].resp)
	eventually(t, "the load runs", func() bool { return load.acked.Load() > 100 })
	atLeast := load.acked.Load()
	noon := filepath.Join(g.dir, "noon.parlor")
	if _, err := parlor(t.Context(), "backup", noon, "--data-dir", g.members[2].dataDir); err != nil {
		t.Fatal(err)
	}
	atMost := load.acked.Load() + 1 // one may be under way
	say(ann, "/v1/visitor/messages", "after noon")
	var before struct {
		Epoch string `json:"epoch"`
		Seq   uint64 `json:"seq"`
	}
	ann.call("GET", "/v1/visitor/sync?wait=0", nil, &before)
	g.bundleTellsNothing(t, ann, alice)
	g.metricsAreDocumented(t)

	for _, m := range g.members {
		if err := m.kill(); err != nil {
			t.Fatal(err)
		}
	}
	load.stop()

	// A new machine, a new group.
	fresh := g.newMember(t, "fresh")
	out, err := parlor(t.Context(), "restore", noon, "--data-dir", fresh.dataDir,
		"--cluster", fresh.cluster, "--http", fresh.http, "--resp", fresh.resp)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "a new one, with the state of group") {
		t.Errorf("restore says:\n%s", out)
	}
	g.mustStart(t, fresh)

	// Ann's window resumes where it was, and is told to begin anew.
	ann.hosts, alice.hosts = []string{fresh.http}, []string{fresh.http}
	var resumed struct {
		Epoch string `json:"epoch"`
		Reset bool   `json:"reset"`
	}
	ann.call("GET", fmt.Sprintf("/v1/visitor/sync?wait=0&epoch=%s&since=%d", before.Epoch, before.Seq), nil, &resumed)
	if !resumed.Reset || resumed.Epoch == before.Epoch {
		t.Errorf("Ann resumes with %+v, the epoch was %s", resumed, before.Epoch)
	}
	say(ann, "/v1/visitor/messages", "here I am again")
	say(alice, "/v1/chats/"+chat+"/messages", "me too")
	var texts []string
	for _, m := range allMessages(alice, fresh.http, chat) {
		texts = append(texts, m.Text)
	}
	if want := []string{visitorText, "before noon", "here I am again", "me too"}; strings.Join(texts, "|") != strings.Join(want, "|") {
		t.Errorf("the chat is %q, want %q", texts, want)
	}
	if n := counterAt(t, fresh.resp); n < atLeast || n > atMost {
		t.Errorf("the counter is %d in the backup; acknowledged were %d before it and %d after it", n, atLeast, atMost)
	}
	if err := fresh.kill(); err != nil {
		t.Fatal(err)
	}

	g.twoOfThreeAreLost(t, load.acked.Load())
}

// twoOfThreeAreLost goes on in the old building, where one machine has survived.
func (g *localGroup) twoOfThreeAreLost(t *testing.T, acked int64) {
	t.Helper()
	survivor := g.members[0]
	g.mustStart(t, survivor, g.members[1])
	if n := counterAt(t, survivor.resp); n < acked {
		t.Fatalf("the counter is %d, acknowledged were %d", n, acked)
	}
	write := redis.NewClient(&redis.Options{Addr: g.members[1].resp})
	if err := write.Set(t.Context(), "written", "at the end", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	waitSame(t, survivor, "written", "at the end")
	if err := g.members[1].kill(); err != nil {
		t.Fatal(err)
	}
	for _, m := range g.members[1:] {
		if err := os.RemoveAll(m.dataDir); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the survivor says that it cannot be used", func() bool {
		resp, err := http.Get("http://" + survivor.http + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	if err := survivor.kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := parlor(t.Context(), "recover", "--data-dir", survivor.dataDir); err == nil {
		t.Fatal("recovered without being told that data may be lost")
	}
	if _, err := parlor(t.Context(), "recover", "--data-dir", survivor.dataDir, "--yes-i-accept-data-loss"); err != nil {
		t.Fatal(err)
	}
	g.mustStart(t, survivor)
	waitSame(t, survivor, "written", "at the end")
	if n := counterAt(t, survivor.resp); n < acked {
		t.Errorf("the counter is %d, acknowledged were %d", n, acked)
	}

	// A new machine takes the place of a lost one.
	out, err := parlor(t.Context(), "token", "create", "--data-dir", survivor.dataDir, "--json")
	if err != nil {
		t.Fatal(err)
	}
	token, err := jsonString(out, "token")
	if err != nil {
		t.Fatal(err)
	}
	second := g.members[1]
	if _, err := parlor(t.Context(), "join", "--data-dir", second.dataDir, "--server", survivor.cluster, "--token", token,
		"--cluster", second.cluster, "--http", second.http, "--resp", second.resp); err != nil {
		t.Fatal(err)
	}
	g.mustStart(t, second)
	waitSame(t, second, "written", "at the end")
}

// inConversation brings alice and a visitor into a chat.
func (g *localGroup) inConversation(t *testing.T) (alice, ann *person, chat string) {
	t.Helper()
	hosts := []string{g.members[0].http, g.members[1].http, g.members[2].http}
	alice, ann = newPerson(t, "alice", hosts), newPerson(t, "Ann", hosts)
	var session struct {
		Token string `json:"token"`
	}
	alice.call("POST", "/v1/login", map[string]string{"login": "alice", "password": demoPassword}, &session)
	alice.token = session.Token
	var me struct {
		Epoch string `json:"epoch"`
		Seq   uint64 `json:"seq"`
	}
	alice.call("GET", "/v1/me", nil, &me)
	alice.epoch, alice.since = me.Epoch, me.Seq
	alice.listen("/v1/socket")
	alice.call("PUT", "/v1/me/status", map[string]string{"status": "online"}, nil)
	page := map[string]string{"site": "demo", "url": "http://" + hosts[0] + "/demo/", "title": "Shop", "language": "en"}
	var visit struct {
		Token        string `json:"token"`
		Availability string `json:"availability"`
	}
	eventually(t, "alice is seen online", func() bool {
		ann.token = ""
		ann.call("POST", "/v1/visitor/page", page, &visit)
		ann.token = visit.Token
		return visit.Availability == "online"
	})
	var asked struct {
		Status string `json:"status"`
		Chat   struct {
			ID string `json:"id"`
		} `json:"chat"`
	}
	prechat := map[string]any{"prechat": map[string]string{"name": visitorName, "email": visitorEmail, "question": "A price"}}
	ann.call("POST", "/v1/visitor/chat", prechat, &asked)
	if asked.Status != "chatting" {
		t.Fatalf("asking for a chat: %+v", asked)
	}
	alice.await("chat.assigned")
	alice.call("POST", "/v1/chats/"+asked.Chat.ID+"/accept", map[string]any{}, nil)
	return alice, ann, asked.Chat.ID
}

// newMember lays out one more node, which is stopped with the group.
func (g *localGroup) newMember(t *testing.T, name string) *member {
	t.Helper()
	base := freePorts(t, 1)
	m := newLocalGroup(g.dir, 1, base).members[0]
	m.name, m.dataDir, m.logFile = name, filepath.Join(g.dir, name), filepath.Join(g.dir, name+".log")
	t.Cleanup(func() { _ = m.kill() })
	return m
}

// mustStart starts nodes and waits until they are ready.
func (g *localGroup) mustStart(t *testing.T, members ...*member) {
	t.Helper()
	for _, m := range members {
		if err := g.startMember(m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range members {
		if err := m.waitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// counting is a Redis client that counts up, as fast as it can.
type counting struct {
	acked  atomic.Int64
	cancel context.CancelFunc
	ended  chan struct{}
}

const loadCounter = "load:counter"

func startLoad(t *testing.T, addr string) *counting {
	ctx, cancel := context.WithCancel(context.Background())
	l := &counting{cancel: cancel, ended: make(chan struct{})}
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	go func() {
		defer close(l.ended)
		defer func() { _ = client.Close() }()
		for ctx.Err() == nil {
			n, err := client.Incr(ctx, loadCounter).Result()
			if err != nil {
				return // the building burns
			}
			l.acked.Store(n)
		}
	}()
	t.Cleanup(l.stop)
	return l
}

func (l *counting) stop() {
	l.cancel()
	<-l.ended
}

func counterAt(t *testing.T, addr string) int64 {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = client.Close() }()
	n, err := client.Get(t.Context(), loadCounter).Int64()
	if err != nil {
		t.Fatalf("reading the counter: %v", err)
	}
	return n
}

// waitSame waits until a node's own state has a value.
func waitSame(t *testing.T, m *member, key, want string) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: m.resp})
	defer func() { _ = client.Close() }()
	got, err := client.Get(t.Context(), key).Result()
	if err != nil || got != want {
		t.Fatalf("%s reads %q for %s (%v), want %q", m.name, got, key, err, want)
	}
}

// bundleTellsNothing takes a debug bundle of every node and looks for what
// must not be in it.
func (g *localGroup) bundleTellsNothing(t *testing.T, people ...*person) {
	t.Helper()
	private := []string{visitorName, "Zebulon", visitorEmail, visitorText, "4711-0815", demoPassword, "PRIVATE KEY", "before noon"}
	for _, p := range people {
		private = append(private, p.token)
	}
	for _, m := range g.members {
		private = append(private, keyText(t, m.dataDir))
	}
	for _, m := range g.members {
		path := filepath.Join(g.dir, m.name+".tar.gz")
		if _, err := parlor(t.Context(), "debug", "bundle", path, "--data-dir", m.dataDir); err != nil {
			t.Fatal(err)
		}
		files := unpack(t, path)
		for _, name := range []string{"about.json", "doctor.json", "status.json", "metrics.txt", "settings.json", "log.txt", "goroutines.txt", "heap.pprof", "identity.json", "files.json"} {
			if len(files["parlor-debug/"+name]) == 0 {
				t.Errorf("the bundle of %s lacks %s, or it is empty", m.name, name)
			}
		}
		for name, content := range files {
			for _, p := range private {
				if p == "" || bytes.Contains(content, []byte(p)) {
					t.Errorf("%s in the bundle of %s has %q", name, m.name, p)
				}
			}
		}
	}
}

// keyText is a line out of a node's private key.
func keyText(t *testing.T, dir string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "pki", "node.pem"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(content), "PRIVATE KEY-----\n")
	line, _, _ := strings.Cut(after, "\n")
	if !found || len(line) < 40 {
		t.Fatalf("no key was found in %s", dir)
	}
	return line
}

// unpack reads a .tar.gz, and what is compressed in it.
func unpack(t *testing.T, path string) map[string][]byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(plain); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if z, err := gzip.NewReader(bytes.NewReader(content)); err == nil { // a profile
			if content, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		files[head.Name] = content
	}
}

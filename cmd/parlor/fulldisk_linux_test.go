package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/parlorchat/parlor/node"
)

// smallDisk is a file system of its own for a node.
const smallDisk = "size=48m,mode=0700"

// TestTheDiskOfANodeFillsUp: of three nodes one has a small disk. It fills up,
// and the group takes no more, but serves reads and lets its operator remove
// things; then it goes on. Later something else fills that disk to the last
// byte and the node ends; as soon as there is room it comes back, and nothing
// was lost.
func TestTheDiskOfANodeFillsUp(t *testing.T) {
	g := layOutGroup(t, 3, demoSite())
	small := g.members[2]
	if err := os.MkdirAll(small.dataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("parlor-test", small.dataDir, "tmpfs", 0, smallDisk); err != nil {
		t.Skipf("a file system of its own for a node takes root: %v", err)
	}
	t.Cleanup(func() {
		_ = small.kill()
		if err := syscall.Unmount(small.dataDir, 0); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	if err := g.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := &fullDisk{t: t, g: g, small: small, client: redis.NewClient(&redis.Options{Addr: g.members[0].resp, MaxRetries: -1})}
	defer func() { _ = f.client.Close() }()

	f.fillTable()
	f.groupIsReadOnly()
	f.removingEndsIt()
	f.fillFiles()
	f.nodeEnds()
	f.nodeComesBack()
}

type fullDisk struct {
	t      *testing.T
	g      *localGroup
	small  *member
	client *redis.Client
	stored int // large values that were acknowledged
}

const largeValue = 256 << 10 // bytes

func fillingKey(i int) string { return fmt.Sprintf("large:%04d", i) }

// fillTable writes until it is refused.
func (f *fullDisk) fillTable() {
	f.t.Helper()
	value := strings.Repeat("x", largeValue)
	client := redis.NewClient(&redis.Options{Addr: f.small.resp, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	for ; f.stored < 5000; f.stored++ {
		err := client.Set(f.t.Context(), fillingKey(f.stored), value, 0).Err()
		if err == nil {
			continue
		}
		if !strings.HasPrefix(err.Error(), "NOSPACE ") {
			f.t.Fatalf("after %d values a write is answered %v", f.stored, err)
		}
		f.t.Logf("refused after %d MB", f.stored*largeValue>>20)
		return
	}
	f.t.Fatal("nothing is refused")
}

// groupIsReadOnly looks at every node.
func (f *fullDisk) groupIsReadOnly() {
	f.t.Helper()
	for _, m := range f.g.members {
		client := redis.NewClient(&redis.Options{Addr: m.resp, MaxRetries: -1})
		refused := func() bool {
			err := client.Set(f.t.Context(), "small", "x", 0).Err()
			return err != nil && strings.HasPrefix(err.Error(), "NOSPACE ")
		}
		eventually(f.t, m.name+" refuses writes", refused)
		if n, err := client.StrLen(f.t.Context(), fillingKey(0)).Result(); err != nil || n != largeValue {
			f.t.Errorf("%s reads %d bytes, %v", m.name, n, err)
		}
		if err := client.Expire(f.t.Context(), fillingKey(0), 1e18).Err(); err != nil {
			f.t.Errorf("%s: EXPIRE: %v", m.name, err)
		}
		_ = client.Close()

		page := map[string]any{"site": "demo", "url": "https://shop.example.com/"}
		visitor := newPerson(f.t, "a visitor", []string{m.http})
		var p *problem
		if err := visitor.once(f.t.Context(), m.http, "POST", "/v1/visitor/page", page, nil); !errors.As(err, &p) || p.Status != 507 || p.Code != "no_space" {
			f.t.Errorf("%s: a visitor is answered %v", m.name, err)
		}
		if ready := fetch(f.t, "http://"+m.http+"/readyz?verbose"); !strings.Contains(ready, "\nready\n") || !strings.Contains(ready, "[!] since ") {
			f.t.Errorf("%s: /readyz?verbose is\n%s", m.name, ready)
		}
		if text := fetch(f.t, "http://"+m.http+"/metrics"); !strings.Contains(text, "\nparlor_alarms 1\n") {
			f.t.Errorf("%s: the metrics do not tell of the alarm", m.name)
		}
	}
	out, err := parlor(f.t.Context(), "status", "--data-dir", f.g.members[0].dataDir)
	if err != nil || !strings.Contains(string(out), "is short of room since") || !strings.Contains(string(out), "the disk of "+f.small.dataDir) {
		f.t.Errorf("status (%v) tells\n%s", err, out)
	}
}

// kept is the first of the values that stay.
func (f *fullDisk) kept() int { return f.stored / 3 * 2 }

// removingEndsIt removes most of the values.
func (f *fullDisk) removingEndsIt() {
	f.t.Helper()
	var keys []string
	for i := range f.kept() {
		keys = append(keys, fillingKey(i))
	}
	if err := f.client.Del(f.t.Context(), keys...).Err(); err != nil {
		f.t.Fatal(err)
	}
	eventually(f.t, "the group takes writes again", func() bool {
		// Rows that are removed take room until the next checkpoint.
		if err := node.NewAdmin(f.small.dataDir).Checkpoint(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		return f.client.Set(f.t.Context(), "after", "room was made", 0).Err() == nil
	})
}

// fillFiles is another program that writes to the disk of the node.
func (f *fullDisk) fillFiles() {
	f.t.Helper()
	file, err := os.Create(filepath.Join(f.small.dataDir, "core.4711"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	block := make([]byte, 4096)
	for err == nil {
		_, err = file.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		f.t.Fatal(err)
	}
	eventually(f.t, "writes are refused", func() bool {
		err := f.client.Set(f.t.Context(), "small", "x", 0).Err()
		return err != nil && strings.HasPrefix(err.Error(), "NOSPACE ")
	})
}

// nodeEnds has the log grow by what is admitted, until there is no room for
// it. The other two go on.
func (f *fullDisk) nodeEnds() {
	f.t.Helper()
	_, ended := f.small.process()
	long := strings.Repeat("k", 8000)
	over := false
	for i := 0; i < 5000 && !over; i++ {
		if err := f.client.Del(f.t.Context(), long+"1", long+"2", long+"3", long+"4").Err(); err != nil {
			f.t.Fatal(err)
		}
		select {
		case <-ended:
			over = true
		default:
		}
	}
	if !over {
		f.t.Fatal("the node goes on without room for its log")
	}
	if log := tail(f.small.logFile, 3); !strings.Contains(log, "NOSPACE the disk is full: make room on it") {
		f.t.Errorf("its last words are\n%s", log)
	}
	if err := f.g.startMember(f.small); err != nil {
		f.t.Fatal(err)
	}
	_, ended = f.small.process()
	select {
	case <-ended:
	case <-f.t.Context().Done():
	}
	if log := tail(f.small.logFile, 3); !strings.Contains(log, "NOSPACE the disk is full") {
		f.t.Errorf("started on a full disk, it says\n%s", log)
	}
}

// nodeComesBack removes the file and starts the node again.
func (f *fullDisk) nodeComesBack() {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.small.dataDir, "core.4711")); err != nil {
		f.t.Fatal(err)
	}
	f.g.mustStart(f.t, f.small)
	eventually(f.t, "the group takes writes again", func() bool {
		return f.client.Set(f.t.Context(), "after", "the node came back", 0).Err() == nil
	})
	waitSame(f.t, f.small, "after", "the node came back")
	client := redis.NewClient(&redis.Options{Addr: f.small.resp})
	defer func() { _ = client.Close() }()
	for i := f.kept(); i < f.stored; i++ {
		if n, err := client.StrLen(f.t.Context(), fillingKey(i)).Result(); err != nil || n != largeValue {
			f.t.Fatalf("value %d of %d has %d bytes, %v", i, f.stored, n, err)
		}
	}
	s, err := node.NewAdmin(f.small.dataDir).Status(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range s.Members {
		if m.HashAgrees == nil || !*m.HashAgrees {
			f.t.Errorf("%s: its state is not that of the leader: %+v", m.Name, m)
		}
	}
}

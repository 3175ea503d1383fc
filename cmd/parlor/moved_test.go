package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/parlorchat/parlor/node"
)

// TestThreeMachinesMoveToAnotherNetwork: all were switched off, and none has
// the address that the others know. Each is told its own, and where one of them
// is.
func TestThreeMachinesMoveToAnotherNetwork(t *testing.T) {
	g := startGroup(t, 3, nil)
	client := redis.NewClient(&redis.Options{Addr: g.members[1].resp})
	if err := client.Set(t.Context(), "packed", "yes", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	g.stop(20 * time.Second)

	// One of the addresses that the operator gives is of the old network.
	base, old := freePorts(t, 3), g.members[0].cluster
	for i, m := range g.members {
		m.cluster = fmt.Sprintf("127.0.0.%d:%d", i+2, base+21+i)
	}
	for _, m := range g.members {
		m.serveArgs = []string{"--cluster", m.cluster, "--peers", g.members[2].cluster + "," + old}
	}
	g.mustStart(t, g.members...)
	waitSame(t, g.members[0], "packed", "yes")
	eventually(t, "all know the new addresses", func() bool {
		for _, m := range g.members {
			var id node.Identity
			content, err := os.ReadFile(filepath.Join(m.dataDir, "node.json"))
			if err != nil || json.Unmarshal(content, &id) != nil || len(id.Peers) != 2 || id.Cluster != m.cluster {
				return false
			}
			for _, addr := range id.Peers {
				if strings.HasPrefix(addr, "127.0.0.1:") {
					return false
				}
			}
		}
		return true
	})

	// From now on the folders are enough.
	g.stop(20 * time.Second)
	for _, m := range g.members {
		m.serveArgs = nil
	}
	g.mustStart(t, g.members...)
	waitSame(t, g.members[2], "packed", "yes")
	out, err := g.members[1].parlor(t.Context(), "status", "--json", "--data-dir", g.members[1].dataDir)
	if err != nil {
		t.Fatal(err)
	}
	var s node.Status
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Members {
		if !m.Reachable || !m.Voter || strings.HasPrefix(m.Cluster, "127.0.0.1:") {
			t.Errorf("after the move: %+v", m)
		}
	}
	g.isCloned(t, g.members[1])
}

// isCloned: a clone of a machine that runs is started in the network. It ends,
// does not start again, and the original goes on.
func (g *localGroup) isCloned(t *testing.T, original *member) {
	t.Helper()
	clone := &member{name: "clone", dataDir: filepath.Join(g.dir, "clone")}
	if out, err := exec.Command("cp", "-a", original.dataDir, clone.dataDir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	serve := []string{"serve", "--cluster", "127.0.0.1:0", "--http", "127.0.0.1:0", "--resp", "127.0.0.1:0"}
	g.refused(t, clone, "COPIED another process runs as member", serve...)
	g.refused(t, clone, "parlor: COPIED another process runs as member", serve...)
	client := redis.NewClient(&redis.Options{Addr: original.resp})
	defer func() { _ = client.Close() }()
	if err := client.Set(t.Context(), "packed", "still", 0).Err(); err != nil {
		t.Errorf("the original: %v", err)
	}
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// lacks says why a fault cannot happen here, if it cannot.
func (g *group) lacks(kind string, m *machine) string {
	switch kind {
	case "full", "hang", "slow-disk", "sick", "sick-all", "power", "power-all":
		if m.drive == nil {
			return "the nodes have no disks of their own"
		}
	case "clock":
		if !g.steps {
			return "the program was not built here, so its clock cannot be set"
		}
	case "slow":
		if !g.net.slows() {
			return "this kernel cannot delay packets (netem)"
		}
	}
	return ""
}

// full takes all room of a node's disk, and gives it back. The node may end
// itself or go on: then it must not have forgotten anything.
func (g *group) full(m *machine, lasts time.Duration, t *timeline) {
	m.works.Lock()
	defer m.works.Unlock()
	m.mayEnd(1)
	defer m.mayEnd(-1)
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := m.drive.fill(0); err != nil { // anew: the node itself frees some
			t.sayf("    %v", err)
			break
		}
	}
	if err := m.drive.room(); err != nil {
		t.sayf("    making room: %v", err)
	}
	g.startIfEnded(m, "its disk was full", t)
}

// ails has a node's disk do something to it for a while. The node may end itself.
func (g *group) ails(m *machine, lasts time.Duration, ail func(bool), how string, t *timeline) {
	m.works.Lock()
	defer m.works.Unlock()
	m.mayEnd(1)
	defer m.mayEnd(-1)
	ail(true)
	time.Sleep(lasts)
	ail(false)
	g.startIfEnded(m, how, t)
}

// hang lets no sync of a node's disk end for a while. A leader must not keep
// its office so: a node that waits for more than five seconds ends itself.
func (g *group) hang(m *machine, lasts time.Duration, t *timeline) {
	g.ails(m, lasts, m.drive.Hang, "its disk hung", t)
}

// sick has the disks of some machines fail to write now and then, which their
// nodes must end for, and well again. The nodes are started then; whatever they
// find in the page cache that is not on disk must not count: half of the time the
// power fails a moment later.
func (g *group) sick(lasts time.Duration, f fault, t *timeline, of ...*machine) {
	var all sync.WaitGroup
	for _, m := range of {
		all.Go(func() { g.ails(m, lasts, m.drive.Sick, "its disk was sick", t) })
	}
	all.Wait()
	if f.Reset {
		time.Sleep(5 * f.Delay)
		g.power(time.Second, t, of...)
	}
}

// startIfEnded gives a node some time to end itself, and starts it if it did.
func (g *group) startIfEnded(m *machine, why string, t *timeline) {
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		if !m.runs() {
			t.sayf("    %s ended itself: %s", m.name, why)
			break
		}
	}
	if err := g.start(m); err != nil {
		t.sayf("    starting %s: %v", m.name, err)
	}
}

// power cuts the power of some machines at once and gives it back after a
// while.
func (g *group) power(lasts time.Duration, t *timeline, of ...*machine) {
	for _, m := range of {
		m.works.Lock()
		defer m.works.Unlock()
	}
	for _, m := range of {
		m.mayEnd(1)
		m.drive.Cut()
	}
	for _, m := range of {
		m.hold()
	}
	time.Sleep(lasts)
	for _, m := range of {
		if err := m.drive.powerOn(); err != nil {
			t.sayf("    %s: %v", m.name, err)
		}
		m.letGo()
		m.mayEnd(-1)
		if err := g.start(m); err != nil {
			t.sayf("    starting %s: %v", m.name, err)
		}
	}
}

// setClock sets a node's wall clock: so far off, as from now or its next start.
func (m *machine) setClock(off time.Duration, t *timeline) {
	tmp := m.clock + ".new"
	err := os.WriteFile(tmp, []byte(strconv.FormatInt(int64(off), 10)), 0o600)
	if err = errors.Join(err, os.Rename(tmp, m.clock)); err != nil {
		t.sayf("    setting %s's clock: %v", m.name, err)
	}
}

// id is the node's id, as its folder has it; "" without.
func (m *machine) id() string {
	content, err := os.ReadFile(filepath.Join(m.dir, "node.json"))
	for range 3 { // the node may be replacing it just now
		if err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
		content, err = os.ReadFile(filepath.Join(m.dir, "node.json"))
	}
	if err != nil {
		return ""
	}
	var identity struct {
		State  string `json:"state"`
		NodeID string `json:"node_id"`
	}
	_ = json.Unmarshal(content, &identity)
	if identity.State != "member" {
		return ""
	}
	return identity.NodeID
}

// isNobody says that the folder is empty: the node was reset and has not joined.
func (m *machine) isNobody() bool { return m.id() == "" }

// replace removes a node from the group, and has the machine join as a new
// one after a while.
func (g *group) replace(m *machine, lasts time.Duration, t *timeline) {
	g.members.Lock()
	defer g.members.Unlock()
	other := g.machines[(m.index+1)%3]
	if _, err := other.parlor("cluster", "remove", m.id(), "--data-dir", other.dir); err != nil {
		// Whether it was removed shows at the end of the round.
		t.sayf("    %s: %v", m.name, err)
		return
	}
	time.Sleep(lasts)
	if err := g.renew(m, t); err != nil {
		t.sayf("    %s: %v", m.name, err)
	}
}

// renew empties a removed node's folder and has it join as a new one.
func (g *group) renew(m *machine, t *timeline) error {
	m.works.Lock()
	defer m.works.Unlock()
	m.hold()
	defer m.letGo()
	if _, err := m.parlor("reset", "--yes", "--data-dir", m.dir); err != nil {
		return err
	}
	return g.join(m)
}

// rejoin has a machine join whose folder is empty.
func (g *group) rejoin(m *machine, t *timeline) error {
	m.works.Lock()
	defer m.works.Unlock()
	m.hold()
	defer m.letGo()
	return g.join(m)
}

// join asks the others for a token, one after the other, and joins.
func (g *group) join(m *machine) error {
	err := errors.New("nobody to ask")
	for _, other := range []*machine{g.machines[(m.index+1)%3], g.machines[(m.index+2)%3]} {
		var out []byte
		if out, err = other.parlor("token", "create", "--json", "--data-dir", other.dir); err != nil {
			continue
		}
		var made struct {
			Token string `json:"token"`
		}
		if err = json.Unmarshal(out, &made); err != nil {
			return err
		}
		if _, err = m.parlor(append([]string{"join", "--server", other.cluster, "--token", made.Token}, m.own()...)...); err == nil {
			m.letGo()
			return g.start(m)
		}
	}
	return fmt.Errorf("%s cannot join: %w", m.name, err)
}

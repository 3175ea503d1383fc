package node

import (
	"sync"

	"github.com/hashicorp/raft"
)

// route is what this member knows of the leader.
type route struct {
	leader  string        // node id, "" if there is none
	addr    string        // its address by raft
	changed chan struct{} // closed when this is no longer so
}

// routes follows who leads.
type routes struct {
	mu      sync.Mutex
	current route
	count   func() // called when another leader is known
}

func newRoutes(count func()) *routes {
	return &routes{count: count, current: route{changed: make(chan struct{})}}
}

func (r *routes) get() route {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

func (r *routes) set(leader, addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if leader == r.current.leader && addr == r.current.addr {
		return
	}
	if leader != "" && leader != r.current.leader {
		r.count()
	}
	close(r.current.changed)
	r.current = route{leader: leader, addr: addr, changed: make(chan struct{})}
}

// follow keeps routes up to date until stop. Observations may be dropped when
// many come at once: each only says that it is time to look.
func (r *routes) follow(ra *raft.Raft, stop <-chan struct{}) {
	look := make(chan raft.Observation, 1)
	obs := raft.NewObserver(look, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	ra.RegisterObserver(obs)
	defer ra.DeregisterObserver(obs)
	for {
		addr, id := ra.LeaderWithID()
		r.set(string(id), string(addr))
		select {
		case <-look:
		case <-stop:
			return
		}
	}
}

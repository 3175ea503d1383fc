package api

import (
	"context"
	"sync"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
)

// Presence is a lease that this node renews for whoever is connected to it.
const (
	agentsSeenEvery   = 10 * time.Second // of a lease of 30 s
	visitorsSeenEvery = 20 * time.Second // of a lease of 60 s
	// lingers is how long somebody counts as connected after his connection
	// ended: a long-poll ends all the time.
	lingers = 10 * time.Second
	// seenAtOnce is how many ids one command carries.
	seenAtOnce = 256
)

// presence knows who is connected to this node.
type presence struct {
	server *Server

	mu       sync.Mutex
	agents   map[string]*attendance
	visitors map[string]*attendance
	fresh    chan struct{} // an agent came who was not here
}

// attendance is one agent or visitor.
type attendance struct {
	connections int
	left        time.Time // when the last connection ended
	told        bool      // core knows that he is here
}

func newPresence(s *Server) *presence {
	return &presence{
		server: s,
		agents: map[string]*attendance{}, visitors: map[string]*attendance{},
		fresh: make(chan struct{}, 1),
	}
}

// enter notes a connection until leave is called.
func (p *presence) enter(c *call) (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set, id := p.visitors, ""
	if c.agent != nil {
		set, id = p.agents, c.agent.ID
	} else {
		id = c.visitor.Visitor
	}
	a := set[id]
	if a == nil {
		a = &attendance{}
		set[id] = a
		select {
		case p.fresh <- struct{}{}:
		default:
		}
	}
	a.connections++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		a.connections--
		a.left = p.server.now()
	}
}

// run renews the leases until ctx ends.
func (p *presence) run(ctx context.Context) {
	agents, visitors := time.NewTicker(agentsSeenEvery), time.NewTicker(visitorsSeenEvery)
	defer agents.Stop()
	defer visitors.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.fresh:
			p.tell(ctx, p.here(p.agents, true), p.here(p.visitors, true))
		case <-agents.C:
			p.tell(ctx, p.here(p.agents, false), nil)
		case <-visitors.C:
			p.tell(ctx, nil, p.here(p.visitors, false))
		}
	}
}

// here gives those who are connected, or only those of whom core does not
// know yet, and forgets those who have left.
func (p *presence) here(set map[string]*attendance, untold bool) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for id, a := range set {
		if a.connections == 0 && p.server.now().Sub(a.left) > lingers {
			delete(set, id)
			continue
		}
		if untold && a.told {
			continue
		}
		a.told = true
		ids = append(ids, id)
	}
	return ids
}

// tell renews leases. A failure is made good by the next round.
func (p *presence) tell(ctx context.Context, agents, visitors []string) {
	var commands []command.Args
	for chunk := range chunks(agents) {
		commands = append(commands, core.AgentSeen{IDs: chunk}.Args())
	}
	for chunk := range chunks(visitors) {
		commands = append(commands, core.VisitorSeen{IDs: chunk}.Args())
	}
	if len(commands) == 0 {
		return
	}
	if _, err := p.server.propose(ctx, &call{}, commands...); err != nil && ctx.Err() == nil {
		p.server.log.Debug("renewing presence", "agents", len(agents), "visitors", len(visitors), "err", err)
		p.again(agents, visitors)
	}
}

// again makes those untold whom core could not be told of.
func (p *presence) again(agents, visitors []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range agents {
		if a := p.agents[id]; a != nil {
			a.told = false
		}
	}
	for _, id := range visitors {
		if a := p.visitors[id]; a != nil {
			a.told = false
		}
	}
}

// chunks cuts a list of ids into commands' worth.
func chunks(ids []string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for len(ids) > 0 {
			n := min(len(ids), seenAtOnce)
			if !yield(ids[:n]) {
				return
			}
			ids = ids[n:]
		}
	}
}

// count gives how many agents and visitors are connected.
func (p *presence) count() (agents, visitors int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.agents), len(p.visitors)
}

package api

import (
	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// heed looks at what events say of those who listen, before they are handed
// out: who may not listen any more gets none of them.
func (f *feed) heed(events []core.Event) error {
	agents := map[string]bool{}
	for i := range events {
		switch e := &events[i]; e.Type {
		case core.EventAgentUpdated, core.EventAgentRemoved:
			agents[e.Agent] = true
		case core.EventVisitorRemoved:
			f.dismissVisitor(e.Visitor)
		}
	}
	if len(agents) == 0 {
		return nil
	}
	return f.review(func(r *receiver) bool { return agents[r.agent] })
}

// review looks again at the sessions of those agents who listen and whom which
// picks. Who has none any more is dismissed; whose role is another one has to
// begin anew, because he sees more now, or less.
func (f *feed) review(which func(r *receiver) bool) error {
	f.mu.Lock()
	var due []*receiver
	for r := range f.agents {
		if r.session != "" && which(r) {
			due = append(due, r)
		}
	}
	f.mu.Unlock()
	for _, r := range due {
		var session core.Session
		var ok bool
		err := f.node.View(func(tx *keyspace.Tx) (err error) {
			session, ok, err = core.GetSession(tx, r.session)
			return err
		})
		if err != nil {
			return err
		}
		f.mu.Lock()
		switch {
		case !ok:
			r.dismiss()
		case (session.Agent.Role == core.RoleAdmin) != r.admin:
			r.overflow()
		}
		f.mu.Unlock()
	}
	return nil
}

// dismissVisitor dismisses a visitor who was removed.
func (f *feed) dismissVisitor(visitor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.visitors[visitor] {
		r.dismiss()
	}
}

// dismiss ends a receiver: he may not listen any more. feed.mu is held.
func (r *receiver) dismiss() {
	r.gone, r.pending = true, nil
	r.ring()
}

// dismissed gives the problem of a receiver who may not listen any more, else
// nil.
func (r *receiver) dismissed() error {
	if r.feed == nil {
		return nil
	}
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	switch {
	case !r.gone:
		return nil
	case r.visitor != "":
		return problem(codeUnauthorized, "this visitor was removed; POST /v1/visitor/page without a token makes a new one")
	}
	return errSession()
}

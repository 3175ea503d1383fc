package resp

import (
	"context"
	"sync/atomic"
	"time"
)

// patience makes the contexts that bound how long the group may take for a
// request. Requests of about the same time share one: a timer for each would
// cost more than a read.
type patience struct {
	parent context.Context
	limit  time.Duration
	latest atomic.Pointer[sharedContext]
}

// sharedContext is for requests that begin before until.
type sharedContext struct {
	ctx   context.Context
	until time.Time
}

// context ends when limit has passed, or up to a sixteenth of it before.
func (p *patience) context() context.Context {
	now := time.Now()
	c := p.latest.Load()
	if c != nil && now.Before(c.until) {
		return c.ctx
	}
	ctx, cancel := context.WithDeadline(p.parent, now.Add(p.limit))
	fresh := &sharedContext{ctx: ctx, until: now.Add(p.limit / 16)}
	if !p.latest.CompareAndSwap(c, fresh) { // somebody else was faster
		cancel()
		return p.latest.Load().ctx
	}
	context.AfterFunc(ctx, cancel)
	return ctx
}

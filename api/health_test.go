package api_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/api"
	"github.com/parlorchat/parlor/storage/command"
)

// lonelyNode has no leader: it waits for one as long as it may.
type lonelyNode struct {
	*fakeNode
	asked chan time.Duration // for how long at most
}

func (n *lonelyNode) ReadIndex(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	n.asked <- time.Until(deadline)
	<-ctx.Done()
	return command.ErrNoLeader
}

// TestReadyzDoesNotWaitForALeader: load balancers ask often and give up soon.
func TestReadyzDoesNotWaitForALeader(t *testing.T) {
	w := newWorld(t, 1)
	lonely := &lonelyNode{fakeNode: w.group.members[0], asked: make(chan time.Duration, 2)}
	w.serve(lonely)
	w.stranger().at(1).do("GET", "/readyz", nil).fails(503, "unavailable")
	if wait := <-lonely.asked; wait > 250*time.Millisecond {
		t.Errorf("/readyz waits up to %v", wait)
	}

	// What the node knows by itself needs no waiting at all.
	w.serve(lonely, func(c *api.Config) { c.Ready = func() error { return errors.New("no leader is known") } })
	p := w.stranger().at(2).do("GET", "/readyz", nil).fails(503, "unavailable")
	if !strings.Contains(p.Detail, "no leader is known") || len(lonely.asked) > 0 {
		t.Errorf("%q, after asking the group %d times", p.Detail, len(lonely.asked))
	}
}

package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/storage"
)

const (
	pulseEvery = 2 * time.Second
	pulseLimit = 10 * time.Second
)

// beating goes round everything that a stuck process would stop: raft's own
// loop, which answers whether this member leads, and the state's lock.
func (n *Node) beating(ctx context.Context) {
	every := time.NewTicker(pulseEvery)
	defer every.Stop()
	for {
		n.pulse.Store(time.Now().UnixNano())
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		err := n.await(n.raft.VerifyLeader())
		if errors.Is(err, raft.ErrRaftShutdown) {
			return
		}
		_ = n.db.View(func(storage.Reader, storage.State) error { return nil }) // it was there in time
	}
}

// Alive says what is stuck inside this process; nil: nothing. A member
// without a majority is alive.
func (n *Node) Alive() error {
	last := n.pulse.Load()
	if last == 0 {
		return nil // it begins
	}
	if since := time.Since(time.Unix(0, last)); since > pulseLimit {
		return fmt.Errorf("this member has not moved for %v", since.Round(time.Second))
	}
	return nil
}

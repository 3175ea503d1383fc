package node

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// A member that serves is given the leader's state, an older one than its own,
// and carries the entries since out again. Whoever reads there meanwhile sees
// nothing older than what he has seen, or is sent elsewhere.
func TestNobodyReadsThePastWhileAMemberIsReseeded(t *testing.T) {
	g := form(t, 3, nil)
	leader, m := g.members[g.leader()], g.members[g.follower()]
	const writes = 400
	for range writes {
		g.do(leader, "INCR", "n")
	}
	must(t, m.WaitApplied(t.Context(), leader.Applied()))

	over := make(chan struct{})
	var readers sync.WaitGroup
	read := func(how func(func(*keyspace.Tx) error) error) {
		seen := int64(writes)
		for {
			select {
			case <-over:
				return
			default:
			}
			if err := m.ReadIndex(t.Context()); err != nil {
				continue
			}
			n := int64(-1)
			err := how(func(tx *keyspace.Tx) error {
				v, _, err := tx.Get([]byte("n"))
				n, _ = strconv.ParseInt(string(v), 10, 64)
				return err
			})
			switch {
			case err == nil && n < seen:
				t.Errorf("%d was read after %d", n, seen)
				return
			case err != nil && !errors.Is(err, command.ErrNoLeader):
				t.Errorf("a reader was told: %v", err)
				return
			}
			seen = max(seen, n)
		}
	}
	for range 2 {
		readers.Go(func() { read(m.View) })
		readers.Go(func() { read(m.Walk) })
	}
	for range 3 {
		g.reseed(m)
		time.Sleep(10 * time.Millisecond) // readers go on between
	}
	close(over)
	readers.Wait()
}

// A member that writes checkpoints all the time is reseeded while it is written
// to: what it is sent is not too old when it is here.
func TestAMemberThatWritesCheckpointsIsReseeded(t *testing.T) {
	t.Parallel()
	g := form(t, 3, func(o *Options) {
		o.Limits.CheckpointEvery, o.Timing.Housekeep = 1, 5*time.Millisecond
	})
	leader, m := g.members[g.leader()], g.members[g.follower()]
	over := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				_, _ = try(t.Context(), leader, "INCR", "n")
			}
		}
	})
	for range 3 {
		g.reseed(m)
	}
	close(over)
	writer.Wait()
	g.converge()
}

// A long read is at one instant: that others write on, even just when it begins,
// is no reason to turn it away.
func TestLongReadsBeginWhileOthersWrite(t *testing.T) {
	t.Parallel()
	m := form(t, 1, nil).members[0]
	done := make(chan struct{})
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := try(t.Context(), m, "INCR", "n"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	before := m.Applied()
	for reads := 0; reads < 2000 || m.Applied() < before+2000; reads++ {
		if err := m.Walk(func(*keyspace.Tx) error { return nil }); err != nil {
			t.Errorf("read %d: %v", reads, err)
			break
		}
	}
	close(done)
	writers.Wait()
}

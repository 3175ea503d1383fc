package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/parlorchat/parlor/storage/command"
)

// Clients who write faster than checkpoints do are slowed down, not refused, at
// whichever member.
func TestWhoWritesFasterThanCheckpointsWaits(t *testing.T) {
	g := form(t, 3, func(o *Options) {
		o.Limits.OverlayBytes, o.Limits.OverlayHard = 64<<10, 128<<10
	})
	value := string(make([]byte, 4<<10))
	var clients sync.WaitGroup
	for client := range 9 {
		m := g.members[client%3]
		clients.Go(func() {
			for i := range 50 {
				if _, err := try(t.Context(), m, "SET", fmt.Sprintf("k%d-%d", client, i), value); err != nil {
					t.Errorf("write %d of client %d: %v", i, client, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

// Who has waited long enough is told that nothing was changed.
func TestWithoutRoomAWriteIsRefused(t *testing.T) {
	const room = 256 << 10
	g := form(t, 1, func(o *Options) {
		o.Limits.OverlayBytes, o.Limits.OverlayHard, o.Limits.CheckpointEvery = 1<<30, room, time.Hour
	})
	m := g.members[0]
	value := string(make([]byte, 64<<10))
	for i := 0; m.db.OverlayBytes() <= room; i++ {
		g.do(m, "SET", fmt.Sprintf("k%d", i), value)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := try(ctx, m, "SET", "k", "v"); !errors.Is(err, command.ErrBusy) {
		t.Errorf("the write ends with %v", err)
	}
	if v := get(t, m, "k"); v != "" {
		t.Errorf("it wrote %q", v)
	}
}

// An entry waits while writers outrun the checkpoint, but not for ever, not if it is
// light, and not when this member does not lead any more.
func TestAnEntryWaitsForTheCheckpoint(t *testing.T) {
	asked := 0
	b := &batcher{metrics: newMetrics(metrics.NewSet()), outrun: func() bool { asked++; return asked < 5 }}
	b.brake(t.Context(), lightEntry)
	if asked != 5 {
		t.Errorf("it asked %d times whether it may go on, want 5", asked)
	}
	b.outrun = func() bool { asked++; return true }
	b.brake(t.Context(), lightEntry)
	if asked < 7 {
		t.Errorf("it did not wait")
	}
	if waited := b.metrics.braked.Get(); waited < longestBrake.Seconds() {
		t.Errorf("it counted %v seconds of waiting, at least %v were", waited, longestBrake)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	asked = 0
	b.brake(ended, lightEntry)
	if asked != 1 {
		t.Errorf("it asked %d times although there is nothing to do any more", asked)
	}
	asked = 0
	if b.brake(t.Context(), lightEntry-1); asked != 0 {
		t.Error("a light entry has waited")
	}
}

package pipeline

import (
	"context"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

const (
	// ackSkipped is how far a cursor may lag behind when nothing was handled,
	// only passed over.
	ackSkipped = 1_000
	// lookBack is how far the beginning of a new consumer is searched.
	lookBack = 10_000
	// buryAtOnce is how many dead letters go into one proposal.
	buryAtOnce = 128
	// again is the pause after something failed that should not.
	again = time.Second
)

// begin gives the durable cursor, and makes one for a new consumer; ok false:
// ctx has ended.
func (d *dispatcher) begin(ctx context.Context) (from int64, ok bool) {
	for ctx.Err() == nil {
		from, err := d.place(ctx)
		if err == nil {
			return from, true
		}
		if ctx.Err() == nil {
			d.log.Error("finding the place in the stream", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
	return 0, false
}

func (d *dispatcher) place(ctx context.Context) (from int64, err error) {
	var known bool
	err = d.store.View(func(tx *keyspace.Tx) error {
		cursor, ok, err := core.ConsumerCursor(tx, d.site, d.consumer.Name)
		if err != nil || ok {
			from, known = cursor.Seq, ok
			return err
		}
		from, err = core.LastEvent(tx, d.site)
		return err
	})
	if err != nil || known {
		return from, err
	}
	if from, err = d.birth(from); err != nil {
		return 0, err
	}
	err = propose(ctx, d.store, []command.Args{core.EventAck{Site: d.site, Consumer: d.consumer.Name, Seq: from}.Args()})[0]
	if err == nil {
		d.log.Info("a new consumer begins", "after", from)
	}
	return from, err
}

// birth looks for the event that the consumer came with, from the end of the
// stream backwards: what happened between that and now is its own.
func (d *dispatcher) birth(last int64) (int64, error) {
	if d.consumer.Begins == nil {
		return last, nil
	}
	for to := last; to > 0 && to > last-lookBack; to -= readChunk {
		var events []core.Event
		err := d.store.View(func(tx *keyspace.Tx) (err error) {
			events, err = core.ReadEvents(tx, d.site, max(to-readChunk, 0), readChunk)
			return err
		})
		if err != nil {
			return 0, err
		}
		for i := len(events) - 1; i >= 0; i-- {
			if d.consumer.Begins(&events[i]) {
				return events[i].Seq, nil
			}
		}
	}
	return last, nil
}

// wantsAck says whether the durable cursor is to be written.
func (d *dispatcher) wantsAck() bool {
	behind := d.window.cursor() - d.acked
	return behind > 0 && (d.handled || behind >= ackSkipped)
}

// acknowledge writes the cursor, if it is time to.
func (d *dispatcher) acknowledge(ctx context.Context, now time.Time) {
	if !d.wantsAck() || now.Before(d.ackAt) {
		return
	}
	cursor := d.window.cursor()
	d.ackAt = now.Add(d.options.AckInterval)
	err := propose(ctx, d.store, []command.Args{core.EventAck{Site: d.site, Consumer: d.consumer.Name, Seq: cursor}.Args()})[0]
	if err != nil {
		d.ackAt = now.Add(max(again, d.options.AckInterval))
		if ctx.Err() == nil {
			d.log.Warn("writing the cursor", "seq", cursor, "error", err)
		}
		return
	}
	d.acked, d.handled = cursor, false
}

// doom marks the first event of a lane that is held as given up.
func (d *dispatcher) doom(l *lane, reason string) {
	l.queue[0].reason = reason
	d.doomed = append(d.doomed, l)
}

// bury keeps what was given up as dead letters; only then do its lanes go on.
func (d *dispatcher) bury(ctx context.Context, now time.Time) {
	for len(d.doomed) > 0 && !now.Before(d.buryAt) && ctx.Err() == nil {
		batch := d.doomed[:min(len(d.doomed), buryAtOnce)]
		commands := make([]command.Args, len(batch))
		for i, l := range batch {
			commands[i] = core.EventDead{Site: d.site, Consumer: d.consumer.Name, Seq: l.queue[0].event.Seq, Reason: l.queue[0].reason}.Args()
		}
		rest := append([]*lane(nil), d.doomed[len(batch):]...)
		for i, err := range propose(ctx, d.store, commands) {
			switch code := core.CodeOf(err); {
			case err == nil:
				d.buried(batch[i])
			case code == core.CodeNotFound:
				// The event is gone from the stream: there is nothing to keep.
				d.log.Error("an event was given up that is no longer stored", "seq", batch[i].queue[0].event.Seq, "reason", batch[i].queue[0].reason)
				d.buried(batch[i])
			default:
				rest = append(rest, batch[i])
				d.buryAt = now.Add(again)
				if ctx.Err() == nil {
					d.log.Error("keeping a dead letter", "seq", batch[i].queue[0].event.Seq, "error", err)
				}
			}
		}
		d.doomed = rest
	}
}

func (d *dispatcher) buried(l *lane) {
	d.log.Warn("a dead letter", "seq", l.queue[0].event.Seq, "type", l.queue[0].event.Type, "reason", l.queue[0].reason)
	d.counters.dead.Inc()
	d.handled = true
	d.window.finish(l)
}

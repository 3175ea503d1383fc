package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// workload is what clients do while things go wrong, and what must hold
// afterwards.
type workload interface {
	name() string
	// step makes one call, or a few that belong together.
	step(c *worker)
	// settle is called once all is whole again and nobody else calls: it adds
	// the last reads to the history.
	settle(c *worker) error
	// check judges the history.
	check(ops []op) (note string, err error)
}

// worker is one client of a workload. Like a patient client of a real
// service, it goes to another node when one does not answer.
type worker struct {
	id    int // changes after an unknown outcome: what it asked may be carried out at any time
	ids   *atomic.Int64
	rng   *rand.Rand
	nodes []*machine
	at    int
	conns []*client
	hist  *history
	pace  time.Duration // between two steps
	sent  int           // makes values of its own
	mine  any           // of the workload
	stays bool          // the next call is on the same connection as the last, or is refused
}

// pin has the next call made on the connection that the last one used.
func (w *worker) pin() { w.stays = true }

func newWorker(ids *atomic.Int64, seed uint64, nodes []*machine, h *history, pace time.Duration) *worker {
	w := &worker{id: int(ids.Add(1)), ids: ids, rng: rand.New(rand.NewPCG(seed, 7)), nodes: nodes, hist: h, pace: pace}
	w.at = w.rng.IntN(len(nodes))
	for _, m := range nodes {
		w.conns = append(w.conns, &client{addr: m.resp})
	}
	return w
}

// unique gives a value that nobody sends twice.
func (w *worker) unique() string {
	w.sent++
	return fmt.Sprintf("%d.%d", w.id, w.sent)
}

// call sends commands to a node and records what came of it, as one op. The
// replies of a pipeline are in Out.
func (w *worker) call(o op, commands ...[]string) op {
	if w.stays {
		w.stays, w.conns[w.at].pinned = false, true
	} else if w.rng.IntN(8) == 0 {
		w.at = w.rng.IntN(len(w.nodes))
	}
	o.Client, o.Node, o.Call = w.id, w.nodes[w.at].name, now()
	out, how, err := w.conns[w.at].call(commands...)
	o.Return, o.Out, o.How = now(), out, how
	if err != nil {
		o.Err = err.Error()
	}
	w.hist.add(o)
	if how != done {
		w.at = (w.at + 1) % len(w.nodes)
		if how == unknown {
			w.id = int(w.ids.Add(1))
		}
		time.Sleep(10 * time.Millisecond)
	}
	return o
}

// surely repeats a call that changes nothing until it is answered.
func (w *worker) surely(o op, commands ...[]string) (op, error) {
	for end := time.Now().Add(time.Minute); ; {
		if o := w.call(o, commands...); o.How == done {
			return o, nil
		} else if time.Now().After(end) {
			return o, fmt.Errorf("no answer from a group that is whole: %s", o)
		}
	}
}

func (w *worker) hangUp() {
	for _, c := range w.conns {
		c.close()
	}
}

// work runs a workload with so many workers until ctx ends.
func work(ctx context.Context, l workload, workers []*worker) {
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			defer w.hangUp()
			for ctx.Err() == nil {
				l.step(w)
				time.Sleep(w.pace/2 + time.Duration(w.rng.Int64N(int64(w.pace))))
			}
		})
	}
	wg.Wait()
}

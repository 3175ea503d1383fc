package node

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/hashicorp/raft"

	"github.com/parlorchat/parlor/raftfsm"
)

// peerFigures are what a leader knows of the other members, for its metrics. A
// member that does not lead has none.
type peerFigures struct {
	mu sync.Mutex
	of map[string]peerFigure
}

type peerFigure struct {
	reachable bool
	lag       uint64        // entries of the leader's log that it has not applied
	skew      time.Duration // its clock before the leader's
}

func (f *peerFigures) set(of map[string]peerFigure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of = of
}

// write adds the figures to the metrics.
func (f *peerFigures) write(w io.Writer) {
	f.mu.Lock()
	of := maps.Clone(f.of)
	f.mu.Unlock()
	for _, m := range []struct {
		name  string
		known func(peerFigure) bool
		value func(peerFigure) float64
	}{
		{"parlor_peer_reachable", func(peerFigure) bool { return true }, func(p peerFigure) float64 { return oneIf(p.reachable) }},
		{"parlor_peer_lag_entries", func(p peerFigure) bool { return p.reachable }, func(p peerFigure) float64 { return float64(p.lag) }},
		{"parlor_peer_clock_skew_seconds", func(p peerFigure) bool { return p.reachable }, func(p peerFigure) float64 { return p.skew.Seconds() }},
	} {
		first := true
		for _, id := range slices.Sorted(maps.Keys(of)) {
			if !m.known(of[id]) {
				continue
			}
			if first {
				metrics.WriteMetadataIfNeeded(w, m.name, "gauge")
				first = false
			}
			_, _ = fmt.Fprintf(w, "%s{peer=%q} %g\n", m.name, id, m.value(of[id])) // who has gone does not need it
		}
	}
}

// watchingPeers is the leader's duty to ask the others how they are.
func (n *Node) watchingPeers(ctx context.Context) {
	every := time.NewTicker(n.opt.Timing.Compare)
	defer every.Stop()
	defer n.peers.set(nil)
	for {
		n.peers.set(n.askPeers(ctx))
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) askPeers(ctx context.Context) map[string]peerFigure {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	all := map[string]peerFigure{}
	for _, s := range n.servers() {
		id := string(s.ID)
		if id == n.id.NodeID {
			continue
		}
		asking.Go(func() {
			p := n.askPeer(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			all[id] = p
		})
	}
	asking.Wait()
	return all
}

func (n *Node) askPeer(ctx context.Context, id string) (p peerFigure) {
	last, asked := n.raft.LastIndex(), time.Now()
	st := n.stateOf(ctx, id)
	if st == nil {
		return p
	}
	p.reachable, p.lag = true, last-min(st.Applied, last)
	if st.Wall > 0 {
		p.skew = time.UnixMilli(st.Wall).Sub(asked.Add(time.Since(asked) / 2))
	}
	return p
}

// watchedFSM measures how long entries take to be carried out, and counts those
// about the membership.
type watchedFSM struct {
	*raftfsm.FSM
	took    *metrics.PrometheusHistogram
	changes *atomic.Uint64
}

// ApplyBatch is part of raft.BatchingFSM.
func (f watchedFSM) ApplyBatch(logs []*raft.Log) []any {
	started := time.Now()
	for _, l := range logs {
		if l.Type == raft.LogConfiguration {
			f.changes.Add(1)
		}
	}
	answers := f.FSM.ApplyBatch(logs)
	f.took.UpdateDuration(started)
	return answers
}

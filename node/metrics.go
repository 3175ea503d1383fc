package node

import (
	"github.com/VictoriaMetrics/metrics"
)

// nodeMetrics are what an operator's monitoring reads.
type nodeMetrics struct {
	propose       *metrics.Histogram
	refused       *metrics.Counter
	entryLatency  *metrics.Histogram
	entryCommands *metrics.Histogram
	entryBytes    *metrics.Histogram
	append        *metrics.Histogram
	checkpoint    *metrics.Histogram
	readRounds    *metrics.Counter
	readIndexes   *metrics.Counter
	renewals      *metrics.Counter
	noSpace       *metrics.Counter
	comparisons   *metrics.Counter
	mismatches    *metrics.Counter
	scrub         *metrics.Histogram
	scrubbedRows  *metrics.Counter
	scrubbedBytes *metrics.Counter
	scrubPasses   *metrics.Counter
}

func newMetrics(set *metrics.Set) *nodeMetrics {
	return &nodeMetrics{
		propose:       set.GetOrCreateHistogram("parlor_propose_seconds"),
		refused:       set.GetOrCreateCounter("parlor_requests_without_outcome_total"),
		entryLatency:  set.GetOrCreateHistogram("parlor_entry_commit_seconds"),
		entryCommands: set.GetOrCreateHistogram("parlor_entry_commands"),
		entryBytes:    set.GetOrCreateHistogram("parlor_entry_bytes"),
		append:        set.GetOrCreateHistogram("parlor_log_append_seconds"),
		checkpoint:    set.GetOrCreateHistogram("parlor_checkpoint_seconds"),
		readRounds:    set.GetOrCreateCounter("parlor_read_rounds_total"),
		readIndexes:   set.GetOrCreateCounter("parlor_read_indexes_total"),
		renewals:      set.GetOrCreateCounter("parlor_certificate_renewals_total"),
		noSpace:       set.GetOrCreateCounter("parlor_requests_refused_no_space_total"),
		comparisons:   set.GetOrCreateCounter("parlor_state_comparisons_total"),
		mismatches:    set.GetOrCreateCounter("parlor_state_mismatches_total"),
		scrub:         set.GetOrCreateHistogram("parlor_scrub_seconds"),
		scrubbedRows:  set.GetOrCreateCounter("parlor_scrub_rows_total"),
		scrubbedBytes: set.GetOrCreateCounter("parlor_scrub_bytes_total"),
		scrubPasses:   set.GetOrCreateCounter("parlor_scrub_passes_total"),
	}
}

// gauges registers what is read when it is asked for.
func (n *Node) gauges(set *metrics.Set) {
	gauge := func(name string, f func() float64) { set.GetOrCreateGauge(name, f) }
	gauge("parlor_raft_state", func() float64 { return float64(n.raft.State()) }) // 0 follower, 1 candidate, 2 leader, 3 stopped
	gauge("parlor_raft_term", func() float64 { return float64(n.raft.CurrentTerm()) })
	gauge("parlor_raft_commit_index", func() float64 { return float64(n.raft.CommitIndex()) })
	gauge("parlor_raft_last_index", func() float64 { return float64(n.raft.LastIndex()) })
	gauge("parlor_applied_index", func() float64 { return float64(n.Applied()) })
	gauge("parlor_overlay_bytes", func() float64 { return float64(n.db.OverlayBytes()) })
	gauge("parlor_requests_waiting", func() float64 { count, _ := n.pending.load(); return float64(count) })
	gauge("parlor_requests_waiting_bytes", func() float64 { _, bytes := n.pending.load(); return float64(bytes) })
	gauge("parlor_quarantined", func() float64 { return oneIf(n.Quarantined() != nil) })
	gauge("parlor_voters", func() float64 { v, _ := n.voters(); return float64(v) })
	gauge("parlor_disk_free_bytes", func() float64 { return float64(n.opt.disk(n.opt.Dir).Free) })
	gauge("parlor_disk_total_bytes", func() float64 { return float64(n.opt.disk(n.opt.Dir).Total) })
	gauge("parlor_disk_needed_bytes", func() float64 {
		d := n.usage(false).disks[0]
		return float64(n.opt.Limits.need(d.Total) + d.coming + d.rows)
	})
	gauge("parlor_ballast_bytes", func() float64 { return float64(n.ballast()) })
	gauge("parlor_alarms", func() float64 { return float64(len(n.Alarms())) })
	gauge("parlor_alarm_raised", func() float64 { return oneIf(n.alarmOf(n.id.NodeID) != "") }) // by this member
	gauge("parlor_table_bytes", func() float64 { return float64(n.db.Stats().FileBytes) })
	gauge("parlor_table_free_pages", func() float64 { return float64(n.db.Stats().FreePages) })
	gauge("parlor_checkpoint_running", func() float64 { return oneIf(n.db.Stats().Checkpointing) })
	gauge("parlor_compaction_running", func() float64 { return oneIf(n.db.Stats().Compacting) })
	gauge("parlor_compactions", func() float64 { return float64(n.db.Stats().Compactions) }) // since the start
	gauge(`parlor_certificate_expiry_timestamp_seconds{use="cluster"}`, func() float64 {
		return float64(n.guard.ring.creds().cert.Leaf.NotAfter.Unix())
	})
	gauge("parlor_ca_expiry_timestamp_seconds", func() float64 {
		if ca := n.guard.ring.creds().issuer; ca != nil {
			return float64(ca.NotAfter.Unix())
		}
		return 0
	})
	gauge("parlor_ca_trusted", func() float64 { return float64(len(n.guard.ring.creds().trusted)) })
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

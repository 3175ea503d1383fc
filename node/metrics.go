package node

import (
	"io"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/parlorchat/parlor/metric"
)

// nodeMetrics are what an operator's monitoring reads.
type nodeMetrics struct {
	propose       *metrics.PrometheusHistogram
	refused       *metrics.Counter
	entryLatency  *metrics.PrometheusHistogram
	entryCommands *metrics.PrometheusHistogram
	entryBytes    *metrics.PrometheusHistogram
	append        *metrics.PrometheusHistogram
	braked        *metrics.FloatCounter
	checkpoint    *metrics.PrometheusHistogram
	readRounds    *metrics.Counter
	readIndexes   *metrics.Counter
	renewals      *metrics.Counter
	noSpace       *metrics.Counter
	comparisons   *metrics.Counter
	mismatches    *metrics.Counter
	scrub         *metrics.PrometheusHistogram
	scrubbedRows  *metrics.Counter
	scrubbedBytes *metrics.Counter
	scrubPasses   *metrics.Counter

	apply           *metrics.PrometheusHistogram // of what raft hands over at once
	checkpointBytes *metrics.Counter             // of rows and tombstones, as they were in memory
	leaderChanges   *metrics.Counter
	elected         *metrics.Counter
	snapshotsSent   *metrics.Counter
	snapshotsIn     *metrics.Counter
	bytesSent       *metrics.Counter
	bytesIn         *metrics.Counter
}

func newMetrics(set *metrics.Set) *nodeMetrics {
	histogram := set.GetOrCreatePrometheusHistogramExt
	return &nodeMetrics{
		propose:       histogram("parlor_propose_seconds", metric.Latency),
		refused:       set.GetOrCreateCounter("parlor_requests_without_outcome_total"),
		entryLatency:  histogram("parlor_entry_commit_seconds", metric.Latency),
		entryCommands: histogram("parlor_entry_commands", metric.Counts),
		entryBytes:    histogram("parlor_entry_bytes", metric.Sizes),
		append:        histogram("parlor_log_append_seconds", metric.Latency),
		braked:        set.GetOrCreateFloatCounter("parlor_entry_brake_seconds_total"),
		checkpoint:    histogram("parlor_checkpoint_seconds", metric.Work),
		readRounds:    set.GetOrCreateCounter("parlor_read_rounds_total"),
		readIndexes:   set.GetOrCreateCounter("parlor_read_indexes_total"),
		renewals:      set.GetOrCreateCounter("parlor_certificate_renewals_total"),
		noSpace:       set.GetOrCreateCounter("parlor_requests_refused_no_space_total"),
		comparisons:   set.GetOrCreateCounter("parlor_state_comparisons_total"),
		mismatches:    set.GetOrCreateCounter("parlor_state_mismatches_total"),
		scrub:         histogram("parlor_scrub_seconds", metric.Work),
		scrubbedRows:  set.GetOrCreateCounter("parlor_scrub_rows_total"),
		scrubbedBytes: set.GetOrCreateCounter("parlor_scrub_bytes_total"),
		scrubPasses:   set.GetOrCreateCounter("parlor_scrub_passes_total"),

		apply:           histogram("parlor_apply_seconds", metric.Latency),
		checkpointBytes: set.GetOrCreateCounter("parlor_checkpoint_bytes_total"),
		leaderChanges:   set.GetOrCreateCounter("parlor_leader_changes_total"),
		elected:         set.GetOrCreateCounter("parlor_elections_won_total"),
		snapshotsSent:   set.GetOrCreateCounter("parlor_snapshots_sent_total"),
		snapshotsIn:     set.GetOrCreateCounter("parlor_snapshots_received_total"),
		bytesSent:       set.GetOrCreateCounter("parlor_snapshot_sent_bytes_total"),
		bytesIn:         set.GetOrCreateCounter("parlor_snapshot_received_bytes_total"),
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
	gauge("parlor_apply_backlog_entries", func() float64 { return float64(n.raft.CommitIndex()) - float64(min(n.Applied(), n.raft.CommitIndex())) })
	gauge("parlor_leader_known", func() float64 { return oneIf(n.Leader() != "") })
	gauge("parlor_last_contact_seconds", func() float64 {
		if c := n.lastContact(); c != nil {
			return *c
		}
		return 0 // it leads, or has heard of no leader yet
	})
	gauge("parlor_checkpoint_age_seconds", func() float64 { return time.Since(n.lastCheckpoint()).Seconds() })
	gauge("parlor_table_readers", func() float64 { return float64(n.db.Stats().Readers) })
	gauge("parlor_table_reusable_bytes", func() float64 { st := n.db.Stats(); return float64((st.FreePages + st.PendingPages) * st.PageSize) })
	gauge("parlor_draining", func() float64 { return oneIf(n.Draining()) })
	gauge("parlor_overlay_bytes", func() float64 { return float64(n.db.OverlayBytes()) })
	gauge("parlor_table_recent_bytes", func() float64 { return float64(n.db.Stats().RecentBytes) })
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
	gauge("parlor_garbage_left", func() float64 { return oneIf(n.db.Stats().GarbageLeft) }) // rows of what was deleted are still in the table
	gauge("parlor_table_compaction_running", func() float64 { return oneIf(n.db.Stats().Compacting) })
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
	set.RegisterMetricsWriter(n.peers.write)
	set.RegisterMetricsWriter(func(w io.Writer) {
		st := n.db.Stats()
		metrics.WriteCounterUint64(w, "parlor_table_compactions_total", st.Compactions)
		metrics.WriteCounterUint64(w, "parlor_garbage_rows_total", st.GarbageCollected)
	})
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

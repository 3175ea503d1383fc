package resp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"time"

	"github.com/parlorchat/parlor/metric/memory"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis"
)

var (
	minScore, maxScore = math.Inf(-1), math.Inf(1)
	maxStreamID        = keyspace.StreamID{Ms: math.MaxUint64, Seq: math.MaxUint64}
)

// infoSection is one section of INFO. Clients read fields by name: names stay.
type infoSection struct {
	name   string
	extra  bool // only when asked for
	fields func(s *session, f *infoFields) error
}

// title is the section's heading. Some programs look for it.
func (s *infoSection) title() string {
	if s.name == "cpu" {
		return "CPU"
	}
	return strings.ToUpper(s.name[:1]) + s.name[1:]
}

func infoSections() []infoSection {
	return []infoSection{
		{"server", false, infoServer},
		{"clients", false, infoClients},
		{"memory", false, infoMemory},
		{"persistence", false, infoPersistence},
		{"stats", false, infoStats},
		{"replication", false, infoReplication},
		{"cpu", false, infoCPU},
		{"modules", false, func(*session, *infoFields) error { return nil }},
		{"commandstats", true, infoCommandStats},
		{"errorstats", false, infoErrorStats},
		{"latencystats", true, infoLatencyStats},
		{"cluster", false, func(_ *session, f *infoFields) error { f.add("cluster_enabled", 0); return nil }},
		{"parlor", false, infoParlor},
		{"keyspace", false, infoKeyspace},
	}
}

// infoFields collects "name:value" lines.
type infoFields struct {
	b strings.Builder
	// status asks for the state of the group, once, since that may take the
	// time of a call to other nodes; false: nobody knows it.
	status func() (Status, bool)
}

func (f *infoFields) add(name string, value any) { fmt.Fprintf(&f.b, "%s:%v\r\n", name, value) }

// amount adds a number of bytes, for programs and for people.
func (f *infoFields) amount(name string, n int64) {
	f.add(name, n)
	f.add(name+"_human", humanBytes(uint64(n)))
}

// none adds figures of what there is in Redis and not here. Programs that watch
// servers read them all the same.
func (f *infoFields) none(value any, names string) {
	for name := range strings.FieldsSeq(names) {
		f.add(name, value)
	}
}

func (s *session) info(args [][]byte) (command.Reply, error) {
	wanted := map[string]bool{}
	for _, a := range args[1:] {
		wanted[strings.ToLower(string(a))] = true
	}
	everything := wanted["all"] || wanted["everything"]
	usual := len(wanted) == 0 || wanted["default"] || everything
	f := infoFields{status: sync.OnceValues(s.server.status)}
	for _, sec := range infoSections() {
		if !wanted[sec.name] && (!usual || sec.extra && !everything) {
			continue
		}
		if f.b.Len() > 0 {
			f.b.WriteString("\r\n")
		}
		fmt.Fprintf(&f.b, "# %s\r\n", sec.title())
		if err := sec.fields(s, &f); err != nil {
			return command.Reply{}, err
		}
	}
	return command.Verbatim(f.b.String()), nil
}

func infoServer(s *session, f *infoFields) error {
	up := s.server.stopwatch()
	f.add("redis_version", redisVersion)
	f.add("redis_git_sha1", "00000000")
	f.add("redis_git_dirty", 0)
	f.add("redis_build_id", s.server.config.Version)
	f.add("redis_mode", "standalone")
	f.add("server_name", "parlor")
	f.add("parlor_version", s.server.config.Version)
	f.add("os", runtime.GOOS+" "+runtime.GOARCH)
	f.add("arch_bits", 32<<(^uint(0)>>63))
	f.add("go_version", runtime.Version())
	f.add("multiplexing_api", "goroutines")
	f.add("process_id", os.Getpid())
	f.add("process_supervised", "no")
	if st, ok := f.status(); ok {
		f.add("run_id", runID(st.NodeID))
	}
	f.add("tcp_port", s.server.port())
	f.add("server_time_usec", time.Now().UnixMicro())
	f.add("uptime_in_seconds", int64(up.Seconds()))
	f.add("uptime_in_days", int64(up.Hours()/24))
	f.add("hz", 10)
	f.add("configured_hz", 10)
	f.add("lru_clock", time.Now().Unix()&(1<<24-1))
	if path, err := os.Executable(); err == nil {
		f.add("executable", path)
	}
	f.add("config_file", "")
	f.add("io_threads_active", 0)
	return nil
}

func infoClients(s *session, f *infoFields) error {
	st := &s.server.stats
	f.add("connected_clients", st.Clients.Load())
	f.add("cluster_connections", 0)
	f.add("maxclients", s.server.live.maxClients.Load())
	f.add("client_recent_max_input_buffer", s.server.largest(func(c *session) int64 { return c.guard.held.Load() }))
	f.add("client_recent_max_output_buffer", s.server.largest(func(c *session) int64 { return int64(c.guard.out.waiting()) }))
	f.add("blocked_clients", st.Blocked.Load())
	tracking, _, _, _ := s.server.tracking.figures()
	f.add("tracking_clients", tracking)
	f.add("pubsub_clients", s.server.count(func(c *session) bool { return c.subscriptions() > 0 }))
	return nil
}

func infoMemory(s *session, f *infoFields) error {
	m, rss := s.server.memoryFigures(), int64(memory.Resident())
	ratio := func(name string, of, to int64) {
		f.add(name+"_ratio", fmt.Sprintf("%.2f", float64(of)/float64(max(to, 1))))
		f.add(name+"_bytes", of-to)
	}
	f.amount("used_memory", m.heap)
	f.amount("used_memory_rss", rss)
	f.amount("used_memory_peak", m.peak)
	f.add("used_memory_peak_perc", fmt.Sprintf("%.2f%%", percent(m.heap, m.peak)))
	f.add("used_memory_overhead", m.overhead())
	f.add("used_memory_startup", m.atStart)
	f.add("used_memory_dataset", m.data)
	f.add("used_memory_dataset_perc", fmt.Sprintf("%.2f%%", m.dataShare()))
	f.add("allocator_allocated", m.heap)
	f.add("allocator_active", m.inUse)
	f.add("allocator_resident", m.fromSystem)
	f.amount("total_system_memory", int64(memory.Total()))
	for name := range strings.FieldsSeq("used_memory_lua used_memory_vm_total used_memory_scripts maxmemory") {
		f.amount(name, 0)
	}
	f.none(0, "used_memory_vm_eval used_memory_vm_functions used_memory_scripts_eval used_memory_functions "+
		"number_of_cached_scripts number_of_functions number_of_libraries")
	f.add("maxmemory_policy", "noeviction")
	ratio("allocator_frag", m.inUse, m.heap)
	ratio("allocator_rss", m.fromSystem, m.inUse)
	ratio("rss_overhead", rss, m.fromSystem)
	ratio("mem_fragmentation", m.fromSystem, m.heap)
	f.add("mem_clients_normal", s.server.clientBytes(classNormal))
	f.add("mem_clients_pubsub", s.server.clientBytes(classPubsub))
	f.none(0, "mem_not_counted_for_evict mem_replication_backlog mem_total_replication_buffers mem_clients_slaves "+
		"mem_cluster_links mem_aof_buffer")
	f.add("mem_allocator", "go")
	f.none(0, "active_defrag_running lazyfree_pending_objects lazyfreed_objects")
	return nil
}

// infoPersistence has nothing of Redis' two ways to the disk: what was answered
// is there, and checkpoints are told of by /metrics.
func infoPersistence(_ *session, f *infoFields) error {
	f.none(0, "loading async_loading current_cow_peak current_cow_size current_cow_size_age current_fork_perc "+
		"current_save_keys_processed current_save_keys_total rdb_changes_since_last_save rdb_bgsave_in_progress")
	f.add("rdb_last_save_time", time.Now().Unix()) // as LASTSAVE
	f.add("rdb_last_bgsave_status", "ok")
	f.none(-1, "rdb_last_bgsave_time_sec rdb_current_bgsave_time_sec")
	f.none(0, "rdb_saves rdb_last_cow_size rdb_last_load_keys_expired rdb_last_load_keys_loaded")
	f.add("aof_enabled", 1)
	f.none(0, "aof_rewrite_in_progress aof_rewrite_scheduled")
	f.none(-1, "aof_last_rewrite_time_sec aof_current_rewrite_time_sec")
	f.add("aof_last_bgrewrite_status", "ok")
	f.add("aof_last_write_status", "ok")
	f.none(0, "aof_rewrites aof_rewrites_consecutive_failures aof_last_cow_size module_fork_in_progress module_fork_last_cow_size")
	if st, ok := f.status(); ok && st.DiskBytes > 0 {
		f.add("data_bytes", st.DiskBytes)
	}
	return nil
}

func infoStats(s *session, f *infoFields) error {
	st := &s.server.stats
	f.add("total_connections_received", st.Accepted.Load())
	f.add("total_commands_processed", st.Commands.Load())
	f.add("instantaneous_ops_per_sec", s.server.rates.commands.Load())
	f.add("total_net_input_bytes", st.BytesIn.Load())
	f.add("total_net_output_bytes", st.BytesOut.Load())
	f.none(0, "total_net_repl_input_bytes total_net_repl_output_bytes")
	f.add("instantaneous_input_kbps", fmt.Sprintf("%.2f", float64(s.server.rates.bytesIn.Load())/1024))
	f.add("instantaneous_output_kbps", fmt.Sprintf("%.2f", float64(s.server.rates.bytesOut.Load())/1024))
	f.none("0.00", "instantaneous_input_repl_kbps instantaneous_output_repl_kbps")
	f.add("rejected_connections", st.Refused.Load())
	f.none(0, "sync_full sync_partial_ok sync_partial_err")
	status, _ := f.status()
	f.add("expired_keys", status.Expired)
	f.none("0.00", "expired_stale_perc")
	f.none(0, "expired_time_cap_reached_count expire_cycle_cpu_milliseconds evicted_keys")
	f.add("evicted_clients", st.Evicted.Load())
	f.none(0, "total_eviction_exceeded_time current_eviction_exceeded_time")
	f.add("keyspace_hits", st.Hits.Load())
	f.add("keyspace_misses", st.Misses.Load())
	f.add("pubsub_channels", s.server.pubsub.size(byChannel))
	f.add("pubsub_patterns", s.server.pubsub.size(byPattern))
	f.add("pubsubshard_channels", s.server.pubsub.size(byShard))
	f.none(0, "latest_fork_usec total_forks migrate_cached_sockets slave_expires_tracked_keys active_defrag_hits active_defrag_misses "+
		"active_defrag_key_hits active_defrag_key_misses total_active_defrag_time current_active_defrag_time")
	s.server.tracking.settle(s.server.store.Visible())
	_, keys, items, prefixes := s.server.tracking.figures()
	f.add("tracking_total_keys", keys)
	f.add("tracking_total_items", items)
	f.add("tracking_total_prefixes", prefixes)
	f.none(0, "unexpected_error_replies")
	f.add("total_error_replies", st.Failed.Load())
	f.add("protocol_errors", st.ProtocolErrors.Load())
	f.add("timed_out_connections", st.TimedOut.Load())
	f.none(0, "dump_payload_sanitizations io_threaded_reads_processed io_threaded_writes_processed reply_buffer_shrinks reply_buffer_expands")
	f.add("client_output_buffer_limit_disconnections", st.Lagged.Load())
	f.add("acl_access_denied_auth", st.AuthFailures.Load())
	return nil
}

// infoReplication: every node takes writes, so to a client each is a master.
func infoReplication(_ *session, f *infoFields) error {
	st, _ := f.status()
	f.add("role", "master")
	f.add("connected_slaves", max(st.Members-1, 0))
	f.add("master_failover_state", "no-failover")
	f.add("master_replid", runID(st.Epoch))
	f.add("master_replid2", strings.Repeat("0", 40))
	f.add("master_repl_offset", st.Applied)
	f.add("second_repl_offset", -1)
	f.none(0, "repl_backlog_active repl_backlog_size repl_backlog_first_byte_offset repl_backlog_histlen")
	return nil
}

func infoCPU(_ *session, f *infoFields) error {
	user, system := processorTimes()
	f.add("used_cpu_sys", fmt.Sprintf("%.6f", system))
	f.add("used_cpu_user", fmt.Sprintf("%.6f", user))
	f.add("used_cpu_sys_children", "0.000000")
	f.add("used_cpu_user_children", "0.000000")
	f.add("used_cpu_gc", fmt.Sprintf("%.6f", metricFloat("/cpu/classes/gc/total:cpu-seconds")))
	return nil
}

func infoCommandStats(s *session, f *infoFields) error {
	for _, c := range s.server.CommandStats() {
		perCall := 0.0
		if c.Calls > 0 {
			perCall = float64(c.Time.Microseconds()) / float64(c.Calls)
		}
		f.add("cmdstat_"+strings.ToLower(c.Name), fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			c.Calls, c.Time.Microseconds(), perCall, c.Rejected, c.Failures-c.Rejected))
	}
	return nil
}

// infoLatencyStats tells within how many µs most calls of a command ended.
func infoLatencyStats(s *session, f *infoFields) error {
	s.server.catalog.each(func(e *entry) {
		h := &e.calls.times
		if h.total() == 0 {
			return
		}
		var of []string
		for _, p := range *s.server.live.percentiles.Load() {
			of = append(of, fmt.Sprintf("p%s=%.3f", percentileName(p), float64(h.percentile(p))))
		}
		f.add("latency_percentiles_usec_"+e.lower, strings.Join(of, ","))
	})
	return nil
}

// runID makes the forty hexadecimal digits that programs expect of an id.
func runID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:20])
}

// largest gives the most that a connection has of something.
func (s *Server) largest(of func(*session) int64) (n int64) {
	for _, c := range s.clients() {
		n = max(n, of(c))
	}
	return n
}

// count tells how many connections are in some way.
func (s *Server) count(so func(*session) bool) (n int) {
	for _, c := range s.clients() {
		if so(c) {
			n++
		}
	}
	return n
}

// clientBytes estimates what the connections of a class use.
func (s *Server) clientBytes(class clientClass) (n int64) {
	for _, c := range s.clients() {
		if c.class() == class {
			n += c.memory()
		}
	}
	return n
}

func infoParlor(_ *session, f *infoFields) error {
	st, ok := f.status()
	if !ok {
		return nil
	}
	f.add("node_id", st.NodeID)
	f.add("raft_role", st.Role)
	f.add("raft_leader", st.Leader)
	f.add("raft_term", st.Term)
	f.add("raft_commit", st.Commit)
	f.add("raft_applied", st.Applied)
	f.add("members", st.Members)
	f.add("epoch", st.Epoch)
	f.add("state_hash", st.StateHash)
	return nil
}

// infoKeyspace shows this node's state: INFO answers without a leader too.
func infoKeyspace(s *session, f *infoFields) error {
	err := s.server.store.View(func(tx *keyspace.Tx) error {
		for db := range uint8(keyspace.Databases) {
			tx.Select(db)
			if keys, expires := redis.Count(tx); keys > 0 {
				ttl := int64(0)
				if expires > 0 {
					ttl = redis.AverageTTL(tx, s.rng())
				}
				f.add(fmt.Sprintf("db%d", db), fmt.Sprintf("keys=%d,expires=%d,avg_ttl=%d", keys, expires, ttl))
			}
		}
		return nil
	})
	if err != nil {
		return storeError(err, command.ErrUnconfirmed)
	}
	return nil
}

// status tells the state of the group; false: nobody knows it.
func (s *Server) status() (Status, bool) {
	if s.config.Status == nil {
		return Status{}, false
	}
	return s.config.Status(), true
}

func metricFloat(name string) float64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64 {
		return 0
	}
	return sample[0].Value.Float64()
}

func humanBytes(n uint64) string {
	v, unit := float64(n), 0
	for v >= 1024 && unit < 4 {
		v /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%dB", n)
	}
	return fmt.Sprintf("%.2f%c", v, "BKMGT"[unit])
}

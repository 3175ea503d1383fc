package node

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/metric/memory"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Options say how a member is to run. Dir and Table are needed, and Cluster
// to form or join; all else has a default.
type Options struct {
	// Dir is the data folder. One process at a time uses it.
	Dir string
	// Cluster is the address "host:port" at which the other members reach
	// this one, and its listening address unless Listen is set. Port 0 takes
	// a free one, once: the address is kept in the data folder. Empty after
	// forming: as kept.
	Cluster string
	// Listen is the listening address of the cluster port, where it differs
	// from Cluster (behind NAT, or "0.0.0.0:7400").
	Listen string
	// Peers are cluster addresses of other members, to be asked where everybody
	// is: for members that were all moved while none ran. Usually none.
	Peers []string
	// Name is what people call this member; default: the host's name.
	Name string
	// HTTP and RESP are the addresses of this member's servers, told to the
	// others so that any member can name them all. Both may be set later,
	// when the servers listen: see Announce.
	HTTP, RESP string
	// Version of the program, shown in Status.
	Version string

	// Table is all the commands that the group understands.
	Table *command.Table
	// Resume is proposed by a new leader before its first Tick: while nobody
	// led, nobody could give a sign of life. Nil: nothing.
	Resume command.Args
	// Tick is proposed by the leader about once a second while Due says that
	// something waits for the time to pass. Nil: never.
	Tick command.Args
	// Due looks at the state: is there anything for Tick to do now?
	Due func(tx *keyspace.Tx) bool

	// Drained, if any, is told when an operator wants nobody to use this
	// member (drain), and when he changed his mind (resume). It must not wait
	// for the node.
	Drained func(bool)

	// Renew begins a new history, named by the epoch, in a state that is about
	// to take the place of another one: restored or recovered. Nil: nothing.
	Renew func(tx *keyspace.Tx, epoch string) error

	// Admin is further handlers of the admin socket, by pattern.
	Admin map[string]http.HandlerFunc

	// Log receives what an operator may want to know; default: nothing.
	Log *slog.Logger
	// Metrics receives the member's metrics; default: a set of its own.
	Metrics *metrics.Set
	// Fatal is called when going on would risk the data: a failed or hung
	// disk, an entry that cannot be understood. It must end the process;
	// default: log the reason and exit with status 1. Memory and disk may
	// disagree by then, only a new process is sure to be consistent.
	Fatal func(reason error)

	Limits Limits
	Timing Timing

	wall func() time.Time       // this machine's clock, for certificates; tests have others
	disk func(path string) Disk // the file system of a file; tests have others

	wire  func(transport) transport         // around raft's network; nil: nothing, tests lose and delay there
	store func(raft.LogStore) raft.LogStore // around the log's files; nil: nothing, tests hold them up
}

// Limits bound what waits and what is kept. Zero values take the defaults.
type Limits struct {
	EntryBytes      int           // a log entry of many requests; default 256 KiB
	EntryCommands   int           // commands in such an entry; default 512
	RequestBytes    int           // one request; default 32 MiB
	WaitingBytes    int           // requests of this member without an outcome; default 128 MiB
	WaitingRequests int           // the same, counted; default 200 000
	EntriesInFlight int           // entries handed to raft and not yet applied; default 2
	OverlayBytes    int64         // rows in memory that call for a checkpoint; default 1/64 of the memory, 64 to 256 MiB, at most 1/64 of the disk
	OverlayHard     int64         // … and that writes are refused at; default 4 × OverlayBytes up to 512 MiB, 2 × at least
	CheckpointEvery time.Duration // longest time changed rows stay in memory only; default 30 s
	LogBytes        int64         // of the log behind the checkpoint, kept for slow members; default 512 MiB, at most an eighth of the disk
	LogEntries      uint64        // the same, counted, instead of by size; default 0: by size
	ScrubBytes      int64         // of the table that all members compare per second; default 1 MiB
	DiskFree        int64         // of each disk, to be free: below it the group takes only what makes room; default a tenth, at most 2 GiB; below 0: whatever
	TableQuota      int64         // that the table may hold, else the same; default 0: what fits
	Ballast         int64         // of a file that only takes room, to be deleted on a full disk; default 0: none; below 0: a hundredth of the disk, at most 256 MiB

	segmentBytes int // of a file of the log
}

// Budgets of machines that are large enough; see budget.
const (
	logBytes     = 512 << 20
	overlayBytes = 64 << 20 // of a machine with little memory
	overlayMost  = 256 << 20
	overlayHard  = 512 << 20
	segmentBytes = 64 << 20
)

// Timing is how patient a member is. Zero values take the defaults, which
// suit a local network; tests are less patient.
type Timing struct {
	Heartbeat   time.Duration // silence before a follower asks for an election; default 1 s
	Election    time.Duration // … and a candidate for another one; default 1 s
	LeaderLease time.Duration // silence of the majority before a leader steps down; default 500 ms
	Commit      time.Duration // before followers hear again what is committed, in case they missed it; default 50 ms
	Propose     time.Duration // longest wait for a write or a read index; default 10 s
	Tick        time.Duration // between looks at what is due; default 1 s
	Stable      time.Duration // how long a new member must keep up to get a vote; default 3 s
	Housekeep   time.Duration // between looks at checkpoint and membership; default 500 ms
	Handover    time.Duration // longest wait for another leader when closing; default 2 s
	Watchdog    time.Duration // a log append that takes longer ends the process; default 5 s
	CertLife    time.Duration // of a member's certificate, which is renewed after two thirds of it; default 90 days
	Reconnect   time.Duration // longest life of a connection between members; default 1 h
	Compare     time.Duration // between comparisons of the members' states; default 2 s
	Scrub       time.Duration // between pieces of their tables that they compare; default 16 s
	Calm        time.Duration // there must be enough room for so long until an alarm ends; default 5 s
	Forgive     time.Duration // until the leader ends the alarm of a member that does not answer; default 30 s
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name, _ = os.Hostname()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.Fatal == nil {
		log := o.Log
		o.Fatal = func(reason error) {
			log.Error("stopping at once, the data is as of the last acknowledged write", "reason", withRoom(o.Dir, reason))
			os.Exit(1)
		}
	}
	if o.wall == nil {
		o.wall = time.Now
	}
	if o.disk == nil {
		o.disk = diskOf
	}
	o.Limits = o.Limits.budget(o.disk(o.Dir).Total, memory.Limit()).withDefaults()
	o.Timing = o.Timing.withDefaults()
	return o
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.EntryBytes, 256<<10)
	orDefault(&l.EntryCommands, 512)
	orDefault(&l.RequestBytes, 32<<20)
	orDefault(&l.WaitingBytes, 128<<20)
	orDefault(&l.WaitingRequests, 200_000)
	orDefault(&l.EntriesInFlight, 2)
	orDefault(&l.OverlayBytes, overlayBytes)
	orDefault(&l.OverlayHard, max(2*l.OverlayBytes, min(4*l.OverlayBytes, overlayHard)))
	orDefault(&l.CheckpointEvery, 30*time.Second)
	orDefault(&l.LogBytes, logBytes)
	orDefault(&l.segmentBytes, segmentBytes)
	orDefault(&l.ScrubBytes, 1<<20)
	return l
}

func (t Timing) withDefaults() Timing {
	orDefault(&t.Heartbeat, time.Second)
	orDefault(&t.Election, max(time.Second, t.Heartbeat))
	orDefault(&t.LeaderLease, t.Heartbeat/2)
	orDefault(&t.Commit, 50*time.Millisecond)
	orDefault(&t.Propose, 10*time.Second)
	orDefault(&t.Tick, time.Second)
	orDefault(&t.Stable, 3*time.Second)
	orDefault(&t.Housekeep, 500*time.Millisecond)
	orDefault(&t.Handover, 2*time.Second)
	orDefault(&t.Watchdog, 5*time.Second)
	orDefault(&t.CertLife, 90*24*time.Hour)
	orDefault(&t.Reconnect, time.Hour)
	orDefault(&t.Compare, 2*time.Second)
	orDefault(&t.Scrub, 16*time.Second)
	orDefault(&t.Calm, 5*time.Second)
	orDefault(&t.Forgive, 30*time.Second)
	return t
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// check refuses what cannot work, before anything is touched.
func (o *Options) check() error {
	if o.Dir == "" {
		return fail(CodeInvalid, "no data folder was given")
	}
	if o.Table == nil {
		return fail(CodeInvalid, "no table of commands was given")
	}
	for _, a := range append([]string{o.Cluster, o.Listen}, o.Peers...) {
		if a == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fail(CodeInvalid, "cluster address "+a+" is not of the form host:port")
		}
	}
	return nil
}

// checkAdvertised refuses an address that other members could not dial.
func checkAdvertised(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fail(CodeInvalid, "cluster address "+addr+" is not of the form host:port")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fail(CodeInvalid, "cluster address "+addr+" names no host that the other members could reach: give the one to be reached at, and a listening address beside it if they differ")
	}
	if strings.ContainsAny(addr, "@ ") {
		return fail(CodeInvalid, "cluster address "+addr+" has a character that no address has")
	}
	return nil
}

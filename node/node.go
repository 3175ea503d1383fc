package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Node is a running member of a group.
type Node struct {
	opt     Options
	id      Identity
	log     *slog.Logger
	guard   *guard
	metrics *nodeMetrics
	lock    io.Closer // of the data folder; nil while Init holds it

	selfMu sync.Mutex // guards opt.HTTP and opt.RESP

	machine               // the state machine, its table and its log
	raft       *raft.Raft // and the rest: from start on
	notify     chan bool
	streams    *raftStreams
	trans      *raftTransport
	port       *port
	calls      *callClient
	book       *addressBook
	routes     *routes
	lead       leadership
	clock      *leaderClock
	pending    *pending
	inbox      *inbox
	batcher    *batcher
	applied    applied
	watchers   *watchers
	effects    *effects
	broadcasts *broadcasts

	reads       *readIndexer // for readers on this member
	leaderRound *readIndexer // for followers, while this member leads

	complaints   *recentTexts
	accepting    atomic.Bool  // the batcher takes what followers send
	expelled     atomic.Bool  // removed from the group
	draining     atomic.Bool  // an operator wants nobody to use it
	checkpointed atomic.Int64 // when, Unix nanoseconds
	pulse        atomic.Int64 // when everything was last seen to move, Unix nanoseconds
	readTime     *readTime
	solitude     solitude
	readers      sync.Pool // of windows that short reads have used
	quarantined  ward
	peers        peerFigures
	looking      sync.Mutex              // at the room: watchRoom
	tight        time.Time               // when there was too little room; guarded by looking
	alarms       atomic.Pointer[[]Alarm] // of all members; nil or empty: none
	inQuarantine wards                   // other members, while this one leads
	undecided    time.Time               // since when comparing has found no majority
	scrub        scrubber
	reseeding    sync.Mutex
	receiving    atomic.Bool  // the leader's table is on its way to this member
	levelSeen    atomic.Int64 // the feature level that is, or is about to be, in the data folder
	keeping      sync.Mutex   // guards kept
	kept         Identity     // as it is in the data folder
	changing     sync.Mutex   // one change of the membership at a time
	restoring    sync.Mutex   // one restore at a time
	unsettled    atomic.Bool  // there is a mark of a restore
	replacing    atomic.Bool  // the state is being replaced by a restore of this member
	renewing     sync.Mutex   // one change of the credentials at a time
	rotation     sync.Mutex   // one step of replacing the authority at a time
	transferring sync.Mutex   // the leadership is handed over once at a time
	joins        chan struct{}
	announce     chan struct{}
	starts       []uint64      // numbers of the last starts, this one at the end
	introduced   chan struct{} // closed when this start may take part in raft
	denied       atomic.Bool   // the folder is not this member's any more

	ctx     context.Context // ends with the member
	cancel  context.CancelFunc
	work    sync.WaitGroup
	started bool
	closing sync.Once
	closed  error
}

// Open takes the data folder of a member and opens what is in it. Nothing runs
// before Start. The error has the code NOTFORMED if the folder belongs to
// nobody, LOCKED if another process uses it.
func Open(opts Options) (*Node, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	id, err := Inspect(opts.Dir)
	if err != nil {
		return nil, err
	}
	if err := (&Node{opt: opts}).checkOwnLevel(id.level()); err != nil {
		return nil, err
	}
	if err := checkDenied(opts.Dir); err != nil {
		return nil, err
	}
	lock, err := lockFolder(opts.Dir)
	if err != nil {
		return nil, err
	}
	n, err := openMember(opts)
	if err != nil {
		lock.Close()
		return nil, withRoom(opts.Dir, err)
	}
	n.lock = lock
	if err := n.checkSettled(); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

func openMember(opts Options) (*Node, error) {
	id, err := Inspect(opts.Dir)
	if err != nil {
		return nil, err
	}
	moved := opts.Cluster != "" && opts.Cluster != id.Cluster
	if moved || opts.Listen != "" && opts.Listen != id.Listen {
		if moved {
			if id.Cluster, err = chooseAddress(opts); err != nil {
				return nil, err
			}
		}
		id.Listen = opts.Listen
		if err := id.write(opts.Dir); err != nil {
			return nil, err
		}
	}
	return open(opts, id)
}

// open opens everything on disk; the caller holds the lock of the folder.
func open(opts Options, id Identity) (*Node, error) {
	n, err := prepare(opts, id)
	if err != nil {
		return nil, err
	}
	if err := n.machine.open(n); err != nil {
		return nil, err
	}
	if err := n.keepCertificate(false); err != nil {
		return nil, errors.Join(err, n.machine.close())
	}
	return n, nil
}

// prepare makes a member, without what it has on disk.
func prepare(opts Options, id Identity) (*Node, error) {
	n := &Node{
		opt: opts, id: id, kept: id, log: opts.Log.With("node", id.NodeID[:8]),
		metrics:    newMetrics(opts.Metrics),
		notify:     make(chan bool),
		inbox:      newInbox(),
		watchers:   newWatchers(),
		effects:    newEffects(),
		broadcasts: newBroadcasts(),
		readTime:   newReadTime(),
		complaints: newRecentTexts(),
		joins:      make(chan struct{}, joinsAtOnce),
		announce:   make(chan struct{}, 1),
		introduced: make(chan struct{}),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.clock = newLeaderClock(n.log, opts.wall)
	n.routes = newRoutes(n.metrics.leaderChanges.Inc)
	n.reads, n.leaderRound = newReadIndexer(n.readRound), newReadIndexer(n.leaderReadIndex)
	creds, err := loadCredentials(opts.Dir)
	if err != nil {
		return nil, err
	}
	n.guard = &guard{
		clusterID: id.ClusterID, ring: newKeyring(creds), removed: n.isRemoved,
		clocks: n.clocks, longest: opts.Timing.Reconnect, mint: n.mintFor,
	}
	cluster, self, err := memberOf(creds.cert.Leaf)
	if err != nil || cluster != id.ClusterID || self != id.NodeID {
		return nil, fail(CodeWrongCluster, "the certificate in "+filepath.Join(opts.Dir, pkiFolder)+" is not that of member "+id.NodeID+" of group "+id.ClusterID)
	}
	if err := reapStaging(opts.Dir); err != nil {
		return nil, err
	}
	if n.starts, err = beginStart(opts.Dir); err != nil {
		return nil, err
	}
	if err := n.loadQuarantine(); err != nil {
		return nil, err
	}
	n.pending = newPending(id.origin(), n.starts[len(n.starts)-1], opts.Table, opts.Limits)
	return n, nil
}

// Start takes part in the group: it returns when the cluster port is open and
// raft runs, which does not mean that there is a leader: see WaitReady. After
// an error only Close may be called.
func (n *Node) Start(ctx context.Context) error {
	if err := n.start(ctx); err != nil {
		return err
	}
	admin, err := listenAdmin(n.opt.Dir)
	if err != nil {
		return err
	}
	n.background(func() { n.serveAdmin(n.ctx, admin) })
	n.background(func() { n.announcing(n.ctx) })
	return nil
}

func (n *Node) start(context.Context) error {
	n.book = newAddressBook()
	n.calls = newCallClient(n.guard, n.book)
	ln, err := listen(n.id.listenAddr())
	if err != nil {
		return err
	}
	n.openPort(ln)
	n.wal.ahead = n.trans.ahead
	n.checkpointed.Store(time.Now().UnixNano())
	if n.raft, err = raft.NewRaft(n.raftConfig(), watchedFSM{n.fsm, n.metrics.apply, &n.solitude.changes}, n.logs, n.stable, n.snapshots, n.trans); err != nil {
		ln.Close()
		n.trans.Close()
		return fmt.Errorf("starting raft: %w", err)
	}
	n.started = true
	n.trans.begin(n.raft)
	n.book.follow(n.configured)
	n.batcher = &batcher{raft: n.raft, pending: n.pending, inbox: n.inbox, clock: n.clock, limits: n.opt.Limits, metrics: n.metrics, outrun: n.db.Outrun, landed: make(chan struct{}, 1)}
	n.gauges(n.opt.Metrics)

	n.background(func() { n.followLeadership(n.ctx.Done()) })
	n.background(func() { n.routes.follow(n.raft, n.ctx.Done()) })
	n.background(func() { n.carry(n.ctx) })
	n.background(func() { n.expiring(n.ctx) })
	n.background(func() { n.pending.tellAll() })
	n.background(func() { n.hearing(n.ctx) })
	n.background(func() { n.reads.serve(n.ctx) })
	n.background(func() { n.tellReaders() })
	n.background(func() { n.leaderRound.serve(n.ctx) })
	n.background(func() { n.checkpointing(n.ctx) })
	n.background(func() { n.attending(n.ctx) })
	n.background(func() { n.beating(n.ctx) })
	n.background(func() { n.keepingCertificates(n.ctx) })
	n.background(func() { n.watchingRoom(n.ctx) })
	n.background(func() { n.wal.guard(n.ctx, n.opt.Timing.Watchdog, n.opt.Fatal) })
	n.RunAsLeader(n.tick)
	n.RunAsLeader(n.governing)
	n.RunAsLeader(n.rotating)
	n.RunAsLeader(n.comparing)
	n.RunAsLeader(n.forgiving)
	n.RunAsLeader(n.watchingPeers)
	n.port.start() // last: those who connect are served at once
	n.background(func() { n.introduce(n.ctx) })
	if n.onlyVoter() {
		// It need not listen first whether somebody leads. If this fails, it is
		// elected after the usual silence.
		n.background(n.stand)
	}
	return nil
}

// openPort prepares the cluster port and what is served there.
func (n *Node) openPort(ln net.Listener) {
	n.streams = newRaftStreams(n.guard, n.id.Cluster)
	var wire transport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		ServerAddressProvider: n.book,
		Logger:                newRaftLog(n.log, "raft-net"),
		Stream:                n.streams,
		MaxPool:               3,
		MaxRPCsInFlight:       1, // pipelining has an open deadlock and gains nothing with batches
		Timeout:               10 * time.Second,
	})
	if n.opt.wire != nil {
		wire = n.opt.wire(wire)
	}
	n.trans = newRaftTransport(n.serves, n.meetForVote, wire)
	answers := &callServer{ctx: n.ctx, removed: n.isRemoved, methods: map[string]handler{
		callReadIndex: n.answerReadIndex,
		callReadPoint: n.answerReadPoint,
		callTime:      n.answerTime,
		callAnnounce:  n.answerAnnounce,
		callMeet:      n.answerMeet,
		callState:     n.answerState,
		callOperate:   n.answerOperate,
		callBroadcast: n.answerBroadcast,
		callCert:      n.answerCert,
		callRenew:     n.answerRenew,
		callRotate:    n.answerRotate,
		callHash:      n.answerHash,
		callScrub:     n.answerScrub,
		callDiffers:   n.answerDiffers,
		callRoom:      n.answerRoom,
		callGone:      n.answerGone,
	}}
	n.port = newPort(ln, n.guard.server(), n.guard.still, n.log)
	n.port.serve[protoRaft] = func(conn *tls.Conn) {
		if n.waitIntroduced(n.ctx) == nil {
			n.streams.serve(conn)
		}
	}
	n.port.serve[protoWrites] = n.serveWrites
	n.port.serve[protoCalls] = answers.serve
	n.port.serve[protoSeed] = n.serveSeed
	n.port.serve[protoJoin] = n.serveJoin
}

// background runs something that Close waits for.
func (n *Node) background(fn func()) { n.work.Go(fn) }

// await waits for raft, but not beyond the life of this member: a future of
// raft may stay without an answer when raft is shut down.
func (n *Node) await(f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-n.ctx.Done():
		return raft.ErrRaftShutdown
	}
}

// Close leaves in good order: it accepts nothing more, waits for what is under
// way, hands over the leadership, writes a checkpoint and closes the files.
// A member that is killed instead loses nothing either; it starts slower.
func (n *Node) Close(ctx context.Context) error {
	n.closing.Do(func() { n.closed = n.close(ctx) })
	return n.closed
}

func (n *Node) close(ctx context.Context) error {
	n.pending.shut()
	if n.started {
		ctx, cancel := context.WithTimeout(ctx, n.opt.Timing.Handover)
		defer cancel()
		n.finish(ctx)
		n.handOver(ctx)
		n.checkpoint()
	}
	return n.stop()
}

// finish waits until every request has its outcome.
func (n *Node) finish(ctx context.Context) {
	for {
		if count, _ := n.pending.load(); count == 0 {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) handOver(ctx context.Context) {
	if n.raft.State() != raft.Leader || n.onlyVoter() {
		return
	}
	done := make(chan error, 1)
	go func() { done <- n.stepAside(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			n.log.Warn("leaving without handing over the leadership", "err", err)
		}
	case <-ctx.Done():
		n.log.Warn("leaving without handing over the leadership", "err", ctx.Err())
	}
}

// stop ends everything, in the order of dependence: first what uses raft,
// then raft, then the files.
func (n *Node) stop() error {
	n.cancel()
	n.pending.shut()
	var errs []error
	if n.started {
		n.lead.close()
		errs = append(errs, n.trans.Close())
		shutdown := n.raft.Shutdown()
		n.port.close()
		errs = append(errs, shutdown.Error())
		n.calls.close()
		n.pending.abandon()
	}
	n.work.Wait()
	n.watchers.close()
	n.effects.close()
	errs = append(errs, n.machine.close())
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// Propose carries requests out, on any member: each is durable on a majority
// and applied on this member when Propose returns, so a View sees it. The
// requests belong to the node from here on. Results are in the order of the
// requests; Result.Err says why there is none and whether the request may
// have happened. A change of leader costs time only. The wait ends with ctx,
// and after Timing.Propose in any case.
func (n *Node) Propose(ctx context.Context, reqs []command.Request) []command.Result {
	if len(reqs) == 0 {
		return nil
	}
	deadline := time.Now().Add(n.opt.Timing.Propose)
	if err := n.serves(); err != nil {
		return n.refuse(reqs, err)
	}
	if len(n.Alarms()) > 0 {
		return n.proposeRoomMaking(ctx, reqs, deadline)
	}
	return n.carryOut(ctx, reqs, deadline)
}

// Submit is Propose for who does not wait: done is called with the results, once,
// on a goroutine that tells all such results and must not be held up. giveUp has
// them told soon, with an error where there is none yet that says whether the
// request may have happened; it is nil, and nothing was done, where Propose
// would wait before it takes the requests in, or refuse them. Results are waited
// for no longer than about limit.
func (n *Node) Submit(reqs []command.Request, limit time.Duration, done func([]command.Result)) (giveUp func()) {
	if len(reqs) == 0 || n.serves() != nil || len(n.Alarms()) > 0 || n.overloaded() {
		return nil
	}
	started := time.Now()
	c := n.pending.start(reqs, started.Add(min(limit, n.opt.Timing.Propose)), func(results []command.Result) {
		n.count(started, results)
		done(results)
	})
	if c == nil {
		return nil
	}
	return func() { n.pending.giveUp(c) }
}

// Current says whether ReadIndex would return at once.
func (n *Node) Current() bool {
	if n.serves() != nil {
		return false
	}
	index, ok := n.soleReadIndex()
	return ok && n.Applied() >= index
}

// count is told of every request that was taken in.
func (n *Node) count(started time.Time, results []command.Result) {
	n.metrics.propose.UpdateDuration(started)
	for i := range results {
		if results[i].Err != nil {
			n.metrics.refused.Inc()
		}
	}
}

// carryOut is Propose for what is admitted.
func (n *Node) carryOut(ctx context.Context, reqs []command.Request, deadline time.Time) []command.Result {
	started := time.Now()
	if n.overloaded() && !n.roomBy(ctx, deadline) {
		return n.refuse(reqs, command.ErrBusy)
	}
	c := n.pending.add(reqs, deadline)
	results := n.pending.wait(ctx, c)
	n.count(started, results)
	return results
}

func (n *Node) refuse(reqs []command.Request, err error) []command.Result {
	results := make([]command.Result, len(reqs))
	for i := range results {
		results[i].Err = err
	}
	n.metrics.refused.Add(len(reqs))
	return results
}

// roomBy waits until the table can take more rows in memory: who writes faster
// than checkpoints do is slowed down, and refused only when that does not help.
func (n *Node) roomBy(ctx context.Context, deadline time.Time) bool {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for n.overloaded() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// overloaded: checkpoints do not keep up with writes.
func (n *Node) overloaded() bool { return n.db.OverlayBytes() > n.opt.Limits.OverlayHard }

// write proposes commands as one request of the node's own; the first failure
// is the error.
func (n *Node) write(ctx context.Context, cmds ...command.Args) error {
	r := n.Propose(ctx, []command.Request{{Commands: cmds}})[0]
	if r.Err != nil {
		return r.Err
	}
	for _, reply := range r.Replies {
		if err := reply.Err(); err != nil {
			return err
		}
	}
	return nil
}

// expiring ends requests that have waited too long.
func (n *Node) expiring(ctx context.Context) {
	every := time.NewTicker(max(n.opt.Timing.Propose/20, time.Millisecond))
	defer every.Stop()
	for {
		select {
		case now := <-every.C:
			n.pending.expire(now)
		case <-ctx.Done():
			return
		}
	}
}

// ReadIndex returns when this member's state holds everything that was
// committed anywhere before the call: what is read then is linearizable. It
// fails with an error that is command.ErrNoLeader, and says that it is about a
// read, if no majority answers in time.
func (n *Node) ReadIndex(ctx context.Context) error {
	if err := n.serves(); err != nil {
		return err
	}
	n.metrics.readIndexes.Inc()
	index, ok := n.soleReadIndex()
	if !ok {
		var err error
		if index, err = n.reads.index(ctx); err != nil {
			return err
		}
	}
	return n.WaitApplied(ctx, index)
}

// CatchUp is ReadIndex for who does not wait: done is called with its error,
// once, on a goroutine that tells all such and must not be held up, after no
// longer than about limit. giveUp has it called at once; it is nil, and nothing
// was done, if this member does not serve.
func (n *Node) CatchUp(limit time.Duration, done func(error)) (giveUp func()) {
	if n.serves() != nil {
		return nil
	}
	n.metrics.readIndexes.Inc()
	r := &reader{done: done}
	if n.reads.join(r) == nil {
		return nil
	}
	timer := time.AfterFunc(limit, r.giveUp)
	if r.limit.Store(timer); r.told.Load() {
		timer.Stop()
	}
	return r.giveUp
}

// View calls fn with the keys as they are on this member now. Writes wait for
// fn: it must take microseconds, and neither block nor call the node.
func (n *Node) View(fn func(tx *keyspace.Tx) error) error {
	if err := n.serves(); err != nil {
		return err
	}
	promised := n.applied.index.Load()
	return n.db.View(func(rows storage.Reader, st storage.State) error {
		if st.Index < promised {
			return errReseeding
		}
		tx, _ := n.readers.Get().(*keyspace.Tx)
		if tx == nil {
			tx = new(keyspace.Tx)
		}
		tx.RenewReader(rows, n.readTime.at(st.Clock))
		err := fn(tx)
		n.readers.Put(tx)
		return err
	})
}

// errReseeding is told to readers while the table is one of an earlier entry than
// they have been promised: a reseed has put it there, and carries the entries
// since out again. It is command.ErrNoLeader to those who only want to know
// whether to try again or elsewhere.
var errReseeding error = refused{fail(CodeBusy, "this node is being given the group's state and is about to serve again; try again, or another node")}

// look is View for the member itself, which goes on in quarantine and while the
// state is being replaced.
func (n *Node) look(fn func(tx *keyspace.Tx) error) error {
	return n.db.View(func(rows storage.Reader, st storage.State) error {
		return fn(keyspace.NewReader(rows, n.readTime.at(st.Clock)))
	})
}

// Walk is View for reads that take longer: fn sees one instant and holds
// nobody up, for up to 30 seconds.
func (n *Node) Walk(fn func(tx *keyspace.Tx) error) error {
	if err := n.serves(); err != nil {
		return err
	}
	promised := n.applied.index.Load() // before: what is written from now on is not seen
	return n.db.Walk(func(rows storage.Reader, st storage.State) error {
		if st.Index < promised {
			return errReseeding
		}
		return fn(keyspace.NewReader(rows, n.readTime.at(st.Clock)))
	})
}

// readClock is the group's time as of now.
func (n *Node) readClock() int64 { return n.readTime.at(n.db.State().Clock) }

// Applied is the log index that this member's state is as of.
func (n *Node) Applied() uint64 { return n.applied.index.Load() }

// WaitApplied returns when Applied is at least index.
func (n *Node) WaitApplied(ctx context.Context, index uint64) error {
	return n.applied.wait(ctx, index)
}

// Watch has fn called after changes, in their order, with the keys to which
// entries were added; nil: anything may have changed. Readers see the changes
// by then. Calls come one at a time, on a goroutine of this watcher; while fn
// is busy, changes gather into one call. cancel does not wait for fn.
func (n *Node) Watch(fn func(touched []string)) (cancel func()) { return n.watchers.watch(fn) }

// Table is the table of commands that the group runs.
func (n *Node) Table() *command.Table { return n.opt.Table }

// NodeID is this member's id, a UUID.
func (n *Node) NodeID() string { return n.id.NodeID }

// ClusterID is the group's id, a UUID.
func (n *Node) ClusterID() string { return n.id.ClusterID }

// Cluster is the address of this member's cluster port.
func (n *Node) Cluster() string { return n.id.Cluster }

// Leader is the id of the member that leads as far as this one knows, "" if it
// knows of none.
func (n *Node) Leader() string { return n.routes.get().leader }

// IsLeader says whether this member leads as far as it knows.
func (n *Node) IsLeader() bool { return n.lead.term.Load() != 0 }

// RunAsLeader has fn run on whichever member leads. ctx ends when this one
// does not lead any more; fn must return then. A fn that returns earlier is
// run again at the next leadership only.
func (n *Node) RunAsLeader(fn func(ctx context.Context)) { n.lead.add(fn) }

// WaitReady returns when this member knows a leader, holds all that was
// committed before and is not in quarantine.
func (n *Node) WaitReady(ctx context.Context) error {
	for {
		err := n.ReadIndex(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if n.ctx.Err() != nil {
			return command.ErrClosing
		}
		if lifted := n.quarantined.change(); n.Quarantined() != nil {
			select {
			case <-lifted:
			case <-ctx.Done():
			case <-n.ctx.Done():
			}
		}
	}
}

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/parlorchat/parlor/api"
	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/node"
	"github.com/parlorchat/parlor/resp"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/web"
)

// How long the steps of stopping may take. Together they stay below the
// minute and a half that service managers grant.
const (
	drainTime = 10 * time.Second
	closeTime = 10 * time.Second
)

// server is a running member with its front doors.
type server struct {
	o        Options
	log      *slog.Logger
	metrics  *metrics.Set
	member   *node.Node
	http     *api.Server
	resp     *resp.Server
	failed   chan error // a front door that cannot go on
	room     room
	seeded   atomic.Bool
	draining draining
	keys     []*keyPair // of the doors that speak TLS
}

// Run serves until ctx ends, then stops in good order. The data folder must be
// that of a member: see Form and Join.
func Run(ctx context.Context, o Options) error {
	o, err := o.withAddresses()
	if err != nil {
		return err
	}
	if err := o.checkListening(); err != nil {
		return err
	}
	metrics.ExposeMetadata(true) // the types of metrics, which Prometheus' tools want
	s := &server{o: o, log: o.Log, metrics: metrics.NewSet(), failed: make(chan error, 2), room: newRoom(mostFiles())}

	// The front doors are opened first: an address in use should be found
	// before the group hears of us. Nobody is let in yet.
	httpDoor, err := net.Listen("tcp", o.HTTP)
	if err != nil {
		return fmt.Errorf("listening for HTTP: %w", err)
	}
	defer func() { _ = httpDoor.Close() }()
	respDoor, err := net.Listen("tcp", o.RESP)
	if err != nil {
		return fmt.Errorf("listening for RESP: %w", err)
	}
	defer func() { _ = respDoor.Close() }()

	files := o.doorFiles()
	httpDoor = s.keepRoom(httpDoor, files[0])
	if httpDoor, err = s.secure(httpDoor, files[0], "http/1.1"); err == nil {
		respDoor, err = s.secure(respDoor, files[1])
	}
	if err != nil {
		return &node.Error{Code: node.CodeInvalid, Message: err.Error()}
	}

	if err := s.open(httpDoor.Addr().String(), respDoor.Addr().String()); err != nil {
		return err
	}
	return s.run(ctx, httpDoor, respDoor)
}

// keepRoom has no more browsers come in than there is room for. They hear why,
// unless TLS comes first.
func (s *server) keepRoom(ln net.Listener, f doorFiles) net.Listener {
	refusal := api.Crowded()
	if f.cert != "" || f.key != "" {
		refusal = ""
	}
	return newDoor(ln, s.room, refusal, s.metrics.NewCounter("parlor_http_connections_refused_total"), s.log)
}

// open takes the data folder and makes the parts.
func (s *server) open(httpAddr, respAddr string) error {
	opts := s.o.memberOptions(Table())
	opts.Metrics = s.metrics
	opts.Admin = s.adminHandlers()
	opts.HTTP, opts.RESP = s.o.publicURL(httpAddr), respAddr
	opts.Resume = core.SystemResume{}.Args()
	opts.Tick = core.SystemTick{Limit: tickLimit}.Args()
	opts.Due = s.due
	opts.Drained = s.drained
	var err error
	if s.member, err = node.Open(opts); err != nil {
		return err
	}
	return nil
}

// due says whether a tick would do something now.
func (s *server) due(tx *keyspace.Tx) bool {
	due, err := core.Due(tx, tx.Now())
	if err != nil {
		s.log.Error("looking for what is due", "err", err)
	}
	return due
}

// tickLimit bounds what one tick does, so that it holds nobody up; what is
// left is done by the next one.
const tickLimit = 1000

// run starts the parts, waits for the end, and stops them.
func (s *server) run(ctx context.Context, httpDoor, respDoor net.Listener) (err error) {
	// Last, after nobody uses it any more: hand over the leadership, write a
	// checkpoint, close the files.
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		err = errors.Join(err, s.member.Close(closing))
	}()

	// The pipelines run wherever the leader is.
	s.runPipelines()

	if err := s.member.Start(ctx); err != nil {
		return err
	}

	// From here on the doors answer. Until there is a leader and this member
	// has caught up, /readyz says no, and writes wait for a while.
	if err := s.openHTTP(httpDoor); err != nil {
		return err
	}
	defer s.shut("HTTP", s.http.Shutdown)
	if err := s.openRESP(respDoor); err != nil {
		return err
	}
	defer s.shut("RESP", s.resp.Close)
	watching, done := context.WithCancel(ctx)
	defer done()
	s.watchKeys(watching)
	if s.o.Serving != nil {
		s.o.Serving(s.member.Alive)
	}

	if err := s.ready(ctx, httpDoor, respDoor); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	select {
	case <-ctx.Done():
		// In good order: sockets are told to go to another member, running
		// calls end; the deferred steps do it from the last to the first.
		s.log.Info("stopping")
		return nil
	case err := <-s.failed:
		return err
	}
}

// watchKeys looks after the certificates of the doors until ctx ends.
func (s *server) watchKeys(ctx context.Context) {
	for _, p := range s.keys {
		go p.watch(ctx)
	}
	go func() {
		for {
			select {
			case <-s.o.Reload:
				for _, p := range s.keys {
					p.reload()
				}
				s.log.Info("read the certificates again", "doors", len(s.keys))
			case <-ctx.Done():
				return
			}
		}
	}()
}

// ready waits until the member is one, and does what is to be done once.
func (s *server) ready(ctx context.Context, httpDoor, respDoor net.Listener) error {
	if err := s.member.WaitReady(ctx); err != nil {
		return fmt.Errorf("waiting for a leader: %w", err)
	}
	if err := s.seed(ctx); err != nil {
		return err
	}
	s.seeded.Store(true)
	s.log.Info("ready", "http", httpDoor.Addr().String(), "resp", respDoor.Addr().String(), "cluster", s.member.Cluster())
	if s.o.Ready != nil {
		s.o.Ready(httpDoor.Addr().String(), respDoor.Addr().String())
	}
	return nil
}

func (s *server) openHTTP(door net.Listener) error {
	files, err := web.New()
	if err != nil {
		return err
	}
	config := api.Config{
		Node: s.member, Files: files, Log: s.log, Metrics: s.metrics, Version: s.o.Version,
		Demo: s.o.Demo, Hosts: s.hosts, TrustedProxies: s.o.TrustedProxies, Ready: s.unready,
		Leads: s.member.IsLeader, Alive: s.member.Alive, Warnings: s.warnings,
	}
	if s.o.NoRateLimits {
		config.Limits = &api.Limits{}
	}
	if s.http, err = api.New(config); err != nil {
		return err
	}
	s.followDrain()
	go func() { s.report(s.http.Serve(door)) }()
	return nil
}

// unready says at once why this member cannot be used now, if it knows.
func (s *server) unready() error {
	if s.member.Leader() == "" {
		return errors.New("no leader is known")
	}
	if s.member.Quarantined() != nil {
		return errors.New("this node is in quarantine: its state differs from the group's")
	}
	if !s.seeded.Load() {
		return errors.New("this node is starting")
	}
	return nil
}

// warnings are what is wrong although this member can be used: while a node is
// short of room, what makes none is refused everywhere, so another node is no
// better.
func (s *server) warnings() (list []string) {
	for _, a := range s.member.Alarms() {
		list = append(list, fmt.Sprintf("since %s only what makes room is stored, for node %.8s is short of it: see parlor status", a.Since.Format(time.RFC3339), a.Member))
	}
	return list
}

func (s *server) openRESP(door net.Listener) error {
	config := resp.Config{Addr: s.o.RESP, Password: s.o.RESPPassword, Version: s.o.Version, Status: s.respStatus, Debug: s.o.RESPDebug, Crowded: s.room.crowded}
	for _, notice := range config.Notices() {
		s.log.Warn(notice)
	}
	s.resp = resp.NewOn(door, config, s.member, s.log)
	s.metrics.RegisterMetricsWriter(s.respMetrics)
	go func() { s.report(s.resp.Serve()) }()
	if err := s.resp.Configure(s.o.RESPSettings...); err != nil {
		closing, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		return &node.Error{Code: node.CodeInvalid, Message: errors.Join(fmt.Errorf("--resp-set: %w", err), s.resp.Close(closing)).Error()}
	}
	return nil
}

// report makes the member stop if a front door failed.
func (s *server) report(err error) {
	if err != nil {
		s.failed <- err
	}
}

// shut closes a front door; what does not end in time is cut off.
func (s *server) shut(name string, stop func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := stop(ctx); err != nil {
		s.log.Warn("a front door did not close in good order", "door", name, "err", err)
	}
}

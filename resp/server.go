package resp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/resp/eventloop"
	"github.com/tidwall/redcon"
)

// Server serves clients of the Redis protocol from one Store.
type Server struct {
	config   Config
	store    Store
	log      *slog.Logger
	catalog  *catalog
	stats    Stats
	live     *settings
	slow     *slowlog
	latency  latency
	failures failures
	backlog  *backlog
	rates    rates
	memory   memoryPeak
	paused   pause
	hub      *hub
	pubsub   *pubsub
	tracking *tracking
	events   keyEvents
	acl      *acl
	monitors monitors
	implied  *aclUser // default, where nobody has defined it
	started  time.Time

	loopback bool // only this machine can reach the listener
	listener net.Listener
	loops    *eventloop.Group // nil: each connection has its goroutine only
	flusher  *flusher
	turns    []hearers // by loop: what is to be flushed when it has served all that came at once
	trials   sync.Pool // of *keyspace.Tx, to try writes out with
	unwatch  func()
	unhear   func() // messages of other nodes

	stop     chan struct{} // closed when Close is called
	stopOnce sync.Once
	ctx      context.Context // of requests; ends when Close has waited enough
	cancel   context.CancelFunc
	requests patience
	conns    sync.WaitGroup // goroutines that let clients in and serve them
	drained  chan struct{}  // closed when they have ended

	mu       sync.Mutex
	sessions map[int64]*session
	lastID   atomic.Int64
}

// New makes a server and opens its listener. It serves nobody until Serve is
// called. log may be nil.
func New(config Config, store Store, log *slog.Logger) (*Server, error) {
	config = config.withDefaults()
	ln, err := net.Listen("tcp", config.Addr)
	if err != nil {
		return nil, fmt.Errorf("listening for RESP clients on %s: %w", config.Addr, err)
	}
	return NewOn(ln, config, store, log), nil
}

// NewOn is New on a listener that is open already; the server closes it.
func NewOn(ln net.Listener, config Config, store Store, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	config = config.withDefaults()
	s := &Server{
		config:   config,
		store:    store,
		log:      log,
		catalog:  newCatalog(store.Table()),
		live:     newSettings(&config),
		hub:      newHub(),
		started:  time.Now(),
		listener: ln,
		loopback: listensOnLoopback(ln.Addr().String()),
		sessions: map[int64]*session{},
	}
	s.slow, s.backlog, s.flusher = newSlowlog(s.live), newBacklog(&s.live.clientMemory), newFlusher()
	s.memory.atStart = readMemory().heap
	s.stop, s.drained = make(chan struct{}), make(chan struct{})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.requests.parent, s.requests.limit = s.ctx, config.RequestTimeout
	s.pubsub = newPubsub(s.live, &s.stats.Lagged)
	s.tracking = newTracking(s)
	s.events.server = s
	s.acl = newACL()
	s.implied = impliedDefault(config.Password)
	s.implied.compile(s.catalog)
	s.unwatch = store.Watch(s.changed)
	s.loadACL(nil)
	s.conns.Go(s.followACL)
	s.conns.Go(s.keepHouse)
	s.conns.Go(func() { s.flusher.run(s.stop) })
	s.unhear = store.OnBroadcast(broadcastTopic, s.hear)
	return s
}

// stopwatch is for how long the server has been there, whatever becomes of the
// machine's clock. To look at it takes half as long as to ask for the time, which
// counts where a command is looked at three times.
func (s *Server) stopwatch() time.Duration { return time.Since(s.started) }

// Addr is the address that clients connect to.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Stats gives the counters, which go on counting.
func (s *Server) Stats() *Stats { return &s.stats }

// CommandStats gives what was counted of the commands that were called at
// least once, in order of their names.
func (s *Server) CommandStats() []CommandStats { return s.catalog.stats() }

// Serve serves clients until Close is called, then returns nil.
func (s *Server) Serve() error {
	s.conns.Add(1) // until nobody else can come in
	n := loopsFor(runtime.GOMAXPROCS(0))
	s.turns = make([]hearers, n)
	loops, err := eventloop.New(n, s.turned)
	switch {
	case err == nil:
		s.loops = loops
		defer loops.Close()
	case !errors.Is(err, errors.ErrUnsupported):
		s.log.Warn("RESP clients are served without an event loop, which takes more of the processor", "error", err)
	}
	err = redcon.Serve(newGuardListener(s.listener, s), s.handle, s.welcome, s.goodbye)
	if err != nil && !s.stopping() {
		return fmt.Errorf("serving RESP clients: %w", err)
	}
	return nil
}

// Close stops listening, ends all connections and waits for them. Commands
// that are being carried out are answered if they end within ctx.
func (s *Server) Close(ctx context.Context) error {
	s.stopOnce.Do(func() {
		close(s.stop)
		go func() { s.conns.Wait(); close(s.drained) }()
	})
	err := s.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	for _, c := range s.clients() {
		c.guard.stopReading()
	}
	select {
	case <-s.drained:
	case <-ctx.Done():
		s.cancel()
		for _, c := range s.clients() {
			c.guard.kill()
			c.giveUp()
		}
		<-s.drained
	}
	s.cancel()
	s.unwatch()
	s.unhear()
	s.events.stop()
	return err
}

func (s *Server) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// pause waits for d, or until the server closes.
func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.stop:
	}
}

// loopsFor is how many event loops a machine is to have: one has enough to do
// for two processors with what it leads to.
func loopsFor(processors int) int { return min(max(processors/2, 1), 8) }

// looped gives the connection to an event loop, if it is one that can be.
func (s *Server) looped(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok || s.loops == nil {
		return conn
	}
	own, err := s.loops.Take(tcp)
	if err != nil {
		s.log.Warn("a RESP client is served without an event loop", "error", err)
		return conn
	}
	return own
}

// admit puts a guard before a client that is let in.
func (s *Server) admit(conn net.Conn) *guardConn {
	s.stats.Accepted.Add(1)
	s.stats.Clients.Add(1)
	s.live.keep(conn)
	g := newGuardConn(conn, &s.config, s.live, &s.stats, s.backlog)
	s.conns.Go(func() {
		defer s.stats.Clients.Add(-1)
		g.serveOutbox()
	})
	return g
}

// welcome makes the session of a new connection.
func (s *Server) welcome(conn redcon.Conn) bool {
	s.conns.Add(1)
	guard := conn.NetConn().(*guardConn)
	c := newSession(s, guard, s.lastID.Add(1))
	conn.SetContext(c)
	s.mu.Lock()
	s.sessions[c.id] = c
	s.mu.Unlock()
	if s.stopping() {
		guard.stopReading()
	}
	return true
}

// goodbye forgets the session of a connection that has ended.
func (s *Server) goodbye(conn redcon.Conn, _ error) {
	defer s.conns.Done()
	c := conn.Context().(*session)
	c.stopListening()
	c.stopTracking()
	s.monitors.leave(c)
	s.mu.Lock()
	delete(s.sessions, c.id)
	s.mu.Unlock()
}

// clients gives the sessions in the order in which they connected.
func (s *Server) clients() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for _, c := range s.sessions {
		all = append(all, c)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].id < all[j].id })
	return all
}

// session gives the connection of a number, nil if there is none.
func (s *Server) session(id int64) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// handle carries out the batch that a ticket stands for.
func (s *Server) handle(conn redcon.Conn, _ redcon.Command) {
	c := conn.Context().(*session)
	defer func() {
		if p := recover(); p != nil {
			c.contain(p)
		}
	}()
	if c.guard.begun {
		c.guard.begun = false
		c.answer()
		return
	}
	c.serve(c.guard.take())
}

// contain is called of a panic. It costs the client its connection, because it
// is not known which of its commands were answered, and nobody else anything.
func (s *session) contain(p any) {
	s.server.log.Error("a RESP command panicked", "client", s.id, "panic", p, "stack", string(debug.Stack()))
	s.fail(fmt.Sprintf("ERR internal error, in the node's log under client=%d; the connection is closed", s.id))
}

// port is the TCP port that clients connect to; 0 if there is none.
func (s *Server) port() int {
	if a, ok := s.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

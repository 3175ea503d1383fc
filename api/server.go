package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/danielgtaylor/huma/v2"
	"github.com/fasthttp/router"
	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"

	"github.com/parlorchat/parlor/web"
)

// Config is what a Server is made of. Node is required; everything else has
// a default.
type Config struct {
	Node    Node
	Files   *web.Files   // nil: no widget, no console
	Log     *slog.Logger // nil: slog.Default
	Metrics *metrics.Set // nil: one of its own
	Version string       // of the program, for the OpenAPI document

	// Demo is the site that the demo shop under /demo/ shows; "": no shop.
	Demo string
	// Hosts are the base URLs at which browsers reach the group's nodes.
	Hosts func() []string
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Limits are the rates; nil: DefaultLimits. A zero Rate in them is none.
	Limits *Limits
	// Queue is how many frames a receiver may have waiting before he is told
	// to begin anew; 0: 1 024.
	Queue int
	// Ready says at once what is missing before /readyz may say yes; nil:
	// nothing. What it says nothing of, /readyz asks the node.
	Ready func() error
	// Leads says whether this node leads, for /readyz?role=leader; nil: never.
	Leads func() bool
	// Warnings are what is wrong although clients can be sent here, for
	// /readyz?verbose; nil: nothing.
	Warnings func() []string
	// Alive says what has stopped inside this process, for /livez; nil: nothing.
	Alive func() error
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Server answers HTTP on any number of listeners.
type Server struct {
	cfg     Config
	node    Node
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics.Set
	http    *fasthttp.Server
	router  *router.Router
	api     huma.API
	openapi []byte   // the document
	folders []string // paths of files that want a slash at their end
	limits  limiters

	hub      *hub
	presence *presence
	sockets  *socketRegistry
	polls    atomic.Int64 // long-polls that wait
	typing   *typing
	sites    *siteConfigs
	upgrader websocket.FastHTTPUpgrader
	catchUps *limiter
	hashing  chan struct{} // a slot for each password check that may run at once

	listenMu  sync.Mutex
	listeners []net.Listener
	stopped   bool

	base  context.Context // ends at Shutdown: proposals and waits end with it
	stop  context.CancelFunc
	drain *drainState
	tasks sync.WaitGroup
}

type limiters struct{ address, visitor, agent, login, loginFrom *limiter }

// Sizes that are the same everywhere.
const (
	// maxBody is the largest request body that any call takes, in bytes.
	maxBody = 512 << 10
	// maxHead is how many bytes the request line and the headers may have.
	maxHead = 4 << 10
	// proposeWait is how long a call waits for the group.
	proposeWait = 10 * time.Second
	// hashesAtOnce bounds the memory that checking passwords takes (19 MiB each).
	hashesAtOnce = 4
	defaultQueue = 1024
)

// New makes a Server and starts what it does by itself. Shutdown must follow.
func New(cfg Config) (*Server, error) {
	if cfg.Node == nil {
		return nil, errors.New("api: a Server needs a Node")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Queue <= 0 {
		cfg.Queue = defaultQueue
	}
	if cfg.Hosts == nil {
		cfg.Hosts = func() []string { return nil }
	}
	limits := DefaultLimits()
	if cfg.Limits != nil {
		limits = *cfg.Limits
	}
	s := &Server{
		cfg: cfg, node: cfg.Node, log: cfg.Log, now: cfg.Now, metrics: cfg.Metrics,
		limits: limiters{
			address: newLimiter(limits.Address), visitor: newLimiter(limits.Visitor), agent: newLimiter(limits.Agent),
			login: newLimiter(limits.Login), loginFrom: newLimiter(limits.LoginFrom),
		},
		hub:      newHub(cfg.Node, cfg.Log, cfg.Now, cfg.Queue),
		sockets:  newSocketRegistry(),
		sites:    newSiteConfigs(),
		upgrader: newUpgrader(),
		catchUps: newLimiter(Rate{PerSecond: 200, Burst: 400}),
		hashing:  make(chan struct{}, hashesAtOnce),
		drain:    newDrainState(),
	}
	s.base, s.stop = context.WithCancel(context.Background())
	s.presence = newPresence(s)
	s.typing = newTyping(s)
	s.routes()
	s.http = &fasthttp.Server{
		Handler:               s.handle,
		ErrorHandler:          s.badRequest,
		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		ReadTimeout:           30 * time.Second,
		WriteTimeout:          30 * time.Second,
		IdleTimeout:           2 * time.Minute,
		MaxRequestBodySize:    maxBody,
		ReadBufferSize:        maxHead,
		ReduceMemoryUsage:     true,
		// Without it closing a WebSocket from outside its handler does nothing.
		KeepHijackedConns: true,
		Logger:            serverLog{cfg.Log},
	}
	s.gauges()
	s.background(s.hub.run)
	s.background(s.presence.run)
	return s, nil
}

// background runs fn until Shutdown.
func (s *Server) background(fn func(ctx context.Context)) {
	s.tasks.Go(func() { fn(s.base) })
}

// Serve answers on ln until Shutdown, and then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	if !s.listen(ln) {
		return ln.Close()
	}
	if err := s.http.Serve(ln); err != nil {
		return fmt.Errorf("serving HTTP on %s: %w", ln.Addr(), err)
	}
	return nil
}

// listen notes a listener for Shutdown; false: that has begun.
func (s *Server) listen(ln net.Listener) bool {
	s.listenMu.Lock()
	defer s.listenMu.Unlock()
	if s.stopped {
		return false
	}
	s.listeners = append(s.listeners, ln)
	return true
}

// closeListeners ends all Serve, also one that is only about to begin: the
// HTTP server would not know of that one.
func (s *Server) closeListeners() {
	s.listenMu.Lock()
	defer s.listenMu.Unlock()
	s.stopped = true
	for _, ln := range s.listeners {
		_ = ln.Close()
	}
}

// Shutdown drains, waits for the calls that run, and stops.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain.begin(true)
	s.sockets.goAway(true)
	s.closeListeners()
	err := s.http.ShutdownWithContext(ctx)
	if errors.Is(err, net.ErrClosed) { // a listener that is closed already
		err = nil
	}
	if waitErr := s.sockets.wait(ctx); err == nil {
		err = waitErr
	}
	s.stop()
	s.typing.close()
	s.tasks.Wait()
	if err != nil {
		return fmt.Errorf("stopping the HTTP server: %w", err)
	}
	return nil
}

// handle is the outermost handler: what all answers have in common.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	defer s.recover(ctx)
	nameRequest(ctx)
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	crossOrigin(ctx)
	s.router.Handler(ctx)
	s.logFailure(ctx)
}

// recover answers for a handler that panicked.
func (s *Server) recover(ctx *fasthttp.RequestCtx) {
	if p := recover(); p != nil {
		s.log.Error("a handler panicked", "request_id", requestID(ctx), "method", string(ctx.Method()), "path", string(ctx.Path()), "panic", p, "stack", string(debug.Stack()))
		ctx.Response.ResetBody()
		writeProblem(ctx, problem(codeInternal, "the server failed to carry this out; it is in its log"))
	}
}

// badRequest answers what is no HTTP request, or too large a one.
func (s *Server) badRequest(ctx *fasthttp.RequestCtx, err error) {
	nameRequest(ctx)
	var tooSmall *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		writeProblem(ctx, problem(codeBodyTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody)))
	case errors.As(err, &tooSmall) && !endsALine(err):
		writeProblem(ctx, problem(codeURITooLong, fmt.Sprintf("the address is longer than the %d bytes that it may have with all headers", maxHead)))
	case errors.As(err, &tooSmall):
		writeProblem(ctx, problem(codeHeadersTooLarge, fmt.Sprintf("the address and the headers have more than %d bytes", maxHead)))
	default:
		writeProblem(ctx, problem(codeInvalidRequest, "this is not a valid HTTP request"))
	}
	ctx.SetConnectionClose()
}

// endsALine says whether what was read of a head that is too large has a line
// that ends: else the first one, with the address, fills it. The error shows
// the beginning and the end of what was read, quoted.
func endsALine(err error) bool { return strings.Contains(err.Error(), `\r\n`) }

// notFound answers where there is nothing. Who left out the slash after a
// folder is sent there on the host that he has asked, whatever its name.
func (s *Server) notFound(ctx *fasthttp.RequestCtx) {
	if path := string(ctx.Path()); slices.Contains(s.folders, path) {
		ctx.Response.Header.Set(fasthttp.HeaderLocation, path+"/")
		ctx.SetStatusCode(fasthttp.StatusPermanentRedirect)
		return
	}
	writeProblem(ctx, problem(codeNotFound, "there is nothing at this path; GET /v1/openapi.json lists what there is"))
}

func (s *Server) methodNotAllowed(ctx *fasthttp.RequestCtx) {
	writeProblem(ctx, problem(codeMethodNotAllowed, "this path has no "+string(ctx.Method())+"; the Allow header lists what it has"))
}

// writeProblem answers with a problem.
func writeProblem(ctx *fasthttp.RequestCtx, p *Problem) {
	for name, values := range p.GetHeaders() {
		ctx.Response.Header.Set(name, values[0])
	}
	ctx.SetStatusCode(p.Status)
	ctx.SetContentType("application/problem+json")
	ctx.SetBody(encodeProblem(p.named(ctx)))
}

// crossOrigin lets pages of other origins call /v1 and load the widget:
// always with a bearer token, never with cookies, so any origin may.
func crossOrigin(ctx *fasthttp.RequestCtx) {
	if path := ctx.Path(); !bytes.HasPrefix(path, []byte("/v1/")) && !bytes.HasPrefix(path, []byte("/w/")) {
		return
	}
	h := &ctx.Response.Header
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "ETag, Retry-After, X-Parlor-Index, X-Request-Id")
}

// preflight answers OPTIONS; the router has set Allow.
func preflight(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.Set("Access-Control-Allow-Methods", string(h.Peek("Allow")))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Parlor-Index, X-Request-Id")
	h.Set("Access-Control-Max-Age", "7200")
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// serverLog takes what the HTTP server has to say.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, args ...any) {
	l.log.Debug("http", "msg", fmt.Sprintf(format, args...))
}

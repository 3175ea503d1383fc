package api

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/valyala/fasthttp"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// access is who may make a call.
type access int

const (
	forAll      access = iota
	forVisitor         // with a visitor token
	forNewcomer        // with a visitor token or with none
	forAgent           // with an agent's session
	forAdmin           // with an admin's session
)

// call is what is known of a request besides its input. All of it is copied:
// nothing refers to the request's buffers.
type call struct {
	id             string // the request's
	addr           netip.Addr
	userAgent      string
	acceptLanguage string
	key            string // Idempotency-Key

	visitor *visitorClaims // forVisitor; forNewcomer: nil if he has no token
	agent   *core.Agent    // forAgent, forAdmin: as of the beginning of the call
	session string         // SHA-256 of the agent's token, in hex

	index uint64 // highest log index at which the call changed something
}

// headerIndex carries the log index of a change to the client, who may show
// it to another node to see his own change there.
const headerIndex = "X-Parlor-Index"

// Bounds of an Idempotency-Key. It stands for a secret (see deriveID), so
// that a short one is refused.
const (
	minKey = 16
	maxKey = 128
)

// gate lets a request in: it finds out who calls, holds him to his rate and
// waits until this node has seen what he has seen.
func (s *Server) gate(ctx *fasthttp.RequestCtx, who access) (*call, error) {
	c := &call{
		id:             requestID(ctx),
		addr:           clientAddr(ctx, s.cfg.TrustedProxies),
		userAgent:      string(ctx.UserAgent()),
		acceptLanguage: string(ctx.Request.Header.Peek(fasthttp.HeaderAcceptLanguage)),
		key:            string(ctx.Request.Header.Peek("Idempotency-Key")),
	}
	if c.key != "" && (len(c.key) < minKey || len(c.key) > maxKey) {
		return nil, invalid("header.Idempotency-Key", fmt.Sprintf("must have %d to %d characters; make it from random ones", minKey, maxKey))
	}
	if err := s.waitForIndex(ctx); err != nil {
		return nil, err
	}
	if err := s.authenticate(ctx, c, who); err != nil {
		// Trying tokens costs as much as calling without one.
		if limited := s.limits.address.check(c.addr.String(), s.now()); limited != nil {
			return nil, limited
		}
		return nil, err
	}
	return c, s.limit(c)
}

// limit holds the caller to his rate.
func (s *Server) limit(c *call) error {
	switch {
	case c.agent != nil:
		return s.limits.agent.check(c.agent.ID, s.now())
	case c.visitor != nil:
		return s.limits.visitor.check(c.visitor.Visitor, s.now())
	}
	return s.limits.address.check(c.addr.String(), s.now())
}

// waitForIndex waits until this node has applied what the client has seen on
// another one.
func (s *Server) waitForIndex(ctx *fasthttp.RequestCtx) error {
	header := ctx.Request.Header.Peek(headerIndex)
	if len(header) == 0 {
		return nil
	}
	index, err := strconv.ParseUint(string(header), 10, 64)
	if err != nil {
		return invalid("header."+headerIndex, "must be the number that an answer carried")
	}
	if index <= s.node.Applied() {
		return nil
	}
	wait, cancel := context.WithTimeout(s.base, catchUpWait)
	defer cancel()
	if err := s.node.WaitApplied(wait, index); err != nil {
		return retryable(codeUnavailable, "this node has not yet seen what you have seen on another one; use that one", time.Second)
	}
	return nil
}

// propose carries commands out as one unit and gives their replies.
func (s *Server) propose(ctx context.Context, c *call, commands ...command.Args) ([]command.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, proposeWait)
	defer cancel()
	results := s.node.Propose(ctx, []command.Request{{Commands: commands}})
	if len(results) != 1 {
		return nil, fmt.Errorf("proposing: %d results for one request", len(results))
	}
	if err := results[0].Err; err != nil {
		return nil, err
	}
	if len(results[0].Replies) != len(commands) {
		return nil, fmt.Errorf("proposing: %d replies to %d commands", len(results[0].Replies), len(commands))
	}
	c.index = max(c.index, results[0].Index)
	return results[0].Replies, nil
}

// builder is one of core's typed commands.
type builder[R any] interface {
	Args() command.Args
	Result(command.Reply) (R, error)
}

// ask carries out one command that answers something.
func ask[R any, B builder[R]](ctx context.Context, s *Server, c *call, b B) (R, error) {
	replies, err := s.propose(ctx, c, b.Args())
	if err != nil {
		var none R
		return none, err
	}
	return b.Result(replies[0])
}

// doer is one of core's typed commands that answers OK.
type doer interface {
	Args() command.Args
	Result(command.Reply) error
}

// do carries out one command that answers OK.
func do[B doer](ctx context.Context, s *Server, c *call, b B) error {
	replies, err := s.propose(ctx, c, b.Args())
	if err != nil {
		return err
	}
	return b.Result(replies[0])
}

// look reads something that the caller says is there. If this node does not
// have it, the node may lag behind: it catches up once and looks again. So
// that asking for what is nowhere does not keep the group busy, there is a
// limit to that.
func (s *Server) look(ctx context.Context, read func(tx *keyspace.Tx) (found bool, err error)) (bool, error) {
	found, err := s.read(read)
	if err != nil || found {
		return found, err
	}
	if _, ok := s.catchUps.allow("", s.now()); !ok {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	if err := s.node.ReadIndex(ctx); err != nil {
		if errors.Is(err, command.ErrNoLeader) {
			err = retryable(codeNoLeader, "no leader: this node cannot find out now whether this exists; try again", time.Second)
		}
		return false, err
	}
	return s.read(read)
}

func (s *Server) read(read func(tx *keyspace.Tx) (found bool, err error)) (found bool, err error) {
	err = s.node.View(func(tx *keyspace.Tx) (err error) {
		found, err = read(tx)
		return err
	})
	return found, err
}

// endpoint describes one call: where it is, who may make it, and what the
// OpenAPI document says of it.
type endpoint struct {
	method, path string
	id           string // operation id
	tag          string
	summary      string
	who          access
	status       int   // of success; 0: 200, or 204 without a body
	maxBody      int64 // bytes; 0: 64 KiB
}

// defaultBody is the largest body of an ordinary call, in bytes.
const defaultBody = 64 << 10

func (e endpoint) operation() huma.Operation {
	op := huma.Operation{
		Method: e.method, Path: e.path, OperationID: e.id, Summary: e.summary, Tags: []string{e.tag},
		DefaultStatus: e.status, MaxBodyBytes: e.maxBody,
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = defaultBody
	}
	switch e.who {
	case forVisitor:
		op.Security = []map[string][]string{{"visitor": {}}}
	case forNewcomer:
		op.Security = []map[string][]string{{"visitor": {}}, {}}
	case forAgent, forAdmin:
		op.Security = []map[string][]string{{"agent": {}}}
	}
	return op
}

// callKey finds the call in a handler's context.
type callKey struct{}

// register adds a call whose input and output the framework decodes, checks
// and encodes. What fn returns as an error becomes a problem.
func register[I, O any](s *Server, e endpoint, fn func(ctx context.Context, c *call, in *I) (*O, error)) {
	op := e.operation()
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		req := exchangeOf(ctx).ctx
		c, err := s.gate(req, e.who)
		if err != nil {
			writeProblem(req, s.problemOf(req, err))
			return
		}
		next(huma.WithValue(ctx, callKey{}, c))
		c.writeIndex(req)
	}}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		c, ok := ctx.Value(callKey{}).(*call)
		if !ok {
			return nil, problem(codeInternal, "the call came past the gate")
		}
		out, err := fn(ctx, c, in)
		if err != nil {
			return nil, s.problemFor(c.id, e.method+" "+e.path, err)
		}
		return out, nil
	})
}

// raw adds a call that reads and writes the request itself: those that are
// made often or that are not plain JSON. describe completes its operation in
// the document; nil leaves the call out of it.
func (s *Server) raw(e endpoint, describe func(op *huma.Operation), fn func(ctx *fasthttp.RequestCtx, c *call) error) {
	s.router.Handle(e.method, e.path, s.measured(e.method, e.path, func(ctx *fasthttp.RequestCtx) {
		c, err := s.gate(ctx, e.who)
		if err == nil {
			err = fn(ctx, c)
		}
		if err != nil {
			writeProblem(ctx, s.problemOf(ctx, err))
		}
		if c != nil {
			c.writeIndex(ctx)
		}
	}))
	if describe != nil {
		op := e.operation()
		op.Responses = map[string]*huma.Response{}
		describe(&op)
		s.api.OpenAPI().AddOperation(&op)
	}
}

func (c *call) writeIndex(ctx *fasthttp.RequestCtx) {
	if c.index > 0 {
		ctx.Response.Header.Set(headerIndex, strconv.FormatUint(c.index, 10))
	}
}

func (s *Server) problemOf(ctx *fasthttp.RequestCtx, err error) *Problem {
	return s.problemFor(requestID(ctx), string(ctx.Method())+" "+string(ctx.Path()), err)
}

// problemFor turns an error into a problem; what the client is not told goes
// to the log.
func (s *Server) problemFor(id, where string, err error) *Problem {
	p, ok := asProblem(err)
	if !ok {
		s.log.Error("a call failed", "request_id", id, "call", where, "err", err)
	}
	return p
}

// bearer gives the token of an Authorization header, or of the WebSocket
// subprotocol "bearer.<token>", which is the only header a browser can set
// there.
func bearer(ctx *fasthttp.RequestCtx) string {
	if scheme, token, ok := strings.Cut(string(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	for _, header := range ctx.Request.Header.PeekAll("Sec-WebSocket-Protocol") {
		for protocol := range strings.SplitSeq(string(header), ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(protocol), "bearer."); ok {
				return token
			}
		}
	}
	return ""
}

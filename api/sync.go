package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/valyala/fasthttp"

	"github.com/parlorchat/parlor/core"
)

// maxWait is how long a long-poll waits at most. A client that has gone is not
// noticed before, and the connection must look alive to proxies.
const maxWait = 25 * time.Second

func (s *Server) syncRoutes() {
	get := func(path, id, summary string, who access) endpoint {
		return endpoint{method: http.MethodGet, path: path, id: id, tag: "sync", summary: summary, who: who}
	}
	s.raw(get("/v1/visitor/sync", "syncVisitor", "The visitor's events; waits for some", forVisitor), s.describeSync, s.sync)
	s.raw(get("/v1/sync", "syncAgent", "The agent's events; waits for some", forAgent), s.describeSync, s.sync)
	s.raw(get("/v1/visitor/socket", "socketVisitor", "The visitor's events on a WebSocket", forVisitor), s.describeSocket, s.socket)
	s.raw(get("/v1/socket", "socketAgent", "The agent's events on a WebSocket", forAgent), s.describeSocket, s.socket)
}

// receiver makes the receiver of whoever calls.
func (c *call) receiver() *receiver {
	if c.agent != nil {
		return newAgentReceiver(c.agent.Site, c.agent.ID, c.agent.Role == core.RoleAdmin, c.session)
	}
	return newVisitorReceiver(c.visitor.Site, c.visitor.Visitor)
}

// sync answers a long-poll.
func (s *Server) sync(ctx *fasthttp.RequestCtx, c *call) error {
	if s.isDraining() {
		return s.goingAway(ctx)
	}
	from, err := since(ctx)
	if err != nil {
		return err
	}
	wait, err := waitOf(ctx)
	if err != nil {
		return err
	}
	leave := s.presence.enter(c)
	defer leave()
	at, reset, frames, err := s.poll(c.receiver(), from, wait)
	if err != nil {
		return err
	}
	if s.isDraining() {
		ctx.SetConnectionClose()
	}
	ctx.SetContentType("application/json")
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.SetBody(appendFrames(nil, at, reset, frames))
	return nil
}

// poll waits until there is something for the receiver, for at most wait.
func (s *Server) poll(r *receiver, from *position, wait time.Duration) (at position, reset bool, frames []*frame, err error) {
	defer s.hub.leave(r)
	start, err := s.hub.join(s.base, r, from)
	if err != nil || start.reset || len(start.frames) > 0 || wait <= 0 {
		return start.at, start.reset, start.frames, err
	}
	s.polls.Add(1)
	defer s.polls.Add(-1)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-r.notify:
	case <-timer.C:
	case <-s.drain.begun():
	}
	if err := r.dismissed(); err != nil {
		return at, false, nil, err
	}
	frames, at, ok := r.take()
	return at, !ok, frames, nil
}

// goingAway refuses a client that is to use another node.
func (s *Server) goingAway(ctx *fasthttp.RequestCtx) error {
	ctx.SetConnectionClose()
	return retryable(codeUnavailable, "this node takes no clients now; use another one", time.Second)
}

// since reads the position that the client has; nil: none.
func since(ctx *fasthttp.RequestCtx) (*position, error) {
	args := ctx.QueryArgs()
	text := string(args.Peek("since"))
	if text == "" {
		return nil, nil
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 0 {
		return nil, invalid("query.since", "must be the seq of an answer before")
	}
	return &position{epoch: string(args.Peek("epoch")), seq: seq}, nil
}

// waitOf reads how long the client wants to wait, in seconds or as 500ms.
func waitOf(ctx *fasthttp.RequestCtx) (time.Duration, error) {
	text := string(ctx.QueryArgs().Peek("wait"))
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if seconds, numErr := strconv.ParseFloat(text, 64); numErr == nil {
		wait, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || wait < 0 {
		return 0, invalid("query.wait", fmt.Sprintf("must be seconds, up to %d", int(maxWait.Seconds())))
	}
	return min(wait, maxWait), nil
}

// frameView is an event or a whisper, for the OpenAPI document.
type frameView struct {
	Seq        int64  `json:"seq,omitempty" doc:"None: may be lost"`
	Type       string `json:"type"`
	At         int64  `json:"at,omitempty"`
	Site       string `json:"site,omitempty"`
	Visitor    string `json:"visitor,omitempty"`
	Chat       string `json:"chat,omitempty"`
	Agent      string `json:"agent,omitempty"`
	Department string `json:"department,omitempty"`
	Data       any    `json:"data"`
}

// framesView is what long-poll and WebSocket carry, for the OpenAPI document.
type framesView struct {
	Place
	Reset  bool        `json:"reset" doc:"The gap cannot be filled: load the state anew"`
	Frames []frameView `json:"frames"`
}

func (s *Server) describeSync(op *huma.Operation) {
	op.Description = "See docs/events.md. The next call passes epoch, and since = seq."
	op.Parameters = append(placeParams(), &huma.Param{
		Name: "wait", In: "query", Description: "Seconds to wait for events, up to 25; none: answers at once", Schema: &huma.Schema{Type: "number"}})
	op.Responses["200"] = &huma.Response{Description: http.StatusText(http.StatusOK), Content: map[string]*huma.MediaType{
		"application/json": {Schema: schemaOf[framesView](s)},
	}}
}

func (s *Server) describeSocket(op *huma.Operation) {
	op.Description = "See docs/events.md. Subprotocols: parlor.v1, and bearer.<token> instead of an Authorization header. " +
		"Text messages carry the object that sync answers. Close codes: 4000 resync, 4001 unauthorized, 4002 going-away."
	op.Parameters = placeParams()
	op.Responses["101"] = &huma.Response{Description: http.StatusText(http.StatusSwitchingProtocols)}
}

func placeParams() []*huma.Param {
	return []*huma.Param{
		{Name: "epoch", In: "query", Description: "Of the answer before", Schema: &huma.Schema{Type: "string"}},
		{Name: "since", In: "query", Description: "seq of the answer before; none: from now on", Schema: &huma.Schema{Type: "integer"}},
	}
}

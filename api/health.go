package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/danielgtaylor/huma/v2"
	"github.com/valyala/fasthttp"

	"github.com/parlorchat/parlor/metric"
)

// readyWait is how long this node may take to show that it has caught up.
const readyWait = 200 * time.Millisecond

func (s *Server) healthRoutes() {
	const tag = "health"
	describe := func(statuses ...int) func(op *huma.Operation) {
		return func(op *huma.Operation) {
			for _, status := range statuses {
				op.Responses[fmt.Sprint(status)] = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{
					"text/plain": {Schema: &huma.Schema{Type: "string"}},
				}}
			}
		}
	}
	s.open(endpoint{method: http.MethodGet, path: "/livez", id: "livez", tag: tag, summary: "This process answers"}, describe(200, 503), s.livez)
	s.open(endpoint{method: http.MethodGet, path: "/readyz", id: "readyz", tag: tag, summary: "A leader is known and this node has caught up"}, describe(200, 422, 503), s.readyz)
	s.open(endpoint{method: http.MethodGet, path: "/metrics", id: "metrics", tag: tag, summary: "Metrics in the Prometheus text format"}, describe(200), s.writeMetrics)
}

func (s *Server) livez(ctx *fasthttp.RequestCtx) {
	if s.cfg.Alive != nil {
		if err := s.cfg.Alive(); err != nil {
			writeProblem(ctx, retryable(codeUnavailable, err.Error(), time.Second))
			return
		}
	}
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString("ok\n")
}

// readiness is one thing that /readyz looks at; it holds if err is nil.
type readiness struct {
	name string
	err  error
}

// readyz says whether load balancers should send clients here. The first
// thing that is missing is the answer; with ?verbose all are listed.
func (s *Server) readyz(ctx *fasthttp.RequestCtx) {
	role := string(ctx.QueryArgs().Peek("role"))
	if role != "" && role != "leader" {
		writeProblem(ctx, invalid("query.role", "it can be leader, or left out"))
		return
	}
	verbose := ctx.QueryArgs().Has("verbose")
	var list bytes.Buffer
	var missing error
	for _, look := range []func() readiness{s.isUsed, s.hasStarted, func() readiness { return s.hasRole(role) }, s.hasCaughtUp} {
		r := look()
		if r.err == nil {
			fmt.Fprintf(&list, "[+] %s\n", r.name)
			continue
		}
		fmt.Fprintf(&list, "[-] %s: %v\n", r.name, r.err)
		if missing == nil {
			missing = r.err
		}
		if !verbose {
			break
		}
	}
	if s.cfg.Warnings != nil {
		for _, w := range s.cfg.Warnings() {
			fmt.Fprintf(&list, "[!] %s\n", w)
		}
	}
	switch {
	case verbose && missing != nil:
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		fmt.Fprintln(&list, "not ready")
	case missing != nil:
		writeProblem(ctx, retryable(codeUnavailable, missing.Error(), time.Second))
		return
	case verbose:
		fmt.Fprintln(&list, "ready")
	default:
		list.Reset()
		list.WriteString("ready\n")
	}
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBody(list.Bytes())
}

func (s *Server) isUsed() readiness {
	r := readiness{name: "takes clients"}
	if s.isDraining() {
		r.err = errors.New("this node takes no clients now: it is about to stop, or drained")
	}
	return r
}

func (s *Server) hasStarted() readiness {
	r := readiness{name: "started and knows a leader"}
	if s.cfg.Ready != nil {
		r.err = s.cfg.Ready()
	}
	return r
}

func (s *Server) hasRole(role string) readiness {
	r := readiness{name: "has the role"}
	if role == "leader" && (s.cfg.Leads == nil || !s.cfg.Leads()) {
		r.err = errors.New("this node does not lead")
	}
	return r
}

func (s *Server) hasCaughtUp() readiness {
	r := readiness{name: "a majority answers and this node has caught up"}
	wait, cancel := context.WithTimeout(s.base, readyWait)
	defer cancel()
	if err := s.node.ReadIndex(wait); err != nil {
		s.log.Debug("this node is not ready", "err", err)
		r.err = errors.New("no majority answers, or this node has not caught up")
	}
	return r
}

func (s *Server) writeMetrics(ctx *fasthttp.RequestCtx) {
	var b bytes.Buffer
	s.metrics.WritePrometheus(&b)
	metrics.WriteProcessMetrics(&b)
	ctx.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	ctx.SetBody(b.Bytes())
}

// gauges adds what can be read at any time.
func (s *Server) gauges() {
	gauge := func(name string, read func() int) {
		s.metrics.GetOrCreateGauge(name, func() float64 { return float64(read()) })
	}
	gauge("parlor_http_sockets", s.sockets.count)
	gauge("parlor_http_polls", func() int { return int(s.polls.Load()) })
	gauge("parlor_http_agents_connected", func() int { n, _ := s.presence.count(); return n })
	gauge("parlor_http_visitors_connected", func() int { _, n := s.presence.count(); return n })
	gauge("parlor_http_connections", func() int { return int(s.http.GetOpenConnectionsCount()) })
}

// measured counts and times the calls of a route.
func (s *Server) measured(method, path string, handler fasthttp.RequestHandler) fasthttp.RequestHandler {
	took := s.metrics.GetOrCreatePrometheusHistogramExt(fmt.Sprintf(`parlor_http_request_seconds{method=%q,route=%q}`, method, path), metric.Latency)
	return func(ctx *fasthttp.RequestCtx) {
		start := time.Now()
		handler(ctx)
		took.UpdateDuration(start)
		s.metrics.GetOrCreateCounter(fmt.Sprintf(`parlor_http_requests_total{method=%q,route=%q,status="%d"}`, method, path, ctx.Response.StatusCode())).Inc()
	}
}

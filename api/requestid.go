package api

import (
	"crypto/rand"
	"encoding/hex"

	"github.com/valyala/fasthttp"
)

// Each request has an id, under which it is found in the log: the caller's own,
// if a reverse proxy or a program has given it one, else a new one. It is in
// every answer, and in every problem.
const (
	headerRequestID  = "X-Request-Id"
	requestIDLongest = 128 // characters
)

// requestIDKey finds the id among the values of a request.
type requestIDKey struct{}

// nameRequest gives a request its id.
func nameRequest(ctx *fasthttp.RequestCtx) {
	id := string(ctx.Request.Header.Peek(headerRequestID))
	if !isRequestID(id) {
		b := make([]byte, 12)
		_, _ = rand.Read(b) // does not fail
		id = hex.EncodeToString(b)
	}
	ctx.SetUserValue(requestIDKey{}, id)
	ctx.Response.Header.Set(headerRequestID, id)
}

// isRequestID says whether somebody's id can be taken over: it goes into logs
// and headers as it is.
func isRequestID(id string) bool {
	if id == "" || len(id) > requestIDLongest {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '_' && c != '.' && c != ':' {
			return false
		}
	}
	return true
}

// requestID is a request's id; "" for what was no request.
func requestID(ctx *fasthttp.RequestCtx) string {
	id, _ := ctx.UserValue(requestIDKey{}).(string)
	return id
}

// named is a problem with the id of its request.
func (p *Problem) named(ctx *fasthttp.RequestCtx) *Problem {
	named := *p
	named.RequestID = requestID(ctx)
	return &named
}

// logFailure writes down that a request failed through no fault of the
// caller's, so that who has its id finds it. That this node is not ready is no
// request's failure.
func (s *Server) logFailure(ctx *fasthttp.RequestCtx) {
	status := ctx.Response.StatusCode()
	if status < fasthttp.StatusInternalServerError || string(ctx.Path()) == "/readyz" {
		return
	}
	s.log.Warn("a request failed", "request_id", requestID(ctx), "method", string(ctx.Method()), "path", string(ctx.Path()),
		"status", status, "remote", ctx.RemoteAddr().String())
}

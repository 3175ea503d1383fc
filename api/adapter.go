package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// adapter lets huma register its operations on the fasthttp router.
type adapter struct {
	router *router.Router
	server *Server
}

// Handle registers one operation.
func (a *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	a.router.Handle(op.Method, op.Path, a.server.measured(op.Method, op.Path, func(ctx *fasthttp.RequestCtx) {
		handler(&exchange{op: op, ctx: ctx, base: a.server.base})
	}))
}

// ServeHTTP is part of huma's interface for tests that have no server; this
// adapter is only ever driven by a real one.
func (a *adapter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "not served over net/http", http.StatusNotImplemented)
}

// exchange is one request and its answer as huma sees it. Strings are copied
// out of fasthttp's buffers, which die when the handler returns.
type exchange struct {
	op   *huma.Operation
	ctx  *fasthttp.RequestCtx
	base context.Context
}

func (e *exchange) Operation() *huma.Operation { return e.op }
func (e *exchange) Context() context.Context   { return e.base }
func (e *exchange) Method() string             { return string(e.ctx.Method()) }
func (e *exchange) Host() string               { return string(e.ctx.Host()) }
func (e *exchange) RemoteAddr() string         { return e.ctx.RemoteAddr().String() }

func (e *exchange) URL() url.URL {
	u, err := url.ParseRequestURI(string(e.ctx.RequestURI()))
	if err != nil {
		return url.URL{}
	}
	return *u
}

func (e *exchange) Param(name string) string { return pathParam(e.ctx, name) }

func (e *exchange) Query(name string) string { return string(e.ctx.QueryArgs().Peek(name)) }

func (e *exchange) Header(name string) string { return string(e.ctx.Request.Header.Peek(name)) }

func (e *exchange) EachHeader(cb func(name, value string)) {
	for k, v := range e.ctx.Request.Header.All() {
		cb(string(k), string(v))
	}
}

func (e *exchange) BodyReader() io.Reader { return bytes.NewReader(e.ctx.PostBody()) }

func (e *exchange) GetMultipartForm() (*multipart.Form, error) { return e.ctx.MultipartForm() }

// SetReadDeadline does nothing: the body has been read when a handler runs,
// within the server's own limits.
func (e *exchange) SetReadDeadline(time.Time) error { return nil }

func (e *exchange) SetStatus(code int)              { e.ctx.SetStatusCode(code) }
func (e *exchange) Status() int                     { return e.ctx.Response.StatusCode() }
func (e *exchange) AppendHeader(name, value string) { e.ctx.Response.Header.Add(name, value) }
func (e *exchange) SetHeader(name, value string)    { e.ctx.Response.Header.Set(name, value) }
func (e *exchange) BodyWriter() io.Writer           { return e.ctx }
func (e *exchange) TLS() *tls.ConnectionState       { return e.ctx.TLSConnectionState() }

func (e *exchange) Version() huma.ProtoVersion {
	return huma.ProtoVersion{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}

// pathParam gives a decoded parameter of the route.
func pathParam(ctx *fasthttp.RequestCtx, name string) string {
	raw, _ := ctx.UserValue(name).(string)
	value, err := url.PathUnescape(raw)
	if err != nil {
		return raw
	}
	return string([]byte(value)) // not a view into the request's buffer
}

// exchangeOf finds the exchange below the wrappers that middleware put on it.
func exchangeOf(ctx huma.Context) *exchange {
	for {
		switch c := ctx.(type) {
		case *exchange:
			return c
		case interface{ Unwrap() huma.Context }:
			ctx = c.Unwrap()
		default:
			panic("api: a huma context of another adapter")
		}
	}
}

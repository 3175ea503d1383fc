package api

import (
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/web"
)

func (s *Server) fileRoutes() {
	if s.cfg.Files == nil {
		return
	}
	s.file("/w/{site}", s.loader) // {site}.js: the router has no suffixes
	s.file("/w/{site}/window", s.windowPage)
	s.file("/w/assets/{name}", s.asset)
	s.file("/console/", s.console)
	s.folders = []string{"/console"}
	if s.cfg.Demo != "" {
		s.file("/demo/", s.demo)
		s.folders = append(s.folders, "/demo")
		s.file("/demo/{page}", s.demo)
	}
}

// file adds a route whose answer is a file. Files are no part of the OpenAPI
// document.
func (s *Server) file(path string, find func(ctx *fasthttp.RequestCtx) (web.File, error)) {
	handler := s.measured(http.MethodGet, path, func(ctx *fasthttp.RequestCtx) {
		f, err := find(ctx)
		if err != nil {
			writeProblem(ctx, s.problemOf(ctx, err))
			return
		}
		writeFile(ctx, f)
	})
	s.router.GET(path, handler)
	s.router.HEAD(path, handler)
}

// writeFile answers with a file, or says that the client has it.
func writeFile(ctx *fasthttp.RequestCtx, f web.File) {
	h := &ctx.Response.Header
	h.Set(fasthttp.HeaderETag, f.ETag)
	h.Set(fasthttp.HeaderCacheControl, f.CacheControl)
	h.Set(fasthttp.HeaderVary, "Accept-Encoding")
	if f.CSP != "" {
		h.Set(fasthttp.HeaderContentSecurityPolicy, f.CSP)
		h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	}
	if matchesETag(string(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch)), f.ETag) {
		ctx.SetStatusCode(http.StatusNotModified)
		return
	}
	ctx.SetContentType(f.ContentType)
	body := f.Body
	if f.Gzip != nil && ctx.Request.Header.HasAcceptEncoding("gzip") {
		h.Set(fasthttp.HeaderContentEncoding, "gzip")
		body = f.Gzip
	}
	// Never written to, so that it need not be copied.
	ctx.Response.SetBodyRaw(body)
	if ctx.IsHead() {
		ctx.Response.SkipBody = true
	}
}

// errNoFile is the answer where there is no such file.
func errNoFile() *Problem { return problem(codeNotFound, "there is no such file") }

func (s *Server) loader(ctx *fasthttp.RequestCtx) (web.File, error) {
	site, ok := strings.CutSuffix(pathParam(ctx, "site"), ".js")
	if !ok {
		return web.File{}, errNoFile()
	}
	if err := s.siteExists(site); err != nil {
		return web.File{}, err
	}
	return s.cfg.Files.Loader(site, s.cfg.Hosts())
}

func (s *Server) windowPage(ctx *fasthttp.RequestCtx) (web.File, error) {
	site := pathParam(ctx, "site")
	if err := s.siteExists(site); err != nil {
		return web.File{}, err
	}
	return s.cfg.Files.Window(site, nil)
}

func (s *Server) siteExists(site string) error {
	found, err := s.look(s.base, func(tx *keyspace.Tx) (bool, error) {
		_, ok, err := core.GetSite(tx, site)
		return ok, err
	})
	if err == nil && !found {
		err = unknownSite(site)
	}
	return err
}

func (s *Server) asset(ctx *fasthttp.RequestCtx) (web.File, error) {
	f, ok := s.cfg.Files.Asset(pathParam(ctx, "name"), string(ctx.QueryArgs().Peek("v")))
	if !ok {
		return web.File{}, errNoFile()
	}
	return f, nil
}

func (s *Server) console(*fasthttp.RequestCtx) (web.File, error) {
	return s.cfg.Files.Console(s.cfg.Hosts())
}

func (s *Server) demo(ctx *fasthttp.RequestCtx) (web.File, error) {
	lang := string(ctx.QueryArgs().Peek("lang"))
	f, ok, err := s.cfg.Files.Demo(pathParam(ctx, "page"), lang, s.cfg.Demo, s.cfg.Hosts())
	if err == nil && !ok {
		err = errNoFile()
	}
	return f, err
}

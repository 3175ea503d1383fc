package api

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// routes puts all calls on the router and describes them in the OpenAPI
// document.
func (s *Server) routes() {
	s.router = router.New()
	s.router.RedirectFixedPath = false
	// A redirect would lead to whatever the Host header says.
	s.router.RedirectTrailingSlash = false
	s.router.NotFound = s.notFound
	s.router.MethodNotAllowed = s.methodNotAllowed
	s.router.GlobalOPTIONS = preflight
	s.api = s.newAPI()

	s.visitorRoutes()
	s.raw(endpoint{method: http.MethodGet, path: "/v1/campaigns/{campaign}", id: "getCampaign", tag: "visitor",
		summary: "A campaign: button, window, forms and texts"}, s.describeCampaign, s.getCampaign)
	s.syncRoutes()
	s.loginRoutes()
	s.agentRoutes()
	s.chatRoutes()
	s.configRoutes()
	s.healthRoutes()
	s.fileRoutes()
	s.document()
}

// newAPI makes the framework that decodes, checks and encodes.
func (s *Server) newAPI() huma.API {
	version := s.cfg.Version
	if version == "" {
		version = "dev"
	}
	config := huma.DefaultConfig("Parlor", version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	// A client of a newer version may send what this one does not know.
	config.AllowAdditionalPropertiesByDefault = true
	config.Info.Description = "Live chat: the visitors' and the agents' calls. Errors are application/problem+json with a stable code. " +
		"Every POST takes an Idempotency-Key of 16 to 128 characters."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"visitor": {Type: "http", Scheme: "bearer", Description: "The token that POST /v1/visitor/page gave"},
		"agent":   {Type: "http", Scheme: "bearer", Description: "The token that POST /v1/login gave"},
	}
	config.Formats = map[string]huma.Format{"application/json": strictJSON(), "json": strictJSON()}
	config.Transformers = []huma.Transformer{problems}
	config.OnAddOperation = append(config.OnAddOperation, s.describeProblems)
	return huma.NewAPI(config, &adapter{router: s.router, server: s})
}

// strictJSON is the framework's JSON without what is no UTF-8.
func strictJSON() huma.Format {
	return huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: func(body []byte, into any) error {
		if err := checkUTF8(body); err != nil {
			return err
		}
		return huma.DefaultJSONFormat.Unmarshal(body, into)
	}}
}

// schemaName names a type in the document. Both core and rules have a Route:
// what comes from the rules says so.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if strings.HasSuffix(t.PkgPath(), "/rules") {
		return "Rules" + name
	}
	return name
}

// problems turns the framework's errors into ours.
func problems(ctx huma.Context, _ string, v any) (any, error) {
	switch e := v.(type) {
	case *huma.ErrorModel:
		p := fromHuma(e).named(exchangeOf(ctx).ctx)
		ctx.SetHeader("Content-Type", "application/problem+json")
		return p, nil
	case *Problem:
		ctx.SetHeader("Content-Type", "application/problem+json")
		return e.named(exchangeOf(ctx).ctx), nil
	}
	return v, nil
}

// describeProblems documents how any call may fail.
func (s *Server) describeProblems(_ *huma.OpenAPI, op *huma.Operation) {
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = &huma.Response{Description: "A problem", Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: schemaOf[Problem](s)},
	}}
}

// schemaOf gives the schema of a type in the document.
func schemaOf[T any](s *Server) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// open adds a call that anybody may make at any rate.
func (s *Server) open(e endpoint, describe func(op *huma.Operation), handler fasthttp.RequestHandler) {
	s.router.Handle(e.method, e.path, s.measured(e.method, e.path, handler))
	op := e.operation()
	op.Responses = map[string]*huma.Response{}
	describe(&op)
	s.api.OpenAPI().AddOperation(&op)
}

// describeCampaign completes the operation of getCampaign.
func (s *Server) describeCampaign(op *huma.Operation) {
	op.Parameters = []*huma.Param{
		{Name: "campaign", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}},
		{Name: "site", In: "query", Required: true, Schema: &huma.Schema{Type: "string"}},
		{Name: "If-None-Match", In: "header", Schema: &huma.Schema{Type: "string"}},
	}
	op.Responses["200"] = &huma.Response{Description: http.StatusText(http.StatusOK), Content: map[string]*huma.MediaType{
		"application/json": {Schema: schemaOf[campaign](s)},
	}}
	op.Responses["304"] = &huma.Response{Description: http.StatusText(http.StatusNotModified)}
}

// describeAgentSend completes the operation of sendMessage.
func (s *Server) describeAgentSend(op *huma.Operation) {
	describeMessage[messageInput](s, op)
	op.Parameters = []*huma.Param{{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}}
}

// document serves the OpenAPI document, which is complete now.
func (s *Server) document() {
	const path = "/v1/openapi.json"
	s.open(endpoint{method: http.MethodGet, path: path, id: "getOpenAPI", tag: "health", summary: "This document"},
		func(op *huma.Operation) {
			op.Responses["200"] = &huma.Response{Description: http.StatusText(http.StatusOK), Content: map[string]*huma.MediaType{
				"application/json": {Schema: &huma.Schema{Type: "object"}},
			}}
		},
		func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType("application/json")
			ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-cache")
			ctx.Response.SetBodyRaw(s.openapi)
		})
	// The framework's own form of errors never gets out.
	schemas := s.api.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	for _, code := range slices.Sorted(maps.Keys(statusOf)) {
		property := schemas["Problem"].Properties["code"]
		property.Enum = append(property.Enum, code)
	}
	s.openapi = encode(s.api.OpenAPI())
}

// unixMilli gives the time of a number of ms since 1970, UTC.
func unixMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

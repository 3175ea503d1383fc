package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// OpenAPI gives tests the document with its schemas.
func (s *Server) OpenAPI() *huma.OpenAPI { return s.api.OpenAPI() }

// Routes gives tests all routes of the router, by method.
func (s *Server) Routes() map[string][]string { return s.router.List() }

// SignVisitor makes a visitor token as this server would.
func SignVisitor(key []byte, site, visitor string, expires time.Time) string {
	return signVisitor(key, visitorClaims{Site: site, Visitor: visitor, Expires: expires.UnixMilli()})
}

// Sockets gives the number of open sockets.
func (s *Server) Sockets() int { return s.sockets.count() }

// Polls gives the number of long-polls that wait.
func (s *Server) Polls() int { return int(s.polls.Load()) }

package server

import (
	"encoding/json"
	"net/http"
)

// adminHandlers are what the admin socket answers beyond what a member does by
// itself:
//
//	GET /log       the last lines of the log
//	GET /settings  what the member was told, by flag, without secrets
func (s *server) adminHandlers() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /log": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			if s.o.RecentLog != nil {
				_, _ = w.Write(s.o.RecentLog()) // who has gone does not need it
			}
		},
		"GET /settings": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(s.o.Settings)
		},
	}
}

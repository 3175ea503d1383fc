package server

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/parlorchat/parlor/node"
	"github.com/parlorchat/parlor/resp"
	"github.com/parlorchat/parlor/storage/command"
)

// adminHandlers are what the admin socket answers beyond what a member does by
// itself:
//
//	GET /log       the last lines of the log
//	GET /settings  what the member was told, by flag, without secrets
//	POST /acl/reset-default  lets the user default of the Redis port in again
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
		"POST /acl/reset-default": func(w http.ResponseWriter, r *http.Request) {
			err := resp.ResetDefaultUser(r.Context(), s.member)
			var told *command.Error
			if errors.As(err, &told) {
				err = &node.Error{Code: told.Code, Message: told.Message}
			}
			if err == nil {
				s.log.Warn("the Redis user default was reset through the admin socket: it may do everything")
			}
			node.AnswerAdmin(w, struct{}{}, err)
		},
	}
}

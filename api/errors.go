package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parlorchat/parlor/storage/command"
)

// Problem is an error as clients see it (RFC 9457).
type Problem struct {
	Type   string        `json:"type" doc:"A URI that identifies the kind of problem: urn:parlor:problem:<code>"`
	Title  string        `json:"title" doc:"What the status says"`
	Status int           `json:"status" doc:"The HTTP status"`
	Code   string        `json:"code" doc:"Stable: programs branch on it"`
	Detail string        `json:"detail" doc:"What is wrong and what to do"`
	Errors []ProblemItem `json:"errors,omitempty" doc:"One for each thing that is wrong with the request"`

	RequestID string `json:"request_id,omitempty" doc:"As in X-Request-Id: the request is found in the server's log under it"`

	retryAfter time.Duration
}

// ProblemItem is one thing that is wrong with a request.
type ProblemItem struct {
	Location string `json:"location" doc:"Where: body.text, query.wait, path.id"`
	Message  string `json:"message"`
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are the headers that go with the problem.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", retrySeconds(p.retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="parlor"`)
	}
	return h
}

// ContentType marks the answer as a problem.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// retrySeconds writes a duration for Retry-After: whole seconds, at least 1.
func retrySeconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// The codes of problems. They are part of the public interface: added to,
// never renamed.
const (
	codeInvalidJSON      = "invalid_json"
	codeInvalidRequest   = "invalid_request"
	codeUnauthorized     = "unauthorized"
	codeForbidden        = "forbidden"
	codeNotFound         = "not_found"
	codeUnknownSite      = "unknown_site"
	codeUnknownCampaign  = "unknown_campaign"
	codeTokenExpired     = "token_expired"
	codeTokenForeign     = "token_foreign"
	codeConflict         = "conflict"
	codeChatEnded        = "chat_ended"
	codeLimitReached     = "limit_reached"
	codeMessageTooLarge  = "message_too_large"
	codeBodyTooLarge     = "body_too_large"
	codeURITooLong       = "uri_too_long"
	codeHeadersTooLarge  = "headers_too_large"
	codeTooManyRequests  = "too_many_requests"
	codeNoLeader         = "no_leader"
	codeUnknownOutcome   = "unknown_outcome"
	codeUnavailable      = "unavailable"
	codeNoSpace          = "no_space"
	codeMethodNotAllowed = "method_not_allowed"
	codeInternal         = "internal"
)

// statusOf is the table of codes: every code and its HTTP status.
var statusOf = map[string]int{
	codeInvalidJSON:      http.StatusBadRequest,
	codeInvalidRequest:   http.StatusUnprocessableEntity,
	codeUnauthorized:     http.StatusUnauthorized,
	codeForbidden:        http.StatusForbidden,
	codeNotFound:         http.StatusNotFound,
	codeUnknownSite:      http.StatusNotFound,
	codeUnknownCampaign:  http.StatusNotFound,
	codeTokenExpired:     http.StatusUnauthorized,
	codeTokenForeign:     http.StatusUnauthorized,
	codeConflict:         http.StatusConflict,
	codeChatEnded:        http.StatusConflict,
	codeLimitReached:     http.StatusConflict,
	codeMessageTooLarge:  http.StatusRequestEntityTooLarge,
	codeBodyTooLarge:     http.StatusRequestEntityTooLarge,
	codeURITooLong:       http.StatusRequestURITooLong,
	codeHeadersTooLarge:  http.StatusRequestHeaderFieldsTooLarge,
	codeTooManyRequests:  http.StatusTooManyRequests,
	codeNoLeader:         http.StatusServiceUnavailable,
	codeUnknownOutcome:   http.StatusGatewayTimeout,
	codeUnavailable:      http.StatusServiceUnavailable,
	codeNoSpace:          http.StatusInsufficientStorage,
	codeMethodNotAllowed: http.StatusMethodNotAllowed,
	codeInternal:         http.StatusInternalServerError,
}

// commandCodes maps the codes of failed commands (docs/commands.md).
var commandCodes = map[string]string{
	"NOTFOUND": codeNotFound,
	"EXISTS":   codeConflict,
	"CONFLICT": codeConflict,
	"LIMIT":    codeLimitReached,
	"INVALID":  codeInvalidRequest,
	"DENIED":   codeForbidden,
	"LEVEL":    codeUnavailable, // the group was not finalized after an upgrade
}

// problem makes a Problem.
func problem(code, detail string, items ...ProblemItem) *Problem {
	status := statusOf[code]
	return &Problem{
		Type:   "urn:parlor:problem:" + code,
		Title:  http.StatusText(status),
		Status: status,
		Code:   code,
		Detail: detail,
		Errors: items,
	}
}

// invalid makes the problem of one wrong thing in a request.
func invalid(location, message string) *Problem {
	return problem(codeInvalidRequest, "the request is not valid: "+message, ProblemItem{location, message})
}

// asProblem turns any error of core, the node or a handler into what the
// client is told. An error that is nobody's fault but ours says nothing of
// its inside; ok is false then, and the caller logs it.
func asProblem(err error) (p *Problem, ok bool) {
	var cmd *command.Error
	switch {
	case errors.As(err, &p):
		return p, true
	case errors.Is(err, command.ErrNoLeader):
		return retryable(codeNoLeader, cmdMessage(err), time.Second), true
	case errors.Is(err, command.ErrClosing):
		return retryable(codeUnavailable, cmdMessage(err), time.Second), true
	case errors.Is(err, command.ErrBusy):
		return retryable(codeUnavailable, cmdMessage(err), time.Second), true
	case errors.Is(err, command.ErrNoSpace):
		return retryable(codeNoSpace, "the servers are short of room and store nothing new now, nothing was changed; try again later", time.Minute), true
	case errors.Is(err, command.ErrUnknownOutcome):
		return problem(codeUnknownOutcome, cmdMessage(err)), true
	case errors.Is(err, command.ErrTooLarge):
		return problem(codeBodyTooLarge, cmdMessage(err)), true
	case errors.As(err, &cmd):
		if code, known := commandCodes[cmd.Code]; known {
			return problem(code, cmd.Message), true
		}
		return problem(codeInternal, "the server failed to carry this out; it is in its log"), false
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return retryable(codeUnavailable, "the group did not answer in time, nothing was changed; try again", time.Second), true
	}
	return problem(codeInternal, "the server failed to carry this out; it is in its log"), false
}

// cmdMessage gives the sentence of a command's error without its code.
func cmdMessage(err error) string {
	var cmd *command.Error
	if errors.As(err, &cmd) {
		return cmd.Message
	}
	return err.Error()
}

// retryable is a problem that goes away.
func retryable(code, detail string, after time.Duration) *Problem {
	p := problem(code, detail)
	p.retryAfter = after
	return p
}

// fromHuma turns the errors that the HTTP framework found before a handler
// ran into ours. Values are not echoed: they may be passwords.
func fromHuma(e *huma.ErrorModel) *Problem {
	code := codeInternal
	switch {
	case e.Status == http.StatusBadRequest:
		code = codeInvalidJSON
	case e.Status == http.StatusRequestEntityTooLarge:
		code = codeBodyTooLarge
	case e.Status >= 400 && e.Status < 500:
		code = codeInvalidRequest
	}
	p := problem(code, "the request is not valid")
	p.Status, p.Title = e.Status, http.StatusText(e.Status)
	if code == codeInternal {
		p.Detail = "the server failed to carry this out; it is in its log"
		return p
	}
	if e.Detail != "" && e.Detail != "validation failed" {
		p.Detail = e.Detail
	}
	for _, d := range e.Errors {
		if d == nil {
			continue
		}
		p.Errors = append(p.Errors, ProblemItem{Location: d.Location, Message: d.Message})
	}
	if len(p.Errors) > 0 && p.Detail == "the request is not valid" {
		p.Detail += ": " + p.Errors[0].Message
		if p.Errors[0].Location != "" {
			p.Detail += " at " + p.Errors[0].Location
		}
	}
	return p
}

// encodeProblem gives the body of a problem.
func encodeProblem(p *Problem) []byte {
	b, err := json.Marshal(p)
	if err != nil {
		return []byte(`{"type":"urn:parlor:problem:internal","title":"Internal Server Error","status":500,"code":"internal","detail":""}`)
	}
	return b
}

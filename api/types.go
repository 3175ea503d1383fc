package api

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// empty is the input of a call that needs none.
type empty struct{}

// reply is an answer with a JSON body.
type reply[T any] struct {
	Body T
}

func answer[T any](body T) *reply[T] { return &reply[T]{Body: body} }

// Chat is a chat with what a page shows of it.
type Chat struct {
	core.Chat
	AgentName string `json:"agent_name,omitempty"`
}

// withName adds the name of a chat's agent.
func withName(tx *keyspace.Tx, c core.Chat) (Chat, error) {
	out := Chat{Chat: c}
	if c.Agent == "" {
		return out, nil
	}
	a, ok, err := core.GetAgent(tx, c.Agent)
	if ok {
		out.AgentName = a.DisplayName()
	}
	return out, err
}

// withoutNull makes an empty list of none.
func withoutNull(items []string) []string {
	if items == nil {
		return []string{}
	}
	return items
}

// VisitorSelf is a visitor as he sees himself.
type VisitorSelf struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Status string `json:"status"`
}

// RouteView is where a chat would go.
type RouteView struct {
	Department string `json:"department,omitempty"`
	Agent      string `json:"agent,omitempty"`
}

func routeView(r rules.Route) RouteView { return RouteView{Department: r.Department, Agent: r.Agent} }

// InvitationView is an invitation that the visitor is to see.
type InvitationView struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	DelayS int    `json:"delay_s,omitempty" doc:"Seconds to wait on the page before it is shown"`
}

// Decided is what the rules said of a visitor.
type Decided struct {
	Campaign     string                   `json:"campaign"`
	Segments     []string                 `json:"segments"`
	Route        RouteView                `json:"route"`
	Invitation   Nullable[InvitationView] `json:"invitation"`
	Availability string                   `json:"availability" enum:"online,offline"`
}

// Place is a position in the events: where to go on from.
type Place struct {
	Epoch string `json:"epoch"`
	Seq   int64  `json:"seq" doc:"Pass it as since"`
}

func (p position) place() Place { return Place{Epoch: p.epoch, Seq: p.seq} }

// Messages is a list of messages, oldest first.
type Messages struct {
	Messages []core.Message `json:"messages"`
}

// PathID is the input of a call about one object. It is exported, as are the
// others that are embedded, because the framework passes by what is not.
type PathID struct {
	ID string `path:"id" maxLength:"64"`
}

// messageInput is a message to be sent.
type messageInput struct {
	ClientID string `json:"client_id,omitempty" maxLength:"128" doc:"Made by the sender, a new one for each message; the same again adds nothing. None: the Idempotency-Key"`
	Text     string `json:"text" doc:"Up to 16 384 bytes"`
}

// typingInput says that somebody writes.
type typingInput struct {
	Typing  bool   `json:"typing"`
	Preview string `json:"preview,omitempty" doc:"What a visitor has written so far; only agents see it"`
}

// chatState is a chat with its messages.
type chatState struct {
	Chat     Nullable[Chat] `json:"chat"`
	Messages []core.Message `json:"messages"`
	Place
}

// Nullable is an object or null.
type Nullable[T any] struct{ Value *T }

func orNull[T any](v *T) Nullable[T] { return Nullable[T]{v} }

// MarshalJSON writes the object or null.
func (n Nullable[T]) MarshalJSON() ([]byte, error) { return json.Marshal(n.Value) }

// Schema says so in the OpenAPI document.
func (n Nullable[T]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[T](), true, ""),
		{Type: "null", Enum: []any{nil}},
	}}
}

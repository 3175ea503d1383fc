package core

import "encoding/json"

// Types of events. docs/events.md says what each carries.
const (
	EventSiteCreated        = "site.created"
	EventSiteUpdated        = "site.updated"
	EventConfigChanged      = "config.changed"
	EventDepartmentCreated  = "department.created"
	EventDepartmentRemoved  = "department.removed"
	EventAgentCreated       = "agent.created"
	EventAgentUpdated       = "agent.updated"
	EventAgentStatusChanged = "agent.status_changed"
	EventAgentRemoved       = "agent.removed"
	EventAgentMessage       = "agent.message"
	EventVisitorCreated     = "visitor.created"
	EventVisitorUpdated     = "visitor.updated"
	EventVisitorPage        = "visitor.page"
	EventVisitorLeft        = "visitor.left"
	EventVisitorRemoved     = "visitor.removed"
	EventInvitationSent     = "invitation.sent"
	EventInvitationAnswered = "invitation.answered"
	EventChatCreated        = "chat.created"
	EventChatQueued         = "chat.queued"
	EventChatAssigned       = "chat.assigned"
	EventChatAccepted       = "chat.accepted"
	EventChatTransferred    = "chat.transferred"
	EventChatUpdated        = "chat.updated"
	EventChatEnded          = "chat.ended"
	EventChatRemoved        = "chat.removed"
	EventMessageCreated     = "message.created"
)

// EventTypes gives all types of events, in the order of docs/events.md.
func EventTypes() []string {
	return []string{
		EventSiteCreated, EventSiteUpdated, EventConfigChanged,
		EventDepartmentCreated, EventDepartmentRemoved,
		EventVisitorCreated, EventVisitorUpdated, EventVisitorLeft, EventVisitorRemoved, EventVisitorPage,
		EventInvitationSent, EventInvitationAnswered,
		EventChatCreated, EventChatQueued, EventChatAssigned, EventChatAccepted, EventChatTransferred,
		EventChatUpdated, EventChatEnded, EventChatRemoved, EventMessageCreated,
		EventAgentCreated, EventAgentUpdated, EventAgentStatusChanged, EventAgentRemoved, EventAgentMessage,
	}
}

// Event is one thing that happened on a site.
type Event struct {
	Seq        int64           `json:"seq"` // dense per site, from 1
	Type       string          `json:"type"`
	At         int64           `json:"at"`
	Site       string          `json:"site"`
	Visitor    string          `json:"visitor,omitempty"`
	Chat       string          `json:"chat,omitempty"`
	Agent      string          `json:"agent,omitempty"`
	Department string          `json:"department,omitempty"`
	Data       json.RawMessage `json:"data"`
}

// ForVisitor says whether the visitor may see the event.
func (e *Event) ForVisitor(visitor string) bool {
	if visitor == "" || e.Visitor != visitor {
		return false
	}
	switch e.Type {
	case EventInvitationSent, EventChatCreated, EventChatQueued, EventChatAssigned, EventChatAccepted,
		EventChatTransferred, EventChatEnded, EventChatRemoved, EventMessageCreated:
		return true
	}
	return false
}

// ForAgent says whether an agent of the site may see the event.
func (e *Event) ForAgent(agent string, admin bool) bool {
	switch e.Type {
	case EventMessageCreated:
		return admin || e.Agent == agent
	case EventAgentMessage:
		var m AgentMessage
		return json.Unmarshal(e.Data, &m) == nil && (m.From == agent || m.To == agent)
	}
	return true
}

package core

import "encoding/json"

// Status of a chat.
const (
	ChatWaiting  = "waiting"
	ChatChatting = "chatting"
	ChatEnded    = "ended"
	// ChatOffline is no status of a chat but an answer to CHAT.REQUEST:
	// nobody was there and no chat was made.
	ChatOffline = "offline"
)

// Kinds of a Party.
const (
	FromVisitor = "visitor"
	FromAgent   = "agent"
	FromSystem  = "system"
)

// Priorities of a waiting chat.
const (
	MinPriority     = 0
	DefaultPriority = 2
	MaxPriority     = 4
)

// Party is one who takes part in a chat.
type Party struct {
	Type string `json:"type"` // FromVisitor, FromAgent or FromSystem
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// Chat is a conversation of one visitor with at most one agent at a time.
type Chat struct {
	ID          string          `json:"id"`
	Site        string          `json:"site"`
	Visitor     string          `json:"visitor"`
	Department  string          `json:"department,omitempty"`
	Agent       string          `json:"agent,omitempty"` // the last one, once it has ended
	Status      string          `json:"status"`
	CreatedAt   int64           `json:"created_at"`
	AssignedAt  int64           `json:"assigned_at,omitempty"` // to the present agent
	AcceptedAt  int64           `json:"accepted_at,omitempty"` // by the present agent
	EndedAt     int64           `json:"ended_at,omitempty"`
	EndedBy     string          `json:"ended_by,omitempty"` // visitor, agent or system
	LastSeq     int64           `json:"last_seq"`           // of its messages
	Campaign    string          `json:"campaign,omitempty"`
	Prechat     json.RawMessage `json:"prechat,omitempty"` // JSON object: field id to value
	Priority    int64           `json:"priority"`
	PageURL     string          `json:"page_url,omitempty"`
	VisitorName string          `json:"visitor_name,omitempty"`

	// Position in the queue, from 1; only where a query says so.
	Position int64 `json:"position,omitempty"`
}

func (c *Chat) fields() []field {
	return []field{
		{"id", c.ID},
		{"site", c.Site},
		{"visitor", c.Visitor},
		{"department", c.Department},
		{"agent", c.Agent},
		{"status", c.Status},
		{"created_at", num(c.CreatedAt)},
		{"assigned_at", num(c.AssignedAt)},
		{"accepted_at", num(c.AcceptedAt)},
		{"ended_at", num(c.EndedAt)},
		{"ended_by", c.EndedBy},
		{"last_seq", count(c.LastSeq)},
		{"campaign", c.Campaign},
		{"prechat", string(c.Prechat)},
		{"priority", count(c.Priority)},
		{"page_url", c.PageURL},
		{"visitor_name", c.VisitorName},
	}
}

func (c *Chat) set(name, value string) {
	switch name {
	case "id":
		c.ID = value
	case "site":
		c.Site = value
	case "visitor":
		c.Visitor = value
	case "department":
		c.Department = value
	case "agent":
		c.Agent = value
	case "status":
		c.Status = value
	case "created_at":
		c.CreatedAt = unNum(value)
	case "assigned_at":
		c.AssignedAt = unNum(value)
	case "accepted_at":
		c.AcceptedAt = unNum(value)
	case "ended_at":
		c.EndedAt = unNum(value)
	case "ended_by":
		c.EndedBy = value
	case "last_seq":
		c.LastSeq = unNum(value)
	case "campaign":
		c.Campaign = value
	case "prechat":
		c.Prechat = raw(value)
	case "priority":
		c.Priority = unNum(value)
	case "page_url":
		c.PageURL = value
	case "visitor_name":
		c.VisitorName = value
	}
}

// Ongoing says whether the chat has not ended.
func (c *Chat) Ongoing() bool { return c.Status == ChatWaiting || c.Status == ChatChatting }

// queueScore orders a department's queue: priority first, then time.
func (c *Chat) queueScore() float64 {
	return float64(MaxPriority-c.Priority)*4e12 + float64(c.CreatedAt)
}

// Message is one message of a chat. Seq is dense from 1.
type Message struct {
	Seq      int64  `json:"seq"`
	ID       string `json:"id"`
	From     Party  `json:"from"`
	Type     string `json:"type"`
	Text     string `json:"text"`
	At       int64  `json:"at"`
	ClientID string `json:"client_id,omitempty"`
}

// MaxText is the longest text of a message, in bytes.
const MaxText = 16_384

// MessageText is the type of an ordinary message.
const MessageText = "text"

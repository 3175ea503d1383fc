package core

// Roles of an agent.
const (
	RoleAgent = "agent"
	RoleAdmin = "admin"
)

// Routing status of an agent: what he wants, whether or not he is connected.
const (
	AgentOnline  = "online"
	AgentAway    = "away"
	AgentOffline = "offline"
)

// Agent is one who answers. He gets chats if he is online (his wish),
// connected (a fact) and has fewer than MaxChats.
type Agent struct {
	ID           string   `json:"id"`
	Site         string   `json:"site"`
	Name         string   `json:"name,omitempty"`
	Role         string   `json:"role"`
	Status       string   `json:"status"`
	Connected    bool     `json:"connected"` // 0 or 1 in the hash
	MaxChats     int64    `json:"max_chats"` // 0 to 1000; what assignment keeps to
	SeenAt       int64    `json:"seen_at,omitempty"`
	LastAssigned int64    `json:"last_assigned,omitempty"`
	IdleSince    int64    `json:"idle_since,omitempty"` // set while he is online without a chat
	CreatedAt    int64    `json:"created_at"`
	Departments  []string `json:"departments"` // from agent:{id}:departments
	Chats        int64    `json:"chats"`       // ongoing ones, computed
}

// DefaultMaxChats is how many chats at a time an agent gets unless told.
const DefaultMaxChats = 5

func (a *Agent) fields() []field {
	return []field{
		{"id", a.ID},
		{"site", a.Site},
		{"name", a.Name},
		{"role", a.Role},
		{"status", a.Status},
		{"connected", flag(a.Connected)},
		{"max_chats", count(a.MaxChats)},
		{"seen_at", num(a.SeenAt)},
		{"last_assigned", num(a.LastAssigned)},
		{"idle_since", num(a.IdleSince)},
		{"created_at", num(a.CreatedAt)},
	}
}

func (a *Agent) set(name, value string) {
	switch name {
	case "id":
		a.ID = value
	case "site":
		a.Site = value
	case "name":
		a.Name = value
	case "role":
		a.Role = value
	case "status":
		a.Status = value
	case "connected":
		a.Connected = value == "1"
	case "max_chats":
		a.MaxChats = unNum(value)
	case "seen_at":
		a.SeenAt = unNum(value)
	case "last_assigned":
		a.LastAssigned = unNum(value)
	case "idle_since":
		a.IdleSince = unNum(value)
	case "created_at":
		a.CreatedAt = unNum(value)
	}
}

// here says whether the agent takes part in assignment at all.
func (a *Agent) here() bool { return a.Status == AgentOnline && a.Connected }

// eligible says whether assignment may give the agent another chat.
func (a *Agent) eligible() bool { return a.here() && a.Chats < a.MaxChats }

// DisplayName is the name, or the id of an agent without one.
func (a *Agent) DisplayName() string {
	if a.Name != "" {
		return a.Name
	}
	return a.ID
}

// AgentMessage is a message between agents. Seq counts in the receiver's
// stream.
type AgentMessage struct {
	Seq      int64  `json:"seq"`
	ID       string `json:"id"`
	From     string `json:"from"`
	To       string `json:"to"`
	Text     string `json:"text"`
	At       int64  `json:"at"`
	ClientID string `json:"client_id,omitempty"`
}

// Credentials is what an agent signs in with.
type Credentials struct {
	Agent Agent
	// PasswordHash is in PHC form, for VerifyPassword; empty if the agent has
	// no password and cannot sign in with one.
	PasswordHash string
	// PasswordAt is when it was set; sessions from before it are void.
	PasswordAt int64
}

// Session is a signed-in agent.
type Session struct {
	Agent     Agent
	CreatedAt int64
	ExpiresAt int64
}

package core

// Department is a group of agents with one queue.
type Department struct {
	ID        string `json:"id"`
	Site      string `json:"site"`
	Name      string `json:"name,omitempty"`
	CreatedAt int64  `json:"created_at"`
	// AvgChatMS is how long a chat keeps an agent busy, as a running mean; 0
	// before the first chat ended.
	AvgChatMS int64 `json:"avg_chat_ms,omitempty"`

	// The rest is computed.

	Agents      int64 `json:"agents"`       // members
	Online      int64 `json:"online"`       // members online and connected
	QueueLength int64 `json:"queue_length"` // chats waiting
}

func (d *Department) fields() []field {
	return []field{
		{"id", d.ID},
		{"site", d.Site},
		{"name", d.Name},
		{"created_at", num(d.CreatedAt)},
		{"avg_chat_ms", num(d.AvgChatMS)},
	}
}

func (d *Department) set(name, value string) {
	switch name {
	case "id":
		d.ID = value
	case "site":
		d.Site = value
	case "name":
		d.Name = value
	case "created_at":
		d.CreatedAt = unNum(value)
	case "avg_chat_ms":
		d.AvgChatMS = unNum(value)
	}
}

// Availability says who could take a chat now.
type Availability struct {
	Members  int64 `json:"members"`  // agents looked at
	Online   int64 `json:"online"`   // online and connected
	Free     int64 `json:"free"`     // of those, with room for another chat
	Capacity int64 `json:"capacity"` // chats that those online may have together
	Waiting  int64 `json:"waiting"`  // chats in the queues looked at
}

// String is "online" if anybody is there, else "offline".
func (a Availability) String() string {
	if a.Online > 0 {
		return "online"
	}
	return "offline"
}

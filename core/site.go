package core

// Site is one web site, or group of sites, with its own visitors, agents,
// departments and rules.
type Site struct {
	ID        string `json:"id"`
	Name      string `json:"name,omitempty"`
	CreatedAt int64  `json:"created_at"`
	// ConfigRev is raised by every change of a config object of the site.
	ConfigRev int64 `json:"config_rev"`
	// EventsKeep is how many events the site keeps at least: 2 000 and up,
	// DefaultEventsKeep if it was never set.
	EventsKeep int64 `json:"events_keep"`
	// LastEvent is the number of the newest event. It is computed.
	LastEvent int64 `json:"last_event"`
}

// How many events a site keeps at least.
const (
	DefaultEventsKeep = 100_000
	MinEventsKeep     = 2_000
)

func (s *Site) fields() []field {
	return []field{
		{"id", s.ID},
		{"name", s.Name},
		{"created_at", num(s.CreatedAt)},
		{"config_rev", count(s.ConfigRev)},
		{"events_keep", count(s.EventsKeep)},
	}
}

func (s *Site) set(name, value string) {
	switch name {
	case "id":
		s.ID = value
	case "name":
		s.Name = value
	case "created_at":
		s.CreatedAt = unNum(value)
	case "config_rev":
		s.ConfigRev = unNum(value)
	case "events_keep":
		s.EventsKeep = unNum(value)
	}
}

// ConfigKinds are the kinds of config objects of a site.
func ConfigKinds() []string {
	return []string{"campaigns", "segments", "campaign_rules", "routes", "invitations", kindWebhooks}
}

const kindWebhooks = "webhooks"

// ConfigDocument is one config object.
type ConfigDocument struct {
	ID string `json:"id"`
	// Rev is the site's ConfigRev as of the change that stored it: it never
	// comes twice.
	Rev int64 `json:"rev"`
	// Document is the JSON object itself; it carries id and rev too.
	Document []byte `json:"-"`
}

package core

import "encoding/json"

// Status of a visitor.
const (
	VisitorBrowsing = "browsing"
	VisitorWaiting  = "waiting"
	VisitorChatting = "chatting"
	VisitorOffline  = "offline" // asked for a chat when nobody was there
	VisitorLeft     = "left"
)

// Visitor is one browser on a site.
type Visitor struct {
	ID         string      `json:"id"`
	Site       string      `json:"site"`
	Status     string      `json:"status"`
	Name       string      `json:"name,omitempty"`
	Email      string      `json:"email,omitempty"`
	Phone      string      `json:"phone,omitempty"`
	Campaign   string      `json:"campaign,omitempty"`
	Segments   []string    `json:"segments,omitempty"`
	Route      *Route      `json:"route,omitempty"`
	PageURL    string      `json:"page_url,omitempty"`
	PageTitle  string      `json:"page_title,omitempty"`
	Referrer   string      `json:"referrer,omitempty"`
	LandingURL string      `json:"landing_url,omitempty"` // first page of this visit
	Language   string      `json:"language,omitempty"`
	Screen     string      `json:"screen,omitempty"`
	TimeZone   string      `json:"time_zone,omitempty"`
	Country    string      `json:"country,omitempty"`
	UserAgent  string      `json:"user_agent,omitempty"`
	Browser    string      `json:"browser,omitempty"`
	OS         string      `json:"os,omitempty"`
	Device     string      `json:"device,omitempty"`
	IP         string      `json:"ip,omitempty"`
	CreatedAt  int64       `json:"created_at"`
	LastSeen   int64       `json:"last_seen"`
	VisitAt    int64       `json:"visit_at"` // when this visit began
	Visits     int64       `json:"visits"`
	PageCount  int64       `json:"page_count"`
	ChatCount  int64       `json:"chat_count"`
	Chat       string      `json:"chat,omitempty"` // the ongoing chat
	Invitation *Invitation `json:"invitation,omitempty"`
	// Invited says which invitation rules were shown: rule id to the number of
	// the visit in which it was last shown.
	Invited map[string]int64 `json:"invited,omitempty"`
	// Explain is why the decisions are as they are. Events leave it out.
	Explain json.RawMessage   `json:"explain,omitempty"`
	Vars    map[string]string `json:"vars,omitempty"` // from visitor:{id}:vars
}

// Route is where the rules send a visitor's chat.
type Route struct {
	Department string `json:"department,omitempty"`
	Agent      string `json:"agent,omitempty"`
	Priority   *int   `json:"priority,omitempty"` // 0 lowest … 4 highest
	Rule       string `json:"rule,omitempty"`     // the route that matched
}

// State of an invitation.
const (
	InvitationSent     = "sent"
	InvitationAccepted = "accepted"
	InvitationRefused  = "refused"
)

// Invitation is the last invitation to chat that a visitor was shown.
type Invitation struct {
	ID    string `json:"id"`
	Text  string `json:"text"`
	Agent string `json:"agent,omitempty"` // who invites, if an agent does
	Rule  string `json:"rule,omitempty"`  // the rule, if one does
	State string `json:"state"`
	At    int64  `json:"at"`
}

// Page is one page view.
type Page struct {
	At       int64  `json:"at"`
	URL      string `json:"url"`
	Title    string `json:"title,omitempty"`
	Referrer string `json:"referrer,omitempty"`
}

func (v *Visitor) fields() []field {
	return []field{
		{"id", v.ID},
		{"site", v.Site},
		{"status", v.Status},
		{"name", v.Name},
		{"email", v.Email},
		{"phone", v.Phone},
		{"campaign", v.Campaign},
		{"segments", list(v.Segments)},
		{"route", optionalJSON(v.Route)},
		{"page_url", v.PageURL},
		{"page_title", v.PageTitle},
		{"referrer", v.Referrer},
		{"landing_url", v.LandingURL},
		{"language", v.Language},
		{"screen", v.Screen},
		{"time_zone", v.TimeZone},
		{"country", v.Country},
		{"user_agent", v.UserAgent},
		{"browser", v.Browser},
		{"os", v.OS},
		{"device", v.Device},
		{"ip", v.IP},
		{"created_at", num(v.CreatedAt)},
		{"last_seen", num(v.LastSeen)},
		{"visit_at", num(v.VisitAt)},
		{"visits", count(v.Visits)},
		{"page_count", count(v.PageCount)},
		{"chat_count", count(v.ChatCount)},
		{"chat", v.Chat},
		{"invitation", optionalJSON(v.Invitation)},
		{"invited", mapJSON(v.Invited)},
		{"explain", string(v.Explain)},
	}
}

func (v *Visitor) set(name, value string) {
	if p := v.textField(name); p != nil {
		*p = value
		return
	}
	switch name {
	case "id":
		v.ID = value
	case "site":
		v.Site = value
	case "status":
		v.Status = value
	case "segments":
		v.Segments = unList(value)
	case "route":
		v.Route = optional[Route](value)
	case "created_at":
		v.CreatedAt = unNum(value)
	case "last_seen":
		v.LastSeen = unNum(value)
	case "visit_at":
		v.VisitAt = unNum(value)
	case "visits":
		v.Visits = unNum(value)
	case "page_count":
		v.PageCount = unNum(value)
	case "chat_count":
		v.ChatCount = unNum(value)
	case "chat":
		v.Chat = value
	case "invitation":
		v.Invitation = optional[Invitation](value)
	case "invited":
		if m := optional[map[string]int64](value); m != nil {
			v.Invited = *m
		}
	case "explain":
		v.Explain = raw(value)
	}
}

// textField gives the place of a field that is plain text, or nil.
func (v *Visitor) textField(name string) *string {
	switch name {
	case "name":
		return &v.Name
	case "email":
		return &v.Email
	case "phone":
		return &v.Phone
	case "campaign":
		return &v.Campaign
	case "page_url":
		return &v.PageURL
	case "page_title":
		return &v.PageTitle
	case "referrer":
		return &v.Referrer
	case "landing_url":
		return &v.LandingURL
	case "language":
		return &v.Language
	case "screen":
		return &v.Screen
	case "time_zone":
		return &v.TimeZone
	case "country":
		return &v.Country
	case "user_agent":
		return &v.UserAgent
	case "browser":
		return &v.Browser
	case "os":
		return &v.OS
	case "device":
		return &v.Device
	case "ip":
		return &v.IP
	}
	return nil
}

func optionalJSON[T any](p *T) string {
	if p == nil {
		return ""
	}
	return toJSON(p)
}

func optional[T any](value string) *T {
	if value == "" {
		return nil
	}
	p := new(T)
	if json.Unmarshal([]byte(value), p) != nil {
		return nil
	}
	return p
}

func mapJSON(m map[string]int64) string {
	if len(m) == 0 {
		return ""
	}
	return toJSON(m)
}

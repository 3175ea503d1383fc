package rules

// Facts is what is known of a visitor when a decision is made. A field that is
// not known is left at its zero value: it counts as not set.
//
// Texts longer than 8 KiB are looked at up to there.
type Facts struct {
	Visitor Visitor `json:"visitor"`
	Page    Page    `json:"page"`
	// LandingURL is the first page of the visit.
	LandingURL string `json:"landing_url,omitempty"`
	// Vars are the site's custom variables, by name.
	Vars map[string]string `json:"vars,omitempty"`
	// Prechat are the answers to the pre-chat form, by field id.
	Prechat map[string]string `json:"prechat,omitempty"`
	// Campaign is the campaign in force before this decision. Conditions of
	// segments and campaign rules see it; those of routes and invitations see
	// the campaign just decided.
	Campaign string `json:"campaign,omitempty"`
	// Departments are all the departments of the site, by id. Nil: not known,
	// and routes are not checked against them.
	Departments map[string]Department `json:"departments,omitempty"`
	// ShownVisit and ShownVisitor are the ids of the invitations that were
	// shown in this visit, and ever.
	ShownVisit   []string `json:"shown_visit,omitempty"`
	ShownVisitor []string `json:"shown_visitor,omitempty"`
}

// Visitor is the visitor himself. Counters include the current visit and
// page.
type Visitor struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name,omitempty"`
	Email    string `json:"email,omitempty"`
	Phone    string `json:"phone,omitempty"`
	Status   string `json:"status,omitempty"`
	Language string `json:"language,omitempty"` // BCP 47, as the browser says it: "en-GB"
	TimeZone string `json:"time_zone,omitempty"`
	Screen   string `json:"screen,omitempty"` // "1920x1080"
	Browser  string `json:"browser,omitempty"`
	OS       string `json:"os,omitempty"`
	Device   string `json:"device,omitempty"`
	IP       string `json:"ip,omitempty"`
	Country  string `json:"country,omitempty"` // ISO 3166-1 alpha-2

	Visits      int64 `json:"visits,omitempty"`
	PageCount   int64 `json:"page_count,omitempty"`
	ChatCount   int64 `json:"chat_count,omitempty"`
	TimeOnSiteS int64 `json:"time_on_site_s,omitempty"` // seconds since the visit began
}

// Page is the page the visitor is on.
type Page struct {
	URL      string `json:"url,omitempty"`
	Title    string `json:"title,omitempty"`
	Referrer string `json:"referrer,omitempty"`
}

// Department is the state of a department.
type Department struct {
	Online bool `json:"online"` // an agent who takes chats is connected
	Queue  int  `json:"queue"`  // waiting chats
}

package core

// What the events carry in data, by type. docs/events.md says the same for
// other languages.
type (
	// SiteData is of site.created and site.updated.
	SiteData struct {
		Site *Site `json:"site"`
	}
	// ConfigData is of config.changed. Rev 0: the object was removed.
	ConfigData struct {
		Kind string `json:"kind"`
		ID   string `json:"id"`
		Rev  int64  `json:"rev"`
	}
	// DepartmentData is of department.created and department.removed.
	DepartmentData struct {
		Department *Department `json:"department"`
	}
	// AgentData is of agent.created, .updated, .status_changed and .removed.
	AgentData struct {
		Agent *Agent `json:"agent"`
	}
	// VisitorData is of visitor.created, .updated, .left and .removed.
	VisitorData struct {
		Visitor *Visitor `json:"visitor"`
	}
	// PageData is of visitor.page.
	PageData struct {
		URL      string `json:"url"`
		Title    string `json:"title,omitempty"`
		Referrer string `json:"referrer,omitempty"`
	}
	// InvitationData is of invitation.sent and invitation.answered.
	InvitationData struct {
		ID       string `json:"id"`
		Text     string `json:"text"`
		Agent    string `json:"agent,omitempty"`
		Rule     string `json:"rule,omitempty"`
		Accepted *bool  `json:"accepted,omitempty"` // of invitation.answered
	}
	// ChatData is of all chat events; chat.removed carries none of it.
	ChatData struct {
		Chat     *Chat   `json:"chat,omitempty"`
		Position int64   `json:"position,omitempty"` // chat.queued: from 1; comes again when it moves up
		Agent    *Party  `json:"agent,omitempty"`    // chat.assigned: who has it now
		From     *Origin `json:"from,omitempty"`     // chat.transferred: who had it
		By       *Party  `json:"by,omitempty"`       // chat.ended: who ended it
	}
	// Origin is where a transferred chat was before.
	Origin struct {
		Agent      string `json:"agent,omitempty"`
		Department string `json:"department,omitempty"`
	}
)

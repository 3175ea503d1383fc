package rules

// Decision is what a site wants for a visitor.
type Decision struct {
	// Segments are the ids of all segments that matched, by their order.
	Segments []string `json:"segments"`
	// Campaign is the id of the campaign to show; DefaultCampaign if no rule
	// matched.
	Campaign string `json:"campaign"`
	Route    Route  `json:"route"`
	// Invitation is nil if the visitor is not invited.
	Invitation  *Invitation `json:"invitation"`
	Explanation Explanation `json:"explanation"`
}

// DefaultCampaign is the campaign of a visitor whom no campaign rule matches.
const DefaultCampaign = "default"

// Priorities of a chat.
const (
	LowestPriority  = 0
	DefaultPriority = 2
	HighestPriority = 4
)

// Route is where the visitor's chat goes. Department and Agent are both empty
// if no rule matched and no department is known.
type Route struct {
	Department string `json:"department,omitempty"`
	Agent      string `json:"agent,omitempty"`
	Priority   int    `json:"priority"`       // LowestPriority to HighestPriority
	Rule       string `json:"rule,omitempty"` // id of the route that matched
}

// Invitation is an invitation to chat that the visitor is to see.
type Invitation struct {
	ID     string `json:"id"` // of the config object
	Text   string `json:"text"`
	Once   string `json:"once"`    // OncePerVisit or OncePerVisitor
	DelayS int    `json:"delay_s"` // seconds to wait on the page before it is shown
}

// How often a visitor sees the same invitation.
const (
	OncePerVisit   = "visit"
	OncePerVisitor = "visitor"
)

// Explanation says how a decision came about: all rules of the site, in the
// order in which they were looked at.
type Explanation struct {
	Rules []RuleTrace `json:"rules"`
}

// RuleTrace is what became of one rule.
type RuleTrace struct {
	Kind    string `json:"kind"` // KindSegments, KindCampaignRules, …
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Matched bool   `json:"matched"` // the condition held, and the rule had its effect
	// Note says why a rule had no effect although its condition may hold:
	// disabled, not reached, already shown, refers to something that is gone.
	Note   string      `json:"note,omitempty"`
	Leaves []LeafTrace `json:"leaves,omitempty"` // empty if the rule was not looked at
}

// LeafTrace is what became of one condition.
type LeafTrace struct {
	Path     string `json:"path"` // in the document: "when.all[0]"
	Field    string `json:"field"`
	Op       string `json:"op"`
	Expected string `json:"expected,omitempty"` // the value of the condition, as JSON
	Actual   string `json:"actual"`             // lists as "a, b"; "" if not set
	Outcome  bool   `json:"outcome"`
}

// Matched is the part of the explanation that is worth keeping with a
// visitor: the rules that had an effect.
func (e Explanation) Matched() Explanation {
	var out Explanation
	for _, r := range e.Rules {
		if r.Matched {
			out.Rules = append(out.Rules, r)
		}
	}
	return out
}

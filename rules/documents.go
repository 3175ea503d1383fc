package rules

import (
	"cmp"
	"slices"
	"strings"
)

// Kinds of config objects, as in the key site:{site}:config:{kind}.
const (
	KindCampaigns     = "campaigns"
	KindSegments      = "segments"
	KindCampaignRules = "campaign_rules"
	KindRoutes        = "routes"
	KindInvitations   = "invitations"
	KindWebhooks      = "webhooks"
)

// Kinds gives all kinds of config objects.
func Kinds() []string {
	return []string{KindCampaigns, KindSegments, KindCampaignRules, KindRoutes, KindInvitations, KindWebhooks}
}

// Validate says whether a document may be stored as a config object of a
// kind. The error, if any, is an Errors with everything that is wrong, each
// with its path. The fields "id" and "rev" may be left out.
func Validate(kind string, doc []byte) error {
	r := &report{}
	if !slices.Contains(Kinds(), kind) {
		r.add("", "unknown kind %q%s; kinds are %s", clip(kind), suggest(kind, Kinds()), quoted(Kinds()))
		return r.err()
	}
	parsed, err := parseJSON(doc)
	if err != nil {
		return Errors{err}
	}
	o := newObject(r, "", parsed)
	switch kind {
	case KindCampaigns:
		readCampaign(o)
	case KindWebhooks:
		readWebhook(o)
	default:
		readRule(kind, o, &Set{})
	}
	return r.err()
}

// rule is a compiled document of one of the kinds with a condition.
type rule struct {
	kind    string
	id      string
	name    string
	order   int
	enabled bool
	leaves  []leaf
	formula formula

	campaign   string     // campaign_rules
	route      Route      // routes
	invitation Invitation // invitations
}

// readRule compiles a document; its fields go into set.
func readRule(kind string, o *object, set *Set) rule {
	r := rule{kind: kind}
	r.id = readHead(o)
	r.name = o.text("name", 0, 200)
	r.order = o.integer("order", 0, -1_000_000, 1_000_000)
	r.enabled = o.boolean("enabled", true)
	switch kind {
	case KindSegments:
		readColor(o, "color")
	case KindCampaignRules:
		r.campaign = readName(o, "campaign", true)
	case KindRoutes:
		r.route = readRoute(o)
	case KindInvitations:
		r.invitation = readInvitation(o)
	}
	c := &compiler{report: o.report, set: set}
	if when, at, ok := o.get("when"); ok {
		r.formula = c.condition(at, when, 1)
	} else {
		o.add(at, "is missing; {} is the condition that always holds")
	}
	o.close()
	r.leaves = c.leaves
	r.route.Rule, r.invitation.ID = r.id, r.id
	return r
}

// readHead reads what every document carries.
func readHead(o *object) (id string) {
	id = readName(o, "id", false)
	o.integer("rev", 0, 0, 1<<53)
	return id
}

func readRoute(o *object) Route {
	route := Route{Priority: o.integer("priority", DefaultPriority, LowestPriority, HighestPriority)}
	to := o.object("to")
	if to == nil {
		o.add(join(o.path, "to"), `is missing; it says where to: {"department": …} or {"agent": …}`)
		return route
	}
	route.Department = readName(to, "department", false)
	route.Agent = readName(to, "agent", false)
	to.close()
	if route.Department == "" && route.Agent == "" && o.err() == nil {
		o.add(to.path, "needs a department or an agent")
	}
	return route
}

func readInvitation(o *object) Invitation {
	return Invitation{
		Text:   o.text("text", 1, 2000),
		Once:   o.choice("once", OncePerVisit, OncePerVisit, OncePerVisitor),
		DelayS: o.integer("delay_s", 0, 0, 24*60*60),
	}
}

// readName reads an id that people choose: [a-z0-9][a-z0-9._-]{0,63}.
func readName(o *object, key string, required bool) string {
	least := 0
	if required {
		least = 1
	}
	s := o.text(key, least, 1<<10)
	if s != "" && !isName(s) {
		o.add(join(o.path, key), "%q is not an id: 1 to 64 of a-z, 0-9, \".\", \"_\" and \"-\", beginning with a letter or digit", clip(s))
	}
	return s
}

func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

// readColor reads a CSS colour in a form that cannot be anything else.
func readColor(o *object, key string) string {
	s := o.text(key, 0, 32)
	if s != "" && !isColor(s) {
		o.add(join(o.path, key), "%q is not a colour; write \"#1a73e8\"", clip(s))
	}
	return s
}

func isColor(s string) bool {
	hex, ok := strings.CutPrefix(s, "#")
	if !ok {
		return strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz") == ""
	}
	if strings.Trim(strings.ToLower(hex), "0123456789abcdef") != "" {
		return false
	}
	return slices.Contains([]int{3, 4, 6, 8}, len(hex))
}

// byOrder is the order in which the rules of a kind are looked at.
func byOrder(a, b rule) int {
	return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.id, b.id))
}

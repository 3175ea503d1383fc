package rules

import (
	"maps"
	"slices"
	"time"
)

// Notes of an explanation.
const (
	noteDisabled     = "disabled"
	noteNotReached   = "not reached: an earlier rule matched"
	noteShown        = "already shown"
	noteNoCampaign   = "the campaign does not exist"
	noteNoDepartment = "the department does not exist"
)

// Decide says what the site wants for a visitor at a time. It is a pure
// function: the same arguments give the same decision.
//
// Segments come first, then the campaign, the route and the invitation, so
// that conditions can look at what was decided before them: "segment" holds
// the segments matched so far, "campaign" the campaign of the facts until it
// is decided.
func (s *Set) Decide(facts Facts, clock time.Time) Decision {
	e := &env{facts: &facts, clock: clock, campaign: facts.Campaign, slots: make([]slot, len(s.fields))}
	d := Decision{Segments: []string{}, Campaign: DefaultCampaign}
	x := explainer{set: s, env: e, out: &d.Explanation}
	x.out.Rules = make([]RuleTrace, 0, len(s.segments)+len(s.campaigns)+len(s.routes)+len(s.invitations))

	for i := range s.segments {
		if r := &s.segments[i]; x.look(r) {
			d.Segments = append(d.Segments, r.id)
			e.segments = d.Segments
		}
	}
	if r := x.first(s.campaigns, s.campaignExists); r != nil {
		d.Campaign = r.campaign
	}
	e.campaign = d.Campaign
	d.Route = s.route(&x)
	if r := x.first(s.invitations, notShown); r != nil {
		invitation := r.invitation
		d.Invitation = &invitation
	}
	return d
}

func (s *Set) route(x *explainer) Route {
	if r := x.first(s.routes, departmentExists); r != nil {
		return r.route
	}
	route := Route{Priority: DefaultPriority}
	if ids := slices.Sorted(maps.Keys(x.env.facts.Departments)); len(ids) > 0 {
		route.Department = ids[0]
	}
	return route
}

// campaignExists keeps a rule from sending visitors to a campaign that was
// removed.
func (s *Set) campaignExists(_ *env, r *rule) (note string) {
	if s.known != nil && !s.known[r.campaign] {
		return noteNoCampaign
	}
	return ""
}

func departmentExists(e *env, r *rule) (note string) {
	departments := e.facts.Departments
	if departments == nil || r.route.Department == "" {
		return ""
	}
	if _, ok := departments[r.route.Department]; !ok {
		return noteNoDepartment
	}
	return ""
}

func notShown(e *env, r *rule) (note string) {
	shown := slices.Contains(e.facts.ShownVisit, r.id)
	if r.invitation.Once == OncePerVisitor {
		shown = shown || slices.Contains(e.facts.ShownVisitor, r.id)
	}
	if shown {
		return noteShown
	}
	return ""
}

// explainer looks at rules and writes down what it saw.
type explainer struct {
	set *Set
	env *env
	out *Explanation
}

// first gives the first rule that matches and to which nothing is objected;
// nil if there is none.
func (x *explainer) first(rules []rule, object func(*env, *rule) (note string)) *rule {
	for i := range rules {
		if !x.look(&rules[i]) {
			continue
		}
		if note := object(x.env, &rules[i]); note != "" {
			x.last().Matched, x.last().Note = false, note
			continue
		}
		x.skip(rules[i+1:])
		return &rules[i]
	}
	return nil
}

// look evaluates a rule.
func (x *explainer) look(r *rule) bool {
	trace := RuleTrace{Kind: r.kind, ID: r.id, Name: r.name}
	if !r.enabled {
		trace.Note = noteDisabled
		x.out.Rules = append(x.out.Rules, trace)
		return false
	}
	trace.Leaves = make([]LeafTrace, len(r.leaves))
	outcomes := x.env.leaves[:0]
	for i := range r.leaves {
		l := &r.leaves[i]
		v := x.env.at(x.set, l.slot)
		outcome := l.match(v)
		outcomes = append(outcomes, outcome)
		trace.Leaves[i] = LeafTrace{Path: l.path, Field: l.field, Op: l.op, Expected: l.expected, Actual: v.shown(), Outcome: outcome}
	}
	x.env.leaves = outcomes
	trace.Matched = r.formula(outcomes)
	x.out.Rules = append(x.out.Rules, trace)
	return trace.Matched
}

// skip notes rules that need not be looked at.
func (x *explainer) skip(rules []rule) {
	for i := range rules {
		trace := RuleTrace{Kind: rules[i].kind, ID: rules[i].id, Name: rules[i].name, Note: noteNotReached}
		if !rules[i].enabled {
			trace.Note = noteDisabled
		}
		x.out.Rules = append(x.out.Rules, trace)
	}
}

func (x *explainer) last() *RuleTrace { return &x.out.Rules[len(x.out.Rules)-1] }

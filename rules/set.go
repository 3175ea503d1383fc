package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Config is the config objects of a site: kind → id → JSON document.
type Config map[string]map[string][]byte

// Set is the compiled rules of a site. It does not change and may be used by
// many at once.
type Set struct {
	fields      []field // each field that some condition looks at, once
	segments    []rule
	campaigns   []rule
	routes      []rule
	invitations []rule
	// known are the ids of the site's campaigns; nil if the config has none.
	known map[string]bool
}

// Compile makes a Set of a site's documents. A document that cannot be
// compiled (stored by another version, perhaps) is left out and reported in
// the error; the Set is never nil and decides with all the others.
func Compile(config Config) (*Set, error) {
	set := &Set{}
	var errs []error
	compile := func(kind string) (rules []rule) {
		for _, id := range slices.Sorted(maps.Keys(config[kind])) {
			r, err := compileRule(kind, id, config[kind][id], set)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s %q: %w", kind, id, err))
				continue
			}
			rules = append(rules, r)
		}
		slices.SortFunc(rules, byOrder)
		return rules
	}
	set.segments = compile(KindSegments)
	set.campaigns = compile(KindCampaignRules)
	set.routes = compile(KindRoutes)
	set.invitations = compile(KindInvitations)
	if campaigns := config[KindCampaigns]; len(campaigns) > 0 {
		set.known = map[string]bool{DefaultCampaign: true}
		for id := range campaigns {
			set.known[id] = true
		}
	}
	return set, errors.Join(errs...)
}

func compileRule(kind, id string, doc []byte, set *Set) (rule, error) {
	parsed, err := parseJSON(doc)
	if err != nil {
		return rule{}, err
	}
	report := &report{}
	r := readRule(kind, newObject(report, "", parsed), set)
	if err := report.err(); err != nil {
		return rule{}, err
	}
	r.id, r.route.Rule, r.invitation.ID = id, id, id
	return r, nil
}

// slot gives the place of a field, and makes one if need be.
func (s *Set) slot(f field) int {
	for i := range s.fields {
		if s.fields[i].name == f.name {
			return i
		}
	}
	s.fields = append(s.fields, f)
	return len(s.fields) - 1
}

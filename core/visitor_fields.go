package core

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// visitorField is a field of a visitor that commands may set.
type visitorField struct {
	name  string
	limit int // bytes
}

// visitorFields gives them in the order in which an error lists them.
func visitorFields() []visitorField {
	return []visitorField{
		{"name", 256}, {"email", 256}, {"phone", 64}, {"campaign", 64}, {"segments", 8192}, {"route", 1024},
		{"page_url", 2048}, {"page_title", 512}, {"referrer", 2048}, {"landing_url", 2048},
		{"language", 64}, {"screen", 64}, {"time_zone", 64}, {"country", 64}, {"user_agent", 1024},
		{"browser", 128}, {"os", 128}, {"device", 128}, {"ip", 64}, {"explain", 65_536},
	}
}

// Bounds of custom variables.
const (
	MaxVars     = 100
	MaxVarName  = 64   // bytes
	MaxVarValue = 1024 // bytes
)

// VisitorFields are the fields that VISITOR.CREATE, VISITOR.PAGE and
// VISITOR.UPDATE take, with the most bytes that each may have.
func VisitorFields() map[string]int {
	limits := map[string]int{}
	for _, f := range visitorFields() {
		limits[f.name] = f.limit
	}
	return limits
}

// ClipField shortens the value of a visitor's field to what it may have,
// between characters, and drops what is not UTF-8: for values that a browser
// reports and nobody typed.
func ClipField(name, value string) string {
	value = strings.ToValidUTF8(value, "")
	limit, ok := VisitorFields()[name]
	if !ok || len(value) <= limit {
		return value
	}
	for limit > 0 && !utf8.RuneStart(value[limit]) {
		limit--
	}
	return value[:limit]
}

// visitorWords is which keywords a command has that takes a visitor's fields:
// these, and others of its own.
func visitorWords(others keywords) keywords {
	k := keywords{}
	for _, f := range visitorFields() {
		k[strings.ToUpper(f.name)] = 1
	}
	for word, n := range others {
		k[word] = n
	}
	return k
}

// parseVisitor reads a visitor's fields and a command's other keywords.
func parseVisitor(args []string, others keywords) (options, error) {
	k := visitorWords(others)
	o, err := k.parse(args)
	if CodeOf(err) == "ERR" && strings.Contains(err.Error(), "unknown keyword") {
		var known []string
		for _, f := range visitorFields() {
			known = append(known, f.name)
		}
		return nil, fail(CodeInvalid, "%s", strings.TrimPrefix(err.Error(), "ERR syntax error: ")+
			"; fields of a visitor are "+strings.Join(known, " "))
	}
	return o, err
}

// applyFields takes over the fields that a command gives. It says whether
// anything changed that others should hear of: a page view has its own event,
// and explanations are long.
func applyFields(v *Visitor, o options, silent ...string) (changed bool, err error) {
	for _, f := range visitorFields() {
		word := strings.ToUpper(f.name)
		if !o.given(word) {
			continue
		}
		was := fieldOf(v, f.name)
		if err := setVisitorField(v, f.name, o.text(word)); err != nil {
			return false, err
		}
		if fieldOf(v, f.name) != was && !slices.Contains(silent, f.name) {
			changed = true
		}
	}
	return changed, nil
}

// fieldOf gives a field of a visitor as it is stored.
func fieldOf(v *Visitor, name string) string {
	for _, f := range v.fields() {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// setVisitorField checks and sets a field; an empty value clears it.
func setVisitorField(v *Visitor, name, value string) error {
	for _, f := range visitorFields() {
		if f.name == name {
			if err := checkText(name, value, f.limit); err != nil {
				return err
			}
		}
	}
	if p := v.textField(name); p != nil {
		*p = value
		return nil
	}
	switch name {
	case "segments":
		return setSegments(v, value)
	case "route":
		return setRoute(v, value)
	}
	if value != "" {
		if err := checkObject(name, value, len(value)); err != nil {
			return err
		}
	}
	v.Explain = raw(value)
	return nil
}

func setSegments(v *Visitor, value string) error {
	var segments []string
	if value != "" && json.Unmarshal([]byte(value), &segments) != nil {
		return fail(CodeInvalid, "segments is not a JSON array of strings")
	}
	for _, id := range segments {
		if err := checkName("segment", id); err != nil {
			return err
		}
	}
	v.Segments = segments
	return nil
}

func setRoute(v *Visitor, value string) error {
	v.Route = nil
	if value == "" {
		return nil
	}
	var r Route
	if json.Unmarshal([]byte(value), &r) != nil {
		return fail(CodeInvalid, "route is not a JSON object {department?, agent?, priority?, rule?}")
	}
	for _, id := range []struct{ what, id string }{{"department", r.Department}, {"agent", r.Agent}, {"route", r.Rule}} {
		if id.id == "" {
			continue
		}
		if err := checkName(id.what, id.id); err != nil {
			return err
		}
	}
	if r.Priority != nil && (*r.Priority < MinPriority || *r.Priority > MaxPriority) {
		return fail(CodeInvalid, "the route's priority is %d; it must be from %d to %d", *r.Priority, MinPriority, MaxPriority)
	}
	if r != (Route{}) {
		v.Route = &r
	}
	return nil
}

// applyVars sets custom variables; an empty value removes one.
func (s *step) applyVars(visitor string, vars map[string]string) (changed bool, err error) {
	key := []byte(keyVisitorVars(visitor))
	for _, name := range sortedKeys(vars) {
		value := vars[name]
		if name == "" {
			return false, fail(CodeInvalid, "a variable has no name")
		}
		if err := checkText("the name of a variable", name, MaxVarName); err != nil {
			return false, err
		}
		if err := checkText("variable "+clip(name, 80), value, MaxVarValue); err != nil {
			return false, err
		}
		was, had, err := s.HGet(key, []byte(name))
		if err != nil {
			return false, err
		}
		if had == (value != "") && string(was) == value {
			continue
		}
		changed = true
		if value == "" {
			_, err = s.HDel(key, []byte(name))
		} else {
			_, err = s.HSet(key, []byte(name), []byte(value))
		}
		if err != nil {
			return false, err
		}
	}
	n, err := s.HLen(key)
	if err == nil && n > MaxVars {
		err = fail(CodeLimit, "a visitor has at most %d variables", MaxVars)
	}
	return changed, err
}

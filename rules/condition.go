package rules

import (
	"encoding/json"
	"slices"
	"time"

	// Conditions on the clock name time zones; they must mean the same on a
	// machine that has no zone files.
	_ "time/tzdata"
)

const (
	maxConditionDepth = 16  // all, any and not inside one another
	maxLeaves         = 100 // of one rule
)

// leaf is one compiled condition.
type leaf struct {
	path     string
	field    string
	op       string
	expected string // the value, as JSON
	slot     int    // of the field, in the set
	match    func(v *value) bool
}

// compiler turns the condition of one document into leaves and a formula over
// their outcomes. All leaves of a rule that is looked at are evaluated, so
// that the explanation is complete; the formula then only combines booleans.
type compiler struct {
	*report
	set    *Set // owns the fields that leaves look at
	leaves []leaf
}

// condition compiles a tree.
func (c *compiler) condition(path string, v any, depth int) formula {
	if depth > maxConditionDepth {
		c.add(path, "conditions are nested deeper than %d", maxConditionDepth)
		return always
	}
	m, ok := v.(map[string]any)
	if !ok {
		c.add(path, "must be a condition (an object), not %s", describe(v))
		return always
	}
	o := &object{path: path, fields: m, report: c.report}
	if both := slices.DeleteFunc(forms(), func(key string) bool { return m[key] == nil }); len(both) > 1 {
		c.add(path, "has %q and %q at once; put one inside the other", both[0], both[1])
		return always
	}
	switch {
	case len(m) == 0:
		return always
	case m["all"] != nil:
		return c.group(o, "all", allOf, depth)
	case m["any"] != nil:
		return c.group(o, "any", anyOf, depth)
	case m["not"] != nil:
		inner, at, _ := o.get("not")
		o.close()
		return not(c.condition(at, inner, depth+1))
	case m["expression"] != nil:
		return c.expression(o)
	case m["field"] == nil && m["op"] == nil:
		before := len(c.errs)
		o.known = forms()
		o.close()
		if len(c.errs) == before {
			c.add(path, "is not a condition: it needs %s", quoted(forms()))
		}
		return always
	}
	return c.leaf(o)
}

// forms are the fields that say which form a condition has.
func forms() []string { return []string{"all", "any", "not", "expression", "field"} }

// group compiles {"all": […]} and {"any": […]}.
func (c *compiler) group(o *object, key string, combine func([]formula) formula, depth int) formula {
	elems, at, ok := o.list(key, maxLeaves)
	o.close()
	if ok && len(elems) == 0 {
		c.add(at, "needs at least one condition; {} is the condition that always holds")
	}
	parts := make([]formula, len(elems))
	for i, elem := range elems {
		parts[i] = c.condition(index(at, i), elem, depth+1)
	}
	return combine(parts)
}

// expression compiles {"expression": "1 and 2", "conditions": [leaf, leaf]}.
func (c *compiler) expression(o *object) formula {
	source := o.text("expression", 1, maxExpression)
	elems, at, ok := o.list("conditions", maxLeaves)
	o.close()
	if !ok || len(elems) == 0 {
		c.add(at, "needs at least one condition for the expression to refer to")
		return always
	}
	before := len(c.errs)
	first := len(c.leaves)
	for i, elem := range elems {
		c.leaf(newObject(c.report, index(at, i), elem))
	}
	if len(c.errs) > before || source == "" {
		return always
	}
	f, err := parseExpression(source, first, len(elems))
	if err != nil {
		c.add(join(o.path, "expression"), "%s", err.Error())
		return always
	}
	return f
}

// leaf compiles {"field": …, "op": …, "value": …}.
func (c *compiler) leaf(o *object) formula {
	if len(c.leaves) >= maxLeaves {
		c.add(o.path, "a rule has at most %d conditions", maxLeaves)
		return always
	}
	before := len(c.errs)
	name := o.text("field", 1, 256)
	opName := o.text("op", 1, 64)
	raw, valueAt, hasValue := o.get("value")
	foldCase := !o.boolean("case", false)
	zone := c.zone(o, name)
	o.close()
	if len(c.errs) > before {
		return always
	}

	f, ok := findField(name, zone)
	if !ok {
		c.add(join(o.path, "field"), "unknown field %q%s", clip(name), suggest(name, fieldNames()))
		return always
	}
	op := c.operator(join(o.path, "op"), opName, name, f.typ)
	if op == nil {
		return always
	}
	match := c.matcher(op, valueAt, raw, hasValue, foldCase)
	if match == nil {
		return always
	}
	c.leaves = append(c.leaves, leaf{
		path: o.path, field: name, op: opName, expected: asJSON(raw),
		slot: c.set.slot(f), match: match,
	})
	return leafFormula(len(c.leaves) - 1)
}

// zone reads the time zone of a condition on the clock.
func (c *compiler) zone(o *object, fieldName string) *time.Location {
	if fieldName != clockHour && fieldName != clockWeekday {
		return nil // and tz is an unknown field
	}
	name := o.text("tz", 0, 64)
	if name == "" {
		return nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		c.add(join(o.path, "tz"), "unknown time zone %q; names are as in \"Europe/Berlin\"", clip(name))
		return nil
	}
	return zone
}

func asJSON(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

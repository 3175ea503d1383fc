package rules

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

const (
	maxValue  = 1024 // bytes of a value
	maxValues = 500  // elements of a list of values
)

// anyText are the types whose value is compared as text.
const anyText = textField | freeField | ipField | urlField | hostField

// operator is one way to compare. A field that is not set never fulfils a
// positive operator and always fulfils its negation.
type operator struct {
	name   string
	types  fieldType // it can be used on
	negate bool      // the outcome is turned round
	// build makes the comparison; nil after it has reported an error. It is
	// nil for operators without a value.
	build func(c *compiler, path string, raw any, foldCase bool) func(v *value) bool
}

// operators are all there are, in the order in which an error message offers
// them.
func operators() []operator {
	isSet := func(v *value) bool { return v.isSet }
	noValue := func(*compiler, string, any, bool) func(*value) bool { return isSet }
	const everything = anyText | numberField | boolField | listField
	return []operator{
		{"is", anyText | boolField, false, buildText(func(have, want string) bool { return have == want })},
		{"isNot", anyText | boolField, true, buildText(func(have, want string) bool { return have == want })},
		{"contains", anyText, false, buildText(strings.Contains)},
		{"notContains", anyText, true, buildText(strings.Contains)},
		{"beginsWith", anyText, false, buildText(strings.HasPrefix)},
		{"notBeginsWith", anyText, true, buildText(strings.HasPrefix)},
		{"endsWith", anyText, false, buildText(strings.HasSuffix)},
		{"regex", anyText, false, buildRegex},
		{"notRegex", anyText, true, buildRegex},
		{"glob", anyText, false, buildGlob},
		{"isOneOf", anyText | numberField, false, buildOneOf},
		{"isNotOneOf", anyText | numberField, true, buildOneOf},
		{"isSet", everything, false, noValue},
		{"isNotSet", everything, true, noValue},
		{"eq", numberField | freeField, false, buildNumber(func(have, want float64) bool { return have == want })},
		{"ne", numberField | freeField, true, buildNumber(func(have, want float64) bool { return have == want })},
		{"lt", numberField | freeField, false, buildNumber(func(have, want float64) bool { return have < want })},
		{"le", numberField | freeField, false, buildNumber(func(have, want float64) bool { return have <= want })},
		{"gt", numberField | freeField, false, buildNumber(func(have, want float64) bool { return have > want })},
		{"ge", numberField | freeField, false, buildNumber(func(have, want float64) bool { return have >= want })},
		{"between", numberField | freeField, false, buildBetween},
		{"includesAny", listField, false, buildIncludes(slices.ContainsFunc[[]string])},
		{"includesAll", listField, false, buildIncludes(containsAll)},
		{"includesNone", listField, true, buildIncludes(slices.ContainsFunc[[]string])},
		{"inCidr", ipField, false, buildCIDR},
		{"domainIs", urlField | hostField, false, buildDomain},
	}
}

// otherWords are names that other products have for our operators.
var otherWords = map[string]string{
	"equals": "is", "equal": "is", "=": "is", "==": "is", "!=": "isNot", "equalto": "is", "notequals": "isNot",
	"in": "isOneOf", "notin": "isNotOneOf", "isnotin": "isNotOneOf", "startswith": "beginsWith", "starts_with": "beginsWith",
	"matches": "regex", "regexp": "regex", "like": "glob", "exists": "isSet", "ispresent": "isSet", "isempty": "isNotSet",
	"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "lte": "le", "gte": "ge", "ismorethan": "gt", "islessthan": "lt",
	"cidr": "inCidr",
}

// operator finds an operator and says so if it does not suit the field.
func (c *compiler) operator(path, name, fieldName string, typ fieldType) *operator {
	ops := operators()
	var names, suitable []string
	for i := range ops {
		if ops[i].name == name && ops[i].types&typ != 0 {
			return &ops[i]
		}
		names = append(names, ops[i].name)
		if ops[i].types&typ != 0 {
			suitable = append(suitable, ops[i].name)
		}
	}
	if slices.Contains(names, name) {
		c.add(path, "%q cannot be used on %s, which is %s; use %s", name, fieldName, typ, quoted(suitable))
		return nil
	}
	hint := suggest(name, names)
	if ours := otherWords[strings.ToLower(name)]; ours != "" {
		hint = suggest(ours, []string{ours})
	}
	c.add(path, "unknown operator %q%s", clip(name), hint)
	return nil
}

// matcher builds the comparison of a leaf.
func (c *compiler) matcher(op *operator, path string, raw any, hasValue, foldCase bool) func(*value) bool {
	needsValue := op.name != "isSet" && op.name != "isNotSet"
	if needsValue != hasValue {
		if needsValue {
			c.add(path, "is missing; %q needs a value", op.name)
		} else {
			c.add(path, "%q takes no value", op.name)
		}
		return nil
	}
	match := op.build(c, path, raw, foldCase)
	if match == nil || !op.negate {
		return match
	}
	return func(v *value) bool { return !match(v) }
}

// textOf gives a value as text: strings, and also numbers and true or false,
// which are texts in a custom variable.
func (c *compiler) textOf(path string, raw any) (string, bool) {
	var s string
	switch raw := raw.(type) {
	case string:
		s = raw
	case json.Number:
		s = raw.String()
	case bool:
		s = "false"
		if raw {
			s = "true"
		}
	default:
		c.add(path, "must be a string, a number, true or false, not %s", describe(raw))
		return "", false
	}
	if s == "" {
		c.add(path, `must not be empty; use "isNotSet" for what is not set`)
		return "", false
	}
	if len(s) > maxValue {
		c.add(path, "has %d bytes, at most %d are allowed", len(s), maxValue)
		return "", false
	}
	return s, true
}

// textsOf gives a list of texts; a single one stands for a list of one.
func (c *compiler) textsOf(path string, raw any) ([]string, bool) {
	elems, ok := raw.([]any)
	if !ok {
		s, ok := c.textOf(path, raw)
		return []string{s}, ok
	}
	if len(elems) == 0 || len(elems) > maxValues {
		c.add(path, "must have 1 to %d elements, not %d", maxValues, len(elems))
		return nil, false
	}
	out := make([]string, len(elems))
	for i, elem := range elems {
		if out[i], ok = c.textOf(index(path, i), elem); !ok {
			return nil, false
		}
	}
	return out, true
}

func (c *compiler) numberOf(path string, raw any) (float64, bool) {
	if n, ok := raw.(json.Number); ok {
		if f, err := n.Float64(); err == nil {
			return f, true
		}
	}
	c.add(path, "must be a number, not %s", describe(raw))
	return 0, false
}

func folded(s string, foldCase bool) string {
	if foldCase {
		return fold(s)
	}
	return s
}

func buildText(compare func(have, want string) bool) func(*compiler, string, any, bool) func(*value) bool {
	return func(c *compiler, path string, raw any, foldCase bool) func(*value) bool {
		want, ok := c.textOf(path, raw)
		if !ok {
			return nil
		}
		want = folded(want, foldCase)
		return func(v *value) bool { return v.isSet && compare(v.in(foldCase), want) }
	}
}

// buildOneOf compares as text, and numbers of the list also as numbers.
func buildOneOf(c *compiler, path string, raw any, foldCase bool) func(*value) bool {
	texts, ok := c.textsOf(path, raw)
	if !ok {
		return nil
	}
	want := make(map[string]bool, len(texts))
	for _, s := range texts {
		want[folded(s, foldCase)] = true
	}
	numbers := numbersIn(raw)
	return func(v *value) bool {
		return v.isSet && want[v.in(foldCase)] || v.isNum && slices.Contains(numbers, v.num)
	}
}

// numbersIn gives the JSON numbers of a value or list of values.
func numbersIn(raw any) []float64 {
	elems, ok := raw.([]any)
	if !ok {
		elems = []any{raw}
	}
	var out []float64
	for _, elem := range elems {
		if n, ok := elem.(json.Number); ok {
			if f, err := n.Float64(); err == nil {
				out = append(out, f)
			}
		}
	}
	return out
}

func buildNumber(compare func(have, want float64) bool) func(*compiler, string, any, bool) func(*value) bool {
	return func(c *compiler, path string, raw any, _ bool) func(*value) bool {
		want, ok := c.numberOf(path, raw)
		if !ok {
			return nil
		}
		return func(v *value) bool { return v.isNum && compare(v.num, want) }
	}
}

func buildBetween(c *compiler, path string, raw any, _ bool) func(*value) bool {
	ends, ok := raw.([]any)
	if !ok || len(ends) != 2 {
		c.add(path, "must be two numbers, [from, to], both included")
		return nil
	}
	from, ok1 := c.numberOf(index(path, 0), ends[0])
	to, ok2 := c.numberOf(index(path, 1), ends[1])
	if !ok1 || !ok2 {
		return nil
	}
	if from > to {
		c.add(path, "the first number must not be above the second: nothing would match")
		return nil
	}
	return func(v *value) bool { return v.isNum && from <= v.num && v.num <= to }
}

func buildIncludes(holds func(list []string, f func(string) bool) bool) func(*compiler, string, any, bool) func(*value) bool {
	return func(c *compiler, path string, raw any, foldCase bool) func(*value) bool {
		texts, ok := c.textsOf(path, raw)
		if !ok {
			return nil
		}
		for i := range texts {
			texts[i] = folded(texts[i], foldCase)
		}
		return func(v *value) bool {
			return holds(texts, func(want string) bool {
				return slices.ContainsFunc(v.list, func(have string) bool { return folded(have, foldCase) == want })
			})
		}
	}
}

func containsAll(list []string, f func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !f(s) })
}

func buildCIDR(c *compiler, path string, raw any, _ bool) func(*value) bool {
	texts, ok := c.textsOf(path, raw)
	if !ok {
		return nil
	}
	nets := make([]netip.Prefix, len(texts))
	for i, s := range texts {
		at := path
		if _, isList := raw.([]any); isList {
			at = index(path, i)
		}
		if nets[i], ok = parsePrefix(s); !ok {
			c.add(at, "%q is not a network; write \"10.0.0.0/8\", \"2001:db8::/32\" or a single address", clip(s))
			return nil
		}
	}
	return func(v *value) bool {
		return v.addr.IsValid() && slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(v.addr) })
	}
}

// parsePrefix reads a network, or an address as the network of that one.
func parsePrefix(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), true
}

// buildDomain holds for a domain and everything below it.
func buildDomain(c *compiler, path string, raw any, _ bool) func(*value) bool {
	texts, ok := c.textsOf(path, raw)
	if !ok {
		return nil
	}
	for i, s := range texts {
		s = strings.TrimPrefix(strings.ToLower(s), "*.")
		s = strings.Trim(s, ".")
		if s == "" || strings.ContainsAny(s, "/:*? ") {
			c.add(path, "%q is not a domain; write \"example.com\"", clip(texts[i]))
			return nil
		}
		texts[i] = s
	}
	return func(v *value) bool {
		return v.host != "" && slices.ContainsFunc(texts, func(d string) bool {
			return v.host == d || strings.HasSuffix(v.host, "."+d)
		})
	}
}

func buildRegex(c *compiler, path string, raw any, foldCase bool) func(*value) bool {
	pattern, ok := c.textOf(path, raw)
	if !ok {
		return nil
	}
	re, err := compileRegexp(pattern, foldCase)
	if err != nil {
		c.add(path, "%s", err.Error())
		return nil
	}
	return matchRegexp(re)
}

func buildGlob(c *compiler, path string, raw any, foldCase bool) func(*value) bool {
	pattern, ok := c.textOf(path, raw)
	if !ok {
		return nil
	}
	re, err := compileGlob(pattern, foldCase)
	if err != nil {
		c.add(path, "%s", err.Error())
		return nil
	}
	return matchRegexp(re)
}

func matchRegexp(re *regexp.Regexp) func(*value) bool {
	return func(v *value) bool { return v.isSet && re.MatchString(v.text) }
}

package rules

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// fieldType says which operators a field takes.
type fieldType uint8

const (
	textField   fieldType = 1 << iota
	freeField             // a text that may hold a number: variables, answers, query parameters
	numberField           //
	boolField             //
	listField             //
	ipField               // a text that is an IP address
	urlField              // a text that is a URL
	hostField             // a text that is the host of a URL
)

func (t fieldType) String() string {
	switch t {
	case numberField:
		return "a number"
	case boolField:
		return "true or false"
	case listField:
		return "a list"
	case ipField:
		return "an IP address"
	case urlField:
		return "a URL"
	}
	return "a text"
}

// maxFact is how much of a fact's text is looked at, in bytes. It bounds what
// a condition costs.
const maxFact = 8 << 10

// value is what a field holds for one visitor.
type value struct {
	text  string
	list  []string
	num   float64
	isNum bool
	isSet bool

	folded   string // fold(text), once it was needed
	isFolded bool
	addr     netip.Addr // of ipField
	host     string     // of urlField and hostField
}

// in gives the text in the form that is compared.
func (v *value) in(foldCase bool) string {
	if !foldCase {
		return v.text
	}
	if !v.isFolded {
		v.folded, v.isFolded = fold(v.text), true
	}
	return v.folded
}

// shown is the value in an explanation.
func (v *value) shown() string {
	if v.list != nil {
		return strings.Join(v.list, ", ")
	}
	return v.text
}

func textValue(s string) value {
	s = cut(s)
	return value{text: s, isSet: s != ""}
}

func freeValue(s string) value {
	v := textValue(s)
	n, err := strconv.ParseFloat(strings.TrimSpace(v.text), 64)
	v.num, v.isNum = n, err == nil && n-n == 0 // neither infinite nor NaN
	return v
}

func numberValue(n int64) value {
	return value{text: strconv.FormatInt(n, 10), num: float64(n), isNum: true, isSet: true}
}

func boolValue(b, known bool) value {
	if !known {
		return value{}
	}
	return value{text: strconv.FormatBool(b), isSet: true}
}

func listValue(elems []string) value {
	return value{list: elems, isSet: len(elems) > 0}
}

func ipValue(s string) value {
	v := textValue(s)
	if a, err := netip.ParseAddr(s); err == nil {
		v.addr = a.Unmap().WithZone("")
	}
	return v
}

func urlValue(s string, parsed *url.URL) value {
	v := textValue(s)
	if parsed != nil {
		v.host = hostOf(parsed)
	}
	return v
}

func hostValue(parsed *url.URL) value {
	if parsed == nil {
		return value{}
	}
	v := textValue(hostOf(parsed))
	v.host = v.text
	return v
}

func hostOf(u *url.URL) string {
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// cut shortens s to maxFact bytes at the border of a letter.
func cut(s string) string {
	if len(s) <= maxFact {
		return s
	}
	n := maxFact
	for n > maxFact-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// field is a field that a condition may look at.
type field struct {
	name string // with the time zone, where one was given: what makes it distinct
	typ  fieldType
	load func(e *env) value
	// grows says that the value changes while a decision is made.
	grows bool
}

// env is one decision in the making: the facts, and what was made of them.
type env struct {
	facts *Facts
	clock time.Time

	segments []string // matched so far
	campaign string   // in force: before, or as decided

	slots  []slot
	leaves []bool // outcome of the leaves of the rule at hand

	page   *url.URL // Page.URL, once parsed; nil if it is none
	parsed bool
}

type slot struct {
	value  value
	loaded bool
}

// at gives the value of a field of the set.
func (e *env) at(set *Set, i int) *value {
	s := &e.slots[i]
	if f := &set.fields[i]; !s.loaded || f.grows {
		s.value, s.loaded = f.load(e), true
	}
	return &s.value
}

// pageURL parses the page's URL once.
func (e *env) pageURL() *url.URL {
	if !e.parsed {
		e.page, e.parsed = parseURL(e.facts.Page.URL), true
	}
	return e.page
}

func parseURL(s string) *url.URL {
	u, err := url.Parse(cut(s))
	if err != nil || u.Host == "" {
		return nil
	}
	return u
}

func text(of func(*Facts) string) func(*env) value {
	return func(e *env) value { return textValue(of(e.facts)) }
}

func number(of func(*Facts) int64) func(*env) value {
	return func(e *env) value { return numberValue(of(e.facts)) }
}

func link(of func(*Facts) string) func(*env) value {
	return func(e *env) value {
		s := of(e.facts)
		return urlValue(s, parseURL(s))
	}
}

// plainFields are the fields with a fixed name, in the order in which an
// error message offers them.
func plainFields() []field {
	return []field{
		{name: "visitor.id", typ: textField, load: text(func(f *Facts) string { return f.Visitor.ID })},
		{name: "visitor.name", typ: textField, load: text(func(f *Facts) string { return f.Visitor.Name })},
		{name: "visitor.email", typ: textField, load: text(func(f *Facts) string { return f.Visitor.Email })},
		{name: "visitor.phone", typ: textField, load: text(func(f *Facts) string { return f.Visitor.Phone })},
		{name: "visitor.status", typ: textField, load: text(func(f *Facts) string { return f.Visitor.Status })},
		{name: "visitor.language", typ: textField, load: text(func(f *Facts) string { return f.Visitor.Language })},
		{name: "visitor.time_zone", typ: textField, load: text(func(f *Facts) string { return f.Visitor.TimeZone })},
		{name: "visitor.screen", typ: textField, load: text(func(f *Facts) string { return f.Visitor.Screen })},
		{name: "visitor.browser", typ: textField, load: text(func(f *Facts) string { return f.Visitor.Browser })},
		{name: "visitor.os", typ: textField, load: text(func(f *Facts) string { return f.Visitor.OS })},
		{name: "visitor.device", typ: textField, load: text(func(f *Facts) string { return f.Visitor.Device })},
		{name: "visitor.ip", typ: ipField, load: func(e *env) value { return ipValue(e.facts.Visitor.IP) }},
		{name: "visitor.country", typ: textField, load: text(func(f *Facts) string { return f.Visitor.Country })},
		{name: "visitor.visits", typ: numberField, load: number(func(f *Facts) int64 { return f.Visitor.Visits })},
		{name: "visitor.page_count", typ: numberField, load: number(func(f *Facts) int64 { return f.Visitor.PageCount })},
		{name: "visitor.chat_count", typ: numberField, load: number(func(f *Facts) int64 { return f.Visitor.ChatCount })},
		{name: "visitor.time_on_site_s", typ: numberField, load: number(func(f *Facts) int64 { return f.Visitor.TimeOnSiteS })},
		{name: "page.url", typ: urlField, load: func(e *env) value { return urlValue(e.facts.Page.URL, e.pageURL()) }},
		{name: "page.title", typ: textField, load: text(func(f *Facts) string { return f.Page.Title })},
		{name: "page.referrer", typ: urlField, load: link(func(f *Facts) string { return f.Page.Referrer })},
		{name: "page.host", typ: hostField, load: func(e *env) value { return hostValue(e.pageURL()) }},
		{name: "page.path", typ: textField, load: pagePath},
		{name: "landing.url", typ: urlField, load: link(func(f *Facts) string { return f.LandingURL })},
		{name: "campaign", typ: textField, load: func(e *env) value { return textValue(e.campaign) }, grows: true},
		{name: "segment", typ: listField, load: func(e *env) value { return listValue(e.segments) }, grows: true},
	}
}

func pagePath(e *env) value {
	u := e.pageURL()
	if u == nil {
		return value{}
	}
	if u.Path == "" {
		return textValue("/")
	}
	return textValue(u.Path)
}

// Fields whose name ends in a name of the site's own.
const (
	varPrefix        = "var."
	prechatPrefix    = "prechat."
	queryPrefix      = "page.query."
	departmentPrefix = "department."
	onlineSuffix     = ".online"
	queueSuffix      = ".queue"
	clockHour        = "clock.hour"
	clockWeekday     = "clock.weekday"
)

// openFields is how fields with a free part are shown in error messages.
func openFields() []string {
	return []string{"var.<name>", "prechat.<field>", "page.query.<name>",
		"department.<id>.online", "department.<id>.queue", clockHour, clockWeekday}
}

// findField gives the field of a name. zone is for the clock, and nil for
// UTC. ok false: there is none.
func findField(name string, zone *time.Location) (f field, ok bool) {
	for _, f := range plainFields() {
		if f.name == name {
			return f, true
		}
	}
	if rest, ok := after(name, varPrefix); ok {
		return field{name, freeField, func(e *env) value { return freeValue(e.facts.Vars[rest]) }, false}, true
	}
	if rest, ok := after(name, prechatPrefix); ok {
		return field{name, freeField, func(e *env) value { return freeValue(e.facts.Prechat[rest]) }, false}, true
	}
	if rest, ok := after(name, queryPrefix); ok {
		return field{name, freeField, func(e *env) value { return queryValue(e.pageURL(), rest) }, false}, true
	}
	if rest, ok := after(name, departmentPrefix); ok {
		return departmentField(name, rest)
	}
	return clockField(name, zone)
}

// after gives what follows a prefix, if something does.
func after(s, prefix string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(s, prefix)
	return rest, ok && rest != ""
}

func queryValue(u *url.URL, name string) value {
	if u == nil {
		return value{}
	}
	return freeValue(u.Query().Get(name))
}

func departmentField(name, rest string) (field, bool) {
	if id, ok := strings.CutSuffix(rest, onlineSuffix); ok && id != "" {
		return field{name, boolField, func(e *env) value {
			d, known := e.facts.Departments[id]
			return boolValue(d.Online, known)
		}, false}, true
	}
	if id, ok := strings.CutSuffix(rest, queueSuffix); ok && id != "" {
		return field{name, numberField, func(e *env) value {
			d, known := e.facts.Departments[id]
			if !known {
				return value{}
			}
			return numberValue(int64(d.Queue))
		}, false}, true
	}
	return field{}, false
}

func clockField(name string, zone *time.Location) (field, bool) {
	if zone == nil {
		zone = time.UTC
	}
	distinct := name + " " + zone.String()
	switch name {
	case clockHour:
		return field{distinct, numberField, func(e *env) value {
			return numberValue(int64(e.clock.In(zone).Hour()))
		}, false}, true
	case clockWeekday:
		return field{distinct, numberField, func(e *env) value {
			return numberValue(isoWeekday(e.clock.In(zone)))
		}, false}, true
	}
	return field{}, false
}

// isoWeekday is 1 for Monday to 7 for Sunday.
func isoWeekday(t time.Time) int64 {
	return int64(t.Weekday()+6)%7 + 1
}

// fieldNames are the names an unknown field is compared with.
func fieldNames() []string {
	var names []string
	for _, f := range plainFields() {
		names = append(names, f.name)
	}
	return append(names, openFields()...)
}

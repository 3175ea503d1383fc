package rules

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var monday = time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)

// holds says whether a condition holds for facts, by way of a segment.
func holds(t interface{ Fatalf(string, ...any) }, condition any, facts Facts) bool {
	doc, err := json.Marshal(map[string]any{"when": condition})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := Validate(KindSegments, doc); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	set, err := Compile(Config{KindSegments: {"x": doc}})
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return len(set.Decide(facts, monday).Segments) == 1
}

func genText() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"", "a", "A", "ab", "aB", "b", "ß", "Σς", "12", "https://a.example/ab?q=1", "10.0.0.1"})
}

func genFacts() *rapid.Generator[Facts] {
	return rapid.Custom(func(t *rapid.T) Facts {
		return Facts{
			Visitor: Visitor{Name: genText().Draw(t, "name"), IP: genText().Draw(t, "ip"), Visits: rapid.Int64Range(0, 15).Draw(t, "visits")},
			Page:    Page{URL: genText().Draw(t, "url"), Title: genText().Draw(t, "title")},
			Vars:    map[string]string{"v": genText().Draw(t, "v")},
		}
	})
}

func genLeaf() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		want := rapid.SampledFrom([]string{"a", "AB", "b", "σς", "12", "https://a.example/"}).Draw(t, "value")
		leaf := map[string]any{}
		switch rapid.IntRange(0, 2).Draw(t, "shape") {
		case 0:
			leaf["field"] = rapid.SampledFrom([]string{"visitor.name", "page.url", "page.title", "var.v", "page.query.q"}).Draw(t, "field")
			leaf["op"] = rapid.SampledFrom([]string{"is", "isNot", "contains", "notContains", "beginsWith", "notBeginsWith", "endsWith", "isOneOf", "isNotOneOf", "glob"}).Draw(t, "op")
			leaf["value"] = want
			leaf["case"] = rapid.Bool().Draw(t, "case")
		case 1:
			leaf["field"] = rapid.SampledFrom([]string{"visitor.visits", "var.v"}).Draw(t, "field")
			leaf["op"] = rapid.SampledFrom([]string{"eq", "ne", "lt", "le", "gt", "ge"}).Draw(t, "op")
			leaf["value"] = rapid.IntRange(0, 15).Draw(t, "number")
		default:
			leaf["field"] = rapid.SampledFrom([]string{"visitor.name", "visitor.visits", "page.url"}).Draw(t, "field")
			leaf["op"] = rapid.SampledFrom([]string{"isSet", "isNotSet"}).Draw(t, "op")
		}
		return leaf
	})
}

func genCondition(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") == 0 {
			return genLeaf().Draw(t, "condition")
		}
		switch form := rapid.SampledFrom([]string{"all", "any", "not"}).Draw(t, "form"); form {
		case "not":
			return map[string]any{"not": genCondition(depth-1).Draw(t, "inner")}
		default:
			return map[string]any{form: rapid.SliceOfN(genCondition(depth-1), 1, 3).Draw(t, "parts")}
		}
	})
}

func TestLawsOfConditions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genCondition(2).Draw(t, "a"), genCondition(2).Draw(t, "b")
		facts := genFacts().Draw(t, "facts")
		x, y := holds(t, a, facts), holds(t, b, facts)
		not := func(c any) any { return map[string]any{"not": c} }
		all := func(cs ...any) any { return map[string]any{"all": cs} }
		anyOf := func(cs ...any) any { return map[string]any{"any": cs} }
		for _, law := range []struct {
			name      string
			condition any
			want      bool
		}{
			{"not a", not(a), !x},
			{"not not a", not(not(a)), x},
			{"all a b", all(a, b), x && y},
			{"any a b", anyOf(a, b), x || y},
			{"all of one", all(a), x},
			{"any of one", anyOf(a), x},
			{"not all = any not", anyOf(not(a), not(b)), !(x && y)},
			{"not any = all not", all(not(a), not(b)), !(x || y)},
			{"all with always", all(a, map[string]any{}), x},
			{"any with always", anyOf(a, map[string]any{}), true},
		} {
			if got := holds(t, law.condition, facts); got != law.want {
				t.Fatalf("%s: got %v, want %v", law.name, got, law.want)
			}
		}
	})
}

// TestNegationsTurnRound: each operator that has a negation is its opposite,
// also where the field is not set.
func TestNegationsTurnRound(t *testing.T) {
	pairs := [][2]string{{"is", "isNot"}, {"contains", "notContains"}, {"beginsWith", "notBeginsWith"}, {"regex", "notRegex"}, {"isOneOf", "isNotOneOf"}}
	rapid.Check(t, func(t *rapid.T) {
		pair := rapid.SampledFrom(pairs).Draw(t, "pair")
		leaf := func(op string) any {
			return map[string]any{"field": "visitor.name", "op": op, "value": "aB"}
		}
		facts := genFacts().Draw(t, "facts")
		if holds(t, leaf(pair[0]), facts) == holds(t, leaf(pair[1]), facts) {
			t.Fatalf("%v agree on %q", pair, facts.Visitor.Name)
		}
	})
}

func TestCaseIsFoldedAlikeByEveryOperator(t *testing.T) {
	for _, pair := range [][2]string{{"STRASSE", "strasse"}, {"ΣΑΣ", "σας"}, {"\u212Aelvin", "kelvin"}, {"ÄÖÜ", "äöü"}, {"ſ", "S"}} {
		for _, op := range []string{"is", "contains", "beginsWith", "endsWith", "isOneOf", "glob", "regex"} {
			for _, flip := range []bool{false, true} {
				have, want := pair[0], pair[1]
				if flip {
					have, want = want, have
				}
				leaf := map[string]any{"field": "visitor.name", "op": op, "value": want}
				facts := Facts{Visitor: Visitor{Name: have}}
				if !holds(t, leaf, facts) {
					t.Errorf("%q %s %q does not hold", have, op, want)
				}
				leaf["case"] = true
				if holds(t, leaf, facts) {
					t.Errorf("%q %s %q holds with case", have, op, want)
				}
			}
		}
	}
}

func TestGlobIsLiteralButForItsSigns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z.+^$()|/?*\[\]{}\\,!-]{1,20}`).Draw(t, "text")
		var quoted strings.Builder
		for _, r := range text {
			quoted.WriteString(`\` + string(r))
		}
		glob := func(pattern string) bool {
			return holds(t, map[string]any{"field": "page.title", "op": "glob", "value": pattern}, Facts{Page: Page{Title: text}})
		}
		if !glob(quoted.String()) || !glob("*") || !glob(strings.Repeat("?", len(text))) || glob(strings.Repeat("?", len(text)+1)) {
			t.Fatalf("%q against itself", text)
		}
		if glob(quoted.String() + "x") {
			t.Fatalf("%q matches more than itself", text)
		}
	})
}

// TestExplanationAgreesWithDecision: from the leaves alone one can tell why.
func TestExplanationAgreesWithDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		site := Config{KindSegments: {}, KindRoutes: {}}
		for i := range rapid.IntRange(1, 5).Draw(t, "rules") {
			when, _ := json.Marshal(map[string]any{"all": []any{genLeaf().Draw(t, "a"), genLeaf().Draw(t, "b")}})
			id := fmt.Sprintf("r%d", i)
			site[KindSegments][id] = fmt.Appendf(nil, `{"when": %s}`, when)
			site[KindRoutes][id] = fmt.Appendf(nil, `{"when": %s, "to": {"department": "d%d"}}`, when, i)
		}
		set, err := Compile(site)
		if err != nil {
			t.Fatal(err)
		}
		facts := genFacts().Draw(t, "facts")
		d := set.Decide(facts, monday)
		if again := set.Decide(facts, monday); !reflect.DeepEqual(d, again) {
			t.Fatalf("decided twice:\n%+v\n%+v", d, again)
		}
		var segments []string
		route := ""
		for _, r := range d.Explanation.Rules {
			if r.Note == noteNotReached {
				continue
			}
			if r.Matched != (r.Leaves[0].Outcome && r.Leaves[1].Outcome) {
				t.Fatalf("%+v", r)
			}
			switch {
			case r.Matched && r.Kind == KindSegments:
				segments = append(segments, r.ID)
			case r.Matched && r.Kind == KindRoutes:
				route = r.ID
			}
		}
		if strings.Join(segments, ",") != strings.Join(d.Segments, ",") || route != d.Route.Rule {
			t.Fatalf("%+v", d)
		}
		if len(d.Explanation.Rules) != len(site[KindSegments])+len(site[KindRoutes]) {
			t.Fatalf("%d rules are explained", len(d.Explanation.Rules))
		}
	})
}

package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	leaf := `{"field": "page.url", "op": "isSet"}`
	repeat := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	for name, c := range map[string]struct {
		doc, want string
	}{
		"depth":       {`{"when": ` + strings.Repeat(`{"not": `, 20) + leaf + strings.Repeat("}", 21), "nested deeper than 16"},
		"json depth":  {`{"when": ` + strings.Repeat(`[`, 100000), "nested deeper than 32"},
		"elements":    {`{"when": {"all": [` + repeat(leaf, 101) + `]}}`, "at most 100 are allowed"},
		"leaves":      {`{"when": {"all": [{"any": [` + repeat(leaf, 60) + `]}, {"any": [` + repeat(leaf, 60) + `]}]}}`, "a rule has at most 100 conditions"},
		"values":      {`{"when": {"field": "page.url", "op": "isOneOf", "value": [` + repeat(`"x"`, 501) + `]}}`, "1 to 500 elements"},
		"value":       {`{"when": {"field": "page.url", "op": "is", "value": "` + strings.Repeat("x", 1025) + `"}}`, "at most 1024 are allowed"},
		"document":    {`{"when": {}, "name": "` + strings.Repeat("x", maxDocument) + `"}`, "the document has"},
		"name":        {`{"when": {}, "name": "` + strings.Repeat("x", 300) + `"}`, "at most 200 are allowed"},
		"many errors": {`{"when": {"any": [` + repeat(`{"field": "x", "op": "y", "value": 1}`, 50) + `]}}`, "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Validate(KindSegments, []byte(c.doc))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			var errs Errors
			var first *Error
			if !errors.As(err, &errs) || !errors.As(err, &first) || first != errs[0] {
				t.Fatalf("%T does not unwrap", err)
			}
			if len(errs) > maxErrors {
				t.Fatalf("%d errors", len(errs))
			}
		})
	}
}

func TestLongFactsAreCut(t *testing.T) {
	long := strings.Repeat("é", maxFact) + "end"
	facts := Facts{Page: Page{Title: long}}
	if holds(t, map[string]any{"field": "page.title", "op": "endsWith", "value": "end"}, facts) {
		t.Error("the end of a long title was looked at")
	}
	if got := cut(long); len(got) > maxFact || strings.Trim(got, "é") != "" {
		t.Errorf("cut to %d bytes in the middle of a letter", len(got))
	}
}

// TestEventTypesAreThoseOfTheDocs keeps the list beside docs/events.md.
func TestEventTypesAreThoseOfTheDocs(t *testing.T) {
	doc, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, line := range strings.Split(string(doc), "\n") {
		if cells := strings.Split(line, "|"); len(cells) > 4 {
			for _, m := range regexp.MustCompile("`([a-z]+\\.[a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				want = append(want, m[1])
			}
		}
	}
	got := EventTypes()
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("have %v\ndocs %v", got, want)
	}
}

// TestOperatorsAreThoseOfTheDocs: no operator exists that is not documented,
// and none is documented that does not exist.
func TestOperatorsAreThoseOfTheDocs(t *testing.T) {
	doc, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "Operators:")
	text, _, _ := strings.Cut(rest, "\n\n")
	var want, got []string
	for _, m := range regexp.MustCompile("`([a-zA-Z ]+)`").FindAllStringSubmatch(strings.ReplaceAll(text, "\n", " "), -1) {
		want = append(want, strings.Fields(m[1])...)
	}
	for _, op := range operators() {
		got = append(got, op.name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if want = slices.Compact(want); !slices.Equal(got, want) {
		t.Errorf("have %v\ndocs %v", got, want)
	}
}

// TestDecisionIsJSON pins the form in which the simulation answers.
func TestDecisionIsJSON(t *testing.T) {
	set, err := Compile(Config{KindSegments: {"all": []byte(`{"name": "All", "when": {"field": "visitor.name", "op": "isNotSet"}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(set.Decide(Facts{}, monday))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"segments":["all"],"campaign":"default","route":{"priority":2},"invitation":null,"explanation":{"rules":[` +
		`{"kind":"segments","id":"all","name":"All","matched":true,"leaves":[{"path":"when","field":"visitor.name","op":"isNotSet","actual":"","outcome":true}]}]}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMatchedKeepsOnlyWhatHadAnEffect(t *testing.T) {
	set, err := Compile(Config{KindSegments: {"yes": []byte(`{"when": {}}`), "no": []byte(`{"when": {"not": {}}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	kept := set.Decide(Facts{}, monday).Explanation.Matched().Rules
	if len(kept) != 1 || kept[0].ID != "yes" {
		t.Errorf("kept %+v", kept)
	}
}

// shopWithRules is a site with n rules of four conditions each.
func shopWithRules(n int) Config {
	site := Config{KindSegments: {}}
	for i := range n {
		site[KindSegments][fmt.Sprintf("s%d", i)] = fmt.Appendf(nil, `{"order": %d, "when": {"expression": "(1 or 2) and not 3 or 4", "conditions": [
			{"field": "page.url", "op": "contains", "value": "/pricing/%d"},
			{"field": "page.path", "op": "glob", "value": "/shop/*/%d"},
			{"field": "visitor.country", "op": "isOneOf", "value": ["us", "ca", "mx"]},
			{"field": "visitor.visits", "op": "gt", "value": %d}]}}`, i, i, i, i)
	}
	return site
}

func BenchmarkDecide200Rules(b *testing.B) {
	set, err := Compile(shopWithRules(200))
	if err != nil {
		b.Fatal(err)
	}
	facts := Facts{
		Visitor: Visitor{Country: "DE", Visits: 3},
		Page:    Page{URL: "https://www.shop.example/shop/tea/black/darjeeling?utm_source=newsletter&utm_campaign=autumn"},
	}
	b.ReportAllocs()
	for b.Loop() {
		set.Decide(facts, monday)
	}
}

package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scriptDocuments gives the documents of the scripts as a corpus.
func scriptDocuments(f *testing.F, add func(kind, doc string)) {
	files, _ := filepath.Glob("../testdata/rules/*.txt")
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, block := range strings.Split(string(source), "\n\n") {
			head, _, _ := strings.Cut(block, "\n----")
			line, doc, _ := strings.Cut(head, "\n")
			if words := strings.Fields(line); len(words) > 1 && (words[0] == "validate" || words[0] == "define") {
				add(words[1], doc)
			}
		}
	}
}

// FuzzDocument: whatever the document, Validate answers; and what it accepts
// compiles and decides, about facts that are as strange.
func FuzzDocument(f *testing.F) {
	scriptDocuments(f, func(kind, doc string) { f.Add(kind, doc, "https://x.example/?a=1", "10.0.0.1", int64(3)) })
	f.Fuzz(func(t *testing.T, kind, doc, text, ip string, n int64) {
		verdict := Validate(kind, []byte(doc))
		set, err := Compile(Config{kind: {"x": []byte(doc)}})
		if set == nil {
			t.Fatal("no set")
		}
		if verdict == nil && err != nil {
			t.Fatalf("accepted, but does not compile: %v", err)
		}
		facts := Facts{
			Visitor: Visitor{ID: ip, Name: text, Email: text, IP: ip, Visits: n},
			Page:    Page{URL: text, Title: text, Referrer: text},
			Vars:    map[string]string{"plan": text}, Prechat: map[string]string{"topic": ip},
			Departments: map[string]Department{"sales": {Online: n > 0, Queue: int(n)}},
		}
		d := set.Decide(facts, monday)
		if d.Campaign == "" || d.Route.Priority < LowestPriority || d.Route.Priority > HighestPriority {
			t.Fatalf("%+v", d)
		}
	})
}

package rules

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/rules")

// TestScripts runs the scripts in testdata/rules. A script is a list of
// blocks, separated by an empty line:
//
//	command arguments
//	input, JSON
//	----
//	expected output
//
// Commands: "validate KIND" judges a document; "define KIND ID" adds it to the
// site of the script; "decide [CLOCK]" decides about facts. Lines that begin
// with # are comments.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("../testdata/rules/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	site := Config{}
	var out []string
	for _, block := range strings.Split(strings.TrimRight(string(source), "\n"), "\n\n") {
		if isComment(block) {
			out = append(out, block)
			continue
		}
		head, want, ok := strings.Cut(block, "\n----\n")
		if !ok {
			if head, ok = strings.CutSuffix(block, "\n----"); !ok {
				t.Fatalf("a block without ----:\n%s", block)
			}
		}
		got := runBlock(t, site, head)
		if got != want && !*update {
			t.Errorf("%s\n--- got\n%s\n--- want\n%s", head, got, want)
		}
		out = append(out, head+"\n----\n"+got)
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func isComment(block string) bool {
	for _, line := range strings.Split(block, "\n") {
		if !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

func runBlock(t *testing.T, site Config, head string) string {
	for strings.HasPrefix(head, "#") {
		_, head, _ = strings.Cut(head, "\n")
	}
	line, input, _ := strings.Cut(head, "\n")
	words := strings.Fields(line)
	switch {
	case words[0] == "validate" && len(words) == 2:
		return verdict(Validate(words[1], []byte(input)))
	case words[0] == "define" && len(words) == 3:
		if site[words[1]] == nil {
			site[words[1]] = map[string][]byte{}
		}
		site[words[1]][words[2]] = []byte(input)
		return verdict(Validate(words[1], []byte(input)))
	case words[0] == "decide":
		return decideBlock(t, site, words[1:], input)
	}
	t.Fatalf("unknown command: %s", line)
	return ""
}

func decideBlock(t *testing.T, site Config, args []string, input string) string {
	clock := time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC) // a Monday
	if len(args) == 1 {
		var err error
		if clock, err = time.Parse(time.RFC3339, args[0]); err != nil {
			t.Fatal(err)
		}
	}
	var facts Facts
	d := json.NewDecoder(strings.NewReader(input))
	d.DisallowUnknownFields()
	if err := d.Decode(&facts); err != nil {
		t.Fatalf("facts: %v\n%s", err, input)
	}
	set, err := Compile(site)
	out := show(set.Decide(facts, clock))
	if err != nil {
		out = "left out: " + err.Error() + "\n" + out
	}
	return out
}

func verdict(err error) string {
	if err == nil {
		return "ok"
	}
	var errs Errors
	if !errors.As(err, &errs) {
		return "not an Errors: " + err.Error()
	}
	lines := make([]string, len(errs))
	for i, e := range errs {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

func show(d Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "segments   %s\n", strings.Join(d.Segments, " "))
	fmt.Fprintf(&b, "campaign   %s\n", d.Campaign)
	fmt.Fprintf(&b, "route      department=%s agent=%s priority=%d rule=%s\n", d.Route.Department, d.Route.Agent, d.Route.Priority, d.Route.Rule)
	if i := d.Invitation; i != nil {
		fmt.Fprintf(&b, "invitation %s %q once=%s delay_s=%d\n", i.ID, i.Text, i.Once, i.DelayS)
	}
	for _, r := range d.Explanation.Rules {
		mark := "no "
		if r.Matched {
			mark = "YES"
		}
		fmt.Fprintf(&b, "%s %s %s", mark, r.Kind, r.ID)
		if r.Note != "" {
			fmt.Fprintf(&b, " (%s)", r.Note)
		}
		b.WriteString("\n")
		for _, l := range r.Leaves {
			fmt.Fprintf(&b, "    %-5t %s: %s %s %s, is %q\n", l.Outcome, l.Path, l.Field, l.Op, l.Expected, l.Actual)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

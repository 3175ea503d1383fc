package core_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/core/coretest"
	"github.com/parlorchat/parlor/storage/command"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata/core")

// TestScenarios plays the files of testdata/core: lines that begin with ">"
// are commands as redis-cli takes them, "+" lets time pass, "#" explains, and
// everything else is what came of it: replies, then events.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../testdata/core/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(script))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(script) {
				t.Errorf("%s: got\n%s\n(go test ./core -update rewrites it)", file, firstDifference(got, string(script)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: %s\n   want: %s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}

// play carries a script's commands out and gives it back with what came of
// them.
func play(t *testing.T, script string) string {
	store := coretest.New()
	seen := map[string]int64{}
	var out strings.Builder
	for _, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		switch {
		case line == "", strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		case strings.HasPrefix(line, "+"):
			fmt.Fprintln(&out, line)
			d, err := time.ParseDuration(line[1:])
			if err != nil {
				t.Fatal(err)
			}
			store.Advance(d)
			if err := store.Tick(); err != nil {
				t.Fatal(err)
			}
			printEvents(t, &out, store, seen)
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&out, line)
			printReply(&out, "", store.Do(command.New(words(t, line[2:])...)))
			printEvents(t, &out, store, seen)
		}
	}
	if err := store.State.Verify(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// words splits a line as a shell does, with "…" and '…'.
func words(t *testing.T, line string) []string {
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		quote := line[:1]
		if quote != `"` && quote != `'` {
			word, rest, _ := strings.Cut(line, " ")
			out, line = append(out, word), rest
			continue
		}
		word, rest, ok := strings.Cut(line[1:], quote)
		if !ok {
			t.Fatalf("no closing %s: %s", quote, line)
		}
		out, line = append(out, word), rest
	}
	return out
}

func printReply(out *strings.Builder, indent string, r command.Reply) {
	switch r.Kind {
	case command.KindArray:
		if len(r.Elems) == 0 {
			fmt.Fprintf(out, "%s(empty)\n", indent)
		}
		for _, e := range r.Elems {
			if e.Kind == command.KindArray || e.Kind == command.KindMap {
				fmt.Fprintf(out, "%s-\n", indent)
				printReply(out, indent+"  ", e)
				continue
			}
			printReply(out, indent, e)
		}
	case command.KindMap:
		for i := 0; i+1 < len(r.Elems); i += 2 {
			fmt.Fprintf(out, "%s%s: %s\n", indent, r.Elems[i].Text(), r.Elems[i+1].Text())
		}
	case command.KindNull:
		fmt.Fprintf(out, "%s(nil)\n", indent)
	default:
		fmt.Fprintf(out, "%s%s\n", indent, r.Text())
	}
}

// printEvents shows the new events of all sites: whom they are about, and
// what their data say beyond the objects themselves.
func printEvents(t *testing.T, out *strings.Builder, store *coretest.Store, seen map[string]int64) {
	sites, err := core.ListSites(store.View())
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range sites {
		events, err := store.Events(site, seen[site])
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			seen[site] = e.Seq
			fmt.Fprintf(out, "  event %s/%d %s", site, e.Seq, e.Type)
			for _, f := range [][2]string{{"visitor", e.Visitor}, {"chat", e.Chat}, {"agent", e.Agent}, {"department", e.Department}} {
				if f[1] != "" {
					fmt.Fprintf(out, " %s=%s", f[0], f[1])
				}
			}
			var data map[string]json.RawMessage
			if err := json.Unmarshal(e.Data, &data); err != nil {
				t.Fatal(err)
			}
			for _, name := range slices.Sorted(maps.Keys(data)) {
				if !slices.Contains([]string{"site", "department", "agent", "visitor", "chat"}, name) {
					fmt.Fprintf(out, " %s=%s", name, data[name])
				}
			}
			fmt.Fprintln(out)
		}
	}
}

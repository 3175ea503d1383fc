package node

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stopped is the folder of a member that has written something and was closed
// in good order.
func stopped(t *testing.T) string {
	t.Helper()
	g := form(t, 1, renewing)
	m := g.members[0]
	g.do(m, "SET", "visitor:1", "hello")
	g.do(m, "HSET", "secret:thing", "field", "never to be shown")
	g.do(m, "SET", "a-password-follows", "PASSWORD")
	must(t, m.Close(t.Context()))
	g.members[0] = nil
	return m.opt.Dir
}

// contentOf is all files of a folder, by name.
func contentOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			out[path] = string(b)
			return err
		}
		return err
	}))
	return out
}

func TestLookingIntoAFolderChangesNothing(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	before := contentOf(t, dir)
	s, err := StatStorage(dir)
	must(t, err)
	if s.Log.Last < 4 || s.Log.First != 1 || s.Index == 0 || s.TableBytes == 0 || s.LogBytes == 0 {
		t.Errorf("stats: %+v", s)
	}
	r, err := CheckStorage(dir, nil)
	must(t, err)
	if len(r.Damage) > 0 || r.Entries != int64(r.Log.Last) || r.Rows == 0 || r.Contents.Prefixes["visitor"] != 1 {
		t.Errorf("check: %+v", r)
	}
	f, err := InspectFolder(dir, true)
	must(t, err)
	if len(f.Members) != 1 || f.Members[0].ID != f.NodeID || f.StateHash != s.StateHash || f.Contents.Keys != r.Contents.Keys {
		t.Errorf("inspect: %+v", f)
	}
	var shown []DumpedEntry
	_, err = DumpLog(dir, DumpOptions{}, func(e DumpedEntry) error { shown = append(shown, e); return nil })
	must(t, err)
	if uint64(len(shown)) != r.Log.Last {
		t.Errorf("%d entries were shown of %d", len(shown), r.Log.Last)
	}
	for path, content := range contentOf(t, dir) {
		if before[path] != content {
			t.Errorf("%s has changed", path)
		}
		delete(before, path)
	}
	if len(before) > 0 {
		t.Errorf("files are gone: %v", before)
	}
}

func TestADumpShowsCommandsAndNoSecrets(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	dump := func(o DumpOptions) string {
		var out strings.Builder
		_, err := DumpLog(dir, o, func(e DumpedEntry) error {
			for _, r := range e.Requests {
				for _, words := range r.Commands {
					for _, w := range words {
						out.WriteString(string(w) + " ")
					}
					out.WriteString("\n")
				}
			}
			return nil
		})
		must(t, err)
		return out.String()
	}
	text := dump(DumpOptions{})
	for _, want := range []string{"SET visitor:1 hello", "HSET secret:thing (hidden) (hidden)", "SYSTEM.INIT (hidden)"} {
		if !strings.Contains(text, want) {
			t.Errorf("not shown: %s, in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "never to be shown") || strings.Contains(text, "PRIVATE KEY") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	if open := dump(DumpOptions{Secrets: true}); !strings.Contains(open, "never to be shown") {
		t.Error("a secret that was asked for is not shown")
	}
	for _, c := range []struct{ words, want string }{
		{"AGENT.CREATE alice s PASSWORD hunter2 NAME Alice", "AGENT.CREATE alice s PASSWORD (hidden) NAME Alice"},
		{"AGENT.UPDATE alice password-hash $argon", "AGENT.UPDATE alice password-hash (hidden)"},
		{"SET secret:a b", "SET secret:a (hidden)"},
		{"SESSION.CREATE a 0123 5", "SESSION.CREATE a (hidden) (hidden)"},
	} {
		var words []Word
		for _, w := range strings.Fields(c.words) {
			words = append(words, Word(w))
		}
		hideSecrets(words)
		var got []string
		for _, w := range words {
			got = append(got, string(w))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s is shown as %v", c.words, got)
		}
	}
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	table := filepath.Join(dir, tableFolder, "data.db")
	turn := func(path, at string, change func([]byte)) {
		t.Helper()
		b, err := os.ReadFile(path)
		must(t, err)
		found := 0
		for from := 0; ; found++ {
			i := bytes.Index(b[from:], []byte(at))
			if i < 0 {
				break
			}
			change(b[from+i:])
			from += i + len(at)
		}
		if found == 0 {
			t.Fatalf("%s has no %q", path, at)
		}
		must(t, os.WriteFile(path, b, 0o600))
	}
	// A value in the table: pages have no checksum, the state hash finds it.
	turn(table, "hello", func(b []byte) { b[0] = 'j' })
	r, err := CheckStorage(dir, nil)
	must(t, err)
	if len(r.Damage) == 0 || !strings.HasPrefix(r.Damage[0], "table: ") {
		t.Errorf("a changed row was not found: %+v", r.Damage)
	}
	if _, err := InspectFolder(dir, true); err == nil {
		t.Error("a changed row passes")
	} else {
		wantCode(t, err, CodeDamaged)
	}
	turn(table, "jello", func(b []byte) { b[0] = 'h' })

	// An entry in the middle of the log.
	segments, err := filepath.Glob(filepath.Join(dir, logFolder, "*"+segmentSuffix))
	must(t, err)
	if len(segments) != 1 {
		t.Fatalf("the log has %d segments", len(segments))
	}
	turn(segments[0], "SYSTEM.INIT", func(b []byte) { b[0] = 'X' })
	if r, err = CheckStorage(dir, nil); err == nil && len(r.Damage) == 0 {
		t.Error("a changed log entry was not found")
	}
}

func TestCompactingKeepsEverything(t *testing.T) {
	t.Parallel()
	g := form(t, 1, renewing)
	dir := g.members[0].opt.Dir
	big := strings.Repeat("x", 10_000)
	for range 20 {
		g.do(g.members[0], "SET", "big", big)
		g.members[0].checkpoint()
	}
	must(t, g.members[0].Close(t.Context()))
	c, err := CompactStorage(dir, nil)
	must(t, err)
	if c.After >= c.Before || c.Rows == 0 {
		t.Errorf("compacted: %+v", c)
	}
	g.restart(0, dir)
	must(t, g.members[0].WaitReady(t.Context()))
	if get(t, g.members[0], "big") != big {
		t.Error("a value is gone")
	}
}

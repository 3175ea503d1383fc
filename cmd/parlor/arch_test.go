package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/parlorchat/parlor/"

// mayImport is who of our packages may import whom, outside of tests. What is
// not named is forbidden: the arrows point from the outside to the rules.
var mayImport = map[string][]string{
	"storage":          {},
	"storage/backup":   {},
	"storage/keyspace": {"storage"},
	"storage/command":  {"storage/keyspace"},
	"storage/redis":    {"storage", "storage/keyspace", "storage/command"},
	"rules":            {},
	"core":             {"storage/keyspace", "storage/command", "rules"},
	"raftfsm":          {"storage", "storage/keyspace", "storage/command"},
	"metric":           {},
	"metric/memory":    {},
	"web":              {},
	"web/build":        {},
	"api":              {"core", "metric", "rules", "web", "storage/keyspace", "storage/command"},
	"resp":             {"resp/eventloop", "metric/memory", "storage/keyspace", "storage/command", "storage/redis"},
	"resp/eventloop":   {},
	"pipeline":         {"core", "storage/keyspace", "storage/command"},
	"pipeline/webhook": {"pipeline", "metric", "core", "rules", "storage/keyspace", "storage/command"},
	"node":             {"raftfsm", "metric", "metric/memory", "storage", "storage/backup", "storage/keyspace", "storage/command"},
	"node/doctor":      {"metric/memory"},
	"node/server":      {"node", "node/doctor", "api", "resp", "pipeline", "pipeline/webhook", "core", "web", "storage/keyspace", "storage/command", "storage/redis"},
	"cmd/parlor":       {"node", "node/doctor", "node/server"},
}

// keptBy is which libraries only some packages may know.
var keptBy = map[string][]string{
	"go.etcd.io/bbolt":              {"storage"},
	"github.com/hashicorp/raft":     {"node", "raftfsm"},
	"github.com/hashicorp/raft-wal": {"node", "raftfsm"},
	"github.com/tidwall/redcon":     {"resp"},
	"github.com/valyala/fasthttp":   {"api"},
	"github.com/spf13/cobra":        {"cmd/parlor"},
	"github.com/evanw/esbuild":      {"web/build"},
}

// pure is what must not reach into the world: no sockets, no files, no
// clock of their own.
var pure = map[string][]string{
	"rules":            {"net", "net/http", "os", "io/fs", "database/sql"},
	"core":             {"net", "net/http", "os", "io/fs", "database/sql"},
	"storage/keyspace": {"net", "net/http", "os", "io/fs", "math/rand", "crypto/rand"},
	"storage/redis":    {"net", "net/http", "os", "io/fs", "math/rand", "crypto/rand"},
}

// TestPackagesKnowOnlyWhomTheyMay holds the architecture. The files are parsed
// here rather than by running go list, so that the test cache notices a change.
func TestPackagesKnowOnlyWhomTheyMay(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "vendor") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		if strings.HasSuffix(pkg, "test") { // helpers of tests, such as core/coretest
			return nil
		}
		seen[pkg] = true
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			for _, complaint := range judge(pkg, imported) {
				t.Errorf("%s: %s", path, complaint)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range seen {
		if _, ok := mayImport[pkg]; !ok {
			t.Errorf("package %s is not in mayImport: say there whom it may know", pkg)
		}
	}
	for pkg := range mayImport {
		if !seen[pkg] {
			t.Errorf("mayImport names %s, which has no Go files", pkg)
		}
	}
}

// judge says what is wrong with pkg importing another package.
func judge(pkg, imported string) (complaints []string) {
	if own, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(mayImport[pkg], own) {
		complaints = append(complaints, pkg+" must not import "+own)
	}
	for library, keepers := range keptBy {
		if (imported == library || strings.HasPrefix(imported, library+"/")) && !slices.Contains(keepers, pkg) {
			complaints = append(complaints, pkg+" must not import "+imported+": only "+strings.Join(keepers, ", ")+" may")
		}
	}
	if slices.Contains(pure[pkg], imported) {
		complaints = append(complaints, pkg+" must stay pure and not import "+imported)
	}
	sort.Strings(complaints)
	return complaints
}

// TestJudgeSeesViolations makes sure that the test above can fail.
func TestJudgeSeesViolations(t *testing.T) {
	for _, c := range []struct{ pkg, imported string }{
		{"core", module + "node"},
		{"resp", "go.etcd.io/bbolt"},
		{"rules", "net/http"},
		{"api", "github.com/hashicorp/raft"},
		{"storage", "github.com/valyala/fasthttp/fasthttputil"},
	} {
		if len(judge(c.pkg, c.imported)) == 0 {
			t.Errorf("%s importing %s went unnoticed", c.pkg, c.imported)
		}
	}
	if got := judge("node/server", module+"core"); len(got) != 0 {
		t.Errorf("node/server may import core, yet: %v", got)
	}
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

const webDir = ".."

// TestDistIsWhatTheSourcesSay: who changes a source has to run the build.
func TestDistIsWhatTheSourcesSay(t *testing.T) {
	files, err := bundle(webDir)
	if err != nil {
		t.Fatal(err)
	}
	dist := filepath.Join(webDir, "dist")
	entries, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := files[e.Name()]; !ok {
			t.Errorf("dist/%s is not made by the build: run go run ./web/build", e.Name())
		}
	}
	for _, name := range names(files) {
		got, err := os.ReadFile(filepath.Join(dist, name))
		if err != nil {
			t.Errorf("%v: run go run ./web/build", err)
			continue
		}
		if !bytes.Equal(got, files[name]) {
			t.Errorf("dist/%s (%d bytes) is not what the sources make (%d bytes): run go run ./web/build", name, len(got), len(files[name]))
		}
	}
}

// TestBuildReplacesDist: the command removes what is no longer made.
func TestBuildReplacesDist(t *testing.T) {
	dir := t.TempDir()
	for _, part := range []string{"src", "vendor"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(webDir, part))); err != nil {
			t.Fatal(err)
		}
	}
	stale := filepath.Join(dir, "dist", "stale.js")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	if err := run(dir, out); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("a file that is no longer made is still there: %v", err)
	}
	for _, name := range []string{"loader.js", "window.js", "window.css", "licences.txt"} {
		built, err := os.ReadFile(filepath.Join(dir, "dist", name))
		if err != nil {
			t.Error(err)
			continue
		}
		committed, err := os.ReadFile(filepath.Join(webDir, "dist", name))
		if err != nil || !bytes.Equal(built, committed) {
			t.Errorf("%s is not the same when it is built in another folder (%v)", name, err)
		}
	}
}

// TestSourcesThatDoNotBundleAreTold: a mistake in a source is an error with its place.
func TestSourcesThatDoNotBundleAreTold(t *testing.T) {
	dir := t.TempDir()
	for _, part := range []string{"src", "vendor"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(webDir, part))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "src", "demo", "main.ts"), []byte("import './nowhere'"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle(dir); err == nil || !strings.Contains(err.Error(), "src/demo/main.ts") {
		t.Errorf("bundling gave %v, want an error that names the source", err)
	}
}

// TestLogicOfTheBrowserSources runs the tests in web/src/test, bundled as the
// shipped code is, with Node's test runner.
func TestLogicOfTheBrowserSources(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node: install Node 20 or newer to run the tests of the browser's logic")
	}
	version, err := exec.Command(node, "--version").Output()
	if err != nil {
		t.Fatalf("asking node for its version: %v", err)
	}
	if v := strings.TrimPrefix(string(version), "v"); len(v) < 3 || v[1] == '.' || v < "20" {
		t.Skipf("node %s is too old: the tests of the browser's logic need 20 or newer", strings.TrimSpace(string(version)))
	}
	root, err := filepath.Abs(webDir)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := filepath.Glob(filepath.Join(root, "src", "test", "*.test.ts"))
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests found (%v)", err)
	}
	var from []api.EntryPoint
	for _, path := range tests {
		from = append(from, api.EntryPoint{InputPath: path, OutputPath: strings.TrimSuffix(filepath.Base(path), ".ts")})
	}
	o := options(root, from)
	o.Format, o.Platform = api.FormatCommonJS, api.PlatformNode
	o.MinifySyntax, o.MinifyWhitespace, o.MinifyIdentifiers = false, false, false
	o.Outdir, o.Write = t.TempDir(), true
	if result := api.Build(o); len(result.Errors) > 0 {
		t.Fatal(failure(result.Errors))
	}
	args := []string{"--test", "--test-reporter=tap"}
	for _, e := range from {
		args = append(args, filepath.Join(o.Outdir, e.OutputPath+".js"))
	}
	out, err := exec.Command(node, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("# pass")) || bytes.Contains(out, []byte("# pass 0\n")) {
		t.Fatalf("no test ran:\n%s", out)
	}
}

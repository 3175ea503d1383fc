package web_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/web"
	"github.com/parlorchat/parlor/web/webtest"
)

var threeHosts = []string{"https://chat1.example.com", "https://chat2.example.com", "https://chat3.example.com"}

func newFiles(t *testing.T) *web.Files {
	t.Helper()
	f, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func ok(t *testing.T) func(f web.File, err error) web.File {
	return func(f web.File, err error) web.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}

func asset(t *testing.T, f *web.Files, name string) web.File {
	t.Helper()
	a, found := f.Asset(name, "")
	if !found {
		t.Fatalf("there is no asset %s", name)
	}
	return a
}

// TestBudgets holds what visitors have to download.
func TestBudgets(t *testing.T) {
	f := newFiles(t)
	loader := ok(t)(f.Loader("a-site-with-a-long-name", threeHosts))
	for _, b := range []struct {
		what string
		file web.File
		max  int
	}{
		{"the loader", loader, 5 << 10},
		{"the window's script", asset(t, f, "window.js"), 35 << 10},
		{"the window's style", asset(t, f, "window.css"), 8 << 10},
	} {
		if len(b.file.Gzip) > b.max || len(b.file.Gzip) == 0 {
			t.Errorf("%s weighs %d bytes compressed, allowed are %d", b.what, len(b.file.Gzip), b.max)
		}
	}
}

func TestCompressedBodiesAreTheBodies(t *testing.T) {
	f := newFiles(t)
	files := map[string]web.File{"loader": ok(t)(f.Loader("demo", nil)), "window": ok(t)(f.Window("demo", nil)), "console": ok(t)(f.Console(nil))}
	for _, name := range []string{"window.js", "window.css", "console.js", "console.css", "demo.js", "demo.css", "icon.svg", "licences.txt"} {
		files[name] = asset(t, f, name)
	}
	for name, file := range files {
		r, err := gzip.NewReader(bytes.NewReader(file.Gzip))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(body, file.Body) {
			t.Errorf("%s: unpacked, %d bytes are not the body's %d (%v)", name, len(body), len(file.Body), err)
		}
		if !regexp.MustCompile(`^W/"[0-9a-f]{16}"$`).MatchString(file.ETag) {
			t.Errorf("%s: ETag %s", name, file.ETag)
		}
		if file.ContentType == "" || file.CacheControl == "" {
			t.Errorf("%s: no content type or cache control", name)
		}
	}
}

func TestAssetsAreKeptForEverOnlyUnderTheirOwnVersion(t *testing.T) {
	f := newFiles(t)
	file := asset(t, f, "window.js")
	if file.CacheControl != "no-cache" {
		t.Errorf("without a version: %s", file.CacheControl)
	}
	if other, _ := f.Asset("window.js", "0123456789abcdef"); other.CacheControl != "no-cache" {
		t.Errorf("under the version of another build: %s", other.CacheControl)
	}
	if own, _ := f.Asset("window.js", file.Version); !strings.Contains(own.CacheControl, "immutable") {
		t.Errorf("under its own version: %s", own.CacheControl)
	}
	for _, name := range []string{"loader.js", "nothing.js", "", "../files.go"} {
		if _, found := f.Asset(name, ""); found {
			t.Errorf("there is an asset %q", name)
		}
	}
}

func TestLoaderCarriesItsSiteAndHosts(t *testing.T) {
	f := newFiles(t)
	file := ok(t)(f.Loader("demo", []string{"https://a.example", "https://a.example/", "javascript:alert(1)", "ftp://x", "https://b.example:8443/path", "https://c.example'x"}))
	if want := `{"site":"demo","hosts":["https://a.example","https://b.example:8443"]}`; bytes.Count(file.Body, []byte(want)) != 1 {
		t.Errorf("the loader does not carry %s once", want)
	}
	other := ok(t)(f.Loader("other", nil))
	if other.ETag == file.ETag || !bytes.Contains(other.Body, []byte(`{"site":"other","hosts":[]}`)) {
		t.Errorf("the loader of another site is not its own")
	}
	if nasty := ok(t)(f.Loader(`</script><script>"`, nil)); bytes.Contains(nasty.Body, []byte("</script>")) {
		t.Errorf("a site's name ends the script")
	}
	if again := ok(t)(f.Loader("demo", []string{"https://a.example", "https://b.example:8443"})); again.ETag != file.ETag {
		t.Errorf("the same hosts make another loader")
	}
}

// TestManySitesDoNotFillTheMemory: what is kept is bounded, what is made stays right.
func TestManySitesDoNotFillTheMemory(t *testing.T) {
	f := newFiles(t)
	first := ok(t)(f.Window("site-0", nil))
	for i := range 300 {
		ok(t)(f.Window(fmt.Sprintf("site-%d", i), nil))
	}
	if again := ok(t)(f.Window("site-0", nil)); again.ETag != first.ETag {
		t.Errorf("the page changed: %s, then %s", first.ETag, again.ETag)
	}
}

func TestPagesNameTheirAssetsAndPolicies(t *testing.T) {
	f := newFiles(t)
	window := ok(t)(f.Window("demo", []string{"https://shop.example"}))
	console := ok(t)(f.Console(threeHosts))
	pages := map[string]web.File{"window": window, "console": console}
	for _, lang := range []string{"en", "zh", "xx"} {
		for _, name := range []string{"", "pricing", "install"} {
			file, found, err := f.Demo(name, lang, "demo", threeHosts)
			if err != nil || !found {
				t.Fatalf("demo %q %s: %v %v", name, lang, found, err)
			}
			pages["demo "+name+" "+lang] = file
		}
	}
	for name, page := range pages {
		body := string(page.Body)
		used := regexp.MustCompile(`/w/assets/([a-z.]+)\?v=([0-9a-f]+)`).FindAllStringSubmatch(body, -1)
		if len(used) < 3 {
			t.Errorf("%s uses %d assets", name, len(used))
		}
		for _, m := range used {
			if file, found := f.Asset(m[1], m[2]); !found || file.Version != m[2] {
				t.Errorf("%s uses %s, which is not there in that version", name, m[0])
			}
		}
		if strings.Contains(body, "<no value>") || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%s has a text that is missing or was refused", name)
		}
		if strings.Contains(page.CSP, "unsafe") || !strings.Contains(page.CSP, "default-src 'none'") {
			t.Errorf("%s has the policy %s", name, page.CSP)
		}
		for _, m := range regexp.MustCompile(`<script>(.*?)</script>`).FindAllStringSubmatch(body, -1) {
			if !strings.Contains(page.CSP, webtest.ScriptHash(m[1])) {
				t.Errorf("%s has an inline script that its policy forbids", name)
			}
		}
		if regexp.MustCompile(`\son[a-z]+=|\sstyle=|javascript:`).MatchString(body) {
			t.Errorf("%s has inline handlers or styles", name)
		}
	}
	if !strings.HasSuffix(window.CSP, "frame-ancestors https://shop.example") || !strings.HasSuffix(console.CSP, "frame-ancestors 'none'") {
		t.Errorf("frame-ancestors: window %s, console %s", window.CSP, console.CSP)
	}
	if !bytes.Contains(console.Body, []byte(`{"hosts":["https://chat1.example.com","https://chat2.example.com","https://chat3.example.com"]}`)) {
		t.Errorf("the console does not know its hosts")
	}
	if _, found, err := f.Demo("nothing", "en", "demo", nil); found || err != nil {
		t.Errorf("a page of the shop that does not exist: %v %v", found, err)
	}
}

func TestSnippet(t *testing.T) {
	one, err := web.Snippet("demo", threeHosts[:1])
	if err != nil || one != `<script async src="https://chat1.example.com/w/demo.js"></script>` {
		t.Errorf("one host: %s (%v)", one, err)
	}
	many, err := web.Snippet("demo", threeHosts)
	if err != nil || !strings.Contains(many, `"Parlor","demo",["https://chat1.example.com","https://chat2.example.com","https://chat3.example.com"]`) {
		t.Errorf("three hosts: %s (%v)", many, err)
	}
	if len(many) > 800 {
		t.Errorf("the stub has %d bytes: nobody pastes that", len(many))
	}
}

// TestNothingIsFetchedFromElsewhere: no fonts, no foreign hosts in what is shipped.
func TestNothingIsFetchedFromElsewhere(t *testing.T) {
	f := newFiles(t)
	allowed := regexp.MustCompile(`^https?://(www\.w3\.org/|$|\[)`)
	for _, name := range []string{"window.js", "window.css", "console.js", "console.css", "demo.js", "demo.css", "icon.svg"} {
		body := asset(t, f, name).Body
		for _, url := range regexp.MustCompile(`https?://[^"'`+"`"+`\\ )]*`).FindAll(body, -1) {
			if !allowed.Match(url) {
				t.Errorf("%s names %s", name, url)
			}
		}
		if bytes.Contains(body, []byte("@font-face")) || bytes.Contains(body, []byte("@import")) {
			t.Errorf("%s loads a font or a style", name)
		}
	}
}

// TestSourcesKeepToTheirRules: what a visitor writes is never parsed as HTML,
// and nobody posts to whoever listens.
func TestSourcesKeepToTheirRules(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|postMessage\([^)]*"\*"`)
	read := 0
	err := filepath.WalkDir("src", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(filepath.Ext(path), ".ts") {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read++
		if found := forbidden.Find(body); found != nil {
			t.Errorf("%s uses %s", path, found)
		}
		return nil
	})
	if err != nil || read < 20 {
		t.Fatalf("read %d sources: %v", read, err)
	}
}

// TestCatalogsAgree: every language has the same keys, no empty texts, and the
// same values in each text.
func TestCatalogsAgree(t *testing.T) {
	value := regexp.MustCompile(`\{\w+\}`)
	for _, part := range []string{"loader", "window", "console", "demo"} {
		en, zh := catalog(t, part, "en"), catalog(t, part, "zh")
		if len(en) < 5 {
			t.Errorf("%s has %d texts", part, len(en))
		}
		for k := range zh {
			if _, found := en[k]; !found {
				t.Errorf("%s: %q is in Chinese only", part, k)
			}
		}
		for k, text := range en {
			other, found := zh[k]
			if !found || other == "" || text == "" {
				t.Errorf("%s: %q is missing or empty", part, k)
				continue
			}
			a, b := value.FindAllString(text, -1), value.FindAllString(other, -1)
			sort.Strings(a)
			sort.Strings(b)
			if strings.Join(a, " ") != strings.Join(b, " ") {
				t.Errorf("%s: %q takes %v in English and %v in Chinese", part, k, a, b)
			}
		}
	}
}

// TestNoTextIsLeftOver: every text of a catalog is used by a source.
func TestNoTextIsLeftOver(t *testing.T) {
	for part, folders := range map[string][]string{"loader": {"src/loader"}, "window": {"src/window"}, "console": {"src/console"}, "demo": {"pages", "."}} {
		var sources strings.Builder
		for _, folder := range folders {
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if e.IsDir() {
					continue
				}
				body, err := os.ReadFile(filepath.Join(folder, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				sources.Write(body)
			}
		}
		for k := range catalog(t, part, "en") {
			// Keys that are put together: the page's beginning of them is there.
			made := false
			for _, prefix := range []string{"state.", "status.", "error.", "product.", "plan."} {
				made = made || strings.HasPrefix(k, prefix)
			}
			if !made && !strings.Contains(sources.String(), `"`+k+`"`) && !strings.Contains(sources.String(), ".T."+k) {
				t.Errorf("%s: nobody uses %q", part, k)
			}
		}
	}
}

func catalog(t *testing.T, part, lang string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("src", "i18n", part+"."+lang+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]string
	if err := json.Unmarshal(raw, &texts); err != nil {
		t.Fatalf("%s.%s: %v", part, lang, err)
	}
	return texts
}

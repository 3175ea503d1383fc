package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// loaderHead is where the loader's configuration goes: the build starts with it.
const loaderHead = `"@parlor-config"`

// Loader is the script of a site's snippet (GET /w/{site}.js). hosts are the
// base URLs of the group's nodes ("https://chat1.example.com", no path) that a
// visitor's browser can reach, in any order; it goes to the next one when one is
// gone. With no hosts it stays with the node it came from and those that the
// snippet names. Whether the site exists is the caller's business.
func (f *Files) Loader(site string, hosts []string) (File, error) {
	hosts = cleanHosts(hosts)
	return f.remember(key(append([]string{"loader", site}, hosts...)...), func() (File, error) {
		config, err := json.Marshal(struct {
			Site  string   `json:"site"`
			Hosts []string `json:"hosts"`
		}{site, hosts})
		if err != nil {
			return File{}, fmt.Errorf("encoding the loader's configuration: %w", err)
		}
		body := f.assets["loader.js"].Body
		if bytes.Count(body, []byte(loaderHead)) != 1 {
			return File{}, fmt.Errorf("the embedded loader has no place for its configuration")
		}
		return newFile(bytes.Replace(body, []byte(loaderHead), config, 1), contentType("loader.js"), cacheLoader)
	})
}

// Window is the page in the widget's iframe (GET /w/{site}/window). ancestors are
// the origins whose pages may show it; none means any.
func (f *Files) Window(site string, ancestors []string) (File, error) {
	ancestors = cleanHosts(ancestors)
	return f.remember(key(append([]string{"window", site}, ancestors...)...), func() (File, error) {
		frames := "*"
		if len(ancestors) > 0 {
			frames = strings.Join(ancestors, " ")
		}
		return f.page("window.html", map[string]any{"Config": map[string]any{"site": site}}, appCSP(frames))
	})
}

// Console is the agents' page (GET /console/). hosts as in Loader.
func (f *Files) Console(hosts []string) (File, error) {
	hosts = cleanHosts(hosts)
	return f.remember(key(append([]string{"console"}, hosts...)...), func() (File, error) {
		return f.page("console.html", map[string]any{"Config": map[string]any{"hosts": hosts}}, appCSP("'none'"))
	})
}

// appCSP is the policy of the window and the console: nothing but their own
// script and style. They connect wherever http goes, because the other nodes of
// the group are known to the snippet and to the group, not to this page; what
// they may read there is ruled by CORS and by the token they hold.
func appCSP(frameAncestors string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' data:; " +
		"connect-src 'self' http: https: ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors " + frameAncestors
}

// page renders a template of pages/.
func (f *Files) page(name string, data any, csp string) (File, error) {
	var out bytes.Buffer
	if err := f.pages.ExecuteTemplate(&out, name, data); err != nil {
		return File{}, fmt.Errorf("rendering %s: %w", name, err)
	}
	file, err := newFile(out.Bytes(), contentType(name), cacheRevalidate)
	if err != nil {
		return File{}, fmt.Errorf("compressing %s: %w", name, err)
	}
	file.CSP = csp
	return file, nil
}

// cleanHosts keeps the origins of what are absolute http URLs, each once, in
// their order: they go into scripts and headers.
func cleanHosts(hosts []string) []string {
	seen := map[string]bool{}
	kept := []string{}
	for _, h := range hosts {
		u, err := url.Parse(h)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.ContainsAny(u.Host, " ;,'\"<>") {
			continue
		}
		origin := u.Scheme + "://" + u.Host
		if !seen[origin] {
			seen[origin] = true
			kept = append(kept, origin)
		}
	}
	return kept
}

// scriptHash is the CSP source of an inline script.
func scriptHash(script string) string {
	sum := sha256.Sum256([]byte(script))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

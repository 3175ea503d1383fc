package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"
)

//go:embed dist pages src/i18n/demo.en.json src/i18n/demo.zh.json
var embedded embed.FS

// File is one answer: what a browser gets and the headers that go with it.
type File struct {
	Body         []byte // as it is
	Gzip         []byte // the same compressed with gzip; nil if that would not be smaller
	ContentType  string // with charset
	ETag         string // weak, quoted: the same for both encodings
	CacheControl string
	CSP          string // Content-Security-Policy; empty if the file is not a page
	Version      string // the hash that ?v= carries for this body
}

// Files hands out everything that is embedded. It is safe for concurrent use.
type Files struct {
	assets map[string]File
	pages  *template.Template
	texts  map[string]demoTexts

	mu   sync.Mutex
	made map[string]File // pages and loaders by what they were made of
}

// made holds at most this many entries: sites and host lists are few, but both
// come from outside.
const maxMade = 256

const (
	cacheForever    = "public, max-age=31536000, immutable"
	cacheRevalidate = "no-cache"
	cacheLoader     = "public, max-age=300, stale-while-revalidate=86400"
)

// New reads the embedded build. It fails only if the build is damaged.
func New() (*Files, error) {
	f := &Files{assets: map[string]File{}, made: map[string]File{}}
	names, err := fs.ReadDir(embedded, "dist")
	if err != nil {
		return nil, fmt.Errorf("reading the embedded build: %w", err)
	}
	for _, n := range names {
		body, err := embedded.ReadFile("dist/" + n.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the embedded build: %w", err)
		}
		if f.assets[n.Name()], err = newFile(body, contentType(n.Name()), cacheRevalidate); err != nil {
			return nil, fmt.Errorf("compressing %s: %w", n.Name(), err)
		}
	}
	for _, n := range []string{"loader.js", "window.js", "window.css", "console.js", "console.css", "demo.js", "demo.css", "icon.svg"} {
		if _, ok := f.assets[n]; !ok {
			return nil, fmt.Errorf("the embedded build has no %s", n)
		}
	}
	if f.pages, err = template.New("").Funcs(template.FuncMap{"asset": f.assetURL}).ParseFS(embedded, "pages/*.html"); err != nil {
		return nil, fmt.Errorf("parsing the embedded pages: %w", err)
	}
	if f.texts, err = readDemoTexts(); err != nil {
		return nil, err
	}
	return f, nil
}

// Asset is a file of the build under its stable name, such as "window.js".
// version is what the request carried as ?v=: when it is the file's own, the
// answer may be kept for ever, otherwise it is asked for again every time (a
// page of a newer node may ask an older one). The loader is not among the
// assets: it is made for a site.
func (f *Files) Asset(name, version string) (File, bool) {
	file, ok := f.assets[name]
	if !ok || name == "loader.js" {
		return File{}, false
	}
	if version == file.Version {
		file.CacheControl = cacheForever
	}
	return file, true
}

// assetURL is the path a page uses for an asset.
func (f *Files) assetURL(name string) (string, error) {
	file, ok := f.assets[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return "/w/assets/" + name + "?v=" + file.Version, nil
}

// remember answers the file made for key, making it when it is new.
func (f *Files) remember(key string, build func() (File, error)) (File, error) {
	f.mu.Lock()
	file, ok := f.made[key]
	f.mu.Unlock()
	if ok {
		return file, nil
	}
	file, err := build()
	if err != nil {
		return File{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.made) >= maxMade {
		clear(f.made)
	}
	f.made[key] = file
	return file, nil
}

// newFile computes what depends on the body alone.
func newFile(body []byte, contentType, cacheControl string) (File, error) {
	sum := sha256.Sum256(body)
	version := hex.EncodeToString(sum[:8])
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return File{}, err
	}
	if _, err := w.Write(body); err != nil {
		return File{}, err
	}
	if err := w.Close(); err != nil {
		return File{}, err
	}
	file := File{Body: body, ContentType: contentType, ETag: `W/"` + version + `"`, CacheControl: cacheControl, Version: version}
	if packed.Len() < len(body) {
		file.Gzip = packed.Bytes()
	}
	return file, nil
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".json":
		return "application/json; charset=utf-8"
	default:
		return "text/plain; charset=utf-8"
	}
}

// key joins the parts of a cache key; \x00 occurs in none of them.
func key(parts ...string) string { return strings.Join(parts, "\x00") }

package rules

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// readCampaign judges a campaign: what the widget looks like and says.
func readCampaign(o *object) {
	readHead(o)
	o.text("name", 0, 200)
	o.text("language", 0, 35)
	if b := o.object("button"); b != nil {
		b.text("text", 0, 200)
		readColor(b, "color")
		b.choice("position", "bottom-right", "bottom-right", "bottom-left", "top-right", "top-left")
		b.close()
	}
	if w := o.object("window"); w != nil {
		w.text("title", 0, 200)
		w.text("greeting", 0, 2000)
		readColor(w, "color")
		w.close()
	}
	if p := o.object("prechat"); p != nil {
		p.boolean("enabled", false)
		readForm(p)
		p.close()
	}
	if off := o.object("offline"); off != nil {
		off.text("text", 0, 2000)
		readForm(off)
		off.close()
	}
	readArticles(o)
	readTexts(o)
	o.close()
}

// readForm reads "fields": what a visitor is asked.
func readForm(o *object) {
	elems, at, _ := o.list("fields", 50)
	seen := map[string]bool{}
	for i, elem := range elems {
		f := newObject(o.report, index(at, i), elem)
		id := readName(f, "id", true)
		if seen[id] {
			f.add(join(f.path, "id"), "%q stands twice in the form", clip(id))
		}
		seen[id] = true
		typ := f.choice("type", "text", "text", "email", "phone", "textarea", "select")
		f.text("label", 1, 200)
		f.boolean("required", false)
		readOptions(f, typ)
		f.close()
	}
}

// readOptions reads the choices of a select field, which no other has.
func readOptions(f *object, typ string) {
	options, at, ok := f.list("options", 200)
	switch {
	case typ == "select" && len(options) == 0:
		f.add(at, "is missing; a select field needs something to choose from")
	case typ != "select" && ok:
		f.add(at, "only a select field has options")
	}
	for i, option := range options {
		if s, ok := option.(string); !ok || s == "" || len(s) > 200 {
			f.add(index(at, i), "must be a string of 1 to 200 bytes, not %s", describe(option))
		}
	}
}

func readArticles(o *object) {
	elems, at, _ := o.list("articles", 100)
	for i, elem := range elems {
		a := newObject(o.report, index(at, i), elem)
		a.text("title", 1, 300)
		link := a.text("url", 1, 2048)
		if link != "" && !isLink(link) {
			a.add(join(a.path, "url"), "%q is not a link; write an http or https address, or a path on the site that begins with \"/\"", clip(link))
		}
		a.close()
	}
}

// isLink says whether a link in the chat window is harmless: it leads to a
// page and runs no script.
func isLink(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		return u.Host != ""
	case "":
		return strings.HasPrefix(s, "/")
	}
	return false
}

// readTexts reads the widget's texts that are to differ from the built-in
// ones: any names, which the widget knows.
func readTexts(o *object) {
	texts := o.object("texts")
	if texts == nil {
		return
	}
	if len(texts.fields) > 200 {
		o.add(texts.path, "has %d texts, at most 200 are allowed", len(texts.fields))
	}
	for _, key := range slices.Sorted(maps.Keys(texts.fields)) {
		texts.text(key, 0, 2000)
	}
}

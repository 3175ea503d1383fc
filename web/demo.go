package web

import (
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
)

// demoTexts are the shop's texts in one language, by key.
type demoTexts map[string]string

// demoPages are the shop's pages: what follows /demo/ and the template.
var demoPages = map[string]string{
	"":        "demo_home.html",
	"pricing": "demo_pricing.html",
	"install": "demo_install.html",
}

// product is one thing the shop sells; Art names the drawing.
type product struct {
	ID, Name, Text, Art string
	Price               int // dollars
}

// plan is one subscription of the pricing page.
type plan struct {
	ID, Name, Text string
	Price          int // dollars a month
	Points         []string
	Best           bool
}

type demoView struct {
	Lang, Other, OtherName  string // the page's language and the one its switch leads to
	Page                    string
	T                       demoTexts
	Products                []product
	Plans                   []plan
	Site                    string
	Hosts                   []string
	Inline                  template.JS // the stub; empty with the one-line snippet
	Source                  string      // the one-line snippet's src
	OneLine, Stub, Variable string      // shown on the page about installing
}

// Demo is a page of the demo shop: page is "", "pricing" or "install", lang "en"
// or "zh" (anything else is English). The shop embeds the snippet of site with
// hosts as any customer would, under a policy that allows no more than it needs.
func (f *Files) Demo(page, lang, site string, hosts []string) (File, bool, error) {
	name, ok := demoPages[page]
	if !ok {
		return File{}, false, nil
	}
	if f.texts[lang] == nil {
		lang = "en"
	}
	hosts = cleanHosts(hosts)
	file, err := f.remember(key(append([]string{"demo", page, lang, site}, hosts...)...), func() (File, error) {
		view, err := f.demoView(page, lang, site, hosts)
		if err != nil {
			return File{}, err
		}
		return f.page(name, view, demoCSP(hosts, string(view.Inline)))
	})
	return file, err == nil, err
}

func (f *Files) demoView(page, lang, site string, hosts []string) (demoView, error) {
	t := f.texts[lang]
	v := demoView{Lang: lang, Other: "zh", OtherName: "中文", Page: page, T: t, Site: site, Hosts: hosts}
	if lang == "zh" {
		v.Other, v.OtherName = "en", "English"
	}
	for i, p := range []product{
		{ID: "house", Price: 14, Art: "bag"}, {ID: "yirga", Price: 18, Art: "bag"}, {ID: "dripper", Price: 32, Art: "dripper"},
		{ID: "grinder", Price: 129, Art: "grinder"}, {ID: "kettle", Price: 89, Art: "kettle"}, {ID: "cup", Price: 16, Art: "cup"},
	} {
		if i == 1 {
			p.Art = "bag2"
		}
		p.Name, p.Text = t["product."+p.ID], t["product."+p.ID+".text"]
		v.Products = append(v.Products, p)
	}
	for _, p := range []plan{{ID: "taster", Price: 15}, {ID: "regular", Price: 28, Best: true}, {ID: "office", Price: 95}} {
		p.Name, p.Text = t["plan."+p.ID], t["plan."+p.ID+".text"]
		p.Points = strings.Split(t["plan."+p.ID+".points"], "|")
		v.Plans = append(v.Plans, p)
	}
	shown := hosts
	if len(shown) == 0 {
		shown = []string{"https://chat.example.com"}
	}
	var err error
	if v.OneLine, err = Snippet(site, shown[:1]); err != nil {
		return v, err
	}
	if len(shown) == 1 {
		shown = []string{"https://chat1.example.com", "https://chat2.example.com", "https://chat3.example.com"}
	}
	if v.Stub, err = Snippet(site, shown); err != nil {
		return v, err
	}
	v.Variable = `Parlor("set", { plan: "gold", cart_value: 128 });`
	if len(hosts) > 1 {
		script, err := StubScript(site, hosts)
		if err != nil {
			return v, err
		}
		v.Inline = template.JS(script)
	} else {
		v.Source = "/w/" + site + ".js"
		if len(hosts) == 1 {
			v.Source = hosts[0] + v.Source
		}
	}
	return v, nil
}

// demoCSP shows what a customer's strict policy has to allow for the widget:
// the group's hosts as sources of scripts, connections and frames.
func demoCSP(hosts []string, inline string) string {
	at := strings.Join(append([]string{"'self'"}, hosts...), " ")
	script := at
	if inline != "" {
		script += " " + scriptHash(inline)
	}
	return "default-src 'none'; script-src " + script + "; style-src 'self'; img-src 'self' data:; connect-src " + at +
		"; frame-src " + at + "; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

func readDemoTexts() (map[string]demoTexts, error) {
	all := map[string]demoTexts{}
	for _, lang := range []string{"en", "zh"} {
		raw, err := embedded.ReadFile("src/i18n/demo." + lang + ".json")
		if err != nil {
			return nil, fmt.Errorf("reading the shop's texts: %w", err)
		}
		var t demoTexts
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, fmt.Errorf("parsing the shop's texts (%s): %w", lang, err)
		}
		all[lang] = t
	}
	return all, nil
}

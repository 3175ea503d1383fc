package api_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/api"
	"github.com/parlorchat/parlor/core"
)

// TestFiles: what a browser loads, with the headers that belong to it.
func TestFiles(t *testing.T) {
	hosts := []string{"http://one.example", "http://two.example"}
	w := newWorld(t, 1, func(c *api.Config) { c.Hosts = func() []string { return hosts } })
	get := func(path string) *answer {
		t.Helper()
		got := w.stranger().do("GET", path, nil).ok()
		if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("ETag") == "" || got.header.Get("Cache-Control") == "" {
			t.Errorf("%s: headers %v", path, got.header)
		}
		return got
	}
	loader := get("/w/shop.js")
	for _, want := range append([]string{`"shop"`}, hosts...) {
		if !strings.Contains(string(loader.body), want) {
			t.Errorf("the loader does not know %s", want)
		}
	}
	if ct := loader.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/javascript") {
		t.Errorf("the loader is %s", ct)
	}
	window := get("/w/shop/window")
	if csp := window.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors *") || !strings.Contains(csp, "default-src 'none'") || window.header.Get("X-Frame-Options") != "" {
		t.Errorf("the window's policy is %q", csp)
	}
	console := get("/console/")
	if csp := console.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("the console's policy is %q", csp)
	}
	if console.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("other origins may read the console")
	}
	get("/w/assets/window.js")
	get("/demo/")
	get("/demo/pricing")
	w.stranger().do("GET", "/w/nowhere.js", nil).fails(404, "unknown_site")
	w.stranger().do("GET", "/w/nowhere/window", nil).fails(404, "unknown_site")
	w.stranger().do("GET", "/w/assets/secret.txt", nil).fails(404, "not_found")
	w.stranger().do("GET", "/w/assets/..%2f..%2fgo.mod", nil).fails(404, "not_found")
	w.stranger().do("GET", "/demo/nothing", nil).fails(404, "not_found")

	// Who has a file does not get it again.
	again := w.stranger().with("If-None-Match", `"other", `+window.header.Get("ETag")).do("GET", "/w/shop/window", nil)
	if again.status != http.StatusNotModified || len(again.body) > 0 {
		t.Errorf("with its tag the window is answered with %d and %d bytes", again.status, len(again.body))
	}
}

// TestCompressedFiles: a client that takes gzip gets it.
func TestCompressedFiles(t *testing.T) {
	w := newWorld(t, 1)
	plain := w.stranger().do("GET", "/w/assets/window.js", nil).ok()
	packed := w.stranger().with("Accept-Encoding", "gzip").do("GET", "/w/assets/window.js", nil).ok()
	if packed.header.Get("Content-Encoding") != "gzip" || packed.header.Get("Vary") != "Accept-Encoding" || len(packed.body) >= len(plain.body) {
		t.Fatalf("%d bytes with %v", len(packed.body), packed.header)
	}
	zr, err := gzip.NewReader(strings.NewReader(string(packed.body)))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(zr)
	if err != nil || string(unpacked) != string(plain.body) {
		t.Fatalf("unpacking gives other %d bytes, %v", len(unpacked), err)
	}
}

// TestNoDemoUnlessAsked: the shop is there only where it was asked for.
func TestNoDemoUnlessAsked(t *testing.T) {
	w := newWorld(t, 1, func(c *api.Config) { c.Demo = "" })
	w.stranger().do("GET", "/demo/", nil).fails(404, "not_found")
}

// TestCampaigns: a campaign is loaded once and then only when it changes.
func TestCampaigns(t *testing.T) {
	w := newWorld(t, 1)
	var campaign struct {
		ID      string
		Rev     int64
		Prechat struct {
			Enabled bool
			Fields  []struct{ ID, Type string }
		}
	}
	got := w.stranger().do("GET", "/v1/campaigns/default?site=shop", nil).ok(&campaign)
	if campaign.ID != "default" || campaign.Rev == 0 || len(campaign.Prechat.Fields) != 2 {
		t.Fatalf("campaign: %+v", campaign)
	}
	cached := w.stranger().with("If-None-Match", got.header.Get("ETag"))
	if again := cached.do("GET", "/v1/campaigns/default?site=shop", nil); again.status != http.StatusNotModified || len(again.body) > 0 {
		t.Fatalf("with its tag the campaign is answered with %d", again.status)
	}
	w.run(core.SiteSet{Site: "shop", Kind: "campaigns", ID: "default", Document: []byte(`{"name":"New","articles":[{"title":"Prices","url":"/pricing"}]}`)}.Args())
	cached.do("GET", "/v1/campaigns/default?site=shop", nil).ok(&campaign)

	// Articles come before what else there is.
	w.online("alice")
	visitor, _ := w.stranger().visit("https://shop.example/")
	var opened struct {
		Window struct {
			State, Next string
			Articles    []struct{ Title, URL string }
		}
	}
	visitor.do("POST", "/v1/visitor/chat/open", nil).ok(&opened)
	if opened.Window.State != "kb" || opened.Window.Next != "chat" || len(opened.Window.Articles) != 1 {
		t.Fatalf("window: %+v", opened.Window)
	}
	var got2 struct{ Status string }
	visitor.do("POST", "/v1/visitor/chat", object{}).ok(&got2)
	if got2.Status != "chatting" {
		t.Fatalf("request without a form: %s", got2.Status)
	}
	visitor.do("POST", "/v1/visitor/chat/open", nil).ok(&opened)
	if opened.Window.State != "chat" {
		t.Fatalf("window during the chat: %+v", opened.Window)
	}
}

// TestConfig: an admin writes rules, tries them out and takes them back.
func TestConfig(t *testing.T) {
	w := newWorld(t, 1)
	alice := w.login("alice")
	segment := object{"id": "vip", "name": "VIP", "when": object{"field": "var.plan", "op": "is", "value": "gold"}}
	stored := alice.do("PUT", "/v1/config/segments/vip", segment).ok()
	tag := stored.header.Get("ETag")
	if tag == "" {
		t.Fatal("a stored object has no tag")
	}
	var list struct{ Documents []struct{ ID string } }
	alice.do("GET", "/v1/config/segments", nil).ok(&list)
	if len(list.Documents) != 1 || list.Documents[0].ID != "vip" {
		t.Fatalf("segments: %+v", list)
	}
	if got := alice.do("GET", "/v1/config/segments/vip", nil).ok(); got.header.Get("ETag") != tag {
		t.Errorf("the tag was %s and is %s", tag, got.header.Get("ETag"))
	}
	alice.with("If-Match", `"99999"`).do("PUT", "/v1/config/segments/vip", segment).fails(409, "conflict")
	alice.with("If-None-Match", "*").do("PUT", "/v1/config/segments/vip", segment).fails(409, "conflict")
	alice.with("If-Match", tag).do("PUT", "/v1/config/segments/vip", segment).ok()

	p := alice.do("PUT", "/v1/config/segments/vip", object{"name": "VIP", "when": object{"all": []any{object{"field": "var.plan", "op": "equals", "value": "gold"}}}}).fails(422, "invalid_request")
	if !hasLocation(p, "body.when.all[0].op") {
		t.Errorf("no error at the operator: %+v", p.Errors)
	}
	p = alice.do("PUT", "/v1/config/segments/other", segment).fails(422, "invalid_request")
	if !hasLocation(p, "body.id") {
		t.Errorf("no error at the id: %+v", p.Errors)
	}
	alice.do("PUT", "/v1/config/segments/vip", `{"name": `).fails(400, "invalid_json")
	alice.do("GET", "/v1/config/nothing", nil).fails(404, "not_found")

	var decision struct {
		Segments    []string
		Explanation struct {
			Rules []struct {
				ID      string
				Matched bool
				Leaves  []struct{ Field, Actual string }
			}
		}
	}
	simulate := object{"facts": object{"vars": object{"plan": "gold"}, "page": object{"url": "https://shop.example/"}}}
	alice.do("POST", "/v1/config/segments/simulate", simulate).ok(&decision)
	if len(decision.Segments) != 1 || len(decision.Explanation.Rules) == 0 || !decision.Explanation.Rules[0].Matched {
		t.Fatalf("simulation: %+v", decision)
	}
	simulate["rules"] = []any{object{"id": "early", "name": "Early", "when": object{"field": "clock.hour", "op": "lt", "value": 6}}}
	simulate["at"] = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC).UnixMilli()
	alice.do("POST", "/v1/config/segments/simulate", simulate).ok(&decision)
	if len(decision.Segments) != 1 || decision.Segments[0] != "early" {
		t.Fatalf("simulation of another rule: %+v", decision)
	}
	simulate["rules"] = []any{object{"id": "bad"}}
	p = alice.do("POST", "/v1/config/segments/simulate", simulate).fails(422, "invalid_request")
	if !hasLocation(p, "body.rules[0].when") {
		t.Errorf("no error at the rule: %+v", p.Errors)
	}

	alice.do("DELETE", "/v1/config/segments/vip", nil).ok()
	alice.do("DELETE", "/v1/config/segments/vip", nil).fails(404, "not_found")
	alice.do("GET", "/v1/config/segments/vip", nil).fails(404, "not_found")
}

// TestMetrics: what an operator looks at is there.
func TestMetrics(t *testing.T) {
	w := newWorld(t, 1)
	visitor, _ := w.stranger().visit("https://shop.example/")
	visitor.dial("/v1/visitor/socket", "").next()
	text := string(w.stranger().do("GET", "/metrics", nil).ok().body)
	for _, want := range []string{
		`parlor_http_requests_total{method="POST",route="/v1/visitor/page",status="200"} 1`,
		`parlor_http_request_seconds_count{method="POST",route="/v1/visitor/page"} 1`,
		"parlor_http_sockets 1",
		"parlor_http_visitors_connected 1",
		"go_goroutines",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	w.stranger().do("GET", "/livez", nil).ok()
	w.stranger().do("GET", "/readyz", nil).ok()
}

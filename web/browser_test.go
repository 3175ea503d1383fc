package web_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/node/server"
	"github.com/parlorchat/parlor/web"
	"github.com/parlorchat/parlor/web/webtest"
)

// pictures is a folder for what the browser showed; unset in ordinary runs.
func pictures() string { return os.Getenv("PARLOR_TEST_PICTURES") }

// shop is a small site with one agent, as commands.
var shop = [][]string{
	{"SITE.CREATE", "demo", "NAME", "Demo"},
	{"DEPARTMENT.CREATE", "sales", "demo", "NAME", "Sales"},
	{"AGENT.CREATE", "alice", "demo", "NAME", "Alice", "PASSWORD", "parlor-demo", "ROLE", "admin", "MAX-CHATS", "5", "DEPARTMENTS", "sales"},
	{"SITE.SET", "demo", "campaigns", "default", `{
		"id": "default", "name": "Shop",
		"button": {"text": "Chat with us", "color": "#0b6bcb", "position": "bottom-right"},
		"window": {"title": "Ember & Oak", "greeting": "Hello! How can we help?", "color": "#0b6bcb"},
		"prechat": {"enabled": true, "fields": [
			{"id": "name", "type": "text", "label": "Your name", "required": true},
			{"id": "email", "type": "email", "label": "E-mail"},
			{"id": "question", "type": "textarea", "label": "What is it about?"}]}}`},
}

// member is one node, in this process.
type member struct {
	t     *testing.T
	o     server.Options
	url   string
	setup string // the one-time token
	stop  func()
}

func startMember(t *testing.T) *member {
	t.Helper()
	m := &member{t: t, o: server.Options{
		Dir: t.TempDir(), HTTP: "127.0.0.1:0", RESP: "127.0.0.1:0", Cluster: freeAddress(t),
		Demo: "demo", Seed: shop, NoRateLimits: true, Log: slog.New(slog.DiscardHandler),
	}}
	formed, err := server.Form(context.Background(), m.o)
	if err != nil {
		t.Fatal(err)
	}
	m.setup = formed.SetupToken
	m.start()
	t.Cleanup(func() { m.stop() })
	return m
}

// freeAddress is an address that nobody listens on. The cluster's address is
// kept in the data folder, so that it has to be known before.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func (m *member) start() {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan string, 1)
	ended := make(chan error, 1)
	m.o.Ready = func(httpAddr, _ string) { ready <- httpAddr }
	go func() { ended <- server.Run(ctx, m.o) }()
	m.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			m.t.Errorf("the node ended: %v", err)
		}
		m.stop = func() {}
	}
	select {
	case addr := <-ready:
		// The same address after a restart, as in real life.
		m.o.HTTP, m.url = addr, "http://"+addr
	case err := <-ended:
		cancel()
		m.stop = func() {}
		m.t.Fatalf("the node did not start: %v", err)
	}
}

func (m *member) restart(t *testing.T) {
	t.Helper()
	m.stop()
	m.start()
}

// TestFirstChatInTheDemoShop: a visitor, an agent, and a node that is restarted
// while they talk.
func TestFirstChatInTheDemoShop(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	m := startMember(t)
	webtest.FirstChat(t, webtest.Target{
		Shop: m.url + "/demo/", Next: m.url + "/demo/pricing", Console: m.url + "/console/",
		Login: "alice", Password: "parlor-demo",
		Typing: true, Restart: m.restart, Pictures: pictures(),
	})
}

// TestOwnerSetsUp: the link that a new server prints, its form, and the console
// after it, with the line that the owner is to paste.
func TestOwnerSetsUp(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	m := startMember(t)
	owner := webtest.Open(t).Tab("the owner")
	owner.Go(m.url + "/console/#setup=" + m.setup)
	for _, field := range [][2]string{{"siteName", "My shop"}, {"site", "shop"}, {"name", "Olga"}, {"login", "olga"}, {"password", "correct horse"}} {
		owner.Type(owner.Page, "[name="+field[0]+"]", field[1])
	}
	owner.Enter()
	owner.Until("to be online", owner.Page, `document.querySelector(".status select")?.value === "online" && location.hash === ""`)
	owner.Until("the snippet", owner.Page, fmt.Sprintf(`document.querySelector("pre")?.innerText === %q`, `<script async src="`+m.url+`/w/shop.js"></script>`))
	owner.Picture(pictures(), "owner")
	owner.Clean()
}

// TestWidgetOnACustomersPage: the snippet with several hosts, of which the first
// is dead, on a page of another site that has a strict policy of its own.
func TestWidgetOnACustomersPage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	m := startMember(t)
	dead := "http://" + freeAddress(t)
	hosts := []string{dead, m.url}
	snippet, err := web.Snippet("demo", hosts)
	if err != nil {
		t.Fatal(err)
	}
	script := strings.TrimSuffix(strings.TrimPrefix(snippet, "<script>"), "</script>")
	customer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := strings.Join(hosts, " ")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:; script-src "+allowed+" "+webtest.ScriptHash(script)+"; connect-src "+allowed+"; frame-src "+allowed)
		fmt.Fprintf(w, `<!doctype html><html lang="zh"><link rel="icon" href="data:,"><title>%s</title><body><h1>A page</h1>%s</body></html>`, r.URL.Path, snippet)
	}))
	defer customer.Close()

	page := strings.Replace(customer.URL, "127.0.0.1", "localhost", 1)
	browser := webtest.Open(t)
	visitor := browser.Tab("the visitor")
	visitor.Lenient()
	visitor.Go(page + "/first")
	visitor.Until("the button", visitor.Page, `!!document.querySelector("#parlor")`)
	visitor.Until("calls to be taken", visitor.Page, `Parlor("open") instanceof Promise`)
	visitor.Until("the window in the page's language", visitor.Window, `document.documentElement.lang === "zh-CN" && !!document.querySelector("form")`)
	visitor.Picture(pictures(), "customer")

	// On a phone the window takes the whole screen, and gives it back.
	visitor.Size(390, 760)
	visitor.Until("the window to fill the screen", visitor.Window, `innerWidth === 390 && innerHeight === 760`)
	visitor.Picture(pictures(), "phone")

	// Nobody is there: he leaves a message, first without an address.
	visitor.Type(visitor.Window, "[name=message]", "Please write back")
	visitor.Click(visitor.Window, "form button", "发送留言")
	visitor.Until("to be told what is missing", visitor.Window, `document.activeElement.name === "email" && document.activeElement.getAttribute("aria-invalid") === "true"`)
	visitor.Type(visitor.Window, "[name=email]", "ada@example.com")
	visitor.Click(visitor.Window, "form button", "发送留言")
	visitor.Until("the thanks", visitor.Window, `document.querySelector("h2").innerText === "谢谢您"`)

	visitor.Click(visitor.Window, "header button", "关闭聊天窗口")
	visitor.Until("the button to be back", visitor.Page, `document.querySelector("#parlor").getBoundingClientRect().width > 50`)
	visitor.Size(1280, 900)

	// Walking on inside an application counts as a page view.
	if _, err := visitor.Page(`history.pushState(null, "", "/second")`); err != nil {
		t.Fatal(err)
	}
	agent := browser.Tab("the agent")
	webtest.SignIn(agent, m.url+"/console/", "alice", "parlor-demo")
	agent.Until("the visitor on his second page", agent.Page, fmt.Sprintf(`[...document.querySelectorAll("td.page")].some((e) => e.title === %q)`, page+"/second"))
	agent.Click(agent.Page, "tbody .link", "")
	agent.Until("the message that was left", agent.Page, `document.querySelector(".details").innerText.includes("Please write back")`)
	visitor.Clean()
	agent.Clean()
}

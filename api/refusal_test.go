package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/api"
	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
)

var tokenKey = []byte("0123456789abcdef0123456789abcdef")

// TestVisitorTokens: each way in which a token can be wrong has its answer,
// and knowing an id authorises nothing.
func TestVisitorTokens(t *testing.T) {
	w := newWorld(t, 1)
	visitor, page := w.stranger().visit("https://shop.example/")
	state := func(token string) *answer {
		a := w.stranger()
		a.token = token
		return a.do("GET", "/v1/visitor/chat", nil)
	}
	in30Days := testEpoch.Add(30 * 24 * time.Hour)
	state(page.Token).ok()
	state("").fails(401, "unauthorized")
	state(page.Visitor.ID).fails(401, "unauthorized")
	state("v1.e30.AAAA").fails(401, "unauthorized")
	state("v2"+strings.TrimPrefix(page.Token, "v1")).fails(401, "unauthorized")
	state(strings.Repeat("v1.", 400)).fails(401, "unauthorized")
	state(api.SignVisitor([]byte("another group's key, 32 bytes..."), "shop", page.Visitor.ID, in30Days)).fails(401, "token_foreign")
	state(api.SignVisitor(tokenKey, "shop", page.Visitor.ID, testEpoch)).fails(401, "token_expired")
	state(api.SignVisitor(tokenKey, "shop", "01890000-0000-7000-8000-000000000000", in30Days)).fails(401, "unauthorized")
	state(api.SignVisitor(tokenKey, "shop", page.Visitor.ID, in30Days)).ok()

	parts := strings.Split(page.Token, ".")
	other := strings.Split(api.SignVisitor(tokenKey, "shop", "somebody-else", in30Days), ".")
	state(parts[0]+"."+other[1]+"."+parts[2]).fails(401, "token_foreign")

	// A page call renews the token; after 30 days without one it is over.
	w.clock.advance(29 * 24 * time.Hour)
	visitor, _ = visitor.visit("https://shop.example/again")
	w.clock.advance(29 * 24 * time.Hour)
	visitor.do("GET", "/v1/visitor/chat", nil).ok()
	w.clock.advance(2 * 24 * time.Hour)
	visitor.do("GET", "/v1/visitor/chat", nil).fails(401, "token_expired")
	visitor.do("POST", "/v1/visitor/page", object{"site": "shop", "url": "https://shop.example/"}).fails(401, "token_expired")
}

// TestForeignTokens: a token of one site is none of another, and those of
// visitors and agents are not the same thing.
func TestForeignTokens(t *testing.T) {
	w := newWorld(t, 1)
	w.run(core.SiteCreate{ID: "blog"}.Args())
	visitor, page := w.stranger().visit("https://shop.example/")
	visitor.do("POST", "/v1/visitor/page", object{"site": "blog", "url": "https://blog.example/"}).fails(401, "token_foreign")
	visitor.do("GET", "/v1/me", nil).fails(401, "unauthorized")
	alice := w.login("alice")
	alice.do("GET", "/v1/visitor/chat", nil).fails(401, "unauthorized")

	// An agent of another site sees nothing of this one.
	hash, err := core.HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	w.run(core.AgentCreate{ID: "carl", Site: "blog", PasswordHash: hash, Role: core.RoleAdmin}.Args())
	w.online("alice")
	_, chat, _ := visitor.request("Vera")
	carl := w.login("carl")
	carl.do("GET", "/v1/chats/"+chat.ID, nil).fails(404, "not_found")
	carl.do("GET", "/v1/visitors/"+page.Visitor.ID, nil).fails(404, "not_found")
	carl.do("POST", "/v1/chats/"+chat.ID+"/messages", object{"client_id": "c1", "text": "hello"}).fails(404, "not_found")
	var list struct{ Chats []chatView }
	if carl.do("GET", "/v1/chats", nil).ok(&list); len(list.Chats) != 0 {
		t.Fatalf("an agent of another site sees %d chats", len(list.Chats))
	}
}

// TestBadInput: a clear error with a stable code, and where it is wrong.
func TestBadInput(t *testing.T) {
	w := newWorld(t, 1)
	visitor, _ := w.stranger().visit("https://shop.example/")
	bob := w.online("bob")
	_, there := w.stranger().visit("HTTPS://shop.example/100%?q=%")
	for _, text := range []string{" \n", "a\x00b", "\u0085"} {
		p := bob.do("POST", "/v1/visitors/"+there.Visitor.ID+"/invitations", object{"text": text}).fails(422, "invalid_request")
		if !hasLocation(p, "body.text") {
			t.Errorf("an invitation with %q: %+v", text, p.Errors)
		}
	}
	for _, c := range []struct {
		method, path string
		body         any
		status       int
		code         string
		location     string
	}{
		{"POST", "/v1/visitor/page", `{"site": "shop", `, 400, "invalid_json", "body"},
		{"POST", "/v1/visitor/page", `{"site": "shop", "url": "https://shop.example/"} x`, 400, "invalid_json", "body"},
		{"POST", "/v1/visitor/page", `{"site": "shop"}`, 422, "invalid_request", "body"},
		{"POST", "/v1/visitor/page", object{"site": 7, "url": "https://shop.example/"}, 422, "invalid_request", "body.site"},
		{"POST", "/v1/visitor/page", object{"site": "", "url": "https://shop.example/"}, 422, "invalid_request", "body.site"},
		{"POST", "/v1/visitor/chat", object{"prechat": object{}}, 422, "invalid_request", "body.prechat.name"},
		{"POST", "/v1/visitor/chat", object{"prechat": object{"name": "Vera", "email": "nonsense"}}, 422, "invalid_request", "body.prechat.email"},
		{"POST", "/v1/visitor/chat", object{"prechat": object{"name": "Vera", "colour": "red"}}, 422, "invalid_request", "body.prechat.colour"},
		{"POST", "/v1/visitor/chat", object{"prechat": "Vera"}, 422, "invalid_request", "body.prechat"},
		{"PUT", "/v1/visitor/variables", object{"plan": []int{1}}, 422, "invalid_request", "body.plan"},
		{"PUT", "/v1/visitor/variables", object{"plan": strings.Repeat("x", 2000)}, 422, "invalid_request", "body.plan"},
		{"PUT", "/v1/visitor/variables", `[1]`, 422, "invalid_request", "body"},
		{"POST", "/v1/visitor/messages", `{"text": `, 400, "invalid_json", "body"},
		{"POST", "/v1/visitor/messages", ``, 400, "invalid_json", "body"},
		{"POST", "/v1/visitor/messages", `{"client_id":"1","text":"a"} {}`, 400, "invalid_json", "body"},
		{"POST", "/v1/visitor/messages", object{"client_id": "1", "text": 5}, 422, "invalid_request", "body.text"},
		{"POST", "/v1/visitor/messages", object{"text": "hello"}, 422, "invalid_request", "body.client_id"},
		{"POST", "/v1/visitor/messages", object{"client_id": "1", "text": ""}, 422, "invalid_request", "body.text"},
		{"POST", "/v1/visitor/messages", object{"client_id": "1", "text": strings.Repeat("x", 16_385)}, 413, "message_too_large", "body.text"},
		{"POST", "/v1/visitor/messages", object{"client_id": "1", "text": " \n\t\u00a0"}, 422, "invalid_request", "body.text"},
		{"POST", "/v1/visitor/messages", object{"client_id": "1", "text": "a\x00b"}, 422, "invalid_request", "body.text"},
		{"POST", "/v1/visitor/messages", object{"client_id": "1", "text": "\x1b[31mred"}, 422, "invalid_request", "body.text"},
		{"POST", "/v1/visitor/messages", "{\"client_id\":\"1\",\"text\":\"\xff\"}", 400, "invalid_json", "body"},
		{"POST", "/v1/visitor/page", "{\"site\":\"shop\",\"url\":\"https://shop.example/\",\"title\":\"\xff\"}", 400, "invalid_json", "body"},
		{"POST", "/v1/visitor/page", object{"site": "shop", "url": "javascript:alert(1)"}, 422, "invalid_request", "body.url"},
		{"POST", "/v1/visitor/page", object{"site": "shop", "url": "javascript://shop.example/%0aalert(1)"}, 422, "invalid_request", "body.url"},
		{"POST", "/v1/visitor/page", object{"site": "shop", "url": "file:///etc/passwd"}, 422, "invalid_request", "body.url"},
		{"POST", "/v1/visitor/page", object{"site": "shop", "url": "/pricing"}, 422, "invalid_request", "body.url"},
		{"POST", "/v1/visitor/page", object{"site": "shop", "url": "https:///nowhere"}, 422, "invalid_request", "body.url"},
		{"POST", "/v1/visitor/messages", object{"client_id": "1", "text": "no chat yet"}, 409, "conflict", ""},
		{"POST", "/v1/visitor/invitation", object{"accepted": true}, 422, "invalid_request", "body"},
		{"GET", "/v1/visitor/sync?since=x", nil, 422, "invalid_request", "query.since"},
		{"GET", "/v1/visitor/sync?wait=soon", nil, 422, "invalid_request", "query.wait"},
		{"GET", "/v1/visitor/socket", nil, 422, "invalid_request", "header.Upgrade"},
		{"GET", "/v1/campaigns/default", nil, 422, "invalid_request", "query.site"},
		{"GET", "/v1/campaigns/default?site=nowhere", nil, 404, "unknown_site", ""},
		{"GET", "/v1/campaigns/summer?site=shop", nil, 404, "unknown_campaign", ""},
		{"GET", "/v1/nothing", nil, 404, "not_found", ""},
		{"DELETE", "/v1/login", nil, 405, "method_not_allowed", ""},
	} {
		p := visitor.do(c.method, c.path, c.body).fails(c.status, c.code)
		if c.location != "" && !hasLocation(p, c.location) {
			t.Errorf("%s %s %v: no error at %s: %+v", c.method, c.path, c.body, c.location, p.Errors)
		}
	}
	w.stranger().do("POST", "/v1/visitor/page", object{"site": "nowhere", "url": "https://nowhere.example/"}).fails(404, "unknown_site")

	// Nothing of all that has changed anything.
	var state struct{ Chat *chatView }
	if visitor.do("GET", "/v1/visitor/chat", nil).ok(&state); state.Chat != nil {
		t.Fatalf("refused calls made a chat: %+v", state.Chat)
	}
	// A message of exactly the longest length is taken.
	_, chat, _ := visitor.request("Vera")
	visitor.do("POST", "/v1/visitor/messages", object{"client_id": "1", "text": strings.Repeat("x", 16_384)}).ok()
	if chat == nil {
		t.Fatal("no chat")
	}
}

// TestBodyTooLarge: the server does not read more than it would take.
func TestBodyTooLarge(t *testing.T) {
	w := newWorld(t, 1)
	w.stranger().do("POST", "/v1/visitor/page", object{"site": "shop", "url": strings.Repeat("x", 100<<10)}).fails(413, "body_too_large")
	// More than the server reads of any call: it answers before the end.
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.bases[0], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/visitor/page HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n{")
	reply := make([]byte, 4096)
	n, err := conn.Read(reply)
	if err != nil || !strings.HasPrefix(string(reply[:n]), "HTTP/1.1 413 ") || !strings.Contains(string(reply[:n]), `"code":"body_too_large"`) {
		t.Fatalf("got %q, %v", reply[:n], err)
	}
}

// TestHeadTooLarge: what is too long of a request is named.
func TestHeadTooLarge(t *testing.T) {
	w := newWorld(t, 1)
	for request, want := range map[string]string{
		"GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 100<<10) + "\r\n\r\n":  `HTTP/1.1 431 |"code":"headers_too_large"`,
		"GET /v1/me HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Many: more\r\n", 1000) + "\r\n":  `HTTP/1.1 431 |"code":"headers_too_large"`,
		"GET /v1/me?x=" + strings.Repeat("x", 100<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n":           `HTTP/1.1 414 |"code":"uri_too_long"`,
		"GET /v1/me?x=" + strings.Repeat("%5Cr%5Cn\\r\\n", 1000) + " HTTP/1.1\r\nHost: x\r\n\r\n": `HTTP/1.1 414 |"code":"uri_too_long"`,
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.bases[0], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		// The server answers before the end and may close under the writer.
		_, _ = io.WriteString(conn, request[:min(len(request), 8<<10)])
		reply := make([]byte, 4096)
		n, err := conn.Read(reply)
		conn.Close()
		status, code, _ := strings.Cut(want, "|")
		if err != nil || !strings.HasPrefix(string(reply[:n]), status) || !strings.Contains(string(reply[:n]), code) {
			t.Errorf("%.40s…: got %q, %v", request, reply[:n], err)
		}
	}
}

// TestNoRedirectToAnotherHost: nobody is sent to where a Host header says.
func TestNoRedirectToAnotherHost(t *testing.T) {
	w := newWorld(t, 1)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]struct {
		status   int
		location string
	}{
		"/livez/": {404, ""}, "/v1/me/": {404, ""},
		"/console": {308, "/console/"}, "/demo": {308, "/demo/"},
	} {
		req, err := http.NewRequest("GET", w.bases[0]+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.example"
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want.status || resp.Header.Get("Location") != want.location {
			t.Errorf("%s: %d to %q", path, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

// TestNodeTroubles: what the group cannot do now is told with a code that
// says whether it may have happened.
func TestNodeTroubles(t *testing.T) {
	w := newWorld(t, 1)
	alice := w.online("alice")
	visitor, _ := w.stranger().visit("https://shop.example/")
	_, chat, _ := visitor.request("Vera")
	for _, c := range []struct {
		err    error
		status int
		code   string
		retry  bool
	}{
		{command.ErrNoLeader, 503, "no_leader", true},
		{command.ErrUnknownOutcome, 504, "unknown_outcome", false},
		{command.ErrBusy, 503, "unavailable", true},
		{command.ErrClosing, 503, "unavailable", true},
		{command.ErrTooLarge, 413, "body_too_large", false},
		{command.ErrNoSpace, 507, "no_space", true},
		{fmt.Errorf("disk on fire at /var/lib"), 500, "internal", false},
	} {
		w.group.refuseWith(c.err)
		for _, got := range []*answer{
			visitor.do("POST", "/v1/visitor/messages", object{"client_id": "1", "text": "hello"}),
			alice.do("PUT", "/v1/me/status", object{"status": "away"}),
		} {
			got.fails(c.status, c.code)
			if (got.header.Get("Retry-After") != "") != c.retry {
				t.Errorf("%v: Retry-After is %q", c.err, got.header.Get("Retry-After"))
			}
			if strings.Contains(string(got.body), "disk on fire") {
				t.Errorf("the client was told %s", got.body)
			}
		}
	}
	w.group.refuseWith(command.ErrNoLeader)
	w.stranger().do("GET", "/readyz", nil).fails(503, "unavailable")
	w.stranger().do("GET", "/livez", nil).ok()
	w.group.refuseWith(nil)
	w.stranger().do("GET", "/readyz", nil).ok()
	visitor.do("POST", "/v1/visitor/messages", object{"client_id": "1", "text": "hello"}).ok()
	var messages struct{ Messages []core.Message }
	alice.do("GET", "/v1/chats/"+chat.ID+"/messages", nil).ok(&messages)
	if n := len(messages.Messages); n != 1 {
		t.Fatalf("%d messages, want 1", n)
	}
}

// TestLogin: wrong credentials, who may do what, and the end of a session.
func TestLogin(t *testing.T) {
	w := newWorld(t, 1)
	w.stranger().do("POST", "/v1/login", object{"login": "alice", "password": "wrong password"}).fails(401, "unauthorized")
	w.stranger().do("POST", "/v1/login", object{"login": "nobody", "password": password}).fails(401, "unauthorized")
	w.stranger().do("POST", "/v1/login", object{"login": "alice"}).fails(422, "invalid_request")
	bob := w.login("bob")
	bob.do("GET", "/v1/config/segments", nil).fails(403, "forbidden")
	var me struct {
		Agent struct{ ID, Role string }
		Site  struct{ ID, Name string }
		Epoch string
	}
	bob.do("GET", "/v1/me", nil).ok(&me)
	if me.Agent.ID != "bob" || me.Site.Name != "The Shop" || me.Epoch != "epoch-1" {
		t.Fatalf("me: %+v", me)
	}
	bob.do("PUT", "/v1/me/status", object{"status": "asleep"}).fails(422, "invalid_request")
	socket := bob.dial("/v1/socket", "")
	socket.next()
	bob.do("POST", "/v1/logout", nil).ok()
	socket.closedWith(4001)
	bob.do("GET", "/v1/me", nil).fails(401, "unauthorized")
}

// TestLoginIsLimited: guessing passwords is slow, for each account and
// address, and does not lock others out.
func TestLoginIsLimited(t *testing.T) {
	limits := api.DefaultLimits()
	limits.Login = api.Rate{PerSecond: 0.1, Burst: 2}
	w := newWorld(t, 1, func(c *api.Config) { c.Limits = &limits })
	for range 2 {
		w.stranger().do("POST", "/v1/login", object{"login": "alice", "password": "a guess"}).fails(401, "unauthorized")
	}
	got := w.stranger().do("POST", "/v1/login", object{"login": "alice", "password": password})
	got.fails(429, "too_many_requests")
	if got.header.Get("Retry-After") != "10" {
		t.Errorf("Retry-After is %q, want 10", got.header.Get("Retry-After"))
	}
	w.login("bob")
	w.clock.advance(10 * time.Second)
	w.login("alice")
}

// TestRates: a client gone wild is held up, others are not.
func TestRates(t *testing.T) {
	limits := api.Limits{Visitor: api.Rate{PerSecond: 1, Burst: 3}}
	w := newWorld(t, 1, func(c *api.Config) { c.Limits = &limits })
	wild, _ := w.stranger().visit("https://shop.example/")
	calm, _ := w.stranger().visit("https://shop.example/")
	for range 3 {
		wild.do("GET", "/v1/visitor/chat", nil).ok()
	}
	got := wild.do("GET", "/v1/visitor/chat", nil)
	got.fails(429, "too_many_requests")
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q, want 1", got.header.Get("Retry-After"))
	}
	calm.do("GET", "/v1/visitor/chat", nil).ok()
	w.clock.advance(time.Second)
	wild.do("GET", "/v1/visitor/chat", nil).ok()
}

// TestSetup: the first admin, once, with the right token only.
func TestSetup(t *testing.T) {
	w := newWorld(t, 1)
	setup := func(token string) *answer {
		return w.stranger().do("POST", "/v1/setup", object{"token": token,
			"site": object{"id": "office", "name": "Office"}, "agent": object{"login": "root", "name": "Root", "password": password}})
	}
	setup("a guess").fails(403, "forbidden")
	var got struct {
		Token string
		Agent struct{ ID, Role, Site string }
	}
	setup(setupToken).ok(&got)
	if got.Agent.ID != "root" || got.Agent.Role != core.RoleAdmin || got.Agent.Site != "office" {
		t.Fatalf("setup: %+v", got)
	}
	a := w.stranger()
	a.token = got.Token
	a.do("GET", "/v1/config/campaigns", nil).ok()
	setup(setupToken).fails(409, "conflict")
	w.stranger().do("POST", "/v1/setup", object{"token": setupToken, "site": object{"id": "Not An Id"},
		"agent": object{"login": "x", "password": "short"}}).fails(422, "invalid_request")
}

// TestIdempotency: the same call made twice makes one thing.
func TestIdempotency(t *testing.T) {
	w := newWorld(t, 2)
	alice := w.online("alice")
	key := "0b54e8a2c7714b0b9f6e2f4c"
	first, page := w.stranger().with("Idempotency-Key", key).visit("https://shop.example/")
	_, again := w.stranger().at(1).with("Idempotency-Key", key).visit("https://shop.example/")
	if again.Visitor.ID != page.Visitor.ID || again.New {
		t.Fatalf("the same page view made visitors %s and %s", page.Visitor.ID, again.Visitor.ID)
	}
	_, other := w.stranger().with("Idempotency-Key", "another key of 16 or more").visit("https://shop.example/")
	if other.Visitor.ID == page.Visitor.ID {
		t.Fatal("two keys made one visitor")
	}
	visitor := first.at(0)
	visitor.header.Del("Idempotency-Key")
	_, chat, _ := visitor.with("Idempotency-Key", key).request("Vera")
	if _, same, _ := visitor.at(1).with("Idempotency-Key", key).request("Vera"); same.ID != chat.ID {
		t.Fatalf("the same request made chats %s and %s", chat.ID, same.ID)
	}

	var sent, repeated struct {
		Seq int64
		ID  string
	}
	message := object{"client_id": "m1", "text": "hello"}
	visitor.do("POST", "/v1/visitor/messages", message).ok(&sent)
	visitor.at(1).do("POST", "/v1/visitor/messages", message).ok(&repeated)
	if sent != repeated || sent.ID == "" {
		t.Fatalf("the same message was sent as %+v and %+v", sent, repeated)
	}
	visitor.do("POST", "/v1/visitor/chat/end", nil).ok()
	visitor.do("POST", "/v1/visitor/messages", message).ok(&repeated)
	if sent != repeated {
		t.Fatalf("after the end, the same message was sent as %+v", repeated)
	}
	_, next, _ := visitor.request("Vera")
	visitor.do("POST", "/v1/visitor/messages", object{"client_id": "m1", "text": "hello", "chat": chat.ID}).ok(&repeated)
	if sent != repeated {
		t.Fatalf("while the next chat goes on, the same message was sent as %+v", repeated)
	}
	visitor.do("POST", "/v1/visitor/messages", object{"client_id": "m2", "text": "too late", "chat": chat.ID}).fails(409, "chat_ended")
	visitor.do("POST", "/v1/visitor/messages", object{"client_id": "m3", "text": "whose?", "chat": "nobodys"}).fails(404, "not_found")
	var now struct{ Messages []struct{ Text string } }
	visitor.do("GET", "/v1/visitor/chat", nil).ok(&now)
	if len(now.Messages) != 0 {
		t.Fatalf("messages of chat %s are in %s: %+v", chat.ID, next.ID, now.Messages)
	}
	var state struct{ Chat chatView }
	visitor.do("POST", "/v1/visitor/chat/end?chat="+chat.ID, nil).ok(&state)
	if state.Chat.ID != next.ID || state.Chat.Status == "ended" {
		t.Fatalf("the call that ended the last chat, made again, left %+v", state.Chat)
	}
	visitor.do("POST", "/v1/visitor/chat/end", nil).ok()
	visitor.with("Idempotency-Key", "short").do("POST", "/v1/visitor/chat", object{}).fails(422, "invalid_request")
	// Inviting with one key twice gives one invitation.
	var one, two struct{ ID string }
	path := "/v1/visitors/" + page.Visitor.ID + "/invitations"
	alice.with("Idempotency-Key", key).do("POST", path, object{"text": "May I help?"}).ok(&one)
	alice.at(1).with("Idempotency-Key", key).do("POST", path, object{"text": "May I help?"}).ok(&two)
	if one.ID != two.ID {
		t.Fatalf("the same invitation was made as %s and %s", one.ID, two.ID)
	}
}

// TestProxies: X-Forwarded-For counts only behind a trusted proxy.
func TestProxies(t *testing.T) {
	ip := func(w *world, forwarded string) string {
		_, page := w.stranger().with("X-Forwarded-For", forwarded).visit("https://shop.example/")
		var v struct{ IP string }
		w.login("alice").do("GET", "/v1/visitors/"+page.Visitor.ID, nil).ok(&v)
		return v.IP
	}
	if got := ip(newWorld(t, 1), "203.0.113.7"); got != "127.0.0.1" {
		t.Errorf("without a trusted proxy the address is %s", got)
	}
	w := newWorld(t, 1, func(c *api.Config) { c.TrustedProxies = prefixes("127.0.0.0/8", "10.0.0.0/8") })
	for forwarded, want := range map[string]string{
		"203.0.113.7":                         "203.0.113.7",
		"198.51.100.1, 203.0.113.7, 10.0.0.9": "203.0.113.7", // what is to the left may be invented
		"nonsense":                            "127.0.0.1",
		"2001:db8::1":                         "2001:db8::1",
	} {
		if got := ip(w, forwarded); got != want {
			t.Errorf("X-Forwarded-For %q gives %s, want %s", forwarded, got, want)
		}
	}
}

// TestOtherOrigins: a host page may call, without cookies.
func TestOtherOrigins(t *testing.T) {
	w := newWorld(t, 1)
	got := w.stranger().with("Origin", "https://shop.example").with("Access-Control-Request-Method", "POST").do("OPTIONS", "/v1/visitor/page", nil)
	if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != "*" ||
		!strings.Contains(got.header.Get("Access-Control-Allow-Methods"), "POST") ||
		!strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "Authorization") ||
		got.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Fatalf("preflight: %d %v", got.status, got.header)
	}
	got = w.stranger().do("POST", "/v1/visitor/page", object{})
	got.fails(422, "invalid_request")
	if got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("headers of an error: %v", got.header)
	}
}

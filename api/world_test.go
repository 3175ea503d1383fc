package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"github.com/parlorchat/parlor/api"
	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/node"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
	"github.com/parlorchat/parlor/web"
)

// testEpoch is when the stories begin.
var testEpoch = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

const (
	setupToken = "setup-token-of-the-test"
	password   = "correct horse"
	patience   = 20 * time.Second // a wait that ends before: something hangs
)

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// world is a group whose members serve HTTP.
type world struct {
	t       *testing.T
	group   *fakeGroup // nil: the members are real
	nodes   []api.Node
	servers []*api.Server
	bases   []string // of the members' servers, "http://127.0.0.1:1234"
	clock   *clock
}

// clock is what the servers take for the time.
type clock struct{ ahead chan time.Duration }

func newClock() *clock {
	c := &clock{ahead: make(chan time.Duration, 1)}
	c.ahead <- 0
	return c
}

func (c *clock) now() time.Time {
	d := <-c.ahead
	c.ahead <- d
	return testEpoch.Add(d)
}

func (c *clock) advance(by time.Duration) { c.ahead <- <-c.ahead + by }

// newWorld starts a group with the site "shop", the department "sales" and
// the agents alice (admin) and bob. change may alter the servers' config.
func newWorld(t *testing.T, members int, change ...func(*api.Config)) *world {
	t.Helper()
	w := &world{t: t, group: newFakeGroup(t, members), clock: newClock()}
	for _, m := range w.group.members {
		w.nodes = append(w.nodes, m)
	}
	w.furnish(change...)
	return w
}

// newRealWorld is newWorld on one real member: raft, its log on disk and all.
func newRealWorld(t *testing.T, change ...func(*api.Config)) *world {
	t.Helper()
	opts := node.Options{
		Dir: filepath.Join(t.TempDir(), "member"), Cluster: "127.0.0.1:0", Table: command.NewTable(redis.Commands(), core.Commands()),
		Fatal:  func(err error) { t.Errorf("fatal: %v", err) },
		Timing: node.Timing{Heartbeat: 150 * time.Millisecond, Election: 150 * time.Millisecond, LeaderLease: 75 * time.Millisecond, Commit: 5 * time.Millisecond},
	}
	if _, err := node.Init(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	opts.Cluster = "" // as kept in the folder
	member, err := node.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := member.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := member.Close(ctx); err != nil {
			t.Errorf("closing the member: %v", err)
		}
	})
	if err := member.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, nodes: []api.Node{member}, clock: newClock()}
	w.furnish(append(change, func(c *api.Config) { c.Now = time.Now })...)
	return w
}

// passwordHash is made once: it is slow on purpose.
var passwordHash = sync.OnceValues(func() (string, error) { return core.HashPassword(password) })

// embedded reads the widget's files once.
var embedded = sync.OnceValues(web.New)

func (w *world) furnish(change ...func(*api.Config)) {
	w.t.Helper()
	hash, err := passwordHash()
	if err != nil {
		w.t.Fatal(err)
	}
	w.run(
		core.SiteCreate{ID: "shop", Name: "The Shop"}.Args(),
		core.DepartmentCreate{ID: "sales", Site: "shop", Name: "Sales"}.Args(),
		core.AgentCreate{ID: "alice", Site: "shop", Name: "Alice", PasswordHash: hash, Role: core.RoleAdmin, Departments: []string{"sales"}}.Args(),
		core.AgentCreate{ID: "bob", Site: "shop", Name: "Bob", PasswordHash: hash, Departments: []string{"sales"}}.Args(),
	)
	for _, n := range w.nodes {
		w.serve(n, change...)
	}
}

// run carries commands out and fails the test if one fails.
func (w *world) run(commands ...command.Args) {
	w.t.Helper()
	for _, r := range w.nodes[0].Propose(w.t.Context(), []command.Request{{Commands: commands}}) {
		if r.Err != nil {
			w.t.Fatalf("proposing: %v", r.Err)
		}
		for i, reply := range r.Replies {
			if err := reply.Err(); err != nil {
				w.t.Fatalf("%s: %v", commands[i][0], err)
			}
		}
	}
}

// serve starts a server for a member.
func (w *world) serve(member api.Node, change ...func(*api.Config)) {
	w.t.Helper()
	files, err := embedded()
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := api.Config{Node: member, Files: files, Now: w.clock.now, Demo: "shop", Log: slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	for _, fn := range change {
		fn(&cfg)
	}
	s, err := api.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			w.t.Errorf("shutting down: %v", err)
		}
		if err := <-served; err != nil {
			w.t.Errorf("serving: %v", err)
		}
	})
	w.servers = append(w.servers, s)
	w.bases = append(w.bases, "http://"+ln.Addr().String())
}

// actor is somebody who makes calls to one member.
type actor struct {
	w      *world
	member int
	token  string
	header http.Header // goes with each call
}

// stranger is an actor without a token.
func (w *world) stranger() *actor { return &actor{w: w, header: http.Header{}} }

// at gives the same actor calling another member.
func (a *actor) at(member int) *actor {
	return &actor{w: a.w, member: member, token: a.token, header: a.header.Clone()}
}

// with gives the same actor with another header.
func (a *actor) with(name, value string) *actor {
	b := a.at(a.member)
	b.header.Set(name, value)
	return b
}

// answer is what a call got.
type answer struct {
	t      *testing.T
	call   string
	status int
	header http.Header
	body   []byte
}

// do makes a call. The answer is checked against the OpenAPI document.
func (a *actor) do(method, path string, body any) *answer {
	a.w.t.Helper()
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		payload = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			a.w.t.Fatal(err)
		}
		payload = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.w.bases[a.member]+path, payload)
	if err != nil {
		a.w.t.Fatal(err)
	}
	for name, values := range a.header {
		req.Header[name] = values
	}
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got := &answer{t: a.w.t, call: method + " " + path, status: resp.StatusCode, header: resp.Header}
	if got.body, err = io.ReadAll(resp.Body); err != nil {
		a.w.t.Fatalf("%s %s: %v", method, path, err)
	}
	checkAgainstDocument(a.w.t, a.w.servers[a.member].OpenAPI(), method, path, got)
	return got
}

// ok fails the test unless the call was answered with 2xx, and reads the body.
func (r *answer) ok(into ...any) *answer {
	r.t.Helper()
	if r.status/100 != 2 {
		r.t.Fatalf("%s: %d %s", r.call, r.status, r.body)
	}
	for _, v := range into {
		if err := json.Unmarshal(r.body, v); err != nil {
			r.t.Fatalf("%s: %v in %s", r.call, err, r.body)
		}
	}
	return r
}

// fails fails the test unless the call was answered with this problem.
func (r *answer) fails(status int, code string) api.Problem {
	r.t.Helper()
	var p api.Problem
	if err := json.Unmarshal(r.body, &p); err != nil || r.status != status || p.Code != code || p.Status != status {
		r.t.Fatalf("%s: got %d %s, want %d with code %s", r.call, r.status, r.body, status, code)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/problem+json" {
		r.t.Fatalf("%s: content type %q", r.call, ct)
	}
	if p.Type != "urn:parlor:problem:"+code || p.Title == "" || p.Detail == "" {
		r.t.Fatalf("%s: the problem lacks something: %s", r.call, r.body)
	}
	if p.RequestID == "" || p.RequestID != r.header.Get("X-Request-Id") {
		r.t.Fatalf("%s: the problem has the request id %q, the header %q", r.call, p.RequestID, r.header.Get("X-Request-Id"))
	}
	return p
}

// at says whether a problem names a location.
func hasLocation(p api.Problem, location string) bool {
	for _, item := range p.Errors {
		if item.Location == location && item.Message != "" {
			return true
		}
	}
	return false
}

type object = map[string]any

// page is the answer to a page view.
type pageView struct {
	Token        string
	Visitor      struct{ ID, Name, Status string }
	New          bool
	Campaign     string
	Segments     []string
	Route        struct{ Department, Agent string }
	Invitation   *struct{ ID, Text string }
	Availability string
	Chat         *chatView
	Epoch        string
	Seq          int64
}

type chatView struct {
	ID, Status, Agent, Department, Visitor string
	AgentName                              string `json:"agent_name"`
	Position                               int64
	LastSeq                                int64 `json:"last_seq"`
}

// visit makes a visitor view a page of the shop.
func (a *actor) visit(url string) (*actor, pageView) {
	a.w.t.Helper()
	var p pageView
	a.do("POST", "/v1/visitor/page", object{"site": "shop", "url": url, "title": "A page"}).ok(&p)
	b := a.at(a.member)
	b.token = p.Token
	return b, p
}

// login signs an agent in.
func (w *world) login(agent string) *actor {
	w.t.Helper()
	var got struct {
		Token string
		Agent struct{ ID, Role string }
	}
	a := w.stranger()
	a.do("POST", "/v1/login", object{"login": agent, "password": password}).ok(&got)
	if got.Agent.ID != agent {
		w.t.Fatalf("signed in as %q, want %q", got.Agent.ID, agent)
	}
	a.token = got.Token
	return a
}

// online signs an agent in and makes him take chats.
func (w *world) online(agent string) *actor {
	w.t.Helper()
	a := w.login(agent)
	a.do("PUT", "/v1/me/status", object{"status": "online"}).ok()
	return a
}

// request asks for a chat with the default pre-chat form filled in.
func (a *actor) request(name string) (status string, chat *chatView, position int64) {
	a.w.t.Helper()
	var got struct {
		Status string
		Chat   *chatView
		Queue  *struct {
			Position int64
		}
	}
	a.do("POST", "/v1/visitor/chat", object{"prechat": object{"name": name}}).ok(&got)
	if got.Queue != nil {
		position = got.Queue.Position
	}
	return got.Status, got.Chat, position
}

// frames is what long-poll and WebSocket carry.
type frames struct {
	Epoch  string
	Seq    int64
	Reset  bool
	Frames []frame
	Ack    *struct {
		ClientID string `json:"client_id"`
		Seq      int64
		ID       string
	}
	Nack *struct {
		ClientID      string `json:"client_id"`
		Code, Message string
	}
}

type frame struct {
	Seq  int64
	Type string
	Chat string
	Data json.RawMessage
}

// text is the text of a message.created.
func (f *frame) text() string {
	var m struct{ Text string }
	_ = json.Unmarshal(f.Data, &m)
	return m.Text
}

// poll makes a long-poll of an actor; path is /v1/sync or /v1/visitor/sync.
func (a *actor) poll(path string, epoch string, since int64, wait float64) frames {
	a.w.t.Helper()
	var got frames
	a.do("GET", fmt.Sprintf("%s?epoch=%s&since=%d&wait=%g", path, url.QueryEscape(epoch), since, wait), nil).ok(&got)
	return got
}

// polling starts a long-poll, comes back when the server waits with it, and
// gives a function that waits for its answer.
func (a *actor) polling(path string, epoch string, since int64) (answered func() frames) {
	a.w.t.Helper()
	got := make(chan frames, 1)
	before := a.w.servers[a.member].Polls()
	go func() {
		defer close(got) // also if the call fails the test
		got <- a.poll(path, epoch, since, 25)
	}()
	eventually(a.w.t, "the long-poll waits", func() bool { return a.w.servers[a.member].Polls() > before })
	return func() frames {
		a.w.t.Helper()
		f, ok := <-got
		if !ok {
			a.w.t.Fatal("the long-poll failed")
		}
		return f
	}
}

// client is an open WebSocket. A goroutine reads it into messages.
type client struct {
	t        *testing.T
	conn     *websocket.Conn
	messages chan frames
	ended    chan error // why reading ended
	backlog  []frame
	at       frames // the last object that carried a position
}

// dial opens a WebSocket; query begins with "?" or is empty.
func (a *actor) dial(path, query string) *client {
	a.w.t.Helper()
	conn, resp, err := a.dialRaw(path, query)
	if err != nil {
		body := []byte{}
		if resp != nil {
			body, _ = io.ReadAll(resp.Body)
		}
		a.w.t.Fatalf("dialling %s: %v %s", path, err, body)
	}
	c := &client{t: a.w.t, conn: conn, messages: make(chan frames, 4096), ended: make(chan error, 1)}
	go c.read()
	a.w.t.Cleanup(func() { conn.Close() })
	return c
}

func (a *actor) dialRaw(path, query string) (*websocket.Conn, *http.Response, error) {
	dialer := websocket.Dialer{Subprotocols: []string{"parlor.v1", "bearer." + a.token}, HandshakeTimeout: patience}
	return dialer.Dial(strings.Replace(a.w.bases[a.member], "http", "ws", 1)+path+query, nil)
}

func (c *client) read() {
	for {
		_, body, err := c.conn.ReadMessage()
		if err != nil {
			c.ended <- err
			close(c.messages)
			return
		}
		var f frames
		if err := json.Unmarshal(body, &f); err != nil {
			c.ended <- err
			close(c.messages)
			return
		}
		c.messages <- f
	}
}

// next gives the next object.
func (c *client) next() frames {
	c.t.Helper()
	select {
	case f, ok := <-c.messages:
		if !ok {
			c.t.Fatalf("the socket was closed: %v", <-c.ended)
		}
		return f
	case <-time.After(patience):
		c.t.Fatal("nothing came on the socket")
	}
	return frames{}
}

// frame gives the next event of a type, passing others by.
func (c *client) frame(typ string) frame {
	c.t.Helper()
	for {
		for len(c.backlog) > 0 {
			f := c.backlog[0]
			c.backlog = c.backlog[1:]
			if f.Type == typ {
				return f
			}
		}
		f := c.next()
		if f.Epoch != "" {
			c.at = f
		}
		c.backlog = append(c.backlog, f.Frames...)
	}
}

func (c *client) send(message any) {
	c.t.Helper()
	if err := c.conn.WriteJSON(message); err != nil {
		c.t.Fatal(err)
	}
}

// closedWith waits until the server closes the socket with a code.
func (c *client) closedWith(code int) {
	c.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-c.messages:
			if ok {
				continue
			}
			err := <-c.ended
			var closed *websocket.CloseError
			if !errors.As(err, &closed) || closed.Code != code {
				c.t.Fatalf("the socket ended with %v, want close code %d", err, code)
			}
			return
		case <-deadline:
			c.t.Fatalf("the socket was not closed, want code %d", code)
		}
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

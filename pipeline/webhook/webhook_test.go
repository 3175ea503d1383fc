package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/pipeline"
	"github.com/parlorchat/parlor/pipeline/pipelinetest"
	"github.com/parlorchat/parlor/pipeline/webhook"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

const (
	secret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	oldSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// delivery is what arrived at a receiver.
type delivery struct {
	ID   string
	Type string     `json:"type"`
	Time string     `json:"timestamp"`
	Data core.Event `json:"data"`
	body []byte
	head http.Header
}

// receiver is somebody's endpoint: it verifies what it gets as the Standard
// Webhooks specification says, and notes what it took.
type receiver struct {
	*httptest.Server
	t       *testing.T
	secret  string
	answers func(w http.ResponseWriter, d delivery) (took bool)

	mu    sync.Mutex
	given int
	taken []delivery
}

func newReceiver(t *testing.T, answers func(w http.ResponseWriter, d delivery) bool) *receiver {
	r := &receiver{t: t, secret: secret, answers: answers}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	d := delivery{ID: req.Header.Get("webhook-id"), head: req.Header}
	d.body, _ = io.ReadAll(req.Body)
	if !verify(r.secret, req.Header, d.body) {
		r.t.Errorf("a delivery whose signature is wrong: %v", req.Header)
	}
	if err := json.Unmarshal(d.body, &d); err != nil {
		r.t.Errorf("a body that is no JSON: %v", err)
	}
	r.mu.Lock()
	r.given++
	r.mu.Unlock()
	if r.answers != nil && !r.answers(w, d) {
		return
	}
	r.mu.Lock()
	r.taken = append(r.taken, d)
	r.mu.Unlock()
}

// verify checks a delivery as a receiver does who knows nothing of Parlor.
func verify(secret string, h http.Header, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	at, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(at, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", h.Get("webhook-id"), at, body)
	want := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, s := range strings.Fields(h.Get("webhook-signature")) {
		if version, signature, _ := strings.Cut(s, ","); version == "v1" && hmac.Equal([]byte(signature), []byte(want)) {
			return true
		}
	}
	return false
}

func (r *receiver) deliveries() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]delivery(nil), r.taken...)
}

func (r *receiver) attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.given
}

// got says which events were taken.
func (r *receiver) got() map[int64]bool {
	out := map[int64]bool{}
	for _, d := range r.deliveries() {
		out[d.Data.Seq] = true
	}
	return out
}

// fast are options that do not wait long.
func fast() pipeline.Options {
	retry := make([]time.Duration, 1000)
	for i := range retry {
		retry[i] = time.Duration(min(i, 2)) * time.Millisecond
	}
	return pipeline.Options{Retry: retry, Horizon: time.Hour, BreakAfter: 1000, AckInterval: 5 * time.Millisecond}
}

// lead runs the pipeline with the webhook module until stop is called.
func lead(t *testing.T, g *pipelinetest.Group, o pipeline.Options) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	module := webhook.New(g, o.Metrics, nil)
	go func() {
		defer close(done)
		pipeline.New(g, []pipeline.Module{module}, o).Run(ctx)
	}()
	stop = func() { cancel(); <-done; module.Close() }
	t.Cleanup(stop)
	return stop
}

func newShop(t *testing.T) *pipelinetest.Group {
	t.Helper()
	g := pipelinetest.NewGroup(t)
	g.Site(t, "shop")
	return g
}

// hook stores a webhook; more are fields of its document.
func hook(t *testing.T, g *pipelinetest.Group, id, url string, more map[string]any) (born int64) {
	t.Helper()
	doc := map[string]any{"url": url, "secret": secret, "events": []string{"*"}, "enabled": true, "allow_private": true}
	for k, v := range more {
		doc[k] = v
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	g.Do(t, core.SiteSet{Site: "shop", Kind: "webhooks", ID: id, Document: b}.Args())
	events := g.Events(t, "shop")
	return events[len(events)-1].Seq
}

// expect waits until a receiver took all events above after, and checks that
// no event of a visitor came before an earlier one of his.
func expect(t *testing.T, g *pipelinetest.Group, r *receiver, after int64) {
	t.Helper()
	pipelinetest.Eventually(t, "all events arrive", func() bool {
		got := r.got()
		for _, e := range g.Events(t, "shop") {
			if e.Seq > after && !got[e.Seq] {
				return false
			}
		}
		return true
	})
	seen := map[int64]bool{}
	newest := map[string]int64{}
	for _, d := range r.deliveries() {
		lane := d.Data.Visitor
		if lane != "" && !seen[d.Data.Seq] && d.Data.Seq < newest[lane] {
			t.Errorf("event %d came after %d of visitor %s", d.Data.Seq, newest[lane], lane)
		}
		seen[d.Data.Seq] = true
		newest[lane] = max(newest[lane], d.Data.Seq)
	}
}

func talk(t *testing.T, g *pipelinetest.Group, prefix string, visitors, messages int) {
	t.Helper()
	for v := range visitors {
		g.Chat(t, "shop", fmt.Sprint(prefix, v))
	}
	for i := range messages {
		for v := range visitors {
			g.Say(t, fmt.Sprint(prefix, v), fmt.Sprint(i))
		}
	}
}

// TestEveryEventArrives: an endpoint that fails some of the time, while the
// leader changes, gets every event, in order for each visitor, and the same
// event always under the same id.
func TestEveryEventArrives(t *testing.T) {
	for _, percent := range []int{0, 10, 90} {
		t.Run(fmt.Sprintf("%d%% fail", percent), func(t *testing.T) {
			r := newReceiver(t, func(w http.ResponseWriter, _ delivery) bool {
				if rand.IntN(100) < percent {
					w.WriteHeader([]int{500, 503, 429, 404}[rand.IntN(4)])
					return false
				}
				return true
			})
			g := newShop(t)
			stop := lead(t, g, fast())
			born := hook(t, g, "crm", r.URL, nil)
			for term := range 3 {
				talk(t, g, fmt.Sprint("term", term, "-"), 3, 8)
				before := r.attempts()
				pipelinetest.Eventually(t, "it goes on", func() bool { return r.attempts() > before || len(r.got()) >= len(g.Events(t, "shop"))-int(born) })
				stop()
				stop = lead(t, g, fast())
			}
			expect(t, g, r, born)
			ids := map[string]int64{}
			for _, d := range r.deliveries() {
				if seq, ok := ids[d.ID]; ok && seq != d.Data.Seq {
					t.Errorf("events %d and %d have the id %s", seq, d.Data.Seq, d.ID)
				}
				ids[d.ID] = d.Data.Seq
			}
			if len(ids) != len(r.got()) {
				t.Errorf("%d ids for %d events", len(ids), len(r.got()))
			}
			for seq := range r.got() {
				if seq <= born {
					t.Errorf("event %d is older than the webhook", seq)
				}
			}
		})
	}
}

// TestDelivery pins the form of what arrives.
func TestDelivery(t *testing.T) {
	r := newReceiver(t, nil)
	other := newReceiver(t, nil)
	other.secret = oldSecret
	g := newShop(t)
	set := metrics.NewSet()
	o := fast()
	o.Metrics = set
	stop := lead(t, g, o)
	hook(t, g, "crm", r.URL+"/hook?x=1", map[string]any{"events": []string{"message.created"}})
	// During a rotation the receiver may still verify with the old secret.
	hook(t, g, "rotating", other.URL, map[string]any{"events": []string{"message.created"}, "previous_secret": oldSecret})
	g.Chat(t, "shop", "v")
	g.Say(t, "v", "héllo <b>")
	counted := set.GetOrCreateCounter(`parlor_webhook_attempts_total{site="shop",webhook="crm",outcome="2xx"}`)
	pipelinetest.Eventually(t, "both get it", func() bool {
		return len(r.got()) == 1 && len(other.got()) == 1 && counted.Get() == 1
	})
	stop()

	d := r.deliveries()[0]
	if got := d.head.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if !strings.HasPrefix(d.ID, "evt_") || strings.Contains(d.ID, ".") {
		t.Errorf("id %q", d.ID)
	}
	if same := other.deliveries()[0]; same.ID != d.ID {
		t.Errorf("the event is %s for one endpoint and %s for another", d.ID, same.ID)
	}
	var body struct {
		Type      string
		Timestamp string
		Data      map[string]any
	}
	if err := json.Unmarshal(d.body, &body); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339, body.Timestamp)
	if err != nil || at.UnixMilli() != d.Data.At || body.Type != "message.created" {
		t.Errorf("%s: %v", d.body, err)
	}
	if body.Data["site"] != "shop" || body.Data["visitor"] != "v" || body.Data["chat"] != "chat-v" ||
		body.Data["data"].(map[string]any)["text"] != "héllo <b>" {
		t.Errorf("%s", d.body)
	}
}

// TestGone: 410 disables the webhook, which drops its cursor. Enabled again,
// it begins there.
func TestGone(t *testing.T) {
	var back atomic.Bool
	r := newReceiver(t, func(w http.ResponseWriter, _ delivery) bool {
		if !back.Load() {
			w.WriteHeader(http.StatusGone)
		}
		return back.Load()
	})
	g := newShop(t)
	lead(t, g, fast())
	hook(t, g, "crm", r.URL, nil)
	talk(t, g, "v", 1, 3)
	pipelinetest.Eventually(t, "it is disabled", func() bool { return !enabled(t, g, "crm") })
	pipelinetest.Eventually(t, "its cursor is gone", func() bool { _, ok := g.Cursor(t, "shop", "webhook.crm"); return !ok })

	back.Store(true)
	born := hook(t, g, "crm", r.URL, nil)
	g.Say(t, "v0", "are you back?")
	expect(t, g, r, born)
	for seq := range r.got() {
		if seq <= born {
			t.Errorf("event %d is from before it was enabled again", seq)
		}
	}
}

func enabled(t *testing.T, g *pipelinetest.Group, id string) bool {
	t.Helper()
	var doc struct{ Enabled bool }
	if err := g.View(func(tx *keyspace.Tx) error {
		d, _, err := core.GetConfig(tx, "shop", "webhooks", id)
		if err != nil {
			return err
		}
		return json.Unmarshal(d.Document, &doc)
	}); err != nil {
		t.Fatal(err)
	}
	return doc.Enabled
}

// TestSlowEndpoint: one endpoint that does not answer holds up neither
// another one nor the end of this node's lead.
func TestSlowEndpoint(t *testing.T) {
	release := make(chan struct{})
	slow := newReceiver(t, func(http.ResponseWriter, delivery) bool { <-release; return false })
	t.Cleanup(func() { close(release) }) // before the server is closed
	quick := newReceiver(t, nil)
	g := newShop(t)
	stop := lead(t, g, fast())
	hook(t, g, "slow", slow.URL, nil)
	born := hook(t, g, "quick", quick.URL, nil)
	talk(t, g, "v", 3, 10)
	pipelinetest.Eventually(t, "the slow one has something to do", func() bool { return slow.attempts() > 0 })
	expect(t, g, quick, born)
	stop()
	if n := len(slow.got()); n > 0 {
		t.Errorf("%d deliveries were taken by an endpoint that does not answer", n)
	}
}

// TestRedirects are failures: the event goes nowhere else.
func TestRedirects(t *testing.T) {
	elsewhere := newReceiver(t, nil)
	r := newReceiver(t, func(w http.ResponseWriter, _ delivery) bool {
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return false
	})
	reasons := failing(t, r.URL, true)
	for _, reason := range reasons {
		if !strings.Contains(reason, "the endpoint answered 307") {
			t.Errorf("reason %q", reason)
		}
	}
	if r.attempts() == 0 || elsewhere.attempts() > 0 {
		t.Errorf("%d attempts, %d of them elsewhere", r.attempts(), elsewhere.attempts())
	}
}

// TestPrivateAddresses are refused unless the document opens them; link-local
// ones always are.
func TestPrivateAddresses(t *testing.T) {
	r := newReceiver(t, nil)
	port := r.URL[strings.LastIndex(r.URL, ":"):]
	for _, c := range []struct {
		url          string
		allowPrivate bool
	}{
		{r.URL, false},
		{"http://localhost" + port, false},
		{"http://[::1]" + port, false},
		{"http://[::ffff:127.0.0.1]" + port, false},
		{"http://0.0.0.0" + port, false},
		{"http://10.0.0.1/", false},
		{"http://169.254.169.254/latest/meta-data/", false},
		{"http://169.254.169.254/latest/meta-data/", true},
		{"http://[fe80::1]/", true},
	} {
		t.Run(fmt.Sprintf("%s %v", c.url, c.allowPrivate), func(t *testing.T) {
			for _, reason := range failing(t, c.url, c.allowPrivate) {
				if !strings.Contains(reason, "private or reserved") {
					t.Errorf("reason %q", reason)
				}
			}
		})
	}
	if r.attempts() > 0 {
		t.Errorf("%d requests arrived", r.attempts())
	}
}

// failing delivers a chat to an endpoint that always fails, and gives the
// reasons of the dead letters.
func failing(t *testing.T, url string, allowPrivate bool) (reasons []string) {
	t.Helper()
	g := newShop(t)
	o := fast()
	o.Retry = []time.Duration{0, time.Millisecond}
	lead(t, g, o)
	hook(t, g, "crm", url, map[string]any{"events": []string{"chat.created"}, "allow_private": allowPrivate})
	g.Chat(t, "shop", "v")
	pipelinetest.Eventually(t, "a dead letter", func() bool { return len(g.DeadLetters(t, "shop", "webhook.crm")) > 0 })
	for _, letter := range g.DeadLetters(t, "shop", "webhook.crm") {
		if letter.Event.Type != "chat.created" {
			t.Errorf("a dead letter of type %s", letter.Event.Type)
		}
		reasons = append(reasons, letter.Reason)
	}
	return reasons
}

// TestRemovedAndUnusable: a removed webhook loses its cursor; one that cannot
// be used does not keep the others from working.
func TestRemovedAndUnusable(t *testing.T) {
	r := newReceiver(t, nil)
	g := newShop(t)
	lead(t, g, fast())
	hook(t, g, "gone", r.URL, nil)
	hook(t, g, "off", r.URL, map[string]any{"enabled": false})
	born := hook(t, g, "works", r.URL, nil)
	pipelinetest.Eventually(t, "they have cursors", func() bool {
		_, gone := g.Cursor(t, "shop", "webhook.gone")
		_, works := g.Cursor(t, "shop", "webhook.works")
		return gone && works
	})
	g.Do(t, command.New("SITE.UNSET", "shop", "webhooks", "gone"))
	pipelinetest.Eventually(t, "the cursor is gone", func() bool { _, ok := g.Cursor(t, "shop", "webhook.gone"); return !ok })
	if _, ok := g.Cursor(t, "shop", "webhook.off"); ok {
		t.Error("a disabled webhook has a cursor")
	}
	g.Chat(t, "shop", "v")
	expect(t, g, r, born)
}

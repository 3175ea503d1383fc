package webhook

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/parlorchat/parlor/core"
)

// TestPublishedVector is the example of the Standard Webhooks reference
// libraries.
func TestPublishedVector(t *testing.T) {
	key, err := parseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1614265330, 0)
	id, body := "msg_p5jXN8AQM9LWM0D4loKWxJek", []byte(`{"test": 2432232314}`)
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := sign([][]byte{key}, id, at, body); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := sign([][]byte{[]byte("another"), key}, id, at, body); !strings.HasSuffix(got, " "+want) {
		t.Errorf("two keys: %s", got)
	}
	for _, bad := range []string{"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!"} {
		if _, err := parseSecret(bad); err == nil {
			t.Errorf("%q is taken for a secret", bad)
		}
	}
}

func TestRetryAfterHeader(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "0": 0, "-5": 0, "soon": 0, "1.5": 0,
		"99999999":                      24 * time.Hour,
		"Mon, 23 Nov 2026 10:00:30 GMT": 30 * time.Second,
		"Mon, 23 Nov 2026 09:00:00 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

// TestMessageIDs: the id of an event depends on its history, site and number
// only, and on each of them.
func TestMessageIDs(t *testing.T) {
	e := func(site string, seq int64) *core.Event { return &core.Event{Site: site, Seq: seq} }
	first := messageID("e1", e("shop", 7))
	if again := messageID("e1", &core.Event{Site: "shop", Seq: 7, Type: "chat.created", At: 5}); again != first {
		t.Errorf("%s and %s", first, again)
	}
	for _, other := range []string{messageID("e2", e("shop", 7)), messageID("e1", e("shop", 8)), messageID("e1", e("shop2", 7))} {
		if other == first {
			t.Errorf("two events are %s", other)
		}
	}
}

// TestNoAnswerInTime: an endpoint that does not answer has failed, and the
// attempt is counted as such.
func TestNoAnswerInTime(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() { close(release); server.Close() })
	client := newClient(true)
	if client.Timeout != 15*time.Second {
		t.Fatalf("the timeout is %s", client.Timeout)
	}
	client.Timeout = 20 * time.Millisecond
	set := metrics.NewSet()
	p := &endpoint{site: "shop", id: "crm", url: server.URL, client: client, keys: [][]byte{[]byte("k")}, metrics: set}
	err := p.Handle(context.Background(), &core.Event{Site: "shop", Seq: 1, Type: "chat.created", Data: []byte("{}")})
	if err == nil || !strings.Contains(err.Error(), "no answer in") {
		t.Errorf("got %v", err)
	}
	if n := set.GetOrCreateCounter(`parlor_webhook_attempts_total{site="shop",webhook="crm",outcome="timeout"}`).Get(); n != 1 {
		t.Errorf("%d timeouts are counted", n)
	}
}

// TestLongAnswersAreNotRead to their end.
func TestLongAnswersAreNotRead(t *testing.T) {
	written := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := 0
		for chunk := make([]byte, 64<<10); n < 64<<20; {
			k, err := w.Write(chunk)
			n += k
			if err != nil {
				break
			}
		}
		written <- n
	}))
	t.Cleanup(server.Close)
	p := &endpoint{url: server.URL, client: newClient(true), keys: [][]byte{[]byte("k")}, metrics: metrics.NewSet()}
	if err := p.Handle(context.Background(), &core.Event{Seq: 1, Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if n := <-written; n >= 64<<20 {
		t.Error("the whole answer was read")
	}
}

package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/parlorchat/parlor/api"
)

// lockedLog is a log that is written and read at the same time.
type lockedLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// of gives the messages that were logged of a request.
func (l *lockedLog) of(t *testing.T, id string) (messages []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var entry struct {
			Msg string `json:"msg"`
			ID  string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		if entry.ID == id {
			messages = append(messages, entry.Msg)
		}
	}
	return messages
}

// A visitor's call fails, and the operator finds it in the log by the id that
// the visitor's answer carries.
func TestAFailedRequestIsFoundInTheLogByItsID(t *testing.T) {
	var log lockedLog
	w := newWorld(t, 1, func(c *api.Config) { c.Log = slog.New(slog.NewJSONHandler(&log, nil)) })
	visitor, _ := w.stranger().visit("https://shop.example/")
	w.group.refuseWith(errors.New("disk on fire"))
	failing := func() *answer {
		return visitor.do("POST", "/v1/visitor/page", object{"site": "shop", "url": "https://shop.example/cart"})
	}
	first, second := failing().fails(500, "internal"), failing().fails(500, "internal")
	if first.RequestID == second.RequestID {
		t.Errorf("two requests have the id %s", first.RequestID)
	}
	if got := strings.Join(log.of(t, first.RequestID), ", "); got != "a call failed, a request failed" {
		t.Errorf("of the first one was logged: %q", got)
	}

	// A reverse proxy has given it an id: it stays, unless nobody could want it in a log.
	visitor.header.Set("X-Request-Id", "edge-7.4711:a_B")
	if p := failing().fails(500, "internal"); p.RequestID != "edge-7.4711:a_B" || len(log.of(t, p.RequestID)) != 2 {
		t.Errorf("the id became %q, logged %v", p.RequestID, log.of(t, p.RequestID))
	}
	for _, id := range []string{"a b", `x" level=ERROR`, strings.Repeat("x", 129), "ü"} {
		visitor.header.Set("X-Request-Id", id)
		if p := failing().fails(500, "internal"); p.RequestID == id {
			t.Errorf("%q was taken over", id)
		}
	}
	visitor.header.Del("X-Request-Id")
	w.group.refuseWith(nil)

	// What went well has one too, and is not logged.
	ok := visitor.do("POST", "/v1/visitor/page", object{"site": "shop", "url": "https://shop.example/cart"})
	ok.ok()
	if id := ok.header.Get("X-Request-Id"); id == "" || len(log.of(t, id)) != 0 {
		t.Errorf("id %q, logged %v", id, log.of(t, id))
	}
	if p := w.stranger().do(http.MethodGet, "/nowhere", nil).fails(404, "not_found"); len(log.of(t, p.RequestID)) != 0 {
		t.Errorf("what nobody has was logged: %v", log.of(t, p.RequestID))
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/fasthttp/websocket"
	"github.com/google/uuid"
)

// load lets visitors and agents talk. A visitor sends, the agent who got the
// chat answers each message he sees, and the visitor sends the next one when
// he has seen the answer: what a message costs includes the way back.
type load struct {
	o    benchOptions
	http *http.Client

	page, ack, delivered *latencies
	acked, seen, errors  atomic.Int64
	firstError           atomic.Pointer[string]
	sent                 atomic.Int64 // by visitors, against o.messages
}

// latencies is a histogram that many may write to, in microseconds.
type latencies struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func newLatencies() *latencies {
	return &latencies{h: hdrhistogram.New(1, time.Minute.Microseconds(), 3)}
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.h.RecordValue(min(max(d.Microseconds(), 1), time.Minute.Microseconds()))
}

func (l *latencies) result() benchLatency {
	l.mu.Lock()
	defer l.mu.Unlock()
	ms := func(q float64) float64 { return float64(l.h.ValueAtQuantile(q)) / 1000 }
	return benchLatency{Count: l.h.TotalCount(), P50: ms(50), P90: ms(90), P99: ms(99), P999: ms(99.9), Max: float64(l.h.Max()) / 1000}
}

func newLoad(o benchOptions) *load {
	perHost := (o.visitors + len(o.logins)) * 2
	return &load{
		o:    o,
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: perHost, MaxConnsPerHost: 0}},
		page: newLatencies(), ack: newLatencies(), delivered: newLatencies(),
	}
}

// server spreads clients over the nodes.
func (l *load) server(i int) string { return l.o.servers[i%len(l.o.servers)] }

func (l *load) fail(err error) {
	l.errors.Add(1)
	s := err.Error()
	l.firstError.CompareAndSwap(nil, &s)
}

// run brings agents and visitors in, lets them talk, and sums up.
func (l *load) run(ctx context.Context) (*benchResult, error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	for i, login := range l.o.logins {
		if err := l.agent(ctx, &wg, i, login); err != nil {
			return nil, fmt.Errorf("agent %s: %w", login, err)
		}
	}
	visitors, err := l.visitors(ctx, &wg)
	if err != nil {
		return nil, err
	}
	talk, stop := context.WithTimeout(ctx, time.Duration(l.o.seconds)*time.Second)
	defer stop()
	begin := time.Now()
	var talking sync.WaitGroup
	for _, v := range visitors {
		talking.Add(1)
		go func() {
			defer talking.Done()
			l.talk(talk, v)
		}()
	}
	talking.Wait()
	elapsed := time.Since(begin)

	undelivered := l.undelivered(ctx)
	r := &benchResult{
		Visitors: len(visitors), Agents: len(l.o.logins), Seconds: elapsed.Seconds(),
		Messages: l.acked.Load(), PerSecond: float64(l.acked.Load()) / elapsed.Seconds(),
		Errors: l.errors.Load(), Page: l.page.result(), Ack: l.ack.result(), Delivered: l.delivered.result(),
	}
	if s := l.firstError.Load(); s != nil {
		r.FirstError = *s
	}
	r.Undelivered = undelivered
	return r, nil
}

// undelivered waits a moment for what is still on its way when the talking
// ends, and counts what never came.
func (l *load) undelivered(ctx context.Context) int64 {
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline) && l.seen.Load() < l.acked.Load(); {
		select {
		case <-ctx.Done():
			return l.acked.Load() - l.seen.Load()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return max(0, l.acked.Load()-l.seen.Load())
}

// benchVisitor is a visitor with a running chat and an open socket.
type benchVisitor struct {
	server, token string
	answers       chan struct{} // one for each message of the agent
}

// visitors brings everybody in, some at a time.
func (l *load) visitors(ctx context.Context, wg *sync.WaitGroup) ([]*benchVisitor, error) {
	visitors := make([]*benchVisitor, l.o.visitors)
	errs := make(chan error, l.o.visitors)
	gate := make(chan struct{}, 16)
	for i := range visitors {
		gate <- struct{}{}
		go func() {
			defer func() { <-gate }()
			v, err := l.visitor(ctx, wg, i)
			visitors[i] = v
			errs <- err
		}()
	}
	for range visitors {
		if err := <-errs; err != nil {
			return nil, fmt.Errorf("visitor: %w", err)
		}
	}
	return visitors, nil
}

// visitor opens a page, asks for a chat and opens his socket.
func (l *load) visitor(ctx context.Context, wg *sync.WaitGroup, i int) (*benchVisitor, error) {
	v := &benchVisitor{server: l.server(i), answers: make(chan struct{}, 1024)}
	var page struct {
		Token string `json:"token"`
		Epoch string `json:"epoch"`
		Seq   uint64 `json:"seq"`
	}
	begin := time.Now()
	err := l.call(ctx, http.MethodPost, v.server, "", "/v1/visitor/page",
		map[string]any{"site": l.o.site, "url": "https://shop.example/item/" + strconv.Itoa(i), "title": "Item"}, &page)
	if err != nil {
		return nil, err
	}
	l.page.add(time.Since(begin))
	v.token = page.Token
	var chat struct {
		Status string `json:"status"`
	}
	if err := l.call(ctx, http.MethodPost, v.server, v.token, "/v1/visitor/chat",
		map[string]any{"prechat": map[string]string{"name": "Visitor " + strconv.Itoa(i)}}, &chat); err != nil {
		return nil, err
	}
	if chat.Status != "chatting" {
		return nil, fmt.Errorf("the chat is %s, not chatting: raise max_chats of the agents", chat.Status)
	}
	err = l.listen(ctx, wg, v.server, "/v1/visitor/socket", v.token, page.Epoch, page.Seq, func(m *benchMessage) {
		if m.From.Type == "agent" {
			l.arrived(m)
			v.answers <- struct{}{}
		}
	})
	return v, err
}

// talk sends messages one after another until the time or the count is up.
func (l *load) talk(ctx context.Context, v *benchVisitor) {
	for ctx.Err() == nil {
		if n := l.sent.Add(1); l.o.messages > 0 && n > int64(l.o.messages) {
			return
		}
		// The last message may finish after the time is up, so that nothing
		// has an unknown end.
		if err := l.send(context.WithoutCancel(ctx), v.server, v.token, "/v1/visitor/messages"); err != nil {
			l.fail(err)
			continue
		}
		select {
		case <-v.answers:
		case <-ctx.Done():
			return
		}
	}
}

// agent logs in, goes online and answers everything.
func (l *load) agent(ctx context.Context, wg *sync.WaitGroup, i int, login string) error {
	server := l.server(i + 1) // not the visitors' node, where there is a choice
	var session struct {
		Token string `json:"token"`
	}
	if err := l.call(ctx, http.MethodPost, server, "", "/v1/login", map[string]string{"login": login, "password": l.o.password}, &session); err != nil {
		return err
	}
	var me struct {
		Epoch string `json:"epoch"`
		Seq   uint64 `json:"seq"`
	}
	if err := l.call(ctx, http.MethodGet, server, session.Token, "/v1/me", nil, &me); err != nil {
		return err
	}
	answers := make(chan string, 65536)
	wg.Add(1)
	go func() {
		defer wg.Done()
		var sending sync.WaitGroup
		defer sending.Wait()
		for {
			select {
			case <-ctx.Done():
				return
			case chat := <-answers:
				sending.Add(1)
				go func() {
					defer sending.Done()
					if err := l.send(ctx, server, session.Token, "/v1/chats/"+chat+"/messages"); err != nil && ctx.Err() == nil {
						l.fail(err)
					}
				}()
			}
		}
	}()
	if err := l.listen(ctx, wg, server, "/v1/socket", session.Token, me.Epoch, me.Seq, func(m *benchMessage) {
		if m.From.Type == "visitor" {
			l.arrived(m)
			answers <- m.chat
		}
	}); err != nil {
		return err
	}
	return l.call(ctx, http.MethodPut, server, session.Token, "/v1/me/status", map[string]string{"status": "online"}, nil)
}

// send sends a message that carries the time at which it was sent.
func (l *load) send(ctx context.Context, server, token, path string) error {
	begin := time.Now()
	text := strconv.FormatInt(begin.UnixNano(), 10) + " " + strings.Repeat("x", 80)
	err := l.call(ctx, http.MethodPost, server, token, path, map[string]string{"client_id": uuid.NewString(), "text": text}, nil)
	if err != nil {
		return err
	}
	l.ack.add(time.Since(begin))
	l.acked.Add(1)
	return nil
}

// benchMessage is the data of a message.created event.
type benchMessage struct {
	chat string
	From struct {
		Type string `json:"type"`
	} `json:"from"`
	Text string `json:"text"`
}

func (l *load) arrived(m *benchMessage) {
	l.seen.Add(1)
	stamp, _, _ := strings.Cut(m.Text, " ")
	if nanos, err := strconv.ParseInt(stamp, 10, 64); err == nil {
		l.delivered.add(time.Since(time.Unix(0, nanos)))
	}
}

// listen opens a socket and hands every message that comes to fn.
func (l *load) listen(ctx context.Context, wg *sync.WaitGroup, server, path, token, epoch string, since uint64, fn func(*benchMessage)) error {
	dialer := websocket.Dialer{Subprotocols: []string{"parlor.v1", "bearer." + token}, HandshakeTimeout: 10 * time.Second}
	conn, resp, err := dialer.DialContext(ctx, fmt.Sprintf("ws://%s%s?epoch=%s&since=%d", server, path, epoch, since), nil)
	if err != nil {
		if resp != nil {
			return fmt.Errorf("opening the socket: %s: %w", resp.Status, err)
		}
		return fmt.Errorf("opening the socket: %w", err)
	}
	closeOnce := context.AfterFunc(ctx, func() { _ = conn.Close() })
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer closeOnce()
		for {
			var update struct {
				Frames []struct {
					Type string       `json:"type"`
					Chat string       `json:"chat"`
					Data benchMessage `json:"data"`
				} `json:"frames"`
			}
			if err := conn.ReadJSON(&update); err != nil {
				if ctx.Err() == nil {
					l.fail(fmt.Errorf("socket: %w", err))
				}
				return
			}
			for i := range update.Frames {
				if f := &update.Frames[i]; f.Type == "message.created" {
					f.Data.chat = f.Chat
					fn(&f.Data)
				}
			}
		}
	}()
	return nil
}

// call makes one HTTP call with JSON both ways; answer may be nil.
func (l *load) call(ctx context.Context, method, server, token, path string, body, answer any) error {
	var reader io.Reader
	if body != nil {
		content, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding the body of %s: %w", path, err)
		}
		reader = bytes.NewReader(content)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+server+path, reader)
	if err != nil {
		return fmt.Errorf("calling %s: %w", path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return fmt.Errorf("calling %s: %w", path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", path, err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(content))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", path, err)
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
)

// person is a client as the widget or the console is one: it knows several
// nodes, moves on when one is gone, repeats what got no answer under the same
// client id, and resumes its stream of events by (epoch, seq).
type person struct {
	t     *testing.T
	name  string
	hosts []string
	token string

	mu   sync.Mutex
	host int

	epoch string
	since uint64

	inbox chan event // every sequenced frame, in order
	wg    sync.WaitGroup
	stop  context.CancelFunc
}

// event is a frame as clients get it.
type event struct {
	Seq  uint64          `json:"seq"`
	Type string          `json:"type"`
	Chat string          `json:"chat"`
	Data json.RawMessage `json:"data"`
}

// message is the data of message.created, and what the lists of messages hold.
type message struct {
	Seq  uint64 `json:"seq"`
	ID   string `json:"id"`
	From struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	} `json:"from"`
	Text     string `json:"text"`
	ClientID string `json:"client_id"`
}

func newPerson(t *testing.T, name string, hosts []string) *person {
	return &person{t: t, name: name, hosts: hosts, inbox: make(chan event, 10000), stop: func() {}}
}

func (p *person) at() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hosts[p.host%len(p.hosts)]
}

// moveOn changes to another node, unless somebody already did since `from`.
func (p *person) moveOn(from string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hosts[p.host%len(p.hosts)] == from {
		p.host++
	}
}

// problem is what the API says of a call that failed.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// once makes one call to one node.
func (p *person) once(ctx context.Context, host, method, path string, body, answer any) error {
	var reader io.Reader
	if body != nil {
		content, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(content)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+host+path, reader)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		failed := &problem{Status: resp.StatusCode}
		_ = json.Unmarshal(content, failed)
		return failed
	}
	if answer != nil {
		return json.Unmarshal(content, answer)
	}
	return nil
}

// call makes a call as a patient client does: on a dead node or one without a
// leader it goes to the next one, until it has an answer.
func (p *person) call(method, path string, body, answer any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		host := p.at()
		err := p.once(ctx, host, method, path, body, answer)
		if err == nil {
			return
		}
		if failed, ok := err.(*problem); ok && failed.Status < 500 {
			p.t.Fatalf("%s: %s %s on %s: %v", p.name, method, path, host, err)
		}
		p.moveOn(host)
		select {
		case <-ctx.Done():
			p.t.Fatalf("%s: %s %s: no answer from any node: %v", p.name, method, path, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// listen follows the person's events over a WebSocket, resuming wherever the
// connection breaks, until the test ends.
func (p *person) listen(path string) {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.t.Cleanup(p.hangUp)
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		for ctx.Err() == nil {
			host := p.at()
			if err := p.follow(ctx, host, path); err != nil && ctx.Err() == nil {
				p.moveOn(host)
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
	}()
}

// hangUp ends listening.
func (p *person) hangUp() {
	p.stop()
	p.wg.Wait()
}

func (p *person) follow(ctx context.Context, host, path string) error {
	dialer := websocket.Dialer{Subprotocols: []string{"parlor.v1", "bearer." + p.token}, HandshakeTimeout: 5 * time.Second}
	conn, _, err := dialer.DialContext(ctx, fmt.Sprintf("ws://%s%s?epoch=%s&since=%d", host, path, p.epoch, p.since), nil)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	unblock := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer unblock()
	for {
		var update struct {
			Epoch  string  `json:"epoch"`
			Seq    uint64  `json:"seq"`
			Reset  bool    `json:"reset"`
			Frames []event `json:"frames"`
		}
		if err := conn.ReadJSON(&update); err != nil {
			return err
		}
		if update.Reset {
			p.t.Errorf("%s: the server could not fill the gap after %d", p.name, p.since)
		}
		for _, f := range update.Frames {
			if f.Seq == 0 {
				continue // typing and the like
			}
			if f.Seq <= p.since {
				p.t.Errorf("%s: event %d came after %d", p.name, f.Seq, p.since)
			}
			p.since = f.Seq
			p.inbox <- f
		}
		if update.Epoch != "" {
			p.epoch, p.since = update.Epoch, max(p.since, update.Seq)
		}
	}
}

// await reads events until one of the type comes.
func (p *person) await(kind string) event {
	p.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case e := <-p.inbox:
			if e.Type == kind {
				return e
			}
		case <-timeout:
			p.t.Fatalf("%s: no %s came", p.name, kind)
		}
	}
}

// collect reads n messages of the other side.
func (p *person) collect(from string, n int) []message {
	p.t.Helper()
	timeout := time.After(120 * time.Second)
	var got []message
	for len(got) < n {
		select {
		case e := <-p.inbox:
			if e.Type != "message.created" {
				continue
			}
			var m message
			if err := json.Unmarshal(e.Data, &m); err != nil {
				p.t.Fatalf("%s: event %d: %v", p.name, e.Seq, err)
			}
			if m.From.Type == from {
				got = append(got, m)
			}
		case <-timeout:
			p.t.Fatalf("%s: %d of %d messages of the %s came; the last: %s", p.name, len(got), n, from, last(got))
		}
	}
	return got
}

func last(m []message) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.TrimSpace(m[len(m)-1].Text)
}

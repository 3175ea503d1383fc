package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// chats are visitors and agents of a site of their own, as their browsers call
// the server: visitors ask for chats, talk, and leave; agents, each with room
// for a few, follow their events, answer, hand over and end.
type chats struct {
	site   string
	agents []string
}

const (
	room     = 2 // chats that an agent takes at once
	password = "chaos-password"
)

func (c *chats) name() string { return "chat" }

// person is what a worker is here.
type person struct {
	agent string // login, or "" for a visitor
	token string
	chat  string // a visitor's

	// An agent's place in the events, and what he knows to be his.
	epoch string
	since uint64
	mine  map[string]bool

	// The message that has no answer yet: it is sent again under its name.
	text, to string
}

// prepare makes the site and its agents, and gives each worker his part.
func (c *chats) prepare(workers []*worker) error {
	commands := [][]string{{"SITE.CREATE", c.site}, {"DEPARTMENT.CREATE", c.site + "-d", c.site}}
	for i := range 3 {
		c.agents = append(c.agents, fmt.Sprintf("%s-a%d", c.site, i))
		commands = append(commands, []string{"AGENT.CREATE", c.agents[i], c.site, "PASSWORD", password,
			"ROLE", "admin", "MAX-CHATS", fmt.Sprint(room), "DEPARTMENTS", c.site + "-d"})
	}
	for i, w := range workers {
		p := &person{mine: map[string]bool{}}
		if i < len(c.agents) {
			p.agent = c.agents[i]
		}
		w.mine = p
	}
	conn := &client{addr: workers[0].nodes[0].resp}
	defer conn.close()
	for _, cmd := range commands {
		for end := time.Now().Add(forWhole); ; time.Sleep(100 * time.Millisecond) {
			_, _, err := conn.call(cmd)
			if err == nil || strings.HasPrefix(err.Error(), "EXISTS") {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("%s: %w", cmd[0], err)
			}
		}
	}
	return nil
}

// web makes one HTTP call to the worker's node and reads the answer; recording
// it is the caller's.
func (w *worker) web(o op, method, path, token string, body, answer any) op {
	m := w.nodes[w.at]
	o.Client, o.Node, o.Call = w.id, m.name, now()
	content, how, err := exchange(method, "http://"+m.http+path, token, body)
	o.Return, o.How = now(), how
	if err != nil {
		o.Err = err.Error()
	} else if answer != nil {
		if err := json.Unmarshal(content, answer); err != nil {
			o.How, o.Err = unknown, err.Error()
		}
	}
	if how == unknown || strings.Contains(o.Err, "no_leader") || strings.Contains(o.Err, "dial ") {
		w.at = (w.at + 1) % len(w.nodes)
		time.Sleep(20 * time.Millisecond)
	}
	return o
}

var browser = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 5 * time.Second}}

// exchange makes the call. Problems below 500, no_leader and no_space say that nothing
// was done; so does a connection that could not be made.
func exchange(method, url, token string, body any) ([]byte, outcome, error) {
	var reader io.Reader
	if body != nil {
		content, err := json.Marshal(body)
		if err != nil {
			return nil, refused, err
		}
		reader = bytes.NewReader(content)
	}
	req, err := http.NewRequest(method, url, reader)
	if err != nil {
		return nil, refused, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := browser.Do(req)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			return nil, refused, err
		}
		return nil, unknown, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, unknown, err
	}
	if resp.StatusCode < 300 {
		return content, done, nil
	}
	var problem struct{ Code, Detail string }
	_ = json.Unmarshal(content, &problem)
	err = fmt.Errorf("%d %s: %s", resp.StatusCode, problem.Code, problem.Detail)
	if resp.StatusCode < 500 || problem.Code == "no_leader" || problem.Code == "no_space" {
		return nil, refused, err
	}
	return nil, unknown, err
}

func (c *chats) step(w *worker) {
	p := w.mine.(*person)
	switch {
	case w.rng.IntN(15) == 0:
		c.look(w)
	case p.text != "":
		c.say(w, p)
	case p.agent != "":
		c.serve(w, p)
	default:
		c.visit(w, p)
	}
}

// look sees what the agents have, all at one moment.
func (c *chats) look(w *worker) {
	commands := [][]string{{"MULTI"}}
	for _, a := range c.agents {
		commands = append(commands, []string{"SMEMBERS", "agent:" + a + ":chats"})
	}
	w.call(op{Key: c.site, Do: "look"}, append(commands, []string{"EXEC"})...)
}

// say sends the message that waits to be sent; without an answer it stays.
func (c *chats) say(w *worker, p *person) {
	path, by := "/v1/visitor/messages", "visitor"
	message := map[string]string{"client_id": p.text, "text": "I say " + p.text, "chat": p.to}
	if p.agent != "" {
		path, by = "/v1/chats/"+p.to+"/messages", "agent"
		delete(message, "chat")
	}
	var said struct {
		Seq uint64 `json:"seq"`
		ID  string `json:"id"`
	}
	o := w.web(op{Key: p.to, Do: "say " + by, In: p.text}, http.MethodPost, path, p.token, message, &said)
	if o.How == done {
		o.Out = []any{fmt.Sprint(said.Seq), said.ID}
	}
	w.hist.add(o)
	switch {
	case o.How == done:
		p.text = ""
	case strings.Contains(o.Err, "no_leader") || strings.Contains(o.Err, "no_space") || o.How == unknown || strings.Contains(o.Err, "dial "):
		// again
	default: // the chat is over, or another agent's
		p.text = ""
		if p.agent == "" {
			p.chat = ""
		}
		delete(p.mine, p.to)
	}
}

func (c *chats) visit(w *worker, p *person) {
	switch {
	case p.token == "" || w.rng.IntN(40) == 0:
		var page struct {
			Token string `json:"token"`
		}
		if o := w.web(op{Key: c.site, Do: "page"}, http.MethodPost, "/v1/visitor/page", p.token, map[string]string{"site": c.site, "url": "https://shop.example/" + w.unique()}, &page); o.How == done {
			p.token = page.Token
		} else {
			w.hist.add(o)
		}
	case p.chat == "":
		var asked struct {
			Status string `json:"status"`
			Chat   struct {
				ID string `json:"id"`
			} `json:"chat"`
		}
		o := w.web(op{Key: c.site, Do: "request"}, http.MethodPost, "/v1/visitor/chat", p.token, map[string]any{"prechat": map[string]string{"name": w.unique()}}, &asked)
		o.Out = []any{asked.Status, asked.Chat.ID}
		w.hist.add(o)
		p.chat = asked.Chat.ID
		if o.How == unknown { // it may open a chat at any time, which his messages would go to: he comes back as somebody else
			p.token = ""
		}
	case w.rng.IntN(8) == 0:
		o := w.web(op{Key: p.chat, Do: "end"}, http.MethodPost, "/v1/visitor/chat/end?chat="+p.chat, p.token, map[string]string{}, nil)
		w.hist.add(o)
		if o.How == done {
			p.chat = ""
		}
	default:
		p.text, p.to = w.unique(), p.chat
	}
}

func (c *chats) serve(w *worker, p *person) {
	if p.token == "" {
		c.arrive(w, p)
		return
	}
	chat := ""
	for id := range p.mine { // any of at most a few: which one does not matter
		chat = id
		break
	}
	switch n := w.rng.IntN(12); {
	case chat != "" && n < 4:
		p.text, p.to = w.unique(), chat
	case chat != "" && n == 4:
		o := w.web(op{Key: chat, Do: "end"}, http.MethodPost, "/v1/chats/"+chat+"/end", p.token, map[string]string{}, nil)
		w.hist.add(o)
		if o.How != unknown {
			delete(p.mine, chat)
		}
	case chat != "" && n == 5:
		o := w.web(op{Key: chat, Do: "transfer"}, http.MethodPost, "/v1/chats/"+chat+"/transfer", p.token, map[string]string{"agent": c.agents[w.rng.IntN(len(c.agents))]}, nil)
		w.hist.add(o)
	default:
		c.follow(w, p)
	}
}

// arrive logs an agent in and puts him online.
func (c *chats) arrive(w *worker, p *person) {
	var session struct {
		Token string `json:"token"`
	}
	if o := w.web(op{}, http.MethodPost, "/v1/login", "", map[string]string{"login": p.agent, "password": password}, &session); o.How != done {
		return
	}
	var me struct {
		Epoch string `json:"epoch"`
		Seq   uint64 `json:"seq"`
	}
	if o := w.web(op{}, http.MethodGet, "/v1/me", session.Token, nil, &me); o.How != done {
		return
	}
	if o := w.web(op{}, http.MethodPut, "/v1/me/status", session.Token, map[string]string{"status": "online"}, nil); o.How != done {
		return
	}
	p.token, p.epoch, p.since = session.Token, me.Epoch, me.Seq
}

// follow takes the next events. The agents are admins: they see all of them.
func (c *chats) follow(w *worker, p *person) {
	var update struct {
		Epoch  string `json:"epoch"`
		Seq    uint64 `json:"seq"`
		Reset  bool   `json:"reset"`
		Frames []struct {
			Seq   uint64 `json:"seq"`
			Type  string `json:"type"`
			Chat  string `json:"chat"`
			Agent string `json:"agent"`
		} `json:"frames"`
	}
	o := w.web(op{Key: p.agent, Do: "follow", In: fmt.Sprint(p.since)}, http.MethodGet,
		fmt.Sprintf("/v1/sync?epoch=%s&since=%d&wait=1", p.epoch, p.since), p.token, nil, &update)
	if o.How == done {
		if update.Reset {
			o.Do = "reset"
		}
		o.Out = append(o.Out, fmt.Sprint(update.Seq))
		for _, f := range update.Frames {
			if f.Seq == 0 {
				continue
			}
			o.Out = append(o.Out, fmt.Sprint(f.Seq))
			switch f.Type {
			case "chat.assigned":
				delete(p.mine, f.Chat)
				if f.Agent == p.agent {
					p.mine[f.Chat] = true
				}
			case "chat.ended", "chat.queued", "chat.transferred":
				delete(p.mine, f.Chat)
			}
		}
		p.epoch, p.since = update.Epoch, update.Seq
	}
	w.hist.add(o)
}

// settle reads, on every node, all events and the agents' chats at one
// moment, and the messages of every chat.
func (c *chats) settle(w *worker) error {
	for w.at = range w.nodes {
		at := w.at
		last, ids := "0", map[string]bool{}
		for {
			commands := [][]string{{"MULTI"}, {"EVENT.READ", c.site, "AFTER", last, "LIMIT", "1000"}}
			for _, a := range c.agents {
				commands = append(commands, []string{"SMEMBERS", "agent:" + a + ":chats"})
			}
			o, err := w.surely(op{Key: w.nodes[at].name, Do: "events"}, append(commands, []string{"EXEC"})...)
			if err != nil {
				return err
			}
			replies, _ := o.Out[len(o.Out)-1].([]any)
			if len(replies) == 0 {
				return fmt.Errorf("EXEC gave nothing: %s", o)
			}
			events, _ := replies[0].([]any)
			if len(events) == 0 {
				break
			}
			for _, e := range events {
				f := fields(e)
				last = f["seq"]
				if f["chat"] != "" {
					ids[f["chat"]] = true
				}
			}
		}
		for id := range ids {
			if _, err := w.surely(op{Key: id, Do: "messages"}, []string{"CHAT.MESSAGES", id, "LIMIT", "1000"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// fields reads a flat object of names and values.
func fields(reply any) map[string]string {
	list := texts(reply)
	out := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		out[list[i]] = list[i+1]
	}
	return out
}

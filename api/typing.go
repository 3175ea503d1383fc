package api

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Typing is told to whoever is there and kept nowhere. It goes past the log:
// to the sockets of this node, and, if the node can broadcast, of the others.

// typingTopic is the topic of broadcasts between nodes.
const typingTopic = "typing"

// maxPreview is how much of an unsent message agents see, in bytes.
const maxPreview = 2048

type typing struct {
	server *Server
	others Broadcaster // nil: there is no way to the other nodes
	close  func()
}

// typingFrame is what the receiver gets.
type typingFrame struct {
	Type string     `json:"type"`
	Chat string     `json:"chat"`
	From core.Party `json:"from"`
	Data typingData `json:"data"`
}

type typingData struct {
	Typing  bool   `json:"typing"`
	Preview string `json:"preview,omitempty"`
}

// typingNote goes between nodes.
type typingNote struct {
	Site  string          `json:"site"`
	To    addressee       `json:"to"`
	Frame json.RawMessage `json:"frame"`
}

func newTyping(s *Server) *typing {
	t := &typing{server: s, close: func() {}}
	if others, ok := s.node.(Broadcaster); ok {
		t.others = others
		t.close = others.OnBroadcast(typingTopic, t.receive)
	}
	return t
}

// visitor tells a chat's agent that its visitor writes.
func (t *typing) visitor(site, visitor, chat string, in typingInput) error {
	var agent string
	err := t.server.node.View(func(tx *keyspace.Tx) error {
		c, _, err := core.GetChat(tx, chat)
		agent = c.Agent
		return err
	})
	if err != nil || agent == "" {
		return err
	}
	t.send(site, addressee{Agent: agent}, typingFrame{
		Type: "typing", Chat: chat, From: core.Party{Type: core.FromVisitor, ID: visitor},
		Data: typingData{Typing: in.Typing, Preview: preview(in.Preview)},
	})
	return nil
}

// agent tells a chat's visitor that its agent writes.
func (t *typing) agent(chat *core.Chat, agent *core.Agent, typing bool) error {
	if !chat.Ongoing() {
		return nil
	}
	t.send(chat.Site, addressee{Visitor: chat.Visitor}, typingFrame{
		Type: "typing", Chat: chat.ID, From: core.Party{Type: core.FromAgent, ID: agent.ID, Name: agent.DisplayName()},
		Data: typingData{Typing: typing},
	})
	return nil
}

func (t *typing) send(site string, to addressee, frame typingFrame) {
	body := encode(frame)
	t.server.hub.whisper(site, to, body)
	if t.others != nil {
		t.others.Broadcast(typingTopic, encode(typingNote{Site: site, To: to, Frame: body}))
	}
}

// receive takes a broadcast of another node.
func (t *typing) receive(payloads [][]byte) {
	for _, p := range payloads {
		var note typingNote
		if err := json.Unmarshal(p, &note); err != nil {
			t.server.log.Warn("a broadcast of another node is not readable", "topic", typingTopic, "err", err)
			continue
		}
		t.server.hub.whisper(note.Site, note.To, note.Frame)
	}
}

// preview keeps the end of a long text: that is where the visitor writes.
func preview(text string) string {
	if len(text) > maxPreview {
		cut := len(text) - maxPreview
		for cut < len(text) && !utf8.RuneStart(text[cut]) {
			cut++
		}
		text = text[cut:]
	}
	return clip(text, maxPreview)
}

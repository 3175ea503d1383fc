package core

import (
	"fmt"

	"github.com/parlorchat/parlor/storage/command"
)

const maxClientID = 128 // bytes

var sendWords = keywords{"FROM": 2, "TEXT": 1, "ID": 1, "CLIENT-ID": 1, "TYPE": 1}

// sightingInterval is how old, in ms, the last sign of a visitor must be for
// his message to count as a new one: messages come in quick succession.
const sightingInterval = 15_000

// runChatSend is CHAT.SEND.
func runChatSend(s *step, args []string) (command.Reply, error) {
	o, err := sendWords.parse(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	m, err := s.newMessage(o)
	if err != nil {
		return command.Reply{}, err
	}
	c, err := s.chat(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	m.From = c.fillIn(m.From)
	if sent, ok, err := s.sentBefore(c, &m); err != nil || ok {
		return sent.reply(), err
	}
	if !c.Ongoing() {
		return command.Reply{}, fail(CodeConflict, "chat %q has ended; nothing can be sent any more", c.ID)
	}
	if m.From, err = s.party(c, m.From); err != nil {
		return command.Reply{}, err
	}
	if err := s.noteSender(c, m.From); err != nil {
		return command.Reply{}, err
	}
	return Sent{Seq: c.LastSeq + 1, ID: m.ID, At: s.Now}.reply(), s.append(c, &m)
}

// newMessage reads a message from a command.
func (s *step) newMessage(o options) (m Message, err error) {
	if !o.given("FROM") || !o.given("TEXT") {
		return m, fail("ERR", "syntax error: FROM type id and TEXT text are needed")
	}
	m = Message{
		From: Party{Type: o["FROM"][0], ID: o["FROM"][1]},
		Type: MessageText, Text: o.text("TEXT"), At: s.Now, ClientID: o.text("CLIENT-ID"),
	}
	if err := CheckMessage(m.Text); err != nil {
		return m, err
	}
	if typ := o.text("TYPE"); typ != "" && typ != MessageText {
		return m, fail(CodeInvalid, "TYPE %q is not known; known is %s", clip(typ, 80), MessageText)
	}
	if err := checkText("CLIENT-ID", m.ClientID, maxClientID); err != nil {
		return m, err
	}
	m.ID, err = s.id("message", o)
	return m, err
}

// clientField is the field under which a chat remembers what a sender calls
// a message.
func (m *Message) clientField() []byte {
	return fmt.Appendf(nil, "%s:%s:%s", m.From.Type, m.From.ID, m.ClientID)
}

// sentBefore finds the message that its sender gave the same client id.
func (s *step) sentBefore(c *Chat, m *Message) (sent Sent, ok bool, err error) {
	if m.ClientID == "" {
		return Sent{}, false, nil
	}
	value, ok, err := s.HGet([]byte(keyChatClients(c.ID)), m.clientField())
	if err != nil || !ok {
		return Sent{}, false, err
	}
	seq := unNum(string(value))
	fields, ok, err := s.XGet([]byte(keyChatMessages(c.ID)), seqID(seq))
	if err != nil {
		return Sent{}, false, err
	}
	if !ok {
		return Sent{}, false, fmt.Errorf("chat %s has no message %d that client id %q stands for", c.ID, seq, m.ClientID)
	}
	found := readMessage(seqID(seq), fields)
	return Sent{Seq: seq, ID: found.ID, At: found.At}, true, nil
}

// party checks that somebody takes part in a chat and gives him his name: its
// visitor, its agent, any admin of the site, or the system.
func (s *step) party(c *Chat, p Party) (Party, error) {
	p = c.fillIn(p)
	switch p.Type {
	case FromVisitor:
		return partyVisitor(c, p)
	case FromAgent:
		return s.partyAgent(c, p)
	case FromSystem:
		return p, checkText("the system's id", p.ID, 64)
	}
	return p, fail(CodeInvalid, "%q is no kind of participant; known are visitor, agent and system", clip(p.Type, 80))
}

// fillIn gives a participant who was named without an id the one that the
// chat has.
func (c *Chat) fillIn(p Party) Party {
	switch {
	case p.ID == "" && p.Type == FromVisitor:
		p.ID = c.Visitor
	case p.ID == "" && p.Type == FromAgent:
		p.ID = c.Agent
	}
	return p
}

func partyVisitor(c *Chat, p Party) (Party, error) {
	if p.ID != c.Visitor {
		return p, fail(CodeDenied, "visitor %q takes no part in chat %q", clip(p.ID, 80), c.ID)
	}
	return Party{Type: FromVisitor, ID: c.Visitor, Name: c.VisitorName}, nil
}

func (s *step) partyAgent(c *Chat, p Party) (Party, error) {
	if !s.exists(keyAgent(p.ID)) {
		return p, fail(CodeDenied, "agent %q does not exist", clip(p.ID, 80))
	}
	a, err := s.agent(p.ID)
	if err != nil {
		return p, err
	}
	if a.ID != c.Agent && (a.Site != c.Site || a.Role != RoleAdmin) {
		return p, fail(CodeDenied, "agent %q takes no part in chat %q; accept it or let it be transferred to him", a.ID, c.ID)
	}
	return Party{Type: FromAgent, ID: a.ID, Name: a.DisplayName()}, nil
}

// noteSender takes a message for what else it says: the agent has seen the
// chat, the visitor is here.
func (s *step) noteSender(c *Chat, from Party) error {
	switch {
	case from.Type == FromAgent && from.ID == c.Agent && c.Status == ChatChatting:
		return s.accept(c)
	case from.Type == FromVisitor:
		v, err := s.visitor(c.Visitor)
		if err != nil || v.Status != VisitorLeft && s.Now-v.LastSeen < sightingInterval {
			return err
		}
		return s.welcome(v)
	}
	return nil
}

// append adds a message to a chat.
func (s *step) append(c *Chat, m *Message) error {
	c.LastSeq++
	m.Seq = c.LastSeq
	fields := pairs(
		field{"id", m.ID}, field{"from_type", m.From.Type}, field{"from_id", m.From.ID}, field{"from_name", m.From.Name},
		field{"type", m.Type}, field{"text", m.Text}, field{"at", count(m.At)}, field{"client_id", m.ClientID})
	if err := s.XAdd([]byte(keyChatMessages(c.ID)), seqID(m.Seq), fields); err != nil {
		return err
	}
	if m.ClientID != "" {
		if _, err := s.HSet([]byte(keyChatClients(c.ID)), m.clientField(), []byte(count(m.Seq))); err != nil {
			return err
		}
	}
	return s.emit(aboutChat(EventMessageCreated, c), m)
}

package core

import (
	"fmt"

	"github.com/parlorchat/parlor/storage/command"
)

var agentSendWords = keywords{"FROM": 1, "TEXT": 1, "ID": 1, "CLIENT-ID": 1}

// runAgentSend is AGENT.SEND.
func runAgentSend(s *step, args []string) (command.Reply, error) {
	o, err := agentSendWords.parse(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	if !o.given("FROM") || !o.given("TEXT") {
		return command.Reply{}, fail("ERR", "syntax error: FROM agent and TEXT text are needed")
	}
	if err := CheckMessage(o.text("TEXT")); err != nil {
		return command.Reply{}, err
	}
	if err := checkText("CLIENT-ID", o.text("CLIENT-ID"), maxClientID); err != nil {
		return command.Reply{}, err
	}
	to, err := s.agent(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	from, err := s.agent(o.text("FROM"))
	if err != nil {
		return command.Reply{}, err
	}
	if from.Site != to.Site {
		return command.Reply{}, fail(CodeDenied, "agents %q and %q belong to different sites", from.ID, to.ID)
	}
	m := AgentMessage{From: from.ID, To: to.ID, Text: o.text("TEXT"), At: s.Now, ClientID: o.text("CLIENT-ID")}
	if m.ID, err = s.id("message", o); err != nil {
		return command.Reply{}, err
	}
	seq, err := s.sendToAgent(to, m)
	return command.Int(seq), err
}

// sendToAgent adds a message to an agent's stream, unless its client id says
// that it is there.
func (s *step) sendToAgent(to *Agent, m AgentMessage) (seq int64, err error) {
	clients := []byte(keyAgentClients(to.ID))
	field := fmt.Appendf(nil, "%s:%s", m.From, m.ClientID)
	if m.ClientID != "" {
		if value, ok, err := s.HGet(clients, field); err != nil || ok {
			return unNum(string(value)), err
		}
	}
	key := []byte(keyAgentMessages(to.ID))
	last, err := s.XLast(key)
	if err != nil {
		return 0, err
	}
	m.Seq = int64(last.Ms) + 1
	if err := s.XAdd(key, seqID(m.Seq), m.stored()); err != nil {
		return 0, err
	}
	if m.ClientID != "" {
		if _, err := s.HSet(clients, field, []byte(count(m.Seq))); err != nil {
			return 0, err
		}
	}
	return m.Seq, s.emit(Event{Type: EventAgentMessage, Site: to.Site, Agent: to.ID}, m)
}

func (m *AgentMessage) stored() [][]byte {
	return pairs(
		field{"id", m.ID}, field{"from", m.From}, field{"to", m.To}, field{"text", m.Text}, field{"at", count(m.At)},
		field{"client_id", m.ClientID})
}

// runAgentMessages is AGENT.MESSAGES.
func runAgentMessages(c *command.Call, args []string) (command.Reply, error) {
	after, limit, err := afterLimit(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	if _, ok, err := loadAgent(c.Tx, args[1]); err != nil || !ok {
		return command.Null(), err
	}
	messages, err := AgentMessages(c.Tx, args[1], after, limit)
	if err != nil {
		return command.Reply{}, err
	}
	replies := make([]command.Reply, len(messages))
	for i, m := range messages {
		replies[i] = replyFields(field{"seq", num(m.Seq)}, field{"id", m.ID}, field{"from", m.From}, field{"to", m.To},
			field{"text", m.Text}, field{"at", num(m.At)}, field{"client_id", m.ClientID})
	}
	return command.Array(replies...), nil
}

package core

import (
	"encoding/json"

	"github.com/parlorchat/parlor/storage/command"
)

// Outcome is where a chat went.
type Outcome struct {
	Status   string // ChatOffline, ChatWaiting or ChatChatting
	Chat     string // "" if offline
	Position int64  // in the queue, from 1; 0 unless waiting
}

func (o Outcome) reply() command.Reply {
	chat := command.Null()
	if o.Chat != "" {
		chat = command.BulkString(o.Chat)
	}
	return command.Array(command.BulkString(o.Status), chat, command.Int(o.Position))
}

func resultOutcome(r command.Reply) (Outcome, error) {
	if err := r.Err(); err != nil {
		return Outcome{}, err
	}
	if len(r.Elems) != 3 {
		return Outcome{}, errReply("status, chat and position", r)
	}
	return Outcome{Status: r.Elems[0].Text(), Chat: r.Elems[1].Text(), Position: r.Elems[2].Int}, nil
}

// ChatRequest asks for a chat: route, capacity check, assign or queue in one
// step. A visitor who has an ongoing chat gets that one.
type ChatRequest struct {
	Visitor, Chat string // Chat: the id of the chat to be made, UUIDv7
	// Department and Agent say where to; both empty: the visitor's route, else
	// the site's first department.
	Department, Agent string
	Priority          *int64          // nil: the route's, else DefaultPriority
	Prechat           json.RawMessage // JSON object; nil: none
	Name, Email       string          // of the visitor, if he said so
}

func (r ChatRequest) Args() command.Args {
	return build("CHAT.REQUEST", r.Visitor, r.Chat).text("DEPARTMENT", r.Department).text("AGENT", r.Agent).
		setNumber("PRIORITY", r.Priority).text("PRECHAT", string(r.Prechat)).text("NAME", r.Name).text("EMAIL", r.Email).args
}

func (ChatRequest) Result(r command.Reply) (Outcome, error) { return resultOutcome(r) }

// ChatCreate makes a chat as told, for integrations: also where nobody is
// online.
type ChatCreate struct{ ID, Visitor, Department, Agent string }

func (r ChatCreate) Args() command.Args {
	return build("CHAT.CREATE", r.ID, r.Visitor).text("DEPARTMENT", r.Department).text("AGENT", r.Agent).args
}

func (ChatCreate) Result(r command.Reply) (Outcome, error) { return resultOutcome(r) }

// ChatAccept says that an agent has seen a chat of his, or that he takes a
// waiting one.
type ChatAccept struct{ Chat, Agent string }

func (r ChatAccept) Args() command.Args { return build("CHAT.ACCEPT", r.Chat, r.Agent).args }

func (ChatAccept) Result(r command.Reply) error { return resultOK(r) }

// ChatSend sends a message.
type ChatSend struct {
	Chat     string
	From     Party // its name is not used
	Text     string
	ID       string // UUIDv7; "": one is made
	ClientID string // makes sending again harmless; up to 128 bytes
	Type     string // "": MessageText
}

func (r ChatSend) Args() command.Args {
	return build("CHAT.SEND", r.Chat).add("FROM", r.From.Type, r.From.ID, "TEXT", r.Text).
		text("ID", r.ID).text("CLIENT-ID", r.ClientID).text("TYPE", r.Type).args
}

// Sent is where a message is found.
type Sent struct {
	Seq int64  `json:"seq"`
	ID  string `json:"id"`
	At  int64  `json:"at"`
}

func (s Sent) reply() command.Reply {
	return command.Array(command.Int(s.Seq), command.BulkString(s.ID), command.Int(s.At))
}

func (ChatSend) Result(r command.Reply) (Sent, error) {
	if err := r.Err(); err != nil {
		return Sent{}, err
	}
	if len(r.Elems) != 3 {
		return Sent{}, errReply("seq, id and time", r)
	}
	return Sent{Seq: r.Elems[0].Int, ID: r.Elems[1].Text(), At: r.Elems[2].Int}, nil
}

// ChatTransfer gives a chat to a department or to an agent.
type ChatTransfer struct {
	Chat              string
	Department, Agent string // at least one
	By                string // the agent who does it; "": the system
}

func (r ChatTransfer) Args() command.Args {
	return build("CHAT.TRANSFER", r.Chat).text("DEPARTMENT", r.Department).text("AGENT", r.Agent).text("BY", r.By).args
}

func (ChatTransfer) Result(r command.Reply) (Outcome, error) { return resultOutcome(r) }

// ChatEnd ends a chat. A chat that has ended stays as it is.
type ChatEnd struct {
	Chat string
	By   Party // its name is not used
}

func (r ChatEnd) Args() command.Args {
	b := build("CHAT.END", r.Chat).add("BY", r.By.Type)
	if r.By.ID != "" {
		b.add(r.By.ID)
	}
	return b.args
}

func (ChatEnd) Result(r command.Reply) error { return resultOK(r) }

// ChatUpdate changes a chat; nil fields stay.
type ChatUpdate struct {
	Chat        string
	Priority    *int64
	VisitorName *string
}

func (r ChatUpdate) Args() command.Args {
	return build("CHAT.UPDATE", r.Chat).setNumber("PRIORITY", r.Priority).set("VISITOR-NAME", r.VisitorName).args
}

func (ChatUpdate) Result(r command.Reply) error { return resultOK(r) }

// ChatRemove ends a chat and removes it with its messages.
type ChatRemove struct{ Chat string }

func (r ChatRemove) Args() command.Args { return build("CHAT.REMOVE", r.Chat).args }

// Result says whether there was such a chat.
func (ChatRemove) Result(r command.Reply) (removed bool, err error) { return resultBool(r) }

package core

import (
	"github.com/parlorchat/parlor/storage/command"
)

// AgentCreate makes an agent. He begins offline.
type AgentCreate struct {
	ID, Site, Name string
	// PasswordHash comes from HashPassword; empty: no signing in by password.
	PasswordHash string
	Role         string // "": RoleAgent
	MaxChats     *int64 // nil: DefaultMaxChats
	Departments  []string
}

func (r AgentCreate) Args() command.Args {
	return build("AGENT.CREATE", r.ID, r.Site).text("NAME", r.Name).text("PASSWORD-HASH", r.PasswordHash).
		text("ROLE", r.Role).setNumber("MAX-CHATS", r.MaxChats).text("DEPARTMENTS", joinIDs(r.Departments)).args
}

func (AgentCreate) Result(r command.Reply) error { return resultOK(r) }

// AgentUpdate changes an agent; nil and empty fields stay.
type AgentUpdate struct {
	ID           string
	Name         *string
	PasswordHash string // ends the agent's sessions
	Role         string
	MaxChats     *int64
	Departments  *[]string // all of them; empty: none
}

func (r AgentUpdate) Args() command.Args {
	b := build("AGENT.UPDATE", r.ID).set("NAME", r.Name).text("PASSWORD-HASH", r.PasswordHash).
		text("ROLE", r.Role).setNumber("MAX-CHATS", r.MaxChats)
	if r.Departments != nil {
		b.add("DEPARTMENTS", joinIDs(*r.Departments))
	}
	return b.args
}

func (AgentUpdate) Result(r command.Reply) error { return resultOK(r) }

// AgentStatus sets what an agent wants: AgentOnline, AgentAway or
// AgentOffline. Online and away count as a sign of presence.
type AgentStatus struct{ ID, Status string }

func (r AgentStatus) Args() command.Args { return build("AGENT.STATUS", r.ID, r.Status).args }

func (AgentStatus) Result(r command.Reply) error { return resultOK(r) }

// AgentSeen renews the presence of agents whose connections are open. It is
// to come at least every AgentLease/3.
type AgentSeen struct{ IDs []string }

func (r AgentSeen) Args() command.Args { return build("AGENT.SEEN", r.IDs...).args }

// Result gives how many of them exist.
func (AgentSeen) Result(r command.Reply) (known int64, err error) { return resultInt(r) }

// AgentRemove removes an agent; his chats go back to their queues.
type AgentRemove struct{ ID string }

func (r AgentRemove) Args() command.Args { return build("AGENT.REMOVE", r.ID).args }

// Result says whether there was such an agent.
func (AgentRemove) Result(r command.Reply) (removed bool, err error) { return resultBool(r) }

// AgentSend sends a message from one agent to another.
type AgentSend struct {
	To, From, Text string
	ID             string // UUIDv7; "": one is made
	ClientID       string
}

func (r AgentSend) Args() command.Args {
	return build("AGENT.SEND", r.To).add("FROM", r.From, "TEXT", r.Text).text("ID", r.ID).text("CLIENT-ID", r.ClientID).args
}

// Result gives the number of the message in the receiver's stream.
func (AgentSend) Result(r command.Reply) (seq int64, err error) { return resultInt(r) }

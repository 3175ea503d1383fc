package core

import (
	"encoding/json"

	"github.com/parlorchat/parlor/storage/command"
)

// Decisions are what the rules said of a visitor. They replace the former
// ones; what is empty is cleared.
type Decisions struct {
	Campaign string
	Segments []string
	Route    *Route
	Explain  json.RawMessage // a JSON object; nil: none
}

func (b *builder) decisions(d *Decisions) *builder {
	if d == nil {
		return b
	}
	return b.add("campaign", d.Campaign, "segments", list(d.Segments),
		"route", optionalJSON(d.Route), "explain", string(d.Explain))
}

// VisitorCreate makes a visitor and begins his first visit.
type VisitorCreate struct {
	ID, Site  string            // ID: UUIDv7
	Fields    map[string]string // see VisitorFields
	Decisions *Decisions
	Vars      map[string]string
}

func (r VisitorCreate) Args() command.Args {
	return build("VISITOR.CREATE", r.ID, r.Site).fields(r.Fields).decisions(r.Decisions).vars(r.Vars).args
}

func (VisitorCreate) Result(r command.Reply) error { return resultOK(r) }

// VisitorPage records a page view; a visitor who had left begins a new visit.
type VisitorPage struct {
	ID, URL, Title, Referrer string
	Fields                   map[string]string // see VisitorFields
	Decisions                *Decisions
}

func (r VisitorPage) Args() command.Args {
	return build("VISITOR.PAGE", r.ID, r.URL).text("TITLE", r.Title).text("REFERRER", r.Referrer).
		fields(r.Fields).decisions(r.Decisions).args
}

func (VisitorPage) Result(r command.Reply) error { return resultOK(r) }

// VisitorUpdate changes what is known of a visitor. An empty value clears a
// field or removes a variable.
type VisitorUpdate struct {
	ID        string
	Fields    map[string]string // see VisitorFields
	Decisions *Decisions
	Vars      map[string]string
}

func (r VisitorUpdate) Args() command.Args {
	return build("VISITOR.UPDATE", r.ID).fields(r.Fields).decisions(r.Decisions).vars(r.Vars).args
}

func (VisitorUpdate) Result(r command.Reply) error { return resultOK(r) }

// VisitorSeen renews last_seen of visitors who are here. It is to come at
// least every VisitorLease/3.
type VisitorSeen struct{ IDs []string }

func (r VisitorSeen) Args() command.Args { return build("VISITOR.SEEN", r.IDs...).args }

// Result gives how many of them exist.
func (VisitorSeen) Result(r command.Reply) (known int64, err error) { return resultInt(r) }

// VisitorRemove ends a visitor's chat and removes him with all his data and
// chats.
type VisitorRemove struct{ ID string }

func (r VisitorRemove) Args() command.Args { return build("VISITOR.REMOVE", r.ID).args }

// Result says whether there was such a visitor.
func (VisitorRemove) Result(r command.Reply) (removed bool, err error) { return resultBool(r) }

// VisitorInvite invites a visitor to chat, by an agent or by a rule.
type VisitorInvite struct {
	Visitor, Text, Agent, Rule string
	ID                         string // UUIDv7; "": one is made
}

func (r VisitorInvite) Args() command.Args {
	return build("VISITOR.INVITE", r.Visitor).add("TEXT", r.Text).text("AGENT", r.Agent).text("RULE", r.Rule).text("ID", r.ID).args
}

// Result gives the invitation's id.
func (VisitorInvite) Result(r command.Reply) (id string, err error) { return resultText(r) }

// VisitorAnswer is a visitor's answer to the invitation that he was last
// shown.
type VisitorAnswer struct {
	Visitor, Invitation string
	Accepted            bool
}

func (r VisitorAnswer) Args() command.Args {
	state := InvitationRefused
	if r.Accepted {
		state = InvitationAccepted
	}
	return build("VISITOR.ANSWER", r.Visitor, r.Invitation, state).args
}

func (VisitorAnswer) Result(r command.Reply) error { return resultOK(r) }

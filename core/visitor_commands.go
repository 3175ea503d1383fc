package core

import (
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// maxPages is how many page views of a visitor are kept.
const maxPages = 100

var (
	varWords  = keywords{"VAR": -2}
	viewWords = keywords{"TITLE": 1}
)

// runVisitorCreate is VISITOR.CREATE.
func runVisitorCreate(s *step, args []string) (command.Reply, error) {
	o, err := parseVisitor(args[3:], varWords)
	if err != nil {
		return command.Reply{}, err
	}
	id := args[1]
	if err := checkID("visitor", id); err != nil {
		return command.Reply{}, err
	}
	site, err := s.site(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if s.exists(keyVisitor(id)) {
		return command.Reply{}, fail(CodeExists, "visitor %q exists already; use VISITOR.PAGE or VISITOR.UPDATE", id)
	}
	v := &Visitor{ID: id, Site: site.ID, Status: VisitorBrowsing, CreatedAt: s.Now, LastSeen: s.Now, VisitAt: s.Now, Visits: 1}
	s.add(keyVisitor(id), v)
	if _, err := applyFields(v, o); err != nil {
		return command.Reply{}, err
	}
	if v.LandingURL == "" {
		v.LandingURL = v.PageURL
	}
	if _, err := s.applyVars(id, o.pairs("VAR")); err != nil {
		return command.Reply{}, err
	}
	return command.OK, s.emitVisitor(EventVisitorCreated, v)
}

// runVisitorPage is VISITOR.PAGE.
func runVisitorPage(s *step, args []string) (command.Reply, error) {
	o, err := parseVisitor(args[3:], viewWords)
	if err != nil {
		return command.Reply{}, err
	}
	v, err := s.visitor(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	page := Page{At: s.Now, URL: args[2], Title: o.text("TITLE"), Referrer: o.text("REFERRER")}
	returned, err := s.sighted(v)
	if err != nil {
		return command.Reply{}, err
	}
	if err := s.viewPage(v, page, returned); err != nil {
		return command.Reply{}, err
	}
	changed, err := applyFields(v, o, "page_url", "page_title", "referrer", "landing_url", "explain")
	if err != nil {
		return command.Reply{}, err
	}
	data := PageData{URL: page.URL, Title: page.Title, Referrer: page.Referrer}
	if err := s.emit(Event{Type: EventVisitorPage, Site: v.Site, Visitor: v.ID, Chat: v.Chat}, data); err != nil {
		return command.Reply{}, err
	}
	if !changed && !returned {
		return command.OK, nil
	}
	return command.OK, s.emitVisitor(EventVisitorUpdated, v)
}

// viewPage records a page view. Who had left begins a new visit.
func (s *step) viewPage(v *Visitor, p Page, newVisit bool) error {
	if p.URL == "" {
		return fail(CodeInvalid, "a page view needs a URL")
	}
	for _, f := range []field{{"page_url", p.URL}, {"page_title", p.Title}, {"referrer", p.Referrer}} {
		if err := setVisitorField(v, f.name, f.value); err != nil {
			return err
		}
	}
	if newVisit {
		v.Visits++
		v.VisitAt = s.Now
	}
	if newVisit || v.LandingURL == "" {
		v.LandingURL = p.URL
	}
	v.PageCount++
	return s.keepPage(v.ID, p)
}

// keepPage adds a page view to the last maxPages.
func (s *step) keepPage(visitor string, p Page) error {
	key := []byte(keyVisitorPages(visitor))
	last, err := s.XLast(key)
	if err != nil {
		return err
	}
	id := keyspace.StreamID{Ms: uint64(p.At)}
	if id.Ms <= last.Ms {
		id = keyspace.StreamID{Ms: last.Ms, Seq: last.Seq + 1}
	}
	fields := pairs(field{"url", p.URL}, field{"title", p.Title}, field{"referrer", p.Referrer})
	if err := s.XAdd(key, id, fields); err != nil {
		return err
	}
	_, err = s.XTrimLen(key, maxPages, maxPages)
	return err
}

// runVisitorUpdate is VISITOR.UPDATE.
func runVisitorUpdate(s *step, args []string) (command.Reply, error) {
	o, err := parseVisitor(args[2:], varWords)
	if err != nil {
		return command.Reply{}, err
	}
	v, err := s.visitor(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	fields, err := applyFields(v, o)
	if err != nil {
		return command.Reply{}, err
	}
	vars, err := s.applyVars(v.ID, o.pairs("VAR"))
	if err != nil || !fields && !vars {
		return command.OK, err
	}
	return command.OK, s.emitVisitor(EventVisitorUpdated, v)
}

// runVisitorSeen is VISITOR.SEEN.
func runVisitorSeen(s *step, args []string) (command.Reply, error) {
	known := int64(0)
	for _, id := range args[1:] {
		v, ok, err := get[Visitor](s, keyVisitor(id))
		if err != nil {
			return command.Reply{}, err
		}
		if !ok {
			continue
		}
		known++
		if err := s.welcome(v); err != nil {
			return command.Reply{}, err
		}
	}
	return command.Int(known), nil
}

// welcome notes a sign of a visitor, and tells if he had left.
func (s *step) welcome(v *Visitor) error {
	returned, err := s.sighted(v)
	if err != nil || !returned {
		return err
	}
	return s.emitVisitor(EventVisitorUpdated, v)
}

// runVisitorRemove is VISITOR.REMOVE.
func runVisitorRemove(s *step, args []string) (command.Reply, error) {
	v, ok, err := get[Visitor](s, keyVisitor(args[1]))
	if err != nil || !ok {
		return command.Bool(false), err
	}
	var chats []string
	if err := s.ZEach([]byte(keyVisitorChats(v.ID)), 0, maxScore, false, func(id []byte, _ float64) bool {
		chats = append(chats, string(id))
		return true
	}); err != nil {
		return command.Reply{}, err
	}
	for _, id := range chats {
		c, err := s.chat(id)
		if err != nil {
			return command.Reply{}, err
		}
		if err := s.removeChat(c); err != nil {
			return command.Reply{}, err
		}
	}
	s.remove(keyVisitor(v.ID))
	s.Delete([]byte(keyVisitorVars(v.ID)))
	s.Delete([]byte(keyVisitorPages(v.ID)))
	shown := Visitor{ID: v.ID, Site: v.Site, Status: VisitorLeft, CreatedAt: v.CreatedAt, LastSeen: v.LastSeen,
		VisitAt: v.VisitAt, Visits: v.Visits, PageCount: v.PageCount, ChatCount: v.ChatCount}
	return command.Bool(true), s.emit(Event{Type: EventVisitorRemoved, Site: v.Site, Visitor: v.ID}, VisitorData{&shown})
}

var inviteWords = keywords{"TEXT": 1, "AGENT": 1, "RULE": 1, "ID": 1}

// runVisitorInvite is VISITOR.INVITE.
func runVisitorInvite(s *step, args []string) (command.Reply, error) {
	o, err := inviteWords.parse(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	v, err := s.visitor(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	if err := CheckMessage(o.text("TEXT")); err != nil {
		return command.Reply{}, err
	}
	if v.Chat != "" {
		return command.Reply{}, fail(CodeConflict, "visitor %q has a chat already", v.ID)
	}
	inv := &Invitation{Text: o.text("TEXT"), Agent: o.text("AGENT"), Rule: o.text("RULE"), State: InvitationSent, At: s.Now}
	if inv.ID, err = s.id("invitation", o); err != nil {
		return command.Reply{}, err
	}
	if err := s.checkInviter(v, inv); err != nil {
		return command.Reply{}, err
	}
	v.Invitation = inv
	data := InvitationData{ID: inv.ID, Text: inv.Text, Agent: inv.Agent, Rule: inv.Rule}
	return command.BulkString(inv.ID), s.emit(Event{Type: EventInvitationSent, Site: v.Site, Visitor: v.ID, Agent: inv.Agent}, data)
}

// checkInviter checks who invites, and notes the rule if one does.
func (s *step) checkInviter(v *Visitor, inv *Invitation) error {
	if inv.Agent != "" {
		a, err := s.agent(inv.Agent)
		if err != nil {
			return err
		}
		if a.Site != v.Site {
			return fail(CodeDenied, "agent %q belongs to another site than visitor %q", a.ID, v.ID)
		}
	}
	if inv.Rule == "" {
		return nil
	}
	if err := checkName("invitation rule", inv.Rule); err != nil {
		return err
	}
	if v.Invited == nil {
		v.Invited = map[string]int64{}
	}
	v.Invited[inv.Rule] = v.Visits
	return nil
}

// runVisitorAnswer is VISITOR.ANSWER.
func runVisitorAnswer(s *step, args []string) (command.Reply, error) {
	v, err := s.visitor(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	state := strings.ToLower(args[3])
	if state != InvitationAccepted && state != InvitationRefused {
		return command.Reply{}, fail(CodeInvalid, "%q is no answer; answers are %s and %s", clip(args[3], 80), InvitationAccepted, InvitationRefused)
	}
	inv := v.Invitation
	switch {
	case inv == nil || inv.ID != args[2]:
		return command.Reply{}, errNotFound("invitation", args[2])
	case inv.State == state:
		return command.OK, nil
	case inv.State != InvitationSent:
		return command.Reply{}, fail(CodeConflict, "invitation %q was %s already", inv.ID, inv.State)
	}
	inv.State = state
	accepted := state == InvitationAccepted
	data := InvitationData{ID: inv.ID, Text: inv.Text, Agent: inv.Agent, Rule: inv.Rule, Accepted: &accepted}
	return command.OK, s.emit(Event{Type: EventInvitationAnswered, Site: v.Site, Visitor: v.ID, Agent: inv.Agent}, data)
}

// runVisitorGet is VISITOR.GET.
func runVisitorGet(c *command.Call, args []string) (command.Reply, error) {
	v, ok, err := GetVisitor(c.Tx, args[1])
	if err != nil || !ok {
		return command.Null(), err
	}
	return replyVisitor(&v), nil
}

func replyVisitor(v *Visitor) command.Reply {
	vars := ""
	if len(v.Vars) > 0 {
		vars = toJSON(v.Vars)
	}
	return replyObject(v, field{"vars", vars})
}

var visitorListWords = keywords{
	"STATUS": 1, "SEGMENT": 1, "CAMPAIGN": 1, "DEPARTMENT": 1, "AGENT": 1, "PAGE": 1, "COUNTRY": 1, "LANGUAGE": 1,
	"GUID": 1, "NAME": 1, "EMAIL": 1, "VAR": -2, "CURSOR": 1, "COUNT": 1,
}

// runVisitorList is VISITOR.LIST.
func runVisitorList(c *command.Call, args []string) (command.Reply, error) {
	o, limit, err := listOptions(c, args, visitorListWords)
	if err != nil {
		return command.Reply{}, err
	}
	status, err := o.choice("STATUS", VisitorBrowsing, VisitorWaiting, VisitorChatting, VisitorOffline, VisitorLeft)
	if err != nil {
		return command.Reply{}, err
	}
	f := VisitorFilter{
		ID: o.text("GUID"), Status: status, Segment: o.text("SEGMENT"), Campaign: o.text("CAMPAIGN"),
		Department: o.text("DEPARTMENT"), Agent: o.text("AGENT"), Page: o.text("PAGE"), Country: o.text("COUNTRY"),
		Language: o.text("LANGUAGE"), Name: o.text("NAME"), Email: o.text("EMAIL"), Vars: o.pairs("VAR"),
	}
	visitors, next, err := ListVisitors(c.Tx, args[1], f, o.text("CURSOR"), limit)
	if err != nil {
		return command.Reply{}, err
	}
	replies := make([]command.Reply, len(visitors))
	for i := range visitors {
		replies[i] = replyVisitor(&visitors[i])
	}
	return replyPage(next, replies), nil
}

package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func (s *Server) visitorRoutes() {
	const tag = "visitor"
	register(s, endpoint{method: http.MethodPost, path: "/v1/visitor/page", id: "visitPage", tag: tag, who: forNewcomer,
		summary: "A visitor looks at a page: who he is and what he is to see"}, s.visitPage)
	register(s, endpoint{method: http.MethodPut, path: "/v1/visitor/variables", id: "setVariables", tag: tag, who: forVisitor,
		summary: "Sets custom variables and decides again"}, s.setVariables)
	register(s, endpoint{method: http.MethodPost, path: "/v1/visitor/chat/open", id: "openChat", tag: tag, who: forVisitor,
		summary: "The chat button was clicked: what the window is to show"}, s.openWindow)
	register(s, endpoint{method: http.MethodPost, path: "/v1/visitor/chat", id: "requestChat", tag: tag, who: forVisitor,
		summary: "Asks for a chat"}, s.requestChat)
	register(s, endpoint{method: http.MethodGet, path: "/v1/visitor/chat", id: "getVisitorChat", tag: tag, who: forVisitor,
		summary: "The visitor's present chat, else his last one, with its messages"}, s.visitorChat)
	register(s, endpoint{method: http.MethodPost, path: "/v1/visitor/chat/end", id: "endVisitorChat", tag: tag, who: forVisitor,
		summary: "Ends the chat"}, s.endVisitorChat)
	register(s, endpoint{method: http.MethodPost, path: "/v1/visitor/typing", id: "visitorTyping", tag: tag, who: forVisitor,
		summary: "The visitor writes"}, s.visitorTyping)
	register(s, endpoint{method: http.MethodPost, path: "/v1/visitor/invitation", id: "answerInvitation", tag: tag, who: forVisitor,
		summary: "The visitor's answer to an invitation"}, s.answerInvitation)
	s.raw(endpoint{method: http.MethodPost, path: "/v1/visitor/messages", id: "sendVisitorMessage", tag: tag, who: forVisitor,
		summary: "Sends a message"}, s.describeSend, s.sendVisitorMessage)
}

// pageInput is a page view.
type pageInput struct {
	Body struct {
		Site     string `json:"site" minLength:"1" maxLength:"64"`
		URL      string `json:"url" minLength:"1" maxLength:"8192"`
		Title    string `json:"title,omitempty" maxLength:"4096"`
		Referrer string `json:"referrer,omitempty" maxLength:"8192"`
		Language string `json:"language,omitempty" maxLength:"64" doc:"BCP 47; none: from Accept-Language"`
		Screen   string `json:"screen,omitempty" maxLength:"32" example:"1920x1080"`
		TimeZone string `json:"time_zone,omitempty" maxLength:"64" example:"Europe/Berlin"`
	}
}

// pageAnswer is what a page view answers.
type pageAnswer struct {
	Token   string         `json:"token" doc:"Authorises the visitor's calls for 30 days"`
	Visitor VisitorSelf    `json:"visitor"`
	New     bool           `json:"new" doc:"The visitor was not known before"`
	Chat    Nullable[Chat] `json:"chat"`
	Hosts   []string       `json:"hosts,omitempty" doc:"Base URLs at which browsers reach the group's nodes"`
	Decided
	Place
}

// visitPage is the seed's pageVisitor: the rules are evaluated here, and only
// their result goes to core.
func (s *Server) visitPage(ctx context.Context, c *call, in *pageInput) (*reply[pageAnswer], error) {
	body := &in.Body
	id, secret, err := s.pageVisitor(c, body.Site)
	if err != nil {
		return nil, err
	}
	if err := checkPageURL(body.URL); err != nil {
		return nil, err
	}
	sc, err := s.pageScene(ctx, c, body.Site, id)
	if err != nil {
		return nil, err
	}
	now := s.now()
	isNew := !sc.known
	fields := pageFields(c, in)
	upcoming(&sc, fields, in)
	d := sc.config.set.Decide(factsOf(&sc, now), now)

	var commands []command.Args
	if isNew {
		commands = append(commands, core.VisitorCreate{ID: id, Site: body.Site, Fields: fields}.Args())
		fields = nil
	}
	commands = append(commands, core.VisitorPage{
		ID: id, URL: clip(body.URL, 2048), Title: clip(body.Title, 512), Referrer: clip(body.Referrer, 2048),
		Fields: fields, Decisions: decisions(d),
	}.Args())
	invitation, commands, err := s.invite(c, id, sc.visitor.Chat != "", d, commands)
	if err != nil {
		return nil, err
	}
	replies, err := s.propose(ctx, c, commands...)
	if err != nil {
		return nil, err
	}
	if invitation, err = outcome(replies, isNew, invitation); err != nil {
		return nil, err
	}
	out := pageAnswer{
		New:     isNew,
		Token:   signVisitor(secret, visitorClaims{Site: body.Site, Visitor: id, Expires: now.Add(tokenLife).UnixMilli()}),
		Hosts:   s.cfg.Hosts(),
		Decided: s.decided(&sc, d, invitation),
	}
	err = s.node.View(func(tx *keyspace.Tx) error { return out.read(tx, body.Site, id) })
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// pageVisitor says which visitor views the page: the one of the token, or a
// new one.
func (s *Server) pageVisitor(c *call, site string) (id string, secret []byte, err error) {
	if secret, err = s.tokenKey(); err != nil {
		return "", nil, err
	}
	if c.visitor != nil {
		if c.visitor.Site != site {
			return "", nil, problem(codeTokenForeign, "this token belongs to another site; call without a token")
		}
		return c.visitor.Visitor, secret, nil
	}
	if c.key != "" {
		// Whoever repeats a key gets the token that its first use made. The
		// address goes in, so that a key alone is no key to a visitor.
		return deriveID(secret, "visitor", site, c.addr.String(), c.userAgent, c.key), secret, nil
	}
	v7, err := uuid.NewV7()
	return v7.String(), secret, err
}

// pageScene reads the scene for a page view. A visitor who is not known yet
// is no error: he is new, or was removed and comes back.
func (s *Server) pageScene(ctx context.Context, c *call, site, id string) (sc scene, err error) {
	var compile func() *siteConfig
	var siteKnown bool
	read := func(tx *keyspace.Tx) (bool, error) {
		var err error
		if sc, compile, siteKnown, err = s.readScene(tx, site, ""); err != nil || !siteKnown {
			return false, err
		}
		sc.visitor, sc.known, err = core.GetVisitor(tx, id)
		return sc.known || c.visitor == nil, err
	}
	if _, err = s.look(ctx, read); err != nil {
		return sc, err
	}
	if !siteKnown {
		return sc, unknownSite(site)
	}
	if sc.known && sc.visitor.Site != site {
		return sc, problem(codeTokenForeign, "this token belongs to another site; call without a token")
	}
	sc.config = compile()
	return sc, nil
}

// pageFields are the fields of a visitor that a page view tells.
func pageFields(c *call, in *pageInput) map[string]string {
	d := parseDevice(c.userAgent)
	language := in.Body.Language
	if language == "" {
		language = preferredLanguage(c.acceptLanguage)
	}
	fields := map[string]string{
		"language":   clip(language, 64),
		"screen":     clip(in.Body.Screen, 64),
		"time_zone":  clip(in.Body.TimeZone, 64),
		"user_agent": clip(c.userAgent, 1024),
		"browser":    clip(d.browser, 128),
		"os":         clip(d.os, 128),
		"device":     d.kind,
		"ip":         addressText(c.addr),
	}
	for name, value := range fields {
		if value == "" {
			delete(fields, name)
		}
	}
	return fields
}

// upcoming makes the visitor of a scene what the page view is about to make
// him, so that the rules see him on the new page.
func upcoming(sc *scene, fields map[string]string, in *pageInput) {
	v := &sc.visitor
	if !sc.known || v.Status == core.VisitorLeft {
		v.Visits++
		v.PageCount = 0
		v.VisitAt = 0
		v.LandingURL = in.Body.URL
		v.Status = core.VisitorBrowsing
	}
	v.PageCount++
	v.PageURL, v.PageTitle, v.Referrer = in.Body.URL, in.Body.Title, in.Body.Referrer
	for name, p := range map[string]*string{
		"language": &v.Language, "screen": &v.Screen, "time_zone": &v.TimeZone, "user_agent": &v.UserAgent,
		"browser": &v.Browser, "os": &v.OS, "device": &v.Device, "ip": &v.IP,
	} {
		if value, ok := fields[name]; ok {
			*p = value
		}
	}
}

// invite adds the command for an invitation that a rule decided on. Who is
// chatting is not invited.
func (s *Server) invite(c *call, visitor string, chatting bool, d rules.Decision, commands []command.Args) (*InvitationView, []command.Args, error) {
	if d.Invitation == nil || chatting {
		return nil, commands, nil
	}
	id, err := s.newID(c, "invitation", visitor)
	if err != nil {
		return nil, nil, err
	}
	commands = append(commands, core.VisitorInvite{Visitor: visitor, Text: d.Invitation.Text, Rule: d.Invitation.ID, ID: id}.Args())
	return &InvitationView{ID: id, Text: d.Invitation.Text, DelayS: d.Invitation.DelayS}, commands, nil
}

// checkPageURL refuses what is no address of a web page. Browsers' addresses
// need not be well formed beyond that.
func checkPageURL(text string) error {
	scheme, rest, _ := strings.Cut(text, "://")
	isWeb := strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
	if !isWeb || rest == "" || strings.ContainsAny(rest[:1], "/?#") || strings.ContainsFunc(text, unicode.IsControl) {
		return invalid("body.url", "must be the address of a page, https://… or http://…")
	}
	return nil
}

// outcome gives the first failure of a unit of commands. If created is set,
// the first command made the visitor: that he exists already is fine, the
// same call was made twice. If an invitation is given, the last command made
// it: one that core does not want now is just not shown.
func outcome(replies []command.Reply, created bool, invitation *InvitationView) (*InvitationView, error) {
	for i, r := range replies {
		err := r.Err()
		switch {
		case err == nil:
		case created && i == 0 && core.CodeOf(err) == core.CodeExists:
		case invitation != nil && i == len(replies)-1 && core.CodeOf(err) != "":
			invitation = nil
		default:
			return nil, err
		}
	}
	return invitation, nil
}

// decided puts a decision into the form that clients see.
func (s *Server) decided(sc *scene, d rules.Decision, invitation *InvitationView) Decided {
	return Decided{
		Campaign:     d.Campaign,
		Segments:     withoutNull(d.Segments),
		Route:        routeView(d.Route),
		Invitation:   orNull(invitation),
		Availability: s.available(sc, d.Route),
	}
}

// read completes the answer from the state after the page view.
func (a *pageAnswer) read(tx *keyspace.Tx, site, id string) error {
	v, _, err := core.GetVisitor(tx, id)
	if err != nil {
		return err
	}
	a.Visitor = VisitorSelf{ID: id, Name: v.Name, Status: v.Status}
	chat, err := ongoingChat(tx, &v)
	if err != nil {
		return err
	}
	a.Chat = orNull(chat)
	at, err := readPosition(tx, site)
	a.Place = at.place()
	return err
}

// ongoingChat gives a visitor's ongoing chat, nil if he has none.
func ongoingChat(tx *keyspace.Tx, v *core.Visitor) (*Chat, error) {
	if v.Chat == "" {
		return nil, nil
	}
	c, ok, err := core.GetChat(tx, v.Chat)
	if err != nil || !ok || !c.Ongoing() {
		return nil, err
	}
	chat, err := withName(tx, c)
	return &chat, err
}

// scene reads the scene of a visitor who has a token.
func (s *Server) scene(ctx context.Context, c *call) (sc scene, err error) {
	var compile func() *siteConfig
	found, err := s.look(ctx, func(tx *keyspace.Tx) (found bool, err error) {
		sc, compile, found, err = s.readScene(tx, c.visitor.Site, c.visitor.Visitor)
		return found, err
	})
	if err != nil {
		return sc, err
	}
	if !found {
		return sc, errVisitorGone()
	}
	sc.config = compile()
	return sc, nil
}

// errVisitorGone is the answer to a good token of a visitor who was removed.
func errVisitorGone() *Problem {
	return problem(codeUnauthorized, "this visitor is not known any more; POST /v1/visitor/page without a token begins anew")
}

// variablesInput is a set of custom variables.
type variablesInput struct {
	Body map[string]any `doc:"Names and values; a value is a string, a number or a boolean, null removes"`
}

func (s *Server) setVariables(ctx context.Context, c *call, in *variablesInput) (*reply[Decided], error) {
	vars, err := variables(in.Body)
	if err != nil {
		return nil, err
	}
	sc, err := s.scene(ctx, c)
	if err != nil {
		return nil, err
	}
	changed := setVars(&sc.visitor, vars)
	now := s.now()
	d := sc.config.set.Decide(factsOf(&sc, now), now)
	next := decisions(d)

	var commands []command.Args
	if changed || changes(&sc.visitor, next) {
		commands = append(commands, core.VisitorUpdate{ID: c.visitor.Visitor, Decisions: next, Vars: vars}.Args())
	}
	invitation, commands, err := s.invite(c, c.visitor.Visitor, sc.visitor.Chat != "", d, commands)
	if err != nil {
		return nil, err
	}
	if len(commands) > 0 {
		replies, err := s.propose(ctx, c, commands...)
		if err != nil {
			return nil, err
		}
		if invitation, err = outcome(replies, false, invitation); err != nil {
			return nil, err
		}
	}
	return answer(s.decided(&sc, d, invitation)), nil
}

// variables checks and writes values as texts.
func variables(in map[string]any) (map[string]string, error) {
	var items []ProblemItem
	out := make(map[string]string, len(in))
	if len(in) > core.MaxVars {
		return nil, invalid("body", fmt.Sprintf("at most %d variables", core.MaxVars))
	}
	for name, value := range in {
		at := "body." + clip(name, core.MaxVarName)
		if name == "" || len(name) > core.MaxVarName {
			items = append(items, ProblemItem{at, fmt.Sprintf("a name has 1 to %d bytes", core.MaxVarName)})
			continue
		}
		text, ok := variable(value)
		switch {
		case !ok:
			items = append(items, ProblemItem{at, "must be a string, a number or a boolean"})
		case len(text) > core.MaxVarValue:
			items = append(items, ProblemItem{at, fmt.Sprintf("a value has at most %d bytes", core.MaxVarValue)})
		default:
			out[name] = text
		}
	}
	if len(items) > 0 {
		return nil, problem(codeInvalidRequest, "some variables are not valid", items...)
	}
	return out, nil
}

func variable(value any) (text string, ok bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// setVars gives a visitor his new variables and says whether that changes any.
func setVars(v *core.Visitor, vars map[string]string) (changed bool) {
	merged := make(map[string]string, len(v.Vars)+len(vars))
	for name, value := range v.Vars {
		merged[name] = value
	}
	for name, value := range vars {
		if merged[name] == value {
			continue
		}
		changed = true
		if value == "" {
			delete(merged, name)
		} else {
			merged[name] = value
		}
	}
	v.Vars = merged
	return changed
}

// invitationInput is a visitor's answer to an invitation.
type invitationInput struct {
	Body struct {
		ID       string `json:"id" minLength:"1" maxLength:"64"`
		Accepted bool   `json:"accepted"`
	}
}

func (s *Server) answerInvitation(ctx context.Context, c *call, in *invitationInput) (*empty, error) {
	err := do(ctx, s, c, core.VisitorAnswer{Visitor: c.visitor.Visitor, Invitation: in.Body.ID, Accepted: in.Body.Accepted})
	return &empty{}, err
}

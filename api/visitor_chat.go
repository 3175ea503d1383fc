package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/valyala/fasthttp"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// States of the chat window.
const (
	windowKB      = "kb"      // articles first; next says what follows
	windowPrechat = "prechat" // the form
	windowChat    = "chat"
	windowOffline = "offline"
)

// windowView is what the chat window is to show.
type windowView struct {
	State    string    `json:"state" enum:"kb,prechat,chat,offline"`
	Next     string    `json:"next,omitempty" enum:"prechat,chat,offline" doc:"With kb: what follows the articles"`
	Form     *formView `json:"form,omitempty"`
	Articles []article `json:"articles,omitempty"`
}

type formView struct {
	Text   string      `json:"text,omitempty"`
	Fields []formField `json:"fields"`
}

// openAnswer is what opening the window answers.
type openAnswer struct {
	Window       windowView     `json:"window"`
	Campaign     string         `json:"campaign"`
	Route        RouteView      `json:"route"`
	Availability string         `json:"availability" enum:"online,offline"`
	Chat         Nullable[Chat] `json:"chat"`
}

// openInput has room for later.
type openInput struct {
	Body *struct{}
}

func (s *Server) openWindow(ctx context.Context, c *call, _ *openInput) (*reply[openAnswer], error) {
	sc, err := s.scene(ctx, c)
	if err != nil {
		return nil, err
	}
	d, err := s.decideAgain(ctx, c, &sc, nil)
	if err != nil {
		return nil, err
	}
	out := openAnswer{Campaign: d.Campaign, Route: routeView(d.Route), Availability: s.available(&sc, d.Route)}
	var chat *Chat
	err = s.node.View(func(tx *keyspace.Tx) (err error) {
		chat, err = ongoingChat(tx, &sc.visitor)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.Chat = orNull(chat)
	out.Window = window(sc.config.campaign(d.Campaign), chat != nil, out.Availability == "online")
	return answer(out), nil
}

// window says what the chat window shows.
func window(c *campaign, chatting, online bool) windowView {
	if chatting {
		return windowView{State: windowChat}
	}
	view := windowView{State: windowChat}
	switch form := c.prechat(); {
	case !online:
		view.State, view.Form = windowOffline, &formView{Fields: []formField{}}
		if c.Offline != nil {
			view.Form = &formView{Text: c.Offline.Text, Fields: append([]formField{}, c.Offline.Fields...)}
		}
	case form != nil:
		view.State, view.Form = windowPrechat, &formView{Fields: form.Fields}
	}
	if len(c.Articles) > 0 {
		view.Articles = c.Articles
		view.State, view.Next = windowKB, view.State
	}
	return view
}

// decideAgain evaluates the rules for a visitor on the spot and tells core
// only if something has changed. prechat are the answers of the form, if it
// is being handed in.
func (s *Server) decideAgain(ctx context.Context, c *call, sc *scene, prechat map[string]string) (rules.Decision, error) {
	d, next := s.decideOn(sc, prechat)
	if !changes(&sc.visitor, next) {
		return d, nil
	}
	err := do(ctx, s, c, core.VisitorUpdate{ID: c.visitor.Visitor, Decisions: next})
	return d, err
}

func (s *Server) decideOn(sc *scene, prechat map[string]string) (rules.Decision, *core.Decisions) {
	now := s.now()
	facts := factsOf(sc, now)
	facts.Prechat = prechat
	d := sc.config.set.Decide(facts, now)
	return d, decisions(d)
}

// requestInput asks for a chat.
type requestInput struct {
	Body struct {
		Prechat map[string]string `json:"prechat,omitempty" doc:"The form's answers by field id"`
	}
}

// requestAnswer is what asking for a chat answers.
type requestAnswer struct {
	Status string      `json:"status" enum:"offline,waiting,chatting,chatbot"`
	Chat   *Chat       `json:"chat,omitempty"`
	Queue  *core.Queue `json:"queue,omitempty" doc:"While waiting"`
}

func (s *Server) requestChat(ctx context.Context, c *call, in *requestInput) (*reply[requestAnswer], error) {
	sc, err := s.scene(ctx, c)
	if err != nil {
		return nil, err
	}
	if sc.visitor.Chat == "" {
		if err := s.checkAnswers(&sc, in.Body.Prechat); err != nil {
			return nil, err
		}
	}
	id, err := s.newID(c, "chat", c.visitor.Visitor)
	if err != nil {
		return nil, err
	}
	name, email := whoFrom(sc.config.campaign(sc.visitor.Campaign), in.Body.Prechat)
	if name != "" {
		sc.visitor.Name = name
	}
	if email != "" {
		sc.visitor.Email = email
	}
	_, next := s.decideOn(&sc, in.Body.Prechat)

	var commands []command.Args
	if changes(&sc.visitor, next) {
		commands = append(commands, core.VisitorUpdate{ID: c.visitor.Visitor, Decisions: next}.Args())
	}
	// Where to is in the route that the visitor has now. Core follows it as far
	// as what it names exists, while a department named here would have to.
	request := core.ChatRequest{
		Visitor: c.visitor.Visitor, Chat: id, Prechat: prechatJSON(in.Body.Prechat), Name: name, Email: email,
	}
	replies, err := s.propose(ctx, c, append(commands, request.Args())...)
	if err != nil {
		return nil, err
	}
	got, err := request.Result(replies[len(replies)-1])
	if err != nil {
		return nil, err
	}
	if got.Status == core.ChatOffline {
		if err := s.keepOffline(ctx, c, in.Body.Prechat); err != nil {
			return nil, err
		}
	}
	return s.requested(got)
}

// checkAnswers checks the answers of the form that the visitor was shown: the
// pre-chat form, or the offline form when nobody was there. Somebody may have
// come or gone meanwhile, so that the other one will do as well.
func (s *Server) checkAnswers(sc *scene, answers map[string]string) error {
	campaign := sc.config.campaign(sc.visitor.Campaign)
	d, _ := s.decideOn(sc, answers)
	prechat, offline := campaign.checkPrechat(answers), campaign.checkOffline(answers)
	switch {
	case prechat == nil || offline == nil:
		return nil
	case s.available(sc, d.Route) == "offline":
		return offline
	}
	return prechat
}

// offlineVar begins the names of the variables that an offline form's answers
// are kept in.
const offlineVar = "offline."

// keepOffline keeps what a visitor left when nobody was there with him, where
// agents, rules and webhooks see it.
func (s *Server) keepOffline(ctx context.Context, c *call, answers map[string]string) error {
	vars := map[string]string{}
	for id, text := range answers {
		if text = strings.TrimSpace(text); text != "" {
			vars[offlineVar+id] = text
		}
	}
	if len(vars) == 0 {
		return nil
	}
	return do(ctx, s, c, core.VisitorUpdate{ID: c.visitor.Visitor, Vars: vars})
}

// whoFrom takes a visitor's name and e-mail address from a form: the fields
// with those ids, or the first of type email.
func whoFrom(campaign *campaign, answers map[string]string) (name, email string) {
	name = clip(strings.TrimSpace(answers["name"]), 256)
	email = strings.TrimSpace(answers["email"])
	if form := campaign.prechat(); form != nil && email == "" {
		for _, f := range form.Fields {
			if f.Type == "email" && email == "" {
				email = strings.TrimSpace(answers[f.ID])
			}
		}
	}
	return name, clip(email, 256)
}

func prechatJSON(answers map[string]string) json.RawMessage {
	if len(answers) == 0 {
		return nil
	}
	return encode(answers)
}

// requested reads what a request for a chat has come to.
func (s *Server) requested(got core.Outcome) (*reply[requestAnswer], error) {
	out := requestAnswer{Status: got.Status}
	if got.Chat == "" {
		return answer(out), nil
	}
	err := s.node.View(func(tx *keyspace.Tx) error {
		c, ok, err := core.GetChat(tx, got.Chat)
		if err != nil || !ok {
			return err
		}
		chat, err := withName(tx, c)
		if err != nil {
			return err
		}
		out.Chat = &chat
		if got.Status != core.ChatWaiting {
			return nil
		}
		q, ok, err := core.QueuePosition(tx, got.Chat)
		if ok {
			out.Queue = &q
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// AfterSeq says from where messages are wanted.
type AfterSeq struct {
	After int64 `query:"after" minimum:"0" doc:"Messages with a seq above this one"`
	Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"1000"`
}

func (s *Server) visitorChat(ctx context.Context, c *call, in *AfterSeq) (*reply[chatState], error) {
	return s.stateOf(ctx, c, func(*Chat) (int64, int) { return in.After, in.Limit })
}

// stateOf reads a visitor's present or last chat, with the messages after
// some seq, at most so many: as page says when it has seen the chat.
func (s *Server) stateOf(ctx context.Context, c *call, page func(*Chat) (after int64, limit int)) (*reply[chatState], error) {
	out := chatState{Messages: []core.Message{}}
	found, err := s.look(ctx, func(tx *keyspace.Tx) (bool, error) {
		v, ok, err := core.GetVisitor(tx, c.visitor.Visitor)
		if err != nil || !ok {
			return false, err
		}
		at, err := readPosition(tx, c.visitor.Site)
		if err != nil {
			return false, err
		}
		out.Place = at.place()
		chat, err := lastChat(tx, &v)
		if err != nil || chat == nil {
			return true, err
		}
		out.Chat = orNull(chat)
		after, limit := page(chat)
		out.Messages, err = core.ChatMessages(tx, chat.ID, after, limit)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errVisitorGone()
	}
	return answer(out), nil
}

// lastChat gives a visitor's ongoing chat, else his last one, else nil.
func lastChat(tx *keyspace.Tx, v *core.Visitor) (*Chat, error) {
	if chat, err := ongoingChat(tx, v); chat != nil || err != nil {
		return chat, err
	}
	list, _, err := core.ListChats(tx, v.Site, core.ChatFilter{Visitor: v.ID}, "", 1)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	chat, err := withName(tx, list[0])
	return &chat, err
}

// endInput may say which message the client has last.
type endInput struct {
	After int64  `query:"after" minimum:"0" doc:"Messages with a seq above this one"`
	Chat  string `query:"chat" maxLength:"64" doc:"Ends this one and no other. None: the one that goes on when the call is carried out"`
	Body  *struct{}
}

// endVisitorChat ends the chat and answers the messages up to the end: of a
// long chat the last ones. A chat that has ended already stays as it is.
func (s *Server) endVisitorChat(ctx context.Context, c *call, in *endInput) (*reply[chatState], error) {
	chat, err := s.presentChat(ctx, c)
	if err != nil {
		return nil, err
	}
	if chat != "" && (in.Chat == "" || in.Chat == chat) {
		by := core.Party{Type: core.FromVisitor, ID: c.visitor.Visitor}
		if err := do(ctx, s, c, core.ChatEnd{Chat: chat, By: by}); err != nil {
			return nil, err
		}
	}
	return s.stateOf(ctx, c, func(chat *Chat) (int64, int) {
		return max(in.After, chat.LastSeq-core.MaxPage), core.MaxPage
	})
}

// presentChat gives the id of a visitor's ongoing chat, "" if he has none.
func (s *Server) presentChat(ctx context.Context, c *call) (chat string, err error) {
	found, err := s.look(ctx, func(tx *keyspace.Tx) (bool, error) {
		v, ok, err := core.GetVisitor(tx, c.visitor.Visitor)
		chat = v.Chat
		return ok, err
	})
	if err == nil && !found {
		err = errVisitorGone()
	}
	return chat, err
}

// visitorMessage is a visitor's message. One that is sent again may come
// when its chat has ended and another one goes on.
type visitorMessage struct {
	ClientID string `json:"client_id,omitempty" maxLength:"128" doc:"As in sendMessage"`
	Text     string `json:"text" doc:"Up to 16 384 bytes"`
	Chat     string `json:"chat,omitempty" maxLength:"64" doc:"The chat that it is for. None: the one that goes on, else the last one; a program that sends messages again should name it"`
}

// sendVisitorMessage answers POST /v1/visitor/messages.
func (s *Server) sendVisitorMessage(ctx *fasthttp.RequestCtx, c *call) error {
	in, err := decodeMessage[visitorMessage](ctx.PostBody())
	if err != nil {
		return err
	}
	sent, err := s.visitorSends(s.base, c, in.Chat, messageInput{ClientID: in.ClientID, Text: in.Text})
	if err != nil {
		return err
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(encode(sent))
	return nil
}

// visitorSends sends a message into a chat of the visitor's, or into the one
// that goes on if none is named.
func (s *Server) visitorSends(ctx context.Context, c *call, chat string, in messageInput) (core.Sent, error) {
	if err := in.check(c); err != nil {
		return core.Sent{}, err
	}
	chat, err := s.chatToWriteIn(ctx, c, chat)
	if err != nil {
		return core.Sent{}, err
	}
	sent, err := ask(ctx, s, c, core.ChatSend{
		Chat: chat, From: core.Party{Type: core.FromVisitor, ID: c.visitor.Visitor}, Text: in.Text, ClientID: in.ClientID,
	})
	return sent, chatEnded(err)
}

// chatToWriteIn gives the chat that the visitor named, if it is his. Without
// one it is his ongoing chat, else his last one: a message may be sent again
// after the end, and core knows it by its client id.
func (s *Server) chatToWriteIn(ctx context.Context, c *call, named string) (chat string, err error) {
	found, err := s.look(ctx, func(tx *keyspace.Tx) (bool, error) {
		v, ok, err := core.GetVisitor(tx, c.visitor.Visitor)
		if err == nil && ok && named != "" {
			return true, visitorsOwn(tx, &v, named, &chat)
		}
		if err != nil || !ok || v.Chat != "" {
			chat = v.Chat
			return ok, err
		}
		last, err := lastChat(tx, &v)
		if last != nil {
			chat = last.ID
		}
		return true, err
	})
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", errVisitorGone()
	case chat == "":
		return "", problem(codeConflict, "there is no chat; POST /v1/visitor/chat asks for one")
	}
	return chat, nil
}

// visitorsOwn sets chat to the chat of that id, which has to be the visitor's.
func visitorsOwn(tx *keyspace.Tx, v *core.Visitor, id string, chat *string) error {
	found, ok, err := core.GetChat(tx, id)
	if err != nil {
		return err
	}
	if !ok || found.Visitor != v.ID {
		return problem(codeNotFound, "the visitor has no such chat")
	}
	*chat = id
	return nil
}

// chatEnded gives the conflict of a message with a chat that is over its own
// code.
func chatEnded(err error) error {
	if core.CodeOf(err) == core.CodeConflict {
		return errEnded()
	}
	return err
}

func errEnded() *Problem { return problem(codeChatEnded, "the chat has ended") }

// describeSend completes the operation of sendVisitorMessage.
func (s *Server) describeSend(op *huma.Operation) { describeMessage[visitorMessage](s, op) }

// describeMessage completes the operation of a raw message call.
func describeMessage[T messageInput | visitorMessage](s *Server, op *huma.Operation) {
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: schemaOf[T](s)},
	}}
	op.Responses["200"] = &huma.Response{Description: http.StatusText(http.StatusOK), Content: map[string]*huma.MediaType{
		"application/json": {Schema: schemaOf[core.Sent](s)},
	}}
}

// typingBody is the body of a typing call.
type typingBody struct {
	Body typingInput
}

func (s *Server) visitorTyping(ctx context.Context, c *call, in *typingBody) (*empty, error) {
	chat, err := s.presentChat(ctx, c)
	if err != nil || chat == "" {
		return &empty{}, err
	}
	return &empty{}, s.typing.visitor(c.visitor.Site, c.visitor.Visitor, chat, in.Body)
}

package api

import (
	"context"
	"net/http"

	"github.com/valyala/fasthttp"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func (s *Server) chatRoutes() {
	const tag = "chat"
	get := func(path, id, summary string) endpoint {
		return endpoint{method: http.MethodGet, path: path, id: id, tag: tag, who: forAgent, summary: summary}
	}
	post := func(path, id, summary string) endpoint {
		return endpoint{method: http.MethodPost, path: path, id: id, tag: tag, who: forAgent, summary: summary}
	}
	register(s, get("/v1/chats", "listChats", "The site's chats: waiting, then chatting, then ended, newest first"), s.listChats)
	register(s, get("/v1/chats/{id}", "getChat", "A chat"), s.getChat)
	register(s, get("/v1/chats/{id}/messages", "getMessages", "A chat's messages, oldest first"), s.chatMessages)
	register(s, post("/v1/chats/{id}/accept", "acceptChat", "The agent has seen a chat of his, or takes a waiting one"), s.acceptChat)
	register(s, post("/v1/chats/{id}/transfer", "transferChat", "Gives a chat to a department or an agent"), s.transferChat)
	register(s, post("/v1/chats/{id}/end", "endChat", "Ends a chat"), s.endChat)
	register(s, post("/v1/chats/{id}/typing", "agentTyping", "The agent writes"), s.agentTyping)
	s.raw(post("/v1/chats/{id}/messages", "sendMessage", "Sends a message"), s.describeAgentSend, s.sendAgentMessage)
}

// chatsInput narrows the list of chats.
type chatsInput struct {
	Paging
	Status     string `query:"status" enum:"waiting,chatting,ended"`
	Agent      string `query:"agent" maxLength:"64"`
	Department string `query:"department" maxLength:"64"`
	Visitor    string `query:"visitor" maxLength:"64"`
}

// chatList is a part of the list of chats.
type chatList struct {
	Chats      []Chat `json:"chats"`
	NextCursor string `json:"next_cursor,omitempty" doc:"None: this is the end"`
}

func (s *Server) listChats(_ context.Context, c *call, in *chatsInput) (*reply[chatList], error) {
	filter := core.ChatFilter{Status: in.Status, Agent: in.Agent, Department: in.Department, Visitor: in.Visitor}
	out := chatList{Chats: []Chat{}}
	err := s.node.Walk(func(tx *keyspace.Tx) error {
		chats, next, err := core.ListChats(tx, c.agent.Site, filter, in.Cursor, in.Limit)
		if err != nil {
			return err
		}
		out.NextCursor = next
		for _, chat := range chats {
			named, err := withName(tx, chat)
			if err != nil {
				return err
			}
			out.Chats = append(out.Chats, named)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// siteChat reads a chat of the agent's site. Agents see all chats of their
// site; chats of other sites do not exist for them.
func (s *Server) siteChat(ctx context.Context, c *call, id string) (chat Chat, err error) {
	found, err := s.look(ctx, func(tx *keyspace.Tx) (bool, error) {
		got, ok, err := core.GetChat(tx, id)
		if err != nil || !ok || got.Site != c.agent.Site {
			return false, err
		}
		chat, err = withName(tx, got)
		return true, err
	})
	if err == nil && !found {
		err = problem(codeNotFound, "there is no such chat")
	}
	return chat, err
}

// ownChat reads a chat that the agent may act in: his own, or any if he is an
// admin.
func (s *Server) ownChat(ctx context.Context, c *call, id string) (Chat, error) {
	chat, err := s.siteChat(ctx, c, id)
	if err != nil {
		return Chat{}, err
	}
	if chat.Agent != c.agent.ID && c.agent.Role != core.RoleAdmin {
		return Chat{}, problem(codeForbidden, "this chat belongs to another agent")
	}
	return chat, nil
}

func (s *Server) getChat(ctx context.Context, c *call, in *PathID) (*reply[Chat], error) {
	chat, err := s.siteChat(ctx, c, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(chat), nil
}

// messagesInput says which messages are wanted.
type messagesInput struct {
	PathID
	AfterSeq
}

func (s *Server) chatMessages(ctx context.Context, c *call, in *messagesInput) (*reply[Messages], error) {
	if _, err := s.readableChat(ctx, c, in.ID); err != nil {
		return nil, err
	}
	var out Messages
	err := s.node.View(func(tx *keyspace.Tx) (err error) {
		out.Messages, err = core.ChatMessages(tx, in.ID, in.After, in.Limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// readableChat reads a chat whose messages the agent may read: one of his
// own, or one that waits for somebody; an admin reads all.
func (s *Server) readableChat(ctx context.Context, c *call, id string) (Chat, error) {
	chat, err := s.siteChat(ctx, c, id)
	if err != nil {
		return Chat{}, err
	}
	if chat.Status == core.ChatWaiting {
		return chat, nil
	}
	return s.ownChat(ctx, c, id)
}

// sendAgentMessage answers POST /v1/chats/{id}/messages.
func (s *Server) sendAgentMessage(ctx *fasthttp.RequestCtx, c *call) error {
	in, err := decodeMessage[messageInput](ctx.PostBody())
	if err != nil {
		return err
	}
	sent, err := s.agentSends(s.base, c, pathParam(ctx, "id"), in)
	if err != nil {
		return err
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(encode(sent))
	return nil
}

func (s *Server) agentSends(ctx context.Context, c *call, chat string, in messageInput) (core.Sent, error) {
	if err := in.check(c); err != nil {
		return core.Sent{}, err
	}
	if _, err := s.ownChat(ctx, c, chat); err != nil {
		return core.Sent{}, err
	}
	sent, err := ask(ctx, s, c, core.ChatSend{
		Chat: chat, From: core.Party{Type: core.FromAgent, ID: c.agent.ID}, Text: in.Text, ClientID: in.ClientID,
	})
	return sent, chatEnded(err)
}

// chatInput is a call about a chat that needs no body.
type chatInput struct {
	PathID
	Body *struct{}
}

func (s *Server) acceptChat(ctx context.Context, c *call, in *chatInput) (*reply[Chat], error) {
	chat, err := s.siteChat(ctx, c, in.ID)
	if err != nil {
		return nil, err
	}
	if !chat.Ongoing() {
		return nil, errEnded()
	}
	if err := do(ctx, s, c, core.ChatAccept{Chat: in.ID, Agent: c.agent.ID}); err != nil {
		return nil, err
	}
	return s.getChat(ctx, c, &in.PathID)
}

// transferInput says where a chat goes.
type transferInput struct {
	PathID
	Body struct {
		Department string `json:"department,omitempty" maxLength:"64"`
		Agent      string `json:"agent,omitempty" maxLength:"64"`
	}
}

// transferAnswer is where a chat went.
type transferAnswer struct {
	Status   string `json:"status" enum:"waiting,chatting,offline"`
	Chat     string `json:"chat"`
	Position int64  `json:"position,omitempty" doc:"In the queue, from 1"`
}

func (s *Server) transferChat(ctx context.Context, c *call, in *transferInput) (*reply[transferAnswer], error) {
	if in.Body.Department == "" && in.Body.Agent == "" {
		return nil, invalid("body", "needs a department or an agent")
	}
	chat, err := s.ownChat(ctx, c, in.ID)
	if err != nil {
		return nil, err
	}
	if !chat.Ongoing() {
		return nil, errEnded()
	}
	got, err := ask(ctx, s, c, core.ChatTransfer{
		Chat: in.ID, Department: in.Body.Department, Agent: in.Body.Agent, By: c.agent.ID,
	})
	if err != nil {
		return nil, err
	}
	return answer(transferAnswer{Status: got.Status, Chat: in.ID, Position: got.Position}), nil
}

func (s *Server) endChat(ctx context.Context, c *call, in *chatInput) (*reply[Chat], error) {
	if _, err := s.ownChat(ctx, c, in.ID); err != nil {
		return nil, err
	}
	by := core.Party{Type: core.FromAgent, ID: c.agent.ID}
	if err := do(ctx, s, c, core.ChatEnd{Chat: in.ID, By: by}); err != nil {
		return nil, err
	}
	return s.getChat(ctx, c, &in.PathID)
}

// agentTypingInput says that an agent writes.
type agentTypingInput struct {
	PathID
	Body struct {
		Typing bool `json:"typing"`
	}
}

func (s *Server) agentTyping(ctx context.Context, c *call, in *agentTypingInput) (*empty, error) {
	chat, err := s.ownChat(ctx, c, in.ID)
	if err != nil {
		return nil, err
	}
	return &empty{}, s.typing.agent(&chat.Chat, c.agent, in.Body.Typing)
}

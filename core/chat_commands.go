package core

import (
	"github.com/parlorchat/parlor/storage/command"
)

const maxPrechat = 16_384 // bytes of JSON

var (
	requestWords = keywords{"DEPARTMENT": 1, "AGENT": 1, "PRIORITY": 1, "PRECHAT": 1, "NAME": 1, "EMAIL": 1}
	targetWords  = keywords{"DEPARTMENT": 1, "AGENT": 1}
)

// runChatRequest is CHAT.REQUEST.
func runChatRequest(s *step, args []string) (command.Reply, error) {
	o, err := requestWords.parse(args[3:])
	if err != nil {
		return command.Reply{}, err
	}
	v, err := s.visitor(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	if err := s.welcome(v); err != nil {
		return command.Reply{}, err
	}
	if v.Chat != "" {
		return s.replyOutcome(v.Chat)
	}
	t, priority, err := s.checkRequest(v, args[2], o)
	if err != nil {
		return command.Reply{}, err
	}
	if err := s.introduce(v, o); err != nil {
		return command.Reply{}, err
	}
	a, waits, err := s.choose(t)
	if err != nil {
		return command.Reply{}, err
	}
	if a == nil && !waits {
		return s.nobodyThere(v)
	}
	c := s.begin(args[2], v, t.department)
	c.Priority = priority
	c.Prechat = raw(o.text("PRECHAT"))
	if err := s.place(c, a); err != nil {
		return command.Reply{}, err
	}
	return s.replyOutcome(c.ID)
}

// checkRequest checks what a request says and finds where it goes.
func (s *step) checkRequest(v *Visitor, chat string, o options) (t target, priority int64, err error) {
	if err := s.checkNewChat(chat); err != nil {
		return t, 0, err
	}
	if o.given("PRECHAT") {
		if err := checkObject("PRECHAT", o.text("PRECHAT"), maxPrechat); err != nil {
			return t, 0, err
		}
	}
	priority = DefaultPriority
	if v.Route != nil && v.Route.Priority != nil {
		priority = int64(*v.Route.Priority)
	}
	if priority, err = o.number("PRIORITY", priority, MinPriority, MaxPriority); err != nil {
		return t, 0, err
	}
	t, err = s.target(v, o.text("DEPARTMENT"), o.text("AGENT"))
	return t, priority, err
}

func (s *step) checkNewChat(id string) error {
	if err := checkID("chat", id); err != nil {
		return err
	}
	if s.exists(keyChat(id)) {
		return fail(CodeExists, "chat %q exists already; choose another id", id)
	}
	return nil
}

// introduce takes over who the visitor says he is.
func (s *step) introduce(v *Visitor, o options) error {
	changed := false
	for _, word := range []struct{ keyword, field string }{{"NAME", "name"}, {"EMAIL", "email"}} {
		value := o.text(word.keyword)
		if value == "" {
			continue
		}
		was := *v.textField(word.field)
		if err := setVisitorField(v, word.field, value); err != nil {
			return err
		}
		changed = changed || was != value
	}
	if !changed {
		return nil
	}
	return s.emitVisitor(EventVisitorUpdated, v)
}

// nobodyThere notes that a visitor asked for a chat in vain.
func (s *step) nobodyThere(v *Visitor) (command.Reply, error) {
	if v.Status != VisitorOffline {
		v.Status = VisitorOffline
		if err := s.emitVisitor(EventVisitorUpdated, v); err != nil {
			return command.Reply{}, err
		}
	}
	return Outcome{Status: ChatOffline}.reply(), nil
}

// place shows a new chat and gives it to an agent, or lets it wait if a is
// nil.
func (s *step) place(c *Chat, a *Agent) error {
	if err := s.emitChat(EventChatCreated, c, ChatData{}); err != nil {
		return err
	}
	if a != nil {
		return s.assign(c, a)
	}
	return s.enqueue(c)
}

func (s *step) replyOutcome(chat string) (command.Reply, error) {
	c, err := s.chat(chat)
	if err != nil {
		return command.Reply{}, err
	}
	o, err := s.outcome(c)
	return o.reply(), err
}

// runChatCreate is CHAT.CREATE.
func runChatCreate(s *step, args []string) (command.Reply, error) {
	o, err := targetWords.parse(args[3:])
	if err != nil {
		return command.Reply{}, err
	}
	if err := s.checkNewChat(args[1]); err != nil {
		return command.Reply{}, err
	}
	v, err := s.visitor(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if v.Chat != "" {
		return command.Reply{}, fail(CodeConflict, "visitor %q has chat %q already; end it first", v.ID, v.Chat)
	}
	t, err := s.target(v, o.text("DEPARTMENT"), o.text("AGENT"))
	if err != nil {
		return command.Reply{}, err
	}
	if t.agent != nil && t.agent.Chats >= t.agent.MaxChats {
		return command.Reply{}, errFull(t.agent)
	}
	if t.agent == nil && t.department == "" {
		return command.Reply{}, fail(CodeInvalid, "site %q has no department to wait in; make one or name an AGENT", v.Site)
	}
	if t.agent == nil {
		if t.agent, err = s.pick(t.department, ""); err != nil {
			return command.Reply{}, err
		}
	}
	if err := s.welcome(v); err != nil {
		return command.Reply{}, err
	}
	if err := s.place(s.begin(args[1], v, t.department), t.agent); err != nil {
		return command.Reply{}, err
	}
	return s.replyOutcome(args[1])
}

func errFull(a *Agent) error {
	return fail(CodeLimit, "agent %q has %d chats and may have %d; choose another or raise MAX-CHATS", a.ID, a.Chats, a.MaxChats)
}

// runChatAccept is CHAT.ACCEPT.
func runChatAccept(s *step, args []string) (command.Reply, error) {
	c, err := s.ongoing(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	a, err := s.agent(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	if a.Site != c.Site {
		return command.Reply{}, fail(CodeDenied, "chat %q belongs to another site than agent %q", c.ID, a.ID)
	}
	if c.Status == ChatWaiting {
		if a.Chats >= a.MaxChats {
			return command.Reply{}, errFull(a)
		}
		if err := s.assign(c, a); err != nil {
			return command.Reply{}, err
		}
	}
	if c.Agent != a.ID {
		return command.Reply{}, fail(CodeConflict, "chat %q is with agent %q; transfer it first", c.ID, c.Agent)
	}
	return command.OK, s.accept(c)
}

// accept notes that the agent of a chat has seen it.
func (s *step) accept(c *Chat) error {
	if c.AcceptedAt != 0 {
		return nil
	}
	c.AcceptedAt = s.Now
	return s.emitChat(EventChatAccepted, c, ChatData{})
}

// ongoing gives a chat that has not ended.
func (s *step) ongoing(id string) (*Chat, error) {
	c, err := s.chat(id)
	if err != nil {
		return nil, err
	}
	if !c.Ongoing() {
		return nil, fail(CodeConflict, "chat %q has ended", c.ID)
	}
	return c, nil
}

// runChatEnd is CHAT.END.
func runChatEnd(s *step, args []string) (command.Reply, error) {
	if len(args) > 5 {
		return command.Reply{}, command.ErrSyntax
	}
	if _, err := (keywords{"BY": 1}).parse(args[2:4]); err != nil {
		return command.Reply{}, err
	}
	c, err := s.chat(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	by := Party{Type: args[3]}
	if len(args) == 5 {
		by.ID = args[4]
	}
	if by, err = s.party(c, by); err != nil {
		return command.Reply{}, err
	}
	if !c.Ongoing() {
		return command.OK, nil
	}
	return command.OK, s.end(c, by)
}

var chatUpdateWords = keywords{"PRIORITY": 1, "VISITOR-NAME": 1}

// runChatUpdate is CHAT.UPDATE.
func runChatUpdate(s *step, args []string) (command.Reply, error) {
	o, err := chatUpdateWords.parse(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	c, err := s.chat(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	was := *c
	if c.Priority, err = o.number("PRIORITY", c.Priority, MinPriority, MaxPriority); err != nil {
		return command.Reply{}, err
	}
	if o.given("VISITOR-NAME") {
		c.VisitorName = o.text("VISITOR-NAME")
		if err := checkText("VISITOR-NAME", c.VisitorName, 256); err != nil {
			return command.Reply{}, err
		}
	}
	if c.Priority == was.Priority && c.VisitorName == was.VisitorName {
		return command.OK, nil
	}
	if c.Status == ChatWaiting {
		if err := s.noteQueue(c.Department); err != nil {
			return command.Reply{}, err
		}
		if _, err := s.ZAdd([]byte(keyQueue(c.Department)), []byte(c.ID), c.queueScore()); err != nil {
			return command.Reply{}, err
		}
	}
	return command.OK, s.emitChat(EventChatUpdated, c, ChatData{})
}

// runChatRemove is CHAT.REMOVE.
func runChatRemove(s *step, args []string) (command.Reply, error) {
	c, ok, err := get[Chat](s, keyChat(args[1]))
	if err != nil || !ok {
		return command.Bool(false), err
	}
	return command.Bool(true), s.removeChat(c)
}

// removeChat ends a chat if it is ongoing and takes it away with its messages.
func (s *step) removeChat(c *Chat) error {
	if c.Ongoing() {
		if err := s.end(c, Party{Type: FromSystem}); err != nil {
			return err
		}
	}
	s.remove(keyChat(c.ID))
	s.Delete([]byte(keyChatMessages(c.ID)))
	s.Delete([]byte(keyChatClients(c.ID)))
	return s.emit(aboutChat(EventChatRemoved, c), ChatData{})
}

var chatListWords = keywords{"STATUS": 1, "AGENT": 1, "DEPARTMENT": 1, "VISITOR": 1, "CURSOR": 1, "COUNT": 1}

// runChatList is CHAT.LIST.
func runChatList(c *command.Call, args []string) (command.Reply, error) {
	o, limit, err := listOptions(c, args, chatListWords)
	if err != nil {
		return command.Reply{}, err
	}
	status, err := o.choice("STATUS", ChatWaiting, ChatChatting, ChatEnded)
	if err != nil {
		return command.Reply{}, err
	}
	f := ChatFilter{Status: status, Agent: o.text("AGENT"), Department: o.text("DEPARTMENT"), Visitor: o.text("VISITOR")}
	chats, next, err := ListChats(c.Tx, args[1], f, o.text("CURSOR"), limit)
	if err != nil {
		return command.Reply{}, err
	}
	replies := make([]command.Reply, len(chats))
	for i := range chats {
		replies[i] = replyChat(&chats[i])
	}
	return replyPage(next, replies), nil
}

// runChatGet is CHAT.GET.
func runChatGet(c *command.Call, args []string) (command.Reply, error) {
	chat, ok, err := GetChat(c.Tx, args[1])
	if err != nil || !ok {
		return command.Null(), err
	}
	return replyChat(&chat), nil
}

func replyChat(c *Chat) command.Reply {
	return replyObject(c, field{"position", num(c.Position)})
}

var pageWords = keywords{"AFTER": 1, "LIMIT": 1}

// runChatMessages is CHAT.MESSAGES.
func runChatMessages(c *command.Call, args []string) (command.Reply, error) {
	after, limit, err := afterLimit(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	if _, ok, err := loadChat(c.Tx, args[1]); err != nil || !ok {
		return command.Null(), err
	}
	messages, err := ChatMessages(c.Tx, args[1], after, limit)
	if err != nil {
		return command.Reply{}, err
	}
	replies := make([]command.Reply, len(messages))
	for i, m := range messages {
		replies[i] = replyFields(
			field{"seq", num(m.Seq)}, field{"id", m.ID},
			field{"from_type", m.From.Type}, field{"from_id", m.From.ID}, field{"from_name", m.From.Name},
			field{"type", m.Type}, field{"text", m.Text}, field{"at", num(m.At)}, field{"client_id", m.ClientID})
	}
	return command.Array(replies...), nil
}

package core

// What can become of a chat: it is begun, assigned, queued, taken back and
// ended. Each of these keeps the agent's set, the department's queue and the
// visitor's status in step with the chat, and emits its event.

// begin makes a chat of a visitor; the caller places it.
func (s *step) begin(id string, v *Visitor, department string) *Chat {
	c := &Chat{
		ID: id, Site: v.Site, Visitor: v.ID, Department: department,
		Status: ChatWaiting, CreatedAt: s.Now, Priority: DefaultPriority,
		Campaign: v.Campaign, PageURL: v.PageURL, VisitorName: v.Name,
	}
	s.add(keyChat(id), c)
	v.Chat = id
	v.ChatCount++
	return c
}

// assign gives a chat that nobody has to an agent.
func (s *step) assign(c *Chat, a *Agent) error {
	if err := s.attach(c, a); err != nil {
		return err
	}
	return s.emitAssigned(c, a)
}

// attach is assign without its event.
func (s *step) attach(c *Chat, a *Agent) error {
	if err := s.leaveQueue(c); err != nil {
		return err
	}
	if _, err := s.SAdd([]byte(keyAgentChats(a.ID)), []byte(c.ID)); err != nil {
		return err
	}
	a.Chats++
	a.LastAssigned = s.Now
	c.Agent, c.Status, c.AssignedAt, c.AcceptedAt = a.ID, ChatChatting, s.Now, 0
	return s.follow(c)
}

func (s *step) emitAssigned(c *Chat, a *Agent) error {
	return s.emitChat(EventChatAssigned, c, ChatData{Agent: &Party{Type: FromAgent, ID: a.ID, Name: a.DisplayName()}})
}

// enqueue lets a chat that nobody has wait in its department's queue. At the
// end of the step, whoever has room takes it.
func (s *step) enqueue(c *Chat) error {
	if err := s.wait(c); err != nil {
		return err
	}
	return s.emitQueued(c)
}

// wait is enqueue without its event.
func (s *step) wait(c *Chat) error {
	c.Agent, c.Status, c.AssignedAt, c.AcceptedAt = "", ChatWaiting, 0, 0
	if err := s.noteQueue(c.Department); err != nil {
		return err
	}
	if _, err := s.ZAdd([]byte(keyQueue(c.Department)), []byte(c.ID), c.queueScore()); err != nil {
		return err
	}
	s.queued = append(s.queued, c.Department)
	return s.follow(c)
}

func (s *step) emitQueued(c *Chat) error {
	n, err := position(s.Tx, c)
	if err != nil {
		return err
	}
	s.told[c.ID] = n
	return s.emitChat(EventChatQueued, c, ChatData{Position: n})
}

// detach takes a chat from its agent, or out of its queue, and leaves it with
// nobody.
func (s *step) detach(c *Chat) error {
	if c.Status == ChatWaiting {
		return s.leaveQueue(c)
	}
	return s.free(c)
}

func (s *step) leaveQueue(c *Chat) error {
	if c.Status != ChatWaiting {
		return nil
	}
	if err := s.noteQueue(c.Department); err != nil {
		return err
	}
	_, err := s.ZRem([]byte(keyQueue(c.Department)), []byte(c.ID))
	return err
}

// free takes a chat from its agent, who has room for another then.
func (s *step) free(c *Chat) error {
	a, err := s.agent(c.Agent)
	if err != nil {
		return err
	}
	if _, err := s.SRem([]byte(keyAgentChats(a.ID)), []byte(c.ID)); err != nil {
		return err
	}
	a.Chats--
	s.freed = append(s.freed, a)
	return nil
}

// end ends an ongoing chat.
func (s *step) end(c *Chat, by Party) error {
	if c.Status == ChatChatting {
		if err := s.learnDuration(c); err != nil {
			return err
		}
	}
	if err := s.detach(c); err != nil {
		return err
	}
	c.Status, c.EndedAt, c.EndedBy = ChatEnded, s.Now, by.Type
	if err := s.follow(c); err != nil {
		return err
	}
	return s.emitChat(EventChatEnded, c, ChatData{By: &by})
}

// learnDuration moves the department's mean an eighth of the way to how long
// this chat kept its agent.
func (s *step) learnDuration(c *Chat) error {
	d, ok, err := get[Department](s, keyDepartment(c.Department))
	if err != nil || !ok {
		return err
	}
	took := s.Now - c.AssignedAt
	if d.AvgChatMS == 0 {
		d.AvgChatMS = took
	} else {
		d.AvgChatMS += (took - d.AvgChatMS) / 8
	}
	return nil
}

// follow lets the visitor's status follow his chat. Somebody who left stays
// so until there is a sign of him.
func (s *step) follow(c *Chat) error {
	v, err := s.visitor(c.Visitor)
	if err != nil {
		return err
	}
	if c.Ongoing() {
		v.Chat = c.ID
	} else {
		v.Chat = ""
	}
	if v.Status == VisitorLeft {
		return nil
	}
	return s.present(v)
}

// present gives the status of a visitor who is here.
func (s *step) present(v *Visitor) error {
	if v.Chat == "" {
		v.Status = VisitorBrowsing
		return nil
	}
	c, err := s.chat(v.Chat)
	if err != nil {
		return err
	}
	v.Status = c.Status
	return nil
}

// sighted notes a sign of a visitor; returned says that he had left.
func (s *step) sighted(v *Visitor) (returned bool, err error) {
	v.LastSeen = s.Now
	if v.Status != VisitorLeft {
		return false, nil
	}
	return true, s.present(v)
}

// requeue lets a chat whose agent is gone wait again, in its department or,
// if that is gone too, in the site's first. Where there is none, it ends.
func (s *step) requeue(c *Chat) error {
	if !s.exists(keyDepartment(c.Department)) {
		first, err := firstDepartment(s.Tx, c.Site)
		if err != nil {
			return err
		}
		if first == "" {
			return s.end(c, Party{Type: FromSystem})
		}
		c.Department = first
	}
	if err := s.detach(c); err != nil {
		return err
	}
	return s.enqueue(c)
}

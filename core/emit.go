package core

// emit appends an event to the site's stream. It is the only place that does:
// numbers are dense because each is the one after the last ever given.
func (s *step) emit(e Event, data any) error {
	key := []byte(keyEvents(e.Site))
	last, err := s.XLast(key)
	if err != nil {
		return err
	}
	fields := pairs(
		field{"type", e.Type}, field{"at", count(s.Now)}, field{"visitor", e.Visitor}, field{"chat", e.Chat},
		field{"agent", e.Agent}, field{"department", e.Department}, field{"data", toJSON(data)})
	return s.XAdd(key, seqID(int64(last.Ms)+1), fields)
}

func (s *step) emitSite(typ string, site *Site) error {
	shown := *site
	last, err := LastEvent(s.Tx, site.ID)
	if err != nil {
		return err
	}
	shown.LastEvent = last + 1
	return s.emit(Event{Type: typ, Site: site.ID}, SiteData{&shown})
}

func (s *step) emitDepartment(typ string, d *Department) error {
	shown := *d
	a, err := departmentAvailability(s.Tx, d.ID)
	if err != nil {
		return err
	}
	shown.Agents, shown.Online, shown.QueueLength = a.Members, a.Online, a.Waiting
	return s.emit(Event{Type: typ, Site: d.Site, Department: d.ID}, DepartmentData{&shown})
}

func (s *step) emitAgent(typ string, a *Agent) error {
	s.settleIdle(a)
	shown := *a
	departments, err := members(s.Tx, keyAgentDepartments(a.ID))
	if err != nil {
		return err
	}
	shown.Departments = append([]string{}, departments...)
	return s.emit(Event{Type: typ, Site: a.Site, Agent: a.ID}, AgentData{&shown})
}

// emitVisitor shows the visitor with his variables and without what explains
// the decisions, which is long.
func (s *step) emitVisitor(typ string, v *Visitor) error {
	shown := *v
	shown.Explain = nil
	vars, err := visitorVars(s.Tx, v.ID)
	if err != nil {
		return err
	}
	shown.Vars = vars
	return s.emit(Event{Type: typ, Site: v.Site, Visitor: v.ID, Chat: v.Chat}, VisitorData{&shown})
}

// emitChat shows the chat as it is now; the rest of data is the caller's.
func (s *step) emitChat(typ string, c *Chat, data ChatData) error {
	shown := *c
	data.Chat = &shown
	return s.emit(aboutChat(typ, c), data)
}

func aboutChat(typ string, c *Chat) Event {
	return Event{Type: typ, Site: c.Site, Visitor: c.Visitor, Chat: c.ID, Agent: c.Agent, Department: c.Department}
}

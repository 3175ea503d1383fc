package core

import (
	"slices"

	"github.com/parlorchat/parlor/storage/command"
)

var transferWords = keywords{"DEPARTMENT": 1, "AGENT": 1, "BY": 1}

// runChatTransfer is CHAT.TRANSFER.
func runChatTransfer(s *step, args []string) (command.Reply, error) {
	o, err := transferWords.parse(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	department, agent := o.text("DEPARTMENT"), o.text("AGENT")
	if department == "" && agent == "" {
		return command.Reply{}, fail("ERR", "syntax error: DEPARTMENT or AGENT is needed")
	}
	c, err := s.ongoing(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	if err := s.mayTransfer(c, o.text("BY")); err != nil {
		return command.Reply{}, err
	}
	t, err := s.named(c.Site, department, agent)
	if err != nil {
		return command.Reply{}, err
	}
	if t.agent != nil {
		err = s.checkReceiver(c, t.agent)
		if department == "" {
			t.department, err = s.keepDepartment(c, t, err)
		}
	} else {
		t.agent, err = s.receiver(c, t.department)
	}
	if err != nil {
		return command.Reply{}, err
	}
	if err := s.move(c, t); err != nil {
		return command.Reply{}, err
	}
	return s.replyOutcome(c.ID)
}

// mayTransfer checks that who transfers a chat has it, or is an admin, or, if
// it waits, belongs to its department.
func (s *step) mayTransfer(c *Chat, by string) error {
	if by == "" {
		return nil
	}
	a, err := s.agent(by)
	if err != nil {
		return err
	}
	member, err := s.SHas([]byte(keyDepartmentAgents(c.Department)), []byte(a.ID))
	if err != nil {
		return err
	}
	switch {
	case a.Site != c.Site:
	case a.Role == RoleAdmin, a.ID == c.Agent, c.Status == ChatWaiting && member:
		return nil
	}
	return fail(CodeDenied, "agent %q does not have chat %q and is no admin", a.ID, c.ID)
}

// checkReceiver checks that an agent can take a chat over.
func (s *step) checkReceiver(c *Chat, a *Agent) error {
	switch {
	case a.ID == c.Agent:
		return fail(CodeConflict, "agent %q has chat %q already", a.ID, c.ID)
	case !a.here():
		return fail(CodeConflict, "agent %q is not there; choose somebody who is online", a.ID)
	case !a.eligible():
		return errFull(a)
	}
	return nil
}

// keepDepartment leaves a chat that goes to an agent in its department if he
// belongs to it, else it goes to his first one. err is passed through.
func (s *step) keepDepartment(c *Chat, t target, err error) (string, error) {
	if err != nil {
		return "", err
	}
	ids, err := members(s.Tx, keyAgentDepartments(t.agent.ID))
	if slices.Contains(ids, c.Department) || len(ids) == 0 {
		return c.Department, err
	}
	return ids[0], err
}

// receiver finds who in a department takes a chat over; nil: it waits there.
func (s *step) receiver(c *Chat, department string) (*Agent, error) {
	if c.Status == ChatWaiting && c.Department == department {
		return nil, fail(CodeConflict, "chat %q waits in department %q already", c.ID, department)
	}
	a, err := s.pick(department, c.Agent)
	if err != nil || a != nil {
		return a, err
	}
	here, err := s.anyoneHere(department, c.Agent)
	if err != nil {
		return nil, err
	}
	if !here {
		return nil, fail(CodeConflict, "nobody else is online in department %q; chat %q stays where it is", department, c.ID)
	}
	member, err := s.SHas([]byte(keyDepartmentAgents(department)), []byte(c.Agent))
	if err == nil && member {
		err = fail(CodeLimit, "everybody else in department %q is full; chat %q stays where it is", department, c.ID)
	}
	return nil, err
}

// move takes a chat from where it is and gives it to a target.
func (s *step) move(c *Chat, t target) error {
	from := Origin{Agent: c.Agent, Department: c.Department}
	if err := s.detach(c); err != nil {
		return err
	}
	c.Department = t.department
	if t.agent == nil {
		if err := s.wait(c); err != nil {
			return err
		}
	} else if err := s.attach(c, t.agent); err != nil {
		return err
	}
	if err := s.emitChat(EventChatTransferred, c, ChatData{From: &from}); err != nil {
		return err
	}
	if t.agent == nil {
		return s.emitQueued(c)
	}
	return s.emitAssigned(c, t.agent)
}

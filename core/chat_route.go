package core

import "github.com/parlorchat/parlor/storage/keyspace"

// target is where a chat is to go.
type target struct {
	department string // "": there is no queue to wait in
	agent      *Agent // nil: any of the department
}

// target finds where a visitor's chat goes: where the command says, else
// where his route says, else to the site's first department.
func (s *step) target(v *Visitor, department, agent string) (target, error) {
	if department == "" && agent == "" {
		return s.routed(v)
	}
	return s.named(v.Site, department, agent)
}

// named checks the department and agent that a command names.
func (s *step) named(site, department, agent string) (t target, err error) {
	if department != "" {
		d, err := s.department(department)
		if err != nil {
			return t, err
		}
		if d.Site != site {
			return t, fail(CodeInvalid, "department %q belongs to another site than the visitor", department)
		}
		t.department = department
	}
	if agent != "" {
		if t.agent, err = s.agent(agent); err != nil {
			return t, err
		}
		if t.agent.Site != site {
			return t, fail(CodeInvalid, "agent %q belongs to another site than the visitor", agent)
		}
	}
	return s.withQueue(t)
}

// routed follows a visitor's route as far as what it names still exists.
func (s *step) routed(v *Visitor) (t target, err error) {
	if r := v.Route; r != nil {
		if d, ok, err := get[Department](s, keyDepartment(r.Department)); err != nil {
			return t, err
		} else if ok && d.Site == v.Site {
			t.department = d.ID
		}
		if r.Agent != "" && s.exists(keyAgent(r.Agent)) {
			a, err := s.agent(r.Agent)
			if err != nil {
				return t, err
			}
			if a.Site == v.Site {
				t.agent = a
			}
		}
	}
	if t.department == "" && t.agent == nil {
		t.department, err = firstDepartment(s.Tx, v.Site)
		return t, err
	}
	return s.withQueue(t)
}

// withQueue gives a target without a department the agent's first one.
func (s *step) withQueue(t target) (target, error) {
	if t.department != "" || t.agent == nil {
		return t, nil
	}
	ids, err := members(s.Tx, keyAgentDepartments(t.agent.ID))
	if len(ids) > 0 {
		t.department = ids[0]
	}
	return t, err
}

func firstDepartment(tx *keyspace.Tx, site string) (string, error) {
	ids, err := members(tx, keySiteDepartments(site))
	if len(ids) == 0 {
		return "", err
	}
	return ids[0], err
}

// choose decides what becomes of a chat that goes to a target: an agent takes
// it, it waits, or nobody is there.
func (s *step) choose(t target) (a *Agent, waits bool, err error) {
	if t.agent != nil && t.agent.eligible() {
		return t.agent, false, nil
	}
	if t.department == "" {
		return nil, false, nil
	}
	if a, err = s.pick(t.department, ""); err != nil || a != nil {
		return a, false, err
	}
	waits, err = s.anyoneHere(t.department, "")
	return nil, waits, err
}

// outcome says where a chat is.
func (s *step) outcome(c *Chat) (Outcome, error) {
	o := Outcome{Status: c.Status, Chat: c.ID}
	var err error
	if c.Status == ChatWaiting {
		o.Position, err = position(s.Tx, c)
	}
	return o, err
}

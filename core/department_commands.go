package core

import "github.com/parlorchat/parlor/storage/command"

var nameWords = keywords{"NAME": 1}

// runDepartmentCreate is DEPARTMENT.CREATE.
func runDepartmentCreate(s *step, args []string) (command.Reply, error) {
	o, err := nameWords.parse(args[3:])
	if err != nil {
		return command.Reply{}, err
	}
	site, err := s.site(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	return command.OK, s.createDepartment(args[1], site, o.text("NAME"))
}

func (s *step) createDepartment(id string, site *Site, name string) error {
	if err := checkName("department", id); err != nil {
		return err
	}
	if s.exists(keyDepartment(id)) {
		return fail(CodeExists, "department %q exists already; ids are shared by all sites", id)
	}
	if name == "" {
		name = id
	}
	if err := checkText("NAME", name, maxName); err != nil {
		return err
	}
	d := &Department{ID: id, Site: site.ID, Name: name, CreatedAt: s.Now}
	s.add(keyDepartment(id), d)
	if _, err := s.SAdd([]byte(keySiteDepartments(site.ID)), []byte(id)); err != nil {
		return err
	}
	return s.emitDepartment(EventDepartmentCreated, d)
}

// runDepartmentRemove is DEPARTMENT.REMOVE. Chats that go on keep its id; its
// agents stay.
func runDepartmentRemove(s *step, args []string) (command.Reply, error) {
	d, ok, err := get[Department](s, keyDepartment(args[1]))
	if err != nil || !ok {
		return command.Bool(false), err
	}
	waiting, err := s.ZLen([]byte(keyQueue(d.ID)))
	if err != nil {
		return command.Reply{}, err
	}
	if waiting > 0 {
		return command.Reply{}, fail(CodeConflict, "%d chats wait in department %q; transfer or end them first", waiting, d.ID)
	}
	agents, err := s.members(d.ID)
	if err != nil {
		return command.Reply{}, err
	}
	s.remove(keyDepartment(d.ID))
	s.Delete([]byte(keyDepartmentAgents(d.ID)))
	if _, err := s.SRem([]byte(keySiteDepartments(d.Site)), []byte(d.ID)); err != nil {
		return command.Reply{}, err
	}
	if err := s.emitDepartment(EventDepartmentRemoved, d); err != nil {
		return command.Reply{}, err
	}
	for _, a := range agents {
		if _, err := s.SRem([]byte(keyAgentDepartments(a.ID)), []byte(d.ID)); err != nil {
			return command.Reply{}, err
		}
		if err := s.emitAgent(EventAgentUpdated, a); err != nil {
			return command.Reply{}, err
		}
	}
	return command.Bool(true), nil
}

// runDepartmentList is DEPARTMENT.LIST.
func runDepartmentList(c *command.Call, args []string) (command.Reply, error) {
	if err := knownSite(c, args[1]); err != nil {
		return command.Reply{}, err
	}
	departments, err := ListDepartments(c.Tx, args[1])
	if err != nil {
		return command.Reply{}, err
	}
	replies := make([]command.Reply, len(departments))
	for i := range departments {
		d := &departments[i]
		replies[i] = replyObject(d, field{"agents", count(d.Agents)}, field{"online", count(d.Online)},
			field{"queue_length", count(d.QueueLength)})
	}
	return command.Array(replies...), nil
}

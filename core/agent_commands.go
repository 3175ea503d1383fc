package core

import (
	"slices"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

const maxMaxChats = 1000

var agentWords = keywords{"NAME": 1, "PASSWORD": 1, "PASSWORD-HASH": 1, "ROLE": 1, "MAX-CHATS": 1, "DEPARTMENTS": 1}

// preparePassword is a Prepare that puts PASSWORD-HASH in the place of
// PASSWORD: a hash is salted, so it must be made once, and no password may
// stand in the log. first is where the keywords k begin; each has one value.
func preparePassword(first int, k keywords) func([][]byte) ([][]byte, error) {
	return func(args [][]byte) ([][]byte, error) {
		if len(args) < first {
			return args, nil
		}
		o, err := k.parse(texts(args[first:]))
		if err != nil {
			return nil, err
		}
		if o.given("PASSWORD-HASH") {
			if _, err := parsePHC(o.text("PASSWORD-HASH")); err != nil {
				return nil, err
			}
		}
		if !o.given("PASSWORD") {
			return args, nil
		}
		if o.given("PASSWORD-HASH") {
			return nil, fail("ERR", "syntax error: give PASSWORD or PASSWORD-HASH, not both")
		}
		hash, err := HashPassword(o.text("PASSWORD"))
		if err != nil {
			return nil, err
		}
		out := slices.Clone(args)
		for i := first; i+1 < len(out); i += 2 {
			if strings.EqualFold(string(out[i]), "PASSWORD") {
				out[i], out[i+1] = []byte("PASSWORD-HASH"), []byte(hash)
			}
		}
		return out, nil
	}
}

// runAgentCreate is AGENT.CREATE.
func runAgentCreate(s *step, args []string) (command.Reply, error) {
	o, err := agentWords.parse(args[3:])
	if err != nil {
		return command.Reply{}, err
	}
	site, err := s.site(args[2])
	if err != nil {
		return command.Reply{}, err
	}
	return command.OK, s.createAgent(args[1], site, o)
}

func (s *step) createAgent(id string, site *Site, o options) error {
	if err := checkName("agent", id); err != nil {
		return err
	}
	if s.exists(keyAgent(id)) {
		return fail(CodeExists, "agent %q exists already; ids are shared by all sites", id)
	}
	a := &Agent{ID: id, Site: site.ID, Name: id, Role: RoleAgent, Status: AgentOffline, MaxChats: DefaultMaxChats, CreatedAt: s.Now}
	s.add(keyAgent(id), a)
	if _, err := s.applyAgent(a, o); err != nil {
		return err
	}
	if _, err := s.SAdd([]byte(keySiteAgents(site.ID)), []byte(id)); err != nil {
		return err
	}
	return s.emitAgent(EventAgentCreated, a)
}

// applyAgent takes over what a command says of an agent.
func (s *step) applyAgent(a *Agent, o options) (changed bool, err error) {
	was := *a
	if o.given("NAME") {
		a.Name = o.text("NAME")
		if err := checkText("NAME", a.Name, maxName); err != nil {
			return false, err
		}
	}
	if o.given("ROLE") {
		a.Role = o.text("ROLE")
		if a.Role != RoleAgent && a.Role != RoleAdmin {
			return false, fail(CodeInvalid, "ROLE %q is not known; known are %s and %s", clip(a.Role, 80), RoleAgent, RoleAdmin)
		}
	}
	if a.MaxChats, err = o.number("MAX-CHATS", a.MaxChats, 0, maxMaxChats); err != nil {
		return false, err
	}
	changed = a.Name != was.Name || a.Role != was.Role || a.MaxChats != was.MaxChats
	password, err := s.setPassword(a, o)
	if err != nil {
		return false, err
	}
	departments, err := s.setDepartments(a, o)
	return changed || password || departments, err
}

// setPassword stores the hash that a command carries.
func (s *step) setPassword(a *Agent, o options) (changed bool, err error) {
	if o.given("PASSWORD") {
		return false, fail("ERR", "PASSWORD has to be hashed before the log: give PASSWORD-HASH")
	}
	hash := o.text("PASSWORD-HASH")
	if hash == "" {
		return false, nil
	}
	if !strings.HasPrefix(hash, "$argon2id$") {
		return false, fail(CodeInvalid, "PASSWORD-HASH is not an argon2id hash in PHC form")
	}
	return true, setHash(s.Tx, keyPassword(a.ID), field{"password", hash}, field{"password_at", count(s.Now)})
}

// setDepartments makes an agent a member of exactly the departments that a
// command names.
func (s *step) setDepartments(a *Agent, o options) (changed bool, err error) {
	if !o.given("DEPARTMENTS") {
		return false, nil
	}
	want, err := splitNames("department", o.text("DEPARTMENTS"))
	if err != nil {
		return false, err
	}
	have, err := members(s.Tx, keyAgentDepartments(a.ID))
	if err != nil {
		return false, err
	}
	for _, id := range have {
		if slices.Contains(want, id) {
			continue
		}
		changed = true
		if err := s.leaveDepartment(a, id); err != nil {
			return false, err
		}
	}
	for _, id := range want {
		joined, err := s.joinDepartment(a, id)
		if err != nil {
			return false, err
		}
		changed = changed || joined
	}
	return changed, nil
}

func (s *step) joinDepartment(a *Agent, id string) (joined bool, err error) {
	d, err := s.department(id)
	if err != nil {
		return false, err
	}
	if d.Site != a.Site {
		return false, fail(CodeInvalid, "department %q belongs to another site than agent %q", id, a.ID)
	}
	if _, err := s.SAdd([]byte(keyDepartmentAgents(id)), []byte(a.ID)); err != nil {
		return false, err
	}
	return s.SAdd([]byte(keyAgentDepartments(a.ID)), []byte(id))
}

func (s *step) leaveDepartment(a *Agent, id string) error {
	if _, err := s.SRem([]byte(keyDepartmentAgents(id)), []byte(a.ID)); err != nil {
		return err
	}
	_, err := s.SRem([]byte(keyAgentDepartments(a.ID)), []byte(id))
	return err
}

// runAgentUpdate is AGENT.UPDATE. An agent who may have more chats than
// before, or is in more departments, takes waiting ones.
func runAgentUpdate(s *step, args []string) (command.Reply, error) {
	o, err := agentWords.parse(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	a, err := s.agent(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	changed, err := s.applyAgent(a, o)
	if err != nil || !changed {
		return command.OK, err
	}
	s.freed = append(s.freed, a)
	return command.OK, s.emitAgent(EventAgentUpdated, a)
}

// runAgentStatus is AGENT.STATUS.
func runAgentStatus(s *step, args []string) (command.Reply, error) {
	status := args[2]
	if status != AgentOnline && status != AgentAway && status != AgentOffline {
		return command.Reply{}, fail(CodeInvalid, "status %q is not known; known are online, away and offline", clip(status, 80))
	}
	a, err := s.agent(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	was := *a
	a.Status = status
	if status != AgentOffline {
		a.Connected, a.SeenAt = true, s.Now
	}
	return command.OK, s.presenceChanged(a, was)
}

// runAgentSeen is AGENT.SEEN.
func runAgentSeen(s *step, args []string) (command.Reply, error) {
	known := int64(0)
	for _, id := range args[1:] {
		if !s.exists(keyAgent(id)) {
			continue
		}
		a, err := s.agent(id)
		if err != nil {
			return command.Reply{}, err
		}
		known++
		was := *a
		a.Connected, a.SeenAt = true, s.Now
		if err := s.presenceChanged(a, was); err != nil {
			return command.Reply{}, err
		}
	}
	return command.Int(known), nil
}

// presenceChanged tells that an agent came or went; who came takes waiting
// chats.
func (s *step) presenceChanged(a *Agent, was Agent) error {
	if a.Status == was.Status && a.Connected == was.Connected {
		return nil
	}
	s.freed = append(s.freed, a)
	return s.emitAgent(EventAgentStatusChanged, a)
}

// runAgentRemove is AGENT.REMOVE.
func runAgentRemove(s *step, args []string) (command.Reply, error) {
	if !s.exists(keyAgent(args[1])) {
		return command.Bool(false), nil
	}
	a, err := s.agent(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	departments, err := members(s.Tx, keyAgentDepartments(a.ID))
	if err != nil {
		return command.Reply{}, err
	}
	for _, id := range departments {
		if err := s.leaveDepartment(a, id); err != nil {
			return command.Reply{}, err
		}
	}
	if err := s.returnChats(a); err != nil {
		return command.Reply{}, err
	}
	if _, err := s.SRem([]byte(keySiteAgents(a.Site)), []byte(a.ID)); err != nil {
		return command.Reply{}, err
	}
	if err := s.emitAgent(EventAgentRemoved, a); err != nil {
		return command.Reply{}, err
	}
	s.remove(keyAgent(a.ID))
	for _, key := range []string{keyAgentChats(a.ID), keyAgentDepartments(a.ID), keyAgentMessages(a.ID), keyAgentClients(a.ID), keyPassword(a.ID)} {
		s.Delete([]byte(key))
	}
	return command.Bool(true), nil
}

// returnChats puts an agent's chats back into their queues.
func (s *step) returnChats(a *Agent) error {
	ids, err := members(s.Tx, keyAgentChats(a.ID))
	if err != nil {
		return err
	}
	for _, id := range ids {
		c, err := s.chat(id)
		if err != nil {
			return err
		}
		if err := s.requeue(c); err != nil {
			return err
		}
	}
	return nil
}

// runAgentGet is AGENT.GET.
func runAgentGet(c *command.Call, args []string) (command.Reply, error) {
	a, ok, err := GetAgent(c.Tx, args[1])
	if err != nil || !ok {
		return command.Null(), err
	}
	return replyAgent(&a), nil
}

func replyAgent(a *Agent) command.Reply {
	return replyObject(a, field{"departments", list(a.Departments)}, field{"chats", count(a.Chats)})
}

var agentListWords = keywords{"DEPARTMENT": 1, "STATUS": 1, "CURSOR": 1, "COUNT": 1}

// runAgentList is AGENT.LIST.
func runAgentList(c *command.Call, args []string) (command.Reply, error) {
	o, limit, err := listOptions(c, args, agentListWords)
	if err != nil {
		return command.Reply{}, err
	}
	status, err := o.choice("STATUS", AgentOnline, AgentAway, AgentOffline)
	if err != nil {
		return command.Reply{}, err
	}
	cursor := o.text("CURSOR")
	if cursor == "0" {
		cursor = ""
	}
	agents, next, err := ListAgents(c.Tx, args[1], AgentFilter{o.text("DEPARTMENT"), status}, cursor, limit)
	if err != nil {
		return command.Reply{}, err
	}
	replies := make([]command.Reply, len(agents))
	for i := range agents {
		replies[i] = replyAgent(&agents[i])
	}
	return replyPage(next, replies), nil
}

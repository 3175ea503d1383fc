package core

import "math"

// dispatch gives waiting chats to whoever the step made room for.
func (s *step) dispatch() error {
	for _, a := range s.freed {
		if err := s.fill(a); err != nil {
			return err
		}
	}
	for _, department := range s.queued {
		if err := s.drain(department); err != nil {
			return err
		}
	}
	return nil
}

// fill gives an agent waiting chats of his departments, the best one first,
// until he is full or nobody waits.
func (s *step) fill(a *Agent) error {
	if r := s.records[keyAgent(a.ID)]; r.removed || !a.eligible() {
		return nil
	}
	departments, err := members(s.Tx, keyAgentDepartments(a.ID))
	if err != nil {
		return err
	}
	for a.eligible() {
		c, err := s.firstWaiting(departments)
		if err != nil || c == nil {
			return err
		}
		if err := s.assign(c, a); err != nil {
			return err
		}
	}
	return nil
}

// drain gives the waiting chats of a department to its agents while any has
// room.
func (s *step) drain(department string) error {
	for {
		c, err := s.firstWaiting([]string{department})
		if err != nil || c == nil {
			return err
		}
		a, err := s.pick(department, "")
		if err != nil || a == nil {
			return err
		}
		if err := s.assign(c, a); err != nil {
			return err
		}
	}
}

// firstWaiting gives the chat that is next in the queues of some departments
// taken together; nil if nobody waits.
func (s *step) firstWaiting(departments []string) (*Chat, error) {
	best, bestScore := "", math.Inf(1)
	for _, department := range departments {
		err := s.ZEach([]byte(keyQueue(department)), math.Inf(-1), math.Inf(1), false, func(member []byte, score float64) bool {
			if score < bestScore || score == bestScore && string(member) < best {
				best, bestScore = string(member), score
			}
			return false
		})
		if err != nil {
			return nil, err
		}
	}
	if best == "" {
		return nil, nil
	}
	return s.chat(best)
}

// pick gives the agent of a department who is to have the next chat: of the
// eligible the one with the fewest chats, then the one assigned longest ago,
// then by id. It is nil if nobody is eligible. except is passed over.
func (s *step) pick(department, except string) (*Agent, error) {
	agents, err := s.members(department)
	if err != nil {
		return nil, err
	}
	var best *Agent
	for _, a := range agents {
		if a.ID != except && a.eligible() && (best == nil || before(a, best)) {
			best = a
		}
	}
	return best, nil
}

// before orders agents for pick; members come by id, so that the first of
// equals has the lower id.
func before(a, b *Agent) bool {
	if a.Chats != b.Chats {
		return a.Chats < b.Chats
	}
	return a.LastAssigned < b.LastAssigned
}

// anyoneHere says whether somebody of a department other than except is
// online and connected.
func (s *step) anyoneHere(department, except string) (bool, error) {
	agents, err := s.members(department)
	if err != nil {
		return false, err
	}
	for _, a := range agents {
		if a.ID != except && a.here() {
			return true, nil
		}
	}
	return false, nil
}

// members gives the agents of a department in the order of their ids.
func (s *step) members(department string) ([]*Agent, error) {
	ids, err := members(s.Tx, keyDepartmentAgents(department))
	if err != nil {
		return nil, err
	}
	agents := make([]*Agent, 0, len(ids))
	for _, id := range ids {
		a, err := s.agent(id)
		if err != nil {
			return nil, err
		}
		agents = append(agents, a)
	}
	return agents, nil
}

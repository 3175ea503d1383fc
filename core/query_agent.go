package core

import (
	"github.com/parlorchat/parlor/storage/keyspace"
)

// loadAgent reads an agent with the number of his chats.
func loadAgent(tx *keyspace.Tx, id string) (a Agent, ok bool, err error) {
	if ok, err = load(tx, keyAgent(id), &a); err != nil || !ok {
		return Agent{}, false, err
	}
	a.Chats, err = tx.SLen([]byte(keyAgentChats(id)))
	return a, true, err
}

// GetAgent reads an agent with the number of his chats and his departments.
func GetAgent(tx *keyspace.Tx, id string) (a Agent, ok bool, err error) {
	if a, ok, err = loadAgent(tx, id); err != nil || !ok {
		return Agent{}, false, err
	}
	a.Departments, err = members(tx, keyAgentDepartments(id))
	if a.Departments == nil {
		a.Departments = []string{}
	}
	return a, true, err
}

// AgentFilter narrows ListAgents; an empty field does not.
type AgentFilter struct{ Department, Status string }

// ListAgents reads a site's agents in the order of their ids, from the one
// after cursor ("" to begin with). limit is 1 to MaxPage. next is "" after the
// last page; a page may be short, even empty, before that.
func ListAgents(tx *keyspace.Tx, site string, f AgentFilter, cursor string, limit int) (agents []Agent, next string, err error) {
	key := keySiteAgents(site)
	if f.Department != "" {
		key = keyDepartmentAgents(f.Department)
	}
	ids, err := members(tx, key)
	if err != nil {
		return nil, "", err
	}
	agents = []Agent{}
	for _, id := range ids {
		if id <= cursor {
			continue
		}
		if len(agents) == limit {
			return agents, agents[limit-1].ID, nil
		}
		a, ok, err := GetAgent(tx, id)
		if err != nil {
			return nil, "", err
		}
		if ok && a.Site == site && (f.Status == "" || a.Status == f.Status) {
			agents = append(agents, a)
		}
	}
	return agents, "", nil
}

// AgentChats gives the ids of an agent's ongoing chats.
func AgentChats(tx *keyspace.Tx, agent string) ([]string, error) {
	return members(tx, keyAgentChats(agent))
}

// AgentMessages reads the messages that an agent got from others, above
// after, oldest first.
func AgentMessages(tx *keyspace.Tx, agent string, after int64, limit int) ([]AgentMessage, error) {
	out := []AgentMessage{}
	err := tx.XEach([]byte(keyAgentMessages(agent)), seqID(after+1), lastID, false, func(id keyspace.StreamID, fields [][]byte) bool {
		if len(out) == limit {
			return false
		}
		m := AgentMessage{Seq: int64(id.Ms)}
		for i := 0; i+1 < len(fields); i += 2 {
			m.set(string(fields[i]), string(fields[i+1]))
		}
		out = append(out, m)
		return true
	})
	return out, err
}

func (m *AgentMessage) set(name, value string) {
	switch name {
	case "id":
		m.ID = value
	case "from":
		m.From = value
	case "to":
		m.To = value
	case "text":
		m.Text = value
	case "at":
		m.At = unNum(value)
	case "client_id":
		m.ClientID = value
	}
}

// AgentCredentials reads what an agent signs in with; ok is false if there is
// no such agent.
func AgentCredentials(tx *keyspace.Tx, id string) (c Credentials, ok bool, err error) {
	if c.Agent, ok, err = GetAgent(tx, id); err != nil || !ok {
		return Credentials{}, false, err
	}
	err = tx.HEach([]byte(keyPassword(id)), func(name, value []byte) bool {
		switch string(name) {
		case "password":
			c.PasswordHash = string(value)
		case "password_at":
			c.PasswordAt = unNum(string(value))
		}
		return true
	})
	return c, true, err
}

// GetSession looks a session up by the SHA-256 of its token, in hex. ok is
// false if it has expired, if its agent is gone, or if the agent's password
// was changed since.
func GetSession(tx *keyspace.Tx, sha256 string) (s Session, ok bool, err error) {
	var agent string
	key := []byte(keySession(sha256))
	err = tx.HEach(key, func(name, value []byte) bool {
		switch string(name) {
		case "agent":
			agent = string(value)
		case "created_at":
			s.CreatedAt = unNum(string(value))
		}
		return true
	})
	if err != nil || agent == "" {
		return Session{}, false, err
	}
	c, ok, err := AgentCredentials(tx, agent)
	if err != nil || !ok || s.CreatedAt < c.Agent.CreatedAt || s.CreatedAt < c.PasswordAt {
		return Session{}, false, err
	}
	s.Agent = c.Agent
	s.ExpiresAt, _ = tx.ExpireAt(key)
	return s, true, nil
}

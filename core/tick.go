package core

import (
	"math"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Due says whether SYSTEM.TICK would find anything to do at now, in ms. It is
// cheap: the leader asks it every second or so.
func Due(tx *keyspace.Tx, now int64) (bool, error) {
	if at, ok := tx.NextExpiry(); ok && at <= now {
		return true, nil
	}
	for _, find := range []func(*keyspace.Tx, int64, int) ([]string, error){dueAgents, dueVisitors} {
		ids, err := find(tx, now, 1)
		if err != nil || len(ids) > 0 {
			return len(ids) > 0, err
		}
	}
	sites, err := ListSites(tx)
	if err != nil {
		return false, err
	}
	for _, site := range sites {
		_, due, err := retention(tx, site)
		if err != nil || due {
			return due, err
		}
	}
	return false, nil
}

// dueAgents gives up to limit agents of whom there was no sign for AgentLease.
func dueAgents(tx *keyspace.Tx, now int64, limit int) ([]string, error) {
	if early, err := resumedWithin(tx, now, AgentLease); err != nil || early {
		return nil, err
	}
	return dueMembers(tx, keyAgentsSeen, now-AgentLease, limit)
}

// dueVisitors gives up to limit visitors who have to be looked at.
func dueVisitors(tx *keyspace.Tx, now int64, limit int) ([]string, error) {
	if early, err := resumedWithin(tx, now, VisitorLease); err != nil || early {
		return nil, err
	}
	return dueMembers(tx, keyVisitorsDue, now, limit)
}

// resumedWithin says whether the group has gone on only so recently, in ms,
// that nobody could give a sign yet.
func resumedWithin(tx *keyspace.Tx, now, lease int64) (bool, error) {
	value, _, err := tx.HGet([]byte(keyGroup), []byte("resumed_at"))
	return now < unNum(string(value))+lease, err
}

// dueMembers gives up to limit members of a sorted set with a score up to at,
// lowest first.
func dueMembers(tx *keyspace.Tx, key string, at int64, limit int) ([]string, error) {
	var ids []string
	err := tx.ZEach([]byte(key), math.Inf(-1), float64(at), false, func(member []byte, _ float64) bool {
		ids = append(ids, string(member))
		return len(ids) < limit
	})
	return ids, err
}

// runSystemTick is SYSTEM.TICK.
func runSystemTick(s *step, args []string) (command.Reply, error) {
	n, err := parseNumber("limit", args[1], 1, 10_000)
	if err != nil {
		return command.Reply{}, err
	}
	limit := int(n)
	done := int64(s.Sweep(limit))
	for _, work := range []func(limit int) (int64, error){s.lapseAgents, s.lapseVisitors, s.trimEvents} {
		n, err := work(limit)
		if err != nil {
			return command.Reply{}, err
		}
		done += n
	}
	return command.Int(done), nil
}

// lapseAgents takes agents of whom there was no sign for AgentLease as not
// connected. They keep their chats.
func (s *step) lapseAgents(limit int) (int64, error) {
	ids, err := dueAgents(s.Tx, s.Now, limit)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		a, err := s.agent(id)
		if err != nil {
			return 0, err
		}
		was := *a
		a.Connected = false
		if err := s.presenceChanged(a, was); err != nil {
			return 0, err
		}
	}
	return int64(len(ids)), nil
}

// lapseVisitors takes visitors of whom there was no sign for VisitorLease as
// left: a waiting chat ends then, a running one after ChatGrace.
func (s *step) lapseVisitors(limit int) (int64, error) {
	ids, err := dueVisitors(s.Tx, s.Now, limit)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		v, err := s.visitor(id)
		if err != nil {
			return 0, err
		}
		if err := s.lapse(v); err != nil {
			return 0, err
		}
	}
	return int64(len(ids)), nil
}

func (s *step) lapse(v *Visitor) error {
	first := v.Status != VisitorLeft
	v.Status = VisitorLeft
	if v.Chat != "" {
		c, err := s.chat(v.Chat)
		if err != nil {
			return err
		}
		if c.Status == ChatWaiting || s.Now >= v.LastSeen+ChatGrace {
			if err := s.end(c, Party{Type: FromSystem}); err != nil {
				return err
			}
		}
	}
	if !first {
		return nil
	}
	return s.emitVisitor(EventVisitorLeft, v)
}

// trimEvents removes events that are older than a site keeps and that no
// consumer needs.
func (s *step) trimEvents(limit int) (int64, error) {
	sites, err := ListSites(s.Tx)
	if err != nil {
		return 0, err
	}
	var done int64
	for _, site := range sites {
		from, due, err := retention(s.Tx, site)
		if err != nil {
			return 0, err
		}
		if !due {
			continue
		}
		n, err := s.XTrimMin([]byte(keyEvents(site)), seqID(from), limit)
		if err != nil {
			return 0, err
		}
		done += n
	}
	return done, nil
}

package core

import (
	"github.com/parlorchat/parlor/storage/command"
)

// step is one command at work. Objects that it reads are read once and shared
// by everything that happens in the step; what was changed in them is written
// when the step ends. Sets, queues and streams are written at once, because
// assignment reads them.
type step struct {
	*command.Call
	records map[string]*record
	order   []*record // as first read: the order in which they are written

	freed  []*Agent // agents who may have room for waiting chats
	queued []string // departments whose queue may have somebody to take

	moved []string         // departments whose queue the step changes
	told  map[string]int64 // chat → where it stood, or was told that it stands
}

// record is an object that a step read or made.
type record struct {
	key     string
	obj     object
	before  []field // as stored; nil: it is new
	removed bool
}

// was gives a field as it is stored.
func (r *record) was(name string) string {
	for _, f := range r.before {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// transition makes a Run of a function that works on a step. After the
// function, free agents take waiting chats, those who still wait hear that they
// have moved up, then everything is written.
func transition(fn func(s *step, args []string) (command.Reply, error)) func(*command.Call, [][]byte) (command.Reply, error) {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		defer inFirstDatabase(c)()
		s := &step{Call: c, records: map[string]*record{}, told: map[string]int64{}}
		reply, err := fn(s, texts(args))
		if err != nil {
			return command.Reply{}, err
		}
		if err := s.dispatch(); err != nil {
			return command.Reply{}, err
		}
		if err := s.tellMovedUp(); err != nil {
			return command.Reply{}, err
		}
		if err := s.flush(); err != nil {
			return command.Reply{}, err
		}
		return reply, nil
	}
}

// query makes a Run of a function that only reads.
func query(fn func(c *command.Call, args []string) (command.Reply, error)) func(*command.Call, [][]byte) (command.Reply, error) {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		defer inFirstDatabase(c)()
		return fn(c, texts(args))
	}
}

// inFirstDatabase lets a command look at database 0, where the domain lives,
// whichever one the client has selected. The function that it returns goes
// back.
func inFirstDatabase(c *command.Call) (back func()) {
	selected := c.DB()
	c.Select(0)
	return func() { c.Select(selected) }
}

func texts(args [][]byte) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = string(a)
	}
	return out
}

// get gives the step's copy of the object at a key; ok is false if there is
// none or the step removed it.
func get[T any, P interface {
	*T
	object
}](s *step, key string) (P, bool, error) {
	if r, ok := s.records[key]; ok {
		return r.obj.(P), !r.removed, nil
	}
	obj := P(new(T))
	ok, err := load(s.Tx, key, obj)
	if err != nil || !ok {
		return nil, false, err
	}
	s.keep(&record{key: key, obj: obj, before: obj.fields()})
	return obj, true, nil
}

// add makes a new object part of the step.
func (s *step) add(key string, obj object) { s.keep(&record{key: key, obj: obj}) }

func (s *step) keep(r *record) {
	s.records[r.key] = r
	s.order = append(s.order, r)
}

// remove takes an object that the step has read away.
func (s *step) remove(key string) { s.records[key].removed = true }

func (s *step) site(id string) (*Site, error) {
	return must[Site](s, "site", id, keySite(id))
}

func (s *step) department(id string) (*Department, error) {
	return must[Department](s, "department", id, keyDepartment(id))
}

func (s *step) visitor(id string) (*Visitor, error) {
	return must[Visitor](s, "visitor", id, keyVisitor(id))
}

func (s *step) chat(id string) (*Chat, error) {
	return must[Chat](s, "chat", id, keyChat(id))
}

// must is get for an object that has to be there.
func must[T any, P interface {
	*T
	object
}](s *step, what, id, key string) (P, error) {
	obj, ok, err := get[T, P](s, key)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNotFound(what, id)
	}
	return obj, nil
}

// agent gives an agent with the number of his chats, which the step keeps up
// to date.
func (s *step) agent(id string) (*Agent, error) {
	_, known := s.records[keyAgent(id)]
	a, err := must[Agent](s, "agent", id, keyAgent(id))
	if err != nil || known {
		return a, err
	}
	a.Chats, err = s.SLen([]byte(keyAgentChats(id)))
	return a, err
}

// exists says whether an id of a kind of object is taken.
func (s *step) exists(key string) bool {
	if r, ok := s.records[key]; ok {
		return !r.removed
	}
	return s.Type([]byte(key)) != 0
}

// flush writes what the step changed.
func (s *step) flush() error {
	for _, r := range s.order {
		if err := s.flushRecord(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *step) flushRecord(r *record) error {
	if a, ok := r.obj.(*Agent); ok {
		s.settleIdle(a)
	}
	if r.removed {
		s.Delete([]byte(r.key))
	} else if err := save(s.Tx, r.key, r.before, r.obj); err != nil {
		return err
	}
	switch o := r.obj.(type) {
	case *Visitor:
		return s.indexVisitor(r, o)
	case *Chat:
		return s.indexChat(r, o)
	case *Agent:
		return s.indexAgent(r, o)
	}
	return nil
}

// indexVisitor keeps the sorted sets of visitors in step with a visitor.
func (s *step) indexVisitor(r *record, v *Visitor) error {
	id := []byte(v.ID)
	status, seen := r.was("status"), unNum(r.was("last_seen"))
	if status != "" && (r.removed || status != v.Status) {
		if _, err := s.ZRem([]byte(keySiteVisitorsIn(v.Site, status)), id); err != nil {
			return err
		}
	}
	if r.removed {
		if _, err := s.ZRem([]byte(keySiteVisitors(v.Site)), id); err != nil {
			return err
		}
		_, err := s.ZRem([]byte(keyVisitorsDue), id)
		return err
	}
	if seen != v.LastSeen {
		if _, err := s.ZAdd([]byte(keySiteVisitors(v.Site)), id, float64(v.LastSeen)); err != nil {
			return err
		}
	}
	if seen != v.LastSeen || status != v.Status {
		if _, err := s.ZAdd([]byte(keySiteVisitorsIn(v.Site, v.Status)), id, float64(v.LastSeen)); err != nil {
			return err
		}
	}
	if seen != v.LastSeen || status != v.Status || r.was("chat") != v.Chat {
		return s.indexDue(v)
	}
	return nil
}

// indexDue says when the next tick is to look at a visitor.
func (s *step) indexDue(v *Visitor) error {
	var err error
	switch {
	case v.Status != VisitorLeft:
		_, err = s.ZAdd([]byte(keyVisitorsDue), []byte(v.ID), float64(v.LastSeen+VisitorLease))
	case v.Chat != "":
		_, err = s.ZAdd([]byte(keyVisitorsDue), []byte(v.ID), float64(v.LastSeen+ChatGrace))
	default:
		_, err = s.ZRem([]byte(keyVisitorsDue), []byte(v.ID))
	}
	return err
}

// indexChat keeps the sorted sets of chats in step with a chat.
func (s *step) indexChat(r *record, c *Chat) error {
	id, status := []byte(c.ID), r.was("status")
	if !r.removed && status == c.Status {
		return nil
	}
	if status != "" {
		if _, err := s.ZRem([]byte(keySiteChats(c.Site, status)), id); err != nil {
			return err
		}
	}
	if r.removed {
		_, err := s.ZRem([]byte(keyVisitorChats(c.Visitor)), id)
		return err
	}
	if r.before == nil {
		if _, err := s.ZAdd([]byte(keyVisitorChats(c.Visitor)), id, float64(c.CreatedAt)); err != nil {
			return err
		}
	}
	_, err := s.ZAdd([]byte(keySiteChats(c.Site, c.Status)), id, float64(c.CreatedAt))
	return err
}

// indexAgent keeps the leases of connected agents.
func (s *step) indexAgent(r *record, a *Agent) error {
	was := r.was("connected") == "1"
	var err error
	switch {
	case a.Connected && !r.removed && (!was || unNum(r.was("seen_at")) != a.SeenAt):
		_, err = s.ZAdd([]byte(keyAgentsSeen), []byte(a.ID), float64(a.SeenAt))
	case was && (!a.Connected || r.removed):
		_, err = s.ZRem([]byte(keyAgentsSeen), []byte(a.ID))
	}
	return err
}

// settleIdle notes since when an agent could have taken a chat and had none.
func (s *step) settleIdle(a *Agent) {
	switch {
	case !a.here() || a.Chats > 0:
		a.IdleSince = 0
	case a.IdleSince == 0:
		a.IdleSince = s.Now
	}
}

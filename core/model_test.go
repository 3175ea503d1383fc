package core_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/core/coretest"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// model drives a site with many people at random and checks after each
// command that everything still agrees with everything.
type model struct {
	*coretest.Store
	log     []logged          // what was proposed, for the replay
	now     snapshot          // as of the last command
	lastSeq int64             // of the events looked at
	clients map[string]string // chat, sender and client id → what was answered
}

type logged struct {
	args command.Args
	at   int64
}

// snapshot is all hashes and sets of the domain as they are.
type snapshot struct {
	hashes map[string]map[string]string
	sets   map[string][]string
}

func TestWhateverHappensEverythingAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"visitor comes":   func(t *rapid.T) { m.do(t, core.VisitorCreate{ID: aVisitor(t), Site: "shop"}.Args()) },
			"page":            func(t *rapid.T) { m.do(t, core.VisitorPage{ID: aVisitor(t), URL: "https://shop/"}.Args()) },
			"visitor is here": func(t *rapid.T) { m.do(t, core.VisitorSeen{IDs: some(t, aVisitor)}.Args()) },
			"update":          m.update,
			"request":         m.request,
			"request too":     m.request,
			"create": func(t *rapid.T) {
				m.do(t, core.ChatCreate{ID: aChat(t), Visitor: aVisitor(t), Department: maybe(t, aDepartment), Agent: maybe(t, anAgent)}.Args())
			},
			"send":   m.send,
			"accept": func(t *rapid.T) { m.do(t, core.ChatAccept{Chat: aChat(t), Agent: anAgent(t)}.Args()) },
			"transfer": func(t *rapid.T) {
				m.do(t, core.ChatTransfer{Chat: aChat(t), Department: maybe(t, aDepartment), Agent: maybe(t, anAgent), By: maybe(t, anAgent)}.Args())
			},
			"end": func(t *rapid.T) { m.do(t, core.ChatEnd{Chat: aChat(t), By: aParty(t)}.Args()) },
			"chat update": func(t *rapid.T) {
				m.do(t, core.ChatUpdate{Chat: aChat(t), Priority: ptr(rapid.Int64Range(0, 4).Draw(t, "priority"))}.Args())
			},
			"chat remove":    func(t *rapid.T) { m.do(t, core.ChatRemove{Chat: aChat(t)}.Args()) },
			"visitor remove": func(t *rapid.T) { m.do(t, core.VisitorRemove{ID: aVisitor(t)}.Args()) },
			"agent comes": func(t *rapid.T) {
				m.do(t, core.AgentCreate{ID: anAgent(t), Site: "shop", MaxChats: aLimit(t), Departments: some(t, aDepartment),
					Role: rapid.SampledFrom([]string{core.RoleAgent, core.RoleAdmin}).Draw(t, "role")}.Args())
			},
			"agent update": func(t *rapid.T) {
				departments := some(t, aDepartment)
				m.do(t, core.AgentUpdate{ID: anAgent(t), MaxChats: aLimit(t), Departments: &departments}.Args())
			},
			"status": func(t *rapid.T) {
				status := rapid.SampledFrom([]string{core.AgentOnline, core.AgentOnline, core.AgentAway, core.AgentOffline}).Draw(t, "status")
				m.do(t, core.AgentStatus{ID: anAgent(t), Status: status}.Args())
			},
			"agent is here":    func(t *rapid.T) { m.do(t, core.AgentSeen{IDs: some(t, anAgent)}.Args()) },
			"agent goes":       func(t *rapid.T) { m.do(t, core.AgentRemove{ID: anAgent(t)}.Args()) },
			"department comes": func(t *rapid.T) { m.do(t, core.DepartmentCreate{ID: aDepartment(t), Site: "shop"}.Args()) },
			"department goes":  func(t *rapid.T) { m.do(t, core.DepartmentRemove{ID: aDepartment(t)}.Args()) },
			"invite": func(t *rapid.T) {
				m.do(t, core.VisitorInvite{Visitor: aVisitor(t), Text: "hi", Agent: maybe(t, anAgent)}.Args())
			},
			"leader comes": func(t *rapid.T) { m.do(t, core.SystemResume{}.Args()) },
			"time":         m.time,
			"":             m.check,
		})
		m.replay(t)
		if err := m.State.Verify(); err != nil {
			t.Fatal(err)
		}
	})
}

func newModel(t *rapid.T) *model {
	m := &model{Store: coretest.New(), clients: map[string]string{}}
	m.now = m.snap(t)
	m.do(t, core.SiteCreate{ID: "shop"}.Args())
	m.do(t, core.DepartmentCreate{ID: "d0", Site: "shop"}.Args())
	for _, v := range []string{"v0", "v1", "v2", "v3"} {
		m.do(t, core.VisitorCreate{ID: v, Site: "shop"}.Args())
	}
	for _, a := range []string{"a0", "a1", "a2"} {
		m.do(t, core.AgentCreate{ID: a, Site: "shop", MaxChats: ptr(int64(2)), Departments: []string{"d0"}}.Args())
		m.do(t, core.AgentStatus{ID: a, Status: core.AgentOnline}.Args())
	}
	return m
}

func aVisitor(t *rapid.T) string { return fmt.Sprint("v", rapid.IntRange(0, 5).Draw(t, "visitor")) }
func anAgent(t *rapid.T) string  { return fmt.Sprint("a", rapid.IntRange(0, 3).Draw(t, "agent")) }
func aDepartment(t *rapid.T) string {
	return fmt.Sprint("d", rapid.IntRange(0, 2).Draw(t, "department"))
}
func aChat(t *rapid.T) string  { return fmt.Sprint("c", rapid.IntRange(0, 9).Draw(t, "chat")) }
func aLimit(t *rapid.T) *int64 { return ptr(rapid.Int64Range(0, 3).Draw(t, "max chats")) }

func maybe(t *rapid.T, draw func(*rapid.T) string) string {
	if rapid.Bool().Draw(t, "given") {
		return draw(t)
	}
	return ""
}

func some(t *rapid.T, draw func(*rapid.T) string) []string {
	out := []string{}
	for range rapid.IntRange(1, 3).Draw(t, "how many") {
		out = append(out, draw(t))
	}
	return out
}

func aParty(t *rapid.T) core.Party {
	switch typ := rapid.SampledFrom([]string{core.FromVisitor, core.FromAgent, core.FromSystem}).Draw(t, "party"); typ {
	case core.FromVisitor:
		return core.Party{Type: typ, ID: maybe(t, aVisitor)}
	case core.FromAgent:
		return core.Party{Type: typ, ID: maybe(t, anAgent)}
	default:
		return core.Party{Type: typ}
	}
}

func (m *model) update(t *rapid.T) {
	id := aVisitor(t)
	route := &core.Route{Department: maybe(t, aDepartment), Agent: maybe(t, anAgent)}
	m.do(t, core.VisitorUpdate{ID: id, Decisions: &core.Decisions{Route: route}, Vars: map[string]string{"x": maybe(t, aChat)}}.Args())
}

// request asks for a chat and checks who gets it against a second opinion.
func (m *model) request(t *rapid.T) {
	r := core.ChatRequest{Visitor: aVisitor(t), Chat: aChat(t), Department: aDepartment(t), Name: maybe(t, aVisitor)}
	known, free := m.now.hashes["visitor:"+r.Visitor], m.now.hashes["chat:"+r.Chat] == nil
	status, agent := m.now.whoGets(r.Department)
	reply := m.do(t, r.Args())
	if known == nil || known["chat"] != "" || !free || m.now.hashes["department:"+r.Department] == nil {
		return
	}
	got, err := core.ChatRequest{}.Result(reply)
	if err != nil || got.Status != status || m.now.hashes["chat:"+got.Chat]["agent"] != agent {
		t.Fatalf("%+v, %v with %q; want %s with %q", got, err, m.now.hashes["chat:"+got.Chat]["agent"], status, agent)
	}
}

// whoGets says who in a department should get the next chat.
func (s snapshot) whoGets(department string) (status, agent string) {
	status = core.ChatOffline
	best := []float64{math.Inf(1), 0}
	for _, id := range s.sets["department:"+department+":agents"] {
		a := s.hashes["agent:"+id]
		if a["status"] != core.AgentOnline || a["connected"] != "1" {
			continue
		}
		if status == core.ChatOffline {
			status = core.ChatWaiting
		}
		chats := float64(len(s.sets["agent:"+id+":chats"]))
		if chats >= toFloat(a["max_chats"]) {
			continue
		}
		if rank := []float64{chats, toFloat(a["last_assigned"])}; slices.Compare(rank, best) < 0 {
			best, status, agent = rank, core.ChatChatting, id
		}
	}
	return status, agent
}

func toFloat(s string) float64 {
	n, _ := strconv.ParseFloat(s, 64)
	return n
}

// send sends a message and checks that a client id is answered the same
// whenever it comes.
func (m *model) send(t *rapid.T) {
	s := core.ChatSend{Chat: aChat(t), From: aParty(t), Text: "hello", ClientID: maybe(t, aChat)}
	from := s.From.ID
	if from == "" && s.From.Type != core.FromSystem {
		from = m.now.hashes["chat:"+s.Chat][s.From.Type]
	}
	key := strings.Join([]string{s.Chat, s.From.Type, from, s.ClientID}, "|")
	before := m.lastSeq
	reply := m.do(t, s.Args())
	if s.ClientID == "" || reply.Err() != nil {
		return
	}
	answer := fmt.Sprint(reply)
	if was, ok := m.clients[key]; ok && (was != answer || m.lastSeq != before) {
		t.Fatalf("%s: answered %s, now %s", key, was, answer)
	}
	m.clients[key] = answer
}

func (m *model) time(t *rapid.T) {
	m.Advance(time.Duration(rapid.SampledFrom([]int{1, 500, 10_000, 29_000, 61_000, 301_000}).Draw(t, "ms")) * time.Millisecond)
	m.do(t, core.SystemTick{Limit: rapid.IntRange(1, 20).Draw(t, "limit")}.Args())
}

// do carries a command out and checks what it did to the events.
func (m *model) do(t *rapid.T, args command.Args) command.Reply {
	m.log = append(m.log, logged{args, m.Now()})
	hash, before := m.State.Hash, m.now
	reply := m.Apply(args)
	m.now = m.snap(t)
	switch err := reply.Err(); {
	case err == nil:
	case core.CodeOf(err) == "ERR" && !strings.Contains(err.Error(), "syntax error"):
		t.Fatalf("%s: %v", show(args), err)
	case m.State.Hash != hash:
		t.Fatalf("%s failed with %v and changed something", show(args), err)
	}
	m.checkEvents(t, args, before)
	for key := range before.hashes {
		if chat, ok := strings.CutPrefix(key, "chat:"); ok && m.now.hashes[key] == nil {
			maps.DeleteFunc(m.clients, func(k, _ string) bool { return strings.HasPrefix(k, chat+"|") })
		}
	}
	return reply
}

// checkEvents checks that every changed object has an event and that events
// are dense.
func (m *model) checkEvents(t *rapid.T, args command.Args, before snapshot) {
	events, err := m.Events("shop", m.lastSeq)
	if err != nil {
		t.Fatal(err)
	}
	about := map[string]bool{}
	for _, e := range events {
		if m.lastSeq++; e.Seq != m.lastSeq {
			t.Fatalf("event %d comes after %d", e.Seq, m.lastSeq-1)
		}
		about["visitor:"+e.Visitor], about["chat:"+e.Chat] = true, true
		about["agent:"+e.Agent], about["department:"+e.Department] = true, true
		var data core.ChatData
		if e.Type == core.EventChatTransferred && json.Unmarshal(e.Data, &data) == nil {
			about["agent:"+data.From.Agent] = true
		}
	}
	for _, key := range changed(before.hashes, m.now.hashes) {
		if !about[key] && !strings.HasPrefix(key, "site:") && !strings.HasPrefix(key, "system:") {
			t.Fatalf("%s changed %s without an event: %v → %v", show(args), key, before.hashes[key], m.now.hashes[key])
		}
	}
}

// changed gives the objects that differ in more than renewed presence.
func changed(a, b map[string]map[string]string) []string {
	var keys []string
	strip := func(h map[string]string) map[string]string {
		h = maps.Clone(h)
		delete(h, "last_seen")
		delete(h, "seen_at")
		return h
	}
	for key := range b {
		if !maps.Equal(strip(a[key]), strip(b[key])) {
			keys = append(keys, key)
		}
	}
	for key := range a {
		if b[key] == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// snap reads all hashes, sets and sorted sets of the domain.
func (m *model) snap(t *rapid.T) snapshot {
	s := snapshot{map[string]map[string]string{}, map[string][]string{}}
	tx := m.View()
	tx.EachKey(nil, func(key []byte, typ keyspace.Type) bool {
		k := string(key)
		switch {
		case typ == keyspace.Hash && strings.Count(k, ":") == 1:
			h := map[string]string{}
			_ = tx.HEach(key, func(f, v []byte) bool { h[string(f)] = string(v); return true })
			s.hashes[k] = h
		case typ == keyspace.Set:
			_ = tx.SEach(key, func(e []byte) bool { s.sets[k] = append(s.sets[k], string(e)); return true })
		case typ == keyspace.ZSet:
			_ = tx.ZEach(key, math.Inf(-1), math.Inf(1), false, func(e []byte, score float64) bool {
				s.sets[k] = append(s.sets[k], fmt.Sprintf("%s@%.0f", e, score))
				return true
			})
		}
		slices.Sort(s.sets[k])
		return true
	})
	maps.DeleteFunc(s.sets, func(_ string, v []string) bool { return len(v) == 0 })
	return s
}

// check derives all sets from the hashes and compares, then looks at what
// must never be.
func (m *model) check(t *rapid.T) {
	want := map[string][]string{"system:sites": {"shop"}}
	put := func(key, member string) { want[key] = append(want[key], member) }
	for key, h := range m.now.hashes {
		kind, id, _ := strings.Cut(key, ":")
		switch kind {
		case "visitor":
			m.checkVisitor(t, id, h, put)
		case "chat":
			m.checkChat(t, id, h, put)
		case "agent":
			m.checkAgent(t, id, h, put)
		case "department":
			put("site:shop:departments", id)
		}
	}
	for key := range want {
		slices.Sort(want[key])
	}
	for key, got := range m.now.sets {
		if strings.HasPrefix(key, "agent:") && strings.HasSuffix(key, ":departments") {
			continue // is the source of department:{id}:agents
		}
		if !slices.Equal(got, want[key]) {
			t.Fatalf("%s is %v, the objects say %v", key, got, want[key])
		}
		delete(want, key)
	}
	if len(want) > 0 {
		t.Fatalf("missing: %v", want)
	}
}

func (m *model) checkVisitor(t *rapid.T, id string, h map[string]string, put func(key, member string)) {
	member := id + "@" + h["last_seen"]
	put("site:shop:visitors", member)
	put("site:shop:visitors:"+h["status"], member)
	chat := m.now.hashes["chat:"+h["chat"]]
	if h["chat"] != "" && (chat == nil || chat["visitor"] != id || chat["status"] == core.ChatEnded) {
		t.Fatalf("visitor %s has chat %s, which is %v", id, h["chat"], chat)
	}
	switch status := h["status"]; {
	case status == core.VisitorLeft && chat != nil:
		put("system:visitors:due", fmt.Sprintf("%s@%.0f", id, toFloat(h["last_seen"])+float64(core.ChatGrace)))
	case status == core.VisitorLeft:
	default:
		put("system:visitors:due", fmt.Sprintf("%s@%.0f", id, toFloat(h["last_seen"])+float64(core.VisitorLease)))
		if chat != nil && status != chat["status"] || chat == nil && status != core.VisitorBrowsing && status != core.VisitorOffline {
			t.Fatalf("visitor %s is %s, his chat %v", id, status, chat)
		}
	}
}

func (m *model) checkChat(t *rapid.T, id string, h map[string]string, put func(key, member string)) {
	put("site:shop:chats:"+h["status"], id+"@"+h["created_at"])
	put("visitor:"+h["visitor"]+":chats", id+"@"+h["created_at"])
	switch h["status"] {
	case core.ChatChatting:
		put("agent:"+h["agent"]+":chats", id)
	case core.ChatWaiting:
		score := (4-toFloat(h["priority"]))*4e12 + toFloat(h["created_at"])
		put("department:"+h["department"]+":queue", fmt.Sprintf("%s@%.0f", id, score))
		if h["agent"] != "" {
			t.Fatalf("chat %s waits and is with %s", id, h["agent"])
		}
		if _, agent := m.now.whoGets(h["department"]); agent != "" {
			t.Fatalf("chat %s waits in %s, where %s is free", id, h["department"], agent)
		}
	}
	if h["status"] != core.ChatEnded && m.now.hashes["visitor:"+h["visitor"]]["chat"] != id {
		t.Fatalf("chat %s is %s, but its visitor does not have it", id, h["status"])
	}
	messages, err := core.ChatMessages(m.View(), id, 0, 1<<20)
	if err != nil || len(messages) != int(toFloat(h["last_seq"])) {
		t.Fatalf("chat %s has %d messages, last_seq %s, %v", id, len(messages), h["last_seq"], err)
	}
	for i, msg := range messages {
		if msg.Seq != int64(i+1) {
			t.Fatalf("chat %s: message %d has seq %d", id, i+1, msg.Seq)
		}
	}
}

func (m *model) checkAgent(t *rapid.T, id string, h map[string]string, put func(key, member string)) {
	put("site:shop:agents", id)
	for _, d := range m.now.sets["agent:"+id+":departments"] {
		put("department:"+d+":agents", id)
	}
	if h["connected"] == "1" {
		put("system:agents:seen", id+"@"+h["seen_at"])
	}
	chats := len(m.now.sets["agent:"+id+":chats"])
	if idle := h["status"] == core.AgentOnline && h["connected"] == "1" && chats == 0; idle != (h["idle_since"] != "") {
		t.Fatalf("agent %s has %d chats: %v", id, chats, h)
	}
	if chats <= int(toFloat(h["max_chats"])) {
		return
	}
	// Too many only if the limit was lowered; then he got none since.
	for _, chat := range m.now.sets["agent:"+id+":chats"] {
		if m.now.hashes["chat:"+chat]["assigned_at"] > fmt.Sprint(m.lastUpdate(id)) {
			t.Fatalf("agent %s has %d chats and may have %s; chat %s came after the limit", id, chats, h["max_chats"], chat)
		}
	}
}

// lastUpdate is when an agent's limit was last set.
func (m *model) lastUpdate(agent string) int64 {
	for _, l := range slices.Backward(m.log) {
		if name := string(l.args[0]); (name == "AGENT.UPDATE" || name == "AGENT.CREATE") && string(l.args[1]) == agent {
			return l.at
		}
	}
	return 0
}

// replay runs the same commands again and must come to the same state.
func (m *model) replay(t *rapid.T) {
	again := coretest.New()
	for _, l := range m.log {
		again.State.Now = l.at
		again.Apply(l.args)
	}
	if again.State.Hash != m.State.Hash {
		t.Fatal("the same commands led to another state")
	}
}

package core_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/core/coretest"
	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func TestDocumentationNamesEveryCommand(t *testing.T) {
	page, err := os.ReadFile("../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("`([A-Z]+\\.[A-Z]+)").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = true
	}
	for _, s := range core.Commands() {
		if !documented[s.Name] {
			t.Errorf("docs/commands.md does not name %s", s.Name)
		}
		delete(documented, s.Name)
		if s.Summary == "" || s.Since == "" || s.Group != "module" || !s.Is(command.Module) || len(s.Categories) < 2 {
			t.Errorf("%s is not described: %+v", s.Name, s)
		}
		if want := map[bool]string{true: "write", false: "read"}[s.Is(command.Write)]; s.Categories[0] != want {
			t.Errorf("%s is in categories %v", s.Name, s.Categories)
		}
	}
	for name := range documented {
		t.Errorf("docs/commands.md names %s, which does not exist", name)
	}
}

func TestDocumentationNamesEveryEvent(t *testing.T) {
	page, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	types := core.EventTypes()
	for _, typ := range types {
		if !strings.Contains(string(page), "`"+typ+"`") {
			t.Errorf("docs/events.md does not name %s", typ)
		}
	}
	known := rules.EventTypes()
	slices.Sort(types)
	slices.Sort(known)
	if !slices.Equal(types, known) {
		t.Errorf("webhooks may ask for %v,\nevents are %v", known, types)
	}
	if !slices.Equal(core.ConfigKinds(), rules.Kinds()) {
		t.Errorf("kinds of config objects: %v here, %v in rules", core.ConfigKinds(), rules.Kinds())
	}
}

// TestBuildersSpeakTheGrammar: what the typed structs make with every field
// set is what the commands understand.
func TestBuildersSpeakTheGrammar(t *testing.T) {
	sha := strings.Repeat("ab", 32)
	hash, err := core.HashPassword("long enough")
	if err != nil {
		t.Fatal(err)
	}
	one := ptr(int64(1))
	decisions := &core.Decisions{Campaign: "default", Segments: []string{"a"}, Route: &core.Route{Department: "d", Agent: "a", Priority: ptr(1), Rule: "r"}, Explain: []byte(`{}`)}
	fields := map[string]string{"name": "n", "email": "e", "phone": "p", "language": "en"}
	vars := map[string]string{"a": "b", "c": "d"}
	requests := []interface{ Args() command.Args }{
		core.SystemInit{Epoch: "e", TokenKey: make([]byte, 32), SetupSHA256: sha},
		core.SystemSetup{SetupSHA256: sha, Site: "s", SiteName: "S", Agent: "root", AgentName: "Root", AgentPassHashed: hash},
		core.SiteUpdate{ID: "s", Name: ptr("T"), EventsKeep: ptr(int64(5000))},
		core.SiteCreate{ID: "s2", Name: "S", EventsKeep: 5000},
		core.SiteSet{Site: "s", Kind: "segments", ID: "a", Document: []byte(`{"name":"a","when":{}}`), Rev: ptr(int64(0))},
		core.SiteUnset{Site: "s", Kind: "segments", ID: "a", Rev: ptr(int64(2))},
		core.DepartmentCreate{ID: "d", Site: "s", Name: "D"},
		core.AgentCreate{ID: "a", Site: "s", Name: "A", PasswordHash: hash, Role: core.RoleAdmin, MaxChats: one, Departments: []string{"d", "general"}},
		core.AgentUpdate{ID: "a", Name: ptr(""), PasswordHash: hash, Role: core.RoleAgent, MaxChats: ptr(int64(2)), Departments: &[]string{"d"}},
		core.AgentStatus{ID: "a", Status: core.AgentOnline},
		core.AgentSeen{IDs: []string{"a", "root"}},
		core.AgentSend{To: "a", From: "root", Text: "t", ID: "m", ClientID: "c"},
		core.SessionCreate{SHA256: sha, Agent: "a", ExpiresAt: coretest.Epoch + 1},
		core.SessionRemove{SHA256: sha},
		core.VisitorCreate{ID: "v", Site: "s", Fields: fields, Decisions: decisions, Vars: vars},
		core.VisitorPage{ID: "v", URL: "u", Title: "t", Referrer: "r", Fields: fields, Decisions: decisions},
		core.VisitorUpdate{ID: "v", Fields: fields, Decisions: decisions, Vars: vars},
		core.VisitorSeen{IDs: []string{"v"}},
		core.VisitorInvite{Visitor: "v", Text: "t", Agent: "a", Rule: "r", ID: "i"},
		core.VisitorAnswer{Visitor: "v", Invitation: "i", Accepted: true},
		core.ChatRequest{Visitor: "v", Chat: "c", Department: "d", Agent: "a", Priority: one, Prechat: []byte(`{}`), Name: "n", Email: "e"},
		core.ChatAccept{Chat: "c", Agent: "a"},
		core.ChatSend{Chat: "c", From: core.Party{Type: core.FromAgent, ID: "a"}, Text: "t", ID: "m", ClientID: "c", Type: core.MessageText},
		core.AgentStatus{ID: "root", Status: core.AgentOnline},
		core.ChatTransfer{Chat: "c", Department: "general", Agent: "root", By: "a"},
		core.ChatUpdate{Chat: "c", Priority: one, VisitorName: ptr("n")},
		core.ChatEnd{Chat: "c", By: core.Party{Type: core.FromAgent, ID: "root"}},
		core.ChatCreate{ID: "c2", Visitor: "v", Department: "d", Agent: "a"},
		core.ChatRemove{Chat: "c"},
		core.EventAck{Site: "s", Consumer: "x", Seq: 1},
		core.EventDead{Site: "s", Consumer: "x", Seq: 1, Reason: "r"},
		core.EventForget{Site: "s", Consumer: "x"},
		core.SystemResume{},
		core.SystemTick{Limit: 1},
		core.VisitorRemove{ID: "v"},
		core.AgentRemove{ID: "a"},
		core.DepartmentRemove{ID: "d"},
	}
	store := coretest.New()
	tried := map[string]bool{}
	for _, r := range requests {
		args := r.Args()
		tried[string(args[0])] = true
		if err := store.Do(args).Err(); err != nil {
			t.Errorf("%s: %v", show(args), err)
		}
	}
	for _, s := range core.Commands() {
		if s.Is(command.Write) && !tried[s.Name] && s.Name != "EVENT.TRIM" {
			t.Errorf("no builder makes %s", s.Name)
		}
	}
}

// TestDomainLivesInTheFirstDatabase whichever one a client has selected.
func TestDomainLivesInTheFirstDatabase(t *testing.T) {
	store := coretest.New()
	table := command.NewTable(core.Commands())
	err := store.State.Write(func(tx *keyspace.Tx) error {
		tx.Select(3)
		_, err := table.Find([]byte("SITE.CREATE")).Run(&command.Call{Tx: tx, Now: store.Now()}, command.New("SITE.CREATE", "shop"))
		if tx.DB() != 3 {
			t.Errorf("the client is in database %d now", tx.DB())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := core.GetSite(store.View(), "shop"); err != nil || !ok {
		t.Fatal(ok, err)
	}
}

// FuzzCommands: no arguments make a command panic, and a command that fails
// changes nothing.
func FuzzCommands(f *testing.F) {
	for _, seed := range []string{
		"SITE.CREATE\nx\nNAME\nX", "VISITOR.CREATE\nv9\nshop\nsegments\n[1]\nVAR\na\nb", "CHAT.SEND\nchat-vera\nFROM\nvisitor\nvera\nTEXT\nhi",
		"VISITOR.LIST\nshop\nCURSOR\n1-\nPAGE\n[", "CHAT.LIST\nshop\nCURSOR\nended:1-c", "SITE.SET\nshop\nsegments\na\n{\"when\":{}}\nREV\n-1",
		"AGENT.SEND\nalice\nFROM\nalice\nTEXT\nx", "CHAT.END\nchat-vera\nBY\nagent", "EVENT.READ\nshop\nAFTER\n9223372036854775807",
		"CHAT.TRANSFER\nchat-vera\nDEPARTMENT\nsales\nBY\nalice", "EVENT.TRIM\nshop\nBELOW\n9", "SYSTEM.TICK\n1", "AGENT.LIST\nshop\nCOUNT\n0",
	} {
		f.Add(seed)
	}
	table := command.NewTable(core.Commands())
	f.Fuzz(func(t *testing.T, line string) {
		args := command.New(strings.Split(line, "\n")...)
		if spec := table.Find(args[0]); spec == nil || !spec.ArityOK(len(args)) {
			return
		}
		store := coretest.New()
		for _, setup := range []command.Args{
			core.SiteCreate{ID: "shop"}.Args(), core.DepartmentCreate{ID: "sales", Site: "shop"}.Args(),
			core.AgentCreate{ID: "alice", Site: "shop", MaxChats: ptr(int64(1)), Departments: []string{"sales"}}.Args(),
			core.AgentStatus{ID: "alice", Status: core.AgentOnline}.Args(), core.VisitorCreate{ID: "vera", Site: "shop"}.Args(),
			core.ChatRequest{Visitor: "vera", Chat: "chat-vera", Department: "sales"}.Args(),
		} {
			if err := store.Apply(setup).Err(); err != nil {
				t.Fatal(err)
			}
		}
		hash := store.State.Hash
		if err := store.Apply(args).Err(); err != nil && store.State.Hash != hash {
			t.Fatalf("failed with %v and changed something", err)
		}
		if err := store.State.Verify(); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkChatSend(b *testing.B) {
	store := coretest.New()
	for _, args := range []command.Args{
		core.SiteCreate{ID: "shop"}.Args(), core.DepartmentCreate{ID: "sales", Site: "shop"}.Args(),
		core.AgentCreate{ID: "alice", Site: "shop", Departments: []string{"sales"}}.Args(),
		core.AgentStatus{ID: "alice", Status: core.AgentOnline}.Args(), core.VisitorCreate{ID: "vera", Site: "shop"}.Args(),
		core.ChatRequest{Visitor: "vera", Chat: "chat-vera", Department: "sales"}.Args(),
	} {
		if err := store.Apply(args).Err(); err != nil {
			b.Fatal(err)
		}
	}
	send := core.ChatSend{Chat: "chat-vera", From: core.Party{Type: core.FromVisitor, ID: "vera"}, Text: "How much is the red one?"}.Args()
	b.ReportAllocs()
	for b.Loop() {
		if err := store.Apply(send).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

package api

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// siteConfigs holds the compiled config objects of the sites, each as of one
// config_rev.
type siteConfigs struct {
	mu    sync.Mutex
	sites map[string]*siteConfig
}

// siteConfig is one site's config objects, compiled. It does not change.
type siteConfig struct {
	rev       int64
	set       *rules.Set
	campaigns map[string]*campaign
}

func newSiteConfigs() *siteConfigs { return &siteConfigs{sites: map[string]*siteConfig{}} }

// get gives the config of a site as of its present revision. What had to be
// read is compiled by the returned function, outside the View.
func (sc *siteConfigs) get(tx *keyspace.Tx, site core.Site, log *slog.Logger) (func() *siteConfig, error) {
	sc.mu.Lock()
	have := sc.sites[site.ID]
	sc.mu.Unlock()
	if have != nil && have.rev == site.ConfigRev {
		return func() *siteConfig { return have }, nil
	}
	docs := rules.Config{}
	for _, kind := range []string{rules.KindSegments, rules.KindCampaignRules, rules.KindRoutes, rules.KindInvitations, rules.KindCampaigns} {
		list, err := core.SiteConfig(tx, site.ID, kind)
		if err != nil {
			return nil, err
		}
		docs[kind] = map[string][]byte{}
		for _, doc := range list {
			docs[kind][doc.ID] = doc.Document
		}
	}
	return func() *siteConfig {
		made := compileConfig(docs, site, log)
		sc.mu.Lock()
		defer sc.mu.Unlock()
		sc.sites[site.ID] = made
		return made
	}, nil
}

func compileConfig(docs rules.Config, site core.Site, log *slog.Logger) *siteConfig {
	set, err := rules.Compile(docs)
	if err != nil {
		log.Warn("some rules of a site are left out", "site", site.ID, "err", err)
	}
	made := &siteConfig{rev: site.ConfigRev, set: set, campaigns: map[string]*campaign{}}
	for id, doc := range docs[rules.KindCampaigns] {
		c := &campaign{}
		if err := json.Unmarshal(doc, c); err != nil {
			log.Warn("a campaign of a site is left out", "site", site.ID, "campaign", id, "err", err)
			continue
		}
		made.campaigns[id] = c
	}
	return made
}

// campaign gives a campaign, or the default one if it is gone.
func (c *siteConfig) campaign(id string) *campaign {
	for _, id := range []string{id, rules.DefaultCampaign} {
		if found := c.campaigns[id]; found != nil {
			return found
		}
	}
	return &campaign{ID: rules.DefaultCampaign}
}

// scene is what decisions about a visitor are taken on: his site, its config,
// himself and who is there, all at one instant.
type scene struct {
	site        core.Site
	config      *siteConfig
	visitor     core.Visitor // zero if he is new
	known       bool
	departments []core.Department
}

// readScene reads a scene. found is false if the site or, if visitor is not
// "", the visitor does not exist.
func (s *Server) readScene(tx *keyspace.Tx, site, visitor string) (sc scene, compile func() *siteConfig, found bool, err error) {
	if sc.site, found, err = core.GetSite(tx, site); err != nil || !found {
		return sc, nil, false, err
	}
	if visitor != "" {
		if sc.visitor, sc.known, err = core.GetVisitor(tx, visitor); err != nil || !sc.known || sc.visitor.Site != site {
			return sc, nil, false, err
		}
	}
	if sc.departments, err = core.ListDepartments(tx, site); err != nil {
		return sc, nil, false, err
	}
	compile, err = s.sites.get(tx, sc.site, s.log)
	return sc, compile, true, err
}

// factsOf gives what the rules may know. The counters of a visitor that the
// call at hand is about to raise are the caller's to raise.
func factsOf(sc *scene, now time.Time) rules.Facts {
	v := &sc.visitor
	facts := rules.Facts{
		Visitor: rules.Visitor{
			ID: v.ID, Name: v.Name, Email: v.Email, Phone: v.Phone, Status: v.Status,
			Language: v.Language, TimeZone: v.TimeZone, Screen: v.Screen,
			Browser: v.Browser, OS: v.OS, Device: v.Device, IP: v.IP, Country: v.Country,
			Visits: v.Visits, PageCount: v.PageCount, ChatCount: v.ChatCount,
		},
		Page:        rules.Page{URL: v.PageURL, Title: v.PageTitle, Referrer: v.Referrer},
		LandingURL:  v.LandingURL,
		Vars:        v.Vars,
		Campaign:    v.Campaign,
		Departments: map[string]rules.Department{},
	}
	if v.VisitAt > 0 {
		facts.Visitor.TimeOnSiteS = max(0, now.UnixMilli()-v.VisitAt) / 1000
	}
	for rule, visit := range v.Invited {
		facts.ShownVisitor = append(facts.ShownVisitor, rule)
		if visit == v.Visits {
			facts.ShownVisit = append(facts.ShownVisit, rule)
		}
	}
	for _, d := range sc.departments {
		facts.Departments[d.ID] = rules.Department{Online: d.Online > 0, Queue: int(d.QueueLength)}
	}
	return facts
}

// maxExplain is how much of an explanation is kept with a visitor, in bytes.
const maxExplain = 32 << 10

// decisions puts a decision in the form in which core keeps it.
func decisions(d rules.Decision) *core.Decisions {
	explain := encode(d.Explanation.Matched())
	if len(explain) > maxExplain {
		explain = nil
	}
	return &core.Decisions{
		Campaign: d.Campaign,
		Segments: d.Segments,
		Route:    coreRoute(d.Route),
		Explain:  explain,
	}
}

func coreRoute(r rules.Route) *core.Route {
	priority := r.Priority
	return &core.Route{Department: r.Department, Agent: r.Agent, Priority: &priority, Rule: r.Rule}
}

// changes says whether a decision differs from what is kept with a visitor. A
// new explanation of the same decision is not worth a write.
func changes(v *core.Visitor, d *core.Decisions) bool {
	return v.Campaign != d.Campaign || string(encode(v.Segments)) != string(encode(d.Segments)) && len(v.Segments)+len(d.Segments) > 0 ||
		string(encode(v.Route)) != string(encode(d.Route))
}

// available says whether a chat on this route would be answered.
func (s *Server) available(sc *scene, r rules.Route) string {
	site, department, agent := sc.site.ID, r.Department, r.Agent
	if agent != "" && department != "" {
		agent = "" // a full agent's chat waits in his department's queue
	}
	var a core.Availability
	err := s.node.View(func(tx *keyspace.Tx) (err error) {
		a, err = core.GetAvailability(tx, site, department, agent)
		return err
	})
	if err != nil {
		s.log.Error("reading who is there", "site", site, "err", err)
	}
	return a.String()
}

// addressText is an address as the rules and the agents see it.
func addressText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

// clip shortens a text to at most n bytes, whole characters, and drops what
// is not UTF-8.
func clip(text string, n int) string {
	if len(text) > n {
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	if utf8.ValidString(text) {
		return text
	}
	clean := make([]rune, 0, len(text))
	for _, r := range text {
		if r != utf8.RuneError {
			clean = append(clean, r)
		}
	}
	return string(clean)
}

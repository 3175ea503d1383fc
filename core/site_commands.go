package core

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/command"
)

const (
	maxName      = 256     // bytes of a site's, department's or agent's name
	maxDocument  = 256_000 // bytes of a config object
	maxDocuments = 1000    // config objects of a kind
)

// defaultCampaign is the id of the campaign that every site has.
const defaultCampaign = "default"

// defaultCampaignDocument is what a new site's widget looks like. The texts
// that it does not give are the widget's.
const defaultCampaignDocument = `{
	"name": "Default", "language": "en",
	"button": {"text": "Chat with us", "color": "#1f6feb", "position": "bottom-right"},
	"window": {"title": "Chat with us", "greeting": "Hello! How can we help you?", "color": "#1f6feb"},
	"prechat": {"enabled": true, "fields": [
		{"id": "name", "type": "text", "label": "Your name", "required": true},
		{"id": "email", "type": "email", "label": "Your e-mail address", "required": false}]},
	"offline": {"text": "Nobody is here at the moment. Leave a message and we will come back to you.", "fields": [
		{"id": "name", "type": "text", "label": "Your name", "required": true},
		{"id": "email", "type": "email", "label": "Your e-mail address", "required": true},
		{"id": "message", "type": "textarea", "label": "Your message", "required": true}]},
	"articles": [], "texts": {}}`

var siteWords = keywords{"NAME": 1, "EVENTS-KEEP": 1}

// runSiteCreate is SITE.CREATE.
func runSiteCreate(s *step, args []string) (command.Reply, error) {
	o, err := siteWords.parse(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	return command.OK, s.createSite(args[1], o)
}

func (s *step) createSite(id string, o options) error {
	if err := checkName("site", id); err != nil {
		return err
	}
	if s.exists(keySite(id)) {
		return fail(CodeExists, "site %q exists already", id)
	}
	site := &Site{ID: id, Name: id, CreatedAt: s.Now, EventsKeep: DefaultEventsKeep}
	if _, err := site.apply(o); err != nil {
		return err
	}
	s.add(keySite(id), site)
	if _, err := s.SAdd([]byte(keySites), []byte(id)); err != nil {
		return err
	}
	if err := s.emitSite(EventSiteCreated, site); err != nil {
		return err
	}
	_, err := s.storeDocument(site, "campaigns", defaultCampaign, defaultCampaignDocument)
	return err
}

// apply takes over what a command says of a site.
func (site *Site) apply(o options) (changed bool, err error) {
	was := *site
	if o.given("NAME") {
		site.Name = o.text("NAME")
		if err := checkText("NAME", site.Name, maxName); err != nil {
			return false, err
		}
	}
	site.EventsKeep, err = o.number("EVENTS-KEEP", site.EventsKeep, MinEventsKeep, 1_000_000_000)
	return *site != was, err
}

// runSiteUpdate is SITE.UPDATE.
func runSiteUpdate(s *step, args []string) (command.Reply, error) {
	o, err := siteWords.parse(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	site, err := s.site(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	changed, err := site.apply(o)
	if err != nil || !changed {
		return command.OK, err
	}
	return command.OK, s.emitSite(EventSiteUpdated, site)
}

// runSiteGet is SITE.GET.
func runSiteGet(c *command.Call, args []string) (command.Reply, error) {
	site, ok, err := GetSite(c.Tx, args[1])
	if err != nil || !ok {
		return command.Null(), err
	}
	return replyObject(&site, field{"last_event", count(site.LastEvent)}), nil
}

// runSiteList is SITE.LIST.
func runSiteList(c *command.Call, _ []string) (command.Reply, error) {
	ids, err := ListSites(c.Tx)
	return replyTexts(ids), err
}

var revWords = keywords{"REV": 1}

// prepareSiteSet judges the document before the log: what is accepted may
// grow from version to version, and nodes of two versions must not differ.
func prepareSiteSet(args [][]byte) ([][]byte, error) {
	if len(args) < 5 {
		return args, nil
	}
	if err := checkKind(string(args[2])); err != nil {
		return nil, err
	}
	if err := rules.Validate(string(args[2]), args[4]); err != nil {
		return nil, fail(CodeInvalid, "the document is not valid: %s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return args, nil
}

// runSiteSet is SITE.SET. The document was judged by prepareSiteSet.
func runSiteSet(s *step, args []string) (command.Reply, error) {
	o, err := revWords.parse(args[5:])
	if err != nil {
		return command.Reply{}, err
	}
	kind, id := args[2], args[3]
	if err := checkKind(kind); err != nil {
		return command.Reply{}, err
	}
	if err := checkName("config object", id); err != nil {
		return command.Reply{}, err
	}
	site, err := s.site(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	if err := s.checkRev(site.ID, kind, id, o); err != nil {
		return command.Reply{}, err
	}
	rev, err := s.storeDocument(site, kind, id, args[4])
	return command.Int(rev), err
}

func checkKind(kind string) error {
	if !slices.Contains(ConfigKinds(), kind) {
		return fail(CodeInvalid, "kind %q is not known; known are %s", clip(kind, 80), strings.Join(ConfigKinds(), " "))
	}
	return nil
}

// checkRev checks that a config object is as the command's sender saw it.
func (s *step) checkRev(site, kind, id string, o options) error {
	want, err := o.number("REV", 0, 0, 1<<53)
	if err != nil || !o.given("REV") {
		return err
	}
	doc, ok, err := GetConfig(s.Tx, site, kind, id)
	switch {
	case err != nil:
		return err
	case !ok && want != 0:
		return fail(CodeConflict, "%s/%s does not exist any more; expected revision %d", kind, id, want)
	case ok && want != doc.Rev:
		return fail(CodeConflict, "%s/%s has revision %d, not %d; read it again", kind, id, doc.Rev, want)
	}
	return nil
}

// storeDocument stores a config object with its id and a new revision.
func (s *step) storeDocument(site *Site, kind, id, document string) (rev int64, err error) {
	if err := checkObject("the document", document, maxDocument); err != nil {
		return 0, err
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		return 0, fail(CodeInvalid, "the document is not a JSON object")
	}
	var named string
	if given, ok := doc["id"]; ok && (json.Unmarshal(given, &named) != nil || named != id) {
		return 0, fail(CodeInvalid, "the document's id is not %q", id)
	}
	key := []byte(keyConfig(site.ID, kind))
	if n, err := s.HLen(key); err != nil {
		return 0, err
	} else if _, ok, err := s.HGet(key, []byte(id)); err != nil {
		return 0, err
	} else if !ok && n >= maxDocuments {
		return 0, fail(CodeLimit, "site %q has %d %s; no more are allowed", site.ID, n, kind)
	}
	site.ConfigRev++
	doc["id"], doc["rev"] = json.RawMessage(toJSON(id)), json.RawMessage(count(site.ConfigRev))
	if _, err := s.HSet(key, []byte(id), []byte(toJSON(doc))); err != nil {
		return 0, err
	}
	return site.ConfigRev, s.emit(Event{Type: EventConfigChanged, Site: site.ID}, ConfigData{kind, id, site.ConfigRev})
}

// runSiteUnset is SITE.UNSET.
func runSiteUnset(s *step, args []string) (command.Reply, error) {
	o, err := revWords.parse(args[4:])
	if err != nil {
		return command.Reply{}, err
	}
	kind, id := args[2], args[3]
	if err := checkKind(kind); err != nil {
		return command.Reply{}, err
	}
	site, err := s.site(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	if err := s.checkRev(site.ID, kind, id, o); err != nil {
		return command.Reply{}, err
	}
	if kind == "campaigns" && id == defaultCampaign {
		return command.Reply{}, fail(CodeConflict, "campaign %q is what a visitor sees if no rule matches; it cannot be removed", id)
	}
	removed, err := s.HDel([]byte(keyConfig(site.ID, kind)), []byte(id))
	if err != nil || !removed {
		return command.Bool(false), err
	}
	site.ConfigRev++
	return command.Bool(true), s.emit(Event{Type: EventConfigChanged, Site: site.ID}, ConfigData{Kind: kind, ID: id})
}

// runSiteConfig is SITE.CONFIG.
func runSiteConfig(c *command.Call, args []string) (command.Reply, error) {
	if err := checkKind(args[2]); err != nil {
		return command.Reply{}, err
	}
	switch len(args) {
	case 4:
		doc, ok, err := GetConfig(c.Tx, args[1], args[2], args[3])
		if err != nil || !ok {
			return command.Null(), err
		}
		return command.Bulk(shown(args[2], doc)), nil
	case 3:
		docs, err := SiteConfig(c.Tx, args[1], args[2])
		var elems []command.Reply
		for _, doc := range docs {
			elems = append(elems, command.BulkString(doc.ID), command.Bulk(shown(args[2], doc)))
		}
		return command.Map(elems...), err
	}
	return command.Reply{}, command.ErrSyntax
}

// shown is a config object as clients of the store see it: without the secrets
// that webhooks are signed with.
func shown(kind string, doc ConfigDocument) []byte {
	if kind != kindWebhooks {
		return doc.Document
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(doc.Document, &fields); err != nil {
		return nil
	}
	delete(fields, "secret")
	delete(fields, "previous_secret")
	out, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	return out
}

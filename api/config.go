package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// maxDocument is the largest body of a call with a config object, in bytes.
const maxDocument = 300 << 10

func (s *Server) configRoutes() {
	const tag = "config"
	at := func(method, path, id, summary string) endpoint {
		return endpoint{method: method, path: path, id: id, tag: tag, who: forAdmin, summary: summary, maxBody: maxDocument}
	}
	register(s, at(http.MethodGet, "/v1/config/{kind}", "listConfig", "The config objects of a kind"), s.listConfig)
	register(s, at(http.MethodGet, "/v1/config/{kind}/{id}", "getConfig", "A config object"), s.getConfig)
	register(s, at(http.MethodPut, "/v1/config/{kind}/{id}", "putConfig", "Stores a config object"), s.putConfig)
	register(s, at(http.MethodDelete, "/v1/config/{kind}/{id}", "deleteConfig", "Removes a config object"), s.deleteConfig)
	register(s, at(http.MethodPost, "/v1/config/{kind}/simulate", "simulateConfig", "What the rules would decide, and why; nothing is stored"), s.simulate)
}

// PathKind names a kind of config objects.
type PathKind struct {
	Kind string `path:"kind" maxLength:"32" doc:"campaigns, segments, campaign_rules, routes, invitations or webhooks"`
}

// check says whether there is such a kind.
func (in *PathKind) check() error {
	if slices.Contains(core.ConfigKinds(), in.Kind) {
		return nil
	}
	return problem(codeNotFound, fmt.Sprintf("there is no kind %q; kinds are %s", clip(in.Kind, 32), strings.Join(core.ConfigKinds(), ", ")))
}

// configList is all config objects of a kind.
type configList struct {
	Documents  []json.RawMessage `json:"documents"`
	NextCursor string            `json:"next_cursor,omitempty" doc:"None: this is the end"`
}

func (s *Server) listConfig(_ context.Context, c *call, in *PathKind) (*reply[configList], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	out := configList{Documents: []json.RawMessage{}}
	err := s.node.View(func(tx *keyspace.Tx) error {
		docs, err := core.SiteConfig(tx, c.agent.Site, in.Kind)
		for _, doc := range docs {
			out.Documents = append(out.Documents, doc.Document)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// PathConfig names a config object.
type PathConfig struct {
	PathKind
	ID string `path:"id" maxLength:"64"`
}

// configAnswer is a config object with its revision as the tag.
type configAnswer struct {
	ETag string `header:"ETag"`
	Body json.RawMessage
}

func (s *Server) getConfig(ctx context.Context, c *call, in *PathConfig) (*configAnswer, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var doc core.ConfigDocument
	found, err := s.look(ctx, func(tx *keyspace.Tx) (found bool, err error) {
		doc, found, err = core.GetConfig(tx, c.agent.Site, in.Kind, in.ID)
		return found, err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem(codeNotFound, fmt.Sprintf("%s has no %q", in.Kind, in.ID))
	}
	return &configAnswer{ETag: revTag(doc.Rev), Body: doc.Document}, nil
}

func revTag(rev int64) string { return `"` + strconv.FormatInt(rev, 10) + `"` }

// putInput is a config object to be stored.
type putInput struct {
	PathConfig
	IfMatch     string `header:"If-Match" doc:"The ETag that the object must have"`
	IfNoneMatch string `header:"If-None-Match" doc:"* : there must be no such object yet"`
	Body        json.RawMessage
}

func (s *Server) putConfig(ctx context.Context, c *call, in *putInput) (*configAnswer, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if err := checkDocument(in.Kind, in.ID, in.Body, "body"); err != nil {
		return nil, err
	}
	rev, err := wantedRev(in.IfMatch)
	if err != nil {
		return nil, err
	}
	if in.IfNoneMatch == "*" {
		rev = new(int64)
	}
	stored, err := ask(ctx, s, c, core.SiteSet{Site: c.agent.Site, Kind: in.Kind, ID: in.ID, Document: in.Body, Rev: rev})
	if err != nil {
		return nil, err
	}
	out, err := s.getConfig(ctx, c, &in.PathConfig)
	if err != nil {
		return nil, err
	}
	out.ETag = revTag(stored)
	return out, nil
}

// checkDocument judges a document and says where it is wrong.
func checkDocument(kind, id string, doc []byte, at string) error {
	var named struct {
		ID *string `json:"id"`
	}
	if err := json.Unmarshal(doc, &named); err == nil && named.ID != nil && id != "" && *named.ID != id {
		return invalid(at+".id", fmt.Sprintf("is %q, but the path says %q", clip(*named.ID, 64), id))
	}
	err := rules.Validate(kind, doc)
	if err == nil {
		return nil
	}
	var wrong rules.Errors
	if !errors.As(err, &wrong) {
		return invalid(at, err.Error())
	}
	items := make([]ProblemItem, 0, len(wrong))
	for _, w := range wrong {
		where := at
		if w.Path != "" {
			where += "." + w.Path
		}
		items = append(items, ProblemItem{where, w.Message})
	}
	return problem(codeInvalidRequest, "the document is not valid: "+wrong[0].Error(), items...)
}

// wantedRev reads If-Match; nil: any.
func wantedRev(header string) (*int64, error) {
	if header == "" || header == "*" {
		return nil, nil
	}
	rev, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(header, "W/"), `"`), 10, 64)
	if err != nil || rev < 0 {
		return nil, invalid("header.If-Match", "must be the ETag that GET answered")
	}
	return &rev, nil
}

// deleteInput names a config object to be removed.
type deleteInput struct {
	PathConfig
	IfMatch string `header:"If-Match" doc:"The ETag that the object must have"`
}

func (s *Server) deleteConfig(ctx context.Context, c *call, in *deleteInput) (*empty, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	rev, err := wantedRev(in.IfMatch)
	if err != nil {
		return nil, err
	}
	removed, err := ask(ctx, s, c, core.SiteUnset{Site: c.agent.Site, Kind: in.Kind, ID: in.ID, Rev: rev})
	if err == nil && !removed {
		err = problem(codeNotFound, fmt.Sprintf("%s has no %q", in.Kind, in.ID))
	}
	return &empty{}, err
}

// simulateInput is what is to be decided on.
type simulateInput struct {
	PathKind
	Body struct {
		Rules []json.RawMessage `json:"rules,omitempty" maxItems:"1000" doc:"Documents of this kind instead of the stored ones"`
		Facts factsBody         `json:"facts"`
		At    int64             `json:"at,omitempty" doc:"The time to decide at, ms since 1970; none: now"`
	}
}

// factsBody is rules.Facts with every field optional.
type factsBody struct{ rules.Facts }

// Schema leaves it to the decoder to check the types.
func (factsBody) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "object", AdditionalProperties: true,
		Description: "visitor, page, landing_url, vars, prechat, campaign, departments, shown_visit, shown_visitor: what the rules look at (docs/rules.md)"}
}

// UnmarshalJSON reads the facts.
func (f *factsBody) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &f.Facts) }

// simulated is rules.Decision for the OpenAPI document.
type simulated struct {
	Segments    []string                   `json:"segments"`
	Campaign    string                     `json:"campaign"`
	Route       rules.Route                `json:"route"`
	Invitation  Nullable[rules.Invitation] `json:"invitation"`
	Explanation rules.Explanation          `json:"explanation"`
}

func (s *Server) simulate(_ context.Context, c *call, in *simulateInput) (*reply[simulated], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	docs := rules.Config{}
	facts := in.Body.Facts.Facts
	err := s.node.View(func(tx *keyspace.Tx) error {
		for _, kind := range rules.Kinds() {
			list, err := core.SiteConfig(tx, c.agent.Site, kind)
			if err != nil {
				return err
			}
			docs[kind] = map[string][]byte{}
			for _, doc := range list {
				docs[kind][doc.ID] = doc.Document
			}
		}
		return fillDepartments(tx, c.agent.Site, &facts)
	})
	if err != nil {
		return nil, err
	}
	if in.Body.Rules != nil {
		if docs[in.Kind], err = replacement(in.Kind, in.Body.Rules); err != nil {
			return nil, err
		}
	}
	set, err := rules.Compile(docs)
	if err != nil {
		s.log.Warn("some rules of a site are left out of a simulation", "site", c.agent.Site, "err", err)
	}
	now := s.now()
	if in.Body.At != 0 {
		now = unixMilli(in.Body.At)
	}
	d := set.Decide(facts, now)
	return answer(simulated{
		Segments: d.Segments, Campaign: d.Campaign, Route: d.Route, Invitation: orNull(d.Invitation), Explanation: d.Explanation,
	}), nil
}

// fillDepartments gives the facts the site's departments as they are, unless
// the caller says how they are to be.
func fillDepartments(tx *keyspace.Tx, site string, facts *rules.Facts) error {
	if facts.Departments != nil {
		return nil
	}
	list, err := core.ListDepartments(tx, site)
	facts.Departments = map[string]rules.Department{}
	for _, d := range list {
		facts.Departments[d.ID] = rules.Department{Online: d.Online > 0, Queue: int(d.QueueLength)}
	}
	return err
}

// replacement checks documents that are tried out.
func replacement(kind string, list []json.RawMessage) (map[string][]byte, error) {
	docs := make(map[string][]byte, len(list))
	for i, doc := range list {
		at := fmt.Sprintf("body.rules[%d]", i)
		if err := checkDocument(kind, "", doc, at); err != nil {
			return nil, err
		}
		var named struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(doc, &named); err != nil {
			return nil, invalid(at, "must be an object")
		}
		if named.ID == "" {
			named.ID = fmt.Sprintf("rule-%d", i+1)
		}
		if _, twice := docs[named.ID]; twice {
			return nil, invalid(at+".id", "stands twice")
		}
		docs[named.ID] = doc
	}
	return docs, nil
}

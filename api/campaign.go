package api

import (
	"context"
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// campaign is a campaign document as visitors see it (docs/http.md).
type campaign struct {
	ID       string            `json:"id"`
	Rev      int64             `json:"rev"`
	Name     string            `json:"name,omitempty"`
	Language string            `json:"language,omitempty"`
	Button   *campaignButton   `json:"button,omitempty"`
	Window   *campaignWindow   `json:"window,omitempty"`
	Prechat  *prechatForm      `json:"prechat,omitempty"`
	Offline  *offlineForm      `json:"offline,omitempty"`
	Articles []article         `json:"articles,omitempty"`
	Texts    map[string]string `json:"texts,omitempty"`
}

type campaignButton struct {
	Text     string `json:"text,omitempty"`
	Color    string `json:"color,omitempty"`
	Position string `json:"position,omitempty"`
}

type campaignWindow struct {
	Title    string `json:"title,omitempty"`
	Greeting string `json:"greeting,omitempty"`
	Color    string `json:"color,omitempty"`
}

type prechatForm struct {
	Enabled bool        `json:"enabled"`
	Fields  []formField `json:"fields,omitempty"`
}

type offlineForm struct {
	Text   string      `json:"text,omitempty"`
	Fields []formField `json:"fields,omitempty"`
}

type formField struct {
	ID       string   `json:"id"`
	Type     string   `json:"type,omitempty" doc:"text, email, phone, textarea or select; none: text"`
	Label    string   `json:"label,omitempty"`
	Required bool     `json:"required,omitempty"`
	Options  []string `json:"options,omitempty" doc:"Of a select field"`
}

type article struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// prechat gives the form to fill in before a chat; nil if there is none.
func (c *campaign) prechat() *prechatForm {
	if c.Prechat == nil || !c.Prechat.Enabled || len(c.Prechat.Fields) == 0 {
		return nil
	}
	return c.Prechat
}

// checkPrechat checks the answers of the pre-chat form, if there is one.
func (c *campaign) checkPrechat(answers map[string]string) error {
	form := c.prechat()
	if form == nil {
		return nil
	}
	return checkForm(form.Fields, answers, maxAnswer)
}

// checkOffline checks the answers of the offline form. A campaign may leave
// the fields to the widget.
func (c *campaign) checkOffline(answers map[string]string) error {
	fields := widgetFields
	if c.Offline != nil && len(c.Offline.Fields) > 0 {
		fields = c.Offline.Fields
	}
	return checkForm(fields, answers, core.MaxVarValue)
}

// widgetFields are those of the offline form that the widget brings along.
var widgetFields = []formField{
	{ID: "name", Type: "text"},
	{ID: "email", Type: "email", Required: true},
	{ID: "message", Type: "textarea", Required: true},
}

// maxAnswer is how long one answer of a form may be, in bytes.
const maxAnswer = 4096

// checkForm checks the answers of a form, of up to limit bytes each, against
// its fields.
func checkForm(fields []formField, answers map[string]string, limit int) error {
	var items []ProblemItem
	for _, f := range fields {
		if msg := f.check(strings.TrimSpace(answers[f.ID]), limit); msg != "" {
			items = append(items, ProblemItem{"body.prechat." + f.ID, msg})
		}
	}
	for id := range answers {
		if !slices.ContainsFunc(fields, func(f formField) bool { return f.ID == id }) {
			items = append(items, ProblemItem{"body.prechat." + clip(id, 64), "the form has no such field"})
		}
	}
	if len(items) == 0 {
		return nil
	}
	slices.SortFunc(items, func(a, b ProblemItem) int { return strings.Compare(a.Location, b.Location) })
	return problem(codeInvalidRequest, "the form is not filled in correctly", items...)
}

// check gives what is wrong with an answer, "" if nothing.
func (f *formField) check(answer string, limit int) string {
	switch {
	case answer == "" && f.Required:
		return "this field is required"
	case answer == "":
		return ""
	case len(answer) > limit:
		return fmt.Sprintf("at most %d bytes", limit)
	case !utf8.ValidString(answer):
		return "this is not text"
	}
	switch f.Type {
	case "email":
		if a, err := mail.ParseAddress(answer); err != nil || a.Address != answer || len(answer) > 254 {
			return "this is not an e-mail address"
		}
	case "phone":
		if digits := strings.Map(onlyDigits, answer); len(digits) < 3 || strings.Trim(answer, "0123456789 +-()./") != "" || len(answer) > 64 {
			return "this is not a telephone number"
		}
	case "select":
		if !slices.Contains(f.Options, answer) {
			return "this is not one of the options"
		}
	}
	return ""
}

func onlyDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return r
	}
	return -1
}

// getCampaign answers GET /v1/campaigns/{campaign}?site=.
func (s *Server) getCampaign(ctx *fasthttp.RequestCtx, _ *call) error {
	site, id := string(ctx.QueryArgs().Peek("site")), pathParam(ctx, "campaign")
	if site == "" {
		return invalid("query.site", "is missing")
	}
	doc, err := s.findCampaign(s.base, site, id)
	if err != nil {
		return err
	}
	etag := fmt.Sprintf(`"%s-%d"`, id, doc.Rev)
	ctx.Response.Header.Set(fasthttp.HeaderETag, etag)
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-cache")
	if matchesETag(string(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch)), etag) {
		ctx.SetStatusCode(http.StatusNotModified)
		return nil
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(doc.Document)
	return nil
}

func (s *Server) findCampaign(ctx context.Context, site, id string) (doc core.ConfigDocument, err error) {
	var siteKnown bool
	found, err := s.look(ctx, func(tx *keyspace.Tx) (found bool, err error) {
		if _, siteKnown, err = core.GetSite(tx, site); err != nil || !siteKnown {
			return false, err
		}
		doc, found, err = core.GetConfig(tx, site, rules.KindCampaigns, id)
		return found, err
	})
	switch {
	case err != nil:
		return doc, err
	case !siteKnown:
		return doc, unknownSite(site)
	case !found:
		return doc, problem(codeUnknownCampaign, fmt.Sprintf("site %q has no campaign %q", clip(site, 64), clip(id, 64)))
	}
	return doc, nil
}

func unknownSite(site string) *Problem {
	return problem(codeUnknownSite, fmt.Sprintf("there is no site %q", clip(site, 64)))
}

// matchesETag reads If-None-Match; tags compare weakly.
func matchesETag(header, etag string) bool {
	etag = strings.TrimPrefix(etag, "W/")
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

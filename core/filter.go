package core

import (
	"slices"
	"strings"

	"github.com/tidwall/match"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// matches says whether a visitor, with his variables, passes the filter.
func (f *VisitorFilter) matches(tx *keyspace.Tx, v *Visitor) (bool, error) {
	if !f.matchesFields(v) {
		return false, nil
	}
	for name, want := range f.Vars {
		if !strings.EqualFold(v.Vars[name], want) {
			return false, nil
		}
	}
	if f.Department == "" && f.Agent == "" {
		return true, nil
	}
	department, agent, err := whereIs(tx, v)
	return (f.Department == "" || department == f.Department) && (f.Agent == "" || agent == f.Agent), err
}

func (f *VisitorFilter) matchesFields(v *Visitor) bool {
	return (f.ID == "" || v.ID == f.ID) &&
		(f.Status == "" || v.Status == f.Status) &&
		(f.Segment == "" || slices.Contains(v.Segments, f.Segment)) &&
		(f.Campaign == "" || v.Campaign == f.Campaign) &&
		(f.Page == "" || matchPattern(f.Page, v.PageURL)) &&
		(f.Country == "" || strings.EqualFold(v.Country, f.Country)) &&
		(f.Language == "" || strings.EqualFold(v.Language, f.Language)) &&
		(f.Name == "" || strings.Contains(strings.ToLower(v.Name), strings.ToLower(f.Name))) &&
		(f.Email == "" || strings.EqualFold(v.Email, f.Email))
}

// whereIs gives the department and the agent that a visitor is with: of his
// ongoing chat, else the department of his route.
func whereIs(tx *keyspace.Tx, v *Visitor) (department, agent string, err error) {
	if v.Chat != "" {
		c, ok, err := loadChat(tx, v.Chat)
		if err != nil || ok {
			return c.Department, c.Agent, err
		}
	}
	if v.Route != nil {
		department = v.Route.Department
	}
	return department, "", nil
}

// matchEffort bounds what matching one text may cost, in steps: patterns with
// many stars would otherwise try almost for ever.
const matchEffort = 10_000

// matchPattern compares without case: * stands for any text, ? for one
// character, \ takes the next one as it is. A pattern that costs too much does
// not match.
func matchPattern(pattern, text string) bool {
	matched, _ := match.MatchLimit(strings.ToLower(text), strings.ToLower(pattern), matchEffort)
	return matched
}

// eachStatus pages through the chats of one status, or of all, one status
// after the other. The cursor of all statuses begins with the one it is in.
// page answers "" when a status is at its end and the page is not full.
func eachStatus(status, cursor string, page func(status, cursor string) (next string, err error)) (string, error) {
	if status != "" {
		return page(status, cursor)
	}
	order := []string{ChatWaiting, ChatChatting, ChatEnded}
	at := 0
	if in, rest, ok := strings.Cut(cursor, ":"); ok && slices.Contains(order, in) {
		at, cursor = slices.Index(order, in), rest
	} else if cursor != "0" && cursor != "" {
		return "", fail(CodeInvalid, "cursor %q is not one that a list answered", clip(cursor, 80))
	}
	for _, in := range order[at:] {
		next, err := page(in, cursor)
		if err != nil {
			return "", err
		}
		if next != "" {
			return in + ":" + next, nil
		}
		cursor = ""
	}
	return "", nil
}

package core

import (
	"github.com/parlorchat/parlor/storage/keyspace"
)

// loadVisitor reads a visitor's hash.
func loadVisitor(tx *keyspace.Tx, id string) (v Visitor, ok bool, err error) {
	ok, err = load(tx, keyVisitor(id), &v)
	return v, ok, err
}

// GetVisitor reads a visitor with his custom variables.
func GetVisitor(tx *keyspace.Tx, id string) (v Visitor, ok bool, err error) {
	if v, ok, err = loadVisitor(tx, id); err != nil || !ok {
		return Visitor{}, false, err
	}
	v.Vars, err = visitorVars(tx, id)
	return v, true, err
}

// visitorVars reads a visitor's custom variables; nil if he has none.
func visitorVars(tx *keyspace.Tx, id string) (map[string]string, error) {
	var vars map[string]string
	err := tx.HEach([]byte(keyVisitorVars(id)), func(name, value []byte) bool {
		if vars == nil {
			vars = map[string]string{}
		}
		vars[string(name)] = string(value)
		return true
	})
	return vars, err
}

// VisitorPages reads the last pages that a visitor viewed, newest first.
func VisitorPages(tx *keyspace.Tx, id string, limit int) ([]Page, error) {
	pages := []Page{}
	err := tx.XEach([]byte(keyVisitorPages(id)), keyspace.StreamID{}, lastID, true, func(at keyspace.StreamID, fields [][]byte) bool {
		if len(pages) == limit {
			return false
		}
		p := Page{At: int64(at.Ms)}
		for i := 0; i+1 < len(fields); i += 2 {
			switch string(fields[i]) {
			case "url":
				p.URL = string(fields[i+1])
			case "title":
				p.Title = string(fields[i+1])
			case "referrer":
				p.Referrer = string(fields[i+1])
			}
		}
		pages = append(pages, p)
		return true
	})
	return pages, err
}

// VisitorFilter narrows ListVisitors; an empty field does not. Texts compare
// without case.
type VisitorFilter struct {
	ID         string
	Status     string
	Segment    string
	Campaign   string
	Department string // of the ongoing chat, else of the route
	Agent      string // of the ongoing chat
	Page       string // pattern over page_url, with * and ?
	Country    string
	Language   string
	Name       string // part of the name
	Email      string
	Vars       map[string]string
}

// ListVisitors reads a site's visitors, last seen first. cursor is "" to begin
// with, else the former next. limit is 1 to MaxPage. next is "" after the last
// page; a page may be short, even empty, before that, because a call looks at
// no more than maxExamined visitors.
func ListVisitors(tx *keyspace.Tx, site string, f VisitorFilter, cursor string, limit int) (visitors []Visitor, next string, err error) {
	visitors = []Visitor{}
	if f.ID != "" {
		v, ok, err := GetVisitor(tx, f.ID)
		if err != nil || !ok || v.Site != site {
			return visitors, "", err
		}
		match, err := f.matches(tx, &v)
		if match {
			visitors = append(visitors, v)
		}
		return visitors, "", err
	}
	key := keySiteVisitors(site)
	if f.Status != "" {
		key = keySiteVisitorsIn(site, f.Status)
	}
	next, err = pageThrough(tx, key, cursor, func(id string) (full bool, err error) {
		v, ok, err := GetVisitor(tx, id)
		if err != nil || !ok {
			return false, err
		}
		match, err := f.matches(tx, &v)
		if match {
			visitors = append(visitors, v)
		}
		return len(visitors) >= limit, err
	})
	return visitors, next, err
}

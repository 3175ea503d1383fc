package core

import (
	"encoding/json"
	"sort"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// GetSite reads a site; ok is false if there is none.
func GetSite(tx *keyspace.Tx, id string) (site Site, ok bool, err error) {
	if ok, err = load(tx, keySite(id), &site); err != nil || !ok {
		return Site{}, false, err
	}
	site.LastEvent, err = LastEvent(tx, id)
	return site, true, err
}

// ListSites gives the ids of all sites in their order.
func ListSites(tx *keyspace.Tx) ([]string, error) { return members(tx, keySites) }

// GetConfig reads one config object.
func GetConfig(tx *keyspace.Tx, site, kind, id string) (doc ConfigDocument, ok bool, err error) {
	value, ok, err := tx.HGet([]byte(keyConfig(site, kind)), []byte(id))
	if err != nil || !ok {
		return ConfigDocument{}, false, err
	}
	return configDocument(id, value), true, nil
}

// SiteConfig reads all config objects of a kind in the order of their ids.
// Site.ConfigRev says whether any has changed since.
func SiteConfig(tx *keyspace.Tx, site, kind string) ([]ConfigDocument, error) {
	var docs []ConfigDocument
	err := tx.HEach([]byte(keyConfig(site, kind)), func(id, value []byte) bool {
		docs = append(docs, configDocument(string(id), value))
		return true
	})
	sort.Slice(docs, func(i, j int) bool { return docs[i].ID < docs[j].ID })
	return docs, err
}

func configDocument(id string, value []byte) ConfigDocument {
	doc := ConfigDocument{Document: append([]byte(nil), value...)}
	_ = json.Unmarshal(doc.Document, &doc)
	doc.ID = id
	return doc
}

// GetDepartment reads a department with its computed fields.
func GetDepartment(tx *keyspace.Tx, id string) (d Department, ok bool, err error) {
	if ok, err = load(tx, keyDepartment(id), &d); err != nil || !ok {
		return Department{}, false, err
	}
	a, err := departmentAvailability(tx, id)
	d.Agents, d.Online, d.QueueLength = a.Members, a.Online, a.Waiting
	return d, true, err
}

// ListDepartments reads a site's departments in the order of their ids.
func ListDepartments(tx *keyspace.Tx, site string) ([]Department, error) {
	ids, err := members(tx, keySiteDepartments(site))
	if err != nil {
		return nil, err
	}
	out := make([]Department, 0, len(ids))
	for _, id := range ids {
		d, ok, err := GetDepartment(tx, id)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, d)
		}
	}
	return out, nil
}

// GetAvailability says who could take a chat now: of a department, of one
// agent (then the department's queue only says how many wait), or, with
// neither, of all departments of the site.
func GetAvailability(tx *keyspace.Tx, site, department, agent string) (Availability, error) {
	switch {
	case agent != "":
		return agentAvailability(tx, agent, department)
	case department != "":
		return departmentAvailability(tx, department)
	}
	return siteAvailability(tx, site)
}

func agentAvailability(tx *keyspace.Tx, agent, department string) (Availability, error) {
	var a Availability
	var err error
	if department != "" {
		if a.Waiting, err = tx.ZLen([]byte(keyQueue(department))); err != nil {
			return a, err
		}
	}
	return a, a.count(tx, agent)
}

func departmentAvailability(tx *keyspace.Tx, department string) (a Availability, err error) {
	ids, err := members(tx, keyDepartmentAgents(department))
	if err != nil {
		return a, err
	}
	for _, id := range ids {
		if err := a.count(tx, id); err != nil {
			return a, err
		}
	}
	a.Waiting, err = tx.ZLen([]byte(keyQueue(department)))
	return a, err
}

func siteAvailability(tx *keyspace.Tx, site string) (a Availability, err error) {
	departments, err := members(tx, keySiteDepartments(site))
	if err != nil {
		return a, err
	}
	counted := map[string]bool{}
	for _, department := range departments {
		waiting, err := tx.ZLen([]byte(keyQueue(department)))
		if err != nil {
			return a, err
		}
		a.Waiting += waiting
		ids, err := members(tx, keyDepartmentAgents(department))
		if err != nil {
			return a, err
		}
		for _, id := range ids {
			if counted[id] {
				continue
			}
			counted[id] = true
			if err := a.count(tx, id); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

// count adds an agent to the sums.
func (a *Availability) count(tx *keyspace.Tx, id string) error {
	agent, ok, err := loadAgent(tx, id)
	if err != nil || !ok {
		return err
	}
	a.Members++
	if agent.here() {
		a.Online++
		a.Capacity += agent.MaxChats
	}
	if agent.eligible() {
		a.Free++
	}
	return nil
}

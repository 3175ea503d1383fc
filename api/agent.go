package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func (s *Server) agentRoutes() {
	const tag = "agent"
	get := func(path, id, summary string) endpoint {
		return endpoint{method: http.MethodGet, path: path, id: id, tag: tag, who: forAgent, summary: summary}
	}
	register(s, get("/v1/me", "getMe", "The agent himself, and where his events go on from"), s.me)
	register(s, endpoint{method: http.MethodPut, path: "/v1/me/status", id: "setStatus", tag: tag, who: forAgent,
		summary: "Sets whether the agent wants chats"}, s.setStatus)
	register(s, get("/v1/visitors", "listVisitors", "The site's visitors, last seen first"), s.listVisitors)
	register(s, get("/v1/visitors/{id}", "getVisitor", "A visitor with his variables and pages"), s.getVisitor)
	register(s, get("/v1/agents", "listAgents", "The site's agents"), s.listAgents)
	register(s, get("/v1/departments", "listDepartments", "The site's departments"), s.listDepartments)
	register(s, endpoint{method: http.MethodPost, path: "/v1/visitors/{id}/invitations", id: "inviteVisitor", tag: tag, who: forAgent,
		summary: "Invites a visitor to a chat"}, s.inviteVisitor)
}

// meAnswer is an agent as he sees himself.
type meAnswer struct {
	Agent core.Agent `json:"agent"`
	Site  core.Site  `json:"site"`
	Hosts []string   `json:"hosts,omitempty" doc:"Base URLs at which browsers reach the group's nodes"`
	Place
}

func (s *Server) me(_ context.Context, c *call, _ *empty) (*reply[meAnswer], error) {
	out := meAnswer{Agent: *c.agent, Hosts: s.cfg.Hosts()}
	err := s.node.View(func(tx *keyspace.Tx) (err error) {
		if out.Site, _, err = core.GetSite(tx, c.agent.Site); err != nil {
			return err
		}
		at, err := readPosition(tx, c.agent.Site)
		out.Place = at.place()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// statusInput is what an agent wants.
type statusInput struct {
	Body struct {
		Status string `json:"status" enum:"online,away,offline"`
	}
}

// statusAnswer is the agent after the change.
type statusAnswer struct {
	Status string     `json:"status"`
	Agent  core.Agent `json:"agent"`
}

func (s *Server) setStatus(ctx context.Context, c *call, in *statusInput) (*reply[statusAnswer], error) {
	if err := do(ctx, s, c, core.AgentStatus{ID: c.agent.ID, Status: in.Body.Status}); err != nil {
		return nil, err
	}
	var out statusAnswer
	err := s.node.View(func(tx *keyspace.Tx) (err error) {
		out.Agent, _, err = core.GetAgent(tx, c.agent.ID)
		out.Status = out.Agent.Status
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// Paging is the part of a list that is wanted.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"256" doc:"next_cursor of the answer before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

// visitorsInput narrows the list of visitors.
type visitorsInput struct {
	Paging
	Status     string `query:"status" enum:"browsing,waiting,chatting,offline,left"`
	Segment    string `query:"segment" maxLength:"64"`
	Campaign   string `query:"campaign" maxLength:"64"`
	Department string `query:"department" maxLength:"64"`
	Agent      string `query:"agent" maxLength:"64"`
	Page       string `query:"page" maxLength:"512" doc:"Glob over the page's URL"`
	Country    string `query:"country" maxLength:"64"`
	Language   string `query:"language" maxLength:"64"`
	Name       string `query:"name" maxLength:"256" doc:"Part of the name"`
	Email      string `query:"email" maxLength:"256"`
	ID         string `query:"id" maxLength:"64"`
}

// visitorList is a part of the list of visitors.
type visitorList struct {
	Visitors   []core.Visitor `json:"visitors"`
	NextCursor string         `json:"next_cursor,omitempty" doc:"None: this is the end"`
}

func (s *Server) listVisitors(_ context.Context, c *call, in *visitorsInput) (*reply[visitorList], error) {
	filter := core.VisitorFilter{
		ID: in.ID, Status: in.Status, Segment: in.Segment, Campaign: in.Campaign, Department: in.Department, Agent: in.Agent,
		Page: in.Page, Country: in.Country, Language: in.Language, Name: in.Name, Email: in.Email,
	}
	var out visitorList
	err := s.node.Walk(func(tx *keyspace.Tx) (err error) {
		out.Visitors, out.NextCursor, err = core.ListVisitors(tx, c.agent.Site, filter, in.Cursor, in.Limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// visitorDetail is a visitor with the pages he viewed.
type visitorDetail struct {
	core.Visitor
	Pages []core.Page `json:"pages" doc:"The last 100, oldest first"`
}

const pagesShown = 100

func (s *Server) getVisitor(ctx context.Context, c *call, in *PathID) (*reply[visitorDetail], error) {
	var out visitorDetail
	found, err := s.look(ctx, func(tx *keyspace.Tx) (found bool, err error) {
		if out.Visitor, found, err = core.GetVisitor(tx, in.ID); err != nil || !found || out.Site != c.agent.Site {
			return false, err
		}
		out.Pages, err = core.VisitorPages(tx, in.ID, pagesShown)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem(codeNotFound, "there is no such visitor")
	}
	slices.Reverse(out.Pages)
	return answer(out), nil
}

// agentsInput narrows the list of agents.
type agentsInput struct {
	Paging
	Department string `query:"department" maxLength:"64"`
	Status     string `query:"status" enum:"online,away,offline"`
}

// agentList is a part of the list of agents.
type agentList struct {
	Agents     []core.Agent `json:"agents"`
	NextCursor string       `json:"next_cursor,omitempty" doc:"None: this is the end"`
}

func (s *Server) listAgents(_ context.Context, c *call, in *agentsInput) (*reply[agentList], error) {
	var out agentList
	err := s.node.Walk(func(tx *keyspace.Tx) (err error) {
		filter := core.AgentFilter{Department: in.Department, Status: in.Status}
		out.Agents, out.NextCursor, err = core.ListAgents(tx, c.agent.Site, filter, in.Cursor, in.Limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// departmentList is all departments of a site.
type departmentList struct {
	Departments []core.Department `json:"departments"`
	NextCursor  string            `json:"next_cursor,omitempty" doc:"None: this is the end"`
}

func (s *Server) listDepartments(_ context.Context, c *call, _ *Paging) (*reply[departmentList], error) {
	var out departmentList
	err := s.node.Walk(func(tx *keyspace.Tx) (err error) {
		out.Departments, err = core.ListDepartments(tx, c.agent.Site)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

// inviteInput is an invitation by an agent.
type inviteInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"2000"`
	}
}

// created names what a call has made.
type created struct {
	ID string `json:"id"`
}

func (s *Server) inviteVisitor(ctx context.Context, c *call, in *inviteInput) (*reply[created], error) {
	if err := checkText(in.Body.Text); err != nil {
		return nil, err
	}
	visitor, err := s.getVisitor(ctx, c, &PathID{ID: in.ID})
	if err != nil {
		return nil, err
	}
	id, err := s.newID(c, "invitation", c.agent.ID)
	if err != nil {
		return nil, err
	}
	if had := visitor.Body.Invitation; had != nil && had.ID == id {
		return answer(created{ID: id}), nil // the same call was made before
	}
	id, err = ask(ctx, s, c, core.VisitorInvite{Visitor: in.ID, Text: in.Body.Text, Agent: c.agent.ID, ID: id})
	if err != nil {
		return nil, err
	}
	return answer(created{ID: id}), nil
}

package core

import (
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// SiteCreate makes a site with the default campaign.
type SiteCreate struct {
	ID, Name   string
	EventsKeep int64 // 0: DefaultEventsKeep
}

func (r SiteCreate) Args() command.Args {
	return build("SITE.CREATE", r.ID).text("NAME", r.Name).number("EVENTS-KEEP", r.EventsKeep).args
}

func (SiteCreate) Result(r command.Reply) error { return resultOK(r) }

// SiteUpdate changes a site; nil fields stay.
type SiteUpdate struct {
	ID         string
	Name       *string
	EventsKeep *int64
}

func (r SiteUpdate) Args() command.Args {
	return build("SITE.UPDATE", r.ID).set("NAME", r.Name).setNumber("EVENTS-KEEP", r.EventsKeep).args
}

func (SiteUpdate) Result(r command.Reply) error { return resultOK(r) }

// SiteSet stores a config object.
type SiteSet struct {
	Site, Kind, ID string
	Document       []byte
	// Rev, if given, is the revision that the stored object must have; 0:
	// there must be none. CONFLICT otherwise.
	Rev *int64
}

func (r SiteSet) Args() command.Args {
	return build("SITE.SET", r.Site, r.Kind, r.ID, string(r.Document)).setNumber("REV", r.Rev).args
}

// Result gives the new revision.
func (SiteSet) Result(r command.Reply) (rev int64, err error) { return resultInt(r) }

// SiteUnset removes a config object.
type SiteUnset struct {
	Site, Kind, ID string
	Rev            *int64 // as in SiteSet
}

func (r SiteUnset) Args() command.Args {
	return build("SITE.UNSET", r.Site, r.Kind, r.ID).setNumber("REV", r.Rev).args
}

// Result says whether there was one.
func (SiteUnset) Result(r command.Reply) (removed bool, err error) { return resultBool(r) }

// DepartmentCreate makes a department.
type DepartmentCreate struct{ ID, Site, Name string }

func (r DepartmentCreate) Args() command.Args {
	return build("DEPARTMENT.CREATE", r.ID, r.Site).text("NAME", r.Name).args
}

func (DepartmentCreate) Result(r command.Reply) error { return resultOK(r) }

// DepartmentRemove removes a department in whose queue nobody waits.
type DepartmentRemove struct{ ID string }

func (r DepartmentRemove) Args() command.Args { return build("DEPARTMENT.REMOVE", r.ID).args }

// Result says whether there was one.
func (DepartmentRemove) Result(r command.Reply) (removed bool, err error) { return resultBool(r) }

// EventAck moves a consumer's durable cursor forward; it never goes back.
type EventAck struct {
	Site, Consumer string
	Seq            int64
}

func (r EventAck) Args() command.Args {
	return build("EVENT.ACK", r.Site, r.Consumer, strconv.FormatInt(r.Seq, 10)).args
}

func (EventAck) Result(r command.Reply) error { return resultOK(r) }

// EventForget drops a consumer and its cursor, so that events need not be
// kept for it.
type EventForget struct{ Site, Consumer string }

func (r EventForget) Args() command.Args { return build("EVENT.FORGET", r.Site, r.Consumer).args }

// Result says whether there was such a consumer.
func (EventForget) Result(r command.Reply) (removed bool, err error) { return resultBool(r) }

// SystemInit is the first command of a group.
type SystemInit struct {
	Epoch       string
	TokenKey    []byte // secret: visitor tokens are signed with it
	SetupSHA256 string // hex, of the one-time setup token
}

func (r SystemInit) Args() command.Args {
	return build("SYSTEM.INIT", r.Epoch, string(r.TokenKey), r.SetupSHA256).args
}

func (SystemInit) Result(r command.Reply) error { return resultOK(r) }

// SystemSetup uses the one-time setup token up: it makes the first site, a
// department with the id "general" and the first admin.
type SystemSetup struct {
	SetupSHA256                       string // hex
	Site, SiteName                    string
	Agent, AgentName, AgentPassHashed string // AgentPassHashed: from HashPassword
}

func (r SystemSetup) Args() command.Args {
	return build("SYSTEM.SETUP", r.SetupSHA256, r.Site, r.Agent).text("SITE-NAME", r.SiteName).
		text("NAME", r.AgentName).text("PASSWORD-HASH", r.AgentPassHashed).args
}

func (SystemSetup) Result(r command.Reply) error { return resultOK(r) }

// SystemResume is what a new leader proposes first: nobody counts as gone
// until he had as long as his lease to give a sign.
type SystemResume struct{}

func (SystemResume) Args() command.Args { return build("SYSTEM.RESUME").args }

func (SystemResume) Result(r command.Reply) error { return resultOK(r) }

// SystemTick does what time has come for, at most Limit things of a kind.
type SystemTick struct{ Limit int }

func (r SystemTick) Args() command.Args {
	return build("SYSTEM.TICK", strconv.Itoa(r.Limit)).args
}

// Result gives how many things were done.
func (SystemTick) Result(r command.Reply) (done int64, err error) { return resultInt(r) }

// SessionCreate signs an agent in.
type SessionCreate struct {
	SHA256    string // hex, of the session token
	Agent     string
	ExpiresAt int64 // ms
}

func (r SessionCreate) Args() command.Args {
	return build("SESSION.CREATE", r.SHA256, r.Agent, strconv.FormatInt(r.ExpiresAt, 10)).args
}

func (SessionCreate) Result(r command.Reply) error { return resultOK(r) }

// SessionRemove signs an agent out.
type SessionRemove struct{ SHA256 string }

func (r SessionRemove) Args() command.Args { return build("SESSION.REMOVE", r.SHA256).args }

// Result says whether there was such a session.
func (SessionRemove) Result(r command.Reply) (removed bool, err error) { return resultBool(r) }

func joinIDs(ids []string) string { return strings.Join(ids, ",") }

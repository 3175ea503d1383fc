package resp

import (
	"testing"

	"github.com/parlorchat/parlor/storage/command"
)

// The domain is in database 0, whatever a client has selected, and its
// prefixes are reserved everywhere.
func TestTheDomainIsInDatabaseZero(t *testing.T) {
	srv := startServer(t, Config{}, startNode(t))
	c := dial(t, srv.Addr())
	c.want("+OK", "SELECT", "9")
	c.want("+OK", "SITE.CREATE", "demo", "NAME", "Demo shop")
	c.want("nil", "HGET", "site:demo", "name")
	c.want("-DENIED 'site:…' is a domain key: change it with the domain commands, see COMMAND LIST FILTERBY ACLCAT site", "SET", "site:demo", "x")
	c.want("+OK", "MULTI")
	c.want("+QUEUED", "SET", "here", "9")
	c.want("+QUEUED", "SITE.CREATE", "other")
	c.want("+QUEUED", "GET", "here")
	c.want("+QUEUED", "SELECT", "0")
	c.want("+QUEUED", "GET", "here")
	c.want("+QUEUED", "HGET", "site:demo", "name")
	c.want(`[+OK +OK "9" +OK nil "Demo shop"]`, "EXEC")
	c.want(":1", "EXISTS", "site:other")
}

// Who waits in one database does not stand in the way of who waits in another.
func TestWaitingInDatabases(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	first, second, p := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	first.write(frame("BLPOP", "q", "0"))
	waitBlocked(t, srv, 1)
	second.want("+OK", "SELECT", "2")
	second.write(frame("BLPOP", "q", "0"))
	waitBlocked(t, srv, 2)
	p.want("+OK", "SELECT", "2")
	p.want(":1", "RPUSH", "q", "two")
	if got := second.read(); got != `["q" "two"]` {
		t.Errorf("who waits in database 2 got %s", got)
	}
	waitBlocked(t, srv, 1)
	p.want("+OK", "SELECT", "0")
	p.want(":1", "RPUSH", "q", "zero")
	if got := first.read(); got != `["q" "zero"]` {
		t.Errorf("who waits in database 0 got %s", got)
	}
}

// A database that there is not never gets into the log.
func TestRequestsForNoDatabaseAreRefused(t *testing.T) {
	n := startNode(t)
	set := []command.Args{command.New("SET", "k", "v")}
	for _, req := range []command.Request{
		{DB: 16, Commands: set},
		{Commands: set, Watches: []command.Watch{{DB: 200}}},
		{Commands: set, Selects: []command.Select{{DB: 16}}},
		{Commands: set, Selects: []command.Select{{Before: 1}}},
		{Commands: set, Selects: []command.Select{{Before: -1}}},
	} {
		if r := n.Propose(t.Context(), []command.Request{req})[0]; r.Err == nil {
			t.Errorf("%+v was carried out", req)
		}
	}
	if r := n.Propose(t.Context(), []command.Request{{DB: 15, Commands: set}})[0]; r.Err != nil {
		t.Error(r.Err)
	}
}

package resp

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// What an administrator changes on one node holds on all; who is deleted
// loses the connections everywhere.
func TestUsersAreTheSameOnEveryNode(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var srvs []*Server
	for _, n := range startNodes(t, 3) {
		srvs = append(srvs, startServer(t, Config{}, n))
	}
	admin := dial(t, srvs[0].Addr())
	admin.want("+OK", "ACL", "SETUSER", "bob", "on", ">pw", "~app:*", "+@all")
	var bobs []*testClient
	for i, srv := range srvs {
		c := dial(t, srv.Addr())
		waitFor(t, fmt.Sprintf("node %d to know bob", i), func() bool { return srv.user("bob") != nil })
		c.want("+OK", "AUTH", "bob", "pw")
		c.want("+OK", "SET", "app:1", "v")
		c.want("-NOPERM this user has no permissions to access one of the keys used as arguments", "GET", "other")
		bobs = append(bobs, c)
	}
	admin.want("+OK", "ACL", "SETUSER", "bob", "~other", "-get")
	for i, c := range bobs {
		waitFor(t, fmt.Sprintf("the change on node %d", i), func() bool {
			return strings.Contains(c.do("GET", "app:1"), "no permissions to run the 'get' command")
		})
		c.want("+OK", "SET", "other", "v")
	}
	// A program with a pool of connections is shut out on all of them.
	rdb := goredis.NewClient(&goredis.Options{Addr: srvs[2].Addr().String(), Username: "bob", Password: "pw"})
	defer rdb.Close()
	if err := rdb.Set(ctx, "other", "1", 0).Err(); err != nil {
		t.Error(err)
	}
	admin.want(":1", "ACL", "DELUSER", "bob", "nobody")
	for _, c := range bobs {
		c.wantClosed()
	}
	if err := rdb.Set(ctx, "other", "1", 0).Err(); err == nil {
		t.Error("a deleted user may still write")
	}
	for _, srv := range srvs {
		c := dial(t, srv.Addr())
		c.want("-WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "bob", "pw")
		c.want("-DENIED 'secret:…' is a domain key that clients can neither read nor change", "GET", "secret:acl:bob")
	}
}

// Who is disabled while it listens or waits hears and gets nothing more.
func TestDisabledUsersAreCutOff(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	admin := dial(t, srv.Addr())
	admin.want("+OK", "ACL", "SETUSER", "bob", "on", ">pw", "allkeys", "allchannels", "+@all", "-@dangerous")
	var bobs []*testClient
	for _, call := range [][]string{{"PING"}, {"SUBSCRIBE", "c"}, {"BLPOP", "q", "0"}} {
		c := dial(t, srv.Addr())
		c.want("+OK", "AUTH", "bob", "pw")
		c.write(frame(call...))
		if call[0] != "BLPOP" {
			c.read()
		}
		bobs = append(bobs, c)
	}
	waitBlocked(t, srv, 1)
	// Other rights: who only works goes on with them, who waits comes again, who
	// listens does when it is no longer allowed what it hears.
	admin.want("+OK", "ACL", "SETUSER", "bob", "resetkeys", "~only")
	bobs[0].want("-NOPERM this user has no permissions to access one of the keys used as arguments", "GET", "q")
	bobs[2].wantClosed()
	admin.want("+OK", "ACL", "SETUSER", "bob", "resetchannels", "&d", "(&c)")
	admin.want(":1", "PUBLISH", "c", "hello")
	if got := bobs[1].read(); got != `["message" "c" "hello"]` {
		t.Errorf("who may still listen hears %s", got)
	}
	admin.want("+OK", "ACL", "SETUSER", "bob", "clearselectors")
	bobs[1].wantClosed()
	waitFor(t, "nobody to listen", func() bool { return admin.do("PUBLISH", "c", "hello") == ":0" })
	admin.want(":1", "RPUSH", "q", "for somebody else")
	admin.want(":1", "LLEN", "q")
	admin.want("+OK", "ACL", "SETUSER", "bob", "off")
	bobs[0].wantClosed()
}

// A transaction is judged again when it is carried out.
func TestRightsAtExec(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	admin, c := dial(t, srv.Addr()), dial(t, srv.Addr())
	admin.want("+OK", "ACL", "SETUSER", "bob", "on", ">pw", "allkeys", "+@all")
	c.want("+OK", "AUTH", "bob", "pw")
	c.want("+OK", "MULTI")
	c.want("+QUEUED", "SET", "k", "v")
	admin.want("+OK", "ACL", "SETUSER", "bob", "-set")
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-NOPERM ACLs rules changed") {
		t.Errorf("EXEC answered %s", got)
	}
	admin.want("nil", "GET", "k")
	got := admin.do("ACL", "LOG")
	if !strings.Contains(got, `"reason" "command" "context" "multi" "object" "set" "username" "bob"`) {
		t.Errorf("ACL LOG says %s", got)
	}
	admin.want("+OK", "ACL", "LOG", "RESET")
	admin.want("[]", "ACL", "LOG")
	c.want("-WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "bob", "no")
	c.want("-WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "bob", "no")
	if got := admin.do("ACL", "LOG", "1"); !strings.Contains(got, `["count" :2 "reason" "auth"`) {
		t.Errorf("ACL LOG says %s", got)
	}
}

// Passwords stand neither in SLOWLOG nor in ACL LIST nor in errors.
func TestPasswordsAreShownNowhere(t *testing.T) {
	srv := startServer(t, Config{SlowlogThreshold: time.Nanosecond}, newFakeStore())
	c := dial(t, srv.Addr())
	c.want("+OK", "ACL", "SETUSER", "bob", "on", ">hunter2")
	c.want("-ERR Error in ACL SETUSER modifier '<(redacted)': The password you are trying to remove from the user does not exist", "ACL", "SETUSER", "bob", "<hunter3")
	c.do("AUTH", "bob", "hunter2")
	c.do("RESET")
	for _, call := range [][]string{{"SLOWLOG", "GET", "-1"}, {"ACL", "LIST"}, {"ACL", "GETUSER", "bob"}, {"ACL", "LOG"}} {
		if got := c.do(call...); strings.Contains(got, "hunter") {
			t.Errorf("%v shows %s", call, got)
		}
	}
	if got := c.do("SLOWLOG", "GET", "-1"); !strings.Contains(got, `"ACL" "SETUSER" "(redacted)" "(redacted)"`) {
		t.Errorf("SLOWLOG shows %s", got)
	}
}

// Guessing passwords becomes slow for the address that does it, and the right
// one still works.
func TestGuessingIsSlowedDown(t *testing.T) {
	srv := startServer(t, Config{Password: "correct horse"}, newFakeStore())
	c := dial(t, srv.Addr())
	lim := srv.acl.limiter(c.conn.LocalAddr())
	for range loginBurst {
		c.want("-WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "guess")
	}
	if lim.Tokens() >= 5 {
		t.Errorf("after %d failures %v more are taken at once", loginBurst, lim.Tokens())
	}
	c.want("+OK", "AUTH", "correct horse")
	srv.acl.mu.Lock()
	for i := range maxAddresses - len(srv.acl.failures) {
		srv.acl.failures[fmt.Sprint(i)] = nil
	}
	srv.acl.mu.Unlock()
	srv.acl.limiter(hostAddr("192.0.2.7"))
	if n := len(srv.acl.failures); n > maxAddresses {
		t.Errorf("%d addresses are remembered", n)
	}
}

// hostAddr is the address of a client on another machine.
type hostAddr string

func (hostAddr) Network() string  { return "tcp" }
func (a hostAddr) String() string { return string(a) + ":1234" }

// From another machine the default user needs a password, whatever its rules
// say; with an ACL user the door opens.
func TestDefaultUserFromElsewhere(t *testing.T) {
	srv := startServer(t, Config{Addr: "0.0.0.0:0"}, newFakeStore())
	admin := dial(t, srv.Addr())
	far, near := hostAddr("192.0.2.7"), hostAddr("127.0.0.1")
	if srv.trusts(srv.user(defaultUser), far) || !srv.trusts(srv.user(defaultUser), near) || srv.hasPasswords() {
		t.Error("without a password another machine may come in, or this one may not")
	}
	admin.want("+OK", "ACL", "SETUSER", "default", "nopass")
	if srv.trusts(srv.user(defaultUser), far) || srv.hasPasswords() {
		t.Error("the default user came in without a password")
	}
	admin.want("+OK", "ACL", "SETUSER", "bob", "on", ">pw")
	if !srv.hasPasswords() || srv.trusts(srv.user(defaultUser), far) || !srv.trusts(srv.user("bob"), far) {
		t.Error("with a user there is still no way in, or default has one too")
	}
	admin.want("+OK", "ACL", "SETUSER", "bob", "off")
	if srv.hasPasswords() {
		t.Error("a disabled user opens the door")
	}
}

// What is kept of a user is the user.
func TestRulesComeBackAsTheyWere(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	words := []string{"on", "off", "nopass", "resetpass", ">a", ">b", "<a", "~x*", "~y", "%R~r*", "%W~w", "%RW~z", "allkeys", "resetkeys",
		"&c*", "&d", "allchannels", "resetchannels", "+get", "-get", "+client", "-client|list", "+client|id", "+@read", "-@write", "+@all", "-@all", "reset"}
	rapid.Check(t, func(t *rapid.T) {
		u := newACLUser("bob")
		for _, w := range rapid.SliceOf(rapid.SampledFrom(words)).Draw(t, "rules") {
			_ = u.apply(srv.catalog, w)
		}
		u.compile(srv.catalog)
		back := parseACLUser(srv.catalog, "bob", u.rules())
		if back.rules() != u.rules() || back.free != u.free || back.nopass != u.nopass || !slices.Equal(back.hashes, u.hashes) {
			t.Fatalf("%s\ncame back as\n%s", u.rules(), back.rules())
		}
		srv.catalog.each(func(e *entry) {
			if back.allowed[e] != u.allowed[e] {
				t.Fatalf("%s: %s is allowed: %v, was %v", u.rules(), e.lower, back.allowed[e], u.allowed[e])
			}
		})
	})
}

// Nobody but a user with all keys may sort by keys that the call does not
// name.
func TestSortReadsElsewhere(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	c := dial(t, srv.Addr())
	c.want("+OK", "ACL", "SETUSER", "bob", "on", ">pw", "~app:*", "+@all")
	c.want("+OK", "AUTH", "bob", "pw")
	c.want("[]", "SORT", "app:l")
	c.want("-ERR BY option of SORT denied due to insufficient ACL permissions.", "SORT", "app:l", "BY", "secret*")
	c.want("-ERR GET option of SORT denied due to insufficient ACL permissions.", "SORT", "app:l", "BY", "get", "GET", "other*")
	c.want("-ERR GET option of SORT denied due to insufficient ACL permissions.", "SORT_RO", "app:l", "LIMIT", "0", "store", "GET", "#")
	c.want("[]", "SORT", "app:l", "BY", "nosort")
	c.want("-NOPERM this user has no permissions to access one of the keys used as arguments", "SORT", "app:l", "STORE", "other")
	dial(t, srv.Addr()).want("+OK", "ACL", "SETUSER", "bob", "%R~*")
	c.want(":1", "RPUSH", "app:l", "1")
	c.want("[nil]", "SORT", "app:l", "BY", "other*", "GET", "other*")
}

// Whoever runs the machine lets default in again after it was locked out, on
// every node; other users stay.
func TestDefaultIsLockedOutAndReset(t *testing.T) {
	nodes := startNodes(t, 2)
	var servers []*Server
	for _, n := range nodes {
		servers = append(servers, startServer(t, Config{}, n))
	}
	c := dial(t, servers[0].Addr())
	c.want("+OK", "ACL", "SETUSER", "bob", "on", ">secret", "+get", "~*")
	c.want("+OK", "ACL", "SETUSER", "default", "off")
	ping := func(srv *Server) string { // "" if it is locked out just then
		c := dial(t, srv.Addr())
		_, _ = io.WriteString(c.conn, frame("PING"))
		line, _ := c.r.ReadString('\n')
		return strings.TrimSpace(line)
	}
	for _, srv := range servers {
		waitFor(t, "default to be locked out", func() bool { return strings.HasPrefix(ping(srv), "-NOAUTH") })
	}
	if err := ResetDefaultUser(t.Context(), nodes[1]); err != nil {
		t.Fatal(err)
	}
	for _, srv := range servers {
		waitFor(t, "default to be let in", func() bool { return ping(srv) == "+PONG" })
		back := dial(t, srv.Addr())
		back.want("+OK", "SET", "k", "v")
		if got := back.do("ACL", "LIST"); !strings.Contains(got, "user bob on") || !strings.Contains(got, "user default on nopass") {
			t.Errorf("the users are %s", got)
		}
	}
}

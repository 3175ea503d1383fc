package resp

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

const (
	// aclPrefix begins the keys of users, each a string with its rules, in
	// database 0.
	aclPrefix = "secret:acl:"
	// aclChanges is a stream with an entry for each change, which tells all
	// nodes to look.
	aclChanges = "secret:acl-changes"
)

// acl knows the users, as this node's state has them.
type acl struct {
	users atomic.Pointer[map[string]*aclUser]
	stale chan struct{} // capacity 1: the state may have changed
	log   aclLog

	loading sync.Mutex
	texts   map[string]string // what users was made of

	mu       sync.Mutex
	failures map[string]*rate.Limiter // by address without port
}

func newACL() *acl {
	return &acl{stale: make(chan struct{}, 1), failures: map[string]*rate.Limiter{}}
}

// user gives nil if there is none of that name.
func (s *Server) user(name string) *aclUser { return (*s.acl.users.Load())[name] }

// changed is told of each change of the state.
func (s *Server) changed(touched []string) {
	s.hub.touched(touched)
	if touched == nil || slices.Contains(touched, aclChanges) {
		select {
		case s.acl.stale <- struct{}{}:
		default:
		}
	}
}

// followACL reads the users again whenever they may have changed.
func (s *Server) followACL() {
	for {
		select {
		case <-s.acl.stale:
			s.loadACL(nil)
		case <-s.stop:
			return
		}
	}
}

// loadACL reads the users and lets connections feel what changed. self is the
// session that does it, which is not cut off before it has its reply.
func (s *Server) loadACL(self *session) {
	a := s.acl
	a.loading.Lock()
	defer a.loading.Unlock()
	texts := map[string]string{}
	err := s.store.View(func(tx *keyspace.Tx) error {
		tx.Select(0)
		var names [][]byte
		tx.EachKey([]byte(aclPrefix), func(key []byte, typ keyspace.Type) bool {
			if !bytes.HasPrefix(key, []byte(aclPrefix)) {
				return false
			}
			if typ == keyspace.String {
				names = append(names, bytes.Clone(key[len(aclPrefix):]))
			}
			return true
		})
		for _, n := range names {
			rules, _, err := tx.Get(aclKey(string(n)))
			if err != nil {
				return err
			}
			texts[string(n)] = string(rules)
		}
		return nil
	})
	if err != nil {
		s.log.Error("reading the ACL users", "err", err)
		return
	}
	old := a.users.Load()
	users := map[string]*aclUser{}
	for name, text := range texts {
		if before, ok := a.texts[name]; ok && before == text && old != nil {
			users[name] = (*old)[name]
		} else {
			users[name] = parseACLUser(s.catalog, name, text)
		}
	}
	if users[defaultUser] == nil {
		users[defaultUser] = s.implied
	}
	a.texts = texts
	a.users.Store(&users)
	for _, c := range s.clients() {
		c.followUser(users, c == self)
	}
}

func aclKey(name string) []byte { return append([]byte(aclPrefix), name...) }

// followUser puts the new definition of the session's user in force. Who is
// deleted or disabled loses the connection; so does who waits, unless
// everything is allowed, and who listens to what is no longer allowed.
func (s *session) followUser(users map[string]*aclUser, self bool) {
	before := s.user.Load()
	if before == nil || users[before.name] == before {
		return
	}
	now := users[before.name]
	if now != nil && now.on && (now.free || s.unblock.Load() == nil) {
		// First the user, then what it hears: a subscription that is under way
		// is seen here or looks at the user once more (see listen).
		if !s.user.CompareAndSwap(before, now) || s.mayHear(now) {
			return
		}
	}
	if s.expelled.Swap(true) {
		return
	}
	s.server.stats.Killed.Add(1)
	switch {
	case self:
		s.end()
	case s.changing.Load(): // it is about to get the reply to what it did to itself
		s.guard.stopReading()
	default:
		s.guard.kill()
	}
}

// mayHear says whether a user may hear all that the connection listens to.
func (s *session) mayHear(u *aclUser) bool {
	c := s.hears.Load()
	return c == nil || u.free || s.server.pubsub.hearsOnly(c, u.mayListen)
}

// trusts says whether a user may come in from where the client is: default
// needs a password beyond this machine.
func (s *Server) trusts(u *aclUser, addr net.Addr) bool {
	return u.name != defaultUser || !u.nopass || s.loopback || isLocal(addr)
}

// hasPasswords says whether anybody can log in from elsewhere.
func (s *Server) hasPasswords() bool {
	for _, u := range *s.acl.users.Load() {
		if u.on && (len(u.hashes) > 0 || u.nopass && u.name != defaultUser) {
			return true
		}
	}
	return false
}

// enter makes the connection the default user's, if no password is asked for.
func (s *session) enter() {
	u := s.server.user(defaultUser)
	open := u.on && u.nopass && s.server.trusts(u, s.guard.RemoteAddr())
	s.user.Store(nil)
	if open {
		s.user.Store(u)
	}
	s.guard.setAuthenticated(open)
}

// logIn takes the same time and gives the same answer whether the user or the
// password is wrong. An address from which many failed waits before the next
// try.
func (s *session) logIn(name, password []byte) error {
	lim := s.server.acl.limiter(s.guard.RemoteAddr())
	if missing := 1 - lim.Tokens(); missing > 0 {
		s.server.pause(min(time.Duration(missing/float64(lim.Limit())*float64(time.Second)), maxLoginDelay))
	}
	for {
		u := s.server.user(string(name))
		if ok := u.accepts(password); !ok || !s.server.trusts(u, s.guard.RemoteAddr()) {
			break
		}
		s.user.Store(u)
		if s.server.user(u.name) == u { // nobody changed it meanwhile
			s.guard.setAuthenticated(true)
			return nil
		}
		s.user.Store(nil)
		s.guard.setAuthenticated(false)
	}
	lim.Reserve()
	s.server.stats.AuthFailures.Add(1)
	s.server.log.Warn("a RESP client gave a wrong user or password", "addr", s.addr)
	s.server.acl.log.add(s, "auth", "AUTH", string(cut(name, maxQuoted)))
	return errWrongPass
}

// Failed logins of one address: so many at once, then so many a second.
const (
	loginBurst    = 20
	loginRate     = 5
	maxLoginDelay = 10 * time.Second
	maxAddresses  = 10_000 // that are remembered
)

func (a *acl) limiter(addr net.Addr) *rate.Limiter {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		host = addr.String()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.failures[host]
	if l == nil {
		if len(a.failures) >= maxAddresses {
			clear(a.failures)
		}
		l = rate.NewLimiter(loginRate, loginBurst)
		a.failures[host] = l
	}
	return l
}

// permit says why the session's user may not make a call, or nil, and notes
// it.
func (s *session) permit(e *entry, args [][]byte) error {
	u := s.user.Load()
	if s.expelled.Load() {
		return errNoAuth
	}
	if u == nil || u.free {
		return nil
	}
	d := u.check(e, args)
	if d == nil {
		return nil
	}
	s.server.acl.log.add(s, d.reason, d.object, u.name)
	return d.err
}

// permitQueue looks again at what was queued: rights may have changed.
func (s *session) permitQueue(queue []item) error {
	for i := range queue {
		if err := s.permit(queue[i].entry, queue[i].args); err != nil {
			return command.Errorf("NOPERM", "ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "+
				"Nothing was carried out for the following reason: "+err.Error())
		}
	}
	return nil
}

// userName is who the connection is, from any goroutine.
func (s *session) userName() string {
	if u := s.user.Load(); u != nil {
		return u.name
	}
	return defaultUser
}

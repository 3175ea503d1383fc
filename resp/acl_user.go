package resp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// defaultUser is who a connection is before it says otherwise.
const defaultUser = "default"

// aclUser is what somebody may do. It is not modified once others see it. A
// call is allowed if the rules of the user itself or one of the selectors
// allow all of it.
type aclUser struct {
	name         string
	on           bool
	nopass       bool
	skipSanitize bool     // kept for GETUSER only: payloads are always checked
	hashes       []string // SHA-256 of each password, in hexadecimal
	aclSelector
	selectors []*aclSelector
}

// keyRule is a pattern of keys and what may be done with them.
type keyRule struct {
	pattern     string
	read, write bool
}

func (k keyRule) String() string {
	switch {
	case k.read && k.write:
		return "~" + k.pattern
	case k.read:
		return "%R~" + k.pattern
	}
	return "%W~" + k.pattern
}

// newACLUser may do nothing at all.
func newACLUser(name string) *aclUser { return &aclUser{name: name, aclSelector: *newACLSelector()} }

// impliedDefault is the user default where nobody has defined it: it may do
// everything, with the password of the configuration.
func impliedDefault(password string) *aclUser {
	u := &aclUser{name: defaultUser, on: true, aclSelector: aclSelector{
		keys: []keyRule{{"*", true, true}}, channels: []string{"*"}, commands: []string{"+@all"}}}
	if u.nopass = password == ""; !u.nopass {
		u.hashes = []string{hashPassword([]byte(password))}
	}
	return u
}

func hashPassword(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

// accepts compares a password in the same time for every user, known or not:
// u may be nil.
func (u *aclUser) accepts(password []byte) bool {
	given := []byte(hashPassword(password))
	if u == nil {
		subtle.ConstantTimeCompare(given, given)
		return false
	}
	ok := u.nopass
	for _, h := range u.hashes {
		if subtle.ConstantTimeCompare([]byte(h), given) == 1 {
			ok = true
		}
	}
	return ok && u.on
}

// rules writes the user as ACL SETUSER takes it.
func (u *aclUser) rules() string {
	words := []string{"off"}
	if u.on {
		words[0] = "on"
	}
	if u.nopass {
		words = append(words, "nopass")
	}
	for _, h := range u.hashes {
		words = append(words, "#"+h)
	}
	if u.skipSanitize {
		words = append(words, "skip-sanitize-payload")
	}
	words = append(words, u.words()...)
	for _, sel := range u.selectors {
		words = append(words, "("+strings.Join(sel.words(), " ")+")")
	}
	return strings.Join(words, " ")
}

// compile works out the commands once the rules are complete.
func (u *aclUser) compile(c *catalog) {
	u.aclSelector.compile(c)
	for _, sel := range u.selectors {
		sel.compile(c)
	}
}

// mayListen says whether a user may hear a channel or a pattern.
func (u *aclUser) mayListen(kind audience, name string) bool {
	return slices.ContainsFunc(append([]*aclSelector{&u.aclSelector}, u.selectors...), func(sel *aclSelector) bool {
		return sel.mayListen([]byte(name), kind == byPattern)
	})
}

// check says why a user may not make a call, or nil. Of several reasons the
// one that came furthest is told.
func (u *aclUser) check(e *entry, args [][]byte) *aclDenial {
	if u.free || e.spec.Is(command.NoAuth) {
		return nil
	}
	denied := u.aclSelector.check(e, args)
	for _, sel := range u.selectors {
		if denied == nil {
			return nil
		}
		if d := sel.check(e, args); d == nil || d.beyond(denied) {
			denied = d
		}
	}
	return denied
}

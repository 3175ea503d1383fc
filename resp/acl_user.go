package resp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
)

// defaultUser is who a connection is before it says otherwise.
const defaultUser = "default"

// aclUser is what somebody may do. It is not modified once others see it.
type aclUser struct {
	name     string
	on       bool
	nopass   bool
	hashes   []string // SHA-256 of each password, in hexadecimal
	keys     []keyRule
	channels []string // patterns; "*": all
	commands []string // rules in the order in which they hold: "+@all", "-get", "+client|list"

	allowed map[*entry]bool // by commands
	free    bool            // nothing is forbidden
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
func newACLUser(name string) *aclUser { return &aclUser{name: name, commands: []string{"-@all"}} }

// impliedDefault is the user default where nobody has defined it: it may do
// everything, with the password of the configuration.
func impliedDefault(password string) *aclUser {
	u := &aclUser{name: defaultUser, on: true, keys: []keyRule{{"*", true, true}}, channels: []string{"*"}, commands: []string{"+@all"}}
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
	words = append(words, u.keyWords()...)
	words = append(words, u.channelWords()...)
	return strings.Join(append(words, u.commands...), " ")
}

func (u *aclUser) keyWords() []string {
	var words []string
	for _, k := range u.keys {
		words = append(words, k.String())
	}
	return words
}

func (u *aclUser) channelWords() []string {
	if len(u.channels) == 0 {
		return []string{"resetchannels"}
	}
	return prefixed("&", u.channels)
}

// compile works out the commands once the rules are complete.
func (u *aclUser) compile(c *catalog) {
	u.allowed = map[*entry]bool{}
	for _, rule := range u.commands {
		u.applyCommandRule(c, rule[1:], rule[0] == '+')
	}
	u.free = len(u.commands) == 1 && u.commands[0] == "+@all" &&
		slices.Contains(u.keys, keyRule{"*", true, true}) && slices.Contains(u.channels, "*")
}

// applyCommandRule says whether the catalog knows what the rule names.
func (u *aclUser) applyCommandRule(c *catalog, target string, allow bool) (known bool) {
	category, isCategory := strings.CutPrefix(target, "@")
	if !isCategory {
		e := c.named([]byte(target))
		if e == nil || e.spec.Is(command.Internal) {
			return false
		}
		u.allowed[e] = allow
		for _, sub := range e.subs {
			u.allowed[sub] = allow
		}
		return true
	}
	c.each(func(e *entry) {
		if category == "all" || slices.Contains(e.categories(), category) {
			u.allowed[e] = allow
			known = true
		}
	})
	return known
}

// aclDenial says what a user lacks for a call.
type aclDenial struct {
	reason string // as ACL LOG has it: command, key, channel
	object string
	err    *command.Error
}

var (
	errNoPermKey     = command.Errorf("NOPERM", "this user has no permissions to access one of the keys used as arguments")
	errNoPermChannel = command.Errorf("NOPERM", "this user has no permissions to access one of the channels used as arguments")
)

// check says why a user may not make a call, or nil.
func (u *aclUser) check(e *entry, args [][]byte) *aclDenial {
	if u.free || e.spec.Is(command.NoAuth) {
		return nil
	}
	if !u.allowed[e] {
		return &aclDenial{"command", e.lower,
			command.Errorf("NOPERM", "this user has no permissions to run the '"+e.lower+"' command")}
	}
	write := e.spec.Is(command.Write)
	for _, key := range e.keys(args) {
		if !u.mayUse(key, write) {
			return &aclDenial{"key", string(key), errNoPermKey}
		}
	}
	if readsElsewhere(e, args) && !u.mayUseAll() {
		return &aclDenial{"key", "BY or GET", errNoPermKey}
	}
	return u.checkChannels(e, args)
}

// mayUse: a command that writes may also tell what it finds, so it needs both
// rights.
func (u *aclUser) mayUse(key []byte, write bool) bool {
	canRead, canWrite := false, false
	for _, k := range u.keys {
		if redis.Match(key, []byte(k.pattern)) {
			canRead, canWrite = canRead || k.read, canWrite || k.write
		}
	}
	return canRead && (canWrite || !write)
}

func (u *aclUser) mayUseAll() bool { return slices.Contains(u.keys, keyRule{"*", true, true}) }

// readsElsewhere says whether a call reads keys that its arguments do not name.
func readsElsewhere(e *entry, args [][]byte) bool {
	switch e.spec.Name {
	case "SORT", "SORT_RO":
		return hasOption(args, "BY") || hasOption(args, "GET")
	}
	return false
}

// checkChannels: a message must match an allowed pattern, a pattern must be
// one of them.
func (u *aclUser) checkChannels(e *entry, args [][]byte) *aclDenial {
	var channels [][]byte
	literal := false
	switch e.spec.Name {
	case "PUBLISH", "SPUBLISH":
		channels = args[1:2]
	case "SUBSCRIBE", "SSUBSCRIBE":
		channels = args[1:]
	case "PSUBSCRIBE":
		channels, literal = args[1:], true
	}
	for _, channel := range channels {
		ok := slices.ContainsFunc(u.channels, func(p string) bool {
			return p == "*" || p == string(channel) || !literal && redis.Match(channel, []byte(p))
		})
		if !ok {
			return &aclDenial{"channel", string(channel), errNoPermChannel}
		}
	}
	return nil
}

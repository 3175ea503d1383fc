package resp

import (
	"slices"
	"strings"
)

// aclError is a mistake in a rule, in Redis' words.
type aclError string

func (e aclError) Error() string { return string(e) }

const (
	errACLSyntax   = aclError("Syntax error")
	errACLCommand  = aclError("Unknown command or category name in ACL")
	errACLHash     = aclError("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")
	errACLNoPass   = aclError("The password you are trying to remove from the user does not exist")
	errACLAllKeys  = aclError("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns")
	errACLAllChans = aclError("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels")
	errACLTooMuch  = aclError("The user has too many rules")
)

// maxACLRules bounds each list of a user: every command is compared with them.
const maxACLRules = 1000

// apply changes a user by one rule of ACL SETUSER.
func (u *aclUser) apply(c *catalog, rule string) error {
	if len(u.hashes)+len(u.keys)+len(u.channels)+len(u.commands) > maxACLRules || len(rule) > maxPattern {
		return errACLTooMuch
	}
	switch strings.ToLower(rule) {
	case "on", "off":
		u.on = strings.EqualFold(rule, "on")
	case "nopass":
		u.nopass, u.hashes = true, nil
	case "resetpass":
		u.nopass, u.hashes = false, nil
	case "allkeys", "~*":
		u.keys = []keyRule{{"*", true, true}}
	case "resetkeys":
		u.keys = nil
	case "allchannels", "&*":
		u.channels = []string{"*"}
	case "resetchannels":
		u.channels = nil
	case "allcommands", "+@all":
		u.commands = []string{"+@all"}
	case "nocommands", "-@all":
		u.commands = []string{"-@all"}
	case "sanitize-payload", "skip-sanitize-payload": // payloads are always checked
	case "reset":
		*u = *newACLUser(u.name)
	default:
		return u.applyPrefixed(c, rule)
	}
	return nil
}

func (u *aclUser) applyPrefixed(c *catalog, rule string) error {
	if rule == "" {
		return errACLSyntax
	}
	value := rule[1:]
	switch rule[0] {
	case '>':
		return u.addHash(hashPassword([]byte(value)))
	case '#':
		return u.addHash(value)
	case '<':
		return u.removeHash(hashPassword([]byte(value)))
	case '!':
		return u.removeHash(value)
	case '~', '%':
		return u.addKeys(rule)
	case '&':
		if slices.Contains(u.channels, "*") {
			return errACLAllChans
		}
		if !isACLWord(value) {
			return errACLSyntax
		}
		if !slices.Contains(u.channels, value) {
			u.channels = append(u.channels, value)
		}
		return nil
	case '+', '-':
		return u.addCommand(c, strings.ToLower(rule))
	}
	return errACLSyntax
}

func (u *aclUser) addHash(h string) error {
	if !isHash(h) {
		return errACLHash
	}
	u.nopass = false
	if !slices.Contains(u.hashes, h) {
		u.hashes = append(u.hashes, h)
	}
	return nil
}

func (u *aclUser) removeHash(h string) error {
	if !isHash(h) {
		return errACLHash
	}
	i := slices.Index(u.hashes, h)
	if i < 0 {
		return errACLNoPass
	}
	u.hashes = slices.Delete(slices.Clone(u.hashes), i, i+1)
	return nil
}

func isHash(h string) bool {
	return len(h) == 64 && strings.Trim(h, "0123456789abcdef") == ""
}

// addKeys takes ~pattern, %R~pattern, %W~pattern, %RW~pattern.
func (u *aclUser) addKeys(rule string) error {
	rights, pattern, ok := strings.Cut(rule, "~")
	k := keyRule{pattern: pattern, read: rights == "", write: rights == ""}
	for i, r := range strings.ToUpper(rights) {
		switch {
		case i == 0 && r == '%':
		case r == 'R' && !k.read:
			k.read = true
		case r == 'W' && !k.write:
			k.write = true
		default:
			return errACLSyntax
		}
	}
	if !ok || !k.read && !k.write || !isACLWord(pattern) {
		return errACLSyntax
	}
	if u.mayUseAll() {
		return errACLAllKeys
	}
	if !slices.Contains(u.keys, k) {
		u.keys = append(u.keys, k)
	}
	return nil
}

// isACLWord: rules are kept as words of one line.
func isACLWord(s string) bool {
	return !strings.ContainsAny(s, " \t\r\n\x00\v\f")
}

// addCommand lets the last rule about something hold. A rule about a whole
// command takes the place of those about its subcommands.
func (u *aclUser) addCommand(c *catalog, rule string) error {
	target := rule[1:]
	scratch := &aclUser{allowed: map[*entry]bool{}}
	if !scratch.applyCommandRule(c, target, true) {
		return errACLCommand
	}
	u.commands = slices.DeleteFunc(slices.Clone(u.commands), func(old string) bool {
		return old[1:] == target || old[1:] != "@all" && strings.HasPrefix(old[1:], target+"|")
	})
	u.commands = append(u.commands, rule)
	return nil
}

// parseACLUser reads what rules wrote. Rules that this program does not know
// are left out: they are about commands of another version, and what no rule
// allows is forbidden.
func parseACLUser(c *catalog, name, rules string) *aclUser {
	u := newACLUser(name)
	for _, rule := range strings.Split(rules, " ") {
		_ = u.apply(c, rule)
	}
	u.compile(c)
	return u
}

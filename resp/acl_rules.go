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
	errACLFirstArg = aclError("Allowing first-arg of a subcommand is not supported")
	errACLTooMuch  = aclError("The user has too many rules")
)

// maxACLRules bounds each list of a user: every command is compared with them.
const maxACLRules = 1000

// apply changes a user by one rule of ACL SETUSER.
func (u *aclUser) apply(c *catalog, rule string) error {
	size := len(u.hashes) + u.size()
	for _, sel := range u.selectors {
		size += 1 + sel.size()
	}
	if size > maxACLRules {
		return errACLTooMuch
	}
	switch strings.ToLower(rule) {
	case "": // says nothing
	case "on", "off":
		u.on = strings.EqualFold(rule, "on")
	case "nopass":
		u.nopass, u.hashes = true, nil
	case "resetpass":
		u.nopass, u.hashes = false, nil
	case "sanitize-payload", "skip-sanitize-payload":
		u.skipSanitize = strings.EqualFold(rule, "skip-sanitize-payload")
	case "clearselectors":
		u.selectors = nil
	case "reset":
		*u = *newACLUser(u.name)
	default:
		return u.applyPrefixed(c, rule)
	}
	return nil
}

func (u *aclUser) applyPrefixed(c *catalog, rule string) error {
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
	case '(':
		return u.addSelector(c, rule)
	}
	return u.aclSelector.apply(c, rule)
}

// addSelector takes "(rule rule …)".
func (u *aclUser) addSelector(c *catalog, rule string) error {
	inner, ok := strings.CutSuffix(rule[1:], ")")
	if !ok {
		return errACLSyntax
	}
	sel := newACLSelector()
	for _, r := range strings.Fields(inner) {
		if err := sel.apply(c, r); err != nil {
			return err
		}
		if sel.size() > maxACLRules {
			return errACLTooMuch
		}
	}
	u.selectors = append(u.selectors, sel)
	return nil
}

// joinSelectors makes one rule of the words of each selector. If a parenthesis
// is not closed it gives the word that opens it.
func joinSelectors(words []string) (rules []string, open string) {
	for _, w := range words {
		closes := strings.HasSuffix(w, ")")
		switch {
		case open != "":
			rules[len(rules)-1] += " " + w
			if closes {
				open = ""
			}
			continue
		case strings.HasPrefix(w, "(") && !closes:
			open = w
		}
		rules = append(rules, w)
	}
	return rules, open
}

// apply changes a selector by one rule.
func (u *aclSelector) apply(c *catalog, rule string) error {
	if len(rule) > maxPattern {
		return errACLTooMuch
	}
	switch strings.ToLower(rule) {
	case "allkeys", "~*":
		u.keys = []keyRule{{"*", true, true}}
		return nil
	case "resetkeys":
		u.keys = nil
		return nil
	case "allchannels", "&*":
		u.channels = []string{"*"}
		return nil
	case "resetchannels":
		u.channels = nil
		return nil
	case "allcommands", "+@all":
		u.commands = []string{"+@all"}
		return nil
	case "nocommands", "-@all":
		u.commands = []string{"-@all"}
		return nil
	}
	switch rule[0] {
	case '~', '%':
		return u.addKeys(rule)
	case '&':
		return u.addChannel(rule[1:])
	case '+', '-':
		return u.addCommand(c, strings.ToLower(rule))
	}
	return errACLSyntax
}

func (u *aclSelector) addChannel(pattern string) error {
	if slices.Contains(u.channels, "*") {
		return errACLAllChans
	}
	if !isACLWord(pattern) {
		return errACLSyntax
	}
	if !slices.Contains(u.channels, pattern) {
		u.channels = append(u.channels, pattern)
	}
	return nil
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
func (u *aclSelector) addKeys(rule string) error {
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
	for i := range u.keys {
		if old := &u.keys[i]; old.pattern == pattern {
			old.read, old.write = old.read || k.read, old.write || k.write
			return nil
		}
	}
	u.keys = append(u.keys, k)
	return nil
}

// isACLWord: rules are kept as words of one line.
func isACLWord(s string) bool {
	return !strings.ContainsAny(s, " \t\r\n\x00\v\f")
}

// addCommand lets the last rule about something hold. A rule about a whole
// command takes the place of those about its subcommands.
func (u *aclSelector) addCommand(c *catalog, rule string) error {
	target := rule[1:]
	if top, rest, ok := strings.Cut(target, "|"); ok && rule[0] == '+' {
		if strings.HasSuffix(rest, "|") || rest == "" {
			return errACLSyntax
		}
		if i := strings.LastIndexByte(rest, '|'); i > 0 && c.named([]byte(top+"|"+rest[:i])) != nil {
			return errACLFirstArg
		}
	}
	scratch := &aclSelector{allowed: map[*entry]bool{}, firstArgs: map[*entry][]string{}}
	if !scratch.applyCommandRule(c, target, rule[0] == '+') {
		return errACLCommand
	}
	u.commands = slices.DeleteFunc(slices.Clone(u.commands), func(old string) bool {
		return old[1:] == target || old[1:] != "@all" && strings.HasPrefix(old[1:], target+"|")
	})
	u.commands = append(u.commands, rule)
	for len(u.commands) > 1 && u.commands[0][0] == u.commands[1][0] { // the first, about all commands, says it already
		u.commands = slices.Delete(u.commands, 1, 2)
	}
	return nil
}

// parseACLUser reads what rules wrote. Rules that this program does not know
// are left out: they are about commands of another version, and what no rule
// allows is forbidden. A selector goes with the rule that is not known.
func parseACLUser(c *catalog, name, text string) *aclUser {
	u := newACLUser(name)
	rules, _ := joinSelectors(strings.Split(text, " "))
	for _, rule := range rules {
		_ = u.apply(c, rule)
	}
	u.compile(c)
	return u
}

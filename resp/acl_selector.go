package resp

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
)

// aclSelector is a set of rules that together may allow a call.
type aclSelector struct {
	keys     []keyRule
	channels []string // patterns; "*": all
	commands []string // rules in the order in which they hold: "+@all", "-get", "+client|list", "+select|0"

	allowed   map[*entry]bool     // by commands
	firstArgs map[*entry][]string // of commands that are allowed with certain first arguments only
	free      bool                // nothing is forbidden
}

// newACLSelector allows nothing.
func newACLSelector() *aclSelector { return &aclSelector{commands: []string{"-@all"}} }

// words writes the rules as ACL SETUSER takes them.
func (u *aclSelector) words() []string {
	return slices.Concat(u.keyWords(), u.channelWords(), u.commands)
}

func (u *aclSelector) keyWords() []string {
	var words []string
	for _, k := range u.keys {
		words = append(words, k.String())
	}
	return words
}

func (u *aclSelector) channelWords() []string {
	words := prefixed("&", u.channels)
	if slices.Contains(u.channels, "*") {
		return words
	}
	return append([]string{"resetchannels"}, words...)
}

// size is what a call is compared with, in rules.
func (u *aclSelector) size() int { return len(u.keys) + len(u.channels) + len(u.commands) }

// compile works out the commands once the rules are complete.
func (u *aclSelector) compile(c *catalog) {
	u.allowed, u.firstArgs = map[*entry]bool{}, map[*entry][]string{}
	for _, rule := range u.commands {
		u.applyCommandRule(c, rule[1:], rule[0] == '+')
	}
	u.free = len(u.commands) == 1 && u.commands[0] == "+@all" && u.mayUseAll() && slices.Contains(u.channels, "*")
}

// applyCommandRule says whether the catalog knows what the rule names.
func (u *aclSelector) applyCommandRule(c *catalog, target string, allow bool) (known bool) {
	set := func(e *entry) {
		u.allowed[e] = allow
		delete(u.firstArgs, e)
	}
	if category, ok := strings.CutPrefix(target, "@"); ok {
		c.each(func(e *entry) {
			if category == "all" || slices.Contains(e.categories(), category) {
				set(e)
				known = true
			}
		})
		return known
	}
	if e := c.named([]byte(target)); e != nil && !e.spec.Is(command.Internal) {
		set(e)
		for _, sub := range e.subs {
			set(sub)
		}
		return true
	}
	e, arg := c.firstArgRule(target)
	if e == nil || !allow {
		return false
	}
	u.firstArgs[e] = append(u.firstArgs[e], arg)
	return true
}

// firstArgRule reads "select|0": a command and what its first argument may be.
func (c *catalog) firstArgRule(target string) (e *entry, arg string) {
	name, arg, ok := strings.Cut(target, "|")
	if !ok || arg == "" || strings.Contains(arg, "|") {
		return nil, ""
	}
	e = c.find([]byte(name))
	if e == nil || e.subs != nil || e.spec.Is(command.Internal) {
		return nil, ""
	}
	return e, arg
}

// aclDenial says what a user lacks for a call.
type aclDenial struct {
	reason string // as ACL LOG has it: command, key, channel
	object string
	at     int // of the object among the keys or channels
	err    *command.Error
}

// beyond says whether more of the call was allowed than where o stands.
func (d *aclDenial) beyond(o *aclDenial) bool {
	rank := func(d *aclDenial) int { return slices.Index([]string{"command", "key", "channel"}, d.reason) }
	return cmp.Or(cmp.Compare(rank(d), rank(o)), cmp.Compare(d.at, o.at)) > 0
}

var (
	errNoPermKey     = command.Errorf("NOPERM", "this user has no permissions to access one of the keys used as arguments")
	errNoPermChannel = command.Errorf("NOPERM", "this user has no permissions to access one of the channels used as arguments")
)

// check says why the rules do not allow a call, or nil.
func (u *aclSelector) check(e *entry, args [][]byte) *aclDenial {
	if u.free {
		return nil
	}
	if !u.mayCall(e, args) {
		return &aclDenial{"command", e.lower, 0,
			command.Errorf("NOPERM", "this user has no permissions to run the '"+e.lower+"' command")}
	}
	if !u.mayUseAll() {
		uses := e.uses(args)
		for i := range uses {
			if !u.mayUse(&uses[i]) {
				return &aclDenial{"key", string(uses[i].key), i, errNoPermKey}
			}
		}
		if option := readsElsewhere(e, args); option != "" && !u.mayReadAll() {
			return &aclDenial{"key", option, len(uses), command.Errorf("ERR", option+" option of SORT denied due to insufficient ACL permissions.")}
		}
	}
	return u.checkChannels(e, args)
}

func (u *aclSelector) mayCall(e *entry, args [][]byte) bool {
	if u.allowed[e] {
		return true
	}
	if len(args) < 2 || len(u.firstArgs) == 0 {
		return false
	}
	return slices.ContainsFunc(u.firstArgs[e], func(a string) bool { return strings.EqualFold(a, string(args[1])) })
}

// mayUse: one pattern must grant all that the call does with the key.
func (u *aclSelector) mayUse(use *keyUse) bool {
	read, write := use.rights()
	for _, k := range u.keys {
		if (k.read || !read) && (k.write || !write) && redis.Match(use.key, []byte(k.pattern)) {
			return true
		}
	}
	return false
}

func (u *aclSelector) mayUseAll() bool { return slices.Contains(u.keys, keyRule{"*", true, true}) }

func (u *aclSelector) mayReadAll() bool {
	return slices.ContainsFunc(u.keys, func(k keyRule) bool { return k.pattern == "*" && k.read })
}

// readsElsewhere gives the option by which a call reads keys that its arguments
// do not name, if there is one.
func readsElsewhere(e *entry, args [][]byte) (option string) {
	if e.spec.Name != "SORT" && e.spec.Name != "SORT_RO" {
		return ""
	}
	for i := 2; i+1 < len(args); i++ {
		switch word := strings.ToUpper(string(cut(args[i], len("LIMIT")+1))); word {
		case "LIMIT":
			i += 2
		case "STORE":
			i++
		case "BY", "GET":
			i++
			if word == "GET" || bytes.ContainsRune(args[i], '*') {
				return word
			}
		}
	}
	return ""
}

// checkChannels: a message must match an allowed pattern, a pattern must be
// one of them.
func (u *aclSelector) checkChannels(e *entry, args [][]byte) *aclDenial {
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
	for i, channel := range channels {
		if !u.mayListen(channel, literal) {
			return &aclDenial{"channel", string(channel), i, errNoPermChannel}
		}
	}
	return nil
}

// mayListen says whether a channel is allowed, or, literally, a pattern.
func (u *aclSelector) mayListen(channel []byte, literal bool) bool {
	return slices.ContainsFunc(u.channels, func(p string) bool {
		return p == "*" || p == string(channel) || !literal && redis.Match(channel, []byte(p))
	})
}

package resp

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sort"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// maxUserName is how long the name of a user may be, in bytes.
const maxUserName = 256

func aclCommands() []local {
	sub := func(name string, arity int, flags command.Flag, summary string, args ...command.Arg) command.Spec {
		return command.Spec{Name: name, Arity: arity, Flags: flags, Group: "server", Since: "6.0.0", Summary: summary, Args: args,
			Categories: []string{"slow"}}
	}
	user := command.Arg{Name: "username", Type: "string"}
	noFile := command.Errorf("ERR", "there is no ACL file: users are kept by the group, on every node")
	return []local{container("ACL", "server", "6.0.0", "Commands about access.", []local{
		{spec: sub("WHOAMI", 2, 0, "Answers the user of the connection."),
			run: func(s *session, _ [][]byte) (command.Reply, error) { return command.BulkString(s.userName()), nil }},
		{spec: sub("CAT", -2, 0, "Lists the categories, or the commands of one.",
			command.Arg{Name: "categoryname", Type: "string", Optional: true}), run: aclCat},
		{spec: sub("GENPASS", -2, 0, "Makes a password.", command.Arg{Name: "bits", Type: "integer", Optional: true}), run: aclGenPass},
		{spec: sub("USERS", 2, command.Admin, "Lists the names of the users."),
			run: func(s *session, _ [][]byte) (command.Reply, error) { return bulkList(s.server.userNames()), nil }},
		{spec: sub("LIST", 2, command.Admin, "Lists the users with their rules."), run: aclList},
		{spec: sub("GETUSER", 3, command.Admin, "Describes a user.", user), run: aclGetUser},
		{spec: sub("SETUSER", -3, command.Admin, "Makes a user, or changes one by rules.", user,
			command.Arg{Name: "rule", Type: "string", Optional: true, Multiple: true}), run: aclSetUser, secret: true, noMulti: true},
		{spec: sub("DELUSER", -3, command.Admin, "Deletes users and ends their connections.",
			command.Arg{Name: "username", Type: "string", Multiple: true}), run: aclDelUser, noMulti: true},
		{spec: sub("DRYRUN", -4, command.Admin, "Says whether a user may make a call, without making it.", user,
			command.Arg{Name: "command", Type: "string"}, command.Arg{Name: "arg", Type: "string", Optional: true, Multiple: true}), run: aclDryRun, secret: true},
		{spec: sub("LOG", -2, command.Admin, "Lists what was refused of late on this node.",
			command.Arg{Name: "count", Type: "string", Optional: true}), run: aclLogCommand},
		refusedSub("LOAD", 2, noFile), refusedSub("SAVE", 2, noFile),
	})}
}

func (s *Server) userNames() []string {
	names := []string{}
	for n := range *s.acl.users.Load() {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func aclList(s *session, _ [][]byte) (command.Reply, error) {
	var lines []string
	for _, n := range s.server.userNames() {
		if u := s.server.user(n); u != nil {
			lines = append(lines, "user "+n+" "+u.rules())
		}
	}
	return bulkList(lines), nil
}

func aclGetUser(s *session, args [][]byte) (command.Reply, error) {
	u := s.server.user(string(args[2]))
	if u == nil {
		return command.Null(), nil
	}
	flags := []string{"off"}
	if u.on {
		flags[0] = "on"
	}
	if u.nopass {
		flags = append(flags, "nopass")
	}
	if u.skipSanitize {
		flags = append(flags, "skip-sanitize-payload")
	}
	selectors := []command.Reply{}
	for _, sel := range u.selectors {
		selectors = append(selectors, command.Map(sel.describe()...))
	}
	b := command.BulkString
	out := append([]command.Reply{b("flags"), command.Set(bulkList(flags).Elems...), b("passwords"), bulkList(u.hashes)}, u.describe()...)
	return command.Map(append(out, b("selectors"), command.Array(selectors...))...), nil
}

// describe gives names and values of ACL GETUSER.
func (u *aclSelector) describe() []command.Reply {
	b := command.BulkString
	return []command.Reply{
		b("commands"), b(strings.Join(u.commands, " ")),
		b("keys"), b(strings.Join(u.keyWords(), " ")),
		b("channels"), b(strings.Join(prefixed("&", u.channels), " ")),
	}
}

// aclSetUser changes a user by all the rules, or not at all.
func aclSetUser(s *session, args [][]byte) (command.Reply, error) {
	name := string(args[2])
	if !isACLWord(name) || name == "" || len(name) > maxUserName {
		return command.Reply{}, command.Errorf("ERR", "Usernames can't contain spaces or null characters")
	}
	var words []string
	for _, a := range args[3:] {
		words = append(words, string(a))
	}
	rules, open := joinSelectors(words)
	if open != "" {
		return command.Reply{}, command.Errorf("ERR", "Unmatched parenthesis in acl selector starting at '"+string(cut([]byte(open), maxQuoted))+"'.")
	}
	return command.OK, s.changeUser(name, func(u *aclUser) (*aclUser, error) {
		if u == nil {
			u = newACLUser(name)
		}
		for _, rule := range rules {
			if err := u.apply(s.server.catalog, rule); err != nil {
				shown := string(cut([]byte(rule), maxQuoted))
				if strings.ContainsAny(shown[:min(1, len(shown))], "><") {
					shown = shown[:1] + "(redacted)"
				}
				return nil, command.Errorf("ERR", "Error in ACL SETUSER modifier '"+shown+"': "+err.Error())
			}
		}
		return u, nil
	})
}

func aclDelUser(s *session, args [][]byte) (command.Reply, error) {
	for _, name := range args[2:] {
		if string(name) == defaultUser {
			return command.Reply{}, command.Errorf("ERR", "The 'default' user cannot be removed")
		}
	}
	deleted := int64(0)
	for _, name := range args[2:] {
		err := s.changeUser(string(name), func(u *aclUser) (*aclUser, error) {
			if u == nil {
				return nil, errNoSuchUser
			}
			return nil, nil
		})
		switch {
		case err == nil:
			deleted++
		case !errors.Is(err, errNoSuchUser):
			return command.Reply{}, err
		}
	}
	return command.Int(deleted), nil
}

var (
	errNoSuchUser = command.Errorf("ERR", "User not found")
	errUserBusy   = command.Errorf("ERR", "others change the same user at the same time, nothing was changed; try again")
)

// changeUser replaces a user in the whole group by what fn makes of a copy of
// it, which is nil if there is none; nil deletes it. It is in force on this
// node when changeUser returns, and on the others when they have applied it.
func (s *session) changeUser(name string, fn func(u *aclUser) (*aclUser, error)) error {
	const tries = 10
	s.changing.Store(true)
	defer s.changing.Store(false)
	for range tries {
		u, revision, err := s.storedUser(name)
		if err != nil {
			return err
		}
		if u, err = fn(u); err != nil {
			return err
		}
		write := command.New("DEL", string(aclKey(name)))
		if u != nil {
			write = command.New("SET", string(aclKey(name)), u.rules())
		}
		res := s.server.store.Propose(s.server.requests.context(), []command.Request{{
			Commands: []command.Args{write, command.New("XADD", aclChanges, "MAXLEN", "1000", "*", "user", name, "by", s.userName())},
			Watches:  []command.Watch{{Key: aclKey(name), Revision: revision}},
		}})[0]
		switch {
		case res.Err != nil:
			return storeError(res.Err, command.ErrUnknownOutcome)
		case len(res.Replies) == 0:
			continue // somebody else changed it just now
		}
		for _, r := range res.Replies {
			if err := r.Err(); err != nil {
				return err
			}
		}
		s.server.loadACL(s)
		return nil
	}
	return errUserBusy
}

// storedUser gives a copy of a user as the group has it, and the revision of
// its key.
func (s *session) storedUser(name string) (u *aclUser, revision uint64, err error) {
	if err := s.server.store.ReadIndex(s.server.requests.context()); err != nil {
		return nil, 0, storeError(err, command.ErrUnconfirmed)
	}
	err = s.server.store.View(func(tx *keyspace.Tx) error {
		tx.Select(0)
		revision = tx.Revision(aclKey(name))
		rules, ok, err := tx.Get(aclKey(name))
		if ok {
			u = parseACLUser(s.server.catalog, name, string(rules))
		}
		return err
	})
	if err != nil {
		return nil, 0, storeError(err, command.ErrUnconfirmed)
	}
	if u == nil && name == defaultUser {
		u = impliedDefault(s.server.config.Password)
	}
	return u, revision, nil
}

// aclDryRun answers as the call would be judged.
func aclDryRun(s *session, args [][]byte) (command.Reply, error) {
	u := s.server.user(string(args[2]))
	if u == nil {
		return command.Reply{}, command.Errorf("ERR", "User '"+string(cut(args[2], maxQuoted))+"' not found")
	}
	call := args[3:]
	e, err := s.server.catalog.lookup(call)
	if err != nil {
		return command.Reply{}, command.Errorf("ERR", "Command '"+string(cut(call[0], maxQuoted))+"' not found")
	}
	if !e.spec.ArityOK(len(call)) {
		return command.Reply{}, command.ErrArity(e.lower)
	}
	if d := u.check(e, call); d != nil {
		what := map[string]string{
			"command": "This user has no permissions to run the '" + e.lower + "' command",
			"key":     "This user has no permissions to access the '" + d.object + "' key",
			"channel": "This user has no permissions to access the '" + d.object + "' channel",
		}
		return command.BulkString(what[d.reason]), nil
	}
	return command.OK, nil
}

func aclGenPass(_ *session, args [][]byte) (command.Reply, error) {
	bits := int64(256)
	if len(args) > 3 {
		return command.Reply{}, command.ErrArity("acl|genpass")
	}
	if len(args) == 3 {
		var err error
		if bits, err = strconv.ParseInt(string(args[2]), 10, 64); err != nil {
			return command.Reply{}, command.ErrNotInteger
		}
		if bits <= 0 || bits > 4096 {
			return command.Reply{}, command.Errorf("ERR", "ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096")
		}
	}
	raw := make([]byte, (bits+7)/8)
	_, _ = rand.Read(raw) // never fails
	return command.BulkString(hex.EncodeToString(raw)[:(bits+3)/4]), nil
}

func aclCat(s *session, args [][]byte) (command.Reply, error) {
	if len(args) > 3 {
		return command.Reply{}, errSubArity("ACL", args[1])
	}
	byCategory := map[string][]string{}
	s.server.catalog.each(func(e *entry) {
		for _, c := range e.categories() {
			byCategory[c] = append(byCategory[c], e.lower)
		}
	})
	if len(args) == 2 {
		names := make([]string, 0, len(byCategory))
		for c := range byCategory {
			names = append(names, c)
		}
		sort.Strings(names)
		return bulkList(names), nil
	}
	commands, ok := byCategory[strings.ToLower(string(args[2]))]
	if !ok {
		return command.Reply{}, command.Errorf("ERR", "Unknown category '"+string(cut(args[2], maxQuoted))+"'")
	}
	return bulkList(commands), nil
}

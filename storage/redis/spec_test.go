package redis_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// The table says of each command what a real server says of it.
func TestTheTableIsThatOfRedis(t *testing.T) {
	server := redistest.Start(t)
	server.Do("HELLO", "3")
	for _, s := range redis.Commands() {
		if !server.Has(s.Name) && s.Since > "7.0" {
			continue // it is older than the command
		}
		info := server.Do("COMMAND", "INFO", s.Name)
		if len(info.Elems) != 1 || len(info.Elems[0].Elems) < 7 {
			t.Errorf("%s: Redis does not know it", s.Name)
			continue
		}
		e := info.Elems[0].Elems
		if int64(s.Arity) != e[1].Int && !slices.Contains(redistest.Grown, s.Name) {
			t.Errorf("%s: arity %d, Redis has %d", s.Name, s.Arity, e[1].Int)
		}
		flags := e[2].Elems
		has := func(list []command.Reply, name string) bool {
			return slices.ContainsFunc(list, func(r command.Reply) bool { return string(r.Str) == name })
		}
		container := len(e) > 9 && len(e[9].Elems) > 0 // Redis has flags and keys at the subcommands
		if container {
			continue
		}
		for name, flag := range map[string]command.Flag{"write": command.Write, "readonly": command.ReadOnly, "fast": command.Fast, "blocking": command.Blocking} {
			if s.Is(flag) != has(flags, name) {
				t.Errorf("%s: flag %s is %v, Redis disagrees", s.Name, name, s.Is(flag))
			}
		}
		if int64(s.First) != e[3].Int || int64(s.Last) != e[4].Int || int64(s.Step) != e[5].Int {
			t.Errorf("%s: keys at %d %d %d, Redis has %d %d %d", s.Name, s.First, s.Last, s.Step, e[3].Int, e[4].Int, e[5].Int)
		}
		for _, c := range s.Categories {
			if !has(e[6].Elems, "@"+c) {
				t.Errorf("%s: is in @%s, not so in Redis", s.Name, c)
			}
		}
		docs := server.Do("COMMAND", "DOCS", s.Name)
		fields := docs.Elems[1].Elems
		for i := 0; i+1 < len(fields); i += 2 {
			switch string(fields[i].Str) {
			case "since":
				if got := string(fields[i+1].Str); got != s.Since {
					t.Errorf("%s: since %s, Redis says %s", s.Name, s.Since, got)
				}
			case "group":
				if got := string(fields[i+1].Str); got != s.Group {
					t.Errorf("%s: group %s, Redis says %s", s.Name, s.Group, got)
				}
			}
		}
	}
}

// Hints come from the arguments: each optional part, keyword and repetition
// must be understood.
func TestArgumentsAreDescribed(t *testing.T) {
	table := command.NewTable(redis.Commands())
	for name, want := range map[string]string{
		"GET":     "key",
		"MGET":    "key...",
		"HSET":    "key {field value}...",
		"SET":     "key value [(NX|XX)] [GET] [(EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL)]",
		"SCAN":    "cursor [MATCH pattern] [COUNT count] [TYPE type]",
		"ZRANGE":  "key start stop [(BYSCORE|BYLEX)] [REV] [{LIMIT offset count}] [WITHSCORES]",
		"XGROUP":  "(CREATE|SETID|DESTROY|CREATECONSUMER|DELCONSUMER|HELP) [{key group}] [id] [MKSTREAM] [ENTRIESREAD entries-read]",
		"DBSIZE":  "",
		"ZUNION":  "numkeys key... [WEIGHTS weight...] [{AGGREGATE (SUM|MIN|MAX)}] [WITHSCORES]",
		"XREAD":   "[COUNT count] [BLOCK milliseconds] STREAMS key... id...",
		"HINCRBY": "key field increment",
		"LMOVE":   "source destination (LEFT|RIGHT) (LEFT|RIGHT)",
		"BLMPOP":  "timeout numkeys key... (LEFT|RIGHT) [COUNT count]",
		"BITPOS":  "key bit [{start [{end [(BYTE|BIT)]}]}]",
		"SORT":    "key [BY pattern] [{LIMIT offset count}] [GET pattern...] [(ASC|DESC)] [ALPHA] [STORE destination]",
		"GEOADD":  "key [(NX|XX)] [CH] {longitude latitude member}...",
	} {
		if got := describe(table.Find([]byte(name)).Args); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
	for _, s := range redis.Commands() {
		if s.Summary == "" || !strings.HasSuffix(s.Summary, ".") {
			t.Errorf("%s: no sentence for a summary: %q", s.Name, s.Summary)
		}
	}
}

// describe writes arguments as text.
func describe(args []command.Arg) string {
	var out []string
	for _, a := range args {
		s := a.Token
		switch a.Type {
		case "pure-token":
		case "oneof":
			var options []string
			for _, o := range a.Args {
				options = append(options, describe([]command.Arg{o}))
			}
			s += "(" + strings.Join(options, "|") + ")"
		case "block":
			s += "{" + describe(a.Args) + "}"
		default:
			s = strings.TrimSpace(s + " " + a.Name)
		}
		if a.Multiple {
			s += "..."
		}
		if a.Optional {
			s = "[" + s + "]"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestDomainKeys(t *testing.T) {
	for key, want := range map[string][2]bool{
		"visitor:1": {true, false}, "chat:1": {true, false}, "agent:a": {true, false}, "department:d": {true, false}, "site:s:events": {true, false},
		"secret:token_key": {true, true}, "system:group": {true, false}, "visitor": {false, false}, "visitors:1": {false, false}, "": {false, false}, "my:visitor:1": {false, false},
	} {
		if got := [2]bool{redis.IsDomainKey([]byte(key)), redis.IsHidden([]byte(key))}; got != want {
			t.Errorf("%q: domain and hidden are %v, want %v", key, got, want)
		}
	}
}

// docs/redis.md names exactly the commands there are.
func TestTheDocumentNamesEveryCommand(t *testing.T) {
	text, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "## Commands")
	table, _, _ := strings.Cut(rest, "Connections, transactions")
	var documented []string
	for i, word := range strings.Split(table, "`") {
		if i%2 == 1 {
			documented = append(documented, word)
		}
	}
	var there []string
	for _, s := range redis.Commands() {
		there = append(there, s.Name)
	}
	slices.Sort(documented)
	slices.Sort(there)
	if !slices.Equal(documented, there) {
		t.Errorf("documented\n%v\nthere\n%v", documented, there)
	}
}

package redistest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
)

// Side is a server, as its client reads it.
type Side interface {
	Do(args ...string) command.Reply
	// Unwaiting is Do, but commands that would wait do not.
	Unwaiting(args ...string) command.Reply
	Select(db string)
}

// Duel is the two servers with the same commands. It fails its test with the
// first reply that differs.
type Duel struct {
	T      testing.TB
	Ours   Side
	Theirs *Conn
	Proto  int // 2 or 3
	// Verify checks our side from the inside; nil: nobody does.
	Verify func() error
	log    []string
}

// Run runs a command on both sides.
func (d *Duel) Run(args []string) {
	d.log = append(d.log, fmt.Sprintf("%q", args))
	name := strings.ToUpper(args[0])
	if !d.known(args) {
		return
	}
	if key, ok := rangesByName(args); ok && !d.oneScore(key) && string(d.Theirs.Do("OBJECT", "ENCODING", key).Str) == "skiplist" {
		return // names are in order only where scores are equal, and large sets are searched otherwise
	}
	switch name {
	case "SELECT":
		if len(args) == 2 && (args[1] == "0" || args[1] == "3") {
			d.selectDB(args[1])
		}
	case "FLUSHDB", "FLUSHALL", "SWAPDB":
		if len(d.log)%8 == 0 { // or there would never be much
			d.compare(args, d.Ours.Do(args...), d.Theirs.Do(args...))
		}
	case "GEOSEARCH", "GEORADIUS", "GEORADIUS_RO", "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO":
		d.search(args)
	case "DUMP":
		d.exchange(args)
	case "SORT", "SORT_RO":
		d.sort(args)
	case "SPOP":
		d.pop(args)
	case "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "RANDOMKEY":
		d.random(args)
	case "SCAN", "SSCAN", "HSCAN", "ZSCAN":
		d.scan(args)
	case "BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP":
		d.compare(args, d.Ours.Unwaiting(args...), d.Theirs.Unwaiting(args...))
	case "XADD":
		d.add(args)
	default:
		d.compare(args, d.Ours.Do(args...), d.Theirs.Do(args...))
	}
}

// compare fails the test if replies differ that must not.
func (d *Duel) compare(args []string, mine, other command.Reply) {
	d.T.Helper()
	mine = near(strings.ToUpper(args[0]), mine, other)
	a, b := Show(d.normal(args, mine)), Show(d.normal(args, other))
	if a == b {
		return
	}
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	at = max(0, at-60)
	d.T.Fatalf("RESP%d\n%s\n%q differs:\nours:  %s\nRedis: %s", d.Proto, strings.Join(d.history(args), "\n"), args, a[at:], b[at:])
}

// history gives the last commands on the same keys.
func (d *Duel) history(args []string) []string {
	var out []string
	for i := len(d.log) - 1; i >= 0 && len(out) < 30; i-- {
		for _, a := range args[1:min(len(args), 8)] {
			if len(a) > 3 && strings.Contains(d.log[i], a) {
				out = append(out, d.log[i])
				break
			}
		}
	}
	slices.Reverse(out)
	return out
}

// rangesByName says whether a command reads a sorted set by the names of its
// members, and which. The name of the command is first, the set second, but
// for ZRANGESTORE's.
func rangesByName(args []string) (key string, ok bool) {
	name := strings.ToUpper(args[0])
	if !strings.Contains(name, "LEX") && !slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, "BYLEX") }) {
		return "", false
	}
	source := 1
	if name == "ZRANGESTORE" {
		source = 2
	}
	if len(args) <= source {
		return "", false
	}
	return args[source], true
}

// oneScore says whether all members of a sorted set have the same score.
func (d *Duel) oneScore(key string) bool {
	var scores []string
	for i, r := range d.Ours.Do("ZRANGE", key, "0", "-1", "WITHSCORES").Elems {
		if len(r.Elems) == 2 { // a pair, in RESP3
			scores = append(scores, Show(r.Elems[1]))
		} else if i%2 == 1 {
			scores = append(scores, Show(r))
		}
	}
	for _, s := range scores {
		if s != scores[0] {
			return false
		}
	}
	return true
}

// pop lets ours choose and Redis remove the same.
func (d *Duel) pop(args []string) {
	mine := d.Ours.Do(args...)
	if mine.Kind == command.KindError || mine.IsNull() || (mine.Kind != command.KindBulk && len(mine.Elems) == 0) {
		d.compare(args, mine, d.Theirs.Do(args...))
		return
	}
	members := mine.Elems
	if mine.Kind == command.KindBulk {
		members = []command.Reply{mine}
	}
	rem := []string{"SREM", args[1]}
	for _, m := range members {
		rem = append(rem, string(m.Str))
	}
	d.compare(rem, command.Int(int64(len(members))), d.Theirs.Do(rem...))
}

// random compares how much is chosen.
func (d *Duel) random(args []string) {
	mine, other := d.Ours.Do(args...), d.Theirs.Do(args...)
	if len(mine.Elems) > 0 || mine.Kind == command.KindBulk {
		blank := func(r command.Reply) command.Reply {
			return command.Array(command.Int(int64(r.Kind)), command.Int(int64(len(r.Elems))))
		}
		mine, other = blank(mine), blank(other)
	}
	d.compare(args, mine, other)
}

// scan walks to the end on both. args end with a pattern.
func (d *Duel) scan(args []string) {
	if len(args) < 2 {
		d.compare(args, d.Ours.Do(args...), d.Theirs.Do(args...))
		return
	}
	all := func(do func(args ...string) command.Reply) command.Reply {
		out := command.Array()
		cursor := "0"
		for range 10_000 {
			q := append(append([]string{}, args[:len(args)-1]...), cursor, "MATCH", args[len(args)-1], "COUNT", "7")
			r := do(q...)
			if r.Kind == command.KindError {
				return r
			}
			out.Elems = append(out.Elems, r.Elems[1].Elems...)
			if cursor = string(r.Elems[0].Str); cursor == "0" {
				break
			}
		}
		size := 1
		if n := strings.ToUpper(args[0]); n == "HSCAN" || n == "ZSCAN" {
			size = 2
		}
		return distinct(Sorted(out, size), size)
	}
	d.compare(args, all(d.Ours.Do), all(d.Theirs.Do))
}

// distinct drops repetitions, which a walk in Redis may have.
func distinct(r command.Reply, size int) command.Reply {
	out := command.Array()
	last := ""
	for i := 0; i+size <= len(r.Elems); i += size {
		if s := Show(r.Elems[i]); s != last {
			out.Elems = append(out.Elems, r.Elems[i:i+size]...)
			last = s
		}
	}
	return out
}

// add lets ours choose the id.
func (d *Duel) add(args []string) {
	mine := d.Ours.Do(args...)
	theirs := append([]string{}, args...)
	for i, a := range theirs {
		if a == "*" && mine.Kind == command.KindBulk && i > 1 {
			theirs[i] = string(mine.Str)
			break
		}
	}
	d.compare(args, mine, d.Theirs.Do(theirs...))
}

// Settle compares everything there is.
func (d *Duel) Settle() {
	if d.Verify != nil {
		if err := d.Verify(); err != nil {
			d.T.Fatalf("%s\n%v", strings.Join(d.log, "\n"), err)
		}
	}
	for _, db := range []string{"3", "0"} {
		d.selectDB(db)
		d.settleDB()
	}
}

func (d *Duel) selectDB(db string) {
	d.Ours.Select(db)
	d.Theirs.Select(db)
}

// search compares what a search of places answers, whose order is defined only
// if one is asked for.
func (d *Duel) search(args []string) {
	has := func(word string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, word) })
	}
	mine, other := d.Ours.Do(args...), d.Theirs.Do(args...)
	switch {
	case has("ANY") && mine.Kind == command.KindArray && other.Kind == command.KindArray:
		mine, other = command.Int(int64(len(mine.Elems))), command.Int(int64(len(other.Elems)))
	case !has("COUNT") && !has("ASC") && !has("DESC"):
		byShow := func(r command.Reply) command.Reply {
			slices.SortFunc(r.Elems, func(a, b command.Reply) int { return strings.Compare(Show(a), Show(b)) })
			return r
		}
		mine, other = byShow(mine), byShow(other)
	}
	d.compare(args, mine, other)
}

// exchange restores at a second key what each server dumped, on the other one.
func (d *Duel) exchange(args []string) {
	if len(args) != 3 {
		return // payloads need not be equal
	}
	mine, other := d.Ours.Do("DUMP", args[1]), d.Theirs.Do("DUMP", args[1])
	if mine.Kind == command.KindBulk && other.Kind == command.KindBulk {
		restore := []string{"RESTORE", args[2], "0", string(other.Str), "REPLACE"}
		d.log = append(d.log, fmt.Sprintf("%q", restore))
		d.compare(restore, d.Ours.Do(restore...), d.Theirs.Do("RESTORE", args[2], "0", string(mine.Str), "REPLACE"))
		return
	}
	d.compare(args, mine, other)
}

// sort compares what SORT answers, as far as its order is defined.
func (d *Duel) sort(args []string) {
	has := func(word string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, word) })
	}
	set := len(args) > 1 && d.Ours.Do("TYPE", args[1]).Text() == "set"
	if (has("ALPHA") && has("BY")) || (has("ALPHA") && !has("STORE")) || (has("BY") && set && !has("STORE")) {
		if has("LIMIT") || has("STORE") {
			return // equal texts, text after zero bytes and sets are in any order
		}
		mine, other := d.Ours.Do(args...), d.Theirs.Do(args...)
		d.compare(args, Sorted(mine, 1), Sorted(other, 1))
		return
	}
	d.compare(args, d.Ours.Do(args...), d.Theirs.Do(args...))
}

func (d *Duel) settleDB() {
	keys := d.Ours.Do("KEYS", "*")
	d.compare([]string{"KEYS", "*"}, keys, d.Theirs.Do("KEYS", "*"))
	for _, k := range keys.Elems {
		key := string(k.Str)
		d.Run([]string{"PEXPIRETIME", key})
		switch d.Ours.Do("TYPE", key).Text() {
		case "string":
			d.Run([]string{"GET", key})
		case "hash":
			d.Run([]string{"HGETALL", key})
			times := []string{"HPEXPIRETIME", key, "FIELDS", ""}
			for i, f := range d.Ours.Do("HKEYS", key).Elems {
				times = append(times, string(f.Str))
				times[3] = strconv.Itoa(i + 1)
			}
			d.Run(times)
		case "set":
			d.Run([]string{"SMEMBERS", key})
		case "zset":
			d.Run([]string{"ZRANGE", key, "0", "-1", "WITHSCORES"})
		case "list":
			d.Run([]string{"LRANGE", key, "0", "-1"})
		case "stream":
			d.Run([]string{"XINFO", "STREAM", key, "FULL", "COUNT", "0"})
		}
	}
}

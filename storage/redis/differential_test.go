package redis_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// duel is the two servers with the same commands.
type duel struct {
	t      *testing.T
	ours   *ours
	theirs *theirs
	proto  int
	log    []string
}

func (d *duel) run(args []string) {
	d.log = append(d.log, fmt.Sprintf("%q", args))
	d.ours.state.Now = time.Now().UnixMilli()
	name := strings.ToUpper(args[0])
	switch {
	case !d.theirs.has(name) && strings.HasPrefix(name, "H"):
		return // it is older than the command
	case strings.Contains(name, "LEX"), name == "ZRANGE" && slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, "BYLEX") }):
		if len(args) > 1 && !d.oneScore(args[1]) {
			return // names are in order only where scores are equal
		}
	}
	switch name {
	case "SELECT":
		if len(args) == 2 && (args[1] == "0" || args[1] == "3") {
			d.selectDB(args[1])
		}
	case "FLUSHDB", "FLUSHALL", "SWAPDB":
		if len(d.log)%8 == 0 { // or there would never be much
			d.compare(args, d.ours.do(args...), d.theirs.do(d.t, args...))
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
		d.compare(args, d.ours.do(args...), d.unwaiting(args))
	case "XADD":
		d.add(args)
	default:
		d.compare(args, d.ours.do(args...), d.theirs.do(d.t, args...))
	}
}

func (d *duel) compare(args []string, mine, other command.Reply) {
	a, b := show(d.normal(args, wire(mine, d.proto))), show(d.normal(args, other))
	if a == b {
		return
	}
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	at = max(0, at-60)
	d.t.Fatalf("RESP%d\n%s\n%q differs:\nours:  %s\nRedis: %s", d.proto, strings.Join(d.history(args), "\n"), args, a[at:], b[at:])
}

// history gives the last commands on the same keys.
func (d *duel) history(args []string) []string {
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

// normal takes out of a reply what may differ.
func (d *duel) normal(args []string, r command.Reply) command.Reply {
	name := strings.ToUpper(args[0])
	if r.Kind == command.KindError {
		s := string(r.Str)
		if s == keyspace.ErrValueTooLarge.Error() {
			s = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
		}
		if d.theirs.has("HEXPIRE") { // later versions say some things otherwise
			s, _, _ = strings.Cut(s, " ")
		}
		if s == "ERR timeout is out of range" { // 7.0 overflows
			s = "ERR timeout is negative"
		}
		return command.Reply{Kind: r.Kind, Str: []byte(strings.NewReplacer("\r", " ", "\n", " ").Replace(s))}
	}
	if name[0] == 'Z' {
		r = positiveZero(r)
	}
	if name == "GET" && strings.HasPrefix(string(r.Str), "HYLL") && len(r.Str) > 16 {
		clear(r.Str[8:16]) // the cached count, which Redis renews on reading
	}
	switch name {
	case "HGETALL":
		return sorted(r, 2)
	case "HKEYS", "HVALS", "SMEMBERS", "SINTER", "SUNION", "SDIFF", "KEYS":
		return sorted(r, 1)
	case "TTL", "PTTL":
		if r.Int >= 0 {
			return command.Int(1)
		}
	case "HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME":
		for i, e := range r.Elems {
			if e.Int >= 0 {
				unit := int64(100)
				if name[1] == 'P' {
					unit = 100_000
				}
				if name == "HTTL" || name == "HPTTL" {
					e.Int = 0
				}
				r.Elems[i] = command.Int((e.Int + unit/2) / unit)
			}
		}
	case "PEXPIRETIME", "EXPIRETIME":
		if r.Int >= 0 { // relative times were set at slightly different moments
			unit := int64(100)
			if name[0] == 'P' {
				unit = 100_000
			}
			return command.Int((r.Int + unit/2) / unit)
		}
	case "XPENDING":
		for _, e := range r.Elems {
			if e.Kind == command.KindArray && len(e.Elems) == 4 {
				e.Elems[2] = command.Int(0) // idle time
			}
		}
	case "XINFO":
		return maskInfo(r, len(args) > 3 && strings.EqualFold(args[3], "FULL"))
	}
	return r
}

// positiveZero makes 0 of the score -0, which is not kept.
func positiveZero(r command.Reply) command.Reply {
	if r.Kind == command.KindBulk && string(r.Str) == "-0" {
		return command.BulkString("0")
	}
	if r.Kind == command.KindDouble && r.Float == 0 {
		return command.Double(0)
	}
	for i, e := range r.Elems {
		r.Elems[i] = positiveZero(e)
	}
	return r
}

// maskInfo takes times and Redis's tree out of XINFO.
func maskInfo(r command.Reply, full bool) command.Reply {
	for i, e := range r.Elems {
		switch key := string(e.Str); {
		case e.Kind == command.KindArray || e.Kind == command.KindMap:
			maskInfo(e, full)
		case i+1 < len(r.Elems) && (key == "radix-tree-keys" || key == "radix-tree-nodes" || key == "idle" || key == "seen-time"):
			r.Elems[i+1] = command.Int(0)
		case full && e.Kind == command.KindInt && e.Int > 1_000_000_000_000:
			r.Elems[i] = command.Int(0) // time of delivery
		}
	}
	return r
}

// oneScore says whether all members of a sorted set have the same score.
func (d *duel) oneScore(key string) bool {
	r := d.ours.do("ZRANGE", key, "0", "-1", "WITHSCORES")
	for i := 1; i < len(r.Elems); i += 2 {
		if r.Elems[i].Float != r.Elems[1].Float {
			return false
		}
	}
	return true
}

// pop lets ours choose and Redis remove the same.
func (d *duel) pop(args []string) {
	mine := d.ours.do(args...)
	if mine.Kind == command.KindError || mine.IsNull() || (mine.Kind == command.KindSet && len(mine.Elems) == 0) {
		d.compare(args, mine, d.theirs.do(d.t, args...))
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
	d.compare(rem, command.Int(int64(len(members))), d.theirs.do(d.t, rem...))
}

// random compares how much is chosen.
func (d *duel) random(args []string) {
	mine, other := wire(d.ours.do(args...), d.proto), d.theirs.do(d.t, args...)
	if len(mine.Elems) > 0 || mine.Kind == command.KindBulk {
		blank := func(r command.Reply) command.Reply {
			return command.Array(command.Int(int64(r.Kind)), command.Int(int64(len(r.Elems))))
		}
		mine, other = blank(mine), blank(other)
	}
	d.compare(args, mine, other)
}

// scan walks to the end on both. args end with a pattern.
func (d *duel) scan(args []string) {
	if len(args) < 2 {
		d.compare(args, d.ours.do(args...), d.theirs.do(d.t, args...))
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
		return distinct(sorted(out, size), size)
	}
	d.compare(args, all(d.ours.do), all(func(a ...string) command.Reply { return d.theirs.do(d.t, a...) }))
}

// distinct drops repetitions, which a walk in Redis may have.
func distinct(r command.Reply, size int) command.Reply {
	out := command.Array()
	last := ""
	for i := 0; i+size <= len(r.Elems); i += size {
		if s := show(r.Elems[i]); s != last {
			out.Elems = append(out.Elems, r.Elems[i:i+size]...)
			last = s
		}
	}
	return out
}

// add lets ours choose the id.
func (d *duel) add(args []string) {
	mine := d.ours.do(args...)
	theirs := append([]string{}, args...)
	for i, a := range theirs {
		if a == "*" && mine.Kind == command.KindBulk && i > 1 {
			theirs[i] = string(mine.Str)
			break
		}
	}
	d.compare(args, mine, d.theirs.do(d.t, theirs...))
}

// unwaiting runs a command on the real server in a transaction, where it does
// not wait.
func (d *duel) unwaiting(args []string) command.Reply {
	d.theirs.do(d.t, "MULTI")
	queued := d.theirs.do(d.t, args...)
	done := d.theirs.do(d.t, "EXEC")
	if queued.Kind == command.KindError {
		return queued
	}
	return done.Elems[0]
}

// settle compares everything there is.
func (d *duel) settle() {
	if err := d.ours.state.Verify(); err != nil {
		d.t.Fatalf("%s\n%v", strings.Join(d.log, "\n"), err)
	}
	for _, db := range []string{"3", "0"} {
		d.selectDB(db)
		d.settleDB()
	}
}

func (d *duel) selectDB(db string) {
	d.ours.db = db[0] - '0'
	d.theirs.do(d.t, "SELECT", db)
}

// search compares what a search of places answers, whose order is defined only
// if one is asked for.
func (d *duel) search(args []string) {
	has := func(word string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, word) })
	}
	mine, other := wire(d.ours.do(args...), d.proto), d.theirs.do(d.t, args...)
	switch {
	case has("ANY") && mine.Kind == command.KindArray && other.Kind == command.KindArray:
		mine, other = command.Int(int64(len(mine.Elems))), command.Int(int64(len(other.Elems)))
	case !has("COUNT") && !has("ASC") && !has("DESC"):
		byShow := func(r command.Reply) command.Reply {
			slices.SortFunc(r.Elems, func(a, b command.Reply) int { return strings.Compare(show(a), show(b)) })
			return r
		}
		mine, other = byShow(mine), byShow(other)
	}
	d.compare(args, mine, other)
}

// exchange restores at a second key what each server dumped, on the other one.
func (d *duel) exchange(args []string) {
	if len(args) != 3 {
		return // payloads need not be equal
	}
	mine, other := d.ours.do("DUMP", args[1]), d.theirs.do(d.t, "DUMP", args[1])
	if mine.Kind == command.KindBulk && other.Kind == command.KindBulk {
		restore := []string{"RESTORE", args[2], "0", string(other.Str), "REPLACE"}
		d.log = append(d.log, fmt.Sprintf("%q", restore))
		d.compare(restore, d.ours.do(restore...), d.theirs.do(d.t, "RESTORE", args[2], "0", string(mine.Str), "REPLACE"))
		return
	}
	d.compare(args, mine, other)
}

// sort compares what SORT answers, as far as its order is defined.
func (d *duel) sort(args []string) {
	has := func(word string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, word) })
	}
	set := len(args) > 1 && d.ours.do("TYPE", args[1]).Text() == "set"
	if (has("ALPHA") && has("BY")) || (has("ALPHA") && !has("STORE")) || (has("BY") && set && !has("STORE")) {
		if has("LIMIT") || has("STORE") {
			return // equal texts, text after zero bytes and sets are in any order
		}
		mine, other := d.ours.do(args...), d.theirs.do(d.t, args...)
		d.compare(args, sorted(mine, 1), sorted(other, 1))
		return
	}
	d.compare(args, d.ours.do(args...), d.theirs.do(d.t, args...))
}

func (d *duel) settleDB() {
	keys := d.ours.do("KEYS", "*")
	d.compare([]string{"KEYS", "*"}, keys, d.theirs.do(d.t, "KEYS", "*"))
	for _, k := range keys.Elems {
		key := string(k.Str)
		d.run([]string{"PEXPIRETIME", key})
		switch d.ours.do("TYPE", key).Text() {
		case "string":
			d.run([]string{"GET", key})
		case "hash":
			d.run([]string{"HGETALL", key})
			times := []string{"HPEXPIRETIME", key, "FIELDS", ""}
			for i, f := range d.ours.do("HKEYS", key).Elems {
				times = append(times, string(f.Str))
				times[3] = strconv.Itoa(i + 1)
			}
			d.run(times)
		case "set":
			d.run([]string{"SMEMBERS", key})
		case "zset":
			d.run([]string{"ZRANGE", key, "0", "-1", "WITHSCORES"})
		case "list":
			d.run([]string{"LRANGE", key, "0", "-1"})
		case "stream":
			d.run([]string{"XINFO", "STREAM", key, "FULL", "COUNT", "0"})
		}
	}
}

// TestDifferential runs random commands here and on a real server
// and compares each reply. PARLOR_DIFFERENTIAL sets how many.
func TestDifferential(t *testing.T) {
	total := 30_000
	if s := os.Getenv("PARLOR_DIFFERENTIAL"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("PARLOR_DIFFERENTIAL: %v", err)
		}
		total = n
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PARLOR_DIFFERENTIAL_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("PARLOR_DIFFERENTIAL_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("PARLOR_DIFFERENTIAL_SEED=%d", seed)
	server := startRedis(t)
	play := templates
	if server.has("HEXPIRE") {
		// It is a later version, which does other things differently than 7.0.
		play = slices.DeleteFunc(slices.Clone(templates), func(s string) bool {
			return !strings.Contains(s, "$H") && !strings.Contains(s, "$A $A") && !strings.Contains(s, "DB") && !strings.Contains(s, "PIRE") && !strings.Contains(s, "MOVE $A") && !strings.Contains(s, "{ $A }")
		})
	}
	m := &maker{r: rand.New(rand.NewPCG(seed, 0)), base: time.Now().Unix()/100*100 + 100_000}
	for round := 0; total > 0; round++ {
		d := &duel{t: t, ours: newOurs(), theirs: server, proto: 2 + round%2}
		server.do(t, "HELLO", strconv.Itoa(d.proto))
		server.do(t, "FLUSHALL")
		for range min(total, 1000) {
			d.run(m.command(m.pick(play...)))
		}
		d.settle()
		total -= 1000
	}
}

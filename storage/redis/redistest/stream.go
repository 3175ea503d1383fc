package redistest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// Piper is a Side that takes several commands at once.
type Piper interface {
	Side
	Pipe(commands [][]string) []command.Reply
}

// plain says whether the replies to a command can be compared as they are,
// wherever it stands.
func plain(args []string, waits bool) bool {
	name := strings.ToUpper(args[0])
	switch name {
	case "SPOP", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "RANDOMKEY", "SCAN", "SSCAN", "HSCAN", "ZSCAN", "DUMP", "SORT", "SORT_RO",
		"GEOSEARCH", "GEORADIUS", "GEORADIUS_RO", "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO", "FLUSHDB", "FLUSHALL", "SWAPDB":
		return false
	case "BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP":
		return waits
	case "SELECT":
		return len(args) == 2 && (args[1] == "0" || args[1] == "3")
	case "XADD":
		return !slices.Contains(args, "*")
	}
	_, byName := rangesByName(args)
	return !byName
}

// Pipeline sends random commands at once, to both sides.
func (d *Duel) Pipeline(m *Maker, templates []string, n int) {
	var commands [][]string
	for len(commands) < n {
		if args := m.Command(m.Pick(templates...)); plain(args, false) && d.known(args) {
			commands = append(commands, args)
			d.log = append(d.log, fmt.Sprintf("%q, in a pipeline", args))
		}
	}
	mine, other := d.Ours.(Piper).Pipe(commands), d.Theirs.Pipe(commands)
	for i, args := range commands {
		d.compare(args, mine[i], other[i])
	}
	d.selectDB("0")
}

// known says whether the real server is new enough for a command in that form.
func (d *Duel) known(args []string) bool {
	name := strings.ToUpper(args[0])
	switch {
	case slices.Contains(Grown, name) && len(args) > 3:
		return d.Theirs.Has("WAITAOF")
	case name == "XREAD" && slices.Contains(args, "+"):
		return d.Theirs.Has("HEXPIRE")
	}
	return d.Theirs.Has(name) || !strings.HasPrefix(name, "H")
}

// Transaction sends random commands in a transaction, to both sides. Some are
// wrong, and then none is to run; some of the keys are watched, and other
// clients may change them meanwhile.
func (d *Duel) Transaction(m *Maker, templates []string, n int, other [2]*Conn) {
	both := func(args ...string) {
		d.log = append(d.log, fmt.Sprintf("%q", args))
		d.compare(args, d.Ours.Do(args...), d.Theirs.Do(args...))
	}
	if m.R.IntN(3) == 0 {
		key := m.argument("A")
		both("WATCH", key, m.argument("A"))
		if m.R.IntN(2) == 0 { // somebody else writes it, or something else
			args := m.Command(m.Pick("SET $K $V", "DEL "+key, "EXPIRE "+key+" 1000", "RPUSH $l $V", "COPY $A "+key+" REPLACE", "PERSIST "+key))
			d.log = append(d.log, fmt.Sprintf("%q, by another client", args))
			d.compare(args, other[0].Do(args...), other[1].Do(args...))
		}
	}
	commands := [][]string{{"MULTI"}}
	for len(commands) <= n {
		if args := m.Command(m.Pick(templates...)); plain(args, true) && d.known(args) {
			commands = append(commands, args)
			d.log = append(d.log, fmt.Sprintf("%q, in a transaction", args))
		}
	}
	end := "EXEC"
	if m.R.IntN(12) == 0 {
		end = "DISCARD"
	}
	commands = append(commands, []string{end})
	mine, theirs := d.Ours.(Piper).Pipe(commands), d.Theirs.Pipe(commands)
	last := len(commands) - 1
	for i, args := range commands[:last] {
		d.compare(args, mine[i], theirs[i])
	}
	a, b := mine[last], theirs[last]
	if a.Kind != command.KindArray || b.Kind != command.KindArray || len(a.Elems) != len(b.Elems) {
		d.compare(commands[last], a, b)
	} else {
		for i := range a.Elems {
			d.compare(commands[1+i], a.Elems[i], b.Elems[i])
		}
	}
	if m.R.IntN(4) == 0 {
		both("UNWATCH")
	}
	d.selectDB("0")
}

// soon are commands after which something expires within milliseconds.
var soon = []string{
	"SET $K $V PX $e", "PSETEX $K $e $V", "PEXPIRE $A $e", "PEXPIRE $A $e [ NX|LT ]", "GETEX $K PX $e", "PEXPIRE $H $e",
	"HPEXPIRE $H $e FIELDS 3 $M $m $M", "HPEXPIRE $H $e [ NX|LT ] FIELDS 4 $m $m $m $m", "HSETEX $H PX $e FIELDS 2 $M $V $m $V", "HGETEX $H PX $e FIELDS 2 $M $m",
}

// Expire runs a command after which something expires soon, and waits until it
// has on both sides, whose clocks need not be the same.
func (d *Duel) Expire(m *Maker) {
	args := m.Command(m.Pick(soon...))
	for !d.Theirs.Has(strings.ToUpper(args[0])) {
		args = m.Command(m.Pick(soon...))
	}
	d.Run(args)
	if len(args) < 2 {
		return
	}
	key := args[1]
	d.until(key, func(side Side) bool {
		ms := side.Do("PTTL", key).Int
		return ms < 0 || ms > 2000
	})
	if !d.Theirs.Has("HPTTL") {
		return
	}
	fields := []string{"HPTTL", key, "FIELDS", ""}
	for i, f := range d.Theirs.Do("HKEYS", key).Elems {
		fields = append(fields, string(f.Str))
		fields[3] = strconv.Itoa(i + 1)
	}
	if len(fields) > 4 {
		d.until(key, func(side Side) bool {
			return !slices.ContainsFunc(side.Do(fields...).Elems, func(r command.Reply) bool { return r.Int >= 0 && r.Int <= 2000 })
		})
	}
	// Redis counts fields that have expired until it has removed them.
	d.until(key, func(Side) bool { return Show(d.Ours.Do("HLEN", key)) == Show(d.Theirs.Do("HLEN", key)) })
}

// until waits until something holds on both sides.
func (d *Duel) until(key string, holds func(Side) bool) {
	Until(d.T, "what expires at "+key+" has expired", func() bool { return holds(d.Ours) && holds(d.Theirs) })
}

package redistest

import (
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// normal takes out of a reply what may differ.
func (d *Duel) normal(args []string, r command.Reply) command.Reply {
	name := strings.ToUpper(args[0])
	if r.Kind == command.KindError {
		s := string(r.Str)
		if d.Theirs.Has("HEXPIRE") { // later versions say some things otherwise
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
		return Sorted(r, 2)
	case "HKEYS", "HVALS", "SMEMBERS", "SINTER", "SUNION", "SDIFF", "KEYS":
		return Sorted(r, 1)
	case "XPENDING":
		for _, e := range r.Elems {
			if e.Kind == command.KindArray && len(e.Elems) == 4 {
				e.Elems[2] = command.Int(0) // idle time
			}
		}
	case "XINFO":
		return MaskInfo(r, len(args) > 3 && strings.EqualFold(args[3], "FULL"))
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

// MaskInfo takes times and Redis's tree out of XINFO.
func MaskInfo(r command.Reply, full bool) command.Reply {
	for i, e := range r.Elems {
		switch key := string(e.Str); {
		case e.Kind == command.KindArray || e.Kind == command.KindMap:
			MaskInfo(e, full)
		case i+1 < len(r.Elems) && (key == "radix-tree-keys" || key == "radix-tree-nodes" || key == "idle" || key == "seen-time"):
			r.Elems[i+1] = command.Int(0)
		case full && e.Kind == command.KindInt && e.Int > 1_000_000_000_000:
			r.Elems[i] = command.Int(0) // time of delivery
		}
	}
	return r
}

// clocks is how far the times of the two sides may be apart, in ms: a command
// with a relative time reaches one after the other, perhaps on a busy machine.
const clocks = 30_000

// near makes times equal that are nearly so.
func near(name string, mine, other command.Reply) command.Reply {
	limit := int64(clocks)
	switch name {
	case "TTL", "EXPIRETIME", "HTTL", "HEXPIRETIME":
		limit /= 1000
	case "PTTL", "PEXPIRETIME", "HPTTL", "HPEXPIRETIME":
	default:
		return mine
	}
	if a, b := mine.Int, other.Int; a >= 0 && b >= 0 && max(a-b, b-a) <= limit {
		mine.Int = b
	}
	for i := range min(len(mine.Elems), len(other.Elems)) {
		mine.Elems[i] = near(name, mine.Elems[i], other.Elems[i])
	}
	return mine
}

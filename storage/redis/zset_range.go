package redis

import (
	"bytes"
	"math"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// rangeKind says what the bounds of a range are.
type rangeKind int

const (
	byAny rangeKind = iota // ranks, unless a keyword says otherwise
	byRank
	byScore
	byLex
)

var (
	errScoreBound = command.Errorf("ERR", "min or max is not a float")
	errLexBound   = command.Errorf("ERR", "min or max not valid string range item")
	errLimitAlone = command.Errorf("ERR", "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
	errLexScores  = command.Errorf("ERR", "syntax error, WITHSCORES not supported in combination with BYLEX")
)

// zspan is a range of a sorted set.
type zspan struct {
	kind          rangeKind
	reverse       bool
	scores        bool
	offset, limit int64 // limit negative: none

	start, stop      int64 // ranks
	min, max         scoreBound
	minName, maxName lexBound
}

type scoreBound struct {
	score float64
	open  bool // the score itself is not in the range
}

type lexBound struct {
	name []byte
	open bool
	end  int // -1: before all names, 1: after all
}

// parseScoreBound reads "1.5" or "(1.5".
func parseScoreBound(arg []byte) (b scoreBound, err error) {
	if len(arg) > 0 && arg[0] == '(' {
		b.open, arg = true, arg[1:]
	}
	if len(arg) == 0 {
		return b, nil // C reads nothing as zero
	}
	f, _, ok := parseAnyFloat([]byte(strings.TrimLeft(string(arg), " \t\n\v\f\r")))
	if !ok {
		return b, errScoreBound
	}
	b.score = f
	return b, nil
}

// parseLexBound reads "-", "+", "[name" or "(name".
func parseLexBound(arg []byte) (lexBound, error) {
	switch {
	case string(arg) == "-":
		return lexBound{end: -1}, nil
	case string(arg) == "+":
		return lexBound{end: 1}, nil
	case len(arg) > 0 && (arg[0] == '[' || arg[0] == '('):
		return lexBound{name: arg[1:], open: arg[0] == '('}, nil
	}
	return lexBound{}, errLexBound
}

// bounds reads the two ends.
func (z *zspan) bounds(first, second []byte) (err error) {
	lo, hi := first, second
	if z.reverse && z.kind != byRank {
		lo, hi = second, first
	}
	switch z.kind {
	case byScore:
		if z.min, err = parseScoreBound(lo); err == nil {
			z.max, err = parseScoreBound(hi)
		}
	case byLex:
		if z.minName, err = parseLexBound(lo); err == nil {
			z.maxName, err = parseLexBound(hi)
		}
	default:
		if z.start, err = intArg(lo); err == nil {
			z.stop, err = intArg(hi)
		}
	}
	return err
}

// options reads the keywords after the ends.
func (z *zspan) options(args [][]byte, any, store bool) (err error) {
	z.limit = -1
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case !store && is(a, "WITHSCORES"):
			z.scores = true
		case is(a, "LIMIT") && i+2 < len(args):
			if z.offset, err = intArg(args[i+1]); err != nil {
				return err
			}
			if z.limit, err = intArg(args[i+2]); err != nil {
				return err
			}
			i += 2
		case any && !z.reverse && is(a, "REV"):
			z.reverse = true
		case z.kind == byAny && is(a, "BYLEX"):
			z.kind = byLex
		case z.kind == byAny && is(a, "BYSCORE"):
			z.kind = byScore
		default:
			return command.ErrSyntax
		}
	}
	if z.kind == byAny {
		z.kind = byRank
	}
	if z.limit != -1 && z.kind == byRank {
		return errLimitAlone
	}
	if z.scores && z.kind == byLex {
		return errLexScores
	}
	return nil
}

// collect gives the members in the range. They belong to the Tx.
func (z *zspan) collect(c *command.Call, key []byte) ([]keyspace.Scored, error) {
	out := make([]keyspace.Scored, 0, z.expected())
	skip, left := z.offset, z.limit
	err := z.each(c, key, func(m []byte, score float64) bool {
		if skip != 0 { // a negative offset skips everything
			skip--
			return true
		}
		if left == 0 {
			return false
		}
		left--
		out = append(out, keyspace.Scored{Member: m, Score: score})
		return true
	})
	return out, err
}

// expected is how many members are worth room before they are found.
func (z *zspan) expected() int64 {
	n := int64(16)
	switch {
	case z.limit >= 0:
		n = z.limit
	case z.kind == byRank && (z.start < 0) == (z.stop < 0):
		n = min(max(z.stop-z.start, 0), 127) + 1
	}
	return min(n, 128)
}

// each walks the range without its limit.
func (z *zspan) each(c *command.Call, key []byte, fn func(m []byte, score float64) bool) error {
	switch z.kind {
	case byScore:
		return c.ZEach(key, z.min.score, z.max.score, z.reverse, func(m []byte, score float64) bool {
			if (z.min.open && score <= z.min.score) || (z.max.open && score >= z.max.score) {
				return true
			}
			return fn(m, score)
		})
	case byLex:
		return z.eachByName(c, key, fn)
	}
	n, err := c.ZLen(key)
	if err != nil {
		return err
	}
	from, count, ok := span(z.start, z.stop, n)
	if !ok {
		return nil
	}
	return c.ZEachRank(key, from, count, z.reverse, fn)
}

// eachByName walks the members in the range of names. Redis looks for its first
// member and goes on to its last, in order of the scores; where they differ,
// names are not in order, and what is found depends on where it looks. Here it
// looks from the beginning, as Redis does in small sets, and members that LIMIT
// skips may lie beyond the range, but for the first.
func (z *zspan) eachByName(c *command.Call, key []byte, fn func(m []byte, score float64) bool) error {
	first, last, err := edges(c, key)
	if err != nil || first.Member == nil || z.below(last.Member) || z.above(first.Member) {
		return err
	}
	if z.minName.end == 0 && z.maxName.end == 0 {
		order := bytes.Compare(z.minName.name, z.maxName.name)
		if order > 0 || (order == 0 && (z.minName.open || z.maxName.open)) {
			return nil
		}
	}
	if first.Score == last.Score {
		return z.eachInOrder(c, key, fn)
	}
	before, beyond := z.below, z.above
	if z.reverse {
		before, beyond = beyond, before
	}
	entered := int64(0)
	return c.ZEach(key, math.Inf(-1), math.Inf(1), z.reverse, func(m []byte, score float64) bool {
		if entered == 0 && before(m) {
			return true
		}
		skipped := 0 < entered && entered < z.offset
		entered++
		return (skipped || !beyond(m)) && fn(m, score)
	})
}

// eachInOrder is eachByName where all members have the same score.
func (z *zspan) eachInOrder(c *command.Call, key []byte, fn func(m []byte, score float64) bool) error {
	var from, to []byte
	if z.minName.end == 0 {
		from = append([]byte{}, z.minName.name...)
	}
	if z.maxName.end == 0 {
		to = append([]byte{}, z.maxName.name...)
	}
	return c.ZEachByMember(key, from, to, z.reverse, func(m []byte, score float64) bool {
		return z.below(m) || z.above(m) || fn(m, score)
	})
}

// below says whether a member comes before the range of names.
func (z *zspan) below(m []byte) bool {
	lo := z.minName
	if lo.end != 0 {
		return lo.end > 0
	}
	order := bytes.Compare(m, lo.name)
	return order < 0 || (order == 0 && lo.open)
}

// above says whether a member comes after the range of names.
func (z *zspan) above(m []byte) bool {
	hi := z.maxName
	if hi.end != 0 {
		return hi.end < 0
	}
	order := bytes.Compare(m, hi.name)
	return order > 0 || (order == 0 && hi.open)
}

// edges gives copies of the first and the last member; without a name if there
// is none.
func edges(c *command.Call, key []byte) (first, last keyspace.Scored, err error) {
	edge := func(reverse bool) (e keyspace.Scored, err error) {
		err = c.ZEach(key, math.Inf(-1), math.Inf(1), reverse, func(m []byte, score float64) bool {
			e = keyspace.Scored{Member: append([]byte{}, m...), Score: score}
			return false
		})
		return e, err
	}
	if first, err = edge(false); err == nil {
		last, err = edge(true)
	}
	return first, last, err
}

func zrange(kind rangeKind, reverse bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		z := zspan{kind: kind, reverse: reverse}
		if err := z.parse(args[2], args[3], args[4:], kind == byAny, false); err != nil {
			return command.Reply{}, err
		}
		out, err := z.collect(c, args[1])
		return scoredReply(out, z.scores), err
	}
}

func (z *zspan) parse(first, second []byte, options [][]byte, any, store bool) error {
	if err := z.options(options, any, store); err != nil {
		return err
	}
	return z.bounds(first, second)
}

func zrangestore(c *command.Call, args [][]byte) (command.Reply, error) {
	var z zspan
	if err := z.parse(args[3], args[4], args[5:], true, true); err != nil {
		return command.Reply{}, err
	}
	out, err := z.collect(c, args[2])
	if err != nil {
		return command.Reply{}, err
	}
	return storeScored(c, args[1], out)
}

// storeScored puts members at a key, whatever was there.
func storeScored(c *command.Call, key []byte, members []keyspace.Scored) (command.Reply, error) {
	c.Delete(key)
	n, err := c.ZAddAll(key, members)
	return command.Int(n), err
}

func zremrange(kind rangeKind) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		z := zspan{kind: kind, limit: -1}
		if err := z.bounds(args[2], args[3]); err != nil {
			return command.Reply{}, err
		}
		out, err := z.collect(c, args[1])
		if err != nil {
			return command.Reply{}, err
		}
		if n := len(out); kind == byLex && n > 0 && out[0].Score != out[n-1].Score {
			removed, err := c.ZRemAll(args[1], names(out)) // there may be others between them
			return command.Int(removed), err
		}
		n, err := c.ZRemNeighbours(args[1], out)
		return command.Int(n), err
	}
}

func zcount(c *command.Call, args [][]byte) (command.Reply, error) {
	return countSpan(c, args, byScore)
}

func zlexcount(c *command.Call, args [][]byte) (command.Reply, error) {
	return countSpan(c, args, byLex)
}

func countSpan(c *command.Call, args [][]byte, kind rangeKind) (command.Reply, error) {
	z := zspan{kind: kind}
	if err := z.bounds(args[2], args[3]); err != nil {
		return command.Reply{}, err
	}
	if kind == byScore {
		n, err := c.ZCount(args[1], z.min.score, z.max.score, z.min.open, z.max.open)
		return command.Int(n), err
	}
	n := int64(0)
	err := z.each(c, args[1], func([]byte, float64) bool { n++; return true })
	return command.Int(n), err
}

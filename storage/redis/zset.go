package redis

import (
	"math"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func zsetCommands() []entry {
	const limit = " [LIMIT offset count]"
	const weighted = " [WEIGHTS weight …] [AGGREGATE <SUM|MIN|MAX>]"
	return []entry{
		{"ZADD", -4, writeFast, oneKey, "1.2.0", "key [NX|XX] [GT|LT] [CH] [INCR] <score member> …", "Sets the scores of members.", zadd},
		{"ZINCRBY", 4, writeFast, oneKey, "1.2.0", "key increment member", "Adds to the score of a member.", zincrby},
		{"ZREM", -3, writeFast, oneKey, "1.2.0", "key member …", "Removes members; gives how many there were.", zrem},
		{"ZCARD", 2, readFast, oneKey, "1.2.0", "key", "Counts the members.", zcard},
		{"ZSCORE", 3, readFast, oneKey, "1.2.0", "key member", "Gives the score of a member.", zscore},
		{"ZMSCORE", -3, readFast, oneKey, "6.2.0", "key member …", "Gives the scores of members.", zmscore},
		{"ZRANK", -3, readFast | command.Walks, oneKey, "2.0.0", "key member [WITHSCORE]", "Counts the members below a member.", zrank(false)},
		{"ZREVRANK", -3, readFast | command.Walks, oneKey, "2.0.0", "key member [WITHSCORE]", "Counts the members above a member.", zrank(true)},
		{"ZCOUNT", 4, readFast | command.Walks, oneKey, "2.0.0", "key min max", "Counts the members in a range of scores.", zcount},
		{"ZLEXCOUNT", 4, readFast | command.Walks, oneKey, "2.8.9", "key min max", "Counts the members in a range of names.", zlexcount},
		{"ZRANGE", -4, read, oneKey, "1.2.0", "key start stop [BYSCORE|BYLEX] [REV]" + limit + " [WITHSCORES]", "Gives the members in a range.", zrange(byAny, false)},
		{"ZREVRANGE", -4, read, oneKey, "1.2.0", "key start stop [WITHSCORES]", "Gives the members in a range of ranks, from the highest.", zrange(byRank, true)},
		{"ZRANGEBYSCORE", -4, read, oneKey, "1.0.5", "key min max [WITHSCORES]" + limit, "Gives the members in a range of scores.", zrange(byScore, false)},
		{"ZREVRANGEBYSCORE", -4, read, oneKey, "2.2.0", "key max min [WITHSCORES]" + limit, "Gives the members in a range of scores, from the highest.", zrange(byScore, true)},
		{"ZRANGEBYLEX", -4, read, oneKey, "2.8.9", "key min max" + limit, "Gives the members in a range of names.", zrange(byLex, false)},
		{"ZREVRANGEBYLEX", -4, read, oneKey, "2.8.9", "key max min" + limit, "Gives the members in a range of names, from the highest.", zrange(byLex, true)},
		{"ZRANGESTORE", -5, write, twoKeys, "6.2.0", "destination source min max [BYSCORE|BYLEX] [REV]" + limit, "Stores the members in a range.", borrowing(zrangestore)},
		{"ZREMRANGEBYRANK", 4, write, oneKey, "2.0.0", "key start stop", "Removes the members in a range of ranks.", borrowing(zremrange(byRank))},
		{"ZREMRANGEBYSCORE", 4, write, oneKey, "1.2.0", "key min max", "Removes the members in a range of scores.", borrowing(zremrange(byScore))},
		{"ZREMRANGEBYLEX", 4, write, oneKey, "2.8.9", "key min max", "Removes the members in a range of names.", borrowing(zremrange(byLex))},
		{"ZPOPMIN", -2, writeFast, oneKey, "5.0.0", "key [count]", "Removes the lowest members and gives them.", zpop(false)},
		{"ZPOPMAX", -2, writeFast, oneKey, "5.0.0", "key [count]", "Removes the highest members and gives them.", zpop(true)},
		{"ZMPOP", -4, write, noKeys, "7.0.0", "numkeys key … <MIN|MAX> [COUNT count]", "Removes members of the first sorted set that has any.", zmpop},
		{"ZUNION", -3, read, noKeys, "6.2.0", "numkeys key …" + weighted + " [WITHSCORES]", "Gives the members that any set has.", zcombine(union)},
		{"ZINTER", -3, read, noKeys, "6.2.0", "numkeys key …" + weighted + " [WITHSCORES]", "Gives the members that all sets have.", zcombine(intersection)},
		{"ZDIFF", -3, read, noKeys, "6.2.0", "numkeys key … [WITHSCORES]", "Gives the members that only the first set has.", zcombine(difference)},
		{"ZUNIONSTORE", -4, write, oneKey, "2.0.0", "destination numkeys key …" + weighted, "Stores the members that any set has.", borrowing(zcombineStore(union))},
		{"ZINTERSTORE", -4, write, oneKey, "2.0.0", "destination numkeys key …" + weighted, "Stores the members that all sets have.", borrowing(zcombineStore(intersection))},
		{"ZDIFFSTORE", -4, write, oneKey, "6.2.0", "destination numkeys key …", "Stores the members that only the first set has.", borrowing(zcombineStore(difference))},
		{"ZINTERCARD", -3, read, noKeys, "7.0.0", "numkeys key … [LIMIT limit]", "Counts the members that all sets have.", zintercard},
		{"ZRANDMEMBER", -2, read, oneKey, "6.2.0", "key [count [WITHSCORES]]", "Gives members at random.", zrandmember},
		{"ZSCAN", -3, read, oneKey, "2.8.0", "key cursor [MATCH pattern] [COUNT count]", "Walks the members, some at a time.", zscan},
	}
}

// zaddOptions are the keywords of ZADD.
type zaddOptions struct{ nx, xx, gt, lt, ch, incr bool }

// keyword notes a keyword, and says whether it is one.
func (o *zaddOptions) keyword(a []byte) bool {
	switch {
	case is(a, "NX"):
		o.nx = true
	case is(a, "XX"):
		o.xx = true
	case is(a, "GT"):
		o.gt = true
	case is(a, "LT"):
		o.lt = true
	case is(a, "CH"):
		o.ch = true
	case is(a, "INCR"):
		o.incr = true
	default:
		return false
	}
	return true
}

func zadd(c *command.Call, args [][]byte) (command.Reply, error) {
	var o zaddOptions
	rest := args[2:]
	for len(rest) > 0 && o.keyword(rest[0]) {
		rest = rest[1:]
	}
	switch {
	case len(rest) == 0 || len(rest)%2 == 1:
		return command.Reply{}, command.ErrSyntax
	case o.nx && o.xx:
		return command.Reply{}, command.Errorf("ERR", "XX and NX options at the same time are not compatible")
	case o.nx && (o.gt || o.lt), o.gt && o.lt:
		return command.Reply{}, command.Errorf("ERR", "GT, LT, and/or NX options at the same time are not compatible")
	case o.incr && len(rest) > 2:
		return command.Reply{}, command.Errorf("ERR", "INCR option supports a single increment-element pair")
	}
	return zaddMembers(c, args[1], o, rest)
}

func zincrby(c *command.Call, args [][]byte) (command.Reply, error) {
	if o := (zaddOptions{}); o.keyword(args[2]) {
		return command.Reply{}, command.ErrSyntax // Redis takes it for an option of ZADD
	}
	return zaddMembers(c, args[1], zaddOptions{incr: true}, args[2:])
}

func zaddMembers(c *command.Call, key []byte, o zaddOptions, pairs [][]byte) (command.Reply, error) {
	members := make([]keyspace.Scored, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		score, err := floatArg(pairs[i])
		if err != nil {
			return command.Reply{}, err
		}
		members = append(members, keyspace.Scored{Member: pairs[i+1], Score: score})
	}
	if _, err := c.ZLen(key); err != nil {
		return command.Reply{}, err
	}
	if o == (zaddOptions{}) {
		n, err := c.ZAddAll(key, members)
		return command.Int(n), err
	}
	var added, updated int64
	reply := command.Null() // of INCR, if a condition holds it back
	for _, m := range members {
		old, had, err := c.ZScore(key, m.Member)
		if err != nil {
			return command.Reply{}, err
		}
		score, ok := o.score(m.Score, old, had)
		if !ok {
			continue
		}
		if math.IsNaN(score) {
			return command.Reply{}, keyspace.ErrNotANumber
		}
		reply = command.Double(score)
		if had && score == old {
			continue
		}
		if _, err := c.ZAdd(key, m.Member, score); err != nil {
			return command.Reply{}, err
		}
		if had {
			updated++
		} else {
			added++
		}
	}
	switch {
	case o.incr:
		return reply, nil
	case o.ch:
		return command.Int(added + updated), nil
	}
	return command.Int(added), nil
}

// score gives the new score of a member; ok is false if a condition holds it
// back.
func (o *zaddOptions) score(score, old float64, had bool) (_ float64, ok bool) {
	if !had {
		return score, !o.xx
	}
	if o.nx {
		return 0, false
	}
	if o.incr {
		score += old
	}
	if (o.lt && score >= old) || (o.gt && score <= old) {
		return 0, false
	}
	return score, true
}

func zrem(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := c.ZRemAll(args[1], args[2:])
	return command.Int(n), err
}

func zcard(c *command.Call, args [][]byte) (command.Reply, error) {
	n, err := c.ZLen(args[1])
	return command.Int(n), err
}

func doubleOrNull(f float64, ok bool) command.Reply {
	if !ok {
		return command.Null()
	}
	return command.Double(f)
}

func zscore(c *command.Call, args [][]byte) (command.Reply, error) {
	f, ok, err := c.ZScore(args[1], args[2])
	return doubleOrNull(f, ok), err
}

func zmscore(c *command.Call, args [][]byte) (command.Reply, error) {
	out := make([]command.Reply, 0, len(args)-2)
	for _, m := range args[2:] {
		f, ok, err := c.ZScore(args[1], m)
		if err != nil {
			return command.Reply{}, err
		}
		out = append(out, doubleOrNull(f, ok))
	}
	return command.Array(out...), nil
}

func zrank(reverse bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		switch {
		case len(args) == 4 && is(args[3], "WITHSCORE"):
			return zrankWithScore(c, args, reverse)
		case len(args) == 4:
			return command.Reply{}, command.ErrSyntax
		case len(args) > 4:
			return command.Reply{}, command.ErrArity(strings.ToLower(string(args[0])))
		}
		rank, ok, err := c.ZRank(args[1], args[2], reverse)
		if !ok {
			return command.Null(), err
		}
		return command.Int(rank), err
	}
}

// zrankWithScore is ZRANK with the option that Redis 7.2 brought.
func zrankWithScore(c *command.Call, args [][]byte, reverse bool) (command.Reply, error) {
	rank, ok, err := c.ZRank(args[1], args[2], reverse)
	if !ok {
		return command.NullArray(), err
	}
	score, _, err := c.ZScore(args[1], args[2])
	return command.Array(command.Int(rank), command.Double(score)), err
}

func zscan(c *command.Call, args [][]byte) (command.Reply, error) {
	cursor, o, err := scanArgs(args, 0)
	if err != nil {
		return command.Reply{}, err
	}
	var items command.Pack
	next, err := c.ZScan(args[1], cursor, o.count, func(m []byte, score float64) {
		if o.match(m) {
			items.Bulk(m)
			items.Bulk(formatScore(score))
		}
	})
	return scanReply(next, &items), err
}

func zrandmember(c *command.Call, args [][]byte) (command.Reply, error) {
	key := args[1]
	if len(args) == 2 {
		m, _, ok, err := c.ZRandom(key, random(c))
		return bulkOrNull(m, ok), err
	}
	n, with, err := randomCount(args, "WITHSCORES")
	if err != nil {
		return command.Reply{}, err
	}
	size, err := c.ZLen(key)
	if err != nil {
		return command.Reply{}, err
	}
	items, err := sample(n, size, sampler{
		one: func() ([]byte, []byte, error) {
			m, score, _, err := c.ZRandom(key, random(c))
			return m, formatScore(score), err
		},
		all: func(fn func(a, b []byte)) error {
			return c.ZEachRank(key, 0, size, true, func(m []byte, score float64) bool { // Redis' order, if all are wanted
				fn(m, formatScore(score))
				return true
			})
		},
		shuffle: random(c).Shuffle,
	})
	if err != nil || !with {
		return pairsOrFirsts(items, false), err
	}
	out := make([]command.Reply, 0, 2*len(items))
	for _, it := range items {
		f, _ := parseFloat(it.b)
		out = append(out, command.Bulk(it.a), command.Double(f))
	}
	return command.Pairs(out...), nil
}

// scoredReply answers members with or without their scores.
func scoredReply(members []keyspace.Scored, scores bool) command.Reply {
	if !scores {
		names := command.NewPack(int64(len(members)))
		for _, m := range members {
			names.Bulk(m.Member)
		}
		return names.Array()
	}
	out := make([]command.Reply, 0, 2*len(members))
	for _, m := range members {
		out = append(out, command.Bulk(m.Member), command.Double(m.Score))
	}
	return command.Pairs(out...)
}

// take removes up to n members from an end and gives them.
func take(c *command.Call, key []byte, n int64, highest bool) ([]keyspace.Scored, error) {
	var out []keyspace.Scored
	err := c.ZEachRank(key, 0, n, highest, func(m []byte, score float64) bool {
		out = append(out, keyspace.Scored{Member: m, Score: score})
		return true
	})
	if err != nil || len(out) == 0 {
		return nil, err
	}
	_, err = c.ZRemNeighbours(key, out)
	return out, err
}

func names(members []keyspace.Scored) [][]byte {
	out := make([][]byte, len(members))
	for i, m := range members {
		out[i] = m.Member
	}
	return out
}

func zpop(highest bool) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		if len(args) > 3 {
			return command.Reply{}, command.ErrSyntax
		}
		n := int64(1)
		if len(args) == 3 {
			var ok bool
			if n, ok = parseInt(args[2]); !ok || n < 0 {
				return command.Reply{}, errPositive
			}
		}
		out, err := take(c, args[1], n, highest)
		if err == nil && len(args) == 2 && len(out) == 1 {
			return command.Array(command.Bulk(out[0].Member), command.Double(out[0].Score)), nil
		}
		return scoredReply(out, true), err
	}
}

func zmpop(c *command.Call, args [][]byte) (command.Reply, error) {
	return popFirst(c, args, nil)
}

// popFirst is ZMPOP; timeout is of BZMPOP.
func popFirst(c *command.Call, args [][]byte, timeout []byte) (command.Reply, error) {
	keys, rest, err := numKeys(args, 1, errNumKeys, command.ErrSyntax)
	if err != nil {
		return command.Reply{}, err
	}
	if len(rest) == 0 || !(is(rest[0], "MIN") || is(rest[0], "MAX")) {
		return command.Reply{}, command.ErrSyntax
	}
	n := int64(1)
	if len(rest) > 2 && is(rest[1], "COUNT") {
		var ok bool
		if n, ok = parseInt(rest[2]); !ok || n <= 0 {
			return command.Reply{}, command.Errorf("ERR", "count should be greater than 0")
		}
		rest = append([][]byte{rest[0]}, rest[3:]...)
	}
	if len(rest) > 1 {
		return command.Reply{}, command.ErrSyntax
	}
	if err := checkWait(c, timeout); err != nil {
		return command.Reply{}, err
	}
	for _, key := range keys {
		out, err := take(c, key, n, is(rest[0], "MAX"))
		if err != nil {
			return command.Reply{}, err
		}
		if len(out) > 0 {
			twos := make([]command.Reply, len(out))
			for i, m := range out {
				twos[i] = command.Array(command.Bulk(m.Member), command.Double(m.Score))
			}
			return command.Array(command.Bulk(key), command.Array(twos...)), nil
		}
	}
	return command.NullArray(), nil
}

package redis

import (
	"bytes"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// operation is what ZUNION, ZINTER and ZDIFF do to their sets.
type operation int

const (
	union operation = iota
	intersection
	difference
)

// operand is one set of a combination: a sorted set, or a set, whose members
// all have score 1.
type operand struct {
	members []keyspace.Scored
	weight  float64
	byName  map[string]float64
}

func (o *operand) index() {
	o.byName = make(map[string]float64, len(o.members))
	for _, m := range o.members {
		o.byName[string(m.Member)] = m.Score
	}
}

// combinedOptions are what may follow the keys.
type combinedOptions struct {
	aggregate func(a, b float64) float64
	scores    bool
	limit     int // of ZINTERCARD; 0: none
}

func addScores(a, b float64) float64 {
	if sum := a + b; !math.IsNaN(sum) {
		return sum
	}
	return 0 // inf and -inf
}

// lowerScore and higherScore keep a if b is no number.
func lowerScore(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func higherScore(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

// readOperands reads "numkeys key …" at args[at].
func readOperands(c *command.Call, args [][]byte, at int) (ops []operand, rest [][]byte, err error) {
	if _, err := intArg(args[at]); err != nil {
		return nil, nil, err
	}
	name := strings.ToLower(string(args[0]))
	tooFew := command.Errorf("ERR", "at least 1 input key is needed for '"+name+"' command")
	keys, rest, err := numKeys(args, at, tooFew, command.ErrSyntax)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		o := operand{weight: 1}
		if c.Type(key) == keyspace.Set {
			err = c.SEach(key, func(m []byte) bool {
				o.members = append(o.members, keyspace.Scored{Member: m, Score: 1})
				return true
			})
		} else {
			err = c.ZEach(key, math.Inf(-1), math.Inf(1), false, func(m []byte, score float64) bool {
				o.members = append(o.members, keyspace.Scored{Member: m, Score: score})
				return true
			})
		}
		if err != nil {
			return nil, nil, err
		}
		ops = append(ops, o)
	}
	return ops, rest, nil
}

// parseCombined reads the options of a combination; store and count say which
// commands have them.
func parseCombined(args [][]byte, ops []operand, op operation, store, count bool) (o combinedOptions, err error) {
	o.aggregate = addScores
	weighs := op != difference && !count
	for len(args) > 0 {
		switch a := args[0]; {
		case weighs && is(a, "WEIGHTS") && len(args) > len(ops):
			for i := range ops {
				f, ok := parseFloat(args[1+i])
				if !ok {
					return o, command.Errorf("ERR", "weight value is not a float")
				}
				ops[i].weight = f
			}
			args = args[1+len(ops):]
		case weighs && is(a, "AGGREGATE") && len(args) > 1:
			switch {
			case is(args[1], "SUM"):
				o.aggregate = addScores
			case is(args[1], "MIN"):
				o.aggregate = lowerScore
			case is(args[1], "MAX"):
				o.aggregate = higherScore
			default:
				return o, command.ErrSyntax
			}
			args = args[2:]
		case !store && !count && is(a, "WITHSCORES"):
			o.scores = true
			args = args[1:]
		case count && is(a, "LIMIT") && len(args) > 1:
			n, ok := parseInt(args[1])
			if !ok || n < 0 {
				return o, errLimitBelow
			}
			o.limit = int(min(n, math.MaxInt32))
			args = args[2:]
		default:
			return o, command.ErrSyntax
		}
	}
	return o, nil
}

func (o *operand) weighted(score float64) float64 {
	if f := product(o.weight, score); !math.IsNaN(f) {
		return f
	}
	return 0 // 0 times inf
}

// combineScored gives the result in order.
func combineScored(ops []operand, op operation, o combinedOptions) []keyspace.Scored {
	var out []keyspace.Scored
	switch op {
	case union:
		out = uniteScored(ops, o)
	case intersection:
		out = intersectScored(ops, o)
	default:
		out = subtractScored(ops)
	}
	slices.SortFunc(out, func(a, b keyspace.Scored) int {
		switch {
		case a.Score < b.Score:
			return -1
		case a.Score > b.Score:
			return 1
		}
		return bytes.Compare(a.Member, b.Member)
	})
	return out
}

// bySize puts the smallest first: the order in which Redis adds scores up.
func bySize(ops []operand) []operand {
	ops = slices.Clone(ops)
	sort.SliceStable(ops, func(i, j int) bool { return len(ops[i].members) < len(ops[j].members) })
	return ops
}

func uniteScored(ops []operand, o combinedOptions) []keyspace.Scored {
	out := []keyspace.Scored{}
	if len(ops) == 1 { // nothing meets
		for _, m := range ops[0].members {
			out = append(out, keyspace.Scored{Member: m.Member, Score: ops[0].weighted(m.Score)})
		}
		return out
	}
	at := map[string]int{}
	for _, s := range bySize(ops) {
		for _, m := range s.members {
			score := s.weighted(m.Score)
			if i, ok := at[string(m.Member)]; ok {
				out[i].Score = o.aggregate(out[i].Score, score)
				continue
			}
			at[string(m.Member)] = len(out)
			out = append(out, keyspace.Scored{Member: m.Member, Score: score})
		}
	}
	return out
}

func intersectScored(ops []operand, o combinedOptions) []keyspace.Scored {
	out := []keyspace.Scored{}
	ops = bySize(ops)
	for i := range ops[1:] {
		ops[i+1].index()
	}
members:
	for _, m := range ops[0].members {
		score := ops[0].weighted(m.Score)
		for i := range ops[1:] {
			s := &ops[i+1]
			other, ok := s.byName[string(m.Member)]
			if !ok {
				continue members
			}
			score = o.aggregate(score, product(s.weight, other)) // as Redis, which looks for NaN in the first alone
		}
		out = append(out, keyspace.Scored{Member: m.Member, Score: score})
		if o.limit > 0 && len(out) >= o.limit {
			break
		}
	}
	return out
}

func subtractScored(ops []operand) []keyspace.Scored {
	out := []keyspace.Scored{}
	for i := range ops[1:] {
		ops[i+1].index()
	}
members:
	for _, m := range ops[0].members {
		for i := range ops[1:] {
			if _, ok := ops[i+1].byName[string(m.Member)]; ok {
				continue members
			}
		}
		out = append(out, m)
	}
	return out
}

func zcombine(op operation) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		ops, rest, err := readOperands(c, args, 1)
		if err != nil {
			return command.Reply{}, err
		}
		o, err := parseCombined(rest, ops, op, false, false)
		if err != nil {
			return command.Reply{}, err
		}
		return scoredReply(combineScored(ops, op, o), o.scores), nil
	}
}

func zcombineStore(op operation) handler {
	return func(c *command.Call, args [][]byte) (command.Reply, error) {
		ops, rest, err := readOperands(c, args, 2)
		if err != nil {
			return command.Reply{}, err
		}
		o, err := parseCombined(rest, ops, op, true, false)
		if err != nil {
			return command.Reply{}, err
		}
		return storeScored(c, args[1], combineScored(ops, op, o))
	}
}

func zintercard(c *command.Call, args [][]byte) (command.Reply, error) {
	ops, rest, err := readOperands(c, args, 1)
	if err != nil {
		return command.Reply{}, err
	}
	o, err := parseCombined(rest, ops, intersection, false, true)
	if err != nil {
		return command.Reply{}, err
	}
	return command.Int(int64(len(intersectScored(ops, o)))), nil
}

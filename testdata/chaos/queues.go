package main

import (
	"fmt"
	"slices"
)

// queues are lists that some push to and others wait at, with BLPOP and
// BLMOVE. Each element goes to one client, in the order in which they came;
// none is lost but with an answer that was lost.
type queues struct{ prefix string }

func (q *queues) name() string { return "pop" }

func (q *queues) step(w *worker) {
	in, out := q.prefix+":in", q.prefix+":out"
	switch n := w.rng.IntN(10); {
	case n < 5:
		v := w.unique()
		w.call(op{Key: q.prefix, Do: "push", In: v}, []string{"RPUSH", in, v})
	case n < 8:
		w.call(op{Key: q.prefix, Do: "pop"}, []string{"BLPOP", in, "0.5"})
	default:
		w.call(op{Key: q.prefix, Do: "move"}, []string{"BLMOVE", in, out, "LEFT", "RIGHT", "0.5"})
	}
}

// settle reads both lists on every node.
func (q *queues) settle(w *worker) error {
	for w.at = range w.nodes {
		if _, err := w.surely(op{Key: q.prefix, Do: "all"}, []string{"MULTI"},
			[]string{"LRANGE", q.prefix + ":in", "0", "-1"}, []string{"LRANGE", q.prefix + ":out", "0", "-1"}, []string{"EXEC"}); err != nil {
			return err
		}
	}
	return nil
}

// gone gives the element that a pop or a move has got.
func gone(o op) (string, bool) {
	if o.How != done || o.Out[0] == nil {
		return "", false
	}
	if o.Do == "move" {
		return text(o.Out[0]), true
	}
	pair := texts(o.Out[0])
	return pair[len(pair)-1], true
}

func (q *queues) check(ops []op) (string, error) {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b op) int { return int(a.Call - b.Call) })
	var in, out []string
	read := false
	pushed, taken := map[string]op{}, map[string]op{}
	lostAnswers := 0
	for _, o := range ops {
		switch o.Do {
		case "all":
			if o.How != done {
				continue
			}
			replies, _ := o.Out[len(o.Out)-1].([]any)
			if len(replies) != 2 {
				return "", violation([]op{o}, "%d replies of 2", len(replies))
			}
			a, b := texts(replies[0]), texts(replies[1])
			if read && !(slices.Equal(a, in) && slices.Equal(b, out)) {
				return "", violation([]op{o}, "the nodes have different lists")
			}
			in, out, read = a, b, true
		case "push":
			pushed[o.In] = o
		default:
			if o.Do == "pop" && o.How == unknown {
				lostAnswers++
			}
			v, ok := gone(o)
			if !ok {
				continue
			}
			if first, twice := taken[v]; twice {
				return "", violation([]op{first, o}, "%s was handed out twice", v)
			}
			taken[v] = o
		}
	}
	if err := q.account(in, out, pushed, taken, lostAnswers); err != nil {
		return "", err
	}
	if err := inTurn(pushed, taken); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d pushed, %d handed out, %d answers lost", len(pushed), len(taken), lostAnswers), nil
}

// account checks that each element is where it must be.
func (q *queues) account(in, out []string, pushed, taken map[string]op, lostAnswers int) error {
	where := map[string]string{}
	for list, elements := range map[string][]string{"in": in, "out": out} {
		for _, v := range elements {
			if where[v] != "" {
				return violation(nil, "%s is there twice: in %s and in %s", v, where[v], list)
			}
			where[v] = list
			if _, ok := pushed[v]; !ok {
				return violation(nil, "%s is in %s, and nobody pushed it", v, list)
			}
		}
	}
	var missing []op
	for v, p := range pushed {
		t, wasTaken := taken[v]
		at := where[v]
		switch {
		case p.How == refused && (wasTaken || at != ""):
			return violation([]op{p}, "%s was refused and is there", v)
		case wasTaken && t.Do == "pop" && at != "":
			return violation([]op{p, t}, "%s was handed out, and is still in %s", v, at)
		case wasTaken && t.Do == "move" && at != "out":
			return violation([]op{p, t}, "%s was moved, and is not where it was moved to", v)
		case p.How == done && !wasTaken && at == "":
			missing = append(missing, p)
		}
	}
	for v, t := range taken {
		if _, ok := pushed[v]; !ok {
			return violation([]op{t}, "%s was handed out, and nobody pushed it", v)
		}
	}
	if len(missing) > lostAnswers {
		return violation(missing, "%d elements are missing, and only %d answers were lost", len(missing), lostAnswers)
	}
	return nil
}

// inTurn checks that no element was handed out before one that had been
// pushed before it was asked to be.
func inTurn(pushed, taken map[string]op) error {
	type element struct {
		v          string
		push, take op
	}
	var all []element
	for v, t := range taken {
		if p := pushed[v]; p.How == done {
			all = append(all, element{v, p, t})
		}
	}
	slices.SortFunc(all, func(a, b element) int { return int(a.push.Return - b.push.Return) })
	byPush := slices.Clone(all)
	slices.SortFunc(byPush, func(a, b element) int { return int(a.push.Call - b.push.Call) })
	// Of all that were surely pushed before, the one that was asked for last.
	var latest element
	next := 0
	for _, e := range byPush {
		for ; next < len(all) && all[next].push.Return < e.push.Call; next++ {
			if all[next].take.Call > latest.take.Call {
				latest = all[next]
			}
		}
		if latest.take.Call > e.take.Return {
			return violation([]op{latest.push, e.push, e.take, latest.take}, "%s was pushed after %s and handed out before it was asked for", e.v, latest.v)
		}
	}
	return nil
}

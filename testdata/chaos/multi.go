package main

import (
	"fmt"
	"slices"
)

// transactions raise two counters together. Whoever looks, by MULTI or by
// MGET, sees both alike, and never less than was known before.
type transactions struct{ prefix string }

func (t *transactions) name() string { return "multi" }

func (t *transactions) step(w *worker) {
	key := fmt.Sprintf("%s:%d", t.prefix, w.rng.IntN(2))
	a, b := key+":a", key+":b"
	switch w.rng.IntN(4) {
	case 0:
		w.call(op{Key: key, Do: "look"}, []string{"MGET", a, b})
	case 1:
		w.call(op{Key: key, Do: "look"}, []string{"MULTI"}, []string{"GET", a}, []string{"GET", b}, []string{"EXEC"})
	default:
		w.call(op{Key: key, Do: "raise"}, []string{"MULTI"}, []string{"INCR", a}, []string{"INCR", b}, []string{"EXEC"})
	}
}

func (t *transactions) settle(w *worker) error {
	for key := range byKey(w.hist.ops) {
		for w.at = range w.nodes {
			if _, err := w.surely(op{Key: key, Do: "look"}, []string{"MGET", key + ":a", key + ":b"}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *transactions) check(ops []op) (string, error) {
	raised := 0
	for key, of := range byKey(ops) {
		n, err := checkCounters(key, of)
		if err != nil {
			return "", err
		}
		raised += n
	}
	return fmt.Sprintf("%d acknowledged transactions", raised), nil
}

// counters reads the two values of an op; equal says whether they are.
func counters(o op) (n int64, equal bool) {
	values := texts(o.Out[len(o.Out)-1])
	if len(values) != 2 || values[0] != values[1] {
		return 0, false
	}
	_, _ = fmt.Sscan(values[0], &n)
	return n, true
}

func checkCounters(key string, ops []op) (acked int, err error) {
	var maybe int64
	takenBy := map[int64]op{}
	highest, last := int64(0), op{}
	for _, o := range ops {
		if o.Do == "raise" && o.How == unknown {
			maybe++
		}
		if o.How != done {
			continue
		}
		n, equal := counters(o)
		if !equal {
			return 0, violation([]op{o}, "%s: the two counters differ", key)
		}
		if n > highest {
			highest, last = n, o
		}
		if o.Do == "raise" {
			acked++
			if before, twice := takenBy[n]; twice {
				return 0, violation([]op{before, o}, "%s: two transactions both made it %d", key, n)
			}
			takenBy[n] = o
		}
	}
	if highest < int64(acked) || highest > int64(acked)+maybe {
		return 0, violation([]op{last}, "%s is %d after %d acknowledged and %d unknown transactions", key, highest, acked, maybe)
	}
	byReturn := slices.Clone(ops)
	slices.SortFunc(byReturn, func(a, b op) int { return int(a.Return - b.Return) })
	known, by, next := int64(0), op{}, 0
	for _, o := range ops {
		for ; next < len(byReturn) && byReturn[next].Return < o.Call; next++ {
			if b := byReturn[next]; b.How == done {
				if n, _ := counters(b); n > known {
					known, by = n, b
				}
			}
		}
		if o.How != done {
			continue
		}
		if n, _ := counters(o); n < known || o.Do == "raise" && n == known {
			return 0, violation([]op{by, o}, "%s: %d was known when this was asked, which saw %d", key, known, n)
		}
	}
	return acked, nil
}

package main

import (
	"fmt"
	"slices"
	"sync"
)

// lists only grow: RPUSH tells each element's place, and each read must be a
// beginning of the list as it is in the end.
type lists struct {
	prefix string
	mu     sync.Mutex
	calls  int
}

func (l *lists) name() string { return "list" }

func (l *lists) step(w *worker) {
	l.mu.Lock()
	l.calls++
	key := fmt.Sprintf("%s:%d:%d", l.prefix, l.calls/600, w.rng.IntN(2))
	l.mu.Unlock()
	if w.rng.IntN(5) == 0 {
		w.call(op{Key: key, Do: "read"}, []string{"LRANGE", key, "0", "-1"})
		return
	}
	v := w.unique()
	w.call(op{Key: key, Do: "append", In: v}, []string{"RPUSH", key, v})
}

func (l *lists) settle(w *worker) error {
	for key := range byKey(w.hist.ops) {
		for w.at = range w.nodes {
			if _, err := w.surely(op{Key: key, Do: "read"}, []string{"LRANGE", key, "0", "-1"}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lists) check(ops []op) (string, error) {
	n := 0
	for key, of := range byKey(ops) {
		if err := checkList(key, of); err != nil {
			return "", err
		}
		for _, o := range of {
			if o.Do == "append" && o.How == done {
				n++
			}
		}
	}
	return fmt.Sprintf("%d acknowledged appends", n), nil
}

// checkList judges one list: its ops in the order in which they were called,
// the last reads made when all was over.
func checkList(key string, ops []op) error {
	var final []string
	var last op
	for _, o := range ops {
		if o.Do == "read" && o.How == done {
			last, final = o, texts(o.Out[0])
		}
	}
	last.Out = nil // it is long
	place := map[string]int{}
	for i, e := range final {
		if before, twice := place[e]; twice {
			return violation([]op{last}, "%s: %s is there twice, at %d and %d", key, e, before+1, i+1)
		}
		place[e] = i
	}
	sent := map[string]op{}
	for _, o := range ops {
		if o.Do != "append" {
			continue
		}
		sent[o.In] = o
		at, there := place[o.In]
		switch {
		case o.How == done && !there:
			return violation([]op{o, last}, "%s: %s was acknowledged and is missing", key, o.In)
		case o.How == done && o.Out[0] != int64(at+1) && fmt.Sprint(o.Out[0]) != fmt.Sprint(at+1):
			return violation([]op{o, last}, "%s: %s was acknowledged at %v and is at %d", key, o.In, o.Out[0], at+1)
		case o.How == refused && there:
			return violation([]op{o, last}, "%s: %s was refused and is there", key, o.In)
		}
	}
	for _, e := range final {
		if _, ok := sent[e]; !ok {
			return violation([]op{last}, "%s: %s was never sent", key, e)
		}
	}
	return inTime(key, ops, final, place)
}

// inTime checks that the order of the list and what was read agree with time:
// what was answered before something else was asked comes before it.
func inTime(key string, ops []op, final []string, place map[string]int) error {
	byReturn := slices.Clone(ops)
	slices.SortFunc(byReturn, func(a, b op) int { return int(a.Return - b.Return) })
	longest, by, next := 0, op{}, 0
	for _, o := range ops {
		// The longest list that anybody knew of when o was asked.
		for ; next < len(byReturn) && byReturn[next].Return < o.Call; next++ {
			if b := byReturn[next]; b.How == done {
				known := 0
				if b.Do == "append" {
					known = place[b.In] + 1
				} else {
					known = len(texts(b.Out[0]))
				}
				if known > longest {
					longest, by = known, b
				}
			}
		}
		by.Out = nil
		switch {
		case o.Do == "read" && o.How == done:
			seen := texts(o.Out[0])
			o.Out = nil
			if len(seen) > len(final) || !slices.Equal(seen, final[:len(seen)]) {
				return violation([]op{o}, "%s: what was read is no beginning of the list", key)
			}
			if len(seen) < longest {
				return violation([]op{by, o}, "%s: a read saw %d elements after %d were known", key, len(seen), longest)
			}
		case o.Do == "append":
			if at, there := place[o.In]; there && at < longest {
				return violation([]op{by, o}, "%s: %s is at %d, and was asked for when %d were there", key, o.In, at+1, longest)
			}
		}
	}
	return nil
}

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// accounts hold money, and clients move it with WATCH, GET, MULTI, SET, EXEC.
// A value is "amount:tag", the tag of whichever transfer wrote it, so that the
// whole history of an account can be read from its end to its beginning. All
// money together stays the same, no transfer is built on a balance that
// another one has replaced, none that was acknowledged is missing.
type accounts struct {
	prefix string
	keys   []string
}

const (
	howManyAccounts = 4
	opening         = 1000
)

func newAccounts(prefix string) *accounts {
	a := &accounts{prefix: prefix}
	for i := range howManyAccounts {
		a.keys = append(a.keys, fmt.Sprintf("%s:%d", prefix, i))
	}
	return a
}

func (a *accounts) name() string { return "watch" }

// transfer is what the In of such an op says: the tag, and the tags of the two
// balances that it was built on. From and to are numbers of accounts.
type transfer struct {
	tag      string
	from, to int
	built    [2]string
}

func (t transfer) String() string {
	return fmt.Sprintf("%s %d %d %s %s", t.tag, t.from, t.to, t.built[0], t.built[1])
}

func readTransfer(in string) (t transfer) {
	_, _ = fmt.Sscan(in, &t.tag, &t.from, &t.to, &t.built[0], &t.built[1])
	return t
}

// balance reads "amount:tag"; an account that nobody has written has what it
// was opened with.
func balance(v string) (amount int, tag string) {
	if v == "" {
		return opening, "-"
	}
	first, tag, _ := strings.Cut(v, ":")
	amount, _ = strconv.Atoi(first)
	return amount, tag
}

func (a *accounts) step(w *worker) {
	if w.rng.IntN(3) == 0 {
		a.look(w)
		return
	}
	from := w.rng.IntN(len(a.keys))
	to := (from + 1 + w.rng.IntN(len(a.keys)-1)) % len(a.keys)
	o := w.call(op{Key: a.prefix, Do: "watch"}, []string{"WATCH", a.keys[from], a.keys[to]}, []string{"GET", a.keys[from]}, []string{"GET", a.keys[to]})
	if o.How != done {
		return
	}
	if _, failed := o.Out[0].(serverError); failed {
		return // nothing is watched
	}
	fromHas, fromTag := balance(text(o.Out[1]))
	toHas, toTag := balance(text(o.Out[2]))
	t := transfer{w.unique(), from, to, [2]string{fromTag, toTag}}
	amount := 1 + w.rng.IntN(20)
	// Only where the keys are watched, or not at all.
	w.pin()
	w.call(op{Key: a.prefix, Do: "transfer", In: t.String()}, []string{"MULTI"},
		[]string{"SET", a.keys[from], fmt.Sprintf("%d:%s", fromHas-amount, t.tag)},
		[]string{"SET", a.keys[to], fmt.Sprintf("%d:%s", toHas+amount, t.tag)}, []string{"EXEC"})
}

// look reads all accounts at one moment.
func (a *accounts) look(w *worker) op {
	commands := [][]string{append([]string{"MGET"}, a.keys...)}
	if w.rng.IntN(2) == 0 {
		commands = [][]string{{"MULTI"}}
		for _, k := range a.keys {
			commands = append(commands, []string{"GET", k})
		}
		commands = append(commands, []string{"EXEC"})
	}
	return w.call(op{Key: a.prefix, Do: "look"}, commands...)
}

func (a *accounts) settle(w *worker) error {
	for w.at = range w.nodes {
		if _, err := w.surely(op{Key: a.prefix, Do: "look"}, append([]string{"MGET"}, a.keys...)); err != nil {
			return err
		}
	}
	return nil
}

// seen is what a look saw: the tag of each account.
func (a *accounts) seen(o op) (tags []string, err error) {
	values := texts(o.Out[len(o.Out)-1])
	if len(values) != len(a.keys) {
		return nil, violation([]op{o}, "%d of %d accounts", len(values), len(a.keys))
	}
	sum := 0
	for _, v := range values {
		amount, tag := balance(v)
		sum += amount
		tags = append(tags, tag)
	}
	if sum != opening*len(a.keys) {
		return nil, violation([]op{o}, "all accounts together have %d, and began with %d", sum, opening*len(a.keys))
	}
	return tags, nil
}

func (a *accounts) check(ops []op) (string, error) {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(x, y op) int { return int(x.Call - y.Call) })
	made := map[string]op{}
	var final []string
	for _, o := range ops {
		switch {
		case o.Do == "transfer":
			made[readTransfer(o.In).tag] = o
		case o.Do == "look" && o.How == done:
			tags, err := a.seen(o)
			if err != nil {
				return "", err
			}
			final = tags
		}
	}
	places, err := a.trace(made, final)
	if err != nil {
		return "", err
	}
	moved, conflicts := 0, 0
	for tag, o := range made {
		t := readTransfer(o.In)
		_, out := places[t.from][tag]
		_, in := places[t.to][tag]
		happened := o.How == done && o.Out[len(o.Out)-1] != nil
		switch {
		case out != in:
			return "", violation([]op{o}, "half of transfer %s is in the history of the accounts", tag)
		case happened && !out:
			return "", violation([]op{o}, "transfer %s was acknowledged, and is not in the history of its accounts", tag)
		case o.How == refused && out:
			return "", violation([]op{o}, "transfer %s was refused, and took place", tag)
		case o.How == done && !happened && out:
			return "", violation([]op{o}, "EXEC of transfer %s said that a key had changed, and it took place", tag)
		case happened:
			moved++
		case o.How == done:
			conflicts++
		}
	}
	if err := a.inTime(ops, places); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d transfers, %d conflicts", moved, conflicts), nil
}

// trace follows each account from its end to its beginning, and gives the
// place of each transfer in it, from 1 on; the opening balance is at 0.
func (a *accounts) trace(made map[string]op, final []string) ([]map[string]int, error) {
	places := make([]map[string]int, len(a.keys))
	for i := range a.keys {
		var back []string
		known := map[string]bool{}
		for tag := final[i]; tag != "-"; {
			o, ok := made[tag]
			if !ok {
				return nil, violation(nil, "%s has the balance of %q, a transfer that nobody made", a.keys[i], tag)
			}
			if known[tag] {
				return nil, violation([]op{o}, "the history of %s goes in a circle", a.keys[i])
			}
			known[tag], back = true, append(back, tag)
			switch t := readTransfer(o.In); i {
			case t.from:
				tag = t.built[0]
			case t.to:
				tag = t.built[1]
			default:
				return nil, violation([]op{o}, "%s has the balance of a transfer between others", a.keys[i])
			}
		}
		places[i] = map[string]int{"-": 0}
		for n, tag := range back {
			places[i][tag] = len(back) - n
		}
	}
	return places, nil
}

// inTime checks that nobody sees an older balance than was known, and that
// what was read was one that an account has had.
func (a *accounts) inTime(ops []op, places []map[string]int) error {
	byReturn := slices.Clone(ops)
	slices.SortFunc(byReturn, func(x, y op) int { return int(x.Return - y.Return) })
	known, by := make([]int, len(a.keys)), make([]op, len(a.keys))
	learn := func(i int, tag string, o op) {
		if p := places[i][tag]; p > known[i] {
			known[i], by[i] = p, o
		}
	}
	next := 0
	for _, o := range ops {
		for ; next < len(byReturn) && byReturn[next].Return < o.Call; next++ {
			switch b := byReturn[next]; {
			case b.How != done:
			case b.Do == "look":
				tags, _ := a.seen(b)
				for i, tag := range tags {
					learn(i, tag, b)
				}
			case b.Do == "transfer" && b.Out[len(b.Out)-1] != nil:
				t := readTransfer(b.In)
				learn(t.from, t.tag, b)
				learn(t.to, t.tag, b)
			}
		}
		if o.Do != "look" || o.How != done {
			continue
		}
		tags, _ := a.seen(o)
		for i, tag := range tags {
			p, had := places[i][tag]
			if !had {
				return violation([]op{o}, "%s was seen with the balance of %s, which it never had", a.keys[i], tag)
			}
			if p < known[i] {
				return violation([]op{by[i], o}, "%s was seen with its balance number %d after number %d was known", a.keys[i], p, known[i])
			}
		}
	}
	return nil
}

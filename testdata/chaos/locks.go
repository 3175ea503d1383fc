package main

import "github.com/anishathalye/porcupine"

// locks are keys that clients try to take with SET … NX, in vain most of the
// time, give back with DEL, and look at. What changes nothing must be as true as
// what changes something: each key must behave as if there were one copy of it
// and one call after another.
type locks struct {
	prefix string
	keys   fewKeys
}

func (l *locks) name() string { return "lock" }

func (l *locks) step(w *worker) {
	key, v := l.keys.pick(l.prefix, 2, w), w.unique()
	switch n := w.rng.IntN(12); {
	case n < 9:
		w.call(op{Key: key, Do: "take", In: v}, []string{"SET", key, v, "NX"})
	case n < 11:
		w.call(op{Key: key, Do: "give"}, []string{"DEL", key})
	default:
		w.call(op{Key: key, Do: "get"}, []string{"GET", key})
	}
}

// settle reads each key on every node.
func (l *locks) settle(w *worker) error {
	return readAll(w, func(key string) []string { return []string{"GET", key} })
}

var lockModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		in, out, held := input.(asked), output.(got), state.(string)
		switch {
		case in.do == "get":
			return out.value == held, held
		case in.do == "give":
			return !out.known || (out.value == "1") == (held != ""), ""
		case held == "":
			return !out.known || out.value == "OK", in.value
		}
		return !out.known || out.value == "", held
	},
	Equal: registerModel.Equal, DescribeOperation: registerModel.DescribeOperation,
}

func (l *locks) check(ops []op) (string, error) {
	return linearizable(lockModel, ops, func(o op) (string, error) { return text(o.Out[0]), nil })
}

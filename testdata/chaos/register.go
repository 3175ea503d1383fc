package main

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// registers are keys that are read, set, and exchanged; a register may be a
// string, or a hash whose fields are all set at once. Each key must behave as
// if there were one copy of it and one call after another.
type registers struct {
	prefix string
	hash   bool // HSET and HGETALL of two fields; else GET, SET, SET … GET
	keys   fewKeys
}

// perKey bounds how much of a history has to be searched at once.
const perKey = 150

func (r *registers) name() string {
	if r.hash {
		return "hash"
	}
	return "register"
}

// fewKeys are keys that many clients use at a time, each for perKey calls.
type fewKeys struct {
	mu    sync.Mutex
	calls int
}

// pick gives one of n keys that are in use now.
func (k *fewKeys) pick(prefix string, n int, w *worker) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	return fmt.Sprintf("%s:%d:%d", prefix, k.calls/(n*perKey), w.rng.IntN(n))
}

func (r *registers) step(w *worker) {
	key, v := r.keys.pick(r.prefix, 3, w), w.unique()
	switch n := w.rng.IntN(10); {
	case r.hash && n < 5:
		w.call(op{Key: key, Do: "set", In: v}, []string{"HSET", key, "a", v, "b", v})
	case r.hash:
		w.call(op{Key: key, Do: "get"}, []string{"HMGET", key, "a", "b"})
	case n < 3:
		w.call(op{Key: key, Do: "set", In: v}, []string{"SET", key, v})
	case n < 5:
		w.call(op{Key: key, Do: "exchange", In: v}, []string{"SET", key, v, "GET"})
	default:
		w.call(op{Key: key, Do: "get"}, []string{"GET", key})
	}
}

// settle reads each key on every node.
func (r *registers) settle(w *worker) error {
	return readAll(w, func(key string) []string {
		if r.hash {
			return []string{"HMGET", key, "a", "b"}
		}
		return []string{"GET", key}
	})
}

// readAll gets each key of the history on every node.
func readAll(w *worker, get func(key string) []string) error {
	for key := range byKey(w.hist.ops) {
		for w.at = range w.nodes {
			if _, err := w.surely(op{Key: key, Do: "get"}, get(key)); err != nil {
				return err
			}
		}
	}
	return nil
}

// asked and got are porcupine's input and output.
type asked struct{ do, value string }
type got struct {
	value string
	known bool
}

var registerModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		in, out := input.(asked), output.(got)
		switch in.do {
		case "get":
			return out.value == state.(string), state
		case "exchange":
			return !out.known || out.value == state.(string), in.value
		}
		return true, in.value
	},
	Equal: func(a, b any) bool { return a.(string) == b.(string) },
	DescribeOperation: func(input, output any) string {
		in, out := input.(asked), output.(got)
		return fmt.Sprintf("%s %s → %q (known %v)", in.do, in.value, out.value, out.known)
	},
}

func (r *registers) check(ops []op) (string, error) {
	return linearizable(registerModel, ops, func(o op) (string, error) {
		switch {
		case o.Do == "set":
			return "", nil
		case !r.hash:
			return text(o.Out[0]), nil
		}
		fields := texts(o.Out[0])
		if len(fields) != 2 || fields[0] != fields[1] {
			return "", violation([]op{o}, "%s: half of an HSET was seen", o.Key)
		}
		return fields[0], nil
	})
}

// linearizable judges each key by itself. answer reads what a call that was
// answered has got.
func linearizable(model porcupine.Model, ops []op, answer func(op) (string, error)) (string, error) {
	undecided := 0
	keys := byKey(ops)
	for key, of := range keys {
		var events []porcupine.Operation
		for _, o := range of {
			g := got{known: o.How == done}
			if o.How == refused || o.How == unknown && o.Do == "get" {
				continue
			}
			ret := o.Return
			if g.known {
				var err error
				if g.value, err = answer(o); err != nil {
					return "", err
				}
			} else {
				ret = math.MaxInt64
			}
			events = append(events, porcupine.Operation{ClientId: o.Client, Input: asked{o.Do, o.In}, Call: o.Call, Output: g, Return: ret})
		}
		switch result := porcupine.CheckOperationsTimeout(model, events, 20*time.Second); result {
		case porcupine.Illegal:
			return "", violation(of, "%s is not linearizable: %d ops", key, len(of))
		case porcupine.Unknown:
			undecided++
		}
	}
	return fmt.Sprintf("%d keys, %d undecided", len(keys), undecided), nil
}

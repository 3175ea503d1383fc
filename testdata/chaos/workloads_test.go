package main

import (
	"fmt"
	"testing"
	"time"
)

func TestAccountsAreChecked(t *testing.T) {
	a := newAccounts("b")
	look := func(call int64, values ...any) op { return did(call, call+1, "look", "", list(values...)) }
	move := func(call int64, how outcome, moved bool, tag string, from, to int, built ...string) op {
		o := op{Key: "b", Do: "transfer", In: transfer{tag, from, to, [2]string{built[0], built[1]}}.String(), How: how, Call: call, Return: call + 1}
		if how == done {
			o.Out = list("OK", "QUEUED", "QUEUED", nil)
			if moved {
				o.Out[3] = list("OK", "OK")
			}
		}
		return o
	}
	x := move(1, done, true, "x", 0, 1, "-", "-")
	y := move(5, done, true, "y", 1, 2, "x", "-")
	for _, c := range []struct {
		name string
		ops  []op
		want string
	}{
		{"as it should be", []op{x, look(3, "990:x", "1010:x", nil, nil), y, look(9, "990:x", "1005:y", "1005:y", nil)}, ""},
		{"an answer is lost", []op{move(1, unknown, false, "x", 0, 1, "-", "-"), y, look(9, "990:x", "1005:y", "1005:y", nil)}, ""},
		{"a conflict", []op{x, move(1, done, false, "z", 0, 1, "-", "-"), look(9, "990:x", "1010:x", nil, nil)}, ""},
		{"money is made", []op{x, look(3, "990:x", "1011:x", nil, nil)}, "all accounts together have 4001"},
		{"an update is lost", []op{x, move(1, done, true, "z", 0, 1, "-", "-"), look(9, "990:x", "1010:x", nil, nil)}, "not in the history"},
		{"half a transfer", []op{x, y, look(9, "990:x", "1010:x", "1000:y", nil)}, "half of transfer y"},
		{"a conflict that took place", []op{move(1, done, false, "x", 0, 1, "-", "-"), look(9, "990:x", "1010:x", nil, nil)}, "said that a key had changed"},
		{"refused, and there", []op{move(1, refused, false, "x", 0, 1, "-", "-"), look(9, "990:x", "1010:x", nil, nil)}, "was refused"},
		{"a stale look", []op{x, look(3, nil, nil, nil, nil), look(9, "990:x", "1010:x", nil, nil)}, "after number 1 was known"},
		{"a balance from elsewhere", []op{x, look(3, "995:q", "1005:q", nil, nil), look(9, "990:x", "1010:x", nil, nil)}, "never had"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := a.check(c.ops)
			found(t, err, c.want)
		})
	}
}

func TestQueuesAreChecked(t *testing.T) {
	all := func(in, out []any) op { return did(90, 91, "all", "", list(in, out)) }
	push := func(call int64, v string) op { return did(call, call+1, "push", v, int64(1)) }
	pop := func(call int64, v string) op { return did(call, call+1, "pop", "", list("q:in", v)) }
	move := func(call int64, v string) op { return did(call, call+1, "move", "", v) }
	for _, c := range []struct {
		name string
		ops  []op
		want string
	}{
		{"as it should be", []op{push(1, "a"), push(3, "b"), push(5, "c"), pop(7, "a"), move(9, "b"), did(11, 12, "pop", "", nil), all(list("c"), list("b"))}, ""},
		{"an answer is lost", []op{push(1, "a"), never(3, unknown, "pop", ""), all(nil, nil)}, ""},
		{"a push without an answer", []op{never(1, unknown, "push", "a"), pop(5, "a"), all(nil, nil)}, ""},
		{"lost", []op{push(1, "a"), all(nil, nil)}, "1 elements are missing"},
		{"lost by moving", []op{push(1, "a"), never(3, unknown, "move", ""), all(nil, nil)}, "1 elements are missing"},
		{"handed out twice", []op{push(1, "a"), pop(3, "a"), pop(5, "a"), all(nil, nil)}, "handed out twice"},
		{"handed out and still there", []op{push(1, "a"), pop(3, "a"), all(list("a"), nil)}, "still in in"},
		{"moved and not there", []op{push(1, "a"), move(3, "a"), all(nil, nil)}, "not where it was moved to"},
		{"twice", []op{push(1, "a"), all(list("a"), list("a"))}, "there twice"},
		{"refused and there", []op{never(1, refused, "push", "a"), all(list("a"), nil)}, "was refused"},
		{"from nowhere", []op{all(list("a"), nil)}, "nobody pushed it"},
		{"out of turn", []op{push(1, "a"), push(3, "b"), pop(5, "b"), pop(7, "a"), all(nil, nil)}, "handed out before"},
		{"the nodes differ", []op{push(1, "a"), all(list("a"), nil), all(nil, list("a"))}, "different lists"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := (&queues{prefix: "q"}).check(c.ops)
			found(t, err, c.want)
		})
	}
}

func TestMortalsAreChecked(t *testing.T) {
	key := fmt.Sprintf("e:1.1:%d", (4 * time.Second).Milliseconds())
	at := func(s float64) int64 { return int64(s * float64(time.Second)) }
	set := func(how outcome) op { return op{Key: key, Do: "set", How: how, Call: 0, Return: at(0.1)} }
	get := func(s float64, v any) op {
		return op{Key: key, Do: "get", How: done, Out: list(v), Call: at(s), Return: at(s + 0.01)}
	}
	for _, c := range []struct {
		name string
		ops  []op
		want string
	}{
		{"as it should be", []op{set(done), get(1, "v"), get(3.8, "v"), get(4.2, nil), get(7, nil)}, ""},
		{"dead too early", []op{set(done), get(1, "v"), get(3, nil)}, "before its time"},
		{"dead much too late", []op{set(done), get(7, "v")}, "after its time"},
		{"dead on one node, alive on another", []op{set(done), get(4.2, nil), get(4.3, "v")}, "lives again"},
		{"refused, and there", []op{set(refused), get(1, "v")}, "was refused"},
		{"comes late", []op{set(unknown), get(1, nil), get(2, "v")}, ""},
		{"comes late and comes back", []op{set(unknown), get(1, nil), get(2, "v"), get(4.5, nil), get(4.6, "v")}, "lives again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := (&mortals{prefix: "e"}).check(c.ops)
			found(t, err, c.want)
		})
	}
}

// The patches fit the sources as they are, and so do those that break them. That the program can be built of
// them shows when the battery runs: the first time it takes minutes.
func TestPatchesFit(t *testing.T) {
	for name := range breaks {
		if _, err := (recipe{"../..", t.TempDir(), true, name}).overlay(); err != nil {
			t.Error(err)
		}
	}
}

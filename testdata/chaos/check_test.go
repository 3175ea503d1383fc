package main

import (
	"reflect"
	"testing"
	"time"
)

// did makes an op that was answered.
func did(call, ret int64, do, in string, out ...any) op {
	return op{Key: "k", Do: do, In: in, Out: out, How: done, Call: call, Return: ret}
}

func never(call int64, how outcome, do, in string) op {
	return op{Key: "k", Do: do, In: in, How: how, Call: call, Return: call + 1}
}

func list(e ...any) []any { return e }

// Each checker finds what was planted, and lets pass what may be.
func TestCheckersFindViolations(t *testing.T) {
	strs, hashes := &registers{}, &registers{hash: true}
	end := func(in []any, pending []any, place string) op {
		return did(90, 91, "all", "", list(in, pending, list(list("name", consumers, "last-delivered-id", place))))
	}
	e1, e2 := list("1-0", list("v", "x")), list("2-0", list("v", "y"))
	take := func(call int64, e ...any) op { return did(call, call+1, "take", "", list(list("k", e))) }
	for _, c := range []struct {
		name string
		l    workload
		ops  []op
		want string // "" for none
	}{
		{"register: one after another", strs, []op{did(1, 2, "set", "a", "OK"), did(3, 4, "get", "", "a")}, ""},
		{"register: a stale read", strs, []op{did(1, 2, "set", "a", "OK"), did(3, 4, "set", "b", "OK"), did(5, 6, "get", "", "a")}, "not linearizable"},
		{"register: a lost write", strs, []op{did(1, 2, "set", "a", "OK"), did(5, 6, "get", "", nil)}, "not linearizable"},
		{"register: an unknown write comes late", strs, []op{never(1, unknown, "set", "a"), did(3, 4, "get", "", nil), did(5, 6, "get", "", "a")}, ""},
		{"register: an unknown write comes and goes", strs, []op{never(1, unknown, "set", "a"), did(3, 4, "get", "", "a"), did(5, 6, "get", "", nil)}, "not linearizable"},
		{"register: a refused write is seen", strs, []op{never(1, refused, "set", "a"), did(3, 4, "get", "", "a")}, "not linearizable"},
		{"register: two exchanges see the same", strs, []op{did(1, 2, "exchange", "a", nil), did(3, 4, "exchange", "b", nil)}, "not linearizable"},
		{"hash: half of a write", hashes, []op{did(1, 2, "set", "a", int64(2)), did(3, 4, "get", "", list("a", nil))}, "half of an HSET"},

		{"lock: as it should be", &locks{}, []op{did(1, 2, "take", "a", "OK"), did(3, 4, "take", "b", nil), did(5, 6, "give", "", int64(1)), did(7, 8, "give", "", int64(0)), did(9, 10, "take", "b", "OK")}, ""},
		{"lock: two have it", &locks{}, []op{did(1, 2, "take", "a", "OK"), did(3, 4, "take", "b", "OK")}, "not linearizable"},
		{"lock: it was given back", &locks{}, []op{did(1, 2, "take", "a", "OK"), did(3, 4, "give", "", int64(1)), did(5, 6, "take", "b", nil)}, "not linearizable"},
		{"lock: given back twice", &locks{}, []op{did(1, 2, "take", "a", "OK"), did(3, 4, "give", "", int64(1)), did(5, 6, "give", "", int64(1))}, "not linearizable"},
		{"lock: an unknown one may have it", &locks{}, []op{never(1, unknown, "take", "a"), did(3, 4, "take", "b", nil), did(5, 6, "get", "", "a")}, ""},

		{"list: as it should be", &lists{}, []op{did(1, 2, "append", "a", int64(1)), never(3, unknown, "append", "b"), did(5, 6, "read", "", list("a", "b"))}, ""},
		{"list: missing", &lists{}, []op{did(1, 2, "append", "a", int64(1)), did(5, 6, "read", "", list())}, "is missing"},
		{"list: twice", &lists{}, []op{never(1, unknown, "append", "a"), did(5, 6, "read", "", list("a", "a"))}, "twice"},
		{"list: elsewhere", &lists{}, []op{did(1, 2, "append", "a", int64(1)), never(1, unknown, "append", "b"), did(5, 6, "read", "", list("b", "a"))}, "acknowledged at 1 and is at 2"},
		{"list: refused and there", &lists{}, []op{never(1, refused, "append", "a"), did(5, 6, "read", "", list("a"))}, "refused and is there"},
		{"list: from nowhere", &lists{}, []op{did(5, 6, "read", "", list("z"))}, "never sent"},
		{"list: a stale read", &lists{}, []op{did(1, 2, "append", "a", int64(1)), did(3, 4, "read", "", list()), did(5, 6, "read", "", list("a"))}, "a read saw 0"},
		{"list: another past", &lists{}, []op{never(1, unknown, "append", "a"), never(1, unknown, "append", "b"), did(3, 4, "read", "", list("b")), did(5, 6, "read", "", list("a", "b"))}, "no beginning"},
		{"list: an append comes before what was known", &lists{}, []op{did(1, 2, "append", "a", int64(2)), never(5, unknown, "append", "b"), did(7, 8, "read", "", list("b", "a"))}, "asked for when"},

		{"multi: as it should be", &transactions{}, []op{did(1, 2, "raise", "", list(int64(1), int64(1))), did(3, 4, "look", "", list("1", "1"))}, ""},
		{"multi: half", &transactions{}, []op{did(1, 2, "look", "", list("1", nil))}, "differ"},
		{"multi: lost", &transactions{}, []op{did(1, 2, "raise", "", list(int64(1), int64(1))), did(1, 3, "raise", "", list(int64(1), int64(1)))}, "both made it 1"},
		{"multi: stale", &transactions{}, []op{did(1, 2, "raise", "", list(int64(1), int64(1))), did(3, 4, "look", "", list(nil, nil))}, "was known"},
		{"multi: once too often", &transactions{}, []op{did(1, 2, "raise", "", list(int64(2), int64(2)))}, "after 1 acknowledged"},

		{"stream: as it should be", &streams{}, []op{did(1, 2, "add", "x", "1-0"), did(3, 4, "add", "y", "2-0"), take(5, e1), did(7, 8, "ack", "1-0", int64(1)), end(list(e1, e2), nil, "1-0")}, ""},
		{"stream: lost", &streams{}, []op{did(1, 2, "add", "x", "1-0"), end(nil, nil, "0-0")}, "acknowledged as 1-0"},
		{"stream: skipped", &streams{}, []op{did(1, 2, "add", "x", "1-0"), did(3, 4, "add", "y", "2-0"), take(5, e2), end(list(e1, e2), list(list("2-0")), "2-0")}, "skipped"},
		{"stream: handed out twice", &streams{}, []op{did(1, 2, "add", "x", "1-0"), take(3, e1), take(5, e1), end(list(e1), list(list("1-0")), "1-0")}, "handed out twice"},
		{"stream: an acknowledgement is lost", &streams{}, []op{did(1, 2, "add", "x", "1-0"), take(3, e1), did(5, 6, "ack", "1-0", int64(1)), end(list(e1), list(list("1-0")), "1-0")}, "still pending"},
		{"stream: the group goes back", &streams{}, []op{did(1, 2, "add", "x", "1-0"), take(3, e1), end(list(e1), list(list("1-0")), "0-0")}, "stands before"},
		{"stream: ids against time", &streams{}, []op{did(1, 2, "add", "y", "2-0"), did(3, 4, "add", "x", "1-0"), end(list(e1, e2), nil, "0-0")}, "not above"},
		{"stream: nodes differ", &streams{}, []op{did(1, 2, "add", "x", "1-0"), end(list(e1), nil, "0-0"), end(nil, nil, "0-0")}, "different streams"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.l.check(c.ops)
			found(t, err, c.want)
		})
	}
}

// The same seed makes the same faults, another one others.
func TestPlanRepeats(t *testing.T) {
	a, b, c := plan(1, time.Minute, ""), plan(1, time.Minute, ""), plan(2, time.Minute, "")
	if !reflect.DeepEqual(a, b) {
		t.Error("one seed made two schedules")
	}
	if reflect.DeepEqual(a, c) {
		t.Error("two seeds made one schedule")
	}
	if len(a) < 3 {
		t.Errorf("%d faults in a minute", len(a))
	}
}

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// streams are written by some and worked off by a group of consumers, who
// acknowledge what they got. Nothing is lost, nothing is skipped, and nobody
// is handed twice what was handed out.
type streams struct{ prefix string }

const consumers = "workers"

func (s *streams) name() string { return "stream" }

func (s *streams) step(w *worker) {
	key := s.prefix
	if w.mine == nil { // the group is made by whoever comes first
		o := w.call(op{Key: key, Do: "group"}, []string{"XGROUP", "CREATE", key, consumers, "0", "MKSTREAM"})
		if o.How == done || strings.HasPrefix(o.Err, "BUSYGROUP") {
			w.mine = true
		}
		return
	}
	if w.rng.IntN(2) == 0 {
		v := w.unique()
		w.call(op{Key: key, Do: "add", In: v}, []string{"XADD", key, "*", "v", v})
		return
	}
	o := w.call(op{Key: key, Do: "take"}, []string{"XREADGROUP", "GROUP", consumers, fmt.Sprint("w", w.id), "COUNT", "3", "STREAMS", key, ">"})
	if o.How != done {
		return
	}
	for _, e := range taken(o) {
		if w.rng.IntN(4) > 0 {
			w.call(op{Key: key, Do: "ack", In: e.id}, []string{"XACK", key, consumers, e.id})
		}
	}
}

// settle reads the whole stream, the group's place and what waits for an
// acknowledgement, on every node.
func (s *streams) settle(w *worker) error {
	for w.at = range w.nodes {
		if _, err := w.surely(op{Key: s.prefix, Do: "all"},
			[]string{"MULTI"}, []string{"XRANGE", s.prefix, "-", "+"},
			[]string{"XPENDING", s.prefix, consumers, "-", "+", "1000000"},
			[]string{"XINFO", "GROUPS", s.prefix}, []string{"EXEC"}); err != nil {
			return err
		}
	}
	return nil
}

type entry struct{ id, value string }

// entries reads [[id, [v, value]], …].
func entries(reply any) (out []entry) {
	list, _ := reply.([]any)
	for _, e := range list {
		if pair, _ := e.([]any); len(pair) == 2 {
			if fields := texts(pair[1]); len(fields) == 2 {
				out = append(out, entry{text(pair[0]), fields[1]})
			}
		}
	}
	return out
}

// taken are the entries that an XREADGROUP handed out.
func taken(o op) []entry {
	streams, _ := o.Out[0].([]any)
	if len(streams) == 0 {
		return nil
	}
	one, _ := streams[0].([]any)
	if len(one) != 2 {
		return nil
	}
	return entries(one[1])
}

// before says whether one stream id is below another.
func before(a, b string) bool {
	num := func(id string) (ms, seq uint64) {
		m, s, _ := strings.Cut(id, "-")
		ms, _ = strconv.ParseUint(m, 10, 64)
		seq, _ = strconv.ParseUint(s, 10, 64)
		return ms, seq
	}
	am, as := num(a)
	bm, bs := num(b)
	return am < bm || am == bm && as < bs
}

func (s *streams) check(ops []op) (string, error) {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b op) int { return int(a.Call - b.Call) })
	var in []entry
	var pending map[string]bool
	var place string
	for _, o := range ops {
		if o.Do != "all" || o.How != done {
			continue
		}
		replies, _ := o.Out[len(o.Out)-1].([]any)
		o.Out = nil
		if len(replies) != 3 {
			return "", violation([]op{o}, "%d replies of 3", len(replies))
		}
		all := entries(replies[0])
		if in != nil && !slices.Equal(in, all) {
			return "", violation([]op{o}, "the nodes have different streams: %d and %d entries", len(in), len(all))
		}
		in, pending = all, map[string]bool{}
		list, _ := replies[1].([]any)
		for _, p := range list {
			pending[texts(p)[0]] = true
		}
		groups, _ := replies[2].([]any)
		for _, g := range groups {
			if f := texts(g); slices.Contains(f, consumers) {
				place = f[slices.Index(f, "last-delivered-id")+1]
			}
		}
	}
	if err := s.checkAdds(ops, in); err != nil {
		return "", err
	}
	return s.checkGroup(ops, in, pending, place)
}

func (s *streams) checkAdds(ops []op, in []entry) error {
	id := map[string]string{}
	for i, e := range in {
		if _, twice := id[e.value]; twice {
			return violation(nil, "%s is in the stream twice", e.value)
		}
		if i > 0 && !before(in[i-1].id, e.id) {
			return violation(nil, "%s comes after %s", e.id, in[i-1].id)
		}
		id[e.value] = e.id
	}
	byReturn := slices.Clone(ops)
	slices.SortFunc(byReturn, func(a, b op) int { return int(a.Return - b.Return) })
	latest, by, next := "0-0", op{}, 0
	for _, o := range ops {
		for ; next < len(byReturn) && byReturn[next].Return < o.Call; next++ {
			if b := byReturn[next]; b.Do == "add" && b.How == done && before(latest, text(b.Out[0])) {
				latest, by = text(b.Out[0]), b
			}
		}
		if o.Do != "add" {
			continue
		}
		is, there := id[o.In]
		switch {
		case o.How == done && is != text(o.Out[0]):
			return violation([]op{o}, "%s was acknowledged as %v and is %q", o.In, o.Out[0], is)
		case o.How == refused && there:
			return violation([]op{o}, "%s was refused and is there as %s", o.In, is)
		case there && !before(latest, is):
			return violation([]op{by, o}, "%s has an id that is not above what was there when it was asked for", o.In)
		}
	}
	return nil
}

// checkGroup judges who was handed what. An entry that no answer handed out
// may have gone with an answer that was lost: then it is still pending.
func (s *streams) checkGroup(ops []op, in []entry, pending map[string]bool, place string) (string, error) {
	handed, acks, acked := map[string]op{}, map[string]op{}, 0
	known := map[string]bool{}
	for _, e := range in {
		known[e.id] = true
	}
	for _, o := range ops {
		switch {
		case o.Do == "take" && o.How == done:
			for _, e := range taken(o) {
				if first, twice := handed[e.id]; twice {
					return "", violation([]op{first, o}, "%s was handed out twice", e.id)
				}
				if !known[e.id] {
					return "", violation([]op{o}, "%s was handed out and is not in the stream", e.id)
				}
				handed[e.id] = o
			}
		case o.Do == "ack" && o.How != refused:
			if o.How == done {
				acked++
				if text(o.Out[0]) != "1" {
					return "", violation([]op{handed[o.In], o}, "%s was handed out, and not pending when it was acknowledged", o.In)
				}
				if pending[o.In] {
					return "", violation([]op{o}, "%s was acknowledged and is still pending", o.In)
				}
			}
			acks[o.In] = o
		}
	}
	for _, e := range in {
		_, wasHanded := handed[e.id]
		_, wasAcked := acks[e.id]
		delivered := !before(place, e.id)
		switch {
		case wasHanded && !delivered:
			return "", violation([]op{handed[e.id]}, "%s was handed out, and the group stands before it, at %s", e.id, place)
		case delivered && !pending[e.id] && !wasAcked:
			return "", violation(nil, "%s (%s) was skipped: the group is past it, at %s, it is not pending, and nobody acknowledged it", e.id, e.value, place)
		}
	}
	return fmt.Sprintf("%d entries, %d handed out, %d acknowledged", len(in), len(handed), acked), nil
}

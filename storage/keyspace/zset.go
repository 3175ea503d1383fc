package keyspace

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/parlorchat/parlor/storage"
)

// A small sorted set keeps its members in the body of the meta row, in order:
// 8 bytes of score, then length and bytes of the member.

// Scored is a member of a sorted set.
type Scored struct {
	Member []byte
	Score  float64
}

func cutScored(b []byte) (s Scored, rest []byte) {
	s.Score = readScore(b)
	s.Member, rest = cut(b[8:])
	return s, rest
}

// before is the order of a sorted set.
func (s Scored) before(o Scored) bool {
	return s.Score < o.Score || (s.Score == o.Score && bytes.Compare(s.Member, o.Member) < 0)
}

// ZAdd gives a member a score, and makes the sorted set if there is none. -0
// becomes 0, so that equal scores are one place in the order.
func (t *Tx) ZAdd(key, member []byte, score float64) (added bool, err error) {
	n, err := t.ZAddAll(key, []Scored{{member, score}})
	return n == 1, err
}

// ZAddAll sets the scores of several members at the cost of little more than
// one, and says how many are new.
func (t *Tx) ZAddAll(key []byte, members []Scored) (added int64, err error) {
	for _, m := range members {
		if len(m.Member) > MaxElement {
			return 0, ErrElementTooLong
		}
		if math.IsNaN(m.Score) {
			return 0, ErrNotANumber
		}
	}
	o, err := t.write(key, ZSet)
	if err != nil || len(members) == 0 {
		return 0, err
	}
	o.typ = ZSet
	before := o.count
	changed, err := t.putScored(o, members)
	if err != nil {
		return 0, err
	}
	if changed {
		t.save(o)
	}
	if o.count != before {
		t.touch(key)
	}
	return o.count - before, nil
}

// putScored sets the scores of members without saving the sorted set.
func (t *Tx) putScored(o *object, members []Scored) (changed bool, err error) {
	if done, err := t.layScored(o, members); done || err != nil {
		return done, err
	}
	for _, m := range members {
		m.Score = unsigned(m.Score) // not -0
		c, err := t.zadd(o, m)
		if err != nil {
			return false, err
		}
		changed = changed || c
	}
	return changed, nil
}

func (t *Tx) zadd(o *object, m Scored) (changed bool, err error) {
	if !o.apart {
		start, end, score, had := findScored(o.body, m.Member)
		if had && score == m.Score {
			return false, nil
		}
		count, size := o.count, len(o.body)-(end-start)+8+itemSize(m.Member)
		if !had {
			count++
		}
		if small(count, size) {
			body := o.body
			if had {
				body = append(append(make([]byte, 0, len(body)), body[:start]...), body[end:]...)
			}
			o.body, o.count = insertScored(body, m), count
			return true, nil
		}
		if err := t.spillZSet(o); err != nil {
			return false, err
		}
	}
	t.buf = memberRow(t.buf[:0], o.id, m.Member)
	old, had := t.rows.Get(t.buf)
	score := appendScore(make([]byte, 0, 8), m.Score)
	if had {
		if bytes.Equal(old, score) {
			return false, nil
		}
		t.dropRow(o, scoreRow(nil, o.id, readScore(old), m.Member), nil)
	} else {
		o.count++
	}
	t.putRow(o, t.buf, old, had, score)
	t.buf = scoreRow(t.buf[:0], o.id, m.Score, m.Member)
	t.putRow(o, t.buf, nil, false, nil)
	return true, nil
}

func (t *Tx) spillZSet(o *object) error {
	if err := t.apartAs(o); err != nil {
		return err
	}
	for rest := o.body; len(rest) > 0; {
		var s Scored
		s, rest = cutScored(rest)
		t.buf = memberRow(t.buf[:0], o.id, s.Member)
		t.putRow(o, t.buf, nil, false, appendScore(make([]byte, 0, 8), s.Score))
		t.buf = scoreRow(t.buf[:0], o.id, s.Score, s.Member)
		t.putRow(o, t.buf, nil, false, nil)
	}
	o.body = nil
	return nil
}

func findScored(body, member []byte) (start, end int, score float64, ok bool) {
	for rest := body; len(rest) > 0; {
		start = len(body) - len(rest)
		var s Scored
		s, rest = cutScored(rest)
		if bytes.Equal(s.Member, member) {
			return start, len(body) - len(rest), s.Score, true
		}
	}
	return 0, 0, 0, false
}

// insertScored gives a new body with a member that was not in the old one.
func insertScored(body []byte, m Scored) []byte {
	at := len(body)
	for rest := body; len(rest) > 0; {
		start := len(body) - len(rest)
		var s Scored
		s, rest = cutScored(rest)
		if m.before(s) {
			at = start
			break
		}
	}
	b := make([]byte, 0, len(body)+8+itemSize(m.Member))
	b = appendScore(append(b, body[:at]...), m.Score)
	return append(appendItem(b, m.Member), body[at:]...)
}

// ZRem removes a member, and the sorted set with the last one.
func (t *Tx) ZRem(key, member []byte) (removed bool, err error) {
	n, err := t.ZRemAll(key, [][]byte{member})
	return n == 1, err
}

// ZRemAll removes several members and says how many there were.
func (t *Tx) ZRemAll(key []byte, members [][]byte) (removed int64, err error) {
	o, err := t.write(key, ZSet)
	if err != nil || o.typ == None {
		return 0, err
	}
	if o.most(len(members)) {
		return t.keepScored(o, members)
	}
	for _, m := range members {
		if t.zrem(o, m) {
			removed++
		}
	}
	if removed > 0 {
		t.unspillZSet(o)
		t.save(o)
	}
	return removed, nil
}

// keepScored is ZRemAll in time that what stays takes, and a look at each.
func (t *Tx) keepScored(o *object, gone [][]byte) (removed int64, err error) {
	doomed := setOf(gone)
	var stay []Scored
	defer t.Borrow()()
	t.zrows(o, nil, nil, false, func(m []byte, score float64) bool {
		if _, is := doomed[string(m)]; !is {
			stay = append(stay, Scored{m, score})
		}
		return true
	})
	if int64(len(stay)) == o.count {
		return 0, nil
	}
	return t.leaveScored(o, stay)
}

// leaveScored makes a large sorted set anew of those members that stay.
func (t *Tx) leaveScored(o *object, stay []Scored) (removed int64, err error) {
	removed = o.count - int64(len(stay))
	t.discard(o)
	o.forgetRows()
	if _, err := t.putScored(o, stay); err != nil {
		return 0, err
	}
	t.save(o)
	return removed, nil
}

// ZRemNeighbours removes members that follow each other in the order of the
// sorted set, or against it, as a walk has given them, and says how many.
func (t *Tx) ZRemNeighbours(key []byte, members []Scored) (removed int64, err error) {
	o, err := t.write(key, ZSet)
	if err != nil || o.typ == None || len(members) == 0 {
		return 0, err
	}
	first, last := members[0], members[len(members)-1]
	if last.before(first) {
		first, last = last, first
	}
	if o.most(len(members)) {
		stay := make([]Scored, 0, int(o.count)-len(members))
		keep := func(m []byte, score float64) bool { stay = append(stay, Scored{m, score}); return true }
		defer t.Borrow()()
		t.zrows(o, nil, first.place(), false, keep)
		t.zrows(o, append(last.place(), 0), nil, false, keep)
		return t.leaveScored(o, stay)
	}
	var score [8]byte
	for _, m := range members {
		if !o.apart {
			t.zrem(o, m.Member)
			continue
		}
		t.buf = memberRow(t.buf[:0], o.id, m.Member)
		t.dropRow(o, t.buf, appendScore(score[:0], m.Score))
		t.buf = scoreRow(t.buf[:0], o.id, m.Score, m.Member)
		t.dropRow(o, t.buf, nil)
		o.count--
	}
	t.unspillZSet(o)
	t.save(o)
	return int64(len(members)), nil
}

// place is where a member stands in the order.
func (s Scored) place() []byte { return append(appendScore(nil, s.Score), s.Member...) }

func (t *Tx) zrem(o *object, member []byte) bool {
	if !o.apart {
		start, end, _, had := findScored(o.body, member)
		if !had {
			return false
		}
		o.body = append(append(make([]byte, 0, len(o.body)), o.body[:start]...), o.body[end:]...)
		o.count--
		return true
	}
	t.buf = memberRow(t.buf[:0], o.id, member)
	old, had := t.rows.Get(t.buf)
	if !had {
		return false
	}
	score := readScore(old)
	t.dropRow(o, t.buf, old)
	t.dropRow(o, scoreRow(nil, o.id, score, member), nil)
	o.count--
	return true
}

func (t *Tx) unspillZSet(o *object) {
	if !o.apart || o.count == 0 || !shrunk(o.count, 0) {
		return
	}
	var body []byte
	prefix := append(appendID(nil, rowZSet, o.id), '1')
	t.rows.Ascend(prefix, storage.EndOf(prefix), func(k, _ []byte) bool {
		body = append(body, k[len(prefix):scoreHead]...)
		body = appendItem(body, k[scoreHead:])
		return shrunk(0, len(body))
	})
	if !shrunk(o.count, len(body)) {
		return
	}
	t.discard(o)
	o.apart, o.id, o.body = false, 0, body
	o.sum.Hi, o.sum.Lo = 0, 0
}

// ZScore gives the score of a member.
func (t *Tx) ZScore(key, member []byte) (score float64, ok bool, err error) {
	o, err := t.read(key, ZSet)
	if o == nil {
		return 0, false, err
	}
	score, ok = t.zscore(o, member)
	return score, ok, nil
}

func (t *Tx) zscore(o *object, member []byte) (score float64, ok bool) {
	if !o.apart {
		_, _, score, ok = findScored(o.body, member)
		return score, ok
	}
	t.buf = memberRow(t.buf[:0], o.id, member)
	v, ok := t.rows.Get(t.buf)
	if !ok {
		return 0, false
	}
	return readScore(v), true
}

// ZLen is the number of members.
func (t *Tx) ZLen(key []byte) (int64, error) {
	o, err := t.read(key, ZSet)
	if o == nil {
		return 0, err
	}
	return o.count, nil
}

// ZEach walks members in order of score, then member; from min to max
// (inclusive), or from max down to min if reverse.
func (t *Tx) ZEach(key []byte, min, max float64, reverse bool, fn func(member []byte, score float64) bool) error {
	if math.IsNaN(min) || math.IsNaN(max) || min > max {
		_, err := t.read(key, ZSet)
		return err
	}
	from := appendScore(nil, unsigned(min))
	to := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(appendScore(nil, unsigned(max)))+1)
	return t.zwalk(key, from, to, reverse, fn)
}

// unsigned makes 0 of -0.
func unsigned(f float64) float64 {
	if f == 0 {
		return 0
	}
	return f
}

// ZEachByMember walks the members from min (nil: the first) up to max (nil:
// the last), both inclusive, or down from max if reverse. It makes sense only
// where all have the same score, as in Redis.
func (t *Tx) ZEachByMember(key, min, max []byte, reverse bool, fn func(member []byte, score float64) bool) error {
	o, err := t.read(key, ZSet)
	if o == nil {
		return err
	}
	var score float64
	if err := t.zwalk(key, nil, nil, false, func(_ []byte, s float64) bool { score = s; return false }); err != nil {
		return err
	}
	var from, to []byte
	if min != nil {
		from = append(appendScore(nil, score), min...)
	}
	if max != nil {
		to = append(append(appendScore(nil, score), max...), 0)
	}
	return t.zwalk(key, from, to, reverse, fn)
}

// zwalk walks the members whose <score 8><member> is from from to below to;
// nil has no end.
func (t *Tx) zwalk(key, from, to []byte, reverse bool, fn func(member []byte, score float64) bool) error {
	o, err := t.read(key, ZSet)
	if o == nil {
		return err
	}
	if !o.apart {
		walkBody(o.body, from, to, reverse, fn)
		return nil
	}
	t.zrows(o, from, to, reverse, fn)
	return nil
}

// zrows is zwalk for a large sorted set.
func (t *Tx) zrows(o *object, from, to []byte, reverse bool, fn func(member []byte, score float64) bool) {
	prefix := append(appendID(nil, rowZSet, o.id), '1')
	end := storage.EndOf(prefix)
	if to != nil {
		end = append(prefix[:len(prefix):len(prefix)], to...)
	}
	start := append(prefix[:len(prefix):len(prefix)], from...)
	if bytes.Compare(start, end) >= 0 {
		return
	}
	visit := func(k, _ []byte) bool { return fn(k[scoreHead:], readScore(k[scoreHead-8:])) }
	if reverse {
		t.rows.Descend(start, end, visit)
	} else {
		t.ascend(start, end, visit)
	}
}

func walkBody(body, from, to []byte, reverse bool, fn func(member []byte, score float64) bool) {
	in := make([]Scored, 0, 64)
	var place []byte
	for rest := body; len(rest) > 0; {
		head := rest[:8]
		var s Scored
		s, rest = cutScored(rest)
		place = append(append(place[:0], head...), s.Member...)
		if bytes.Compare(place, from) >= 0 && (to == nil || bytes.Compare(place, to) < 0) {
			in = append(in, s)
		}
	}
	for i := range in {
		if reverse {
			i = len(in) - 1 - i
		}
		if !fn(in[i].Member, in[i].Score) {
			return
		}
	}
}

// ZEachRank walks n members from rank start (from 0), counted from the lowest,
// or from the highest if reverse. It takes time in proportion to the distance
// of start from the nearer end, and n; a reader, once such a set is counted, in
// proportion to n.
func (t *Tx) ZEachRank(key []byte, start, n int64, reverse bool, fn func(member []byte, score float64) bool) error {
	o, err := t.read(key, ZSet)
	if o == nil || start >= o.count || n <= 0 {
		return err
	}
	n = min(n, o.count-start)
	if place, ok := t.placeAt(o, start, n, reverse); ok {
		visit := func(m []byte, s float64) bool {
			n--
			return fn(m, s) && n > 0
		}
		if reverse {
			return t.zwalk(key, nil, append(place, 0), true, visit)
		}
		return t.zwalk(key, place, nil, false, visit)
	}
	if o.apart && start > o.count-start-n { // nearer to the other end
		all := make([]Scored, 0, n)
		skip := o.count - start - n
		err := t.zwalk(key, nil, nil, !reverse, func(m []byte, s float64) bool {
			if skip > 0 {
				skip--
				return true
			}
			all = append(all, Scored{m, s})
			return int64(len(all)) < n
		})
		for i := len(all) - 1; i >= 0; i-- {
			if !fn(all[i].Member, all[i].Score) {
				break
			}
		}
		return err
	}
	return t.zwalk(key, nil, nil, reverse, func(m []byte, s float64) bool {
		if start > 0 {
			start--
			return true
		}
		n--
		return fn(m, s) && n > 0
	})
}

// ZRank says how many members come before a member, or after it if reverse. It
// takes time in proportion to that number, unless a reader has counted the set.
func (t *Tx) ZRank(key, member []byte, reverse bool) (rank int64, ok bool, err error) {
	o, err := t.read(key, ZSet)
	if o == nil {
		return 0, false, err
	}
	score, ok := t.zscore(o, member)
	if !ok {
		return 0, false, nil
	}
	me := append(appendScore(nil, score), member...)
	if rank, ok := t.membersBefore(o, me); ok {
		if reverse {
			rank = o.count - 1 - rank
		}
		return rank, true, nil
	}
	from, to := []byte(nil), me
	if reverse {
		from, to = append(me, 0), nil
	}
	err = t.zwalk(key, from, to, false, func([]byte, float64) bool { rank++; return true })
	return rank, true, err
}

// ZScan walks part of the members, as Scan does the keys. A small set is
// walked at once.
func (t *Tx) ZScan(key []byte, cursor uint64, count int, fn func(member []byte, score float64)) (next uint64, err error) {
	o, err := t.read(key, ZSet)
	if o == nil {
		return 0, err
	}
	if !o.apart {
		walkBody(o.body, nil, nil, false, func(m []byte, s float64) bool { fn(m, s); return true })
		return 0, nil
	}
	prefix := append(appendID(nil, rowZSet, o.id), '0')
	return t.scanRows(prefix, cursor, count, func(m, v []byte) { fn(m, readScore(v)) }), nil
}

// ZRandom gives a member at random; ok is false if there is no such key.
func (t *Tx) ZRandom(key []byte, r *rand.Rand) (member []byte, score float64, ok bool, err error) {
	o, err := t.read(key, ZSet)
	if o == nil {
		return nil, 0, false, err
	}
	if o.apart {
		member, v := t.randomRow(append(appendID(nil, rowZSet, o.id), '0'), o.count, r)
		return member, readScore(v), true, nil
	}
	var s Scored
	rest := o.body
	for n := r.Int64N(o.count); n >= 0; n-- {
		s, rest = cutScored(rest)
	}
	return s.Member, s.Score, true, nil
}

package keyspace

import (
	"encoding/binary"
	"math"

	"github.com/parlorchat/parlor/storage"
)

// Who reads the ranks of a large sorted set does not pass all members before
// them: the table counts them, once somebody has asked (storage.Counter). Who writes
// does without: what a command does must take the same way on every node.

const (
	// manyMembers is how many members make counting worth while.
	manyMembers = 4096
	// farRank is how many members are passed without it.
	farRank = 500
)

// countBefore and keyAt ask a Reader that may be a storage.Counter.
func countBefore(rows storage.Reader, prefix, key []byte) (n int64, ok bool) {
	if c, can := rows.(storage.Counter); can {
		return c.Before(prefix, key)
	}
	return 0, false
}

func keyAt(rows storage.Reader, prefix []byte, n int64) (key []byte, ok bool) {
	if c, can := rows.(storage.Counter); can {
		return c.At(prefix, n)
	}
	return nil, false
}

// membersBefore is how many members come before a place, <score 8><member>; ok is
// false if that is not known.
func (t *Tx) membersBefore(o *object, place []byte) (n int64, ok bool) {
	if t.w != nil || !o.apart || o.count < manyMembers {
		return 0, false
	}
	prefix := append(appendID(nil, rowZSet, o.id), '1')
	return countBefore(t.rows, prefix, append(prefix[:len(prefix):len(prefix)], place...))
}

// placeAt is where the member of a rank stands, if the n members from there on are
// far from both ends; ok is false if they are not, or it is not known.
func (t *Tx) placeAt(o *object, rank, n int64, reverse bool) (place []byte, ok bool) {
	if t.w != nil || !o.apart || o.count < manyMembers || min(rank, o.count-rank-n) < farRank {
		return nil, false
	}
	if reverse {
		rank = o.count - 1 - rank
	}
	prefix := append(appendID(nil, rowZSet, o.id), '1')
	key, ok := keyAt(t.rows, prefix, rank)
	if !ok || len(key) < len(prefix) {
		return nil, false
	}
	return key[len(prefix):], true
}

// ZCount is how many members have a score between two, which belong to the range
// unless they are open.
func (t *Tx) ZCount(key []byte, min, max float64, minOpen, maxOpen bool) (n int64, err error) {
	o, err := t.read(key, ZSet)
	if o == nil || math.IsNaN(min) || math.IsNaN(max) || min > max || min == max && (minOpen || maxOpen) {
		return 0, err
	}
	from, to := scoreEdge(min, minOpen), scoreEdge(max, !maxOpen)
	if below, ok := t.membersBefore(o, from); ok {
		if upTo, ok := t.membersBefore(o, to); ok {
			return upTo - below, nil
		}
	}
	err = t.zwalk(key, from, to, false, func([]byte, float64) bool { n++; return true })
	return n, err
}

// scoreEdge is the place before all members of a score, or behind them.
func scoreEdge(score float64, behind bool) []byte {
	edge := appendScore(nil, unsigned(score))
	if behind {
		binary.BigEndian.PutUint64(edge, binary.BigEndian.Uint64(edge)+1)
	}
	return edge
}

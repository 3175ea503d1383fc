package storage

import (
	"bytes"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// gaps remembers where the table has no rows although its layers have: rows that
// were deleted lie there, each under its tombstone, until the checkpoints that
// write them off. A queue leaves them at its front, where the next one who looks
// for its first row would pass all of them again. So whoever has passed many
// remembers the range, and the next one begins behind it.
//
// They are of the table as it is now: readers of an earlier state do without.
// Readers may add to them while they hold the table's lock, which keeps the
// table from changing; a row that is set cuts the gap it comes into.
type gaps struct {
	least int // how many deleted rows are worth remembering

	mu    sync.Mutex
	lists [256][]gap        // by the first byte of their keys, in order, apart from each other
	some  [256]atomic.Int32 // their lengths
}

func (o *Options) newGaps() *gaps { return &gaps{least: o.leastGap} }

// gap is a range of keys, from from on and below to, that all begin alike.
type gap struct{ from, to []byte }

const (
	leastGap = 32
	// mostGaps is how many are remembered of keys with the same first byte.
	mostGaps = 4096
)

// enough is how many deleted rows are worth remembering.
func (g *gaps) enough() int {
	if g == nil {
		return math.MaxInt
	}
	return g.least
}

// at gives the gap that a key is in.
func (g *gaps) at(key []byte) (found gap, ok bool) {
	if g == nil || len(key) == 0 || g.some[key[0]].Load() == 0 {
		return gap{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.lists[key[0]]
	if i := firstAbove(list, key) - 1; i >= 0 && bytes.Compare(key, list[i].to) < 0 {
		return list[i], true
	}
	return gap{}, false
}

// below gives the gap that ends at a bound or goes beyond it.
func (g *gaps) below(bound []byte) (found gap, ok bool) {
	if g == nil || len(bound) == 0 {
		return gap{}, false
	}
	_, first := shelvesOf(nil, bound)
	if first < 0 || g.some[first].Load() == 0 {
		return gap{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.lists[first]
	i, _ := slices.BinarySearchFunc(list, bound, func(x gap, key []byte) int { return bytes.Compare(x.from, key) })
	if i--; i >= 0 && bytes.Compare(bound, list[i].to) <= 0 {
		return list[i], true
	}
	return gap{}, false
}

// add notes that there are no rows from a key on and below another. It keeps
// neither.
func (g *gaps) add(from, to []byte) {
	if len(from) == 0 || len(to) == 0 || bytes.Compare(from, to) >= 0 {
		return
	}
	if low, high := shelvesOf(from, to); low != high {
		return
	}
	first := from[0]
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.lists[first]
	// Those that touch the new one become part of it.
	begin, _ := slices.BinarySearchFunc(list, from, func(x gap, key []byte) int { return bytes.Compare(x.to, key) })
	end := max(firstAbove(list, to), begin)
	joined := gap{from, to}
	if begin < end {
		if end == begin+1 && bytes.Compare(list[begin].from, from) <= 0 && bytes.Compare(list[begin].to, to) >= 0 {
			return
		}
		if bytes.Compare(list[begin].from, from) < 0 {
			joined.from = list[begin].from
		}
		if bytes.Compare(list[end-1].to, to) > 0 {
			joined.to = list[end-1].to
		}
	}
	list = slices.Replace(list, begin, end, gap{bytes.Clone(joined.from), bytes.Clone(joined.to)})
	if len(list) > mostGaps {
		other := (begin + mostGaps/2) % mostGaps // any but the new one
		list = slices.Delete(list, other, other+1)
	}
	g.set(first, list)
}

// cut is called before a row comes to be.
func (g *gaps) cut(key []byte) {
	if g.some[key[0]].Load() == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.lists[key[0]]
	i := firstAbove(list, key) - 1
	if i < 0 || bytes.Compare(key, list[i].to) >= 0 {
		return
	}
	var parts []gap
	if x := list[i]; bytes.Compare(x.from, key) < 0 {
		parts = append(parts, gap{x.from, bytes.Clone(key)})
	}
	if after := append(bytes.Clone(key), 0); bytes.Compare(after, list[i].to) < 0 && len(list) < mostGaps {
		parts = append(parts, gap{after, list[i].to})
	}
	g.set(key[0], slices.Replace(list, i, i+1, parts...))
}

// forget is called before many rows come to be that begin with a byte.
func (g *gaps) forget(first byte) {
	if g.some[first].Load() == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.set(first, nil)
}

func (g *gaps) set(first byte, list []gap) {
	g.lists[first] = list
	g.some[first].Store(int32(len(list)))
}

// firstAbove is how many gaps begin at or below a key.
func firstAbove(list []gap, key []byte) int {
	i, exact := slices.BinarySearchFunc(list, key, func(x gap, key []byte) int { return bytes.Compare(x.from, key) })
	if exact {
		i++
	}
	return i
}

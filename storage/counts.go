package storage

import (
	"bytes"
	"slices"
	"sort"
	"sync"
)

// counts tells how many rows of a range come before a key, and which is the n-th,
// without passing them all. Of the ranges that were asked for it keeps some of the
// keys, and how many rows lie between two of them; each write of a row there changes
// one of these numbers.
//
// It is of this table alone: nothing of it is in the data file, in the log or in the
// state. What it answers is what a walk would find.
//
// A range is counted once, in a Snapshot, while writes go on; what they do to it
// meanwhile is noted and taken in at the end.
type counts struct {
	mu      sync.Mutex
	ready   []*counted // that asked for last is the last
	begun   []*counting
	wanted  []byte    // the prefix of a range that the next Walk is to count; nil: none
	concern [256]bool // by first byte: any of the ranges has such rows; changed while nobody writes
}

const (
	// mostCounted is how many ranges are known at the same time.
	mostCounted = 32
	// pieceRows is how many rows a piece of a range has, about, and sumPieces how
	// many pieces are summed up.
	pieceRows = 64
	sumPieces = 128
	// mostNoted is how many writes are noted while a range is counted.
	mostNoted = 1 << 20
)

// counted is a range: all rows whose keys begin alike.
type counted struct {
	prefix []byte
	bounds [][]byte // where pieces begin; the first is prefix
	sizes  []int64  // rows of the pieces
	sums   []int64  // of sizes, so many at a time
	rows   int64    // of all pieces
}

// counting is a range that is being counted.
type counting struct {
	prefix []byte
	noted  []rowDelta // since the Snapshot
	lost   bool       // they were too many
}

// rowDelta is a row that came to be, 1, or to an end, -1.
type rowDelta struct {
	key []byte
	by  int64
}

// concerns says whether a row is of any range.
func (c *counts) concerns(key []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.ready {
		if bytes.HasPrefix(key, r.prefix) {
			return true
		}
	}
	for _, b := range c.begun {
		if bytes.HasPrefix(key, b.prefix) {
			return true
		}
	}
	return false
}

// note is told of each row that comes to be or to an end.
func (c *counts) note(key []byte, by int64) {
	if by == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.ready {
		if bytes.HasPrefix(key, r.prefix) {
			r.add(key, by)
		}
	}
	for _, b := range c.begun {
		if !b.lost && bytes.HasPrefix(key, b.prefix) {
			if b.noted = append(b.noted, rowDelta{key, by}); len(b.noted) == mostNoted {
				b.noted, b.lost = nil, true
			}
		}
	}
}

// find gives a range that is known, or has the next Walk count it. The caller
// holds mu.
func (c *counts) find(prefix []byte) *counted {
	for i, r := range c.ready {
		if bytes.Equal(r.prefix, prefix) {
			c.ready = append(slices.Delete(c.ready, i, i+1), r)
			return r
		}
	}
	c.wanted = bytes.Clone(prefix)
	return nil
}

// begin has writes to the range that is wanted noted from now on. Nobody writes
// meanwhile. nil: none is.
func (c *counts) begin() *counting {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted == nil {
		return nil
	}
	b := &counting{prefix: c.wanted}
	c.wanted = nil
	for _, other := range c.begun {
		if bytes.Equal(other.prefix, b.prefix) {
			return nil
		}
	}
	c.begun = append(c.begun, b)
	c.concern[b.prefix[0]] = true
	return b
}

// end forgets what was begun and, unless it is nil, takes in what it has become.
// Nobody writes meanwhile.
func (c *counts) end(b *counting, r *counted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = slices.DeleteFunc(c.begun, func(other *counting) bool { return other == b })
	if r != nil && !b.lost {
		for _, d := range b.noted {
			r.add(d.key, d.by)
		}
		c.ready = slices.DeleteFunc(c.ready, func(other *counted) bool { return bytes.Equal(other.prefix, r.prefix) })
		if c.ready = append(c.ready, r); len(c.ready) > mostCounted {
			c.ready = slices.Delete(c.ready, 0, 1)
		}
	}
	c.concern = [256]bool{}
	for _, other := range c.ready {
		c.concern[other.prefix[0]] = true
	}
	for _, other := range c.begun {
		c.concern[other.prefix[0]] = true
	}
}

// pieces cuts the rows from one key on and below another into pieces.
func pieces(from, to []byte, ascend func(from, to []byte, fn func(key, value []byte) bool)) (bounds [][]byte, sizes []int64) {
	bounds, sizes = [][]byte{from}, []int64{0}
	ascend(from, to, func(key, _ []byte) bool {
		if last := len(sizes) - 1; sizes[last] < pieceRows {
			sizes[last]++
		} else {
			bounds, sizes = append(bounds, bytes.Clone(key)), append(sizes, 1)
		}
		return true
	})
	return bounds, sizes
}

// clone gives a range that the other one's changes do not concern.
func (r *counted) clone() *counted {
	return &counted{prefix: r.prefix, bounds: slices.Clone(r.bounds), sizes: slices.Clone(r.sizes), sums: slices.Clone(r.sums), rows: r.rows}
}

// sum is done when the pieces are others.
func (r *counted) sum() {
	r.rows, r.sums = 0, r.sums[:0]
	for i, size := range r.sizes {
		if i%sumPieces == 0 {
			r.sums = append(r.sums, 0)
		}
		r.sums[i/sumPieces] += size
		r.rows += size
	}
}

// add counts rows that have come to be at a key.
func (r *counted) add(key []byte, by int64) {
	piece := r.piece(key)
	r.sizes[piece] += by
	r.sums[piece/sumPieces] += by
	r.rows += by
}

// piece gives the piece that a key of the range belongs to.
func (r *counted) piece(key []byte) int {
	return max(sort.Search(len(r.bounds), func(i int) bool { return bytes.Compare(r.bounds[i], key) > 0 })-1, 0)
}

// span is where a piece begins and ends.
func (r *counted) span(piece int) (from, to []byte) {
	if piece+1 < len(r.bounds) {
		return r.bounds[piece], r.bounds[piece+1]
	}
	return r.bounds[piece], EndOf(r.prefix)
}

// before is how many rows of the range come before a key.
func (r *counted) before(v *view, key []byte) (n int64) {
	piece := r.piece(key)
	if r.split(v, piece) {
		piece = r.piece(key)
	}
	summed := piece / sumPieces
	for _, sum := range r.sums[:summed] {
		n += sum
	}
	for _, size := range r.sizes[summed*sumPieces : piece] {
		n += size
	}
	from, _ := r.span(piece)
	v.ascend(from, key, walk{}, func(_, _ []byte) bool { n++; return true })
	return n
}

// at gives the key of the n-th row, from 0; nil if there are not so many.
func (r *counted) at(v *view, n int64) (key []byte) {
	summed := 0
	for ; summed < len(r.sums) && n >= r.sums[summed]; summed++ {
		n -= r.sums[summed]
	}
	for piece := summed * sumPieces; piece < len(r.sizes); piece++ {
		if n >= r.sizes[piece] {
			n -= r.sizes[piece]
			continue
		}
		if r.split(v, piece) {
			piece--
			continue
		}
		from, to := r.span(piece)
		v.ascend(from, to, walk{}, func(k, _ []byte) bool {
			if n--; n < 0 {
				key = bytes.Clone(k)
			}
			return n >= 0
		})
		break
	}
	return key
}

// split makes several pieces of one that has grown.
func (r *counted) split(v *view, piece int) bool {
	if r.sizes[piece] <= 2*pieceRows {
		return false
	}
	from, to := r.span(piece)
	bounds, sizes := pieces(from, to, func(from, to []byte, fn func(key, value []byte) bool) { v.ascend(from, to, walk{}, fn) })
	r.bounds = slices.Replace(r.bounds, piece, piece+1, bounds...)
	r.sizes = slices.Replace(r.sizes, piece, piece+1, sizes...)
	r.sum()
	return true
}

// tidy joins pieces that have become small, once there are too many.
func (r *counted) tidy() {
	if int64(len(r.sizes)) < 64+4*r.rows/pieceRows {
		return
	}
	last := 0
	for i := 1; i < len(r.sizes); i++ {
		if r.sizes[last]+r.sizes[i] <= pieceRows {
			r.sizes[last] += r.sizes[i]
			continue
		}
		last++
		r.bounds[last], r.sizes[last] = r.bounds[i], r.sizes[i]
	}
	clear(r.bounds[last+1:])
	r.bounds, r.sizes = r.bounds[:last+1], r.sizes[:last+1]
	r.sum()
}

// Before implements Counter.
func (l *live) Before(prefix, key []byte) (n int64, ok bool) {
	ok = l.withCounted(prefix, func(r *counted) { n = r.before(&l.view, key) })
	return n, ok
}

// At implements Counter.
func (l *live) At(prefix []byte, n int64) (key []byte, ok bool) {
	ok = l.withCounted(prefix, func(r *counted) { key = r.at(&l.view, n) })
	return key, ok
}

func (l *live) withCounted(prefix []byte, fn func(r *counted)) (ok bool) {
	l.counts.mu.Lock()
	defer l.counts.mu.Unlock()
	r := l.counts.find(prefix)
	if r == nil || !l.ready(prefix, EndOf(prefix)) {
		return false
	}
	r.tidy()
	fn(r)
	return true
}

// Before implements Counter: the range that the Snapshot is to count is counted
// the first time.
func (s *Snapshot) Before(prefix, key []byte) (n int64, ok bool) {
	r := s.countedRange(prefix)
	if r == nil {
		return 0, false
	}
	return r.before(&s.view, key), true
}

// At implements Counter.
func (s *Snapshot) At(prefix []byte, n int64) (key []byte, ok bool) {
	r := s.countedRange(prefix)
	if r == nil {
		return nil, false
	}
	return r.at(&s.view, n), true
}

func (s *Snapshot) countedRange(prefix []byte) *counted {
	if s.counting != nil && bytes.Equal(prefix, s.counting.prefix) {
		r := &counted{prefix: s.counting.prefix}
		r.bounds, r.sizes = pieces(r.prefix, EndOf(r.prefix), s.Ascend)
		r.sum()
		if s.Err() != nil {
			return nil
		}
		s.endCounting(r.clone())
		s.counted = r
	}
	if s.counted == nil || !bytes.Equal(prefix, s.counted.prefix) {
		return nil
	}
	return s.counted
}

// endCounting hands the table what was counted; nil: nothing was.
func (s *Snapshot) endCounting(r *counted) {
	if s.counting == nil {
		return
	}
	s.db.mu.RLock()
	defer s.db.mu.RUnlock()
	s.counts.end(s.counting, r)
	s.counting = nil
}

// existed says whether there was a row in the place of one that was just put into
// active, where it has replaced another or not.
func (db *DB) existed(key, former []byte, replaced bool) bool {
	if replaced {
		return former != nil
	}
	if value, ok := db.active.runs.get(key); ok {
		return value != nil
	}
	if db.frozen != nil {
		if value, ok := db.frozen.get(key); ok {
			return value != nil
		}
	}
	return db.written(key) != nil
}

// difference is what a row that was put there has changed of the number of rows.
func (db *DB) difference(r row, former []byte, replaced bool) int64 {
	switch was := db.existed(r.key, former, replaced); {
	case was && r.value == nil:
		return -1
	case !was && r.value != nil:
		return 1
	}
	return 0
}

package storage

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/tidwall/btree"
)

// shelf is the rows of an overlay whose keys begin with one byte, which is how
// the typed layer tells kinds of rows apart: some kinds are read in order all
// the time, others hardly ever.
//
// Writes are noted as they come, one for each row, and are brought in order, all at
// once and sorted, when somebody reads in order: done for each row alone that
// would be most of the cost of a write. On a shelf that is often read in order
// they are not left to become many, so that no reader has much to do: writers
// move the oldest over, a few at a time, so that none of them has much to do
// either.
//
// Several may read at the same time, while nobody writes. The first of them
// that reads in order fills in what is missing; from then until the next write
// nothing is left to be filled in, so the order stands still under who reads it.
type shelf struct {
	mu       sync.Mutex         // of readers that bring rows in order; writers are alone
	placed   ordered            // the rows in order
	recent   changes            // what was written after them
	first    uint64             // number of the oldest of them; the first of all has number 1
	rows     int                // in order and in recent
	searches int                // see find
	byKey    map[string]*change // see find: the last change of each row in recent; nil: it was not made
	draining bool               // writers bring changes in order
	idle     int                // times that they began to since somebody read in order
	// asked counts reads in order. Copies share it: who reads in a copy soon
	// reads in the next one.
	asked    *atomic.Int32
	sawAsks  int32 // asked when they began last
	manyRows int   // see fill
}

// change is a row put into a shelf or, with forget, taken out.
type change struct {
	row
	forget bool
}

func newShelf(manyRows int) *shelf {
	return &shelf{
		placed:   newOrdered(),
		asked:    new(atomic.Int32),
		first:    1,
		manyRows: manyRows,
	}
}

// next gives an empty shelf for rows of the same kind, which are expected to be
// read as these were.
func (s *shelf) next() *shelf {
	n := newShelf(s.manyRows)
	n.asked.Store(min(s.asked.Load(), 2*oftenAsked) / 2)
	return n
}

// copy gives a shelf that does not see later writes to s, in constant time.
// Nobody may write to s meanwhile; readers may bring it in order.
func (s *shelf) copy() *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &shelf{placed: s.placed.copy(), recent: s.recent.copy(), first: s.first, rows: s.rows, asked: s.asked, manyRows: s.manyRows}
}

// takeOver takes rows in order with the n changes that were the oldest when first was
// the number of the oldest, unless some of them are in order by now, or none were not:
// then somebody may be reading what sorted gave. Nobody may write meanwhile.
func (s *shelf) takeOver(o ordered, first uint64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == first && n > 0 {
		s.placed = o
		s.recent.cut(n)
		s.first += uint64(n)
	}
}

const (
	// fewRecent is how many writes may always wait to be brought in order.
	fewRecent = 4096
	// drainStep is how many of them a writer moves, once they are too many.
	drainStep = 32
	// oftenAsked is after how many reads in order a shelf counts as one that
	// is often read so. One walk over the whole table does not make it that.
	oftenAsked = 8
)

// put notes a change and gives its number. last is the number of the change of
// the same row before it, 0 if there was none; it is replaced, if it is still
// here and no copy has it.
func (s *shelf) put(c change, last uint64) (number uint64) {
	if last >= s.first+uint64(s.recent.shared) {
		*s.recent.at(int(last - s.first)) = c
		return last
	}
	number = s.first + uint64(s.recent.n)
	s.recent.add(c)
	switch n := s.recent.n; {
	case n < fewRecent:
		s.draining = false
	case !s.draining:
		s.draining = n >= 2*s.rows || s.inDemand(n)
	}
	if s.draining {
		s.fill(drainStep)
	}
	return number
}

// inDemand says whether so many writes are too many to be left to the next who
// reads in order. While nobody does, twice as many are left each time.
func (s *shelf) inDemand(n int) bool {
	asks := s.asked.Load()
	if asks < oftenAsked {
		return false
	}
	if asks != s.sawAsks {
		s.idle = 0
	}
	if n < s.placed.size()/8<<min(s.idle, 8) {
		return false
	}
	s.idle++
	s.sawAsks = asks
	return true
}

// ready says whether sorted has little to do.
func (s *shelf) ready() bool {
	if !s.mu.TryLock() { // somebody is sorting
		return false
	}
	defer s.mu.Unlock()
	return s.recent.n <= fewRecent
}

// orderStep is how many writes orderSome moves.
const orderStep = 256

// orderSome does part of what sorted does, and says whether more is left than
// need be.
func (s *shelf) orderSome() (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fill(min(orderStep, s.recent.n))
	return s.recent.n > fewRecent
}

// sorted gives everything in order. Who has it must not use it after the next
// write.
func (s *shelf) sorted() *ordered {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fill(s.recent.n)
	s.asked.Add(1)
	return &s.placed
}

// fewSearches is how many rows are looked for one change after the other before it
// is better to have a map of these.
const fewSearches = 16

// get gives a row's value. It is for shelves without an index.
func (s *shelf) get(key []byte) (value []byte, ok bool) {
	r, ok := s.sorted().get(key)
	return r.value, ok
}

// find is get for copies that nobody writes to. For single rows nothing is brought
// into order, which takes ten times as long as a map and would have to be done
// again in the next copy.
func (s *shelf) find(key []byte) (value []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.lookUp(key); c != nil {
		return c.value, !c.forget
	}
	r, ok := s.placed.get(key)
	return r.value, ok
}

// lookUp gives the last change of a row that is not in order yet; nil: there is
// none.
func (s *shelf) lookUp(key []byte) *change {
	if s.recent.n == 0 {
		return nil
	}
	if s.searches++; s.searches <= fewSearches {
		return s.recent.latest(key)
	}
	if s.byKey == nil {
		s.byKey = make(map[string]*change, s.recent.n)
		for i := range s.recent.n {
			c := s.recent.at(i)
			s.byKey[unsafe.String(unsafe.SliceData(c.key), len(c.key))] = c // nobody changes a row's key
		}
	}
	return s.byKey[string(key)]
}

const (
	// manyRows is for how many changes at least a list is made anew of all rows that
	// are in order, if they are a part of them that is not too small: a tree takes
	// for each change ten to thirty times as long as a list for each row.
	manyRows     = fewRecent
	manyRowsPart = 16
)

// fill brings the n oldest changes in order.
func (s *shelf) fill(n int) {
	if n == 0 {
		return
	}
	recent := s.recent.cut(n)
	s.first += uint64(n)
	defer s.recent.reuse(&recent)
	if n == 1 {
		s.placed.place(recent.at(0), nil)
		return
	}
	order := recent.inOrder()
	if n >= s.manyRows && n >= s.placed.size()/manyRowsPart {
		s.placed = s.placed.with(&recent, order)
		return
	}
	var hint btree.PathHint
	empty := s.placed.size() == 0
	for i, t := range order {
		c := recent.at(t.n)
		switch {
		case recent.superseded(order, i):
		case !empty:
			s.placed.place(c, &hint)
		case !c.forget:
			s.placed.tree.Load(c.row)
		}
	}
}

// changes is a list in pieces, which does not move when it grows.
type changes struct {
	pieces [][]change // all full but the last
	cutOff int        // changes of the first piece that are not of the list any more
	n      int
	shared int      // so many, the oldest, must not be replaced: a copy has them as well
	spare  []change // memory of a piece
}

const pieceSize = 256

func (l *changes) add(c change) {
	if (l.cutOff+l.n)%pieceSize == 0 {
		piece := l.spare
		if l.spare = nil; piece == nil {
			piece = make([]change, 0, pieceSize)
		}
		l.pieces = append(l.pieces, piece)
	}
	last := &l.pieces[len(l.pieces)-1]
	*last = append(*last, c)
	l.n++
}

func (l *changes) at(i int) *change {
	i += l.cutOff
	return &l.pieces[i/pieceSize][i%pieceSize]
}

// latest gives the last change of a row; nil: there is none.
func (l *changes) latest(key []byte) *change {
	for p, piece := range slices.Backward(l.pieces) {
		if p == 0 {
			piece = piece[l.cutOff:]
		}
		for i := len(piece) - 1; i >= 0; i-- {
			if c := &piece[i]; bytes.Equal(c.key, key) {
				return c
			}
		}
	}
	return nil
}

// copy gives a list that is not to be added to, and does not see what is added
// to l, nor what is replaced there.
func (l *changes) copy() changes {
	l.shared = l.n
	return changes{pieces: slices.Clone(l.pieces), cutOff: l.cutOff, n: l.n, shared: l.n}
}

// cut takes the n oldest changes out, as a list that is not to be added to.
func (l *changes) cut(n int) changes {
	oldest := changes{pieces: l.pieces, cutOff: l.cutOff, n: n, shared: min(n, l.shared)}
	if n == l.n {
		*l = changes{spare: l.spare}
		return oldest
	}
	end := l.cutOff + n
	l.pieces, l.cutOff = l.pieces[end/pieceSize:], end%pieceSize
	l.n -= n
	l.shared = max(l.shared-n, 0)
	return oldest
}

// reuse takes memory of a list that was cut off and is of no use any more, if all
// of l was and no copy has it. Where each write is followed by a read in order, each
// would need a piece of its own.
func (l *changes) reuse(cut *changes) {
	if l.n == 0 && l.spare == nil && cut.shared == 0 {
		piece := cut.pieces[0]
		clear(piece)
		l.spare = piece[:0]
	}
}

package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"
)

// shelf is the rows of an overlay whose keys begin with one byte, which is how
// the typed layer tells kinds of rows apart: some kinds are read in order all
// the time, others hardly ever.
//
// Writes are noted as they come, and go into the tree, all at once and sorted,
// when somebody reads in order: done for each row alone that would be most of
// the cost of a write. On a shelf that is often read in order they are not left
// to become many, so that no reader has much to do.
//
// Several may read at the same time, while nobody writes. The first of them
// that reads in order fills the tree; from then until the next write nothing
// is left to be filled in, so the tree stands still under who reads it.
type shelf struct {
	mu     sync.Mutex // of readers that fill the tree; writers are alone
	tree   *btree.BTreeG[row]
	recent changes // after what is in the tree
	rows   int     // in the tree and in recent
	idle   int     // times that a writer filled the tree since somebody read in order
	// asked counts reads in order. Copies share it: who reads in a copy soon
	// reads in the next one.
	asked   *atomic.Int32
	sawAsks int32 // asked when a writer filled the tree last
}

// change is a row put into a shelf or, with forget, taken out.
type change struct {
	row
	forget bool
}

func newShelf() *shelf {
	return &shelf{
		tree:  btree.NewBTreeGOptions(lessRow, btree.Options{NoLocks: true}),
		asked: new(atomic.Int32),
	}
}

// next gives an empty shelf for rows of the same kind, which are expected to be
// read as these were.
func (s *shelf) next() *shelf {
	n := newShelf()
	n.asked.Store(min(s.asked.Load(), 2*oftenAsked) / 2)
	return n
}

// copy gives a shelf that does not see later writes to s, in constant time.
// Nobody may use s meanwhile.
func (s *shelf) copy() *shelf {
	return &shelf{tree: s.tree.Copy(), recent: s.recent.copy(), rows: s.rows, asked: s.asked}
}

const (
	// fewRecent is how many writes may always wait to go into the tree.
	fewRecent = 4096
	// oftenAsked is after how many reads in order a shelf counts as one that
	// is often read so. One walk over the whole table does not make it that.
	oftenAsked = 8
)

func (s *shelf) put(c change) {
	s.recent.add(c)
	if n := s.recent.n; n >= fewRecent && (n >= 2*s.rows || s.inDemand(n)) {
		s.fill()
	}
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
	if n < s.tree.Len()/8<<min(s.idle, 8) {
		return false
	}
	s.idle++
	s.sawAsks = asks
	return true
}

// sorted gives the tree with everything in it. Who has it must not use it
// after the next write.
func (s *shelf) sorted() *btree.BTreeG[row] {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fill()
	s.asked.Add(1)
	return s.tree
}

func (s *shelf) get(key []byte) (value []byte, ok bool) {
	r, ok := s.sorted().Get(row{key: key})
	return r.value, ok
}

// fill brings the tree up to date.
func (s *shelf) fill() {
	recent := s.recent
	if recent.n == 0 {
		return
	}
	s.recent = changes{} // a copy may have the old one
	if recent.n == 1 {
		s.place(recent.at(0), nil)
		return
	}
	var hint btree.PathHint
	empty := s.tree.Len() == 0
	order := recent.inOrder()
	for i, t := range order {
		c := recent.at(t.n)
		switch {
		case i+1 < len(order) && order[i+1].head == t.head && bytes.Equal(recent.at(order[i+1].n).key, c.key):
			// A later write of the same row follows.
		case !empty:
			s.place(c, &hint)
		case !c.forget:
			s.tree.Load(c.row)
		}
	}
}

func (s *shelf) place(c *change, hint *btree.PathHint) {
	if c.forget {
		s.tree.DeleteHint(c.row, hint)
	} else {
		s.tree.SetHint(c.row, hint)
	}
}

// changes is a list in pieces, which does not move when it grows.
type changes struct {
	pieces [][]change // all full but the last
	n      int
}

const pieceSize = 256

func (l *changes) add(c change) {
	if l.n%pieceSize == 0 {
		l.pieces = append(l.pieces, make([]change, 0, pieceSize))
	}
	last := &l.pieces[len(l.pieces)-1]
	*last = append(*last, c)
	l.n++
}

func (l *changes) at(i int) *change { return &l.pieces[i/pieceSize][i%pieceSize] }

// copy gives a list that is not to be added to, and does not see what is added
// to l.
func (l *changes) copy() changes { return changes{pieces: slices.Clone(l.pieces), n: l.n} }

// ticket stands for a change while changes are sorted: comparing heads fetches
// nothing from elsewhere in memory.
type ticket struct {
	head uint64 // of the key, after what all keys have in common
	n    int    // of the change
}

// inOrder sorts changes by key, and those of one key by age.
func (l *changes) inOrder() []ticket {
	common := len(l.at(0).key)
	for i := range l.n {
		common = commonPrefix(l.at(0).key[:common], l.at(i).key)
	}
	order := make([]ticket, l.n)
	for i := range order {
		order[i] = ticket{head(l.at(i).key[common:]), i}
	}
	slices.SortFunc(order, func(a, b ticket) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		if c := bytes.Compare(l.at(a.n).key[common:], l.at(b.n).key[common:]); c != 0 {
			return c
		}
		return cmp.Compare(a.n, b.n)
	})
	return order
}

// commonPrefix is how many bytes a and b begin with alike.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// head is the first bytes of a key as a number that sorts as they do; equal
// heads say nothing.
func head(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

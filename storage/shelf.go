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
	recent []change // after what is in the tree
	rows   int      // in the tree and in recent
	// asked counts reads in order. Copies share it: who reads in a copy soon
	// reads in the next one.
	asked *atomic.Int32
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
	return &shelf{tree: s.tree.Copy(), recent: s.recent[:len(s.recent):len(s.recent)], rows: s.rows, asked: s.asked}
}

const (
	// fewRecent is how many writes may always wait to go into the tree.
	fewRecent = 4096
	// oftenAsked is after how many reads in order a shelf counts as one that
	// is often read so. One walk over the whole table does not make it that.
	oftenAsked = 8
)

func (s *shelf) put(c change) {
	s.recent = append(s.recent, c)
	n := len(s.recent)
	if n >= fewRecent && (n >= 2*s.rows || n >= s.tree.Len()/8 && s.asked.Load() >= oftenAsked) {
		s.fill()
	}
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
	if len(recent) == 0 {
		return
	}
	s.recent = nil // a copy may have the old one
	if len(recent) == 1 {
		s.place(recent[0], nil)
		return
	}
	var hint btree.PathHint
	empty := s.tree.Len() == 0
	order := inOrder(recent)
	for i, at := range order {
		c := recent[at.n]
		switch {
		case i+1 < len(order) && order[i+1].head == at.head && bytes.Equal(recent[order[i+1].n].key, c.key):
			// A later write of the same row follows.
		case !empty:
			s.place(c, &hint)
		case !c.forget:
			s.tree.Load(c.row)
		}
	}
}

func (s *shelf) place(c change, hint *btree.PathHint) {
	if c.forget {
		s.tree.DeleteHint(c.row, hint)
	} else {
		s.tree.SetHint(c.row, hint)
	}
}

// ticket stands for a change while changes are sorted: comparing heads fetches
// nothing from elsewhere in memory.
type ticket struct {
	head uint64 // of the key, after what all keys have in common
	n    int    // of the change
}

// inOrder sorts changes by key, and those of one key by age.
func inOrder(changes []change) []ticket {
	common := len(changes[0].key)
	for i := range changes {
		common = commonPrefix(changes[0].key[:common], changes[i].key)
	}
	order := make([]ticket, len(changes))
	for i := range changes {
		order[i] = ticket{head(changes[i].key[common:]), i}
	}
	slices.SortFunc(order, func(a, b ticket) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		if c := bytes.Compare(changes[a.n].key[common:], changes[b.n].key[common:]); c != 0 {
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

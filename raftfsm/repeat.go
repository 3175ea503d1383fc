package raftfsm

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/parlorchat/parlor/storage"
)

// history is which requests of one origin have run. Those below below have;
// so have those in spans. It is a system row, so that every node, whenever it
// joined, decides the same.
type history struct {
	row   []byte // key of the row
	saved []byte // value of the row, nil if there is none
	boot  uint64
	below uint64
	spans []span // ascending, apart from one another and from below
	dirty bool
}

// span is the numbers from first to last, both included.
type span struct{ first, last uint64 }

// systemRow begins the rows of the state machine itself, and repeatRow those
// of its table of requests: 's' 'd' <origin 16> → history.
const (
	systemRow = 's'
	repeatRow = 'd'
)

func historyRow(origin [16]byte) []byte {
	return append([]byte{systemRow, repeatRow}, origin[:]...)
}

// loadHistory reads the history of an origin; an unknown one has an empty
// history.
func loadHistory(r storage.Reader, origin [16]byte) (*history, error) {
	h := &history{row: historyRow(origin)}
	value, ok := r.Get(h.row)
	if !ok {
		return h, nil
	}
	h.saved = value
	return h, h.decode(value)
}

func (h *history) has(seq uint64) bool {
	if seq < h.below {
		return true
	}
	i, _ := h.find(seq)
	return i < len(h.spans) && h.spans[i].first <= seq
}

// find gives the first span that ends at or after seq.
func (h *history) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(h.spans, seq, func(s span, seq uint64) int {
		switch {
		case s.last < seq:
			return -1
		case s.last > seq:
			return 1
		}
		return 0
	})
}

// admit decides whether a request runs, and remembers that it did. Requests
// of an earlier start of the origin do not run: nobody waits for them, and
// what is known about them is forgotten.
func (h *history) admit(boot, seq, doneBelow uint64) bool {
	if boot < h.boot {
		return false
	}
	if boot > h.boot {
		h.boot, h.below, h.spans, h.dirty = boot, 0, nil, true
	}
	fresh := !h.has(seq)
	if fresh {
		h.add(seq)
	}
	h.forget(doneBelow)
	return fresh
}

func (h *history) add(seq uint64) {
	h.dirty = true
	i, _ := h.find(seq)
	joinsLeft := i > 0 && h.spans[i-1].last+1 == seq
	joinsRight := i < len(h.spans) && h.spans[i].first == seq+1
	switch {
	case joinsLeft && joinsRight:
		h.spans[i-1].last = h.spans[i].last
		h.spans = slices.Delete(h.spans, i, i+1)
	case joinsLeft:
		h.spans[i-1].last = seq
	case joinsRight:
		h.spans[i].first = seq
	default:
		h.spans = slices.Insert(h.spans, i, span{seq, seq})
	}
	h.settle()
}

// forget raises below.
func (h *history) forget(below uint64) {
	if below <= h.below {
		return
	}
	h.below, h.dirty = below, true
	n := 0
	for n < len(h.spans) && h.spans[n].last < below {
		n++
	}
	h.spans = slices.Delete(h.spans, 0, n)
	h.settle()
}

// settle lets below swallow a span that it touches.
func (h *history) settle() {
	if len(h.spans) > 0 && h.spans[0].first <= h.below && h.spans[0].last < math.MaxUint64 {
		h.below = h.spans[0].last + 1
		h.spans = slices.Delete(h.spans, 0, 1)
	}
}

// save writes the row if it changed, and keeps the hash.
func (h *history) save(w storage.Writer, hash *storage.Hash) {
	if !h.dirty {
		return
	}
	if h.saved != nil {
		*hash = hash.Sub(storage.RowHash(h.row, h.saved))
	}
	h.saved, h.dirty = h.encode(), false
	*hash = hash.Add(storage.RowHash(h.row, h.saved))
	w.Set(h.row, h.saved)
}

// encode: boot 8, below 8, then for each span the gap before it and its
// length less one, as uvarints.
func (h *history) encode() []byte {
	b := make([]byte, 0, 16+4*len(h.spans))
	b = binary.BigEndian.AppendUint64(b, h.boot)
	b = binary.BigEndian.AppendUint64(b, h.below)
	at := h.below
	for _, s := range h.spans {
		b = binary.AppendUvarint(b, s.first-at)
		b = binary.AppendUvarint(b, s.last-s.first)
		at = s.last
	}
	return b
}

var errHistory = errors.New("row of executed requests is corrupt")

func (h *history) decode(b []byte) error {
	if len(b) < 16 {
		return errHistory
	}
	h.boot, h.below = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	at := h.below
	for b = b[16:]; len(b) > 0; {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return errHistory
		}
		length, k := binary.Uvarint(b[n:])
		if k <= 0 {
			return errHistory
		}
		b = b[n+k:]
		first := at + gap
		at = first + length
		h.spans = append(h.spans, span{first, at})
	}
	return nil
}

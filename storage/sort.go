package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// Sorting hundreds of thousands of keys by comparing two at a time fetches each of
// them some forty times from wherever in memory it is. Here a key is fetched once for
// each eight bytes that it has in common with others: what is moved about and compared
// is these bytes as a number (a radix sort from the most significant number on, and
// within each number one from the least significant byte on).

// ticket stands for a change while changes are sorted.
type ticket struct {
	head uint64 // of the key, after what the keys it was compared with have in common
	n    int    // of the change
}

// inOrder sorts changes by key, and those of one key by age. Neighbours with one key
// have the same head.
func (l *changes) inOrder() []ticket {
	order := make([]ticket, l.n)
	for i := range order {
		order[i].n = i
	}
	s := sorter{changes: l}
	s.sort(order, 0)
	return order
}

// superseded says whether a later change of the same row follows in that order.
func (l *changes) superseded(order []ticket, i int) bool {
	return i+1 < len(order) && order[i+1].head == order[i].head && bytes.Equal(l.at(order[i+1].n).key, l.at(order[i].n).key)
}

type sorter struct {
	changes *changes
	spare   []ticket // as many as were sorted at a time so far
}

func (s *sorter) key(t *ticket) []byte { return s.changes.at(t.n).key }

// fewTickets are sorted by comparing keys.
const fewTickets = 12

// sort sorts tickets in order of age whose keys have so many bytes in common.
func (s *sorter) sort(tickets []ticket, common int) {
	if len(tickets) <= fewTickets {
		s.compare(tickets, common)
		return
	}
	common = s.common(tickets, common)
	for i := range tickets {
		t := &tickets[i]
		t.head = head(s.key(t)[common:])
	}
	s.byHead(tickets)
	for len(tickets) > 0 {
		n, ended := 1, false // how many of one head, whether one of their keys ends with it
		for n < len(tickets) && tickets[n].head == tickets[0].head {
			n++
		}
		for i := 0; i < n && n > 1 && !ended; i++ {
			ended = len(s.key(&tickets[i])) < common+8
		}
		switch {
		case ended:
			s.compare(tickets[:n], common)
		case n > 1:
			s.sort(tickets[:n], common+8)
		}
		tickets = tickets[n:]
	}
}

// common is how many bytes keys begin with alike that do so with at least so many.
func (s *sorter) common(tickets []ticket, least int) int {
	first := s.key(&tickets[0])
	for i := range tickets[1:] {
		rest := s.key(&tickets[1+i])[least:]
		first = first[:least+commonPrefix(first[least:], rest)]
		if len(first) == least {
			break
		}
	}
	return len(first)
}

func (s *sorter) compare(tickets []ticket, common int) {
	slices.SortFunc(tickets, func(a, b ticket) int {
		if c := bytes.Compare(s.key(&a)[common:], s.key(&b)[common:]); c != 0 {
			return c
		}
		return cmp.Compare(a.n, b.n)
	})
}

// fewHeads are sorted by comparing them.
const fewHeads = 256

// byHead sorts by head and leaves those of one head in order of age.
func (s *sorter) byHead(tickets []ticket) {
	if len(tickets) <= fewHeads {
		slices.SortFunc(tickets, func(a, b ticket) int {
			if a.head != b.head {
				return cmp.Compare(a.head, b.head)
			}
			return cmp.Compare(a.n, b.n)
		})
		return
	}
	if len(s.spare) < len(tickets) {
		s.spare = make([]ticket, len(tickets))
	}
	from, to := tickets, s.spare[:len(tickets)]
	var counts [8][256]int
	for i := range from {
		for digit, h := 0, from[i].head; digit < 8; digit++ {
			counts[digit][byte(h)]++
			h >>= 8
		}
	}
	for digit := range counts {
		shift := 8 * digit
		places := &counts[digit]
		if places[byte(from[0].head>>shift)] == len(from) {
			continue // all have the same
		}
		next := 0
		for value, n := range places {
			places[value] = next
			next += n
		}
		for i := range from {
			place := &places[byte(from[i].head>>shift)]
			to[*place] = from[i]
			*place++
		}
		from, to = to, from
	}
	if &from[0] != &tickets[0] {
		copy(tickets, from)
	}
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

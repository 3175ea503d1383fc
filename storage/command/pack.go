package command

import (
	"bytes"
	"strconv"
)

// Pack collects many bulk strings for a Reply: side by side, as clients of
// either protocol get them, at a fraction of what a Reply for each would take.
// The zero Pack is empty. What is added is copied.
type Pack struct {
	frames []byte
	n      int64
}

const (
	packedElement = 24      // bytes that one is expected to take
	packedAhead   = 4 << 10 // most that is taken for those expected
)

// NewPack gives an empty Pack for about so many elements.
func NewPack(elements int64) Pack {
	return Pack{frames: make([]byte, 0, min(max(elements, 0)*packedElement, packedAhead))}
}

// Bulk adds an element.
func (p *Pack) Bulk(b []byte) {
	p.header('$', int64(len(b)))
	p.frames = append(append(p.frames, b...), '\r', '\n')
	p.n++
}

// Group makes one element, an array, of the next n.
func (p *Pack) Group(n int) {
	p.header('*', int64(n))
	p.n -= int64(n) - 1
}

func (p *Pack) header(kind byte, n int64) {
	p.frames = strconv.AppendInt(append(p.frames, kind), n, 10)
	p.frames = append(p.frames, '\r', '\n')
}

// Len is how many elements there are.
func (p *Pack) Len() int64 { return p.n }

// Array is what was collected as an ordered list. The Pack must not be used any
// more.
func (p *Pack) Array() Reply { return p.reply(KindArray) }

// Set is what was collected as a list without order.
func (p *Pack) Set() Reply { return p.reply(KindSet) }

// Map is what was collected as keys and values in turn.
func (p *Pack) Map() Reply { return p.reply(KindMap) }

func (p *Pack) reply(kind Kind) Reply { return Reply{Kind: kind, Int: p.n, Str: p.frames} }

// Len is how many elements an array, a set or a map has, of which keys and values
// count each.
func (r *Reply) Len() int64 { return r.Int + int64(len(r.Elems)) }

// Unpacked gives a reply whose elements, and theirs, are all in Elems.
func (r Reply) Unpacked() Reply {
	switch r.Kind {
	case KindArray, KindMap, KindSet, KindPairs, KindTable:
	default:
		return r
	}
	elems := make([]Reply, 0, r.Len())
	for _, e := range r.Elems {
		elems = append(elems, e.Unpacked())
	}
	for frames := r.Str; len(elems) < cap(elems); {
		var e Reply
		e, frames = unpack(frames)
		elems = append(elems, e)
	}
	return Reply{Kind: r.Kind, Elems: elems}
}

// unpack gives the first element of frames, and those after it.
func unpack(frames []byte) (e Reply, rest []byte) {
	line, rest, _ := bytes.Cut(frames, []byte("\r\n"))
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil {
		panic("command: a pack holds what is no frame: " + strconv.Quote(string(line)))
	}
	if line[0] == '$' {
		return Reply{Kind: KindBulk, Str: rest[:n:n]}, rest[n+2:]
	}
	e = Reply{Kind: KindArray, Elems: make([]Reply, n)}
	for i := range e.Elems {
		e.Elems[i], rest = unpack(rest)
	}
	return e, rest
}

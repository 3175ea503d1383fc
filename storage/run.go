package storage

import (
	"bytes"
	"slices"
	"sort"
)

// Row is a row that is set together with others, see Writer.SetRun.
type Row struct{ Key, Value []byte }

// run is the rows of one kind of a new object, in order. It spares each of them
// what a row costs that may come anywhere: a place in the index, in a list of
// changes, in a tree, and in the log of what is undone. Runs are below the other
// rows of their overlay, which may change or hide rows of them.
type run struct {
	rows  []Row
	bytes int64
}

const (
	// leastRun is how many rows make a run, see Options.
	leastRun = 1024
	// runPrefix is how many bytes all keys of a run begin with, and no key of
	// another: kind and object.
	runPrefix = 1 + objectIDLen
	// runRowOverhead is what a row of a run costs besides its bytes.
	runRowOverhead = 48
)

// newRun panics if the rows are not what SetRun wants.
func newRun(rows []Row) *run {
	r := &run{rows: rows}
	for i := range rows {
		w := &rows[i]
		switch {
		case len(w.Key) < runPrefix || len(w.Key) > MaxKey || len(w.Value) > MaxValue:
			panic("storage: row outside of its limits")
		case !bytes.Equal(w.Key[:runPrefix], rows[0].Key[:runPrefix]) || i > 0 && bytes.Compare(rows[i-1].Key, w.Key) >= 0:
			panic("storage: rows of a run are not in order, or of several objects")
		}
		if w.Value == nil {
			w.Value = noBytes
		}
		r.bytes += int64(len(w.Key)+len(w.Value)) + runRowOverhead
	}
	return r
}

func (r *run) first() []byte { return r.rows[0].Key }
func (r *run) last() []byte  { return r.rows[len(r.rows)-1].Key }

// find gives the place of the first row at or after a key.
func (r *run) find(key []byte) int {
	return sort.Search(len(r.rows), func(i int) bool { return bytes.Compare(r.rows[i].Key, key) >= 0 })
}

// runs are in order of their rows. They are not changed, but made anew, as
// copies of the overlay share them.
type runs []*run

// find gives the first run with a row at or after a key.
func (rs runs) find(key []byte) int {
	return sort.Search(len(rs), func(i int) bool { return bytes.Compare(rs[i].last(), key) >= 0 })
}

func (rs runs) get(key []byte) (value []byte, ok bool) {
	i := rs.find(key)
	if i == len(rs) || len(key) < runPrefix || !bytes.Equal(rs[i].first()[:runPrefix], key[:runPrefix]) {
		return nil, false
	}
	r := rs[i]
	if n := r.find(key); n < len(r.rows) && bytes.Equal(r.rows[n].Key, key) {
		return r.rows[n].Value, true
	}
	return nil, false
}

// addRun puts rows into the overlay of which it has none.
func (o *overlay) addRun(r *run) {
	i := o.runs.find(r.first())
	if i < len(o.runs) && bytes.Equal(o.runs[i].first()[:runPrefix], r.first()[:runPrefix]) {
		panic("storage: an object has a run of this kind already")
	}
	o.runs = slices.Insert(slices.Clone(o.runs), i, r)
	o.rows += len(r.rows)
	o.bytes += r.bytes
}

// dropRun undoes addRun; key is the first of its rows.
func (o *overlay) dropRun(key []byte) {
	i := o.runs.find(key)
	r := o.runs[i]
	o.runs = slices.Delete(slices.Clone(o.runs), i, i+1)
	o.rows -= len(r.rows)
	o.bytes -= r.bytes
}

// SetRun implements Writer.
func (b *Batch) SetRun(rows []Row) {
	if len(rows) < b.db.opt.leastRun {
		for _, r := range rows {
			b.Set(r.Key, r.Value)
		}
		return
	}
	for first := int(rows[0].Key[0]); first <= int(rows[len(rows)-1].Key[0]); first++ {
		b.db.gaps.forget(byte(first))
	}
	b.db.active.addRun(newRun(rows))
	b.undo = append(b.undo, undo{key: rows[0].Key, run: true})
}

// runCursor walks the rows of runs.
type runCursor struct {
	runs runs
	at   int // the run
	row  int // in it
}

func (c *runCursor) seek(from []byte) {
	c.at, c.row = c.runs.find(from), 0
	if c.at < len(c.runs) {
		c.row = c.runs[c.at].find(from)
	}
}

// seekBefore stands at the last row below to; nil: at the last.
func (c *runCursor) seekBefore(to []byte) {
	if to == nil {
		c.at, c.row = len(c.runs), 0
	} else {
		c.seek(to)
	}
	c.prev()
}

func (c *runCursor) ok() bool { return c.at >= 0 && c.at < len(c.runs) }

func (c *runCursor) item() Row { return c.runs[c.at].rows[c.row] }

func (c *runCursor) next() {
	if c.row++; c.row == len(c.runs[c.at].rows) {
		c.at, c.row = c.at+1, 0
	}
}

func (c *runCursor) prev() {
	if c.row--; c.row < 0 {
		if c.at--; c.at >= 0 {
			c.row = len(c.runs[c.at].rows) - 1
		}
	}
}

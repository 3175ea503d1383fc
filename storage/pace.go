package storage

import "sync"

// pace is how far a checkpoint is, in rows written to the journal and, several times
// as much work, to the data file.
type pace struct {
	mu      sync.Mutex
	total   int // 0: none is under way
	done    int
	pressed int // done when writers began to press; -1: they do not
}

// fileWork is how many times the work of a row in the journal its way into the data
// file is, about.
const fileWork = 3

func (p *pace) begin(rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.done, p.pressed = rows*(1+fileWork), 0, -1
}

func (p *pace) end() { p.begin(0) }

func (p *pace) journalled(rows int) { p.advance(rows) }

func (p *pace) filed(rows int) { p.advance(rows * fileWork) }

func (p *pace) advance(work int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += work
}

// sincePressed is which part of what was left when writers began to press, or is
// left now if they do only just, is done.
func (p *pace) sincePressed(press bool) (part float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !press || p.total == 0:
		p.pressed = -1
		return 1
	case p.pressed < 0:
		p.pressed = p.done
	}
	return float64(p.done-p.pressed) / float64(max(p.total-p.pressed, 1))
}

// headStart is which part of the room that is left for writers they may take before
// the checkpoint has done anything.
const headStart = 1.0 / 4

// Outrun says whether writers should wait a moment: since they began to press they
// have taken more of the room that was left in memory than the checkpoint under way
// has done of what was left of it. Who lets them all go on to Options.OverlayHard has
// them all stand still there until it ends.
func (db *DB) Outrun() bool {
	part := db.pace.sincePressed(db.pressed())
	active, may, most := db.used()
	return float64(active-may/2) > float64(most-may/2)*(headStart+(1-headStart)*part)
}

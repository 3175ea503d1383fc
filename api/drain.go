package api

import "sync"

// drainState says whether this node wants its clients to go to another one:
// for a while, because an operator has drained it, or for good.
type drainState struct {
	mu    sync.Mutex
	on    chan struct{} // closed while it does
	ended bool
}

func newDrainState() *drainState { return &drainState{on: make(chan struct{})} }

// begin makes it so; for good if last is set.
func (d *drainState) begin(last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = d.ended || last
	if !d.isOn() {
		close(d.on)
	}
}

// end takes clients in again, unless it was for good.
func (d *drainState) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isOn() && !d.ended {
		d.on = make(chan struct{})
	}
}

// isOn needs mu.
func (d *drainState) isOn() bool {
	select {
	case <-d.on:
		return true
	default:
		return false
	}
}

// begun is closed when it is so.
func (d *drainState) begun() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.on
}

// Drain tells those who listen to use another node: sockets are closed with
// code 4002 and long-polls answered. Other calls go on. Resume ends it.
// Shutdown does it too, for good.
func (s *Server) Drain() {
	s.drain.begin(false)
	s.sockets.goAway(false)
}

// Resume takes in again those who listen.
func (s *Server) Resume() {
	s.drain.end()
	s.sockets.comeBack()
}

// isDraining says whether this node wants its clients to go.
func (s *Server) isDraining() bool {
	select {
	case <-s.drain.begun():
		return true
	default:
		return false
	}
}

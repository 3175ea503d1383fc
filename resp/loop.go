package resp

import (
	"github.com/parlorchat/parlor/resp/eventloop"
	"github.com/parlorchat/parlor/storage/command"
)

// What need not wait is served without the goroutine of the connection: what
// concerns only the connection, and reads when this node may answer at once and
// they turn out to be short, by the event loop, in the order in which connections
// send it; otherwise reads and writes in two halves, of which the second is done by
// whoever knows that the node has caught up, or the results. All else is handed to
// the goroutine, which begins where the loop has left off.

// loopBatches is how many batches of a connection are served at a time before
// it is handed to its goroutine, so that one client does not keep the others of
// its loop waiting.
const loopBatches = 8

// loopReads is how many reads the loop carries out at most: more of them are
// worth another processor.
const loopReads = 4

// ready serves the connection, which rested, when there is input. It must not
// wait. loop is that which calls; -1: none does.
func (s *session) ready(loop int) {
	s.guard.hurried, s.loop = true, loop
	for range loopBatches {
		switch s.step() {
		case stepDone:
			return
		case stepHand:
			s.handOver()
			return
		}
	}
	s.handOver()
}

// handOver has the goroutine of the connection go on.
func (s *session) handOver() {
	s.guard.hurried, s.loop = false, -1
	s.guard.hand()
}

// step is what comes of serving a connection some.
type step uint8

const (
	stepMore step = iota
	stepDone      // it rests again, or a second half is to come: it is no longer the caller's
	stepHand      // its goroutine is needed
)

// briefArgs is how many arguments a brief command has at most.
const briefArgs = 64

// step serves one batch, if there is one.
func (s *session) step() (next step) {
	defer func() {
		if p := recover(); p != nil {
			s.contain(p)
			next = stepHand
		}
	}()
	g := s.guard
	if s.broken || g.ending.Load() || g.out.busy() {
		return stepHand
	}
	g.parseBuffered()
	if len(g.batch) == 0 && g.failure == nil {
		return s.stepInput()
	}
	if g.failure != nil || len(g.batch) > viewReads {
		return stepHand
	}
	switch s.way(g.batch) {
	case wayBrief:
		s.run.current = false
		s.collect(g.take())
		s.answer()
		return stepMore
	case wayRead:
		if len(g.batch) > loopReads {
			return stepHand
		}
		s.run.current = s.localReads || s.server.store.Current()
		s.collect(g.take())
		if !s.run.current {
			return s.startWhenCurrent()
		}
		if !s.run.readHere(s.run.items, false) {
			return s.leave()
		}
		s.run.emit(s.run.items)
		s.answer()
		return stepMore
	case wayWrite:
		s.run.current = false
		s.collect(g.take())
		return s.start()
	}
	return stepHand
}

// stepInput reads what has come, or lets the connection rest.
func (s *session) stepInput() step {
	g := s.guard
	if g.socket.Pending() {
		switch err := g.fill(false); err {
		case nil, eventloop.ErrAgain:
			return stepMore
		default:
			return stepHand
		}
	}
	switch {
	case g.midway(): // which must not take for ever
		return stepHand
	case g.socket.Rest():
		return stepDone
	}
	return stepMore
}

// way says how the commands of a batch are carried out.
type way uint8

const (
	wayAny   way = iota // by the goroutine of the connection, which may wait
	wayBrief            // what concerns only the connection
	wayRead             // reads
	wayWrite            // writes, of which nothing need be known before they are done
)

// way decides by the state of the connection, and by the commands if they are
// all of one kind.
func (s *session) way(batch [][][]byte) way {
	srv := s.server
	if !s.authenticated() || s.tx.open || s.replies != replyOn || s.tracker.Load() != nil || srv.paused.on.Load() {
		return wayAny
	}
	all := wayAny
	for _, args := range batch {
		e := srv.catalog.find(args[0])
		if e == nil {
			return wayAny
		}
		w := e.way(s, args)
		if w == wayAny || all != wayAny && w != all {
			return wayAny
		}
		all = w
	}
	switch {
	case all == wayWrite && srv.tracking.some.Load():
		return wayAny
	case all != wayBrief && s.onlyListens():
		return wayAny
	}
	return all
}

func (e *entry) way(s *session, args [][]byte) way {
	switch {
	case e.brief != nil && len(args) <= briefArgs && e.spec.ArityOK(len(args)) && e.brief(s, args):
		return wayBrief
	case e.local != nil, e.subs != nil, e.refusal != nil, e.spec.Prepare != nil, e.blocks(args):
		return wayAny
	case e.spec.Is(command.Write):
		return wayWrite
	}
	return wayRead
}

// start sends the writes that were collected on their way.
func (s *session) start() step {
	reqs := requests(s.run.items)
	if len(reqs) == 0 { // all were refused
		s.answer()
		return stepMore
	}
	if s.run.seemVain(s.run.items) {
		if !s.server.store.Current() {
			return s.startWhenCurrent()
		}
		if s.run.inVain(s.run.items, nil) {
			s.run.emit(s.run.items)
			s.answer()
			return stepMore
		}
	}
	s.run.began = s.server.stopwatch()
	return s.begin(func() func() { return s.server.store.Submit(reqs, s.server.config.RequestTimeout, s.onResults) })
}

// startWhenCurrent has what was collected, reads or writes that seem to be in vain,
// wait for this node to catch up.
func (s *session) startWhenCurrent() step {
	if !needsStore(s.run.items) { // all were refused
		s.answer()
		return stepMore
	}
	return s.begin(func() func() { return s.server.store.CatchUp(s.server.config.RequestTimeout, s.onCaughtUp) })
}

// begin begins what has a second half, or leaves it all to the goroutine of the
// connection. It holds mu, so that the second half comes after underWay is set.
func (s *session) begin(first func() (giveUp func())) step {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.underWay = first(); s.underWay != nil {
		return stepDone
	}
	return s.leave()
}

// leave leaves what was collected to the goroutine of the connection.
func (s *session) leave() step {
	s.guard.begun = true
	return stepHand
}

// halfDone is called when the second half begins.
func (s *session) halfDone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay = nil
}

// carriedOut is called with the results of what start has sent.
func (s *session) carriedOut(results []command.Result) {
	s.halfDone()
	if s.server.tracking.some.Load() { // which has to be told first
		go s.goOn(results)
		return
	}
	s.goOn(results)
}

func (s *session) goOn(results []command.Result) {
	s.finish(func(items []item) bool {
		s.run.take(items, results)
		return true
	})
}

// caughtUp is called when what waits in startWhenCurrent can be carried out.
func (s *session) caughtUp(err error) {
	s.halfDone()
	s.finish(func(items []item) bool {
		s.run.current = err == nil
		switch {
		case s.run.write:
			return s.run.inVain(items, err)
		case err != nil:
			failReads(items, err)
			return true
		}
		return s.run.readHere(items, false)
	})
}

// finish answers what has got its replies by last, and looks for more. If last
// says that something takes long, it leaves that to the goroutine.
func (s *session) finish(last func([]item) bool) {
	s.loop = -1
	if s.finished(last) {
		s.ready(-1)
	} else {
		s.handOver()
	}
}

func (s *session) finished(last func([]item) bool) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			s.contain(p)
			ok = false
		}
	}()
	items := s.run.items
	if !last(items) {
		s.leave()
		return false
	}
	s.run.emit(items)
	s.answer()
	return true
}

// giveUp ends what nobody waits for.
func (s *session) giveUp() {
	s.mu.Lock()
	stop := s.underWay
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

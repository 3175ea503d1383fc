package resp

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// pause holds up the commands of this node's clients, all or those that
// write, until a time.
type pause struct {
	on atomic.Bool // so that nobody pays while there is none

	mu    sync.Mutex
	until time.Time
	all   bool
	moved chan struct{} // closed when until or all change
}

// start begins a pause. One that is on is never made shorter or weaker.
func (p *pause) start(d time.Duration, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.After(p.until) {
		p.all = false
	}
	p.all = p.all || all
	if until := now.Add(d); until.After(p.until) {
		p.until = until
	}
	p.announce()
	p.on.Store(true)
}

func (p *pause) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until, p.all = time.Time{}, false
	p.announce()
	p.on.Store(false)
}

func (p *pause) announce() {
	if p.moved != nil {
		close(p.moved)
	}
	p.moved = make(chan struct{})
}

// left says for how long a call is held up, and what tells that this changed.
func (p *pause) left(writes bool) (time.Duration, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := time.Until(p.until)
	if left <= 0 {
		p.on.Store(false)
		return 0, nil
	}
	if !p.all && !writes {
		return 0, nil
	}
	return left, p.moved
}

// awaitResume holds a call up while a pause is on, any but that which ends it.
// What was answered before goes out. Who must not wait was here before the
// pause: see way.
func (s *session) awaitResume(e *entry) {
	p := &s.server.paused
	if !p.on.Load() || s.guard.hurried || s.tx.open && !e.immediate || e.lower == "client|unpause" {
		return
	}
	writes := e.spec.Is(command.Write) || e.spec.Name == "PUBLISH" || e.spec.Name == "SPUBLISH" || e.spec.Name == "EXEC" && s.tx.writes()
	held := false
	defer func() {
		if held {
			s.held.Store(false)
			s.server.stats.Blocked.Add(-1)
		}
	}()
	for {
		left, moved := p.left(writes)
		if left <= 0 {
			return
		}
		if !held {
			held = true
			s.held.Store(true)
			s.server.stats.Blocked.Add(1)
		}
		s.run.flush()
		s.sendAhead()
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-moved:
		case <-s.server.stop:
			timer.Stop()
			return
		case <-s.guard.ended:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// writes says whether a queued command changes something.
func (t *transaction) writes() bool {
	for i := range t.queue {
		if t.queue[i].entry.spec.Is(command.Write) {
			return true
		}
	}
	return false
}

func clientPause(s *session, args [][]byte) (command.Reply, error) {
	if len(args) > 4 {
		return command.Reply{}, command.ErrArity("client|pause")
	}
	ms, err := strconv.ParseInt(string(args[2]), 10, 64)
	switch {
	case err != nil || ms > math.MaxInt64/int64(time.Millisecond)/2:
		return command.Reply{}, errTimeoutInt
	case ms < 0:
		return command.Reply{}, errTimeoutBelow
	}
	all := true
	if len(args) == 4 {
		switch strings.ToUpper(string(args[3])) {
		case "ALL":
		case "WRITE":
			all = false
		default:
			return command.Reply{}, command.Errorf("ERR", "CLIENT PAUSE mode must be WRITE or ALL")
		}
	}
	s.server.paused.start(min(time.Duration(ms)*time.Millisecond, maxBlock), all)
	return command.OK, nil
}

func clientUnpause(s *session, _ [][]byte) (command.Reply, error) {
	s.server.paused.end()
	return command.OK, nil
}

package resp

import (
	"sync/atomic"
	"time"
)

// housePeriod is how often connections are looked at.
const housePeriod = time.Second

// backlog counts the bytes that wait in all outboxes, and calls for eviction
// when they become too many.
type backlog struct {
	bytes atomic.Int64
	limit *atomic.Int64 // 0: any
	over  chan struct{} // capacity 1
}

func newBacklog(limit *atomic.Int64) *backlog {
	return &backlog{limit: limit, over: make(chan struct{}, 1)}
}

func (b *backlog) add(n int) {
	if total, limit := b.bytes.Add(int64(n)), b.limit.Load(); n > 0 && limit > 0 && total > limit {
		b.tell()
	}
}

// tell makes the housekeeper look now.
func (b *backlog) tell() {
	select {
	case b.over <- struct{}{}:
	default:
	}
}

// keepHouse looks at all connections now and then: those that are idle for too
// long, that let too much wait, or that together use too much memory are
// ended.
func (s *Server) keepHouse() {
	tick := time.NewTicker(housePeriod)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.backlog.over:
		case now := <-tick.C:
			s.rates.sample(now, &s.stats)
			s.endIdle()
			s.endSlow(now)
		}
		s.evict()
	}
}

// endIdle ends connections that have sent nothing for so long as timeout says
// now: those that wait for their next command know the timeout as it was.
func (s *Server) endIdle() {
	limit := time.Duration(s.live.idleTimeout.Load())
	if limit <= 0 {
		return
	}
	for _, c := range s.clients() {
		if c.idle() > limit && c.class() == classNormal && c.unblock.Load() == nil && !c.monitoring.Load() && !c.serving.Load() && !c.expelled.Swap(true) {
			s.stats.TimedOut.Add(1)
			c.guard.kill()
		}
	}
}

// endSlow ends connections that have let more than the soft limit wait for
// longer than is granted.
func (s *Server) endSlow(now time.Time) {
	for _, c := range s.clients() {
		limit := s.live.limit(c.class())
		if limit.soft == 0 || int64(c.guard.out.waiting()) <= limit.soft {
			c.slowSince.Store(0)
			continue
		}
		since := c.slowSince.Load()
		if since == 0 {
			c.slowSince.Store(now.UnixMilli())
		} else if now.UnixMilli()-since >= limit.patience.Milliseconds() && !c.expelled.Swap(true) {
			s.stats.Lagged.Add(1)
			c.guard.kill()
		}
	}
}

// evict ends connections, those that use most memory first, until what all use
// is within maxmemory-clients. Those that asked not to be are left.
func (s *Server) evict() {
	limit := s.live.clientMemory.Load()
	if limit <= 0 {
		return
	}
	total := int64(0)
	used := map[*session]int64{}
	for _, c := range s.clients() {
		n := c.memory()
		total += n
		if !c.noEvict.Load() {
			used[c] = n
		}
	}
	for total > limit {
		var most *session
		for c, n := range used {
			if most == nil || n > used[most] || n == used[most] && c.id > most.id {
				most = c
			}
		}
		if most == nil {
			return
		}
		total -= used[most]
		delete(used, most)
		if !most.expelled.Swap(true) {
			s.stats.Evicted.Add(1)
			s.log.Warn("a RESP client was evicted: all together use more memory than maxmemory-clients", "client", most.describe(0))
			most.guard.kill()
		}
	}
}

// connectionMemory is what a connection costs that does nothing.
const connectionMemory = 16 << 10

// memory estimates what the connection uses: replies that wait, bytes of the
// command that is coming in, and what MULTI has queued.
func (s *session) memory() int64 {
	return connectionMemory + int64(s.guard.out.waiting()) + s.guard.held.Load() + s.queuedBytes.Load()
}

// class says which output limits hold for the connection.
func (s *session) class() clientClass {
	if s.subscriptions() > 0 {
		return classPubsub
	}
	return classNormal
}

// rates remember counters of the last seconds, for INFO.
type rates struct {
	commands, bytesIn, bytesOut atomic.Int64 // a second
	last                        [3]int64
	at                          time.Time
}

// sample is called by one goroutine.
func (r *rates) sample(now time.Time, st *Stats) {
	current := [3]int64{st.Commands.Load(), st.BytesIn.Load(), st.BytesOut.Load()}
	if !r.at.IsZero() {
		if passed := now.Sub(r.at).Seconds(); passed > 0 {
			for i, to := range []*atomic.Int64{&r.commands, &r.bytesIn, &r.bytesOut} {
				to.Store(max(int64(float64(current[i]-r.last[i])/passed), 0))
			}
		}
	}
	r.last, r.at = current, now
}

func (r *rates) reset() {
	r.commands.Store(0)
	r.bytesIn.Store(0)
	r.bytesOut.Store(0)
}

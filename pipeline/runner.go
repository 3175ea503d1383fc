package pipeline

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Runner keeps a dispatcher running for every consumer of every site.
type Runner struct {
	store   Store
	modules []Module
	options Options
	log     *slog.Logger
}

// New makes a Runner; nothing runs before Run.
func New(store Store, modules []Module, options Options) *Runner {
	options = options.withDefaults()
	return &Runner{store: store, modules: modules, options: options, log: options.Log}
}

// Run carries events to consumers until ctx ends, and returns when everything
// that it started has stopped. It belongs on the leader. While two nodes
// believe that they lead, events may be handled on both.
func (r *Runner) Run(ctx context.Context) {
	alarm := newAlarm()
	cancel := r.store.Watch(alarm.ring)
	defer cancel()
	if !r.catchUp(ctx) {
		return
	}
	s := &supervisor{Runner: r, ctx: ctx, revs: map[string]int64{}, running: map[string]map[string]*worker{}}
	defer s.stopAll()
	resync := time.NewTicker(r.options.Resync)
	defer resync.Stop()
	s.lookAtAll()
	for {
		select {
		case <-ctx.Done():
			return
		case <-resync.C:
			s.lookAtAll()
		case <-alarm.rang:
			sites, all := alarm.take()
			if all {
				s.lookAtAll()
			}
			for _, site := range slices.Sorted(maps.Keys(sites)) {
				s.look(site, false)
			}
		}
	}
}

// catchUp waits until this node has applied what its predecessor wrote, so
// that less is repeated.
func (r *Runner) catchUp(ctx context.Context) bool {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, proposeTimeout)
		err := r.store.ReadIndex(attempt)
		cancel()
		if err == nil {
			return true
		}
		if ctx.Err() == nil {
			r.log.Warn("catching up before events are handed out", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
	return false
}

// alarm collects what a Watch says until the supervisor has time.
type alarm struct {
	rang  chan struct{} // one token
	mu    sync.Mutex
	sites map[string]bool
	all   bool
}

func newAlarm() *alarm { return &alarm{rang: make(chan struct{}, 1)} }

// ring is called by Watch and does not block.
func (a *alarm) ring(touched []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if touched == nil {
		a.all = true
	}
	for _, key := range touched {
		if site, ok := siteOfEvents(key); ok {
			if a.sites == nil {
				a.sites = map[string]bool{}
			}
			a.sites[site] = true
		}
	}
	if a.all || len(a.sites) > 0 {
		select {
		case a.rang <- struct{}{}:
		default:
		}
	}
}

func (a *alarm) take() (sites map[string]bool, all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	sites, all = a.sites, a.all
	a.sites, a.all = nil, false
	return sites, all
}

// supervisor starts and stops dispatchers as sites and their configs change.
type supervisor struct {
	*Runner
	ctx     context.Context
	revs    map[string]int64              // the site's config_rev that its consumers are of
	running map[string]map[string]*worker // by site and name of the consumer
	stopped sync.WaitGroup                // everything that was started
}

// worker is a running dispatcher.
type worker struct {
	version string
	wake    chan struct{} // one token
	cancel  context.CancelFunc
	forget  atomic.Bool   // drop the cursor at the end
	done    chan struct{} // it has ended
}

func (s *supervisor) stopAll() {
	for _, workers := range s.running {
		for _, w := range workers {
			w.cancel()
		}
	}
	s.stopped.Wait()
}

// lookAtAll looks at every site, also at those that are gone.
func (s *supervisor) lookAtAll() {
	var sites []string
	err := s.store.View(func(tx *keyspace.Tx) (err error) {
		sites, err = core.ListSites(tx)
		return err
	})
	if err != nil {
		s.log.Error("listing sites", "error", err)
		return
	}
	for site := range s.running {
		if !slices.Contains(sites, site) {
			sites = append(sites, site)
		}
	}
	for _, site := range sites {
		s.look(site, true)
	}
}

// look wakes the dispatchers of a site, after it has brought them in line
// with its config, if that changed. anyway: do so in any case.
func (s *supervisor) look(id string, anyway bool) {
	var wanted map[string]Consumer
	var orphans []string
	var site core.Site
	err := s.store.View(func(tx *keyspace.Tx) (err error) {
		var ok bool
		if site, ok, err = core.GetSite(tx, id); err != nil {
			return err
		}
		if rev, known := s.revs[id]; ok && known && rev == site.ConfigRev && !anyway {
			return nil
		}
		if wanted, err = s.wanted(tx, site, ok); err != nil {
			return err
		}
		orphans, err = s.orphans(tx, id, wanted)
		return err
	})
	if err != nil {
		s.log.Error("reading what consumers a site has", "site", id, "error", err)
	}
	if err == nil && wanted != nil {
		s.align(id, wanted)
		s.drop(id, orphans)
		s.revs[id] = site.ConfigRev
	}
	for _, w := range s.running[id] {
		w.ring()
	}
}

// wanted gives the consumers that a site should have; none if it is gone.
func (s *supervisor) wanted(tx *keyspace.Tx, site core.Site, exists bool) (map[string]Consumer, error) {
	out := map[string]Consumer{}
	if !exists {
		return out, nil
	}
	for _, m := range s.modules {
		list, err := m.Consumers(tx, site)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			out[c.Name] = c
		}
	}
	return out, nil
}

// orphans gives the cursors of our modules that belong to no consumer, and to
// no dispatcher, which would drop its own.
func (s *supervisor) orphans(tx *keyspace.Tx, site string, wanted map[string]Consumer) ([]string, error) {
	cursors, err := core.Consumers(tx, site)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range cursors {
		if _, ok := wanted[c.Consumer]; ok || s.running[site][c.Consumer] != nil {
			continue
		}
		for _, m := range s.modules {
			if strings.HasPrefix(c.Consumer, m.Name()+".") {
				out = append(out, c.Consumer)
			}
		}
	}
	return out, nil
}

// align starts, restarts and stops dispatchers.
func (s *supervisor) align(site string, wanted map[string]Consumer) {
	for _, name := range slices.Sorted(maps.Keys(s.running[site])) {
		w := s.running[site][name]
		if _, ok := wanted[name]; !ok {
			w.forget.Store(true)
			w.cancel()
			s.clear(site, name, w)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		old := s.running[site][name]
		if old != nil && old.version == wanted[name].Version && !old.forget.Load() {
			continue
		}
		if old != nil {
			old.cancel()
		}
		s.start(site, wanted[name], old)
	}
	if len(s.running[site]) == 0 {
		delete(s.running, site)
	}
}

// clear forgets a worker that has ended. What it could not drop is then an
// orphan.
func (s *supervisor) clear(site, name string, w *worker) {
	select {
	case <-w.done:
		delete(s.running[site], name)
	default:
	}
}

// start runs a dispatcher, once its predecessor, if any, has ended.
func (s *supervisor) start(site string, c Consumer, old *worker) {
	ctx, cancel := context.WithCancel(s.ctx)
	w := &worker{version: c.Version, wake: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	if s.running[site] == nil {
		s.running[site] = map[string]*worker{}
	}
	s.running[site][c.Name] = w
	log := s.log.With("site", site, "consumer", c.Name)
	s.stopped.Go(func() {
		defer close(w.done)
		defer cancel()
		if old != nil {
			<-old.done
		}
		counters := newCounters(s.options.Metrics, site, c.Name)
		defer counters.close()
		d := &dispatcher{site: site, consumer: c, store: s.store, options: &s.options, counters: counters, log: log, wake: w.wake}
		d.run(ctx)
		if w.forget.Load() && s.ctx.Err() == nil {
			s.forget(site, c.Name)
		}
	})
}

// drop drops cursors that nobody owns.
func (s *supervisor) drop(site string, names []string) {
	for _, name := range names {
		s.stopped.Go(func() { s.forget(site, name) })
	}
}

func (s *supervisor) forget(site, name string) {
	err := propose(s.ctx, s.store, []command.Args{core.EventForget{Site: site, Consumer: name}.Args()})[0]
	if err != nil && s.ctx.Err() == nil {
		s.log.Warn("dropping the cursor of a consumer that is gone", "site", site, "consumer", name, "error", err)
	}
}

// ring wakes a worker; if it is awake already, it will look once more.
func (w *worker) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

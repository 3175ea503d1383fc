package resp

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
	"github.com/parlorchat/parlor/storage/redis"
)

// fakeStore is a group of one in memory: requests are applied as they come.
type fakeStore struct {
	table *command.Table

	mu       sync.RWMutex
	rows     keyspacetest.Rows
	hash     storage.Hash
	index    uint64
	requests uint64
	watchers map[int]func([]string)
	ears     []func([][]byte)
	follows  map[int]func(uint64, []command.Effect)
	followed int
	effects  []command.Effect // of the entry being applied
	others   []*fakeStore     // who hears what is broadcast here

	// What the tests set and look at.
	proposals   [][]command.Request
	readIndexes int
	walks       int
	proposeErr  error
	readErr     error
	refuse      func(args command.Args) error // of a request whose first command it is
}

func newFakeStore(extra ...command.Spec) *fakeStore {
	return &fakeStore{
		table:    command.NewTable(redis.Commands(), extra),
		watchers: map[int]func([]string){},
		follows:  map[int]func(uint64, []command.Effect){},
	}
}

func (f *fakeStore) Table() *command.Table { return f.table }

func (f *fakeStore) Propose(ctx context.Context, reqs []command.Request) []command.Result {
	results := f.propose(reqs)
	f.mu.Lock()
	defer f.mu.Unlock()
	index, effects := f.index, f.effects
	f.effects = nil
	for _, fn := range f.follows {
		f.mu.Unlock()
		fn(index, effects)
		f.mu.Lock()
	}
	return results
}

func (f *fakeStore) Submit(reqs []command.Request, limit time.Duration, done func([]command.Result)) (giveUp func()) {
	return startBy(f.Propose, reqs, limit, done)
}

func startBy(propose func(context.Context, []command.Request) []command.Result, reqs []command.Request, limit time.Duration, done func([]command.Result)) (giveUp func()) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	go func() {
		defer cancel()
		done(propose(ctx, reqs))
	}()
	return cancel
}

func (f *fakeStore) CatchUp(_ time.Duration, done func(error)) (giveUp func()) {
	go done(f.ReadIndex(context.Background()))
	return func() {}
}

func (f *fakeStore) Current() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readIndexes++ // a read has asked
	return f.readErr == nil
}

func (f *fakeStore) propose(reqs []command.Request) []command.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.proposals = append(f.proposals, reqs)
	results := make([]command.Result, len(reqs))
	if f.proposeErr != nil {
		for i := range results {
			results[i].Err = f.proposeErr
		}
		return results
	}
	f.index++
	tx := keyspace.NewWriter(&f.rows, time.Now().UnixMilli(), f.index, &f.hash)
	tx.Record()
	if f.effects == nil {
		f.effects = []command.Effect{}
	}
	op := 0
	for i, req := range reqs {
		results[i].Index = f.index
		f.requests++
		results[i].Request = f.requests
		if f.refuse != nil {
			if results[i].Err = f.refuse(req.Commands[0]); results[i].Err != nil {
				continue
			}
		}
		if !watchesHold(tx, req.Watches) {
			continue
		}
		results[i].Replies = []command.Reply{}
		before := f.hash
		db, selects := req.DB, req.Selects
		for k, args := range req.Commands {
			for len(selects) > 0 && selects[0].Before == k {
				db, selects = selects[0].DB, selects[1:]
			}
			tx.Select(f.table.Find(args[0]).Database(db))
			results[i].Replies = append(results[i].Replies, f.apply(tx, op, args))
			op++
		}
		results[i].Changed = f.hash != before
	}
	touched := tx.Touched()
	if touched == nil {
		touched = []string{}
	}
	for _, fn := range f.watchers {
		fn(touched)
	}
	return results
}

func watchesHold(tx *keyspace.Tx, watches []command.Watch) bool {
	for _, w := range watches {
		tx.Select(w.DB)
		if tx.Revision(w.Key) != w.Revision {
			return false
		}
	}
	return true
}

func (f *fakeStore) apply(tx *keyspace.Tx, op int, args command.Args) command.Reply {
	f.rows.Mark()
	before := f.hash
	spec := f.table.Find(args[0])
	call := command.Call{Tx: tx, Now: tx.Now(), Index: f.index, Op: op, Rand: rand.New(rand.NewPCG(f.index, uint64(op)))}
	reply, err := spec.Run(&call, args)
	if err != nil {
		f.rows.Rollback()
		f.hash = before
		tx.Reset()
		tx.Changes()
		return command.Fail(err)
	}
	if changes := tx.Changes(); len(changes) > 0 {
		f.effects = append(f.effects, command.Effect{Args: args, Reply: reply, Changes: changes, Request: f.requests})
	}
	return reply
}

func (f *fakeStore) ReadIndex(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readIndexes++
	return f.readErr
}

func (f *fakeStore) View(fn func(tx *keyspace.Tx) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return fn(keyspace.NewReader(&f.rows, time.Now().UnixMilli()))
}

func (f *fakeStore) Walk(fn func(tx *keyspace.Tx) error) error {
	f.mu.Lock()
	f.walks++
	f.mu.Unlock()
	return f.View(fn)
}

func (f *fakeStore) Watch(fn func([]string)) (cancel func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := len(f.watchers)
	f.watchers[id] = fn
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, id)
	}
}

func (f *fakeStore) Effects(fn func(uint64, []command.Effect)) (cancel func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followed++
	id := f.followed
	f.follows[id] = fn
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.follows, id)
	}
}

func (f *fakeStore) Visible() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.index
}

func (f *fakeStore) Broadcast(_ string, payload []byte) {
	for _, o := range f.others {
		for _, fn := range o.ears {
			fn([][]byte{payload})
		}
	}
}

func (f *fakeStore) OnBroadcast(_ string, fn func([][]byte)) (cancel func()) {
	f.ears = append(f.ears, fn)
	return func() {}
}

// startServer serves a fake store on a free port until the test ends.
func startServer(t testing.TB, config Config, store Store) *Server {
	t.Helper()
	if config.Addr == "" {
		config.Addr = "127.0.0.1:0"
	}
	srv, err := New(config, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if n := srv.Stats().Clients.Load(); n != 0 {
			t.Errorf("%d clients are left after Close", n)
		}
		if n := srv.backlog.bytes.Load(); n != 0 {
			t.Errorf("%d bytes are counted as waiting after Close", n)
		}
	})
	return srv
}

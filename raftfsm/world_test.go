package raftfsm

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
)

// Members that take requests in the tests.
var (
	alice = [16]byte{'a'}
	bob   = [16]byte{'b'}
)

// testTable is the Redis commands and a few that show what a command gets.
func testTable() *command.Table {
	write := func(name string, run func(*command.Call, [][]byte) (command.Reply, error)) command.Spec {
		return command.Spec{Name: name, Arity: -2, Flags: command.Write, Run: run}
	}
	return command.NewTable(redis.Commands(), []command.Spec{
		write("T.WRITEFAIL", func(c *command.Call, args [][]byte) (command.Reply, error) {
			c.Set(args[1], []byte("never seen"))
			c.Delete([]byte("innocent"))
			return command.Reply{}, errors.New("on purpose")
		}),
		write("T.PANIC", func(*command.Call, [][]byte) (command.Reply, error) { panic("on purpose") }),
		write("T.CALL", func(c *command.Call, args [][]byte) (command.Reply, error) {
			s := fmt.Sprintf("now=%d index=%d op=%d random=%d,%d", c.Now, c.Index, c.Op, c.Rand.Uint64(), c.Rand.IntN(1000))
			c.Set(args[1], []byte(s))
			return command.BulkString(s), nil
		}),
	})
}

// member is one node's state machine on its own table.
type member struct {
	t     testing.TB
	dir   string
	id    [16]byte
	table *command.Table
	db    *storage.DB
	fsm   *FSM
	snaps *SnapshotStore

	crash    func(point string) // may be nil
	fatal    []error
	results  map[string]command.Result // by "boot/seq"
	touched  [][]string
	observed []uint64
}

func newMember(t testing.TB, id [16]byte) *member {
	m := &member{t: t, dir: t.TempDir(), id: id, table: testTable(), results: map[string]command.Result{}}
	m.start()
	t.Cleanup(func() { m.stop() })
	return m
}

func (m *member) start() {
	m.t.Helper()
	db, err := storage.Open(m.dir, storage.Options{ClusterID: "test", MapSize: 1 << 30, Fatal: m.onFatal, Crash: m.crash})
	if err != nil {
		m.t.Fatal(err)
	}
	m.db = db
	m.fsm = New(Config{DB: db, Table: m.table, Node: m.id, Waiter: m, Observer: m.observe, Fatal: m.onFatal})
	m.snaps = NewSnapshotStore(db)
}

func (m *member) stop() {
	if m.db == nil {
		return
	}
	if err := m.db.Close(); err != nil {
		m.t.Error(err)
	}
	m.db = nil
}

// restart loses what is in no checkpoint, as a crash does.
func (m *member) restart() {
	m.stop()
	m.start()
}

func (m *member) onFatal(err error) { m.fatal = append(m.fatal, err) }

func (m *member) observe(index uint64, touched []string) {
	m.observed, m.touched = append(m.observed, index), append(m.touched, touched)
}

func resultKey(boot, seq uint64) string { return fmt.Sprintf("%d/%d", boot, seq) }

// Done implements Waiter.
func (m *member) Done(origin [16]byte, boot, seq uint64, res command.Result) {
	key := resultKey(boot, seq)
	if origin != m.id {
		m.t.Errorf("told about a request of %q", origin)
	}
	if _, ok := m.results[key]; ok {
		m.t.Errorf("request %s was answered twice", key)
	}
	m.results[key] = res
}

// apply applies logs as one batch and fails the test if the member halts.
func (m *member) apply(logs ...*raft.Log) {
	m.t.Helper()
	if n := len(m.fsm.ApplyBatch(logs)); n != len(logs) {
		m.t.Fatalf("%d answers to %d entries", n, len(logs))
	}
	if len(m.fatal) > 0 {
		m.t.Fatalf("the member halted: %v", m.fatal)
	}
}

// get reads a string.
func (m *member) get(key string) string {
	m.t.Helper()
	var out string
	err := m.db.View(func(r storage.Reader, s storage.State) error {
		spec := m.table.Find([]byte("GET"))
		reply, err := spec.Run(readCall(r, s), command.New("GET", key))
		out = reply.Text()
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// rows gives all rows.
func (m *member) rows() map[string]string {
	out := map[string]string{}
	_ = m.db.View(func(r storage.Reader, _ storage.State) error {
		r.Ascend(nil, nil, func(k, v []byte) bool { out[string(k)] = string(v); return true })
		return nil
	})
	return out
}

func (m *member) sameAs(o *member) {
	m.t.Helper()
	if a, b := m.db.State(), o.db.State(); a != b {
		m.t.Fatalf("states differ: %+v and %+v", a, b)
	}
	if !maps.Equal(m.rows(), o.rows()) {
		m.t.Fatal("rows differ")
	}
}

// takeSnapshot does what raft does for a snapshot, in raft's order. between,
// if any, runs between the freeze and the writing.
func (m *member) takeSnapshot(index uint64, between func()) error {
	snap, err := m.fsm.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	if between != nil {
		between()
	}
	sink, err := m.snaps.Create(1, index, 1, testConfiguration(), 1, nil)
	if err != nil {
		return err
	}
	if err := snap.Persist(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (m *member) mustSnapshot() {
	m.t.Helper()
	if err := m.takeSnapshot(m.fsm.Applied(), nil); err != nil {
		m.t.Fatal(err)
	}
}

func testConfiguration() raft.Configuration {
	return raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: "a", Address: "127.0.0.1:1"}}}
}

// request is one item.
func request(origin [16]byte, boot, seq uint64, commands ...command.Args) Item {
	return Item{Origin: origin, Boot: boot, Seq: seq, Request: command.Request{Commands: commands}}
}

// entry is a raft entry with its own index as time and seed.
func entry(index uint64, items ...Item) *raft.Log {
	e := Entry{LeaderTime: int64(index) * 1000, Seed: index, Items: items}
	return &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: EncodeEntry(nil, &e)}
}

func cmd(args ...string) command.Args { return command.New(args...) }

func set(key string, n int) command.Args { return cmd("SET", key, strconv.Itoa(n)) }

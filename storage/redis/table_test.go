package redis_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis"
	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// node runs commands on the table that a node has.
type node struct {
	db *storage.DB
}

func openNode(t *testing.T, dir string) *node {
	t.Helper()
	return openSized(t, dir, 64<<20)
}

func openSized(t *testing.T, dir string, size int64) *node {
	t.Helper()
	db, err := storage.Open(dir, storage.Options{
		MapSize: size, GarbageBudget: 50, Logger: slog.New(slog.DiscardHandler),
		Fatal: func(err error) { t.Fatal(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return &node{db}
}

// run does what the state machine does for a write, and a node for a read.
func (n *node) run(t *testing.T, spec *command.Spec, call command.Call, args [][]byte) (reply command.Reply) {
	t.Helper()
	var err error
	if spec.Is(command.Write) {
		state := n.db.State()
		batch := n.db.Begin()
		before := batch.Mark()
		state.Index, state.Clock = call.Index, call.Now
		hash := state.Hash
		call.Tx = keyspace.NewWriter(batch, call.Now, call.Index, &state.Hash)
		if reply, err = spec.Run(&call, args); err != nil {
			batch.RollbackTo(before)
			state.Hash = hash
		}
		batch.Commit(state)
	} else if viewErr := n.db.View(func(rows storage.Reader, _ storage.State) error {
		call.Tx = keyspace.NewReader(rows, call.Now)
		reply, err = spec.Run(&call, args)
		return nil
	}); viewErr != nil {
		t.Fatal(viewErr)
	}
	if err != nil {
		return command.Fail(err)
	}
	return reply
}

func (n *node) checkpoint(t *testing.T) {
	t.Helper()
	c, err := n.db.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	if err := c.Write(storage.Meta{Index: c.State().Index}); err != nil {
		t.Fatal(err)
	}
}

// A node that writes checkpoints, collects garbage and starts anew answers as
// a table in memory does, and has the same hash.
func TestOnTheTableOfANode(t *testing.T) {
	for seed := range uint64(3) {
		dir := t.TempDir()
		memory, disk := newOurs(), openNode(t, dir)
		m := &redistest.Maker{R: rand.New(rand.NewPCG(seed, 2)), Base: memory.state.Now/1000 + 100_000}
		for i := range 2000 {
			args := m.Command(m.Pick(redistest.Templates...))
			memory.state.Now += int64(m.R.IntN(3))
			memory.rand = rand.New(rand.NewPCG(seed, uint64(i)))
			want := show(memory.do(args...))
			raw := command.New(args...)
			spec := memory.table.Find(raw[0])
			if spec == nil || !spec.ArityOK(len(raw)) {
				continue
			}
			call := command.Call{Now: memory.state.Now, Index: memory.state.Index, Rand: rand.New(rand.NewPCG(seed, uint64(i)))}
			if got := show(disk.run(t, spec, call, raw).Unpacked()); got != want {
				t.Fatalf("seed %d, command %d: %q\non disk   %s\nin memory %s", seed, i, args, got, want)
			}
			switch m.R.IntN(150) {
			case 0:
				disk.checkpoint(t)
			case 1:
				disk.checkpoint(t)
				if err := disk.db.Close(); err != nil {
					t.Fatal(err)
				}
				disk = openNode(t, dir)
			}
		}
		if err := disk.db.View(func(rows storage.Reader, s storage.State) error {
			if s.Hash != memory.state.Hash {
				t.Errorf("seed %d: the hashes differ", seed)
			}
			return keyspace.Verify(rows, s.Hash)
		}); err != nil {
			t.Fatal(err)
		}
		if err := disk.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What a flush leaves is removed by checkpoints, some at a time, and a
// restart in between does not matter.
func TestWhatAFlushLeavesIsCollected(t *testing.T) {
	dir := t.TempDir()
	disk, table := openNode(t, dir), command.NewTable(redis.Commands())
	index := uint64(0)
	do := func(args ...string) {
		index++
		raw := command.New(args...)
		if r := disk.run(t, table.Find(raw[0]), command.Call{Now: 1000, Index: index}, raw); r.Kind == command.KindError {
			t.Fatalf("%q: %s", args, r.Str)
		}
	}
	members := func(name, key string, twice bool) []string {
		args := []string{name, key}
		for i := range 100 {
			args = append(args, strconv.Itoa(i))
			if twice {
				args = append(args, "v")
			}
		}
		return args
	}
	for i := range 5 {
		do(members("SADD", fmt.Sprint("set", i), false)...)
		do(members("HSET", fmt.Sprint("hash", i), true)...)
		do(members("RPUSH", fmt.Sprint("list", i), false)...)
		do("SET", fmt.Sprint("first", i), "v")
		do("XADD", fmt.Sprint("stream", i), "1-1", "f", "v")
		do("EXPIRE", fmt.Sprint("set", i), "100")
		if i%2 == 0 {
			disk.checkpoint(t)
		}
	}
	do("RENAME", "hash1", "hash")
	do("FLUSHALL")
	do("SET", "new", "v")
	left := 0
	for i := range 100 {
		disk.checkpoint(t)
		if err := disk.db.Close(); err != nil {
			t.Fatal(err)
		}
		disk = openNode(t, dir)
		do("SET", "new", strconv.Itoa(i))
		left = 0
		if err := disk.db.View(func(rows storage.Reader, s storage.State) error {
			rows.Ascend(nil, nil, func(_, _ []byte) bool { left++; return true })
			return keyspace.Verify(rows, s.Hash)
		}); err != nil {
			t.Fatal(err)
		}
		if left == 2 {
			break
		}
	}
	if left != 2 {
		t.Errorf("%d rows are left, want the 2 of the new key", left)
	}
	if err := disk.db.Close(); err != nil {
		t.Fatal(err)
	}
}

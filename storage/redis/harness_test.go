package redis_test

import (
	"math/rand/v2"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
	"github.com/parlorchat/parlor/storage/redis"
	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// Shorthands.
var (
	show   = redistest.Show
	wire   = redistest.Wire
	sorted = redistest.Sorted
)

// ours runs commands as the state machine and the connections do.
type ours struct {
	table *command.Table
	state keyspacetest.State
	rand  *rand.Rand
	db    uint8
}

func newOurs() *ours {
	return &ours{table: command.NewTable(redis.Commands()), rand: rand.New(rand.NewPCG(1, 2)), state: keyspacetest.State{Now: 1_700_000_000_000}}
}

func (o *ours) do(args ...string) command.Reply {
	raw := command.New(args...)
	spec := o.table.Find(raw[0])
	if spec == nil {
		return command.Fail(command.Errorf("ERR", "unknown command '"+args[0]+"'"))
	}
	if !spec.ArityOK(len(args)) {
		return command.Fail(command.ErrArity(strings.ToLower(args[0])))
	}
	call := command.Call{Now: o.state.Now, Rand: o.rand}
	var reply command.Reply
	run := func(tx *keyspace.Tx) error {
		tx.Select(o.db)
		call.Tx = tx
		var err error
		reply, err = spec.Run(&call, raw)
		return err
	}
	var err error
	if spec.Is(command.Write) {
		call.Index = o.state.Index + 1
		err = o.state.Write(run)
	} else {
		err = run(o.state.Read())
	}
	if err != nil {
		return command.Fail(err)
	}
	return reply.Unpacked()
}

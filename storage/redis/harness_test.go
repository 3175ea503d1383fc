package redis_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
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
	trial keyspace.Tx
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
		tried, inVain := o.try(spec, raw)
		call.Index = o.state.Index + 1
		before := o.state.Hash
		err = o.state.Write(run)
		if inVain && (o.state.Hash != before || !reflect.DeepEqual(tried.Unpacked(), outcome(reply, err))) {
			panic(fmt.Sprintf("tried out, %q changes nothing and gives %q; it gives %q, and the hash is %x after %x", args, show(tried), show(outcome(reply, err)), o.state.Hash, before))
		}
	} else {
		err = run(o.state.Read())
	}
	return outcome(reply, err)
}

func outcome(reply command.Reply, err error) command.Reply {
	if err != nil {
		return command.Fail(err)
	}
	return reply.Unpacked()
}

// try tries a write out, as a connection may if it is not long, and says whether it
// would change nothing.
func (o *ours) try(spec *command.Spec, raw command.Args) (reply command.Reply, inVain bool) {
	size := 0
	for _, a := range raw {
		size += len(a)
	}
	if size > 4<<10 {
		return reply, false
	}
	changes := o.state.Read().Try(&o.trial, func() {
		o.trial.Select(o.db)
		r, err := spec.Run(&command.Call{Tx: &o.trial, Now: o.state.Now, Rand: rand.New(rand.NewPCG(3, 4))}, raw)
		reply = outcome(r, err)
	})
	return reply, !changes
}

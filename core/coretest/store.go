// Package coretest runs domain commands on a table in memory, one after
// another, as the replicated state machine would: for tests of whatever
// stands on the domain. It knows no log, no network and no clock but its own.
package coretest

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
)

// Epoch is when the clock of a new Store begins, in ms since 1970.
const Epoch = 1_795_410_000_000

// Store is a site's data and its commands. It is not safe for concurrent use.
type Store struct {
	State keyspacetest.State
	table *command.Table
}

// New makes an empty Store.
func New() *Store {
	s := &Store{table: command.NewTable(core.Commands())}
	s.State.Now = Epoch
	return s
}

// Now is the time in ms since 1970.
func (s *Store) Now() int64 { return s.State.Now }

// Advance moves the clock.
func (s *Store) Advance(d time.Duration) { s.State.Now += d.Milliseconds() }

// Do carries a command out: before the log what belongs there, then inside
// it, all or nothing. An error is in the reply.
func (s *Store) Do(args command.Args) command.Reply {
	spec := s.table.Find(args[0])
	if spec == nil {
		return command.Fail(command.Errorf("ERR", "unknown command '"+string(args[0])+"'"))
	}
	if !spec.ArityOK(len(args)) {
		return command.Fail(command.ErrArity(spec.Name))
	}
	if spec.Prepare != nil {
		var err error
		if args, err = spec.Prepare(args); err != nil {
			return command.Fail(err)
		}
	}
	return s.Apply(args)
}

// Apply is Do without what belongs before the log.
func (s *Store) Apply(args command.Args) command.Reply {
	spec := s.table.Find(args[0])
	if spec.Is(command.ReadOnly) {
		return s.run(spec, s.State.Read(), args)
	}
	var reply command.Reply
	failed := s.State.Write(func(tx *keyspace.Tx) error {
		reply = s.run(spec, tx, args)
		if reply.Err() != nil {
			return errRefused
		}
		return nil
	})
	if failed != nil && !errors.Is(failed, errRefused) {
		return command.Fail(failed)
	}
	return reply
}

var errRefused = errors.New("the command failed")

func (s *Store) run(spec *command.Spec, tx *keyspace.Tx, args command.Args) command.Reply {
	call := &command.Call{Tx: tx, Now: s.State.Now, Index: s.State.Index, Rand: rand.New(rand.NewPCG(1, s.State.Index))}
	reply, err := spec.Run(call, args)
	if err != nil {
		return command.Fail(err)
	}
	return reply
}

// View gives a window onto the data as they are.
func (s *Store) View() *keyspace.Tx { return s.State.Read() }

// Tick does what time has come for, as the leader would, until nothing is due.
func (s *Store) Tick() error {
	for {
		due, err := core.Due(s.View(), s.Now())
		if err != nil || !due {
			return err
		}
		done, err := core.SystemTick{}.Result(s.Do(core.SystemTick{Limit: 100}.Args()))
		if err != nil {
			return err
		}
		if done == 0 {
			return errors.New("something is due, but SYSTEM.TICK found nothing to do")
		}
	}
}

// Events reads the events of a site above a number.
func (s *Store) Events(site string, after int64) ([]core.Event, error) {
	return core.ReadEvents(s.View(), site, after, 1<<20)
}

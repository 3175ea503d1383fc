package raftfsm

import (
	"fmt"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// The group's feature level is a key of the state, so it is in checkpoints and
// backups and comes with them. Between entries it is kept in call.Level:
// SYSTEM.LEVEL changes both.

// Level is the group's feature level as of Applied.
func (f *FSM) Level() int { return int(f.level.Load()) }

// loadLevel reads it from the table.
func (f *FSM) loadLevel() error {
	err := f.cfg.DB.View(func(rows storage.Reader, st storage.State) (err error) {
		f.call.Level, err = command.LevelOf(keyspace.NewReader(rows, st.Clock))
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the group's feature level: %w", err)
	}
	f.level.Store(int64(f.call.Level))
	return nil
}

// checkLevel stops a member whose program is too old for what the group does
// from here on: it would do it differently.
func (f *FSM) checkLevel() error {
	if newest := f.cfg.Table.Levels().Newest; f.call.Level > newest {
		return fmt.Errorf("NEWER the group was raised to feature level %d, and this program supports no more than %d: start the newer program again, the state is as it was before this entry", f.call.Level, newest)
	}
	return nil
}

package raftfsm

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// StableStore guards what keeps raft's term and vote: a failure to write them
// ends the process with a reason. raft itself panics, or goes on without.
type StableStore struct {
	raft.StableStore
	fatal func(error)
}

// NewStableStore wraps a stable store. fatal must end the process.
func NewStableStore(inner raft.StableStore, fatal func(error)) *StableStore {
	return &StableStore{inner, fatal}
}

// Set implements raft.StableStore.
func (s *StableStore) Set(key, value []byte) error {
	return s.written(s.StableStore.Set(key, value))
}

// SetUint64 implements raft.StableStore.
func (s *StableStore) SetUint64(key []byte, value uint64) error {
	return s.written(s.StableStore.SetUint64(key, value))
}

func (s *StableStore) written(err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("writing down the term or the vote: %w", err)
	s.fatal(err)
	return err
}

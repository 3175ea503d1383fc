package raftfsm

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// LogStore guards the raft log's store: every failure of the disk ends the
// process, and entries are checked as they are read. raft itself logs such
// failures and goes on, in places where memory and disk then differ. A disk
// that hangs fails no call: the member's watchdog sees to that.
type LogStore struct {
	inner raft.LogStore
	fatal func(error)
}

var (
	_ raft.LogStore          = (*LogStore)(nil)
	_ raft.MonotonicLogStore = (*LogStore)(nil)
)

// NewLogStore wraps a log store. fatal must end the process.
func NewLogStore(inner raft.LogStore, fatal func(error)) *LogStore {
	return &LogStore{inner: inner, fatal: fatal}
}

// IsMonotonic implements raft.MonotonicLogStore. It must say what the store
// below says: raft treats the log differently after a snapshot was installed.
func (s *LogStore) IsMonotonic() bool {
	m, ok := s.inner.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// FirstIndex implements raft.LogStore.
func (s *LogStore) FirstIndex() (uint64, error) {
	i, err := s.inner.FirstIndex()
	return i, s.check("reading the log's first index", err)
}

// LastIndex implements raft.LogStore.
func (s *LogStore) LastIndex() (uint64, error) {
	i, err := s.inner.LastIndex()
	return i, s.check("reading the log's last index", err)
}

// GetLog implements raft.LogStore.
func (s *LogStore) GetLog(index uint64, l *raft.Log) error {
	err := s.inner.GetLog(index, l)
	if errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	if err == nil && l.Index != index {
		err = fmt.Errorf("the store gave entry %d", l.Index)
	}
	if err == nil {
		err = checkSum(l)
	}
	if err == nil && l.Type == raft.LogCommand {
		err = CheckEntry(l.Data)
	}
	if err != nil {
		return s.check(fmt.Sprintf("reading log entry %d", index), err)
	}
	return nil
}

// StoreLog implements raft.LogStore.
func (s *LogStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (s *LogStore) StoreLogs(logs []*raft.Log) error {
	for _, l := range logs {
		l.Extensions = sumOf(l)
	}
	return s.check("appending to the log", s.inner.StoreLogs(logs))
}

// DeleteRange implements raft.LogStore.
func (s *LogStore) DeleteRange(first, last uint64) error {
	return s.check(fmt.Sprintf("removing log entries %d to %d", first, last), s.inner.DeleteRange(first, last))
}

// check ends the process for any error: what is on disk is unknown after it,
// and trying again does not help.
func (s *LogStore) check(doing string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", doing, err)
	s.fatal(err)
	return err
}

package raftfsm

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/hashicorp/raft"
)

// LogStore guards the raft log's store: every failure of the disk ends the
// process, a disk that hangs does too, and entries are checked as they are
// read. raft itself logs such failures and goes on, in places where memory
// and disk then differ.
type LogStore struct {
	inner raft.LogStore
	opt   LogStoreOptions
}

// LogStoreOptions of a LogStore.
type LogStoreOptions struct {
	// Stall is how long an append may take. 0: 5 s. Heartbeats do not pass
	// the disk: a leader whose disk hangs would stay leader for ever.
	Stall time.Duration
	// Fatal must end the process.
	Fatal func(error)
	// Stored, if any, is called after each append with the number of entries,
	// their bytes, and the time it took.
	Stored func(entries, bytes int, took time.Duration)
}

var (
	_ raft.LogStore          = (*LogStore)(nil)
	_ raft.MonotonicLogStore = (*LogStore)(nil)
)

// NewLogStore wraps a log store.
func NewLogStore(inner raft.LogStore, opt LogStoreOptions) *LogStore {
	if opt.Stall <= 0 {
		opt.Stall = 5 * time.Second
	}
	return &LogStore{inner: inner, opt: opt}
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
	stall := time.AfterFunc(s.opt.Stall, s.hangs)
	started := time.Now()
	err := s.inner.StoreLogs(logs)
	stall.Stop()
	if s.opt.Stored != nil && err == nil {
		bytes := 0
		for _, l := range logs {
			bytes += len(l.Data)
		}
		s.opt.Stored(len(logs), bytes, time.Since(started))
	}
	return s.check("appending to the log", err)
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
	s.opt.Fatal(err)
	return err
}

func (s *LogStore) hangs() {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	s.opt.Fatal(fmt.Errorf("appending to the log takes more than %v, the disk hangs; goroutines:\n%s", s.opt.Stall, stacks))
}

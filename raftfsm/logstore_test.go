package raftfsm

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"
)

// brokenLog is a log store whose disk fails.
type brokenLog struct {
	*raft.InmemStore
	err error
}

func (b *brokenLog) StoreLogs(logs []*raft.Log) error {
	if b.err != nil {
		return b.err
	}
	return b.InmemStore.StoreLogs(logs)
}

func (b *brokenLog) DeleteRange(first, last uint64) error {
	if b.err != nil {
		return b.err
	}
	return b.InmemStore.DeleteRange(first, last)
}

type monotonic struct {
	*raft.InmemStore
	is bool
}

func (m monotonic) IsMonotonic() bool { return m.is }

func TestLogStoreSaysWhetherItIsMonotonic(t *testing.T) {
	for _, c := range []struct {
		inner raft.LogStore
		want  bool
	}{
		{monotonic{raft.NewInmemStore(), true}, true},
		{monotonic{raft.NewInmemStore(), false}, false},
		{raft.NewInmemStore(), false},
	} {
		if got := NewLogStore(c.inner, nil).IsMonotonic(); got != c.want {
			t.Errorf("%T: %v", c.inner, got)
		}
	}
	if !openLog(t, t.TempDir()).IsMonotonic() {
		t.Error("the product's log is monotonic, and raft must know it")
	}
}

// brokenStable is a stable store whose disk fails.
type brokenStable struct {
	*raft.InmemStore
	err error
}

func (b brokenStable) Set([]byte, []byte) error       { return b.err }
func (b brokenStable) SetUint64([]byte, uint64) error { return b.err }

// Rule 6, for raft's term and vote.
func TestATermThatCannotBeWrittenDownIsFatal(t *testing.T) {
	disk := errors.New("input/output error")
	for name, write := range map[string]func(*StableStore) error{
		"term": func(s *StableStore) error { return s.SetUint64([]byte("CurrentTerm"), 7) },
		"vote": func(s *StableStore) error { return s.Set([]byte("LastVoteCand"), []byte("alice")) },
	} {
		var fatal []error
		note := func(err error) { fatal = append(fatal, err) }
		if err := write(NewStableStore(raft.NewInmemStore(), note)); err != nil || len(fatal) > 0 {
			t.Errorf("%s: error %v, fatal %v", name, err, fatal)
		}
		if err := write(NewStableStore(brokenStable{raft.NewInmemStore(), disk}, note)); !errors.Is(err, disk) || len(fatal) != 1 || !errors.Is(fatal[0], disk) {
			t.Errorf("%s: error %v, fatal %v", name, err, fatal)
		}
	}
}

// Rule 6: a failed append or truncation ends the process.
func TestLogStoreErrorsAreFatal(t *testing.T) {
	disk := errors.New("no space left on device")
	for name, do := range map[string]func(*LogStore) error{
		"append":   func(s *LogStore) error { return s.StoreLog(entry(1, request(bob, 1, 1, set("k", 1)))) },
		"truncate": func(s *LogStore) error { return s.DeleteRange(1, 2) },
	} {
		var fatal []error
		s := NewLogStore(&brokenLog{InmemStore: raft.NewInmemStore(), err: disk},
			func(err error) { fatal = append(fatal, err) })
		if err := do(s); !errors.Is(err, disk) || len(fatal) != 1 || !errors.Is(fatal[0], disk) {
			t.Errorf("%s: error %v, fatal %v", name, err, fatal)
		}
	}
}

// Rule 8: a bit that flipped on disk is noticed when the entry is read.
func TestLogStoreChecksEntries(t *testing.T) {
	inner := raft.NewInmemStore()
	var fatal []error
	s := NewLogStore(inner, func(err error) { fatal = append(fatal, err) })
	good, bad := entry(1, request(bob, 1, 1, set("k", 1))), entry(2, request(bob, 1, 2, set("k", 2)))
	bad.Data[30] ^= 4
	config := &raft.Log{Index: 3, Type: raft.LogConfiguration, Data: []byte("raft's own")}
	if err := inner.StoreLogs([]*raft.Log{good, bad, config}); err != nil {
		t.Fatal(err)
	}
	var l raft.Log
	for _, i := range []uint64{1, 3} {
		if err := s.GetLog(i, &l); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if err := s.GetLog(4, &l); !errors.Is(err, raft.ErrLogNotFound) || len(fatal) > 0 {
		t.Errorf("an entry that does not exist: %v, fatal %v", err, fatal)
	}
	if err := s.GetLog(2, &l); !errors.Is(err, ErrDamaged) || len(fatal) != 1 {
		t.Errorf("a damaged entry: %v, fatal %v", err, fatal)
	}
}

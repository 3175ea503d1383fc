package raftfsm

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/parlorchat/parlor/storage"
)

func TestHashesOfFormerEntriesAreKnown(t *testing.T) {
	a := newMember(t, alice)
	if _, err := a.fsm.HashAt(1); !errors.Is(err, ErrTooEarly) {
		t.Errorf("before the first entry: %v", err)
	}
	want := map[uint64]storage.Hash{}
	for range 50 {
		a.fill(1)
		want[a.fsm.Applied()] = a.db.State().Hash
	}
	for index, h := range want {
		if got, err := a.fsm.HashAt(index); err != nil || got != h {
			t.Errorf("after entry %d: %v, %v, want %v", index, got, err, h)
		}
	}
	if _, err := a.fsm.HashAt(51); !errors.Is(err, ErrTooEarly) {
		t.Errorf("of an entry to come: %v", err)
	}
	for range trailLength {
		a.apply(&raft.Log{Index: a.fsm.Applied() + 1, Term: 1, Type: raft.LogConfiguration})
	}
	if _, err := a.fsm.HashAt(50); !errors.Is(err, ErrTooLate) {
		t.Errorf("of an entry long ago: %v", err)
	}
	a.mustSnapshot()
	a.restart()
	if got, err := a.fsm.HashAt(50 + trailLength); err != nil || got != want[50] {
		t.Errorf("after a restart: %v, %v", got, err)
	}
}

func TestACaptureIsOfTheEntryAskedFor(t *testing.T) {
	a := newMember(t, alice)
	a.fill(5)
	var got []uint64
	take := func(s *storage.Snapshot, err error) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s.State().Index)
		s.Close()
	}
	if err := a.fsm.CaptureAt(4, take); !errors.Is(err, ErrTooLate) {
		t.Errorf("of the past: %v", err)
	}
	if err := a.fsm.CaptureAt(5, take); err != nil || len(got) != 1 || got[0] != 5 {
		t.Errorf("of now: %v, %v", got, err)
	}
	if err := a.fsm.CaptureAt(8, take); err != nil || len(got) != 1 {
		t.Errorf("of the future: %v, %v", got, err)
	}
	a.fill(2)
	logs := []*raft.Log{}
	for i := uint64(9); i < 12; i++ { // 8 is raft's own
		logs = append(logs, entry(i, request(bob, 1, i, set("k", int(i)))))
	}
	a.apply(logs...)
	if len(got) != 2 || got[1] != 9 {
		t.Errorf("in a batch: %v", got)
	}
	if err := a.fsm.CaptureAt(20, take); err != nil || !a.fsm.Disarm() || a.fsm.Disarm() {
		t.Error("a capture could not be called off")
	}
}

// reseedFrom does what a node does: the table of another member, and this
// one's log on top.
func (m *member) reseedFrom(from *member, logs raft.LogStore) error {
	m.t.Helper()
	_, r, err := from.snaps.Open("")
	if err != nil {
		m.t.Fatal(err)
	}
	defer r.Close()
	in, err := m.fsm.incoming(r)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.fsm.Reseed(in, logs, func() error { return m.takeSnapshot(m.fsm.Applied(), nil) })
}

func TestReseedTakesTheTableAndKeepsTheLog(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	logs := openLog(t, t.TempDir())
	for i := uint64(1); i <= 30; i++ {
		l := entry(i, request(bob, 1, i, set("k", int(i)), cmd("INCR", "n")))
		if err := logs.StoreLog(l); err != nil {
			t.Fatal(err)
		}
		a.apply(l)
		b.apply(l)
		switch i {
		case 10:
			b.fsm.state.Hash.Lo++ // b goes wrong
		case 15:
			b.mustSnapshot()
		case 20:
			a.mustSnapshot()
		}
	}
	if a.db.State() == b.db.State() {
		t.Fatal("b is not wrong")
	}
	if err := b.reseedFrom(a, logs); err != nil {
		t.Fatal(err)
	}
	b.sameAs(a)
	if n := len(b.touched); b.touched[n-1] != nil {
		t.Error("watchers were not told that anything may have changed")
	}
	if h, err := b.fsm.HashAt(25); err != nil || h == (storage.Hash{}) {
		t.Errorf("the trail after it: %v", err)
	}
	b.restart() // the snapshot that raft took made it last
	b.sameAs(a)
	if got := bounds(t, logs); got != [2]uint64{1, 30} {
		t.Errorf("the log holds %v", got)
	}
}

// A table that does not fit the log is refused and nothing changes.
func TestReseedRefusesATableThatDoesNotFit(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	a.fill(10)
	a.mustSnapshot()
	b.fill(20)
	b.mustSnapshot()
	logs := openLog(t, t.TempDir())
	appendLogs(t, logs, 1, 20, 1)
	before := b.db.State()
	if b.reseedFrom(a, logs) == nil {
		t.Error("a table below the own checkpoint was taken")
	}
	a.fill(30)
	a.mustSnapshot()
	if b.reseedFrom(a, logs) == nil {
		t.Error("a table of entries that are yet to come was taken")
	}
	if err := logs.DeleteRange(1, 18); err != nil {
		t.Fatal(err)
	}
	c := newMember(t, bob)
	c.fill(20)
	d := newMember(t, alice)
	d.fill(5)
	d.mustSnapshot()
	if c.reseedFrom(d, logs) == nil {
		t.Error("a table was taken although entries above it are missing")
	}
	if b.db.State() != before || len(b.fatal) > 0 || len(c.fatal) > 0 {
		t.Errorf("state %+v, fatal %v", b.db.State(), b.fatal)
	}
	b.fill(1)
	b.mustSnapshot()
}

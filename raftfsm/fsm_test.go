package raftfsm

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

func readCall(r storage.Reader, s storage.State) *command.Call {
	return &command.Call{Tx: keyspace.NewReader(r, s.Clock), Now: s.Clock}
}

// Alice's client sends two commands at once; Bob's member applies them too,
// and only Alice's hears of the outcome.
func TestRequestIsAppliedEverywhereAndAnsweredAtItsOrigin(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	l := entry(1, request(alice, 1, 1, cmd("SET", "greeting", "hello"), cmd("APPEND", "greeting", " there")))
	a.apply(l)
	b.apply(l)
	a.sameAs(b)
	if got := b.get("greeting"); got != "hello there" {
		t.Errorf("bob reads %q", got)
	}
	res, ok := a.results[resultKey(1, 1)]
	if !ok || len(b.results) > 0 {
		t.Fatalf("answers: alice %v, bob %v", a.results, b.results)
	}
	if res.Err != nil || res.Index != 1 || len(res.Replies) != 2 || res.Replies[0].Text() != "OK" || res.Replies[1].Int != 11 {
		t.Errorf("result %+v", res)
	}
}

// A result is announced only when a reader can see its effects.
func TestAnswerComesAfterTheEffectIsVisible(t *testing.T) {
	a := newMember(t, alice)
	var seen string
	a.fsm.cfg.Waiter = waiterFunc(func([16]byte, uint64, uint64, command.Result) { seen = a.get("k") })
	a.apply(entry(1, request(alice, 1, 1, cmd("SET", "k", "v"))))
	if seen != "v" {
		t.Errorf("at the time of the answer a reader saw %q", seen)
	}
}

// What a result tells of the time is that of its own commands: what others
// have the member do in between is in no request's time.
func TestAResultTellsHowLongItsCommandsTook(t *testing.T) {
	a := newMember(t, alice)
	now := time.Hour
	a.table = command.NewTable([]command.Spec{{Name: "LINGER", Arity: 2, Flags: command.Write,
		Run: func(_ *command.Call, args [][]byte) (command.Reply, error) {
			took, err := time.ParseDuration(string(args[1]))
			now += took
			return command.OK, err
		}}})
	a.fsm.cfg.Table, a.fsm.cfg.Stopwatch = a.table, func() time.Duration { return now }
	a.apply(entry(1, request(bob, 1, 1, cmd("LINGER", "5s")),
		request(alice, 1, 1, cmd("LINGER", "2ms")),
		request(alice, 1, 2, cmd("LINGER", "3ms"), cmd("LINGER", "4ms")),
		request(bob, 1, 2, cmd("LINGER", "5s")),
		request(alice, 1, 3, cmd("LINGER", "1ms"))), entry(2, request(alice, 1, 4, cmd("LINGER", "6ms"))))
	for seq, want := range []time.Duration{1: 2 * time.Millisecond, 2: 7 * time.Millisecond, 3: time.Millisecond, 4: 6 * time.Millisecond} {
		if got := a.results[resultKey(1, uint64(seq))].Took; got != want {
			t.Errorf("request %d took %v, want %v", seq, got, want)
		}
	}
}

// A result tells whether the request has changed anything, whatever it answers.
func TestAResultTellsWhetherAnythingChanged(t *testing.T) {
	a := newMember(t, alice)
	watched := request(alice, 1, 10, cmd("SADD", "set", "c"))
	watched.Request.Watches = []command.Watch{{Key: []byte("set"), Revision: 1 << 40}}
	a.apply(entry(1, request(alice, 1, 1, cmd("SADD", "set", "a")), request(bob, 1, 1, cmd("SADD", "set", "b")),
		request(alice, 1, 2, cmd("SADD", "set", "b"))),
		entry(2, request(alice, 1, 3, cmd("LPOP", "queue")),
			request(alice, 1, 4, cmd("INCR", "set")),
			request(alice, 1, 5, cmd("MSET", "x", "1", "y", "2")),
			request(alice, 1, 6, cmd("INCR", "set"), cmd("INCR", "x"), cmd("LPOP", "queue")),
			request(alice, 1, 7, cmd("SET", "x", "2")), // as it is
			request(alice, 1, 8, cmd("PEXPIREAT", "x", "1")),
			request(alice, 1, 9, cmd("LPOP", "x")), watched))
	for seq, want := range []bool{1: true, 2: false, 3: false, 4: false, 5: true, 6: true, 7: true, 8: true, 9: false, 10: false} {
		if got := a.results[resultKey(1, uint64(seq))]; seq > 0 && got.Changed != want {
			t.Errorf("request %d: %+v", seq, got)
		}
	}
}

type waiterFunc func([16]byte, uint64, uint64, command.Result)

func (f waiterFunc) Done(o [16]byte, b, s uint64, r command.Result) { f(o, b, s, r) }

// A request that reaches the log twice, in one entry, in two, or after a
// restart, counts once.
func TestRepeatedRequestRunsOnce(t *testing.T) {
	a := newMember(t, alice)
	inc := request(alice, 1, 7, cmd("INCR", "n"))
	a.apply(entry(1, inc, inc), entry(2, inc))
	a.mustSnapshot()
	a.restart()
	a.apply(entry(3, inc, request(alice, 1, 8, cmd("INCR", "n"))))
	if got := a.get("n"); got != "2" {
		t.Errorf("n = %s, want 2: request 7 once and request 8", got)
	}
}

// After a restart, the origin counts anew under a higher boot number; what
// still travels from the time before is nobody's any more.
func TestLateRequestOfAnEarlierBootIsDropped(t *testing.T) {
	a := newMember(t, alice)
	a.apply(
		entry(1, request(alice, 4, 1, cmd("INCR", "n"))),
		entry(2, request(alice, 5, 1, cmd("INCR", "n"))),
		entry(3, request(alice, 4, 2, cmd("INCR", "n"))),
	)
	if got := a.get("n"); got != "2" {
		t.Errorf("n = %s, want 2", got)
	}
	if _, ok := a.results[resultKey(4, 2)]; ok {
		t.Error("the late request was answered")
	}
}

// A client watched a key that somebody else changed: nothing of its
// transaction happens.
func TestTransactionWithABrokenWatchDoesNothing(t *testing.T) {
	a := newMember(t, alice)
	a.apply(entry(1, request(alice, 1, 1, cmd("SET", "stock", "1"))))
	buy := func(seq uint64) Item {
		it := request(alice, 1, seq, cmd("DECR", "stock"), cmd("SET", "sold", "yes"))
		it.Request.Watches = []command.Watch{{Key: []byte("stock"), Revision: 1}, {Key: []byte("sold"), Revision: 0}}
		return it
	}
	a.apply(entry(2, buy(2), buy(3)))
	if got := a.get("stock"); got != "0" {
		t.Errorf("stock = %s after two attempts to buy the last one", got)
	}
	if r := a.results[resultKey(1, 2)]; len(r.Replies) != 2 || r.Err != nil {
		t.Errorf("the first got %+v", r)
	}
	if r := a.results[resultKey(1, 3)]; r.Replies != nil || r.Err != nil || r.Index != 2 {
		t.Errorf("the second got %+v", r)
	}
}

// A command that fails leaves nothing behind, and its neighbours stay.
func TestFailedCommandIsUndoneAlone(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	a.apply(entry(1, request(bob, 1, 1, cmd("SET", "innocent", "1"))))
	b.apply(entry(1, request(bob, 1, 1, cmd("SET", "innocent", "1"))))
	// The last one must not see what the failed one wrote.
	a.apply(entry(2, request(alice, 1, 1, set("before", 1), cmd("T.WRITEFAIL", "gone"), cmd("APPEND", "gone", "x"))))
	b.apply(entry(2, request(alice, 1, 1, set("before", 1), cmd("APPEND", "gone", "x"))))
	r := a.results[resultKey(1, 1)].Replies
	if len(r) != 3 || r[0].Text() != "OK" || r[1].Text() != "ERR on purpose" || r[2].Int != 1 {
		t.Fatalf("replies %+v", r)
	}
	a.sameAs(b)
	if a.get("innocent") != "1" || a.get("gone") != "x" {
		t.Error("the failed command left traces")
	}
}

func TestWrongNumberOfArgumentsIsAnswered(t *testing.T) {
	a := newMember(t, alice)
	a.apply(entry(1, request(alice, 1, 1, cmd("INCR"))))
	if r := a.results[resultKey(1, 1)].Replies; len(r) != 1 || r[0].Kind != command.KindError {
		t.Errorf("replies %+v", r)
	}
}

// Time comes from the entries and never goes back; randomness comes from the
// entry's seed and the place in it.
func TestTimeAndRandomnessComeFromTheEntry(t *testing.T) {
	a := newMember(t, alice)
	at := func(index uint64, time int64, seed uint64, items ...Item) *raft.Log {
		e := Entry{LeaderTime: time, Seed: seed, Items: items}
		return &raft.Log{Index: index, Term: 1, Data: EncodeEntry(nil, &e)}
	}
	probe := func(seq uint64) Item { return request(alice, 1, seq, cmd("T.CALL", "k"), cmd("T.CALL", "k")) }
	a.apply(at(1, 5000, 9, probe(1), probe(1), probe(2)), at(2, 4000, 9, probe(3)))
	text := func(seq uint64, i int) string { return a.results[resultKey(1, seq)].Replies[i].Text() }
	first, second := text(1, 0), text(1, 1)
	if !strings.HasPrefix(first, "now=5000 index=1 op=0 ") || !strings.HasPrefix(second, "now=5000 index=1 op=1 ") {
		t.Errorf("%q, %q", first, second)
	}
	if third := text(2, 0); !strings.HasPrefix(third, "now=5000 index=1 op=4 ") {
		t.Errorf("%q: skipped requests keep their places", third)
	}
	later := text(3, 0)
	if !strings.HasPrefix(later, "now=5000 index=2 op=0 ") {
		t.Errorf("%q: the clock went back", later)
	}
	random := func(s string) string { return s[strings.Index(s, "random="):] }
	if random(first) != random(later) {
		t.Error("same seed and place, different randomness")
	}
	if random(first) == random(second) {
		t.Error("two commands of an entry drew the same numbers")
	}
}

// Each of these would make the member differ from the others if it went on.
func TestMemberHaltsRatherThanSkip(t *testing.T) {
	good := entry(2, request(alice, 1, 1, set("k", 1)))
	newer := slices.Clone(good.Data[:len(good.Data)-trailerSize])
	newer[2] = entryVersion + 1
	newer = appendTrailer(newer, 0)
	damaged := slices.Clone(good.Data)
	damaged[len(damaged)/2] ^= 1
	noise := func(data []byte) *raft.Log { return &raft.Log{Index: 2, Term: 1, Data: data} }
	for name, c := range map[string]struct {
		log  *raft.Log
		says string
	}{
		"unknown command":    {entry(2, request(alice, 1, 1, set("k", 1), cmd("NEW.COMMAND", "x"))), "NEW.COMMAND"},
		"newer version":      {noise(newer), ErrVersion.Error()},
		"damaged":            {noise(damaged), ErrDamaged.Error()},
		"empty":              {noise(nil), ErrDamaged.Error()},
		"panic":              {entry(2, request(alice, 1, 1, set("k", 1), cmd("T.PANIC", "x"))), "entry 2: command 1 (\"T.PANIC\") panicked: on purpose"},
		"index goes back":    {entry(1, request(alice, 1, 1, set("k", 1))), "must not go back"},
		"damaged repetition": {entry(2, request([16]byte{'x'}, 1, 1, set("k", 1))), errHistory.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			a := newMember(t, alice)
			a.apply(entry(1, request(bob, 1, 1, set("k", 0))))
			if name == "damaged repetition" {
				state := a.db.State()
				b := a.db.Begin()
				b.Set(historyRow([16]byte{'x'}), []byte("short"))
				b.Commit(state)
			}
			before, rows := a.db.State(), a.rows()
			a.fsm.ApplyBatch([]*raft.Log{c.log, entry(3, request(alice, 1, 2, set("k", 2)))})
			if len(a.fatal) != 1 || !strings.Contains(a.fatal[0].Error(), c.says) {
				t.Fatalf("fatal errors %v, want one with %q", a.fatal, c.says)
			}
			if a.db.State() != before || len(a.results) > 0 {
				t.Error("the member went on")
			}
			for k, v := range rows {
				if a.rows()[k] != v {
					t.Errorf("row %q changed", k)
				}
			}
			if _, err := a.fsm.Snapshot(); err == nil {
				t.Error("a halted member took a snapshot")
			}
			if a.fsm.Restore(nil) == nil {
				t.Error("a halted member installed a snapshot")
			}
		})
	}
}

// raft hands over entries that the table had at the start: they are skipped
// and counted, not applied twice.
func TestEntriesOfTheTableAreSkippedAtTheStart(t *testing.T) {
	a := newMember(t, alice)
	logs := []*raft.Log{entry(1, request(alice, 1, 1, cmd("INCR", "n"))), entry(2, request(bob, 1, 1, cmd("INCR", "n")))}
	a.apply(logs...)
	a.mustSnapshot()
	a.restart()
	clear(a.results)
	a.apply(append(logs, entry(3, request(bob, 1, 2, cmd("INCR", "n"))))...)
	if got := a.get("n"); got != "3" || a.fsm.Skipped() != 2 {
		t.Errorf("n = %s, skipped %d", got, a.fsm.Skipped())
	}
	a.fsm.ApplyBatch(logs[1:])
	if len(a.fatal) != 1 {
		t.Error("after the first new entry an old one must halt the member")
	}
}

// A change of membership changes no rows but moves the index.
func TestMembershipEntryOnlyAdvances(t *testing.T) {
	a := newMember(t, alice)
	a.apply(entry(1, request(alice, 1, 1, set("k", 1))))
	before := a.db.State()
	a.apply(&raft.Log{Index: 2, Term: 3, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(testConfiguration())})
	after := a.db.State()
	if after.Index != 2 || after.Term != 3 || after.Hash != before.Hash || a.fsm.Applied() != 2 {
		t.Errorf("state %+v after %+v", after, before)
	}
}

func TestObserverHearsOfEachBatch(t *testing.T) {
	a := newMember(t, alice)
	a.apply(
		entry(1, request(alice, 1, 1, cmd("XADD", "news", "1-0", "f", "v"))),
		entry(2, request(alice, 1, 2, cmd("XADD", "more", "1-0", "f", "v"))),
	)
	a.apply(entry(3, request(alice, 1, 3, set("k", 1))))
	if !slices.Equal(a.observed, []uint64{2, 3}) {
		t.Errorf("observed %v", a.observed)
	}
	if !slices.Equal(a.touched[0], []string{"news", "more"}) || a.touched[1] == nil || len(a.touched[1]) != 0 {
		t.Errorf("touched %q", a.touched)
	}
}

func TestApplyAnswersNil(t *testing.T) {
	a := newMember(t, alice)
	if got := a.fsm.Apply(entry(1, request(alice, 1, 1, set("k", 1)))); got != nil {
		t.Errorf("%v", got)
	}
}

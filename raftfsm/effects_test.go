package raftfsm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
)

// follow records what a member tells of the effects of entries, as text.
func (m *member) follow() *[]string {
	var told []string
	m.fsm.cfg.Effects = func(index uint64, effects []command.Effect) {
		if effects == nil {
			told = append(told, fmt.Sprint(index, " anything"))
			return
		}
		var b strings.Builder
		for _, e := range effects {
			fmt.Fprintf(&b, " %s/%d", e.Args[0], e.Request)
			for _, c := range e.Changes {
				fmt.Fprintf(&b, " %s=%s:%d>%d", c.Key, [...]string{"made", "changed", "removed", "expired", "consumer", "replaced"}[c.What], c.Before, c.After)
			}
		}
		told = append(told, fmt.Sprint(index, b.String()))
	}
	return &told
}

// Who follows effects hears what each command did to which key, not what was
// undone, and whose request it was.
func TestEffectsAreTold(t *testing.T) {
	a := newMember(t, alice)
	told := a.follow()
	a.apply(entry(1, request(alice, 1, 1, cmd("SET", "before", "x"))))
	a.fsm.Record(true)
	a.apply(
		entry(2, request(alice, 1, 2, cmd("RPUSH", "l", "a", "b"), cmd("LPOP", "l", "2"), cmd("GET", "l")), request(bob, 1, 1, cmd("SET", "before", "y"))),
		entry(3, request(alice, 1, 3, cmd("T.WRITEFAIL", "k"), cmd("GETSET", "l", "v"))),
		entry(4, request(alice, 1, 3, cmd("GETSET", "l", "v"))), // ran before
		entry(5, request(alice, 1, 4, cmd("FLUSHALL"))),
	)
	a.fsm.Record(false)
	a.apply(entry(6, request(alice, 1, 5, cmd("SET", "after", "x"))))
	want := []string{"2 RPUSH/2 l=made:0>2 LPOP/2 l=removed:2>0 SET/0 before=changed:0>0", "3 GETSET/3 l=made:0>0", "4", "5 FLUSHALL/4 =replaced:0>0"}
	if got := strings.Join(*told, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("told\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// Who begins to follow while an entry is being carried out cannot be told what
// it did, but must not miss that it did something.
func TestEffectsOfAnEntryThatHadBegun(t *testing.T) {
	a := newMember(t, alice)
	told := a.follow()
	table := command.NewTable([]command.Spec{{Name: "T.FOLLOW", Arity: 1, Flags: command.Write,
		Run: func(c *command.Call, _ [][]byte) (command.Reply, error) {
			a.fsm.Record(true)
			return command.OK, c.Set([]byte("k"), []byte("v"))
		}}})
	a.fsm.cfg.Table = table
	a.apply(entry(1, request(alice, 1, 1, cmd("T.FOLLOW"))))
	if got := fmt.Sprint(*told); got != "[1 anything]" {
		t.Errorf("told %s", got)
	}
}

// A key whose time has come and that is made anew was two things.
func TestEffectsOfAnExpiredKey(t *testing.T) {
	a := newMember(t, alice)
	told := a.follow()
	a.fsm.Record(true)
	a.apply(
		entry(1, request(alice, 1, 1, cmd("SET", "k", "v", "PXAT", "1500"))),
		entry(2, request(alice, 1, 2, cmd("SETNX", "k", "v"))),
	)
	if got := strings.Join(*told, "\n"); got != "1 SET/1 k=made:0>0\n2 SETNX/2 k=expired:0>0 k=made:0>0" {
		t.Errorf("told\n%s", got)
	}
}

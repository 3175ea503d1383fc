package node

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage/command"
)

// A member with an older program must not leave out what it does not
// understand: it would be another state. It stops and says why; the others go
// on, and a newer program goes on where it stopped.
func TestAMemberThatDoesNotKnowACommandStops(t *testing.T) {
	t.Parallel()
	var old atomic.Value // name of the member with the older program
	old.Store("m1")
	var said atomic.Value
	g := form(t, 3, func(o *Options) {
		settled(o)
		if o.Name == old.Load() {
			o.Fatal = func(err error) { said.Store(err.Error()) }
			return
		}
		o.Table = command.NewTable([]command.Spec{{Name: "NEWER", Arity: 2, Flags: command.Write,
			Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
				c.Set(args[1], []byte("done"))
				return command.OK, nil
			}}}, specs())
	})
	g.do(g.members[0], "NEWER", "x")
	g.wait("the older program to stop", func() bool { return said.Load() != nil })
	if why := said.Load().(string); !strings.Contains(why, `"NEWER"`) || !strings.Contains(why, "older than the one that proposed it") {
		t.Errorf("it says %q", why)
	}
	if got := get(t, g.members[1], "x"); got != "" {
		t.Errorf("it has %q", got)
	}
	g.do(g.members[2], "INCR", "n")
	dir := g.members[1].opt.Dir
	g.kill(1)
	old.Store("")
	g.restart(1, dir)
	must(t, g.members[1].WaitReady(t.Context()))
	if got := get(t, g.members[1], "x"); got != "done" {
		t.Errorf("with the newer program it has %q", got)
	}
	g.converge()
}

// The same for an entry of a format to come.
func TestAMemberThatDoesNotKnowAnEntryStops(t *testing.T) {
	t.Parallel()
	var said atomic.Value
	g := form(t, 1, func(o *Options) { o.Fatal = func(err error) { said.Store(err.Error()) } })
	m := g.members[0]
	newer := raftfsm.EncodeParts(time.Now().UnixMilli(), 1, 0, nil)
	newer[2] = 99
	body := newer[:len(newer)-4]
	newer = binary.BigEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	m.raft.ApplyLog(raft.Log{Data: newer}, 0)
	g.wait("it to stop", func() bool { return said.Load() != nil })
	if why := said.Load().(string); !strings.Contains(why, "format 99") || !strings.Contains(why, "needs a newer program") {
		t.Errorf("it says %q", why)
	}
}

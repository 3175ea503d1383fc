package resp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// What servers tell about themselves differs, but not in its shape: libraries
// take it apart, by protocol.
var toldAlike = strings.Split(strings.TrimSpace(`
PUBSUB CHANNELS
PUBSUB NUMPAT
PUBSUB NUMSUB a b
PUBSUB SHARDCHANNELS
PUBSUB SHARDNUMSUB a b
PUBSUB HELP
CLIENT ID
CLIENT INFO
CLIENT LIST
CLIENT GETNAME
CLIENT SETNAME joe
CLIENT GETNAME
CLIENT GETREDIR
CLIENT TRACKINGINFO
CLIENT TRACKING on bcast prefix a
CLIENT TRACKINGINFO
CLIENT TRACKING off
CLIENT NO-EVICT off
CLIENT UNBLOCK 12345
CLIENT KILL ID 999999
CLIENT PAUSE 0
CLIENT UNPAUSE
CONFIG GET maxmemory
CONFIG GET nothing
CONFIG GET save appendonly
CONFIG RESETSTAT
CONFIG SET slowlog-log-slower-than 0
SLOWLOG LEN
SLOWLOG GET
CONFIG SET slowlog-log-slower-than -1
SLOWLOG RESET
SLOWLOG GET
LATENCY LATEST
LATENCY HISTORY command
LATENCY RESET
LATENCY DOCTOR
LATENCY HISTOGRAM set
LATENCY GRAPH command
MEMORY DOCTOR
MEMORY USAGE none
MEMORY PURGE
MODULE LIST
COMMAND COUNT
COMMAND INFO get
COMMAND INFO nothing get
COMMAND DOCS nothing
COMMAND GETKEYS MSET a b c d
COMMAND GETKEYS GET
COMMAND GETKEYSANDFLAGS LMOVE a b left right
COMMAND LIST FILTERBY PATTERN xg*
COMMAND LIST FILTERBY ACLCAT geo
COMMAND LIST FILTERBY MODULE none
ACL WHOAMI
ACL USERS
ACL LIST
ACL CAT
ACL CAT geo
ACL GETUSER default
ACL GETUSER nobody
ACL LOG
ACL LOG RESET
ACL GENPASS
ACL DRYRUN default get a
ACL HELP
OBJECT HELP
OBJECT ENCODING none
SET s 12
OBJECT ENCODING s
OBJECT FREQ s
OBJECT IDLETIME s
OBJECT REFCOUNT s
LASTSAVE
TIME
ROLE
DBSIZE
INFO server
INFO nothing
SCRIPT EXISTS x
SCRIPT FLUSH
FUNCTION LIST
CLUSTER INFO
CLUSTER SLOTS
ASKING
XADD st * a b
XGROUP CREATE st g 0
XINFO STREAM st
XREADGROUP GROUP g c STREAMS st >
XINFO STREAM st FULL
XINFO GROUPS st
XINFO CONSUMERS st g
XINFO HELP
ECHO hi
PING
RESET
`), "\n")

func TestServersTellOfThemselvesInTheShapeOfRedis(t *testing.T) {
	theirs := redistest.Start(t)
	addr := startServer(t, Config{}, startNode(t)).Addr()
	ours := redistest.Dial(t, addr.Network(), addr.String())
	for _, proto := range []string{"2", "3"} {
		for _, c := range []*redistest.Conn{ours, theirs} {
			c.Do("HELLO", proto)
			c.Do("FLUSHALL")
		}
		for _, line := range toldAlike {
			args := strings.Fields(line)
			if got, want := shapeOf(ours.Do(args...)), shapeOf(theirs.Do(args...)); got != want {
				t.Errorf("RESP%s: %s answers %s, Redis %s", proto, line, got, want)
			}
		}
	}
}

// Libraries take MEMORY STATS apart by the names of its figures. What the group
// keeps for itself is not among the keys that are counted.
func TestMemoryStatsHasTheFiguresOfRedis(t *testing.T) {
	theirs := redistest.Start(t)
	addr := startServer(t, Config{}, startNode(t)).Addr()
	ours := redistest.Dial(t, addr.Network(), addr.String())
	names := func(r command.Reply) (names []string) {
		for i := 0; i+1 < len(r.Elems); i += 2 {
			name := r.Elems[i].Text()
			if name == "keys.count" {
				name += fmt.Sprint("=", r.Elems[i+1].Int)
			}
			for k := 0; k+1 < len(r.Elems[i+1].Elems); k += 2 {
				name += " " + r.Elems[i+1].Elems[k].Text()
			}
			names = append(names, name)
		}
		return names
	}
	for _, line := range []string{"FLUSHALL", "SET a 1", "SELECT 3", "SET a 1 EX 1000"} {
		ours.Do(strings.Fields(line)...)
		theirs.Do(strings.Fields(line)...)
		if got, want := names(ours.Do("MEMORY", "STATS")), names(theirs.Do("MEMORY", "STATS")); !slices.Equal(got, want) {
			t.Errorf("after %s:\n here: %q\nredis: %q", line, got, want)
		}
	}
}

// shapeOf tells what kinds a reply is made of, and for errors which it is. How
// many elements there are and in which order they are does not count.
func shapeOf(r command.Reply) string {
	switch {
	case r.Kind == command.KindError:
		code, _, _ := strings.Cut(string(r.Str), " ")
		return code
	case r.Elems == nil:
		return fmt.Sprint(r.Kind)
	}
	var inside []string
	for _, e := range r.Elems {
		inside = append(inside, shapeOf(e))
	}
	slices.Sort(inside)
	return fmt.Sprintf("%v%v", r.Kind, slices.Compact(inside))
}

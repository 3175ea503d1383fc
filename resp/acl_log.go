package resp

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// defaultACLLog is how many refusals ACL LOG keeps unless told otherwise.
const defaultACLLog = 128

// aclLog keeps the last refusals; what repeats is counted.
type aclLog struct {
	mu      sync.Mutex
	entries []aclLogEntry // oldest first
	next    int64
}

type aclLogEntry struct {
	id                            int64
	count                         int64
	reason, context, object, user string
	client                        string
	created, updated              time.Time
}

// add notes a refusal. What was refused in the same way within a minute is the
// same entry.
func (l *aclLog) add(s *session, reason, object, user string) {
	e := aclLogEntry{count: 1, reason: reason, context: "toplevel", object: string(cut([]byte(object), maxQuoted)), user: user, created: time.Now()}
	if s.tx.open {
		e.context = "multi"
	}
	e.client, e.updated = s.describe(0), e.created
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.entries {
		o := &l.entries[i]
		if o.reason == e.reason && o.context == e.context && o.object == e.object && o.user == e.user && e.created.Sub(o.updated) < time.Minute {
			o.count, o.updated, o.client = o.count+1, e.updated, e.client
			return
		}
	}
	e.id = l.next
	l.next++
	l.entries = append(l.entries, e)
	if more := int64(len(l.entries)) - s.server.live.aclLogLength.Load(); more > 0 {
		l.entries = append(l.entries[:0], l.entries[more:]...)
	}
}

func (l *aclLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

// last describes the newest n refusals, newest first.
func (l *aclLog) last(n int) []command.Reply {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []command.Reply{}
	b := command.BulkString
	for i := len(l.entries) - 1; i >= 0 && len(out) < n; i-- {
		e := &l.entries[i]
		out = append(out, command.Map(
			b("count"), command.Int(e.count),
			b("reason"), b(e.reason), b("context"), b(e.context), b("object"), b(e.object), b("username"), b(e.user),
			b("age-seconds"), command.Double(float64(time.Since(e.updated).Milliseconds())/1000),
			b("client-info"), b(e.client),
			b("entry-id"), command.Int(e.id),
			b("timestamp-created"), command.Int(e.created.UnixMilli()),
			b("timestamp-last-updated"), command.Int(e.updated.UnixMilli()),
		))
	}
	return out
}

func aclLogCommand(s *session, args [][]byte) (command.Reply, error) {
	n := 10
	if len(args) > 3 {
		return command.Reply{}, errSubArity("ACL", args[1])
	}
	if len(args) == 3 {
		if strings.EqualFold(string(args[2]), "RESET") {
			s.server.acl.log.reset()
			return command.OK, nil
		}
		v, err := strconv.ParseInt(string(args[2]), 10, 64)
		if err != nil {
			return command.Reply{}, command.ErrNotInteger
		}
		n = int(max(min(v, math.MaxInt32), 0))
	}
	return command.Array(s.server.acl.log.last(n)...), nil
}

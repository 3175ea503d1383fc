package resp

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// monitors are the connections of this node that see all commands of it.
type monitors struct {
	count atomic.Int32 // so that nobody pays while there are none
	mu    sync.Mutex
	all   map[*session]struct{}
}

func monitorCommands() []local {
	return []local{{
		spec: command.Spec{Name: "MONITOR", Arity: 1, Flags: command.Admin, Group: "server", Since: "1.0.0",
			Categories: []string{"admin", "slow", "dangerous"}, Summary: "Shows all commands that this node is sent, until RESET or QUIT."},
		run: (*session).monitor, noMulti: true,
	}}
}

// monitor answers before the first command is shown, and whatever comes after
// the answer is.
func (s *session) monitor([][]byte) (command.Reply, error) {
	s.sendAhead()
	s.emit(command.OK)
	m := &s.server.monitors
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[*session]struct{}{}
	}
	m.all[s] = struct{}{}
	m.count.Store(int32(len(m.all)))
	s.guard.patient = true
	s.monitoring.Store(true)
	answer := s.out // there is room: what was answered before has been sent
	s.out = getBuffer()
	return noReply, s.guard.out.push(answer, s.server.live.hardLimit(classPubsub))
}

// leave is called for every connection that ends.
func (m *monitors) leave(s *session) {
	if m.count.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, s)
	s.monitoring.Store(false)
	m.count.Store(int32(len(m.all)))
}

// show tells the monitors of a command. Those for operators are not shown, and
// what may be a password is hidden. A monitor that does not read is dropped.
func (m *monitors) show(s *session, e *entry, args [][]byte) {
	if m.count.Load() == 0 || e.spec.Is(command.Admin) {
		return
	}
	now := time.Now()
	var b strings.Builder
	fmt.Fprintf(&b, "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, s.dbIndex(), s.addr)
	for i, a := range args {
		if e.hides(args, i) {
			a = redacted
		}
		b.WriteByte(' ')
		b.WriteString(quoteArg(a))
	}
	b.WriteString("\r\n")
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.all {
		if c == s && e.spec.Name == "RESET" {
			continue // it is no monitor any more
		}
		_ = c.guard.out.push([]byte(b.String()), s.server.live.hardLimit(classPubsub))
	}
}

// quoteArg writes an argument as redis-cli takes it.
func quoteArg(a []byte) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range a {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\a':
			b.WriteString(`\a`)
		case c == '\b':
			b.WriteString(`\b`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

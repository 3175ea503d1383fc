package resp

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// What SLOWLOG keeps of a command.
const (
	slowArgs     = 32
	slowArgBytes = 128
)

// slowlog keeps the last commands that took long to carry out. How long a write
// waited for the disks of the group is not in it: see Server.noteCommit.
type slowlog struct {
	live *settings

	mu      sync.Mutex
	entries []slowEntry // oldest first
	lastID  int64
}

type slowEntry struct {
	id   int64
	at   time.Time
	took time.Duration
	args [][]byte
	addr string
	name string
}

func newSlowlog(live *settings) *slowlog { return &slowlog{live: live, lastID: -1} }

func (l *slowlog) isSlow(took time.Duration) bool {
	from := l.live.slowerThan.Load()
	return from >= 0 && took.Microseconds() >= from
}

func (l *slowlog) add(s *session, e *entry, args [][]byte, took time.Duration) {
	kept := slowEntry{at: time.Now(), took: took, args: shownArgs(e, args), addr: s.addr, name: s.clientName()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID++
	kept.id = l.lastID
	l.entries = append(l.entries, kept)
	l.trimLocked()
}

// trim forgets what is more than slowlog-max-len.
func (l *slowlog) trim() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimLocked()
}

func (l *slowlog) trimLocked() {
	if more := int64(len(l.entries)) - l.live.slowLength.Load(); more > 0 {
		clear(l.entries[:more])
		l.entries = l.entries[more:] // and now and then append moves what is left
	}
}

// shownArgs cuts arguments to a size that is worth keeping, and hides those
// that may be passwords.
func shownArgs(e *entry, args [][]byte) [][]byte {
	out := make([][]byte, 0, min(len(args), slowArgs))
	for i, a := range args {
		switch {
		case i == slowArgs-1 && len(args) > slowArgs:
			return append(out, fmt.Appendf(nil, "... (%d more arguments)", len(args)-i))
		case e.hides(args, i):
			out = append(out, redacted)
		case len(a) > slowArgBytes:
			out = append(out, fmt.Appendf(nil, "%s... (%d more bytes)", a[:slowArgBytes], len(a)-slowArgBytes))
		default:
			out = append(out, a)
		}
	}
	return out
}

var redacted = []byte("(redacted)")

// hides says whether an argument of a command may be a password.
func (e *entry) hides(args [][]byte, i int) bool {
	switch {
	case !e.secret || i == 0:
		return false
	case e.lower == "hello":
		return i > 1 && helloHides(args, i)
	case e.lower == "config|set":
		return i >= 3 && i%2 == 1 && isSecretSetting(args[i-1])
	case strings.Contains(e.lower, "|"):
		return i > 1
	}
	return true
}

// helloHides says whether an option of HELLO belongs to AUTH, or comes after one
// that there is not and that may have been meant to be AUTH.
func helloHides(args [][]byte, i int) bool {
	for k := 2; k < len(args); {
		switch {
		case strings.EqualFold(string(args[k]), "AUTH"):
			if i == k+1 || i == k+2 {
				return true
			}
			k += 3
		case strings.EqualFold(string(args[k]), "SETNAME"):
			k += 2
		default:
			return i >= k
		}
	}
	return false
}

// isSecretSetting says whether this is one of the settings that Redis keeps
// passwords in. None of them can be set here, but somebody may try.
func isSecretSetting(name []byte) bool {
	switch strings.ToLower(string(name)) {
	case "requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass":
		return true
	}
	return false
}

// last gives the newest n entries, newest first.
func (l *slowlog) last(n int) []slowEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 || n > len(l.entries) {
		n = len(l.entries)
	}
	out := make([]slowEntry, 0, n)
	for i := len(l.entries) - 1; len(out) < n; i-- {
		out = append(out, l.entries[i])
	}
	return out
}

func (l *slowlog) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *slowlog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

func slowlogGet(s *session, args [][]byte) (command.Reply, error) {
	n := 10
	if len(args) > 3 {
		return command.Reply{}, command.ErrArity("slowlog|get")
	}
	if len(args) == 3 {
		v, err := strconv.Atoi(string(args[2]))
		if err != nil || v < -1 {
			return command.Reply{}, command.Errorf("ERR", "count should be greater than or equal to -1")
		}
		n = v
	}
	var out []command.Reply
	for _, e := range s.server.slow.last(n) {
		shown := make([]command.Reply, len(e.args))
		for i, a := range e.args {
			shown[i] = command.Bulk(a)
		}
		out = append(out, command.Array(
			command.Int(e.id), command.Int(e.at.Unix()), command.Int(e.took.Microseconds()),
			command.Array(shown...), command.BulkString(e.addr), command.BulkString(e.name)))
	}
	return command.Array(out...), nil
}

func bulkList(list []string) command.Reply {
	elems := make([]command.Reply, len(list))
	for i, v := range list {
		elems[i] = command.BulkString(v)
	}
	return command.Array(elems...)
}

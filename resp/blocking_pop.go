package resp

import (
	"bytes"
	"strings"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis"
)

// popForm describes a command that removes elements and waits if there is
// none. The Store answers null then and does not wait.
type popForm struct {
	typ     keyspace.Type // of the keys that it removes from
	timeout int           // place of the timeout; negative: from the end
	source  bool          // it removes from the first key only
	// simple says that nothing can be wrong with the other arguments of a
	// call, so that it need not be tried to know.
	simple func(args [][]byte) bool
}

// popFormOf gives nil for a command of another form.
func popFormOf(name string) *popForm {
	always := func([][]byte) bool { return true }
	switch name {
	case "BLPOP", "BRPOP":
		return &popForm{typ: keyspace.List, timeout: -1, simple: always}
	case "BRPOPLPUSH":
		return &popForm{typ: keyspace.List, timeout: -1, source: true, simple: always}
	case "BLMOVE":
		return &popForm{typ: keyspace.List, timeout: -1, source: true,
			simple: func(args [][]byte) bool { return isListEnd(args[3]) && isListEnd(args[4]) }}
	case "BLMPOP":
		return &popForm{typ: keyspace.List, timeout: 1, simple: func([][]byte) bool { return false }}
	case "BZPOPMIN", "BZPOPMAX":
		return &popForm{typ: keyspace.ZSet, timeout: -1, simple: always}
	case "BZMPOP":
		return &popForm{typ: keyspace.ZSet, timeout: 1, simple: func([][]byte) bool { return false }}
	}
	return nil
}

func isListEnd(arg []byte) bool {
	return bytes.EqualFold(arg, []byte("LEFT")) || bytes.EqualFold(arg, []byte("RIGHT"))
}

// limit reads how long a call is to wait.
func (f *popForm) limit(args [][]byte) (wait time.Duration, forever bool, err error) {
	at := f.timeout
	if at < 0 {
		at += len(args)
	}
	ms, err := redis.ParseWait(args[at], time.Now().UnixMilli())
	if err != nil {
		return 0, false, err
	}
	return time.Duration(min(ms, int64(maxBlock/time.Millisecond))) * time.Millisecond, ms == 0, nil
}

// keys gives those that the call waits for.
func (f *popForm) keys(e *entry, args [][]byte) [][]byte {
	keys := e.keys(args)
	if f.source {
		keys = keys[:min(len(keys), 1)]
	}
	return keys
}

// blockPop carries out a command that removes elements. Those of this node
// who wait for one key get its elements in the order in which they came: each
// waits for its turn, and who leaves lets the next one look.
func (s *session) blockPop(e *entry, args [][]byte) command.Reply {
	wait, forever, err := e.pop.limit(args)
	if err != nil {
		return command.Fail(err)
	}
	hub := s.server.hub
	w := hub.queue(s.dbIndex(), e.pop.keys(e, args), e.pop.typ)
	defer hub.remove(w)
	if reply := s.firstPop(e, args, w); !reply.IsNull() {
		return reply
	}
	return s.await(w, wait, forever, func() command.Reply {
		if !s.popIsDue(e, w) {
			return command.Null()
		}
		return s.attempt(e, args)
	})
}

// firstPop tries at once, unless others wait for the same keys: they come
// first.
func (s *session) firstPop(e *entry, args [][]byte, w *waiter) command.Reply {
	if !e.pop.simple(args) || s.server.hub.isFirst(w) {
		return s.attempt(e, args)
	}
	if err := s.catchUp(); err != nil {
		return command.Fail(storeError(err, command.ErrUnconfirmed))
	}
	if s.popIsDue(e, w) || s.popIsWrong(e, args) {
		return s.attempt(e, args)
	}
	return command.Null()
}

// popIsDue says whether a key has elements, in this node's state, that it is
// the waiter's turn to remove.
func (s *session) popIsDue(e *entry, w *waiter) bool {
	due := false
	_ = s.server.store.View(func(tx *keyspace.Tx) error {
		tx.Select(s.dbIndex())
		for _, key := range w.keys {
			if tx.Type([]byte(key)) == e.pop.typ && s.server.hub.leads(w, key) {
				due = true
				return nil
			}
		}
		return nil
	})
	return due
}

// popIsWrong says whether a key holds another type, which the Store answers.
func (s *session) popIsWrong(e *entry, args [][]byte) bool {
	wrong := false
	_ = s.server.store.View(func(tx *keyspace.Tx) error {
		tx.Select(s.dbIndex())
		for _, key := range e.pop.keys(e, args) {
			if typ := tx.Type(key); typ != keyspace.None && typ != e.pop.typ {
				wrong = true
			}
		}
		return nil
	})
	return wrong
}

// retryDelay is how long a waiting command lets the group choose a leader
// before it tries again.
const retryDelay = 100 * time.Millisecond

// happenedNot says whether a reply tells that nothing was done and that trying
// again may help.
func happenedNot(r command.Reply) bool {
	if r.Kind != command.KindError {
		return false
	}
	text := string(r.Str)
	return text == command.ErrBusy.Error() || strings.HasPrefix(text, "CLUSTERDOWN ") && text != command.ErrClosing.Error()
}

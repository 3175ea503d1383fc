package resp

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis"
)

var (
	errUnblocked    = command.Errorf("UNBLOCKED", "client unblocked via CLIENT UNBLOCK")
	errStreamGone   = command.Errorf("UNBLOCKED", "the stream key no longer exists")
	errGroupGone    = command.Errorf("NOGROUP", "the consumer group this client was blocked on no longer exists")
	errTimeoutInt   = command.Errorf("ERR", "timeout is not an integer or out of range")
	errTimeoutBelow = command.Errorf("ERR", "timeout is negative")
)

// blockingForm gives the function that tells whether a call of the command is
// to wait, or nil if it never is.
func blockingForm(spec *command.Spec) func(args [][]byte) bool {
	if !spec.Is(command.Blocking) {
		return func([][]byte) bool { return false }
	}
	if popFormOf(spec.Name) != nil {
		return func([][]byte) bool { return true }
	}
	return func(args [][]byte) bool { return blockOption(args) > 0 }
}

// blockOption gives the place of BLOCK among the options of XREAD and
// XREADGROUP, which end at STREAMS; 0: there is none.
func blockOption(args [][]byte) int {
	for i := 1; i+1 < len(args); i++ {
		switch {
		case bytes.EqualFold(args[i], []byte("STREAMS")):
			return 0
		case bytes.EqualFold(args[i], []byte("BLOCK")):
			return i
		case bytes.EqualFold(args[i], []byte("GROUP")):
			i += 2 // its name and the consumer's, whatever they are
		case bytes.EqualFold(args[i], []byte("COUNT")):
			i++
		}
	}
	return 0
}

// withoutBlock takes BLOCK and its value out of the arguments: the Store does
// not wait. forever is BLOCK 0.
func withoutBlock(args [][]byte) (rest [][]byte, wait time.Duration, forever bool, err error) {
	at := blockOption(args)
	if at == 0 {
		return args, 0, false, nil
	}
	ms, perr := strconv.ParseInt(string(args[at+1]), 10, 64)
	switch {
	case perr != nil || ms > int64(maxBlock/time.Millisecond):
		return nil, 0, false, errTimeoutInt
	case ms < 0:
		return nil, 0, false, errTimeoutBelow
	}
	rest = make([][]byte, 0, len(args)-2)
	rest = append(append(rest, args[:at]...), args[at+2:]...)
	return rest, time.Duration(ms) * time.Millisecond, ms == 0, nil
}

// maxBlock keeps the arithmetic on waiting times far from overflow.
const maxBlock = 100 * 365 * 24 * time.Hour

// runBlocking carries out a command that waits for entries or elements. The
// wait is local to this node: each applied change wakes those who wait for its
// keys, and they try again. What the tries take counts as the command's time.
func (s *session) runBlocking(e *entry, args [][]byte) {
	s.tried = 0
	reply := s.block(e, args)
	s.note(e, args, s.tried, reply)
	s.emitAlone(reply)
}

func (s *session) block(e *entry, args [][]byte) command.Reply {
	if e.pop != nil {
		return s.blockPop(e, args)
	}
	args, wait, forever, err := withoutBlock(args)
	if err != nil {
		return command.Fail(err)
	}
	w := s.server.hub.register(e.keys(args))
	defer s.server.hub.remove(w)
	args, err = s.resolveLastIDs(e, args)
	if err != nil {
		return command.Fail(err)
	}
	reply := s.attempt(e, args)
	if !reply.IsNull() {
		return reply
	}
	return s.await(w, wait, forever, func() command.Reply { return s.afterLoss(e, args, s.attempt(e, args)) })
}

// afterLoss gives the answer to one who waits where streams may have gone
// meanwhile: who reads for a group is told, who just reads waits for another
// stream of that name.
func (s *session) afterLoss(e *entry, args [][]byte, reply command.Reply) command.Reply {
	var failure *command.Error
	if !errors.As(reply.Err(), &failure) || failure.Code != "WRONGTYPE" && failure.Code != "NOGROUP" {
		return reply
	}
	if !e.spec.Is(command.Write) {
		return command.NullArray()
	}
	lost := errGroupGone
	err := s.server.store.View(func(tx *keyspace.Tx) error {
		tx.Select(s.dbIndex())
		for _, key := range e.keys(args) {
			if tx.Type(key) != keyspace.Stream {
				lost = errStreamGone
			}
		}
		return nil
	})
	if err != nil {
		return command.Fail(storeError(err, command.ErrUnconfirmed))
	}
	return command.Fail(lost)
}

// await tries again each time the waiter is woken, until there is an answer,
// the time has passed, or the wait is given up. While the group has no leader
// it goes on.
func (s *session) await(w *waiter, wait time.Duration, forever bool, try func() command.Reply) command.Reply {
	s.pushReplies() // what was answered before must not wait with this command
	s.sendInvalidations()
	defer s.holdInvalidations()
	s.out = getBuffer()
	var timeout <-chan time.Time
	if !forever {
		t := time.NewTimer(wait)
		defer t.Stop()
		timeout = t.C
	}
	unblock := make(chan bool, 1)
	s.unblock.Store(&unblock)
	s.server.stats.Blocked.Add(1)
	hangup, stop := s.guard.watchHangup()
	defer func() {
		stop()
		s.server.stats.Blocked.Add(-1)
		s.unblock.Store(nil)
	}()
	var again <-chan time.Time
	for {
		select {
		case <-hangup: // before all else: what is removed now would be lost
			s.end()
			return noReply
		default:
		}
		select {
		case <-w.woken:
			if s.guard.broken() { // the end of the input may not have been noticed yet
				s.end()
				return noReply
			}
			s.holdInvalidations()
			reply := try()
			if reply.IsNull() || happenedNot(reply) {
				s.sendInvalidations()
			}
			switch {
			case happenedNot(reply):
				again = time.After(retryDelay)
			case !reply.IsNull():
				return reply
			}
		case <-again:
			w.wake()
		case <-timeout:
			return command.NullArray()
		case withError := <-unblock:
			if withError {
				return command.Fail(errUnblocked)
			}
			return command.NullArray()
		case <-s.server.stop:
			s.end()
			return command.Fail(command.ErrClosing)
		case <-hangup:
			s.end()
			return noReply
		}
	}
}

// attempt runs the command once without waiting. Null: there is nothing yet.
func (s *session) attempt(e *entry, args [][]byte) command.Reply {
	items := []item{{entry: e, db: s.dbIndex(), args: args, tracked: s.tracks()}}
	if e.spec.Is(command.Write) {
		s.run.propose(items)
	} else {
		s.run.readHere(items, true)
	}
	s.tried += items[0].took
	return items[0].reply
}

// resolveLastIDs catches up with the group and puts the last id of each stream
// in the place of "$", which stands for the moment when the command came, and
// of "+" where there is no entry yet.
func (s *session) resolveLastIDs(e *entry, args [][]byte) ([][]byte, error) {
	if e.spec.Is(command.Write) {
		return args, nil
	}
	if err := s.catchUp(); err != nil {
		return nil, storeError(err, command.ErrUnconfirmed)
	}
	keys := e.keys(args)
	ids := len(args) - len(keys)
	out := append([][]byte{}, args...)
	err := s.server.store.View(func(tx *keyspace.Tx) error {
		tx.Select(s.dbIndex())
		for i, key := range keys {
			switch string(args[ids+i]) {
			case "$":
			case redis.LatestEntry:
				if n, err := tx.XLen(key); n > 0 || err != nil {
					continue // it is served, or fails, at once
				}
			default:
				continue
			}
			last, err := tx.XLast(key)
			if err != nil {
				return err
			}
			out[ids+i] = []byte(strconv.FormatUint(last.Ms, 10) + "-" + strconv.FormatUint(last.Seq, 10))
		}
		return nil
	})
	if err != nil {
		return nil, storeError(err, command.ErrUnconfirmed)
	}
	return out, nil
}

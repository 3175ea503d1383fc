package resp

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

var (
	errNoAuth = command.Errorf("NOAUTH", "Authentication required.")
	errBusyTx = command.Errorf("ERR", "too many commands in the transaction, nothing of it will be carried out")
)

// dispatch decides what becomes of a command: refused, answered here, queued
// by MULTI, or run in the Store together with its neighbours.
func (s *session) dispatch(args [][]byte) {
	s.advanceReplyMode()
	s.server.stats.Commands.Add(1)
	if isHTTP(args[0]) {
		s.end()
		return
	}
	e, err := s.server.catalog.lookup(args)
	if err == nil {
		s.lastCmd.Store(e)
		if err = s.admit(e, args); err == nil {
			s.server.monitors.show(s, e, args)
		}
	}
	if len(s.told) > 0 && (err != nil || e.spec.Group != "pubsub" || s.server.paused.on.Load()) {
		s.told.flush()
	}
	if err == nil {
		s.awaitResume(e)
	}
	switch {
	case err != nil:
		s.reject(e, err)
	case s.tx.open && !e.immediate:
		s.queue(e, args)
	case e.local != nil:
		s.run.flush()
		s.runLocal(e, args)
	default:
		s.run.add(e, args)
	}
	s.endCaching(e)
}

// isHTTP recognises a browser that a web page has sent here: the lines of its
// request must not be carried out as commands.
func isHTTP(name []byte) bool {
	return bytes.EqualFold(name, []byte("POST")) || bytes.EqualFold(name, []byte("Host:"))
}

// advanceReplyMode lets CLIENT REPLY SKIP have its effect on one command.
func (s *session) advanceReplyMode() {
	switch s.replies {
	case replySkipNext:
		s.run.flush()
		s.replies = replySkip
	case replySkip:
		s.run.flush()
		s.replies = replyOn
	}
}

// admit says why a command must not run, or nil.
func (s *session) admit(e *entry, args [][]byte) error {
	switch {
	case !e.spec.ArityOK(len(args)):
		return command.ErrArity(e.lower)
	case !s.authenticated() && !e.spec.Is(command.NoAuth):
		return errNoAuth
	case e.spec.Is(command.Internal):
		return command.Errorf("NOPERM", "'"+e.lower+"' is internal: only the nodes of the group may send it")
	case !e.subscribing && s.onlyListens():
		return errOnlyListens(e)
	}
	if err := s.permit(e, args); err != nil {
		return err
	}
	if e.noMulti && s.tx.open {
		return errNoMulti
	}
	if e.refusal != nil {
		return e.refusal
	}
	return checkDomainKeys(e, args)
}

// reject answers a command that is not carried out. In a transaction it also
// spoils EXEC; EXEC itself ends the transaction then.
func (s *session) reject(e *entry, err error) {
	if e != nil {
		e.calls.rejected.Add(1)
		e.calls.failures.Add(1)
	}
	switch {
	case e != nil && e.spec.Name == "EXEC":
		s.closeTx()
		err = execAborted(err)
	case s.tx.open:
		s.tx.spoilt = true
	}
	s.run.answer(command.Fail(err))
}

// runLocal carries out a command of the connection or the server.
func (s *session) runLocal(e *entry, args [][]byte) {
	began := time.Now()
	s.waited = 0
	reply, err := e.local(s, args)
	if err != nil {
		reply = command.Fail(err)
	}
	s.note(e, args, max(time.Since(began)-s.waited, 0), reply)
	s.emitAlone(reply)
}

// emitAlone emits the reply to a command that was carried out by itself.
func (s *session) emitAlone(reply command.Reply) {
	if reply.Kind != kindNoReply {
		s.emit(reply)
	}
	s.tellInvalidations()
}

// note counts a command that was carried out, and keeps it if it was slow. The
// commands of a transaction are kept, and not EXEC.
func (s *session) note(e *entry, args [][]byte, took time.Duration, reply command.Reply) {
	failed := reply.Kind == command.KindError
	if failed {
		s.server.stats.Failed.Add(1)
		s.server.failures.add(reply.Str)
	}
	e.calls.note(took, failed)
	s.server.noteTime(e, took)
	if s.server.slow.isSlow(took) && e.spec.Name != "EXEC" {
		s.server.slow.add(s, e, args, took)
	}
}

// kindNoReply marks a command that has answered already, or answers nothing.
const kindNoReply = command.Kind(255)

var noReply = command.Reply{Kind: kindNoReply}

// maxQuoted bounds how much of a client's words an error repeats.
const maxQuoted = 128

// errUnknown is the answer to a command that does not exist. Clients probe on
// this text.
func errUnknown(args [][]byte) error {
	if runsScripts(args[0]) {
		return command.Errorf("ERR", fmt.Sprintf("unknown command '%s': there are no scripts here; WATCH and MULTI make one step of several commands", args[0]))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "unknown command '%s', with args beginning with: ", cut(args[0], maxQuoted))
	quoted := 0
	for _, a := range args[1:] {
		if quoted >= maxQuoted {
			break
		}
		shown := cut(a, maxQuoted-quoted)
		fmt.Fprintf(&b, "'%s' ", shown)
		quoted += len(shown) + 3
	}
	return command.Errorf("ERR", b.String())
}

func cut(b []byte, n int) []byte { return b[:min(len(b), n)] }

package resp

import (
	"errors"
	"strings"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

var (
	errNestedMulti   = command.Errorf("ERR", "MULTI calls can not be nested")
	errWatchInside   = command.Errorf("ERR", "WATCH inside MULTI is not allowed")
	errExecAlone     = command.Errorf("ERR", "EXEC without MULTI")
	errDiscardAlone  = command.Errorf("ERR", "DISCARD without MULTI")
	errExecAbort     = command.Errorf("EXECABORT", "Transaction discarded because of previous errors.")
	errWatchConflict = errors.New("a watched key has changed")
)

// execAborted is the answer to an EXEC that is refused for a reason of its own.
func execAborted(reason error) error {
	return command.Errorf("EXECABORT", "Transaction discarded because of: "+strings.TrimPrefix(reason.Error(), "ERR "))
}

// transaction is what MULTI and WATCH keep of a connection.
type transaction struct {
	open    bool
	spoilt  bool // a command was refused: EXEC must refuse too
	queue   []item
	bytes   int
	watches []command.Watch
}

func (t *transaction) clear() { *t = transaction{} }

func transactionCommands() []local {
	return []local{
		{
			spec: command.Spec{Name: "MULTI", Arity: 1, Flags: command.Fast, Group: "transactions", Since: "1.2.0",
				Categories: []string{"fast", "transaction"}, Summary: "Starts a transaction."},
			run: (*session).multi, immediate: true,
		},
		{
			spec: command.Spec{Name: "EXEC", Arity: 1, Group: "transactions", Since: "1.2.0",
				Categories: []string{"slow", "transaction"}, Summary: "Carries out all commands of a transaction as one step."},
			run: (*session).exec, immediate: true,
		},
		{
			spec: command.Spec{Name: "DISCARD", Arity: 1, Flags: command.Fast, Group: "transactions", Since: "2.0.0",
				Categories: []string{"fast", "transaction"}, Summary: "Gives a transaction up."},
			run: (*session).discard, immediate: true,
		},
		{
			spec: command.Spec{Name: "WATCH", Arity: -2, Flags: command.Fast, Group: "transactions", Since: "2.2.0",
				Categories: []string{"fast", "transaction"}, First: 1, Last: -1, Step: 1,
				Summary: "Makes the next EXEC do nothing if one of the keys has changed.",
				Args:    []command.Arg{{Name: "key", Type: "key", Multiple: true}}},
			run: (*session).watch, immediate: true,
		},
		{
			spec: command.Spec{Name: "UNWATCH", Arity: 1, Flags: command.Fast, Group: "transactions", Since: "2.2.0",
				Categories: []string{"fast", "transaction"}, Summary: "Forgets the watched keys."},
			run: (*session).unwatch,
		},
	}
}

func (s *session) multi([][]byte) (command.Reply, error) {
	if s.tx.open {
		return command.Reply{}, errNestedMulti
	}
	s.tx.open = true
	s.queued.Store(0)
	return command.OK, nil
}

func (s *session) discard([][]byte) (command.Reply, error) {
	if !s.tx.open {
		return command.Reply{}, errDiscardAlone
	}
	s.closeTx()
	return command.OK, nil
}

func (s *session) closeTx() {
	s.tx.clear()
	s.queued.Store(-1)
	s.queuedBytes.Store(0)
}

// queue keeps a command for EXEC, unless EXEC will refuse anyway.
func (s *session) queue(e *entry, args [][]byte) {
	if s.tx.spoilt {
		s.run.answer(command.Simple("QUEUED"))
		return
	}
	for _, a := range args {
		s.tx.bytes += len(a)
	}
	cfg := &s.server.config
	if s.tx.bytes > cfg.QueuedBytes || len(s.tx.queue) >= cfg.QueuedCommands {
		s.tx.queue = nil
		s.reject(e, errBusyTx)
		return
	}
	s.tx.queue = append(s.tx.queue, item{entry: e, args: args})
	s.queued.Store(int32(len(s.tx.queue)))
	s.queuedBytes.Store(int64(s.tx.bytes))
	s.run.answer(command.Simple("QUEUED"))
}

// watch notes at which revision the keys are, as the group knows them.
func (s *session) watch(args [][]byte) (command.Reply, error) {
	if s.tx.open {
		return command.Reply{}, errWatchInside
	}
	if err := s.catchUp(); err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	err := s.server.store.View(func(tx *keyspace.Tx) error {
		db := s.dbIndex()
		tx.Select(db)
		for _, key := range args[1:] {
			if !s.tx.watching(db, key) {
				s.tx.watches = append(s.tx.watches, command.Watch{DB: db, Key: key, Revision: tx.Revision(key)})
			}
		}
		return nil
	})
	if err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	return command.OK, nil
}

func (t *transaction) watching(db uint8, key []byte) bool {
	for _, w := range t.watches {
		if w.DB == db && string(w.Key) == string(key) {
			return true
		}
	}
	return false
}

func (s *session) unwatch([][]byte) (command.Reply, error) {
	s.tx.watches = nil
	return command.OK, nil
}

// exec carries out what was queued: in one log entry if any of it writes, at
// one instant of this node's state if all of it reads. What concerns only the
// connection runs afterwards; the replies stand in the order of the queue.
func (s *session) exec([][]byte) (command.Reply, error) {
	if !s.tx.open {
		return command.Reply{}, errExecAlone
	}
	tx := s.tx
	var denied error
	if !tx.spoilt {
		denied = s.permitQueue(tx.queue) // while it is open: ACL LOG tells that it was one
	}
	s.closeTx()
	if tx.spoilt {
		return command.Reply{}, errExecAbort
	}
	if denied != nil {
		return command.Reply{}, denied
	}
	tx.placeCommands(s.dbIndex())
	tx.track(s.tracks())
	if err := s.execStore(&tx); err != nil {
		if errors.Is(err, errWatchConflict) {
			return command.NullArray(), nil
		}
		return command.Reply{}, err
	}
	replies := make([]command.Reply, 0, len(tx.queue))
	for i := range tx.queue {
		it := &tx.queue[i]
		if it.entry.local != nil {
			began := time.Now()
			it.reply = s.execLocal(it)
			it.took = time.Since(began)
		}
		s.note(it.entry, it.args, it.took, it.reply)
		if it.reply.Kind != kindNoReply {
			replies = append(replies, it.reply)
		}
	}
	return command.Array(replies...), nil
}

// track says whether what the commands read is remembered.
func (t *transaction) track(yes bool) {
	for i := range t.queue {
		t.queue[i].tracked = yes
	}
}

func (s *session) execLocal(it *item) command.Reply {
	reply, err := it.entry.local(s, it.args)
	s.told.flush()
	if err != nil {
		return command.Fail(err)
	}
	return reply
}

// execStore carries out the part of a transaction that concerns the Store.
func (s *session) execStore(tx *transaction) error {
	write := false
	for i := range tx.queue {
		it := &tx.queue[i]
		if it.entry.local != nil {
			continue
		}
		if rest, _, _, err := withoutBlock(it.args); err == nil && it.entry.pop == nil && it.entry.blocks(it.args) {
			it.args = rest // nothing waits inside a transaction
		}
		write = write || it.entry.spec.Is(command.Write)
	}
	if write {
		return s.execWrites(tx)
	}
	return s.execReads(tx)
}

// execWrites proposes the transaction as one request. A command that Prepare
// rejects is answered with its error and left out, as one that fails in the
// state machine does not stop the others.
func (s *session) execWrites(tx *transaction) error {
	var req command.Request
	req.Watches = tx.watches
	var sent []*item
	for i := range tx.queue {
		it := &tx.queue[i]
		if it.entry.local != nil {
			continue
		}
		args := it.args
		if it.entry.spec.Prepare != nil {
			prepared, err := it.entry.spec.Prepare(args)
			if err != nil {
				it.reply = command.Fail(err)
				continue
			}
			args = prepared
		}
		switch {
		case len(req.Commands) == 0:
			req.DB = it.db
		case it.db != sent[len(sent)-1].db:
			req.Selects = append(req.Selects, command.Select{Before: len(req.Commands), DB: it.db})
		}
		req.Commands = append(req.Commands, args)
		sent = append(sent, it)
	}
	if len(sent) == 0 {
		return nil
	}
	s.remember(tx.queue)
	began := time.Now()
	results := s.server.store.Propose(s.server.requests.context(), []command.Request{req})
	took := time.Since(began)
	s.server.noteCommit(took)
	s.waited += took - results[0].Took
	s.noteOwn(results)
	res := results[0]
	switch {
	case res.Err != nil:
		return storeError(res.Err, command.ErrUnknownOutcome)
	case len(res.Replies) != len(sent):
		return errWatchConflict
	}
	s.run.current = true
	s.rememberAt(tx.queue, res.Index) // what it wrote itself may have been told meanwhile
	for i, it := range sent {
		it.reply, it.took = res.Replies[i], res.Took
	}
	return nil
}

// execReads runs a transaction that only reads at one instant, which is also
// the one at which the watched keys are looked at.
func (s *session) execReads(tx *transaction) error {
	if len(tx.watches) == 0 && !needsTx(tx.queue) {
		return nil
	}
	if !s.run.current {
		if err := s.catchUp(); err != nil {
			return storeError(err, command.ErrUnconfirmed)
		}
	}
	s.remember(tx.queue)
	done := false
	var err error
	if maybeShort(tx.queue) {
		err = s.server.store.View(func(view *keyspace.Tx) (err error) {
			var found []keyspace.Tally
			if done = view.Within(shortWalk, func() { found, err = s.readTogether(view, tx) }); done {
				s.countTogether(view, tx, found)
			}
			return err
		})
	}
	if !done && err == nil {
		err = s.server.store.Walk(func(view *keyspace.Tx) error {
			found, err := s.readTogether(view, tx)
			s.countTogether(view, tx, found)
			return err
		})
	}
	if errors.Is(err, errWatchConflict) {
		return err
	}
	if err != nil {
		return storeError(err, command.ErrUnconfirmed)
	}
	return nil
}

// readTogether reads all that was queued, and tells what each command has found.
func (s *session) readTogether(view *keyspace.Tx, tx *transaction) (found []keyspace.Tally, err error) {
	for _, w := range tx.watches {
		view.Select(w.DB)
		if view.Revision(w.Key) != w.Revision {
			return nil, errWatchConflict
		}
	}
	found = make([]keyspace.Tally, len(tx.queue))
	began := s.server.stopwatch()
	for i := range tx.queue {
		if it := &tx.queue[i]; it.entry.local == nil {
			view.Forget()
			began, found[i] = s.readUncounted(view, it, began)
		}
	}
	return found, nil
}

// countTogether counts what was found, of a transaction that was not ended in the
// middle to be begun again. There is nothing to count of one that was not read.
func (s *session) countTogether(view *keyspace.Tx, tx *transaction, found []keyspace.Tally) {
	for i := range found {
		if it := &tx.queue[i]; it.entry.local == nil {
			view.Select(it.entry.spec.Database(it.db))
			s.countLookups(view, it, found[i])
		}
	}
}

// maybeShort says whether the commands may hold up writers together, unless they
// turn out to look at much.
func maybeShort(queue []item) bool {
	for i := range queue {
		if queue[i].entry.spec.Is(command.Heavy) {
			return false
		}
	}
	return len(queue) <= viewReads
}

// needsTx says whether any of the commands runs in the Store.
func needsTx(queue []item) bool {
	for i := range queue {
		if queue[i].entry.local == nil {
			return true
		}
	}
	return false
}

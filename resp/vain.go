package resp

import (
	"errors"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// A worker looks for something to do in a queue that is empty, a client tries to
// get a lock that another one holds: writes that change nothing would fill the
// log, and wait for disks. So the writes of one who has written in vain lately are
// tried out on the state first, as reads are; what would change nothing has its
// reply then and goes no further.

// tryAfter is how often in a row a client's writes have changed nothing when
// they are tried out. Those that would change something after all have lost time.
const tryAfter = 2

// noteChanged is told what became of writes.
func (r *run) noteChanged(results []command.Result) {
	for i := range results {
		if results[i].Changed || results[i].Err != nil {
			r.vain = 0
			return
		}
	}
	r.vain = min(r.vain+1, tryAfter)
}

// tryBytes is how much long writes are at most that are tried out: writers wait
// meanwhile, and the other connections of an event loop.
const tryBytes = 4 << 10

// seemVain says whether writes are worth trying out.
func (r *run) seemVain(items []item) bool {
	if r.vain < tryAfter || len(items) > viewReads {
		return false
	}
	bytes := 0
	for i := range items {
		if e := items[i].entry; e != nil && e.spec.Is(command.Module) {
			return false
		}
		for _, arg := range items[i].args {
			bytes += len(arg)
		}
	}
	return bytes <= tryBytes
}

// inVain carries out writes on the state that this node has, as long as they
// change nothing, and says whether all have their replies. caughtUp is what came
// of waiting until it holds all that was committed before they came; an error is
// their reply, as nothing was sent.
func (r *run) inVain(items []item, caughtUp error) (answered bool) {
	if caughtUp != nil {
		if errors.Is(caughtUp, command.ErrUnconfirmed) { // said of a read
			caughtUp = command.ErrNoLeader
		}
		answerAll(items, command.Fail(storeError(caughtUp, command.ErrNoLeader)))
		return true
	}
	w, _ := r.s.server.trials.Get().(*keyspace.Tx)
	if w == nil {
		w = new(keyspace.Tx)
	}
	defer r.s.server.trials.Put(w)
	changes, done, tried := false, false, 0
	err := r.s.server.store.View(func(tx *keyspace.Tx) error {
		done = tx.Within(shortWalk, func() {
			changes = tx.Try(w, func() { tried = r.try(w, items) })
		})
		return nil
	})
	if err != nil || changes || !done {
		r.vain = 0
		return false
	}
	r.s.server.stats.Vain.Add(int64(tried))
	return true
}

// try carries out writes on a window that lets them change nothing, and tells how
// many.
func (r *run) try(w *keyspace.Tx, items []item) (n int) {
	began := r.s.server.stopwatch()
	for i := range items {
		it := &items[i]
		if it.entry == nil {
			continue
		}
		w.Select(it.db)
		it.reply = r.s.call(w, it.entry, it.args)
		ended := r.s.server.stopwatch()
		it.took, began = ended-began, ended
		n++
	}
	return n
}

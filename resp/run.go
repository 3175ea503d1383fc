package resp

import (
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// viewReads is how many short reads share one View: it holds up writers, so
// it must not grow with the pipeline.
const viewReads = 32

// viewTime is after how much time a View takes no further read.
const viewTime = 200 * time.Microsecond

// run collects neighbouring commands of a pipeline that go the same way:
// writes, to be proposed in one call, or reads, to share one ReadIndex. Their
// replies come out in the order in which the commands came in.
type run struct {
	s     *session
	write bool
	items []item
	// current says that a read of this batch needs no ReadIndex: this node has
	// said that its state holds everything, or a write of the batch was applied
	// here, and whatever was committed before the batch arrived stands before
	// that write in the log.
	current bool
	began   time.Duration // by the stopwatch, when the writes were sent
	vain    int           // the last so many times writes changed nothing; at most tryAfter
	done    int           // so many of the reads have their replies
	long    bool          // the next takes long

	// What readShort and View tell each other, kept so that a read needs no
	// memory for it.
	reading []item
	ran     int // of them
	onView  func(*keyspace.Tx) error
}

// item is one command of a run, or the reply to one.
type item struct {
	entry *entry // nil: there is only the reply
	db    uint8  // database that it runs in
	args  [][]byte
	reply command.Reply
	took  time.Duration

	tracked bool // what it reads is remembered
}

// add takes a command for the Store.
func (r *run) add(e *entry, args [][]byte) {
	if e.blocks(args) {
		r.flush()
		r.s.runBlocking(e, args)
		return
	}
	write := e.spec.Is(command.Write)
	if write != r.write {
		r.flush()
		r.write = write
	}
	if write && e.spec.Prepare != nil {
		prepared, err := e.spec.Prepare(args)
		if err != nil {
			r.s.reject(e, err)
			return
		}
		args = prepared
	}
	r.items = append(r.items, item{entry: e, db: r.s.dbIndex(), args: args, tracked: r.s.tracks()})
}

// answer puts a reply after those of the commands before it.
func (r *run) answer(reply command.Reply) {
	if reply.Kind == command.KindError {
		r.s.server.stats.Failed.Add(1)
		r.s.server.failures.add(reply.Str)
	}
	r.items = append(r.items, item{reply: reply})
}

// flush carries out what was collected and emits the replies.
func (r *run) flush() {
	if len(r.items) == 0 {
		return
	}
	items := r.items
	if r.write {
		r.propose(items)
	} else {
		r.read(items)
	}
	r.emit(items)
}

// emit emits the replies of what was carried out.
func (r *run) emit(items []item) {
	for i := range items {
		it := &items[i]
		if it.entry != nil {
			r.s.note(it.entry, it.args, it.took, it.reply)
		}
		r.s.emit(it.reply)
		items[i] = item{}
	}
	r.items = items[:0]
	r.s.tellInvalidations()
}

// propose sends all writes in one call.
func (r *run) propose(items []item) {
	reqs := requests(items)
	if len(reqs) == 0 {
		return
	}
	if r.seemVain(items) {
		var caughtUp error
		if !r.current {
			caughtUp = r.s.server.store.ReadIndex(r.s.server.requests.context())
		}
		if r.inVain(items, caughtUp) {
			return
		}
	}
	r.began = r.s.server.stopwatch()
	r.take(items, r.s.server.store.Propose(r.s.server.requests.context(), reqs))
}

// requests gives what is to be proposed.
func requests(items []item) []command.Request {
	reqs, commands := make([]command.Request, 0, len(items)), make([]command.Args, 0, len(items))
	for i := range items {
		if items[i].entry != nil {
			n := len(commands)
			commands = append(commands, items[i].args)
			reqs = append(reqs, command.Request{DB: items[i].db, Commands: commands[n : n+1 : n+1]})
		}
	}
	return reqs
}

// take gives the writes their replies.
func (r *run) take(items []item, results []command.Result) {
	r.s.server.noteCommit(r.s.server.stopwatch() - r.began)
	r.s.noteOwn(results)
	r.noteChanged(results)
	next := 0
	for i := range items {
		if items[i].entry == nil {
			continue
		}
		items[i].reply, items[i].took = onlyReply(results[next]), results[next].Took
		if results[next].Err == nil {
			r.current = true
		}
		next++
	}
}

// onlyReply gives the reply of a request of one command.
func onlyReply(res command.Result) command.Reply {
	switch {
	case res.Err != nil:
		return command.Fail(storeError(res.Err, command.ErrUnknownOutcome))
	case len(res.Replies) != 1:
		return command.Fail(command.Errorf("ERR", "internal error: no reply"))
	}
	return res.Replies[0]
}

// read runs reads on this node, up to date with the group.
func (r *run) read(items []item) {
	if err := r.catchUp(items); err != nil {
		failReads(items, err)
		return
	}
	r.readHere(items, true)
}

// readHere runs reads on the state that this node has, up to the first that
// takes long, unless there is time for it. It goes on where it was last, and
// says whether all have their replies.
func (r *run) readHere(items []item, patient bool) (all bool) {
	if r.done == 0 {
		r.s.remember(items)
	}
	for r.done < len(items) {
		n, err := 0, error(nil)
		if !r.long {
			n, err = r.readShort(items[r.done:])
			r.long = err == nil && n == 0
		}
		if r.long {
			if !patient {
				return false
			}
			n, err = 1, r.readLong(&items[r.done])
			r.long = false
		}
		if err != nil {
			failReads(items[r.done:], err)
			break
		}
		r.done += n
	}
	r.done = 0
	return true
}

// catchUp makes sure that the reads see what was committed before them.
func (r *run) catchUp(items []item) error {
	if r.current || !needsStore(items) {
		return nil
	}
	return r.s.catchUp()
}

// catchUp waits until this node's state holds all that was committed before
// now, unless the client has asked for local reads.
func (s *session) catchUp() error {
	if s.localReads {
		return nil
	}
	began := time.Now()
	defer func() { s.waited += time.Since(began) }()
	return s.server.store.ReadIndex(s.server.requests.context())
}

func needsStore(items []item) bool {
	for i := range items {
		if items[i].entry != nil {
			return true
		}
	}
	return false
}

// failReads answers reads for which the Store gave no state.
func failReads(items []item, err error) {
	answerAll(items, command.Fail(storeError(err, command.ErrUnconfirmed)))
}

func answerAll(items []item, reply command.Reply) {
	for i := range items {
		if items[i].entry != nil {
			items[i].reply = reply
		}
	}
}

// readShort runs items in one View up to the first that would take long, and
// tells how many it ran.
func (r *run) readShort(items []item) (n int, err error) {
	if r.onView == nil {
		r.onView = r.readViewed
	}
	r.reading, r.ran = items, 0
	err = r.s.server.store.View(r.onView)
	r.reading = nil
	return r.ran, err
}

func (r *run) readViewed(tx *keyspace.Tx) error {
	entered := r.s.server.stopwatch()
	began := entered
	var found keyspace.Tally
	for r.ran = 0; r.ran < len(r.reading) && r.ran < viewReads && began-entered < viewTime; r.ran++ {
		it := &r.reading[r.ran]
		if it.entry == nil {
			continue
		}
		tx.Forget()
		if isFast(it.entry) {
			began, found = r.s.readUncounted(tx, it, began)
		} else if it.entry.spec.Is(command.Heavy) || !tx.Within(shortWalk, func() { began, found = r.s.readUncounted(tx, it, began) }) {
			return nil
		}
		r.s.countLookups(tx, it, found)
	}
	return nil
}

// readLong runs an item without holding up writers.
func (r *run) readLong(it *item) error {
	return r.s.server.store.Walk(func(tx *keyspace.Tx) error {
		r.s.read(tx, it, r.s.server.stopwatch())
		return nil
	})
}

// read runs one read command, which counts from began on, and tells when it
// ended, both by the stopwatch.
func (s *session) read(tx *keyspace.Tx, it *item, began time.Duration) (ended time.Duration) {
	ended, found := s.readUncounted(tx, it, began)
	s.countLookups(tx, it, found)
	return ended
}

// readUncounted is read for who counts later what was found.
func (s *session) readUncounted(tx *keyspace.Tx, it *item, began time.Duration) (ended time.Duration, found keyspace.Tally) {
	tx.Select(it.entry.spec.Database(it.db))
	tx.Tally() // of the command before
	it.reply = s.call(tx, it.entry, it.args)
	found = lookups(tx, it)
	ended = s.server.stopwatch()
	it.took = ended - began
	return ended, found
}

func (s *session) countLookups(tx *keyspace.Tx, it *item, found keyspace.Tally) {
	s.server.stats.looked(found)
	s.server.events.missed(tx, it)
}

// lookups is how many of its keys a command that was just run has found, and how
// many not. What has looked at several in turn is counted anew.
func lookups(tx *keyspace.Tx, it *item) keyspace.Tally {
	n := tx.Tally()
	if all := n.Found + n.Missed; all == 0 || all == 1 && it.entry.spec.First > 0 {
		return n
	}
	keys := it.entry.keys(it.args)
	if n.Found+n.Missed <= int64(len(keys)) {
		return n
	}
	for _, key := range keys {
		tx.Type(key)
	}
	return tx.Tally()
}

// call runs a command on a read-only window.
func (s *session) call(tx *keyspace.Tx, e *entry, args [][]byte) command.Reply {
	c := &s.reads
	*c = command.Call{Tx: tx, Now: tx.Now(), Rand: s.rng()}
	reply, err := e.spec.Run(c, args)
	c.Tx = nil
	if err != nil {
		return command.Fail(err)
	}
	return reply
}

// shortWalk is how many rows a read may look at while it holds up writers, and
// the other connections of an event loop.
const shortWalk = 1000

// isFast says whether a command looks at a few elements only.
func isFast(e *entry) bool { return e.spec.Is(command.Fast) && !e.spec.Is(command.Walks) }

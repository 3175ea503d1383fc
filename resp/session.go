package resp

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// replyMode is what CLIENT REPLY chose.
type replyMode uint8

const (
	replyOn   replyMode = iota
	replyOff            // none
	replySkip           // not to this command
	replySkipNext
)

// session is the state of one connection. Its methods belong to who serves the
// connection: its goroutine, or while that lets it rest the event loop and who
// answers its writes. What CLIENT LIST shows to others is atomic or under mu.
type session struct {
	server *Server
	guard  *guardConn
	id     int64
	since  time.Time
	addr   string // of the client
	laddr  string // of the server

	proto      atomic.Int32            // resp2 or resp3
	user       atomic.Pointer[aclUser] // nil: not authenticated
	expelled   atomic.Bool             // the connection is being ended by others
	changing   atomic.Bool             // it changes users
	db         atomic.Int32            // that SELECT chose
	localReads bool                    // READONLY: reads need not see what other nodes committed
	replies    replyMode
	tx         transaction
	out        []byte  // replies not yet pushed
	told       hearers // of what it has published just now
	loop       int     // number of the event loop that serves it now; -1: none does
	broken     bool    // the connection is lost or about to end
	run        run
	tried      time.Duration // that a command which waits has been carried out for
	waited     time.Duration // of the local command under way: for the group
	random     *rand.Rand
	reads      command.Call // the read under way, kept for its memory

	lastUsed    atomic.Int64 // by the server's stopwatch
	serving     atomic.Bool  // commands are being carried out
	monitoring  atomic.Bool
	noEvict     atomic.Bool
	slowSince   atomic.Int64 // ms since 1970 since when more than the soft limit waits; 0: it does not
	queuedBytes atomic.Int64 // of commands in MULTI
	lastCmd     atomic.Pointer[entry]
	queued      atomic.Int32               // commands in MULTI; -1: not in one
	unblock     atomic.Pointer[chan bool]  // set while blocked; true: with an error
	held        atomic.Bool                // by CLIENT PAUSE
	hears       atomic.Pointer[subscriber] // once it has subscribed
	tracker     atomic.Pointer[tracker]    // while it tracks keys

	onResults  func([]command.Result) // carriedOut, made once
	onCaughtUp func(error)            // caughtUp, likewise

	mu       sync.Mutex
	underWay func() // gives up what nobody waits for
	name     string
	libName  string
	libVer   string
}

func newSession(server *Server, guard *guardConn, id int64) *session {
	s := &session{
		server: server,
		guard:  guard,
		id:     id,
		since:  time.Now(),
		addr:   guard.RemoteAddr().String(),
		laddr:  guard.LocalAddr().String(),
		loop:   -1,
	}
	s.proto.Store(resp2)
	s.queued.Store(-1)
	s.lastUsed.Store(int64(s.server.stopwatch()))
	s.run.s = s
	s.onResults, s.onCaughtUp = s.carriedOut, s.caughtUp
	if guard.socket != nil {
		guard.socket.Serve(s.ready)
	}
	s.enter()
	return s
}

// serve answers the commands of a batch in order.
func (s *session) serve(batch [][][]byte) {
	s.run.current = false
	s.collect(batch)
	s.answer()
}

// idle is for how long the client has sent nothing.
func (s *session) idle() time.Duration {
	return s.server.stopwatch() - time.Duration(s.lastUsed.Load())
}

// collect is the first half of serve: what it leaves to be carried out stands
// in run, which knows already whether this node is current.
func (s *session) collect(batch [][][]byte) {
	s.out = getBuffer()
	s.lastUsed.Store(int64(s.server.stopwatch()))
	s.serving.Store(true)
	s.holdInvalidations()
	for _, args := range batch {
		if s.broken {
			break
		}
		s.dispatch(args)
	}
	s.guard.reuse(batch)
}

// answer is the second half of serve.
func (s *session) answer() {
	s.tell()
	s.run.flush()
	s.pushReplies()
	s.sendInvalidations()
	s.serving.Store(false)
}

// tell lets subscribers have what was published: at once, or together with what
// others publish in the same turn of an event loop.
func (s *session) tell() {
	if s.loop < 0 {
		s.told.flush()
		return
	}
	s.told.pass(&s.server.turns[s.loop])
}

// emit adds the reply to one command.
func (s *session) emit(r command.Reply) {
	switch s.replies {
	case replyOff, replySkip:
		return
	}
	s.out = appendReply(s.out, r, int(s.proto.Load()))
	if len(s.out) >= pooledBuffer {
		s.pushReplies()
		s.out = getBuffer()
	}
}

// pushReplies sends what was emitted on its way.
func (s *session) pushReplies() {
	out := s.out
	s.out = nil
	if len(out) == 0 {
		putBuffer(out)
		return
	}
	if err := s.guard.push(out); err != nil {
		s.broken = true
	}
}

// end lets the connection end when the client has got its replies.
func (s *session) end() {
	s.broken = true
	s.guard.stopReading()
}

// fail ends the connection with an error, whatever was going on.
func (s *session) fail(text string) {
	s.serving.Store(false)
	s.told.flush()
	s.run.items = nil
	s.out = appendLine(s.out, '-', []byte(text))
	s.pushReplies()
	s.end()
}

// authenticated says whether the client may do more than log in.
func (s *session) authenticated() bool { return s.guard.authenticated }

// rng gives the source of randomness for reads. Not for secrets.
func (s *session) rng() *rand.Rand {
	if s.random == nil {
		s.random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	return s.random
}

// reset makes the connection as new, for RESET.
func (s *session) reset() {
	s.tx.clear()
	s.queued.Store(-1)
	s.proto.Store(resp2)
	s.db.Store(0)
	s.localReads = false
	s.stopListening()
	s.stopTracking()
	s.server.monitors.leave(s)
	s.guard.patient = false
	s.replies = replyOn
	s.enter()
	s.mu.Lock()
	s.name = ""
	s.mu.Unlock()
}

package command

import "time"

// Args is one command: its name and its arguments.
type Args = [][]byte

// New makes a command from strings.
func New(args ...string) Args {
	out := make(Args, len(args))
	for i, a := range args {
		out[i] = []byte(a)
	}
	return out
}

// Watch is a condition of a Request: Key was at Revision when the client
// looked. 0 stands for a key that did not exist.
type Watch struct {
	DB       uint8 // database of the key
	Key      []byte
	Revision uint64
}

// Request is what is proposed as one unit: its commands run one after another
// with nothing between them. A command that fails does not stop the others
// (as in MULTI). If a Watch does not hold, none runs.
type Request struct {
	DB       uint8 // database that the commands run in
	Commands []Args
	Watches  []Watch
	Selects  []Select // in order of Before, for transactions that change the database
}

// Select changes the database between commands of a Request.
type Select struct {
	Before int // number of the first command that runs in it
	DB     uint8
}

// Result is the outcome of a Request.
type Result struct {
	// Replies has one reply a command. It is nil if a Watch did not hold.
	Replies []Reply
	// Index is the log index at which the request was applied.
	Index uint64
	// Request is the number of the request among those that this node took
	// since it started, from 1.
	Request uint64
	// Changed says whether it has changed anything.
	Changed bool
	// Took is how long the node that took the request was busy with carrying it
	// out; its way to the disks of the group is not in it.
	Took time.Duration
	// Err is set if there is no outcome to report: see the Err… values.
	Err error
}

// Reasons for which a request has no outcome. They say whether it may have
// happened, because a client that retries must know.
var (
	// ErrNoLeader: nothing was proposed; trying again is safe.
	ErrNoLeader = Errorf("CLUSTERDOWN", "no leader: the group cannot accept writes now, nothing was changed; try again")
	// ErrUnconfirmed: ErrNoLeader, said of a read.
	ErrUnconfirmed = Errorf("CLUSTERDOWN", "no leader: this read cannot be confirmed now; READONLY allows reading this node's own state")
	// ErrUnknownOutcome: proposed, but no answer in time. It may or may not
	// happen.
	ErrUnknownOutcome = Errorf("UNKNOWN", "timeout: outcome unknown; the command may have been carried out, read before trying again")
	// ErrBusy: refused at admission, nothing was changed.
	ErrBusy = Errorf("BUSY", "too many writes are waiting, nothing was changed; try again later")
	// ErrTooLarge: refused at admission, nothing was changed.
	ErrTooLarge = Errorf("ERR", "command is larger than the limit, nothing was changed")
	// ErrNoSpace: refused at admission, nothing was changed. Commands with the
	// flag WhenFull are not.
	ErrNoSpace = Errorf("NOSPACE", "a node has too little room left: until it has more, only what makes room is carried out; nothing was changed (parlor status says which node)")
	// ErrClosing: the node is stopping, nothing was changed.
	ErrClosing = Errorf("CLUSTERDOWN", "the node is stopping, nothing was changed; use another one")
)
